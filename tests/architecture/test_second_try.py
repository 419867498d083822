"""What failed among real parts is tried once more, alone and in the open, and nothing else is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.check import LANES, ROOT, Lane, pytest_lane, side_by_side, steps, surroundings
from tests.environment import unmeasured
from tests.second_try import TRIED_MAX, with_memory

GOOD = "def test_good():\n    pass\n"
UNLUCKY = """
import pathlib

def test_unlucky{0}():
    note = pathlib.Path("been here{0}")
    was_here = note.exists()
    note.touch()
    assert was_here
"""
BROKEN = "def test_broken():\n    assert False\n"


class Project:
    """A folder with tests of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        plain = {key: value for key, value in unmeasured().items() if key[:6] != "PYTEST"}
        self.environment = surroundings(plain, folder)

    def lane(self, name: str, *texts: str) -> Lane:
        """Write a file of tests and return the lane that runs it."""
        (self.folder / name).write_text("\n".join(texts))
        return [(sys.executable, "-m", "pytest", "-p", "no:randomly", name)]

    def run(self, first: Lane, *others: Lane) -> tuple[bool, list[str]]:
        """Return whether the lanes hold, and which tests of the first only when tried again."""
        forgiven: list[str] = []
        work = side_by_side(with_memory(first), *others, folder=self.folder, forgiven=forgiven)
        return work(self.environment), forgiven


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


pytestmark = pytest.mark.slow


def test_what_passes_the_second_time_is_named(project: Project) -> None:
    lane = project.lane("test_a.py", GOOD, UNLUCKY.format(1), UNLUCKY.format(2))
    is_good, forgiven = project.run(lane)
    assert is_good
    assert forgiven == ["test_a.py::test_unlucky1", "test_a.py::test_unlucky2"]


def test_failures_of_all_commands_of_the_lane_are_tried_again(project: Project) -> None:
    first = project.lane("test_a.py", UNLUCKY.format(1))
    second = project.lane("test_b.py", GOOD, UNLUCKY.format(2))
    is_good, forgiven = project.run([*first, *second])
    assert is_good
    assert forgiven == ["test_a.py::test_unlucky1", "test_b.py::test_unlucky2"]


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param([GOOD, BROKEN], id="it fails again"),
        pytest.param([UNLUCKY.format(1), BROKEN], id="one of two fails again"),
        pytest.param([UNLUCKY.format(n) for n in range(TRIED_MAX + 1)], id="too many"),
        pytest.param([UNLUCKY.format(1), "import no_such_module"], id="it was never run"),
        pytest.param([UNLUCKY.format(1), "def test_end():\n    import os; os._exit(1)"], id="died"),
        pytest.param(["x = 1"], id="there is no test"),
    ],
)
def test_what_is_no_chance_fails(project: Project, texts: Sequence[str]) -> None:
    is_good, forgiven = project.run(project.lane("test_a.py", *texts))
    assert not is_good
    assert not forgiven


def test_a_command_that_died_is_not_made_good_by_a_test_of_another_one(project: Project) -> None:
    first = project.lane("test_a.py", UNLUCKY.format(1))
    second = project.lane("test_b.py", "def test_end():\n    import os; os._exit(1)")
    assert project.run([*first, *second]) == (False, [])


def test_other_lanes_have_one_try(project: Project) -> None:
    lane = project.lane("test_a.py", GOOD)
    other = project.lane("test_b.py", UNLUCKY.format(1))
    assert project.run(lane, other) == (False, [])


def test_nothing_is_tried_again_where_nobody_asks(project: Project) -> None:
    lane = with_memory(project.lane("test_a.py", UNLUCKY.format(1)))
    assert not side_by_side(lane, folder=project.folder)(project.environment)


def test_real_parts_alone_have_a_second_try_and_the_night_gives_none() -> None:
    with_second = [lane for lane in LANES if any("-o" in each for each in pytest_lane(*lane))]
    assert with_second == [LANES[0]]
    assert all("meeting" in each and "not meeting" not in each for each in LANES[0])
    assert [each.name for each in steps(True)] == [each.name for each in steps(True, [])]
    assert "--once" in (ROOT / ".ci" / "nightly").read_text(encoding="utf-8")
    assert "--once" not in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
