"""Kinds of data and their tiers."""

from __future__ import annotations

import pytest

from meshnode.vault.kinds import DAY_MS, DataKind, Tier, day_of

_AGENT = {
    "MESSAGE",
    "ALARM",
    "PREKEY",
    "CHAIN",
    "SOS_KEY",
    "POSITION",
    "ATTACHMENT",
    "COVERAGE",
    "SHEET",
}


@pytest.mark.parametrize("kind", DataKind)
def test_what_reads_or_speaks_needs_the_agent(kind: DataKind) -> None:
    assert kind.tier is (Tier.AGENT if kind.name in _AGENT else Tier.DEVICE)


@pytest.mark.parametrize(("at_ms", "day"), [(0, 0), (DAY_MS - 1, 0), (DAY_MS, 1)])
def test_a_day_begins_at_midnight(at_ms: int, day: int) -> None:
    assert day_of(at_ms) == day
