"""The bounds of the security rules stand in a sensible relation to those of the protocol."""

from __future__ import annotations

from protocol import guards, limits


def test_control_ends_before_a_badge_would_have_lived_twice() -> None:
    assert guards.CONTROL_GRACE_MS < limits.BADGE_LIFE_MS


def test_a_wipe_order_outlives_the_badges_that_it_names() -> None:
    assert guards.WIPE_CARRY_MS >= limits.BADGE_LIFE_MS


def test_every_entry_of_the_longest_revocation_list_fits_one_document() -> None:
    # 16 bytes of id, three numbers, their heads.
    assert guards.REVOCATIONS_MAX * 48 < limits.DOCUMENT_BYTES_MAX


def test_a_shift_is_one_chain() -> None:
    assert guards.SHIFT_MS_MAX <= limits.CHAIN_LIFE_MS
    assert guards.SHIFT_MS_MAX / 30_000 < limits.CHAIN_MESSAGES_MAX


def test_a_leaders_authority_is_shorter_than_the_badges_it_gives() -> None:
    assert guards.UNIT_LIFE_MS < limits.BADGE_LIFE_MS
