"""A box hands 2,000 bundles to a gateway: all of them arrive, and the estimate is of the real end.

100,000 take some minutes: `meshnode bench unload`.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from meshnode.bench.unload import error_of
from tests.environment import unmeasured

pytestmark = [pytest.mark.slow, pytest.mark.real]

BUNDLES = 2_000
PROGRAM = "from meshnode.cli.main import main; main()"


def test_a_box_hands_all_over_and_says_how_long_it_takes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "bench", "unload", "--bundles", str(BUNDLES), "--json"],
        capture_output=True,
        check=False,
        env=unmeasured(),
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    print("unloading", json.dumps(found))
    assert found["bundles"] == BUNDLES
    assert found["sent_bytes"] > 200 * BUNDLES
    # The first look is of a box that knows how much there is, or of one that has begun already.
    assert found["first_left"] is None or 0 <= found["first_left"] <= BUNDLES + 50


def test_an_estimate_is_judged_by_the_end() -> None:
    look = {"at": 10.0, "seconds_left": 20.0}
    assert error_of(look, ended_s=30.0, whole_s=40.0) == 0
    assert error_of(look, ended_s=28.0, whole_s=40.0) == 5
