"""Positions and contacts by range: against comparing everybody with everybody at every step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.contacts import TraceError, make_plan
from sims.generators import meetings as rooms
from sims.generators.meetings import always, coverage, join_rows, meetings
from sims.generators.movement import Floats, Journey, Movement, make_movement, track


def wanderers(nodes: int, seed: int, size_m: float, leaves: bool = True) -> Movement:
    """Return nodes that walk about, some of whom are away at times."""
    random = np.random.default_rng(seed)
    journeys = []
    for _ in range(nodes):
        journey = Journey(0.0, tuple(random.uniform(-size_m, size_m, 2)))
        for _ in range(8):
            journey.go(tuple(random.uniform(-size_m, size_m, 2)), random.uniform(1, 20))
            journey.stay(journey.now_s + random.uniform(0, 60))
            if leaves and random.random() < 0.3:
                journey.vanish()
                journey.stay(journey.now_s + random.uniform(1, 100))
                journey.appear(tuple(random.uniform(-size_m, size_m, 2)))
        journeys.append(journey)
    return make_movement(journeys)


def slow_meetings(
    movement: Movement, ranges_m: Floats, step_s: float, duration_s: float
) -> list[tuple[float, float, int, int]]:
    """Return the contacts by looking at every pair at every step."""
    count = max(1, int(np.ceil(duration_s / step_s)))
    east, north = movement.at(np.arange(count, dtype=np.float64) * step_s)
    found = []
    for a in range(movement.nodes):
        for b in range(a + 1, movement.nodes):
            begin = None
            for step in range(count + 1):
                is_near = False
                if step < count:
                    x, y = east[step, a] - east[step, b], north[step, a] - north[step, b]
                    is_near = bool(x**2 + y**2 <= min(ranges_m[a], ranges_m[b]) ** 2)
                if is_near and begin is None:
                    begin = step
                if not is_near and begin is not None:
                    found.append((begin * step_s, step * step_s, a, b))
                    begin = None
    return sorted(found)


@given(
    nodes=st.integers(1, 9),
    seed=st.integers(0, 1_000),
    size_m=st.sampled_from([1.0, 100.0, 700.0]),
    step_s=st.sampled_from([5.0, 10.0, 30.0]),
    samples=st.sampled_from([1, 30, 10**6]),
    candidates=st.sampled_from([100, 10**6]),
)
def test_contacts_are_those_of_all_pairs_at_all_steps(
    nodes: int, seed: int, size_m: float, step_s: float, samples: int, candidates: int
) -> None:
    movement = wanderers(nodes, seed, size_m)
    ranges_m = np.random.default_rng(seed).uniform(1.0, 200.0, nodes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rooms, "_SAMPLES_PER_CHUNK", samples)
        patch.setattr(rooms, "_CANDIDATES_MAX", candidates)
        rows = meetings(
            movement, lambda east, _: np.broadcast_to(ranges_m, east.shape), step_s, 400.0
        )
    # What the border between two pieces of work cut is joined by the plan.
    plan = make_plan(nodes, rows)
    found = zip(plan.start_s, plan.end_s, plan.a, plan.b, strict=True)
    assert sorted(found) == slow_meetings(movement, ranges_m, step_s, 400.0)


def test_there_is_a_bound_to_crowds_and_to_all_contacts(monkeypatch: pytest.MonkeyPatch) -> None:
    movement = wanderers(9, 1, 100.0, leaves=False)
    monkeypatch.setattr(rooms, "CONTACTS_MAX", 2)
    with pytest.raises(TraceError, match="are more than 2: make"):
        meetings(movement, lambda east, _: np.full_like(east, 50.0), 10.0, 400.0)
    monkeypatch.setattr(rooms, "_CANDIDATES_MAX", 5)
    with pytest.raises(TraceError, match="more than 5 pairs in one place"):
        meetings(movement, lambda east, _: np.full_like(east, 50.0), 10.0, 400.0)


def test_coverage_is_contact_with_the_gateway_while_there() -> None:
    away, here = Journey(), Journey(0.0, (5.0, 0.0))
    here.stay(95.0)
    here.vanish()
    movement = make_movement([away, here, Journey(0.0, (-5.0, 0.0))])
    rows = coverage(
        movement, lambda times, east, _: (east > 0) | (times[:, None] >= 190.0), 10.0, 200.0
    )
    assert rows.tolist() == [[0.0, 100.0, 0.0, 1.0], [190.0, 200.0, 0.0, 2.0]]


def test_a_journey_is_a_path_of_straight_legs() -> None:
    journey = Journey(10.0, (0.0, 0.0))
    journey.go((30.0, 40.0), 5.0)
    journey.stay(40.0)
    journey.follow([(30.0, 50.0), (30.0, 40.0)], 1.0)
    journey.vanish()
    east, north = make_movement([journey]).at(np.array([0.0, 15.0, 30.0, 50.0, 60.0, 61.0]))
    assert journey.now_s == pytest.approx(60.001)
    assert east[:5, 0].tolist() == pytest.approx([0, 15, 30, 30, 30])
    assert north[:5, 0].tolist() == pytest.approx([0, 20, 40, 50, 40])
    assert np.isnan(east[5, 0])
    assert np.isnan(north[5, 0])


def test_tracks_are_not_too_many() -> None:
    tracks = track(wanderers(3, 1, 100.0), 1e6)
    assert tracks.east_m.shape == tracks.north_m.shape == (2_000, 3)
    assert len(tracks.times_s) == 2_000
    assert track(wanderers(3, 1, 100.0), 900.0).times_s.tolist() == [0.0, 300.0, 600.0]


def test_rows_are_joined_and_pairs_are_always_together() -> None:
    assert join_rows([]).shape == (0, 4)
    assert always([], 5.0).shape == (0, 4)
    assert always([(1, 2)], 5.0).tolist() == [[0.0, 5.0, 1.0, 2.0]]


@pytest.mark.slow
def test_a_thousand_nodes_for_a_day_take_seconds() -> None:
    movement = wanderers(1_000, 3, 5_000.0, leaves=False)
    rows = meetings(movement, lambda east, _: np.full_like(east, 100.0), 30.0, 86_400.0)
    assert len(rows) > 1_000
