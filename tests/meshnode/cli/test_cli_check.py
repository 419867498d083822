"""Before a squad leaves: every fault that is put into a ready home is named, alone, with its cure.

The homes are real, made by commands; what a fault needs is done to their files and their store.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode.doctor.examining import DEPARTURE_CHECKS, Examined, examine, judge
from meshnode.doctor.findings import Facts, Level, Plan
from meshnode.errors import LinkError
from meshnode.machine import Machine
from meshnode.runtime import system_runtime
from tests.meshnode.cli.conftest import set_up
from tests.meshnode.cli.people import People
from tests.meshnode.cli.test_cli_running import running, told

pytestmark = pytest.mark.slow

QUEYRAS = (44.75, 6.79)
HOUR_MS = 3_600_000


def pmtiles(west: float, south: float, east: float, north: float, zoom_max: int = 15) -> bytes:
    """Return the header of a map file, as the specification lays it out."""
    bounds = (round(each * 10_000_000) for each in (west, south, east, north))
    return b"PMTiles\x03" + bytes(92) + struct.pack("<BB4i", 0, zoom_max, *bounds) + bytes(9)


SENSORS = '[sensors]\nbattery = ["replay:battery.jsonl"]\n'


def tell_battery(home: Path, level_pct: object, *, is_charging: bool = False) -> None:
    """Give a home a battery that says so."""
    (home / "meshnode.toml").write_text(SENSORS)
    reading = {"at_s": 0, "kind": "battery", "level_pct": level_pct, "is_charging": is_charging}
    (home / "battery.jsonl").write_text(json.dumps(reading) + "\n")


@pytest.fixture(scope="module")
def ready(squad_homes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """Alice, who met Bob, opened her shift and has a map; homes to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        set_up(patch)
        people = People(tmp_path_factory.mktemp("ready"))
        shutil.copytree(squad_homes, people.folder, dirs_exist_ok=True)

        async def meet() -> None:
            async with running(people, "bob") as bob:
                await told(people, "alice", "sync", "--once", str(bob.manager.listening[0]))

        trio.run(meet)
        people.reads("alice", "shift", "open")
        tell_battery(people.home("alice"), 90)
        maps = people.home("alice") / "maps"
        maps.mkdir()
        (maps / "queyras.pmtiles").write_bytes(pmtiles(6.5, 44.5, 7.2, 45.0))
        yield people


@dataclass
class Leaving:
    """A device about to leave, and what its machine answers."""

    home: Path
    plan: Plan = field(default_factory=lambda: Plan(12, QUEYRAS))
    now_ms: int = 0
    secret: str | None = "five other ordinary words here"
    machine: dict[str, Any] = field(default_factory=dict)
    change: Callable[[Facts], Facts] = lambda facts: facts

    def examined(self) -> Examined:
        well: dict[str, Any] = {
            "free_bytes": lambda _path: 10**10,
            "hosts": lambda: ("192.0.2.7",),
            "listen": lambda _address: None,
        }
        now_ms = self.now_ms or system_runtime().now_ms()
        found = trio.run(
            examine,
            self.home,
            replace(system_runtime(), now_ms=lambda: now_ms),
            Machine(**{**well, **self.machine}),
            lambda: self.secret,
            self.plan,
        )
        facts = self.change(found.facts)
        return Examined(facts, judge(facts, DEPARTURE_CHECKS))

    def run_sql(self, statement: str) -> None:
        with closing(sqlite3.connect(self.home / "store.sqlite")) as store:
            store.execute(statement)
            store.commit()


@pytest.fixture
def leaving(ready: People, tmp_path: Path) -> Leaving:
    return Leaving(shutil.copytree(ready.home("alice"), tmp_path / "alice"))


def _taken(_address: object) -> None:
    raise LinkError("the port 7625 is taken")


def _lock(facts: Facts, **figures: object) -> Facts:
    assert isinstance(facts.status, dict)
    return replace(facts, status={**facts.status, "lock": {**facts.status["lock"], **figures}})


def _known(facts: Facts, **words: object) -> Facts:
    return replace(facts, readiness={**(facts.readiness or {}), **words})


def _locked(leaving: Leaving) -> None:
    leaving.secret = None


def _late_badge(leaving: Leaving) -> None:
    # Everything else that ends by itself is made to last.
    leaving.plan = Plan(90 * 24, QUEYRAS)
    tell_battery(leaving.home, 90, is_charging=True)
    far_ms = 10**15
    leaving.change = lambda facts: _known(_lock(facts, lease_left_ms=far_ms), sos_until_ms=far_ms)


def _short_lease(leaving: Leaving) -> None:
    leaving.change = lambda facts: _lock(facts, lease_left_ms=11 * HOUR_MS)


def _ended_lease(leaving: Leaving) -> None:
    leaving.change = lambda facts: _lock(facts, lease="ended", beacon_age_ms=200 * HOUR_MS)


def _clock_set_back(leaving: Leaving) -> None:
    later_s = system_runtime().now_ms() / 1000 + 3_600
    os.utime(leaving.home / "store.sqlite", (later_s, later_s))


def _with_status(leaving: Leaving, **changed: bool) -> None:
    def change(facts: Facts) -> Facts:
        assert isinstance(facts.status, dict)
        return replace(facts, status={**facts.status, **changed})

    leaving.change = change


def _doubted_clock(leaving: Leaving) -> None:
    _with_status(leaving, is_clock_doubted=True)


def _late_clock(leaving: Leaving) -> None:
    _with_status(leaving, is_clock_late=True)


def _doubted_late_clock(leaving: Leaving) -> None:
    _with_status(leaving, is_clock_doubted=True, is_clock_late=True)


def _full_disk(leaving: Leaving) -> None:
    leaving.machine["free_bytes"] = lambda _path: 1_000_000


def _low_battery(leaving: Leaving) -> None:
    tell_battery(leaving.home, 20)


def _half_battery(leaving: Leaving) -> None:
    tell_battery(leaving.home, 50)


def _unknown_battery(leaving: Leaving) -> None:
    (leaving.home / "battery.jsonl").write_text("")


def _lying_battery(leaving: Leaving) -> None:
    tell_battery(leaving.home, 2_000)


def _no_bearer(leaving: Leaving) -> None:
    leaving.machine["hosts"] = tuple


def _taken_port(leaving: Leaving) -> None:
    settings = (
        '[links]\nlisten = ["127.0.0.1:7625"]\n[discovery]\nmdns = false\nprobe = false\n' + SENSORS
    )
    (leaving.home / "meshnode.toml").write_text(settings)
    leaving.machine["listen"] = _taken


def _no_map(leaving: Leaving) -> None:
    (leaving.home / "maps" / "queyras.pmtiles").unlink()


def _map_of_elsewhere(leaving: Leaving) -> None:
    leaving.plan = Plan(12, (48.85, 2.35))


def _coarse_map(leaving: Leaving) -> None:
    coarse = pmtiles(-5, 41, 10, 51, zoom_max=8)
    (leaving.home / "maps" / "queyras.pmtiles").write_bytes(coarse)


def _broken_map(leaving: Leaving) -> None:
    (leaving.home / "maps" / "queyras.pmtiles").write_bytes(b"half a copy")


def _stranger_mate(leaving: Leaving) -> None:
    leaving.run_sql("DELETE FROM peer_prekey")


def _no_sos_key(leaving: Leaving) -> None:
    leaving.run_sql("DELETE FROM network_key WHERE purpose = 2")


def _closed_shift(leaving: Leaving) -> None:
    leaving.run_sql("DELETE FROM bundle WHERE kind = 12")


def _revoked(leaving: Leaving) -> None:
    leaving.change = partial(_known, is_revoked=True)


def _in_no_squad(leaving: Leaving) -> None:
    leaving.change = partial(_known, squads=[])


def _shared_home(leaving: Leaving) -> None:
    (leaving.home / "store.sqlite").chmod(0o644)


def _broken_settings(leaving: Leaving) -> None:
    (leaving.home / "meshnode.toml").write_text("[links]\nlisten = 3\n")


FAULTS: tuple[tuple[Callable[[Leaving], None], str, str, str], ...] = (
    (_locked, "lock", "fail", "meshnode unlock"),
    (_late_badge, "badge", "fail", "enrol this device again"),
    (_short_lease, "lease", "fail", "until a new beacon has come"),
    (_ended_lease, "lease", "fail", "met the centre lately"),
    (_clock_set_back, "clock", "fail", "Set the clock"),
    (_doubted_clock, "clock", "fail", "Set the clock"),
    (_late_clock, "clock", "warn", "Set the clock if it is late"),
    (_doubted_late_clock, "clock", "fail", "Set the clock while there is a network"),
    (_low_battery, "battery", "fail", "Charge it before you leave"),
    (_half_battery, "battery", "warn", "Charge it before you leave"),
    (_unknown_battery, "battery", "warn", "meshnode sensors"),
    (_lying_battery, "battery", "warn", "meshnode sensors"),
    (_full_disk, "disk", "fail", "Free some space"),
    (_no_bearer, "bearers", "fail", "Switch Wi-Fi on"),
    (_taken_port, "port", "fail", "meshnode.toml"),
    (_no_map, "map", "warn", "Copy a map file"),
    (_map_of_elsewhere, "map", "fail", "Copy a map file"),
    (_coarse_map, "map", "warn", "Copy a map file"),
    (_broken_map, "map", "warn", "Copy a map file"),
    (_stranger_mate, "mates", "warn", "Bring the devices of your squad together"),
    (_no_sos_key, "sos", "fail", "until the new keys have come"),
    (_closed_shift, "shift", "warn", "meshnode shift open"),
    (_revoked, "roster", "fail", "See your squad leader"),
    (_in_no_squad, "roster", "fail", "See your squad leader"),
    (_shared_home, "home", "fail", "chmod"),
)


_QUIET = (Level.OK, Level.UNKNOWN)
"""A fault that hides others is named alone."""


def test_what_could_not_be_looked_at_is_not_called_well(leaving: Leaving) -> None:
    leaving.secret = None
    found = {each.name: each.level for each in leaving.examined().findings}
    hidden = ("roster", "mates", "sos", "shift")
    assert {found[name] for name in hidden} == {Level.UNKNOWN}


def test_a_ready_device_is_told_so(leaving: Leaving) -> None:
    examined = leaving.examined()
    assert [each for each in examined.findings if each.level is not Level.OK] == []
    assert len(examined.findings) == len(DEPARTURE_CHECKS)


@pytest.mark.parametrize(
    ("spoil", "name", "level", "cure"), FAULTS, ids=[each[0].__name__ for each in FAULTS]
)
def test_each_fault_alone_is_named_with_its_cure(
    leaving: Leaving, spoil: Callable[[Leaving], None], name: str, level: str, cure: str
) -> None:
    spoil(leaving)
    examined = leaving.examined()
    found = {each.name: each for each in examined.findings if each.level not in _QUIET}
    assert {each: found[each].level.value for each in found} == {name: level}
    assert cure in found[name].fix
    assert examined.faults == (level == "fail")


@pytest.mark.parametrize("squads", [(), ("Queyras",)], ids=["of no squad", "of a squad"])
def test_a_relay_lacks_neither_shift_nor_sos_nor_squad(
    squad: People, squads: tuple[str, ...]
) -> None:
    squad.enrol("box", "relay", *squads)
    found = {
        each["name"]: each
        for each in json.loads(squad.types("box", "check", "--json").out)["checks"]
    }
    for name, words in (("shift", "no agent"), ("sos", "carries an SOS"), ("roster", "")):
        assert found[name]["level"] == "ok", found[name]
        assert words in found[name]["sentence"]
    shown = squad.types("box", "--lang", "fr", "check").out
    assert "qui n'a ni agent ni vacation" in shown
    assert "shift open" not in shown


def test_a_battery_that_charges_is_enough(leaving: Leaving) -> None:
    tell_battery(leaving.home, 20, is_charging=True)
    found = {each.name: each for each in leaving.examined().findings}
    assert found["battery"].level is Level.OK
    assert "charging" in found["battery"].sentence


def test_broken_settings_hide_nothing_else_than_the_node(leaving: Leaving) -> None:
    _broken_settings(leaving)
    found = {each.name: each for each in leaving.examined().findings if each.level not in _QUIET}
    assert found["settings"].level is Level.FAIL
    assert set(found) == {"settings", "port"}


def test_the_command_concludes_in_both_languages(
    ready: People, squad: People, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ready.folder, squad.folder, dirs_exist_ok=True)
    began_s = time.perf_counter()
    screen = squad.types("alice", "check", "--place", "44.75,6.79")
    took_s, lines = time.perf_counter() - began_s, len(screen.out.splitlines())
    with capsys.disabled():
        print(f"\n{lines} lines of a check: {took_s:.1f} s")
    assert screen.out.splitlines()[-1] == "Ready to leave."
    assert screen.code == 0
    (squad.home("alice") / "maps" / "queyras.pmtiles").unlink()
    assert "You can leave; warnings 1." in squad.reads("alice", "check")
    (squad.home("alice") / "store.sqlite").chmod(0o644)
    french = squad.types("alice", "--lang", "fr", "check")
    assert french.code == 1
    assert french.out.splitlines()[-1] == "Ne partez pas encore\u00a0: pannes 1."
    assert "Aucune carte" in french.out
    found = json.loads(squad.types("alice", "check", "--json").out)
    assert found["is_healthy"] is False


@pytest.mark.parametrize("place", ["here", "44.75", "91,0", "0,181", "nan,nan", "1,2,3"])
def test_a_place_that_is_none_is_refused(squad: People, place: str) -> None:
    screen = squad.types("alice", "check", "--place", place)
    assert screen.code == 2
    assert "LATITUDE,LONGITUDE" in screen.err
