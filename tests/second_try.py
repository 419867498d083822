"""One more chance, in the open, for a test of real parts that failed: alone, nothing beside it.

Browsers, processes and servers wait for a machine that others keep busy. What passes then is named
at the end of the run; `docs/decisions/0071-one-order-for-a-change.md` says why.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["CACHE", "TRIED_MAX", "second_try", "with_memory"]

TRIED_MAX = 3
"""Where more tests failed than these, it was no chance."""
CACHE = "SECOND_TRY_CACHE"
"""The environment's name for the folder where a lane of tests notes which of them failed."""
_FAILED = 1
"""Pytest's exit code where tests ran and some failed; anything else is no matter of chance."""


def with_memory(lane: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Return commands of pytest that note what failed where `second_try` looks for it."""
    found: list[Sequence[str]] = []
    for number, command in enumerate(lane):
        at = command.index("pytest") + 1
        notes = ("-o", f"cache_dir=${CACHE}/{number}")
        found.append((*command[:at], *notes, *command[at:]))
    return found


def second_try(codes: Sequence[int], environment: Mapping[str, str], folder: Path) -> list[str]:
    """Run anew what failed in the commands of `with_memory`, which ended with these exit codes.

    Returns the names of the tests that pass now; nothing where one failed again, where too many
    had failed, or where a command ended otherwise than by tests that failed. Takes as long as
    those tests do.
    """
    notes = [_failed_in(Path(environment[CACHE]) / str(number)) for number in range(len(codes))]
    is_told = all(
        bool(names) if code == _FAILED else code == 0
        for code, names in zip(codes, notes, strict=True)
    )
    failed = [name for names in notes for name in names]
    if not is_told or len(failed) > TRIED_MAX:
        return []
    print(f"\n== once more, alone, of real parts: {' '.join(failed)}", flush=True)
    command = (sys.executable, "-m", "pytest", *failed)
    done = subprocess.run(command, cwd=folder, env=environment, check=False)
    return failed if done.returncode == 0 else []


def _failed_in(cache: Path) -> list[str]:
    """Return the tests that failed by pytest's own notes; nothing where it made none."""
    notes = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(notes.read_text())) if notes.is_file() else []
