"""`meshnode-sim`: what it prints, how it ends, and the command that replays a failure."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sims import checkers, cli
from sims.reading import load_scenario
from sims.record import WorldRecord
from sims.world import run_world

TINY = """
about = "One message."
duration_s = 60
[[device]]
name = "a"
squads = ["S"]
[[device]]
name = "b"
squads = ["S"]
[[contact]]
start_s = 1
end_s = 60
a = "a"
b = "b"
[[message]]
at_s = 2
from = "a"
to = "b"
text = "short and sweet"
"""


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    """Return the path of a scenario that takes a moment."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return str(path)


def breaking(world: WorldRecord) -> Iterator[tuple[str, str]]:
    """A checker that no world passes."""
    yield world.devices[0].name, "does not please anybody"


@pytest.mark.slow
def test_list_names_the_included_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["list"]) == 0
    assert "two_nodes" in capsys.readouterr().out
    assert cli.execute(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 1
    assert {each["name"] for each in found["scenarios"]} >= {"mountain_pass", "port_call"}
    assert all(each["about"] and each["devices"] for each in found["scenarios"])
    kinds = {each["name"]: each["kind"] for each in found["scenarios"]}
    assert (kinds["two_nodes"], kinds["queyras_squads"]) == ("real", "region")


def test_run_tells_what_it_came_to(tiny: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["run", tiny, "--seed", "4"]) == 0
    out = capsys.readouterr().out
    assert "tiny, seed 4" in out
    assert "1 sent, 1 of 1 copies arrived" in out
    assert "half within" in out
    assert run_world(load_scenario(tiny), 4).digest in out


def test_json_has_the_same_figures_for_each_seed(
    tiny: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["run", tiny, "--seed", "4", "--seeds", "2", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["seed"] for each in found] == [4, 5]
    assert found[0]["digest"] != found[1]["digest"]
    for each in found:
        assert each["schema"] == 1
        assert each["virtual_s"] == 60
        assert each["messages_sent"] == each["copies_due"] == each["copies_arrived"] == 1
        assert each["delay_median_s"] <= each["delay_p90_s"] < 60
        assert each["bundles_moved"] > 0
        assert each["bytes_moved"] > 0
        assert each["breaches"] == []


def test_the_trace_is_written_line_by_line(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.jsonl"
    assert cli.execute(["run", tiny, "--trace", str(path)]) == 0
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["at_ms"] for line in lines] == sorted(line["at_ms"] for line in lines)
    assert {"sent", "peer_up", "message_arrived"} <= {line["event"] for line in lines}
    assert "short and sweet" not in path.read_text(), "a trace holds no text"
    missing = tmp_path / "no" / "trace.jsonl"
    assert cli.execute(["run", tiny, "--trace", str(missing)]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.slow
def test_a_failure_ends_with_one_and_prints_the_command_that_repeats_it(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(checkers.CHECKERS, "breaking", breaking)
    monkeypatch.chdir(tmp_path)
    assert cli.execute(["run", tiny, "--seed", "9", "--seeds", "5", "--sealer", "hpke"]) == 1
    captured = capsys.readouterr()
    assert "FAILED breaking: a does not please anybody" in captured.out
    first, second = captured.err.splitlines()
    command, small = first.split("again: ")[1], second.split("small: ")[1]
    assert small == "meshnode-sim replay tiny-seed-9.toml --seed 9 --sealer hpke"
    assert len(load_scenario("tiny-seed-9.toml").messages) < len(load_scenario(tiny).messages)
    assert cli.execute(shlex.split(small)[1:]) == 1
    capsys.readouterr()
    assert command == f"meshnode-sim replay {shlex.quote(tiny)} --seed 9 --sealer hpke"
    # The command does what it says.
    assert cli.execute([*shlex.split(command)[1:], "--json"]) == 1
    again = json.loads(capsys.readouterr().out)
    assert again["seed"] == 9
    assert again["breaches"] == [
        {"checker": "breaking", "device": "a", "sentence": "does not please anybody"}
    ]
    assert {line["event"] for line in again["trace"]} >= {"sent", "message_arrived"}


def test_a_replay_shows_the_whole_trace(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.jsonl"
    faults = ["--faults", "clock_jumps=1"]
    assert cli.execute(["run", tiny, "--seed", "3", *faults, "--trace", str(path)]) == 0
    told = capsys.readouterr().out
    assert "clock_jumps=1" in told
    assert cli.execute(["replay", tiny, "--seed", "3", *faults]) == 0
    assert capsys.readouterr().out == path.read_text()
    assert "clock_stepped" in path.read_text()
    again = tmp_path / "again.jsonl"
    assert cli.execute(["replay", tiny, "--seed", "3", *faults, "--trace", str(again)]) == 0
    assert capsys.readouterr().out == told
    assert again.read_text() == path.read_text()


def test_a_replay_says_what_failed(
    tiny: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(checkers.CHECKERS, "breaking", breaking)
    faults = ["--faults", "", "--links", "tls"]
    assert cli.execute(["replay", tiny, "--seed", "9", *faults]) == 1
    captured = capsys.readouterr()
    assert all(json.loads(line)["event"] for line in captured.out.splitlines())
    failed, again = captured.err.splitlines()
    assert failed == "FAILED breaking: a does not please anybody"
    assert again.endswith(f"replay {shlex.quote(tiny)} --seed 9 --faults '' --links tls")


@pytest.mark.slow
def test_a_random_day_has_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["run", "chaos:5:4:1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["scenario"], found["virtual_s"]) == ("chaos:5:4:1.0", 3600)
    assert cli.execute(["replay", "chaos:5:4:1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == found["digest"]


def test_a_run_that_ends_by_an_error_says_how_to_see_it_again(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def fall(*_given: object, **_named: object) -> WorldRecord:
        raise ExceptionGroup("nursery", [ExceptionGroup("node", [ValueError("no such bundle")])])

    monkeypatch.setattr("sims.world.run_world", fall)
    assert cli.execute(["run", tiny]) == 1
    captured = capsys.readouterr()
    assert captured.out == "FAILED no_crash: ended the run: ValueError: no such bundle\n"
    assert f"meshnode-sim replay {shlex.quote(tiny)} --seed 1" in captured.err
    assert cli.execute(["run", tiny, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["breaches"][0]["checker"] == "no_crash"


@pytest.mark.slow
def test_a_soak_tells_its_days(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["soak", "--seed", "8", "--seeds", "2", "--devices", "4", "--hours", "1"]
    words += ["--processes", "1", "--output", str(tmp_path / "failures")]
    assert cli.execute([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["days"], found["failed"]) == (1, 2, 0)
    assert [each["seed"] for each in found["results"]] == [8, 9]
    assert [each["is_sealed"] for each in found["results"]] == [False, True]
    assert cli.execute(words) == 0
    assert "2, 1 of them with the cryptography of the field" in capsys.readouterr().out


@pytest.mark.slow
def test_a_soak_that_finds_something_ends_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(checkers.CHECKERS, "breaking", breaking)
    words = ["soak", "--seeds", "1", "--devices", "4", "--hours", "1", "--processes", "1"]
    assert cli.execute([*words, "--output", str(tmp_path / "failures")]) == 1
    out = capsys.readouterr().out
    assert "FAILED breaking: " in out
    assert "to see it again: meshnode-sim replay " in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nowhere"], "is unknown: name a file"),
        (["replay"], "Missing argument"),
        (["run", "two_nodes", "--seed", "-1"], "see 'meshnode-sim run --help'"),
        (["run", "two_nodes", "--faults", "floods=1"], "known are clock_jumps, "),
        (["run", "two_nodes", "--faults", "loss=2"], "loss is between 0 and 0.9"),
        (["run", "two_nodes", "--links", "wet"], "see 'meshnode-sim run --help'"),
        (["run", "chaos:x"], "chaos:SEED"),
        (["soak", "--devices", "3"], "see 'meshnode-sim soak --help'"),
        (["run", "two_nodes", "--bogus"], "No such option: --bogus"),
        (["fly"], "No such command"),
    ],
)
def test_a_wrong_line_is_one_sentence_and_code_two(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("meshnode-sim: ")
    assert err.count("\n") == 1
    assert words in err


def test_without_arguments_it_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute([]) == 2
    assert "run" in capsys.readouterr().err


def test_a_run_that_is_interrupted_ends_with_130(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_world: WorldRecord) -> Iterator[tuple[str, str]]:
        raise KeyboardInterrupt

    monkeypatch.setitem(checkers.CHECKERS, "interrupting", interrupt)
    assert cli.execute(["run", tiny]) == 130


@pytest.mark.slow
def test_the_module_runs_as_a_program(tiny: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sims", "run", tiny, "--json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert json.loads(done.stdout)["copies_arrived"] == 1


HEAVY = "trio sqlalchemy msgpack rich numpy numba matplotlib dask distributed gpxpy pynmea2"


def in_a_process(code: str) -> subprocess.CompletedProcess[str]:
    """Run some code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.slow
def test_help_imports_nothing_heavy() -> None:
    done = in_a_process(
        "import sys; from sims.cli import execute; execute(['--help']); execute(['run', '--help']);"
        f"print(sorted({{m.split('.')[0] for m in sys.modules}} & set({HEAVY.split()})))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("numpy", ["run", "vosges"]),
        ("numba", ["oracle", "vosges"]),
        ("matplotlib", ["report", "vosges"]),
        ("gpxpy", ["import", "a.gpx"]),
    ],
)
def test_without_the_extra_it_says_how_to_install_it(package: str, command: list[str]) -> None:
    done = in_a_process(
        f"import sys; sys.modules[{package!r}] = None; from sims.cli import execute;"
        f"sys.exit(execute({command!r}))"
    )
    assert done.returncode == 2
    sentence = "is not installed: install it with pip install 'meshnode[sims]'"
    assert done.stderr == f"meshnode-sim: {package} {sentence}\n"


@pytest.mark.slow
def test_without_the_extra_real_nodes_run() -> None:
    missing = ["numpy", "numba", "matplotlib", "dask", "distributed", "gpxpy"]
    done = in_a_process(
        f"import sys; sys.modules.update(dict.fromkeys({missing!r})); from sims.cli import execute;"
        "sys.exit(execute(['list']) + execute(['run', 'two_nodes', '--json']))"
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"queyras_squads +region +-", done.stdout)
    assert json.loads(done.stdout.splitlines()[-1])["copies_arrived"] == 3


def test_a_defect_of_the_program_is_not_taken_for_a_missing_package(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sims.world", None)
    with pytest.raises(ImportError, match="sims"):
        cli.execute(["run", tiny])


def test_an_interrupt_of_a_task_ends_with_130(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_given: object, **_named: object) -> WorldRecord:
        raise BaseExceptionGroup("nursery", [KeyboardInterrupt()])

    monkeypatch.setattr("sims.world.run_world", interrupt)
    assert cli.execute(["run", tiny]) == 130
