"""What the squad's day comes to: an alarm that somebody still sees open, or a place, is told."""

from __future__ import annotations

import json
from dataclasses import replace

from meshnode.demo.day import Day, DaySheet, Received, day_of
from meshnode.demo.duty import board_rows, step_rows
from meshnode.demo.speaking import uplink_rows

FILE = Received("a.pdf", 12, "complete", "aa")
SQUAD = ("alice", "bruno")


def sheets() -> list[DaySheet]:
    """Return stores in which all is well."""
    closed = (("01", "closed"),)
    return [
        DaySheet("alice", closed, (), 0),
        DaySheet("bruno", closed, (FILE,), 0),
        DaySheet("centre", closed, (), 3),
    ]


def day(*changed: DaySheet) -> Day:
    """Return the day where some stores say something else."""
    by_name = {each.name: each for each in (*sheets(), *changed)}
    return day_of(SQUAD, list(by_name.values()), {"aa"})


def test_all_is_well() -> None:
    found = day()
    assert found.is_good
    told = found.as_json()
    assert json.loads(json.dumps(told)) == told
    assert (told["alarms"], told["files_intact"], told["positions_at_the_centre"]) == (1, 1, 3)


def test_what_is_not_well_is_told() -> None:
    alice, bruno, centre = sheets()
    bad = (
        replace(centre, alarms=(("01", "raised"),)),
        replace(centre, alarms=()),
        replace(bruno, received=(replace(FILE, digest="bb"),)),
        replace(bruno, received=(replace(FILE, digest="", state="fetching"),)),
        replace(bruno, received=()),
        replace(alice, positions=1),
    )
    assert not any(day(each).is_good for each in bad)
    assert not day_of(SQUAD, [replace(each, alarms=()) for each in sheets()], {"aa"}).is_good


def test_a_board_shows_what_is_old_as_old_and_what_is_unknown_as_nothing() -> None:
    battery = {"level_pct": 41, "is_stale": True, "age_s": 900}
    mate = {"name": "bruno", "is_on_shift": True, "position": None, "battery": battery}
    mate |= {"coverage": None, "is_in_contact": False}
    assert board_rows({"mates": [mate]}) == [
        ("bruno", "on shift", "-", "41 % (old, 900 s)", "-", "-")
    ]


def test_a_step_shows_who_signed_it() -> None:
    alarm = {"state": "on_scene", "seen": [{"name": "a"}, {"name": "b"}], "taken": []}
    alarm |= {"on_scene": [{"name": "a"}], "closings": []}
    assert step_rows({"codt": alarm}) == [("codt", "on scene", "a, b", "-", "a", "-")]


def test_a_row_says_through_whom_a_device_sends() -> None:
    own = {
        "role": "own",
        "uplink": {"name": "alice"},
        "hops": 0,
        "score": 700,
        "has_gateway": True,
    }
    mate = {**own, "role": "mate", "hops": 1, "has_gateway": False}
    nobody = {**mate, "role": "vacant", "uplink": None, "hops": 0, "score": 0}
    assert uplink_rows({"alice": own, "bruno": mate, "chloe": nobody}) == [
        ("alice", "alice", "0", "700", "yes"),
        ("bruno", "alice", "1", "700", "-"),
        ("chloe", "vacant", "0", "0", "-"),
    ]
