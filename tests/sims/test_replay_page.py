"""The page on replaying a seed: its scenario runs, and its commands are those of the program."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from sims import cli
from sims.checkers import CHECKERS, check_world
from sims.measures import measure
from sims.reading import read_scenario
from sims.store_checkers import STORE_CHECKERS
from sims.world import run_world

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "replay-a-seed.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the examples of one language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_its_scenario_runs_and_delivers() -> None:
    (text,) = blocks("toml")
    world = run_world(read_scenario(text.encode(), "page"), 1)
    assert check_world(world) == []
    assert measure(world).copies_arrived == 1
    assert {"power_cut", "clock_stepped"} <= {line.event for line in world.lines}


@pytest.mark.slow
def test_its_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (text,) = blocks("toml")
    (tmp_path / "my_valley.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    commands = [line for block in blocks("console") for line in block.splitlines()]
    assert len(commands) == 5
    for command in commands:
        words = shlex.split(command.removeprefix("$ "))
        assert words[0] == "meshnode-sim"
        assert cli.execute(words[1:]) == 0
    shown = capsys.readouterr().out
    assert shown.count("digest") == 4
    assert "failed    0\n" in shown
    assert (tmp_path / "events.jsonl").read_text().count('"event": "power_cut"') > 0


def test_it_names_every_option_for_real_nodes() -> None:
    import typer

    commands: Any = typer.main.get_command(cli.app)
    options = {
        name
        for each in commands.commands["run"].params
        for name in each.opts
        if name.startswith("--") and str(each.help).startswith("Real nodes")
    }
    assert len(options) > 4
    assert {name for name in options | {"--seed", "--json"} if name not in PAGE} == set()


def test_it_tells_what_is_checked() -> None:
    assert len({**CHECKERS, **STORE_CHECKERS}) == 10, "the page lists what is checked"
