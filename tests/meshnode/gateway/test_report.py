"""Reports of an archive, against slow and obvious counting; and that they name nobody."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode.errors import ArchiveError
from meshnode.gateway.archive.archive import open_archive
from meshnode.gateway.report.coverage import BEARERS
from meshnode.gateway.report.making import DAYS_MAX, Plan, make
from meshnode.retention import CLASS_OF
from protocol.bundle import ScopeKind
from protocol.ids import print_node_id
from protocol.limits import Kind
from tests.meshnode.gateway.parts import MASTER, NOW_MS, TODAY, node, runtime
from tests.meshnode.gateway.report_rows import DEVICES, FIRST_DAY, SIZES, Month, month
from tests.reference import reports as slow

pytestmark = [pytest.mark.slow, pytest.mark.real]
Row = dict[str, Any]
GATEWAY = node(90)
MESSAGES = {Kind.TEXT, Kind.SOS}


def plan(first_day: int = FIRST_DAY, last_day: int = TODAY, **more: Any) -> Plan:
    return Plan(first_day, last_day, NOW_MS, SIZES, lambda _node: True, **more)


async def _reported(url: str, path: Path, found: Month, asked: Plan) -> Row:
    async with open_archive(url, path, runtime(), GATEWAY, MASTER) as archive:
        await archive.put(found.taken)
        return await make(archive, asked)


@pytest.fixture(scope="module")
def known() -> Month:
    return month(1)


@pytest.fixture(scope="module")
def told(known: Month, tmp_path_factory: pytest.TempPathFactory) -> Row:
    path = tmp_path_factory.mktemp("archive") / "archive.sqlite"
    return trio.run(_reported, "", path, known, plan())


def _size(row: Row) -> str:
    names = {ScopeKind.DEVICE: "device", ScopeKind.CODT: "centre", ScopeKind.ZONE: "zone"}
    if row["scope"].kind in names:
        return names[row["scope"].kind]
    return "squad_5_9" if row["scope"].encode() in SIZES else "squad_unknown"


BREAKDOWNS: dict[str, Callable[[Row], str]] = {
    "by_day": lambda row: str(row["day"]),
    "by_class": lambda row: str(CLASS_OF[row["kind"]]),
    "by_zone": lambda row: str(row["scope"].zone),
    "by_addressee": _size,
}


def _arrivals(row: Row) -> Any:
    delays = tuple(row["delays"][f"p{each}_s"] for each in (50, 90, 99))
    return row["devices"], row["bundles"], row["ahead"], delays


@pytest.mark.parametrize("seed", range(1, 5))
async def test_arrivals_and_delays_are_those_of_slow_counting(seed: int, tmp_path: Path) -> None:
    found = month(seed)
    report = await _reported("", tmp_path / "archive.sqlite", found, plan())
    rows = [row for row in found.rows if row["day"] >= FIRST_DAY]
    assert _arrivals(report["arrivals"]["total"]) == slow.group_delays(rows)
    for name, by in BREAKDOWNS.items():
        kept, rest = slow.breakdown(rows, by)
        expected = {key: slow.group_delays(own) for key, own in kept.items()}
        if rest:
            expected["other"] = slow.group_delays(rest)
        assert {each["name"]: _arrivals(each) for each in report["arrivals"][name]} == expected


def _outcome(row: Row, known: Month) -> str:
    if (row["author"], row["seq"]) in known.receipted:
        return "acknowledged"
    if row["scope"].kind is ScopeKind.CODT:
        return "at_centre"
    return "pending" if row["expires_ms"] > NOW_MS else "unknown"


def test_what_became_of_messages_is_that_of_slow_counting(known: Month, told: Row) -> None:
    rows = [row for row in known.rows if row["kind"] in MESSAGES and row["day"] >= FIRST_DAY]
    outcomes = Counter(_outcome(row, known) for row in rows)
    assert set(outcomes) == {"acknowledged", "at_centre", "pending", "unknown"}
    total = told["delivery"]["total"]
    assert {name: total[name] for name in outcomes} == outcomes
    for name, by in BREAKDOWNS.items():
        kept, rest = slow.breakdown(rows, by)
        groups = kept | ({"other": rest} if rest else {})
        expected = {
            key: Counter(_outcome(row, known) for row in own) for key, own in groups.items()
        }
        found = {
            each["name"]: Counter({key: each[key] for key in outcomes if each[key]})
            for each in told["delivery"][name]
        }
        assert found == expected


def test_alarms_wait_as_long_as_slow_counting_says(known: Month, told: Row) -> None:
    waited = slow.waiting(known.raised, known.took)
    alarms = told["alarms"]
    assert (alarms["raised"], alarms["taken"]) == (len(known.raised), len(waited))
    assert alarms["open_untaken"] == len(known.raised) - len(waited)
    assert alarms["heard"]["p50_s"] == slow.percentile(waited, 50)
    assert alarms["heard"]["p90_s"] == slow.percentile(waited, 90)
    assert alarms["heard"]["p99_s"] is None, "of so few it would be that of one alarm"
    assert alarms["told"]["p50_s"] >= 60


def test_looks_lie_where_slow_counting_puts_them(known: Month, told: Row) -> None:
    placed = []
    for day in {look["day"] for look in known.looks}:
        places = [each for each in known.places if each["day"] == day]
        # A device that says the same moment twice said the last thing.
        own = {
            (each["author"], each["read_ms"]): each for each in known.looks if each["day"] == day
        }
        placed += slow.look_cells(own.values(), places)
    kept, rest = slow.breakdown(placed, lambda look: look["square"])
    coverage = told["coverage"]
    found = {
        (round(each["south"] * 10), round(each["west"] * 10)): each for each in coverage["cells"]
    }
    assert {key for key in kept if key is not None} == set(found)
    assert len(found) == 2
    for key, group in kept.items():
        each = coverage["unplaced"] if key is None else found[key]
        assert each["looks"] == len(group)
        assert each["devices"] == len(slow.authors(group))
        assert each["bearers"] == {
            name: sum(look["bearer"] is bearer for look in group)
            for bearer, name in BEARERS.items()
        }
    assert coverage["elsewhere"]["looks"] == len(rest)


def test_nothing_in_it_names_anybody(known: Month, told: Row) -> None:
    text = json.dumps(told)
    for number in range(DEVICES):
        who = node(number)
        for form in (who.hex(), print_node_id(who), repr(bytes(who)), str(list(who))):
            assert form not in text
            assert form.lower() not in text.lower()
    for words in ("vacuation", "Claire", "Martin", "refuge", "44.71", "6.81", "55.25"):
        assert words not in text, words
    for scope in SIZES:
        assert scope[3:].hex() not in text


def test_no_group_is_of_few_devices(told: Row) -> None:
    def walk(value: Any) -> None:
        if isinstance(value, dict):
            assert value.get("devices", 5) >= 5
            for each in value.values():
                walk(each)
        if isinstance(value, list):
            for each in value:
                walk(each)

    walk(told)
    assert any(each["name"] == "other" for each in told["arrivals"]["by_zone"])


async def test_of_four_devices_nothing_is_told(tmp_path: Path) -> None:
    found = month(2)
    few = {bytes(node(number)) for number in range(3, 7)}
    found.taken = [each for each in found.taken if bytes(each.name.author) in few]
    report = await _reported("", tmp_path / "archive.sqlite", found, plan())
    for part in ("arrivals", "delivery"):
        assert report[part]["total"] is None
        assert not any(report[part][name] for name in BREAKDOWNS)
    assert report["alarms"] is None
    coverage = report["coverage"]
    assert (coverage["cells"], coverage["unplaced"], coverage["elsewhere"]) == ([], None, None)


async def test_both_databases_tell_the_same(
    address: tuple[str, Path], known: Month, told: Row
) -> None:
    assert await _reported(*address, known, plan()) == told


async def test_places_of_a_share_of_the_devices_stand_for_all(known: Month, tmp_path: Path) -> None:
    report = await _reported("", tmp_path / "a.sqlite", known, plan(contents_max=300))
    assert 0 < report["coverage"]["looked_at"] < 1
    looks = sum(each["looks"] for each in report["coverage"]["cells"])
    assert 0 < looks < len(known.looks)


async def test_a_period_has_bounds(known: Month, tmp_path: Path) -> None:
    for asked in (plan(TODAY, TODAY - 1), plan(TODAY - DAYS_MAX, TODAY)):
        with pytest.raises(ArchiveError, match="days"):
            await _reported("", tmp_path / "a.sqlite", Month(), asked)
    report = await _reported("", tmp_path / "a.sqlite", known, plan(TODAY - 1, TODAY - 1))
    rows = [row for row in known.rows if row["day"] == TODAY - 1]
    assert report["arrivals"]["total"]["bundles"] == len(rows)
