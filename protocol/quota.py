"""What one author may put into the stores of others, by the hour of its stamps and in all.

An hour is one of the author's own clock: the one in which `hlc64` says that a bundle was made. So a
backlog of days, which a boat brings within a minute, is counted as it was written, and the author
who kept its quota when writing is refused nowhere. Source: security 2.13, wire-format 4.16.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from protocol.guards import (
    QUOTA_BULK_SHARE_BYTES,
    QUOTA_CENTRE_BULK_FACTOR,
    QUOTA_CENTRE_FACTOR,
    QUOTA_CENTRE_SHARE_BYTES,
    QUOTA_HOUR_BULK,
    QUOTA_HOUR_BULK_BYTES,
    QUOTA_HOUR_BUNDLES,
    QUOTA_HOUR_BYTES,
    QUOTA_HOUR_POSITIONS,
    QUOTA_HOUR_SOS,
    QUOTA_HOUR_STATES,
    QUOTA_HOUR_TEXTS,
    QUOTA_SHARE_BYTES,
    QUOTA_SOS_BYTES,
)
from protocol.limits import STORE_ROW_BYTES, Kind

__all__ = [
    "AGENT",
    "CENTRE",
    "GROUPS",
    "Allowance",
    "Group",
    "Holding",
    "Tally",
    "fits",
    "hour_of",
    "is_within",
    "share_left_for",
]

_HOUR_MS: Final = 3_600_000
_COUNTER_BITS: Final = 16


class Group(IntEnum):
    """Kinds that share one bound."""

    TEXT = 0
    STATE = 1
    POSITION = 2
    SOS = 3
    BULK = 4


GROUPS: Final[dict[Kind, Group]] = {
    Kind.SOS: Group.SOS,
    Kind.TEXT: Group.TEXT,
    Kind.NOTE: Group.TEXT,
    Kind.POSITION: Group.POSITION,
    Kind.CHUNK: Group.BULK,
    Kind.TRACK: Group.BULK,
    Kind.SHEETS: Group.BULK,
    Kind.COVERAGE: Group.BULK,
    **{
        kind: Group.STATE
        for kind in Kind
        if kind not in (Kind.SOS, Kind.TEXT, Kind.NOTE, Kind.POSITION)
        and kind not in (Kind.CHUNK, Kind.TRACK, Kind.SHEETS, Kind.COVERAGE)
    },
}
"""Which bound each kind is counted against."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one author may do; the same everywhere, so that it can know what others take."""

    counts: tuple[int, int, int, int, int]
    """Bundles per hour of each `Group`, in order."""
    bundles: int
    """Bundles per hour in all, SOS and bulk apart."""
    hour_bytes: int
    """Containers per hour, SOS and bulk apart, bytes."""
    share_bytes: int
    """Held by one store, and taken in by it within an hour, SOS and bulk apart, bytes with rows."""
    sos_bytes: int
    """SOS held by one store, bytes with their rows."""
    hour_bulk_bytes: int
    """Containers of bulk per hour, bytes."""
    bulk_share_bytes: int
    """Bulk held by one store, and taken in by it within an hour, bytes with their rows."""


def _allowance(factor: int, share_bytes: int, bulk_factor: int) -> Allowance:
    bundles = QUOTA_HOUR_BUNDLES * factor
    return Allowance(
        counts=(
            QUOTA_HOUR_TEXTS * factor,
            QUOTA_HOUR_STATES * factor,
            QUOTA_HOUR_POSITIONS * factor,
            QUOTA_HOUR_SOS,
            QUOTA_HOUR_BULK * bulk_factor,
        ),
        bundles=bundles,
        hour_bytes=QUOTA_HOUR_BYTES * factor,
        share_bytes=share_bytes,
        sos_bytes=QUOTA_SOS_BYTES,
        hour_bulk_bytes=QUOTA_HOUR_BULK_BYTES * bulk_factor,
        bulk_share_bytes=QUOTA_BULK_SHARE_BYTES * bulk_factor,
    )


AGENT: Final = _allowance(1, QUOTA_SHARE_BYTES, 1)
"""Of every device that speaks for its own people."""
CENTRE: Final = _allowance(QUOTA_CENTRE_FACTOR, QUOTA_CENTRE_SHARE_BYTES, QUOTA_CENTRE_BULK_FACTOR)
"""Of gateways and operators, who answer a whole zone."""


@dataclass(slots=True)
class Tally:
    """What one author made within one hour of its own clock."""

    counts: list[int]
    """Bundles of each `Group`, in order."""
    bytes: int = 0
    """Containers, SOS and bulk apart."""
    bulk_bytes: int = 0
    """Containers of bulk."""

    @classmethod
    def empty(cls) -> Tally:
        """Return the count of an hour in which nothing was made."""
        return cls([0] * len(Group))

    def add(self, group: Group, size_bytes: int, by: int = 1) -> None:
        """Count `by` bundles of `size_bytes` each; -1 takes one back."""
        self.counts[group] += by
        if group is Group.BULK:
            self.bulk_bytes += by * size_bytes
        elif group is not Group.SOS:
            self.bytes += by * size_bytes


@dataclass(slots=True)
class Holding:
    """What one store holds of one author, and took in lately."""

    live_bytes: int = 0
    """Held now, SOS and bulk apart, with their rows."""
    sos_bytes: int = 0
    """SOS held now, with their rows."""
    hour: int = 0
    """The hour of the store's own clock that the bytes below are about."""
    arrived_bytes: int = 0
    """Taken in during that hour, SOS and bulk apart, with rows; what is gone again included."""
    bulk_bytes: int = 0
    """Bulk held now, with its rows."""
    bulk_arrived_bytes: int = 0
    """Bulk taken in during that hour, with its rows; what is gone again included."""

    def begin(self, hour: int) -> None:
        """Count what arrives from now on for `hour`."""
        if self.hour != hour:
            self.hour, self.arrived_bytes, self.bulk_arrived_bytes = hour, 0, 0

    def arrived_in(self, hour: int) -> int:
        """Return what was taken in during `hour`, bulk apart."""
        return self.arrived_bytes if self.hour == hour else 0

    def bulk_arrived_in(self, hour: int) -> int:
        """Return what bulk was taken in during `hour`."""
        return self.bulk_arrived_bytes if self.hour == hour else 0


def hour_of(stamp: int) -> int:
    """Return the number of the hour, since 1970, of an `hlc64`."""
    return (stamp >> _COUNTER_BITS) // _HOUR_MS


def fits(tally: Tally, allowance: Allowance, group: Group, size_bytes: int) -> bool:
    """True if one more bundle of `size_bytes` is within its author's hour."""
    counts = tally.counts
    if counts[group] >= allowance.counts[group]:
        return False
    if group is Group.SOS:
        return True
    if group is Group.BULK:
        return tally.bulk_bytes + size_bytes <= allowance.hour_bulk_bytes
    others = sum(counts) - counts[Group.SOS] - counts[Group.BULK]
    return others < allowance.bundles and tally.bytes + size_bytes <= allowance.hour_bytes


def is_within(
    holding: Holding, allowance: Allowance, group: Group, size_bytes: int, arrival_hour: int
) -> bool:
    """True if one more bundle is within its author's share of this store."""
    charged = size_bytes + STORE_ROW_BYTES
    if group is Group.SOS:
        return holding.sos_bytes + charged <= allowance.sos_bytes
    if group is Group.BULK:
        held = max(holding.bulk_bytes, holding.bulk_arrived_in(arrival_hour))
        return held + charged <= allowance.bulk_share_bytes
    if holding.live_bytes + charged > allowance.share_bytes:
        return False
    return holding.arrived_in(arrival_hour) + charged <= allowance.share_bytes


def share_left_for(tally: Tally, allowance: Allowance, group: Group, into_hour_ms: int) -> int:
    """Return how many more bundles of `group` a careful author makes now.

    Half of the hour's number at once, the other half spread over the hour: so what can wait,
    because a later one says the same and more, never uses up what is needed at the hour's end.
    `into_hour_ms` counts from the beginning of the hour.
    """
    whole = min(allowance.counts[group], allowance.bundles)
    paced = whole // 2 + whole * into_hour_ms // (2 * _HOUR_MS)
    others = sum(tally.counts) - tally.counts[Group.SOS] - tally.counts[Group.BULK]
    return max(0, min(paced - tally.counts[group], allowance.bundles - others))
