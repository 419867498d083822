"""Runs work in a child that kills itself before its n-th change of the disk.

Counted are files opened to be written, flushes to the disk, and names given, changed or taken
away; `also` adds moments of other kinds. What is left is what a power cut leaves, as far as one
process can tell.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

__all__ = ["Moment", "deaths", "in_the_database", "is_finished"]

Moment = Callable[..., None]
"""Call it before each change that counts; its arguments do not matter."""

_NAMES = frozenset({"os.rename", "os.link", "os.remove", "os.truncate"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def deaths(
    folder: Path,
    base: Path | None,
    work: Callable[[Path], object],
    steps_min: int,
    also: Callable[[Moment], None] | None = None,
) -> Iterator[tuple[Path, bool]]:
    """Yield a home for each step at which `work` in it was killed, the last one unharmed.

    Each is a copy of `base`, or is not there before, and is there until the next one. With it comes
    whether the work was done to its end.
    """
    for step in count(1):
        home = folder / f"step {step}"
        if base is not None:
            shutil.copytree(base, home)
        is_done = is_finished(step, partial(work, home), also)
        yield home, is_done
        shutil.rmtree(home)
        if is_done:
            assert step > steps_min, "the work has many steps, and each was the last"
            return


def is_finished(
    step: int, work: Callable[[], object], also: Callable[[Moment], None] | None = None
) -> bool:
    """Run `work` in a child that dies at its `step`-th change; False if it did."""
    child = os.fork()
    if child == 0:
        _live_and_die(step, work, also)
    _child, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), f"the child ended with {code}"
    return code == 0


def in_the_database(moment: Moment) -> None:
    """Count what the database is asked to change, too."""

    @event.listens_for(Engine, "before_cursor_execute")
    def statement(_connection: object, _cursor: object, text: str, *_more: object) -> None:
        if not text.lstrip().startswith(("SELECT", "BEGIN", "PRAGMA")):
            moment()

    event.listen(Engine, "commit", moment)


def _live_and_die(
    step: int, work: Callable[[], object], also: Callable[[Moment], None] | None
) -> None:
    taken = 0

    def moment(*_arguments: Any, **_named: Any) -> None:
        nonlocal taken
        taken += 1
        if taken == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name in _NAMES or (name == "open" and (arguments[2] or 0) & _WRITING):
            moment()

    flush = os.fsync

    def fsync(descriptor: Any) -> None:
        moment()
        flush(descriptor)

    try:
        sys.addaudithook(hook)
        os.fsync = fsync  # type: ignore[assignment]
        if also is not None:
            also(moment)
        work()
    except BaseException:  # noqa: BLE001 - a child ends here, whatever happened
        traceback.print_exc()
        os._exit(3)
    os._exit(0)
