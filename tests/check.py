"""The one command that says whether a change holds: `python -m tests.check --fast` or `--full`.

Every step runs even when an earlier one failed, so that one run tells everything. The rules
themselves stand in `pyproject.toml` and `tests/architecture/`; this file only calls them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sims.disk import scratch
from tests.second_try import CACHE, second_try, with_memory

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
TOOLS = Path(sys.executable).parent
"""Where the environment keeps its commands; not resolved, because a link leads out of it."""

SCREENS = ROOT / "meshnode" / "web" / "app"
"""Sources of the screens."""

FLOORS_PCT = {("protocol",): 95.0, ("meshnode", "sims"): 85.0}
"""Least share of lines and branches together that the tests reach in each group of packages."""
_SCRATCH_BYTES = 4 << 30
"""Free memory from which on tests may keep their files there."""
FULL_TIME_MAX_S = 900.0
"""What `--full` may take on two cores; it is told when it takes longer."""


LANES = (
    ("meeting and repeating and not soak", "meeting and not repeating and not soak"),
    ("not first and not meeting and repeating and not soak",),
    ("first and not meeting and repeating and not soak",),
    ("not first and not meeting and not repeating and not soak",),
    ("first and not meeting and not repeating and not soak",),
)
"""Which tests run in one process; what stands in one lane runs one after another.

Real parts of nodes meet nobody of another process so, and wait most of the time. The others never
wait: `AT_ONCE` processes keep two cores busy to the end, as the longest lanes begin first.

What is not measured comes before what is: the simulator of regions is compiled at its first use,
which takes three times as long where it is measured.
"""
AT_ONCE = 3
"""So many lanes run side by side: that of the real parts, and one for each of two cores."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is checked."""

    name: str
    """Short name for the closing table."""
    run: Callable[[Mapping[str, str]], bool]
    """Does it with the given environment, writing to the screen; True when all is well."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step."""

    name: str
    """Name of the step."""
    is_good: bool
    """Whether everything in it held."""
    duration_s: float
    """Wall time, seconds."""


@dataclass(frozen=True, slots=True)
class Share:
    """How much of some packages the tests reach."""

    lines_pct: float
    """Lines run, percent of those that can run."""
    branches_pct: float
    """Branches taken, percent of those that exist."""
    both_pct: float
    """Lines and branches together, percent: what coverage itself calls the total."""


def call(*command: str, folder: Path = ROOT) -> Callable[[Mapping[str, str]], bool]:
    """Return a step's work: run `command` in `folder`, good when it exits 0."""

    def run(environment: Mapping[str, str]) -> bool:
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode == 0

    return run


Lane = Sequence[Sequence[str]]
"""Commands, one after another."""


def pytest_lane(*expressions: str) -> Lane:
    """Return what runs the tests with these marks; those that do not repeat are measured.

    The lane of real parts notes what failed, for a second try.
    """
    pytest = ("-m", "pytest", "--durations=10", "-m")
    measuring = ("-m", "coverage", "run")
    commands = [
        (PYTHON, *(measuring if "not repeating" in each else ()), *pytest, each)
        for each in expressions
    ]
    return with_memory(commands) if expressions == LANES[0] else commands


def side_by_side(
    *lanes: Lane, at_once: int = AT_ONCE, folder: Path = ROOT, forgiven: list[str] | None = None
) -> Callable[[Mapping[str, str]], bool]:
    """Return a step's work: run all `lanes`, `at_once` at a time, good when every command exits 0.

    The first lane writes to the screen as it goes, each other one all at once when it has ended,
    in their order. With `forgiven`, a few tests that failed in the first lane are tried once more
    after all lanes have ended, and their names put there when they pass.
    """

    def run_lane(lane: Lane, environment: Mapping[str, str], out: IO[bytes] | None) -> list[int]:
        return [
            subprocess.run(
                command, cwd=folder, env=environment, stdout=out, stderr=out, check=False
            ).returncode
            for command in lane
        ]

    def run(environment: Mapping[str, str]) -> bool:
        with ExitStack() as stack:
            files = [None, *(stack.enter_context(tempfile.TemporaryFile()) for _ in lanes[1:])]
            threads = stack.enter_context(ThreadPoolExecutor(at_once))
            running = [
                threads.submit(run_lane, lane, environment, file)
                for lane, file in zip(lanes, files, strict=True)
            ]
            ended = []
            for lane, file in zip(running, files, strict=True):
                ended.append(lane.result())
                if file is not None:
                    file.seek(0)
                    print(file.read().decode(errors="replace"), flush=True)
        first, *others = ended
        is_first_good = not any(first)
        if not is_first_good and forgiven is not None:
            forgiven.extend(second_try(first, environment, folder))
            is_first_good = bool(forgiven)
        return is_first_good and not any(code for codes in others for code in codes)

    return run


def shares(report: Mapping[str, Mapping[str, Mapping[str, Mapping[str, int]]]]) -> dict[str, Share]:
    """Return the share of each group of `FLOORS_PCT` in a JSON report of coverage."""
    found = {}
    for packages in FLOORS_PCT:
        sums = [
            each["summary"]
            for name, each in report["files"].items()
            if Path(name).parts[0] in packages
        ]
        found[" and ".join(packages)] = Share(
            _percent(sums, _LINES),
            _percent(sums, _BRANCHES),
            _percent(sums, _LINES, _BRANCHES),
        )
    return found


_LINES = ("covered_lines", "num_statements")
_BRANCHES = ("covered_branches", "num_branches")


def _percent(sums: Sequence[Mapping[str, int]], *kinds: tuple[str, str]) -> float:
    """Return what is covered of `kinds`, in percent; 100 where there is nothing to cover."""
    covered = sum(each[part] for each in sums for part, _ in kinds)
    total = sum(each[whole] for each in sums for _, whole in kinds)
    return 100.0 * covered / total if total else 100.0


def check_floors(environment: Mapping[str, str], folder: Path = ROOT) -> bool:
    """Join what the test processes measured and compare it with the floors."""
    report = Path(environment["COVERAGE_FILE"]).with_name("coverage.json")
    for words in (
        ["combine", "-q"],
        ["report", "--skip-covered"],
        ["json", "-q", "-o", str(report)],
    ):
        if not call(PYTHON, "-m", "coverage", *words, folder=folder)(environment):
            return False
    is_good = True
    found = shares(json.loads(report.read_text()))
    for (name, share), floor_pct in zip(found.items(), FLOORS_PCT.values(), strict=True):
        is_high = share.both_pct >= floor_pct
        is_good &= is_high
        print(
            f"{name}: {share.both_pct:.1f} % of both (floor {floor_pct:.0f} %),"
            f" lines {share.lines_pct:.1f} %, branches {share.branches_pct:.1f} %:"
            f" {'ok' if is_high else 'TOO LOW'}"
        )
    return is_good


def steps(is_full: bool, forgiven: list[str] | None = None) -> list[Step]:
    """Return what is checked, cheap and telling things first.

    `forgiven` takes the names of tests of real parts that passed only when tried a second time.
    """
    ruff, quick = (PYTHON, "-m", "ruff"), "not slow and not real and not soak"
    first = [
        Step("format", call(*ruff, "format", "--check", ".")),
        Step("lint", call(*ruff, "check", "--output-format=concise", ".")),
        Step("imports", call(str(TOOLS / "lint-imports"), "--no-logo")),
    ]
    if not is_full:
        return [*first, Step("quick tests", call(PYTHON, "-m", "pytest", "-m", quick))]
    return [
        *first,
        Step("types", call(PYTHON, "-m", "mypy", "--strict")),
        *screens(),
        Step("tests", side_by_side(*(pytest_lane(*lane) for lane in LANES), forgiven=forgiven)),
        Step("coverage", check_floors),
    ]


def screens() -> list[Step]:
    """Return the check of types of the screens, where what it needs was installed by a build."""
    if not (SCREENS / "node_modules" / ".bin" / "tsc").is_file():
        return []
    tsc = SCREENS / "node_modules" / "typescript" / "bin" / "tsc"
    return [Step("screens", call("node", str(tsc), "--noEmit", folder=SCREENS))]


def run_all(todo: Sequence[Step], environment: Mapping[str, str]) -> list[Outcome]:
    """Run every step, whatever became of the ones before, and tell each as it ends."""
    outcomes = []
    for step in todo:
        print(f"\n== {step.name}", flush=True)
        start_s = time.monotonic()
        is_good = step.run(environment)
        outcomes.append(Outcome(step.name, is_good, time.monotonic() - start_s))
        print(f"== {describe(outcomes[-1])}", flush=True)
    return outcomes


def surroundings(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the environment of all steps, for an `environment` and a `folder` for this run."""
    found = {
        **environment,
        "COVERAGE_FILE": str(folder / "coverage"),
        CACHE: str(folder / "failed"),
    }
    # An image of a container sets this; here hundreds of processes would compile everything anew.
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    if (memory := scratch(_SCRATCH_BYTES)) is not None:
        # Thousands of stores wait for the disk at each commit, and none outlives its test.
        found["TMPDIR"] = str(memory)
    return found


def describe(outcome: Outcome) -> str:
    """Return one line of the closing table."""
    verdict = "ok" if outcome.is_good else "FAILED"
    return f"{outcome.name:<12} {verdict:<7} {outcome.duration_s:7.1f} s"


def main(arguments: Sequence[str]) -> int:
    """Check everything that `arguments` ask for; return the exit code."""
    parser = argparse.ArgumentParser(description="Check that a change holds.")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--fast", action="store_true", help="the quick part, before a commit")
    kind.add_argument("--full", action="store_true", help="everything that must hold")
    parser.add_argument("--once", action="store_true", help="try nothing a second time")
    chosen = parser.parse_args(arguments)
    is_full = chosen.full
    forgiven: list[str] | None = None if chosen.once else []
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run_all(steps(is_full, forgiven), surroundings(os.environ, Path(folder)))
    total_s = sum(each.duration_s for each in outcomes)
    print("\n" + "\n".join(describe(each) for each in outcomes))
    print(describe(Outcome("all", all(each.is_good for each in outcomes), total_s)))
    if is_full and total_s > FULL_TIME_MAX_S:
        print(f"this took longer than the {FULL_TIME_MAX_S / 60:.0f} minutes it may take")
    for name in forgiven or ():
        print(f"PASSED ONLY WHEN TRIED A SECOND TIME, ALONE: {name}")
    return 0 if all(each.is_good for each in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
