"""The one command: it fails when a step fails, counts what tests reach, and lets no skip by."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.check import (
    FLOORS_PCT,
    LANES,
    ROOT,
    Outcome,
    Share,
    Step,
    call,
    check_floors,
    describe,
    pytest_lane,
    run_all,
    shares,
    side_by_side,
    surroundings,
)
from tests.check import steps as steps_of
from tests.conftest import known_marks, may_choose
from tests.environment import unmeasured


def summary(lines: tuple[int, int], branches: tuple[int, int]) -> dict[str, dict[str, int]]:
    """Return the part of a coverage report on one file: (reached, there are) of each."""
    keys = ("covered_lines", "num_statements", "covered_branches", "num_branches")
    return {"summary": dict(zip(keys, (*lines, *branches), strict=True))}


def test_every_step_runs_whatever_came_before() -> None:
    seen: list[str] = []

    def step(name: str, is_good: bool) -> Step:
        def run(environment: Mapping[str, str]) -> bool:
            seen.append(name)
            return is_good

        return Step(name, run)

    outcomes = run_all([step("one", False), step("two", True), step("three", False)], {})
    assert seen == ["one", "two", "three"]
    assert [each.is_good for each in outcomes] == [False, True, False]


def test_a_command_is_good_when_it_exits_with_zero() -> None:
    assert call(sys.executable, "-c", "raise SystemExit(0)")(os.environ)
    assert not call(sys.executable, "-c", "raise SystemExit(3)")(os.environ)


def test_commands_side_by_side_run_at_once_and_are_all_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Each waits for the file that the other one makes: one after the other would never end.
    script = """
import pathlib, sys, time
mine, other, code = sys.argv[1:]
pathlib.Path(mine).touch()
for _ in range(3000):
    if pathlib.Path(other).exists():
        break
    time.sleep(0.01)
else:
    sys.exit("the other one did not run")
print(mine, "met", other)
sys.exit(int(code))
"""

    def pair(first_code: int, second_code: int) -> bool:
        for name in ("one", "two"):
            (tmp_path / name).unlink(missing_ok=True)
        words = (sys.executable, "-c", script)
        work = side_by_side(
            [(*words, "one", "two", str(first_code))],
            [(*words, "two", "one", str(second_code))],
            folder=tmp_path,
        )
        return work(os.environ)

    assert pair(0, 0)
    shown = capfd.readouterr().out
    assert "one met two" in shown
    assert "two met one" in shown
    assert not pair(3, 0)
    assert not pair(0, 3)


MARKS_OF_ALL = """
import sys
import pytest

class Tell:
    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        for item in items:
            print("marks", *{mark.name for mark in item.iter_markers()})

folders = ("tests/contracts", "tests/meshnode/vault", "tests/real", "tests/security")
sys.exit(pytest.main(["--collect-only", "-q", *folders], plugins=[Tell()]))
"""


def test_every_test_runs_in_one_lane_unless_it_is_a_soak() -> None:
    done = subprocess.run(
        (sys.executable, "-c", MARKS_OF_ALL),
        cwd=ROOT,
        env=unmeasured(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    found = {tuple(line.split()[1:]) for line in done.stdout.splitlines() if line[:6] == "marks "}
    lanes = [which for lane in LANES for which in lane]
    assert len(found) > 5
    assert all(any(_chooses(lane, marks) for marks in found) for lane in lanes)
    for marks in found:
        assert sum(_chooses(lane, marks) for lane in lanes) == ("soak" not in marks), marks


def _chooses(expression: str, marks: Sequence[str]) -> bool:
    known = {name: name in marks for name in ("first", "meeting", "repeating", "soak")}
    return may_choose(expression, known)


def test_a_lane_imports_no_file_without_a_test_for_it_and_each_that_has_one(
    tmp_path: Path,
) -> None:
    """What can be said of a file before it is read is right, and said of all that is clear."""
    (tmp_path / "tests" / "sims").mkdir(parents=True)
    files = {
        "tests/protocol/test_a.py": {"first": True, "repeating": False, "meeting": False},
        "tests/properties/test_a.py": {"first": True, "repeating": True, "meeting": False},
        "tests/sims/test_real.py": {"first": False, "repeating": False, "meeting": False},
        "tests/test_real.py": {"first": False, "repeating": False},
        "tests/test_drawn.py": {"first": False, "meeting": False},
    }
    for name, known in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(
            ("pytestmark = pytest.mark.real\n" if "real" in name else "")
            + ("from hypothesis import given\n" if "drawn" in name else "")
        )
        assert known_marks(tmp_path, name) == known
        ways = [which for lane in LANES for which in lane if may_choose(which, known)]
        assert len(ways) == 2 ** (3 - len(known)), "one, and two where one mark is not clear"
    assert may_choose("", {"first": True})
    assert may_choose("not (slow or real)", {"first": True})
    assert may_choose("slow and mark(x=1)", {"slow": False}), "too much for it"


def test_what_one_process_compiles_is_there_for_the_others(tmp_path: Path) -> None:
    given = {"PYTHONDONTWRITEBYTECODE": "1", "LANG": "C", "COVERAGE_FILE": "elsewhere"}
    found = surroundings(given, tmp_path)
    assert "PYTHONDONTWRITEBYTECODE" not in found
    assert found["LANG"] == "C"
    assert found["COVERAGE_FILE"] == str(tmp_path / "coverage")


def test_a_lane_goes_on_after_what_failed_and_is_not_good_then(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def say(word: str, code: int) -> tuple[str, ...]:
        return (sys.executable, "-c", f"print({word!r}, flush=True); raise SystemExit({code})")

    for first, second in ((3, 0), (0, 3)):
        work = side_by_side([say("one", 0)], [say("two", first), say("three", second)])
        assert not work(os.environ)
        assert {"one", "two", "three"} <= set(capfd.readouterr().out.split())
    assert side_by_side([say("one", 0), say("two", 0)])(os.environ)


def test_what_does_not_repeat_is_measured() -> None:
    for expression in [each for lane in LANES for each in lane]:
        (command,) = pytest_lane(expression)
        assert command[-1] == expression
        assert ("coverage" in command) is ("not repeating" in expression)
    first, second = pytest_lane("a and repeating", "a and not repeating")
    assert ("coverage" in first, "coverage" in second) == (False, True)


def test_what_finds_no_place_at_once_follows_and_is_shown_in_its_order(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def look(name: str, code: int) -> list[tuple[str, ...]]:
        # Whoever runs beside another one sees its file.
        script = (
            "import os, pathlib, sys; me = pathlib.Path(sys.argv[1]); me.touch();"
            "print(me, len(os.listdir()), flush=True); me.unlink(); sys.exit(int(sys.argv[2]))"
        )
        return [(sys.executable, "-c", script, name, str(code))]

    for code in (0, 3):
        lanes = [look("one", 0), look("two", 0), look("three", code)]
        assert side_by_side(*lanes, at_once=1, folder=tmp_path)(os.environ) is (code == 0)
        assert capfd.readouterr().out.split() == ["one", "1", "two", "1", "three", "1"]


def test_the_table_says_which_step_failed() -> None:
    assert describe(Outcome("types", False, 12.34)) == "types        FAILED     12.3 s"
    assert "ok" in describe(Outcome("types", True, 0.0))


def test_shares_are_of_lines_and_of_branches_and_by_package() -> None:
    report = {
        "files": {
            "protocol/a.py": summary((90, 100), (10, 10)),
            "protocol/routing/b.py": summary((100, 100), (5, 10)),
            "meshnode/c.py": summary((1, 4), (0, 0)),
            "sims/d.py": summary((3, 4), (1, 4)),
        }
    }
    assert shares(report) == {
        "protocol": Share(95.0, 75.0, 100 * 205 / 220),
        "meshnode and sims": Share(50.0, 25.0, 100 * 5 / 12),
    }
    assert shares({"files": {}})["protocol"] == Share(100.0, 100.0, 100.0)


@pytest.mark.slow
@pytest.mark.parametrize(("tested", "is_good"), [("1", False), ("1, -1", True)])
def test_floors_are_compared_with_what_was_measured(
    tmp_path: Path, tested: str, is_good: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """A module that its run reaches in part fails the check; reached in whole, it passes."""
    source = tmp_path / "protocol" / "signs.py"
    source.parent.mkdir()
    source.write_text(
        f"def sign(x):\n    if x < 0:\n        return -1\n    return 1\n\n\nfor x in ({tested},):\n"
        "    sign(x)\n"
    )
    (tmp_path / "pyproject.toml").write_text(
        '[tool.coverage.run]\nbranch = true\nsource = ["protocol"]\nparallel = true\n'
    )
    environment = unmeasured(COVERAGE_FILE=str(tmp_path / "coverage"))
    run = (sys.executable, "-m", "coverage", "run", str(source))
    assert call(*run, folder=tmp_path)(environment)
    assert check_floors(environment, tmp_path) is is_good
    assert ("TOO LOW" in capfd.readouterr().out) is not is_good


def test_the_floors_are_those_that_the_page_for_contributors_names() -> None:
    page = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    assert "95 % in `protocol/`, 85 % elsewhere" in page
    assert FLOORS_PCT == {("protocol",): 95.0, ("meshnode", "sims"): 85.0}


def test_the_full_check_holds_everything_of_the_fast_one() -> None:
    fast, full = ([step.name for step in steps_of(is_full)] for is_full in (False, True))
    assert set(fast) - {"quick tests"} <= set(full)
    assert {"types", "tests", "coverage"} <= set(full)


@pytest.mark.slow
@pytest.mark.parametrize("skip", ["pytest.skip('no part')", "pytest.xfail('known')"])
@pytest.mark.parametrize("setting", ["CI", "MESHNODE_CI", ""])
def test_a_skipped_test_fails_where_nothing_may_be_skipped(
    tmp_path: Path, skip: str, setting: str
) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_sample.py").write_text(f"import pytest\n\n\ndef test_x():\n    {skip}\n")
    done = run_pytest(tmp_path, setting)
    assert (done.returncode != 0) is (bool(setting) and "skip" in skip), done.stdout
    assert ("nothing may be skipped: Skipped: no part" in done.stdout) is (done.returncode != 0)


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["CI", ""])
def test_a_skipped_file_fails_where_nothing_may_be_skipped(tmp_path: Path, setting: str) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_good.py").write_text("def test_x():\n    pass\n")
    (tmp_path / "test_sample.py").write_text("import pytest\npytest.importorskip('not_there')\n")
    done = run_pytest(tmp_path, setting)
    assert (done.returncode != 0) is bool(setting), done.stdout


def run_pytest(folder: Path, setting: str) -> subprocess.CompletedProcess[str]:
    """Run the tests in `folder` as a machine would that has only `setting` set."""
    environment = {
        name: value
        for name, value in unmeasured().items()
        if name not in {"CI", "MESHNODE_CI"} and not name.startswith("PYTEST")
    }
    environment |= {setting: "1"} if setting else {}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir=.", str(folder)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
