"""`meshnode-sim`: what it prints, how it ends, and the command that replays a failure."""

from __future__ import annotations

import json
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


def test_list_names_the_included_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["list"]) == 0
    assert "two_nodes" in capsys.readouterr().out
    assert cli.execute(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 1
    assert {each["name"] for each in found["scenarios"]} >= {"mountain_pass", "port_call"}
    assert all(each["about"] and each["devices"] for each in found["scenarios"])


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


def test_a_failure_ends_with_one_and_prints_the_command_that_repeats_it(
    tiny: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(checkers.CHECKERS, "breaking", breaking)
    assert cli.execute(["run", tiny, "--seed", "9", "--seeds", "5", "--sealer", "hpke"]) == 1
    captured = capsys.readouterr()
    assert "FAILED breaking: a does not please anybody" in captured.out
    command = captured.err.strip().split("again: ")[1]
    assert command == f"meshnode-sim run {shlex.quote(tiny)} --seed 9 --sealer hpke"
    # The command does what it says.
    assert cli.execute([*shlex.split(command)[1:], "--json"]) == 1
    again = json.loads(capsys.readouterr().out)
    assert again["seed"] == 9
    assert again["breaches"] == [
        {"checker": "breaking", "device": "a", "sentence": "does not please anybody"}
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nowhere"], "is unknown: name a file"),
        (["run"], "Missing argument"),
        (["run", "two_nodes", "--seed", "-1"], "see 'meshnode-sim --help'"),
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


@pytest.mark.slow
def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from sims.cli import execute; execute(['--help']);"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'trio', 'sqlalchemy', 'msgpack'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.splitlines()[-1] == "[]"
