"""What became of a bundle at a receiver: the codes of ACK frames and of the ledger.

Source: wire-format 6.8; RFC 9171 section 5 has the procedures these words come from.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Reception"]


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

    @property
    def is_held(self) -> bool:
        """True where the receiver holds the bundle: it stored it now, or had it."""
        return self in (Reception.STORED, Reception.DUPLICATE)
