"""The same code without the compiler: the same runs, and lines that can be seen to run."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sims.abstract.engine import simulate
from sims.abstract.records import Options, PolicyName
from tests.sims.abstract.regions import some_region

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent.parent
OTHERS = ("test_rules.py", "test_against_reference.py")
"""What reaches every line; the rest would take minutes without the compiler."""
OPTIONS = [
    Options(policy, 100_000, 8_000.0, has_receipts=has_receipts, quantum_s=quantum_s)
    for policy in PolicyName
    for has_receipts, quantum_s in ((None, 0.0), (True, 1.0))
]


def digests() -> list[str]:
    """Return what is left of some runs of all policies."""
    found = []
    for seed in (1, 2):
        region = some_region(seed, nodes=14, contacts=400, messages=150)
        found += [simulate(region, options).digest for options in OPTIONS]
    return found


def _run_interpreted(*arguments: str) -> subprocess.CompletedProcess[str]:
    # What this measures of the lines that ran counts with the rest.
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "HYPOTHESIS_PROFILE": "dev"},
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )


def test_compiled_and_interpreted_runs_are_the_same() -> None:
    code = "from tests.sims.abstract.test_interpreted import digests; print(*digests())"
    told = _run_interpreted("-W", "error", "-c", code)
    assert told.stderr == ""
    assert told.stdout.split() == digests()


def test_rules_and_reference_hold_without_the_compiler_too() -> None:
    others = [str(FOLDER / name) for name in OTHERS]
    told = _run_interpreted("-m", "pytest", "-q", "-p", "no:cacheprovider", *others)
    assert told.returncode == 0, told.stdout


def test_what_is_compared_differs_where_runs_do() -> None:
    region, options = some_region(1), OPTIONS[0]
    told = {simulate(region, options).digest, simulate(some_region(2), options).digest}
    told.add(simulate(region, replace(options, rate_bytes_s=4_000.0)).digest)
    assert len(told) == 3
