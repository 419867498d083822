"""The page on results has every fate, every key of `run --json` and every column of a campaign."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from sims import cli
from sims.abstract.records import Fate
from sims.campaign.results import COLUMNS

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "simulation-results.md"


def names_under(heading: str, column: int = 0) -> Iterator[str]:
    """Yield the names in one column of the tables of a chapter."""
    text = PAGE.read_text(encoding="utf-8")
    (chapter,) = re.findall(rf"^## {heading}\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    for line in chapter.splitlines():
        cells = line.strip("| ").split(" | ")
        if line.startswith("| `"):
            yield from re.findall(r"`(\w+)`", cells[column])


def shown_by(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    """Run a command and return the object that it prints."""
    assert cli.execute([*words, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_it_has_every_fate() -> None:
    assert list(names_under("Fates")) == [fate.name for fate in Fate]


def test_it_has_every_column_of_a_campaign() -> None:
    assert list(names_under("Results of a campaign"))[: len(COLUMNS)] == list(COLUMNS)


@pytest.mark.slow
def test_it_has_every_key_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contacts, messages = tmp_path / "c.csv", tmp_path / "m.csv"
    contacts.write_text("t_start,t_end,a,b\n0,600,0,1\n")
    messages.write_text("id,t,src,dst,size,ttl,prio\nM,0,1,0,100,600,0\n")
    trace = shown_by(capsys, "run", "--contacts", str(contacts), "--messages", str(messages))
    real = shown_by(capsys, "run", "two_nodes")
    assert list(names_under("`run --json`")) == [*trace, *real]
    told = set(names_under("`run --json`", column=1))
    for key in ("energy", "costs"):
        inner = trace[key]
        assert isinstance(inner, dict)
        assert set(inner) <= told
