"""Messages that are drawn: their counts, ends, times and sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.contacts import TraceError
from sims.generators.workload import Writing, draw_workload

ROLES = ("gateway", "relay", "leader", *(["agent"] * 17))
DUTY = np.array(
    [
        (day * 86_400 + 1_000.0 * node, day * 86_400 + 1_000.0 * node + 28_800, node)
        for day in range(4)
        for node in range(2, 20)
    ]
)


def draw(writing: Writing, seed: int = 1, roles: tuple[str, ...] = ROLES) -> tuple[np.ndarray, ...]:
    """Return created_s, source, destination, size_bytes and priority of what is drawn."""
    random = np.random.default_rng(seed)
    found = draw_workload(writing, roles, DUTY, 4 * 86_400.0, random)
    return found.created_s, found.source, found.destination, found.size_bytes, found.priority


def test_counts_follow_the_rates_and_shares() -> None:
    writing = Writing(urgent_per_day=5, normal_per_day=40, bulk_per_day=15, written_share=1.0)
    _, source, destination, size, priority = draw(writing)
    agent_days = 18 * 4
    for number, rate in enumerate((5, 40, 15)):
        assert (priority == number).sum() == pytest.approx(rate * agent_days, rel=0.15)
    assert (destination == 0).mean() == pytest.approx(0.7, abs=0.03)
    assert (source == 0).mean() == pytest.approx(0.1, abs=0.02)
    assert not ((source == 1) | (destination == 1)).any()
    assert (source != destination).all()
    for number, (low, high) in enumerate(
        (writing.urgent_bytes, writing.normal_bytes, writing.bulk_bytes)
    ):
        sizes = size[priority == number]
        assert low <= sizes.min() <= sizes.max() <= high
        # Equally likely on a scale of factors: half are below the geometric mean.
        assert (sizes < np.sqrt(low * high)).mean() == pytest.approx(0.5, abs=0.06)


def test_who_writes_is_on_duty_and_nobody_writes_at_the_end() -> None:
    created, source, destination, _, _ = draw(Writing(normal_per_day=30, written_share=0.5))
    assert created.max() < 2 * 86_400
    person = np.where(source == 0, destination, source)
    for time_s, node in zip(created, person, strict=True):
        spans = DUTY[DUTY[:, 2] == node]
        assert ((spans[:, 0] <= time_s) & (time_s < spans[:, 1])).any()


@given(seed=st.integers(0, 1_000))
def test_the_seed_decides(seed: int) -> None:
    for one, other in zip(draw(Writing(), seed), draw(Writing(), seed), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("roles", [("gateway",), ("agent",), ("relay", "relay")])
def test_where_nobody_is_to_write_to_there_are_no_messages(roles: tuple[str, ...]) -> None:
    found = draw_workload(
        Writing(), roles, np.array([(0.0, 9e4, 0.0)]), 9e4, np.random.default_rng(1)
    )
    assert not len(found) or roles == ("relay", "relay")
    empty = draw_workload(Writing(), roles, np.empty((0, 3)), 9e4, np.random.default_rng(1))
    assert not len(empty)


def test_there_is_a_bound_to_all_messages() -> None:
    roles = ("gateway", *(["agent"] * 200))
    random = np.random.default_rng(1)
    with pytest.raises(TraceError, match="comes to more than 1000000 messages"):
        draw_workload(Writing(bulk_per_day=10_000), roles, DUTY, 4 * 86_400.0, random)
