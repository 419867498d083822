"""`make fuzz`: every group of parsers and every signed thing, two runs at a time, and one table.

Exits 1 if an input broke a parser or a change of a signed thing was accepted. What a run said is
shown only then.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from tests.fuzz.fuzz_untrusted import MISSING

__all__ = ["Job", "Outcome", "jobs", "main", "perform"]

RUNS = 1_000_000
"""Inputs per group of parsers."""
MUTANTS = 100_000
"""Changed copies per signed thing."""
AT_ONCE = 2
_DONE = re.compile(r"Done (\d+) runs in (\d+) second")


@dataclass(frozen=True, slots=True)
class Job:
    """One process."""

    name: str
    """What the table calls it."""
    arguments: tuple[str, ...]
    """After the interpreter."""
    runs: int
    """Inputs that it must have run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job."""

    job: Job
    """Which."""
    done: int
    """Inputs that it says it ran."""
    duration_s: float
    """Wall time, seconds, its start included."""
    said: str
    """All it wrote."""
    is_good: bool
    """It ended well and ran what it should."""


def jobs(runs: int, mutants: int, *, is_guided: bool, seed: int = 0) -> list[Job]:
    """Return all jobs, the longest first; `seed` is of what is drawn, 0 for others each time."""
    from tests.fuzz.forgeries import things
    from tests.fuzz.targets import groups

    flags = ("-timeout=20", f"-seed={seed}", *(() if is_guided else ("--plain",)))
    found = [
        Job(
            name,
            ("-m", "tests.fuzz.fuzz_untrusted", name, f"-runs={runs}", *flags),
            runs,
        )
        for name in groups()
    ]
    found.sort(key=lambda job: job.name != "session states")
    forged = [
        Job(f"forged: {name}", ("-m", "tests.fuzz.forgeries", name, str(mutants)), mutants)
        for name in things()
    ]
    return [*found, *forged]


def perform(job: Job) -> Outcome:
    """Run a job to its end."""
    started_s = time.monotonic()
    ended = subprocess.run(
        [sys.executable, *job.arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    found = _DONE.search(ended.stdout)
    done = int(found[1]) if found else 0
    is_good = ended.returncode == 0 and done >= job.runs
    return Outcome(job, done, time.monotonic() - started_s, ended.stdout, is_good)


def _line(outcome: Outcome) -> str:
    rate = outcome.done / max(outcome.duration_s, 0.001)
    word = "well" if outcome.is_good else "FAILED"
    return (
        f"{outcome.job.name:<26} {outcome.done:>9,} in {outcome.duration_s:6.1f} s"
        f" {rate:>8,.0f}/s  {word}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; return 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.run", description="Fuzz every parser.")
    parser.add_argument("--runs", type=int, default=RUNS, help="inputs per group of parsers")
    parser.add_argument("--mutants", type=int, default=MUTANTS, help="copies per signed thing")
    parser.add_argument("--plain", action="store_true", help="without the coverage-guided fuzzer")
    parser.add_argument("--seed", type=int, default=0, help="its draws; 0: others each time")
    wanted = parser.parse_args(arguments)
    is_guided = not wanted.plain and importlib.util.find_spec("atheris") is not None
    if not is_guided and not wanted.plain:
        print(MISSING)
    started_s = time.monotonic()
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [
            pool.submit(perform, job)
            for job in jobs(wanted.runs, wanted.mutants, is_guided=is_guided, seed=wanted.seed)
        ]
        for ended in as_completed(waiting):
            outcomes.append(ended.result())
            print(_line(outcomes[-1]), flush=True)
    failed = [outcome for outcome in outcomes if not outcome.is_good]
    for outcome in failed:
        print(f"\n{outcome.job.name}: {' '.join(outcome.job.arguments)}\n{outcome.said[-4000:]}")
    total = sum(outcome.done for outcome in outcomes)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{total:,} inputs in {time.monotonic() - started_s:.0f} s, "
        f"{used.ru_utime + used.ru_stime:.0f} s of CPU, {len(failed)} runs failed"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
