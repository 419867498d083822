"""Random days of real nodes under faults keep every promise; what fails comes back small."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path

import pytest

from sims.checkers import check_world
from sims.cli import EXIT_BREACH, execute
from sims.reading import load_scenario
from sims.scenario import Scenario
from sims.soak import SoakResult, soak
from sims.world import run_world
from tests.sims.planted import PLANTS

_PROCESSES = 2
_DAYS = int(os.environ.get("SOAK_DAYS", "100"))
"""Each change plays ten, the night a hundred; the first of them are the same."""


def _explain(results: list[SoakResult]) -> str:
    """Say of each failure what was broken, and which command shows it."""
    lines = []
    for each in results:
        if each.failure is not None:
            lines.append(f"seed {each.seed}: {each.failure.command}")
            lines.extend(
                f"  {one.checker}: {one.device} {one.sentence}" for one in each.failure.breaches
            )
    return "\n".join(lines)


@pytest.mark.slow
def test_some_short_days_keep_every_promise(tmp_path: Path) -> None:
    results = soak(range(8, 12), 6, 3, 1, folder=tmp_path)
    assert [each.failure for each in results] == [None] * 4, _explain(results)
    assert [each.is_sealed for each in results] == [False, True, False, False]
    assert all(each.messages and each.digest for each in results)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_workers_find_what_one_process_finds(tmp_path: Path) -> None:
    heard: list[int] = []
    several = soak(
        [3, 1], 4, 2, 2, folder=tmp_path, on_result=lambda result: heard.append(result.seed)
    )
    alone = soak([3, 1], 4, 2, 1, folder=tmp_path)
    assert [each.seed for each in several] == [3, 1]
    assert [each.digest for each in several] == [each.digest for each in alone]
    assert sorted(heard) == [1, 3]


@pytest.mark.slow
def test_a_failure_comes_back_small_with_the_command_that_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    PLANTS["forget a tombstone"][0](monkeypatch)
    (result,) = soak([2], 5, 2, 1, folder=tmp_path / "new", shrink_runs=40)
    failure = result.failure
    assert failure is not None
    assert "nothing_comes_back" in {each.checker for each in failure.breaches}
    small = load_scenario(str(failure.path))
    assert _size(small) == _size(failure.scenario) < 12
    assert check_world(run_world(small, result.seed))
    program, *words = shlex.split(failure.command)
    assert program == "meshnode-sim"
    assert execute(words) == EXIT_BREACH
    assert "nothing_comes_back" in capsys.readouterr().err


def _size(scenario: Scenario) -> int:
    return len(scenario.devices) + len(scenario.contacts) + len(scenario.messages)


@pytest.mark.soak
def test_whole_days_keep_every_promise(tmp_path: Path) -> None:
    began_s = time.monotonic()
    results = soak(range(_DAYS), 10, 24, _PROCESSES, folder=tmp_path / "failures", shrink_runs=10)
    wall_s, cpu_s = time.monotonic() - began_s, sum(each.cpu_s for each in results)
    print(
        f"{len(results)} days of 24 h with 10 nodes: {wall_s:.0f} s on {_PROCESSES} processes, "
        f"{cpu_s:.0f} s of one core, {sum(each.messages for each in results)} messages, "
        f"{sum(each.copies for each in results)} copies arrived"
    )
    assert [each.seed for each in results if each.failure] == [], _explain(results)
