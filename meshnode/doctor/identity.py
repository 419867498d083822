"""Checks of who this device is, and of its clock."""

from __future__ import annotations

from typing import Final

from cryptography import x509

from meshnode.doctor.findings import Facts, Finding, Level
from protocol.errors import MeshError

__all__ = ["badge_dates", "check_badge", "check_clock", "check_identity"]

_DAY_MS: Final = 86_400_000
_BADGE_DAYS_WARN: Final = 14
"""Time to see an authority again before the badge ends."""
_CLOCK_BACK_MS: Final = 600_000
"""A store that was written further in the future than this shows that the clock was set back."""


def check_identity(facts: Facts) -> Finding:
    """The device is enrolled and its keys can be read."""
    if isinstance(facts.identity, MeshError):
        return Finding(
            "identity",
            Level.FAIL,
            str(facts.identity),
            "Ask the authority for an invitation, then 'meshnode enrol'",
        )
    return Finding("identity", Level.OK, "The device is enrolled")


def check_clock(facts: Facts) -> Finding:
    """The clock is not behind what this device has already seen, and is brought."""
    fix = "Set the clock: messages with a wrong time are refused by others"
    dates = badge_dates(facts)
    if dates is not None and facts.now_ms < dates[0]:
        return Finding("clock", Level.FAIL, "The clock is before the start of the badge", fix)
    if facts.store_ms > facts.now_ms + _CLOCK_BACK_MS:
        return Finding("clock", Level.FAIL, "The clock is before the last use of the store", fix)
    if isinstance(facts.status, dict) and facts.status.get("is_clock_late"):
        return Finding(
            "clock",
            Level.WARN,
            "Most of what comes in is refused: it was written in the future by this clock",
            "Set the clock if it is late; if it is right, that of whoever wrote it is ahead",
        )
    return Finding("clock", Level.OK, "The clock is plausible")


def check_badge(facts: Facts) -> Finding:
    """The badge is valid for some time yet."""
    dates = badge_dates(facts)
    if dates is None:
        return Finding(
            "badge", Level.FAIL, "There is no badge to read", "Enrol this device with an invitation"
        )
    days = (dates[1] - facts.now_ms) // _DAY_MS
    if days < 0:
        return Finding(
            "badge", Level.FAIL, "The badge has expired", "Have the authority enrol it again"
        )
    if days < _BADGE_DAYS_WARN:
        return Finding(
            "badge",
            Level.WARN,
            f"The badge ends in {days} days",
            "See the authority before that, to be enrolled again",
        )
    return Finding("badge", Level.OK, f"The badge is valid for {days} days")


def badge_dates(facts: Facts) -> tuple[int, int] | None:
    """Return from when to when the whole chain is valid, Unix milliseconds."""
    if isinstance(facts.identity, MeshError):
        return None
    try:
        chain = [x509.load_der_x509_certificate(der) for der in facts.identity.badge_chain]
    except ValueError:
        return None
    if not chain:
        return None
    start = max(each.not_valid_before_utc.timestamp() for each in chain)
    end = min(each.not_valid_after_utc.timestamp() for each in chain)
    return int(start * 1000), int(end * 1000)
