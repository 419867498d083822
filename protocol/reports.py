"""What became of a bundle at a receiver, and how a peer stands with us.

Source: wire-format 6.8, security 2.3; RFC 9171 section 5 has the procedures of the first words.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["Reception", "Standing"]


class Reception(IntEnum):
    """Outcome of one bundle at one receiver; 0 is stored, anything else says why not."""

    STORED = 0
    DUPLICATE = 1
    MALFORMED = 2
    BAD_SIGNATURE = 3
    UNKNOWN_AUTHOR = 4
    EXPIRED = 5
    TOO_FAR_AHEAD = 6
    QUOTA = 7
    STORE_FULL = 8
    EQUIVOCATION = 9
    SUPERSEDED = 10
    REVOKED = 11
    HOP_LIMIT = 12
    DELIVERED = 13
    NO_SHIFT = 14

    @property
    def is_held(self) -> bool:
        """True where the receiver holds the bundle: it stored it now, or had it."""
        return self in _HELD


_HELD: Final = frozenset({Reception.STORED, Reception.DUPLICATE})


class Standing(IntEnum):
    """What a peer whose badge is right may get from us. Source: security 2.3."""

    FULL = 0
    """Authority documents, reconciliation, bundles."""
    CONTROL_ONLY = 1
    """Authority documents and nothing else: its badge ended not long ago."""
    REVOKED = 2
    """Authority documents and nothing else: it was revoked, and shall hear so."""
    REFUSED = 3
    """Nothing."""
