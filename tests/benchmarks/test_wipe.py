"""How long a wipe takes, measured in a process of its own and printed; nothing depends on it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.real
def test_a_wipe_destroys_keys_before_files() -> None:
    """70 ms and 0.4 s were measured with 2,000 bundles; five seconds are promised."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.wipe", "2000"],
        stdout=subprocess.PIPE,
        cwd=_ROOT,
        check=True,
    )
    found = json.loads(run.stdout)
    print(found)
    assert 0 < found["device_ms"] < found["files_ms"]
