"""Delivery predictability: ranges, what it rises and falls with, and RFC 6693 by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.routing.prophet import (
    BETA,
    DELTA,
    ENCOUNTER_MAX,
    GAMMA,
    INTERVAL_S,
    aged,
    encountered,
    is_better,
    transitive,
)

SHARES = st.floats(0.0, 1.0 - DELTA)
GAPS = st.floats(0.0, 1e7)


def test_the_parameters_are_those_of_the_standard() -> None:
    # RFC 6693 section 3.3, table 1.
    assert (ENCOUNTER_MAX, BETA, GAMMA, DELTA) == (0.7, 0.9, 0.999, 0.01)


def test_a_first_encounter_after_the_typical_interval() -> None:
    # Equation 1: P = P_old + (1 - delta - P_old) * P_encounter, from 0: 0.99 * 0.7.
    assert encountered(0.0, INTERVAL_S) == pytest.approx(0.693, abs=1e-12)
    # And once more: 0.693 + (0.99 - 0.693) * 0.7.
    assert encountered(0.693, 10 * INTERVAL_S) == pytest.approx(0.9009, abs=1e-12)


def test_an_encounter_that_comes_soon_counts_in_proportion() -> None:
    # Section 2.1.1: P_encounter = P_encounter_max * (Intvl / I_typ).
    assert encountered(0.0, INTERVAL_S / 2) == pytest.approx(0.99 * 0.35, abs=1e-12)
    assert encountered(0.4, 0.0) == 0.4


def test_aging_by_hand() -> None:
    # Equation 2: P = P_old * gamma^K, for K = 2 time units.
    assert aged(0.5, GAMMA**2) == pytest.approx(0.5 * 0.998001, abs=1e-12)


def test_transitivity_by_hand() -> None:
    # Equation 3 of version 2: P(A,C) = max(P(A,C)_old, P(A,B) * P(B,C) * beta).
    assert transitive(0.1, 0.693, 0.8) == pytest.approx(0.693 * 0.8 * 0.9, abs=1e-12)
    assert transitive(0.6, 0.693, 0.8) == 0.6


@given(SHARES, GAPS)
def test_an_encounter_raises_and_never_reaches_1(before: float, since_s: float) -> None:
    after = encountered(before, since_s)
    assert before <= after <= 1.0 - DELTA + 1e-12


@given(SHARES, GAPS, GAPS)
def test_a_longer_gap_counts_for_more(before: float, one_s: float, other_s: float) -> None:
    less_s, more_s = sorted((one_s, other_s))
    assert encountered(before, less_s) <= encountered(before, more_s)


@given(SHARES, SHARES, SHARES)
def test_news_never_lowers(before: float, to_peer: float, of_peer: float) -> None:
    after = transitive(before, to_peer, of_peer)
    assert before <= after <= max(before, to_peer, of_peer)


@given(SHARES, st.integers(0, 10_000))
def test_time_lowers(before: float, units: int) -> None:
    assert 0.0 <= aged(before, GAMMA**units) <= before


def test_only_who_is_better_gets_a_copy() -> None:
    assert is_better(0.2, 0.3)
    assert not is_better(0.3, 0.3)
