"""What is sealed, and which of the two tiers of keys opens it.

Tier 0 opens when the device starts, so that a locked one still carries, learns of revocations and
obeys a wipe. Tier 1 opens with the agent's secret. Source: security 2.1 and 2.10.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["DAY_MS", "DataKind", "Tier", "day_of"]

DAY_MS: Final = 86_400_000
"""A data key is for one kind and one such day, counted from 1970 in UTC."""


class Tier(IntEnum):
    """Who can open what."""

    DEVICE = 0
    """The device alone, from its start on."""
    AGENT = 1
    """The agent's secret is needed, unless the device is unattended."""


class DataKind(IntEnum):
    """What a data key is for; the number stands in the database and never changes."""

    BUNDLE = 1
    """Containers that are carried: ciphertext of others, sealed once more."""
    DOCUMENT = 2
    """Documents of the authority; rosters hold names."""
    EVIDENCE = 3
    """Second versions of what was signed twice."""
    NETWORK_KEY = 4
    """Keys of the network that links and relays need."""
    AUDIT = 5
    """Entries of the audit log."""
    CONTACT = 6
    """Addresses at which others were met."""
    LEDGER = 7
    """What became of a message: steps that a locked device learns of, too."""
    MESSAGE = 16
    """Texts for people, and what their ledger says of others by name."""
    ALARM = 17
    """Texts of an SOS."""
    PREKEY = 18
    """Private halves of own prekeys."""
    CHAIN = 19
    """States of chains, own ones and those of others."""
    SOS_KEY = 20
    """Keys that open the SOS of a zone."""
    POSITION = 21
    """Where people are or were, and what else they tell in a shift."""
    ATTACHMENT = 25
    """Files that go with messages, and what is told of them."""
    SHEET = 28
    """Reflex sheets, and what is told of them."""
    COVERAGE = 31
    """What networks were met, by place; not by whom."""

    @property
    def tier(self) -> Tier:
        """Which master key wraps the data keys of this kind."""
        return Tier.AGENT if self >= DataKind.MESSAGE else Tier.DEVICE


def day_of(at_ms: int) -> int:
    """Return the day of a time in Unix milliseconds."""
    return at_ms // DAY_MS
