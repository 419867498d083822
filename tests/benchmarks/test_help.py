"""What the help of the command line costs beside its floor, printed; both run by turns."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from tests.environment import unmeasured

_RUNS = 5
_HELP = "import sys; from meshnode.cli.main import main; main()"
_FLOOR = "import typer, typer.core"
_RATIO_MAX = 6.0
"""Far above what was measured, 2.5; somebody who has everything imported at once goes beyond."""


def _cpu_s(code: str, *words: str) -> float:
    """Return what a Python that runs `code` takes of the processor, seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", code, *words]
    subprocess.run(command, env=unmeasured(), capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.real
@pytest.mark.slow
def test_help_costs_little_more_than_what_reads_the_command_line() -> None:
    helps, floors = [], []
    for _ in range(_RUNS):
        helps.append(_cpu_s(_HELP, "--help"))
        floors.append(_cpu_s(_FLOOR))
    print(f"--help: {min(helps):.3f} s of CPU, its floor {min(floors):.3f} s")
    assert min(helps) / min(floors) < _RATIO_MAX
