"""Holds the abstract simulator against real nodes and prints a table.

`python -m tests.benchmarks.calibration [SEEDS]`: three seeds of each case unless told otherwise.
Below those that must agree stand some in which a known difference shows: slow links on which
both directions are busy, and stores so small that what is not a message fills half of them.
"""

from __future__ import annotations

import sys
import time

from sims.calibrate import Agreement, calibrate
from tests.sims.shapes import CASES, Case, crowd, port

BEYOND = (
    Case("boats, 5 kB/s both ways", port, rate_bytes_s=5_000.0),
    Case("stores of 100 kB", crowd, store_bytes=100_000),
)
"""Where the two are known to part."""

_HEAD = f"{'case':24} {'msgs':>5} {'real':>6} {'abstr':>6} {'points':>6} {'real s':>8}"
_TAIL = f" {'abstr s':>8} {'%':>5} {'apart':>5} {'CPU s':>6}"


def line_of(found: Agreement, cpu_s: float) -> str:
    """Return one line of the table: shares, medians and messages that came in one alone."""
    shares = f"{found.real_share:6.3f} {found.abstract_share:6.3f} {100 * found.share_apart:6.2f}"
    medians = f"{found.real_median_s:8.1f} {found.abstract_median_s:8.1f}"
    percent = f"{100 * found.median_apart:5.2f}"
    start = f"{found.name:24} {found.messages:5} {shares} {medians} {percent}"
    return f"{start} {len(found.differences):5} {cpu_s:6.1f}"


def _main(seeds: int) -> None:
    print(_HEAD + _TAIL)
    for case in (*CASES, *BEYOND):
        began_s = time.process_time()
        found = calibrate(case.name, case.scenarios(range(1, seeds + 1)))
        print(line_of(found, time.process_time() - began_s), flush=True)


if __name__ == "__main__":
    _main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
