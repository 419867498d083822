"""The page on scenario files has every table and key that the readers take, and no other.

The readers are watched while they read: what they ask a table for is what a file may hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final

import pytest

from sims.reading import load_scenario, read_scenario
from sims.region_reading import load_region
from sims.scenario_files import REGION_TABLES, included_scenarios
from sims.tables import Table

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "scenario-file.md"
TAKERS: Final = ("text", "texts", "flag", "number", "whole", "span", "table", "tables")
TOP: Final = "top of the file"


@dataclass(frozen=True)
class Row:
    """One key as the page has it."""

    values: str
    """What it may be."""
    default: str
    """What it is where it is left out."""
    meaning: str
    """What it stands for."""


@dataclass(frozen=True)
class Asked:
    """How a reader asked for a key."""

    method: str
    default: object
    low: float | None
    high: float | None
    among: tuple[str, ...]


Watched = dict[tuple[str, str], Asked | None]
"""By table and key; None where a reader only looked whether it is there."""


def page_rows(heading: str) -> dict[tuple[str, str], Row]:
    """Return the rows of one chapter of the page by table and key."""
    text = PAGE.read_text(encoding="utf-8")
    (chapter,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    rows: dict[tuple[str, str], Row] = {}
    for part in re.split(r"^### ", chapter, flags=re.MULTILINE)[1:]:
        title, _, lines = part.partition("\n")
        table = re.sub(r"[`\[\]]", "", title).lower()
        for line in lines.splitlines():
            if found := re.match(r"\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", line):
                key = (table, found[1])
                assert key not in rows, f"{key} stands there twice"
                rows[key] = Row(found[2], found[3], found[4])
    return rows


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Return what readers ask tables for, from now on."""
    asked: Watched = {}

    def name_of(table: Table) -> str:
        return ".".join(each for each in table.path if isinstance(each, str)) or TOP

    def watching(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def take(table: Table, key: str, default: Any = None, *rest: Any, **named: Any) -> Any:
            among = tuple(named.get("among", rest[0] if rest else ()))
            bounds = named.get("low"), named.get("high")
            asked[name_of(table), key] = Asked(method.__name__, default, *bounds, among)
            return method(table, key, *(() if default is None else (default,)), *rest, **named)

        return take

    for each in TAKERS:
        monkeypatch.setattr(Table, each, watching(getattr(Table, each)))

    def contains(table: Table, key: str) -> bool:
        asked.setdefault((name_of(table), key), None)
        return key in table.content

    monkeypatch.setattr(Table, "__contains__", contains)
    return asked


def number(value: float) -> str:
    """Return a number as the page writes it."""
    return f"{value:,.15g}"


def usual(value: object) -> str:
    """Return a default as the page writes it."""
    if isinstance(value, bool):
        return f"`{value}`".lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(number, value))}]"
    return number(value) if isinstance(value, int | float) else f"`{value}`"


def differences(watched: Watched, rows: dict[tuple[str, str], Row]) -> Iterator[str]:
    """Yield what the page says otherwise than the readers."""
    for table, key in watched.keys() ^ rows.keys():
        where = "on the page" if (table, key) in rows else "in the readers"
        yield f"{key} of {table} is {where} alone"
    for place in watched.keys() & rows.keys():
        asked, row = watched[place], rows[place]
        if asked is None or asked.method in ("table", "tables"):
            continue
        if asked.low is not None and asked.high is not None:
            bounds = f"{number(asked.low)} to {number(asked.high)}"
            if bounds not in row.values:
                yield f"{place} is {bounds}"
        if missing := [each for each in asked.among if f"`{each}`" not in row.values]:
            yield f"{place} may also be {missing}"
        if asked.default is not None and usual(asked.default) not in row.default:
            yield f"{place} is {usual(asked.default)} by default"


def small_regions(folder: Path) -> Iterator[str]:
    """Yield a name of a file for each kind of region; together they have every table."""
    (folder / "c.csv").write_text("t_start,t_end,a,b\n0,60,0,1\n")
    (folder / "m.csv").write_text("id,t,src,dst,size,ttl,prio\nM1,0,0,1,100,60,1\n")
    (folder / "n.csv").write_text("id,role,group\n0,gateway,\n1,agent,Queyras\n")
    points = "".join(
        f'<trkpt lat="44.7" lon="6.{second}"><time>2024-06-01T08:00:{second}Z</time></trkpt>'
        for second in ("10", "40")
    )
    (folder / "t.gpx").write_text(
        '<gpx version="1.1" creator="x" xmlns="http://www.topografix.com/GPX/1/1">'
        f"<trk><trkseg>{points}</trkseg></trk></gpx>"
    )
    short = 'about = "x"\nduration_s = 600\n'
    tables = {
        "mountains": short + "[mountains]\nsize_km = 4\nposts = 1\nsquads = 1\n",
        "boats": short + "[boats]\nboats = 1\n",
        "city": short + "[city]\nagents = 2\n",
        "disaster": short + "[disaster]\nteams = 1\n",
        "drawn": short + '[trace]\ncontacts = "c.csv"\nnodes = "n.csv"\n[workload]\n',
        "trace": short + '[trace]\ncontacts = "c.csv"\nmessages = "m.csv"\n',
        "tracks": short + '[tracks]\nfiles = ["t.gpx"]\n',
        "routing": short + "[routing]\nhas_receipts = true\n[city]\nagents = 2\n",
        "days": 'about = "x"\ndays = 0.01\n[city]\nagents = 2\n',
        "written": short + '[city]\nagents = 2\n[workload]\nmessages = "m.csv"\n',
    }
    for name, text in tables.items():
        path = folder / f"{name}.toml"
        path.write_text(text)
        yield str(path)


@pytest.mark.slow
def test_the_page_has_what_a_region_may_say(watched: Watched, tmp_path: Path) -> None:
    for name in small_regions(tmp_path):
        load_region(name, 1)
    assert sorted(differences(watched, page_rows("A region"))) == []


def test_the_page_has_what_a_scenario_for_real_nodes_may_say(watched: Watched) -> None:
    for name in included_scenarios("real"):
        load_scenario(name)
    read_scenario(
        b'about = "x"\nduration_s = 60\n[[device]]\nname = "a"\n[[crash]]\nat_s = 1\ndevice = "a"\n'
        b'down_s = 10\n[[clock_step]]\nat_s = 1\ndevice = "a"\nstep_s = 5\n',
        "events",
    )
    for key in REGION_TABLES:
        watched.pop((TOP, key), None)
    assert sorted(differences(watched, page_rows("Real nodes"))) == []


def test_every_key_has_a_meaning_of_its_own_words() -> None:
    rows = {**page_rows("A region"), **page_rows("Real nodes")}
    assert len(rows) > 100
    assert [place for place, row in rows.items() if len(row.meaning.split()) < 2] == []


def test_a_wrong_page_is_noticed() -> None:
    rows = {("boats", "ports"): Row("3 to 9", "8", "x"), ("boats", "sails"): Row("", "", "")}
    asked: Watched = {("boats", "ports"): Asked("whole", 8, 2, 100, ()), ("boats", "crew"): None}
    assert sorted(differences(asked, rows)) == [
        "('boats', 'ports') is 2 to 100",
        "crew of boats is in the readers alone",
        "sails of boats is on the page alone",
    ]
