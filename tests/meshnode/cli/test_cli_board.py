"""The squad board, states and tracks, by the commands that people type."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from meshnode.cli import board, show
from tests.meshnode.cli.people import People

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("ahead_h", "shown"), [(2, "empty at 14:00"), (26, "empty at 2026-01-02 14:00")]
)
def test_a_battery_that_lasts_longer_than_the_day_says_on_which_day_it_ends(
    ahead_h: int, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "local_time", _utc)
    noon_ms = 1_767_268_800_000
    value = {
        "at_ms": noon_ms - 60_000,
        "age_s": 60,
        "is_stale": False,
        "level_pct": 80,
        "is_charging": False,
        "drain_pct_per_h": 3.0,
        "empty_ms": noon_ms + ahead_h * 3_600_000,
    }
    assert board.battery_words(value) == f"80 % −3.0 %/h {shown}"


def _utc(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(sep=" ", timespec="seconds")


def test_a_state_needs_a_shift_and_stands_on_the_board(squad: People) -> None:
    assert "no shift is open" in squad.fails(7, "alice", "state", "--battery", "61")
    squad.reads("alice", "shift", "open")
    assert "nothing to tell" in squad.fails(7, "alice", "state")
    assert "percent" in squad.fails(7, "alice", "state", "--battery", "101")
    squad.fails(2, "alice", "state", "--network", "6G")
    told = ("--battery", "61", "--network", "4G", "--dbm", "-97", "--operator", "Orange F")
    assert "on its way" in squad.reads("alice", "state", *told)
    squad.reads("alice", "position", "44.89", "6.64", "--accuracy", "12")
    found = squad.json("alice", "board")
    (own,) = [each for each in found["mates"] if each["is_self"]]
    assert own["is_on_shift"]
    assert (own["battery"]["level_pct"], own["battery"]["is_stale"]) == (61, False)
    assert own["coverage"]["network"] == "4G"
    assert own["coverage"]["signal_dbm"] == -97
    assert own["position"]["accuracy_m"] == 12
    assert found["stale_s"]["position"] == 360
    shown = squad.reads("alice", "board")
    assert "alice (you)" in shown
    assert "61 %" in shown
    assert "4G -97 dBm Orange F" in shown
    assert "±12 m" in shown
    assert "STALE" not in shown
    assert "en vacation" in squad.reads("alice", "--lang", "fr", "board")
    squad.reads("alice", "shift", "close")
    (own,) = [each for each in squad.json("alice", "board")["mates"] if each["is_self"]]
    assert (own["is_on_shift"], own["battery"], own["position"]) == (False, None, None)
    (row,) = [line for line in squad.reads("alice", "board").splitlines() if "(you)" in line]
    assert row.split() == ["alice", "(you)", "off", "duty"], "what is not known is not 'never'"


def test_a_board_is_followed_only_while_a_node_runs(squad: People) -> None:
    assert "meshnode run" in squad.fails(8, "alice", "board", "--follow")


def test_no_track_is_kept_at_an_agent(squad: People) -> None:
    assert "No track" in squad.reads("alice", "track", "bob")
    assert squad.json("alice", "track", "bob")["segments"] == []
    assert "one device" in squad.fails(7, "alice", "track", "codt")
    assert "no device is called" in squad.fails(2, "alice", "track", "zoe")


def test_a_relay_says_why_it_shows_nothing(people: People) -> None:
    people.reads("hq", "authority", "init", "--network", "Alpes", "--zone", "7")
    people.enrol("box", "relay", "Queyras")
    why = "This device is a relay, which carries what others write and reads none of it"
    for words in (("board",), ("inbox",), ("alarms",), ("files",), ("sheets",), ("shift", "show")):
        shown = people.reads("box", *words)
        assert why in shown, words
        assert "meshnode authority invite --role agent" in shown
    assert why in people.reads("box", "charge", "--wh", "100")
    assert people.json("box", "board")["is_relay"]
    assert "est un relais" in people.reads("box", "--lang", "fr", "board")
