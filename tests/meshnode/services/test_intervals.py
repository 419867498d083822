"""The table of intervals: less battery is never more often, an SOS always as often as it may."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.services.board import STALE_MS
from meshnode.services.intervals import (
    INTERVALS,
    LOW_PCT,
    RESERVE_PCT,
    SHORTEST_S,
    Band,
    Crew,
    Motion,
    band_of,
    crew_of,
)
from meshnode.services.reporting import Duty, Situation, usual_pace
from protocol.guards import QUOTA_HOUR_POSITIONS, QUOTA_HOUR_STATES
from protocol.identity import Role

LEVELS = st.none() | st.floats(0, 100)
SITUATIONS = st.builds(
    Situation,
    is_moving=st.booleans(),
    has_changed=st.booleans(),
    squads=st.integers(1, 8),
    battery_pct=LEVELS,
    is_charging=st.booleans(),
    duty=st.builds(Duty, role=st.none() | st.sampled_from(Role), is_in_alarm=st.booleans()),
)


def with_level(situation: Situation, level_pct: float | None) -> Situation:
    """Return the same situation with another battery."""
    return Situation(
        situation.is_moving,
        situation.has_changed,
        situation.squads,
        level_pct,
        situation.is_charging,
        situation.duty,
    )


@given(SITUATIONS, st.floats(0, 100), st.floats(0, 100))
def test_less_battery_is_never_more_often(situation: Situation, one: float, two: float) -> None:
    less = usual_pace(with_level(situation, min(one, two)))
    more = usual_pace(with_level(situation, max(one, two)))
    assert less.position_s >= more.position_s
    assert less.state_s >= more.state_s


@given(SITUATIONS)
def test_an_open_sos_gets_the_shortest_and_nothing_is_shorter(situation: Situation) -> None:
    pace = usual_pace(situation)
    shortest_s = SHORTEST_S * situation.squads
    assert min(pace.position_s, pace.state_s) >= shortest_s
    if situation.duty.is_in_alarm:
        assert (pace.position_s, pace.state_s) == (shortest_s, shortest_s)
    per_hour = situation.squads * 3_600
    assert per_hour / pace.position_s <= QUOTA_HOUR_POSITIONS - 30
    assert per_hour / pace.state_s <= QUOTA_HOUR_STATES - 150


@pytest.mark.parametrize(("crew", "band"), list(product(Crew, Band)))
def test_more_motion_is_never_more_rarely(crew: Crew, band: Band) -> None:
    rest, changed, moving = (INTERVALS[crew, band][each] for each in sorted(Motion))
    assert rest.position_s >= changed.position_s >= moving.position_s
    assert rest.state_s >= changed.state_s >= moving.state_s
    assert 1_000 * rest.state_s < STALE_MS["battery"]
    assert set(INTERVALS) == set(product(Crew, Band))


def test_a_leader_saves_last_and_a_box_first() -> None:
    for band, motion in product(Band, Motion):
        leader, agent, box = (
            INTERVALS[crew, band][motion] for crew in (Crew.LEADER, Crew.AGENT, Crew.CARRIER)
        )
        assert leader.position_s <= agent.position_s <= box.position_s
        assert leader.state_s <= agent.state_s <= box.state_s


def test_bands_and_crews_have_their_bounds() -> None:
    assert band_of(LOW_PCT, is_charging=False) is Band.GOOD
    assert band_of(LOW_PCT - 0.1, is_charging=False) is Band.LOW
    assert band_of(RESERVE_PCT, is_charging=False) is Band.LOW
    assert band_of(RESERVE_PCT - 0.1, is_charging=False) is Band.RESERVE
    assert band_of(None, is_charging=False) is band_of(1, is_charging=True) is Band.GOOD
    assert crew_of(None) is crew_of(Role.AGENT) is Crew.AGENT
    assert crew_of(Role.LEADER) is Crew.LEADER
    assert crew_of(Role.GATEWAY) is crew_of(Role.RELAY) is crew_of(Role.OPERATOR) is Crew.CARRIER


def test_the_page_shows_the_table() -> None:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "read-the-squad-board.md"
    text = page.read_text(encoding="utf-8")
    for (crew, band), row in INTERVALS.items():
        cells = [f"{row[each].position_s:g} / {row[each].state_s:g}" for each in sorted(Motion)]
        line = " | ".join([crew.value, band.name.lower(), *reversed(cells)])
        assert f"| {line} |" in text
    assert f'"low" below {LOW_PCT} %, "reserve" below {RESERVE_PCT} %' in text
