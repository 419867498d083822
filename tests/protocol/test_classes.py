"""The table of traffic classes: complete, in order, and within its own bounds."""

from __future__ import annotations

from protocol.classes import CLASS_RULES, KINDS, LIFETIME_S_MAX, Kind, TrafficClass


def test_every_kind_and_class_has_its_row() -> None:
    assert set(KINDS) == set(Kind)
    assert set(CLASS_RULES) == set(TrafficClass)


def test_no_kind_outlives_its_class() -> None:
    for rule in KINDS.values():
        assert 0 < rule.lifetime_s <= CLASS_RULES[rule.traffic_class].lifetime_s_max
        assert CLASS_RULES[rule.traffic_class].lifetime_s_max <= LIFETIME_S_MAX


def test_what_saves_lives_is_never_evicted() -> None:
    assert CLASS_RULES[TrafficClass.SOS].eviction_rank < 0
    assert CLASS_RULES[TrafficClass.AUTHORITY].eviction_rank < 0
    ranks = [CLASS_RULES[each].eviction_rank for each in (4, 3, 2)]  # type: ignore[index]
    assert ranks == sorted(ranks)
    assert all(rank >= 0 for rank in ranks)


def test_what_is_evictable_leaves_room_for_what_is_not() -> None:
    for rule in CLASS_RULES.values():
        if rule.eviction_rank >= 0:
            assert rule.store_share_pct <= 95
