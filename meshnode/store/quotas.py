"""What each author made, hour by hour of its own clock, and what of it is held here.

Two small tables, changed in the transaction that stores or drops the bundles, so that a restart
forgives nobody anything. Hours older than `QUOTA_HOURS_KEPT` are not counted: the share alone
bounds those. Source: security 2.13, wire-format 4.16.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

from sqlalchemy import Connection, bindparam, delete, select

from meshnode.store.engine import Transaction
from meshnode.store.records import BundleRecord, BundleSummary
from meshnode.store.schema import QuotaRow, table
from meshnode.store.statements import run_many, select_many
from protocol.guards import QUOTA_AHEAD_MAX, QUOTA_HOURS_KEPT
from protocol.ids import NodeId
from protocol.limits import (
    CLOCK_DRIFT_MS_MAX,
    STORE_INTERESTS_MAX,
    STORE_ROW_BYTES,
    Kind,
    TrafficClass,
)
from protocol.quota import GROUPS, Allowance, Group, Holding, Tally, fits, hour_of, is_within
from protocol.reports import Reception

__all__ = [
    "Claim",
    "Figures",
    "Meter",
    "bound_zones",
    "charge",
    "claim_of",
    "holding_of",
    "let_go",
    "prune_hours",
    "tally_of",
]

_QUOTA = table(QuotaRow)
_HOUR_MS: Final = 3_600_000

_SELECT_HOURS: Final = (
    "WITH want (node, hour) AS (VALUES %s) "
    "SELECT want.node, want.hour, texts, states, positions, sos, bulk, size_bytes, bulk_bytes "
    "FROM want CROSS JOIN quota WHERE quota.node = want.node AND quota.hour = want.hour"
)
_SELECT_HOLDINGS: Final = (
    "SELECT node, live_bytes, sos_bytes, hour, arrived_bytes, bulk_bytes, bulk_arrived_bytes "
    "FROM holding WHERE node IN (%s)"
)
_PUT_HOUR: Final = (
    "INSERT INTO quota (node, hour, texts, states, positions, sos, bulk, size_bytes, bulk_bytes) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (node, hour) DO UPDATE SET "
    "texts = excluded.texts, states = excluded.states, positions = excluded.positions, "
    "sos = excluded.sos, bulk = excluded.bulk, size_bytes = excluded.size_bytes, "
    "bulk_bytes = excluded.bulk_bytes"
)
# Added, not set: what is evicted for this very batch is taken off in between.
_ADD_HOLDING: Final = (
    "INSERT INTO holding "
    "(node, live_bytes, sos_bytes, bulk_bytes, hour, arrived_bytes, bulk_arrived_bytes) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (node) DO UPDATE SET "
    "live_bytes = live_bytes + excluded.live_bytes, sos_bytes = sos_bytes + excluded.sos_bytes, "
    "bulk_bytes = bulk_bytes + excluded.bulk_bytes, hour = excluded.hour, "
    "arrived_bytes = excluded.arrived_bytes, bulk_arrived_bytes = excluded.bulk_arrived_bytes"
)
_LET_GO: Final = (
    "UPDATE holding SET live_bytes = max(0, live_bytes - ?), sos_bytes = max(0, sos_bytes - ?), "
    "bulk_bytes = max(0, bulk_bytes - ?) WHERE node = ?"
)
_COUNT_AHEAD: Final = (
    "SELECT COUNT(*) FROM bundle WHERE author = (SELECT key FROM author WHERE node = ?) AND hlc > ?"
)
_FORGET_HOURS: Final = delete(_QUOTA).where(_QUOTA.c.hour < bindparam("first_hour"))


_SOS_PLACE: Final = int(Group.SOS)
_PLACES: Final = tuple(int(GROUPS[Kind(each)]) if each in GROUPS else 0 for each in range(256))
"""Group of each kind by its number: a tuple is asked in a fifth of the time of a dictionary."""
_BULK_PLACE: Final = int(Group.BULK)
_BYTES: Final = len(Group)
"""Place of the bytes behind the counts; those of SOS and of bulk follow."""
_SOS_BYTES: Final = _BYTES + 1
_BULK_BYTES: Final = _BYTES + 2
_BYTE_PLACES: Final = tuple(
    {_SOS_PLACE: _SOS_BYTES, _BULK_PLACE: _BULK_BYTES}.get(place, _BYTES) for place in _PLACES
)
"""Place of the bytes of each kind by its number."""
_SOS_SHARE: Final = 1
_BULK_SHARE: Final = 2
_SHARES: Final = tuple(
    {_SOS_PLACE: _SOS_SHARE, _BULK_PLACE: _BULK_SHARE}.get(place, 0) for place in _PLACES
)
"""Which share each kind is charged to, by its number: 0 is that of all others."""
_NOTHING: Final = Tally.empty()
_ZONES_MAX: Final = STORE_INTERESTS_MAX // len(TrafficClass)
"""Zones with something in them: all classes of each find a place among the interests."""


class Claim(NamedTuple):
    """What of a bundle its author's quota is about; cheap, because each bundle makes one."""

    author: NodeId
    """Who says to have written it."""
    kind: Kind
    """What it is."""
    hlc: int
    """Its stamp."""
    size_bytes: int
    """Of its container."""


Figures: TypeAlias = tuple[NodeId, Kind, int, int]
"""What `Claim` holds, in its order, where it is only counted: made in a third of the time."""
_FIGURES: Final = attrgetter("author", "kind", "hlc", "size_bytes")


def claim_of(record: BundleRecord) -> Claim:
    """Return what of a row its author's quota is about."""
    return Claim(record.author, record.kind, record.hlc, record.size_bytes)


def bound_zones(tx: Transaction, fresh: dict[int, BundleRecord], fates: list[Reception]) -> None:
    """Refuse bundles of more zones than the store keeps sketches for.

    By zone and not by interest: whoever writes for every zone must not keep the first SOS of a
    zone out that this device carries for.
    """
    held = {interest.zone for interest in tx.interests()}
    new = sorted({record.zone for record in fresh.values()} - held)
    refused = set(new[max(0, _ZONES_MAX - len(held)) :])
    if refused:
        for position, record in list(fresh.items()):
            if record.zone in refused:
                fates[position] = Reception.QUOTA
                del fresh[position]


def charge(
    tx: Transaction,
    fresh: dict[int, BundleRecord],
    fates: list[Reception],
    allowed: Mapping[NodeId, Allowance],
    now_ms: int,
) -> Callable[[], None]:
    """Charge `fresh`, by position in its batch, and refuse there what is beyond a quota.

    An author that `allowed` does not name is counted and bounded by nothing. Returns what to call
    once it is known what of `fresh` is held: what had no room is not charged after all, and what
    was replaced or contradicted stays counted as made.
    """
    meter = Meter(tx.connection, list(map(_FIGURES, fresh.values())), now_ms)
    if meter.is_roomy(allowed):
        meter.charge_everything()
    else:
        for position, record in list(fresh.items()):
            claim, allowance = claim_of(record), allowed.get(record.author)
            if allowance is None or meter.has_room(claim, allowance):
                meter.charge(claim)
            else:
                fates[position] = Reception.QUOTA
                del fresh[position]
    charged = dict(fresh)

    def settle() -> None:
        for position in charged.keys() - fresh.keys():
            is_uncounted = fates[position] is Reception.STORE_FULL
            meter.take_off(claim_of(charged[position]), is_uncounted=is_uncounted)
        meter.save(tx)

    return settle


class Meter:
    """The quotas of the authors of one batch: read at once, changed in memory, written at once.

    `has_room` changes nothing: what is charged is only what passed every other check, so that a
    forged bundle costs the author whose name it bears nothing.
    """

    def __init__(self, conn: Connection, claims: Collection[Figures], now_ms: int) -> None:
        """Read what the batch needs; a `Claim` is also such figures.

        Cost: two statements, 0.5 µs per claim, and a statement per author that is dated ahead.
        """
        self._arrival_hour = now_ms // _HOUR_MS
        self._first_hour = self._arrival_hour - QUOTA_HOURS_KEPT
        self._due = (now_ms + CLOCK_DRIFT_MS_MAX) << 16 | 0xFFFF
        self._tallies: dict[tuple[NodeId, int], Tally] = {}
        self._holdings: dict[NodeId, Holding] = {}
        self._ahead: dict[NodeId, int] = {}
        self._changed: set[tuple[NodeId, int]] = set()
        self._more: dict[NodeId, list[int]] = {}
        self._demand = self._demand_of(conn, claims)
        authors = sorted({author for author, _hour in self._demand})
        counted = sorted(each for each in self._demand if each[1] >= self._first_hour)
        for node, hour, *counts, size_bytes, bulk_bytes in select_many(
            conn, _SELECT_HOURS, counted
        ):
            self._tallies[node, hour] = Tally(list(counts), size_bytes, bulk_bytes)
        for node, *figures in select_many(conn, _SELECT_HOLDINGS, authors):
            self._holdings[node] = Holding(*figures)

    def _demand_of(
        self, conn: Connection, claims: Collection[Figures]
    ) -> dict[tuple[NodeId, int], list[int]]:
        """Return what all claims amount to: per author and hour, counts and bytes.

        The loop that every bundle goes through: plain numbers, nothing called.
        """
        demand: dict[tuple[NodeId, int], list[int]] = {}
        due = self._due
        for author, kind, hlc, size_bytes in claims:
            key = (author, (hlc >> 16) // _HOUR_MS)
            row = demand.get(key)
            if row is None:
                row = demand[key] = [0] * (_BULK_BYTES + 1)
            row[_PLACES[kind]] += 1
            row[_BYTE_PLACES[kind]] += size_bytes
            if hlc > due and author not in self._ahead:
                found = conn.exec_driver_sql(_COUNT_AHEAD, (author, due))
                self._ahead[author] = int(found.scalar_one())
        return demand

    def is_roomy(self, allowed: Mapping[NodeId, Allowance]) -> bool:
        """True if there is room for the whole batch, so that nobody need ask for each bundle."""
        if self._ahead:
            return False
        shares: dict[NodeId, list[int]] = {}
        for (author, hour), row in self._demand.items():
            allowance = allowed.get(author)
            if allowance is None:
                continue
            tally = self._tallies.get((author, hour)) or _NOTHING
            if not all(
                made + new <= most
                for made, new, most in zip(tally.counts, row, allowance.counts, strict=False)
            ):
                return False
            if _others(tally.counts) + _others(row) > allowance.bundles:
                return False
            if tally.bytes + row[_BYTES] > allowance.hour_bytes:
                return False
            if tally.bulk_bytes + row[_BULK_BYTES] > allowance.hour_bulk_bytes:
                return False
            share = shares.setdefault(author, [0, 0, 0])
            for place, charged in enumerate(_charged(row)):
                share[place] += charged
        return all(
            self._is_within(author, share, allowed[author]) for author, share in shares.items()
        )

    def _is_within(self, author: NodeId, share: Sequence[int], allowance: Allowance) -> bool:
        live_bytes, sos_bytes, bulk_bytes = share
        holding = self._holdings.get(author) or Holding()
        arrived_bytes = holding.arrived_in(self._arrival_hour)
        bulk_arrived_bytes = holding.bulk_arrived_in(self._arrival_hour)
        return (
            max(holding.live_bytes, arrived_bytes) + live_bytes <= allowance.share_bytes
            and holding.sos_bytes + sos_bytes <= allowance.sos_bytes
            and max(holding.bulk_bytes, bulk_arrived_bytes) + bulk_bytes
            <= allowance.bulk_share_bytes
        )

    def charge_everything(self) -> None:
        """Charge the whole batch at once; what it amounts to is known already."""
        for (author, hour), row in self._demand.items():
            if hour >= self._first_hour:
                tally = self._tallies.setdefault((author, hour), Tally.empty())
                for place in range(_BYTES):
                    tally.counts[place] += row[place]
                tally.bytes += row[_BYTES]
                tally.bulk_bytes += row[_BULK_BYTES]
                self._changed.add((author, hour))
            charged = _charged(row)
            live_bytes, sos_bytes, bulk_bytes = charged
            holding = self._holdings.setdefault(author, Holding())
            holding.begin(self._arrival_hour)
            holding.arrived_bytes += live_bytes
            holding.bulk_arrived_bytes += bulk_bytes
            holding.live_bytes += live_bytes
            holding.sos_bytes += sos_bytes
            holding.bulk_bytes += bulk_bytes
            more = self._more.setdefault(author, [0, 0, 0])
            for place, by in enumerate(charged):
                more[place] += by

    def has_room(self, claim: Claim, allowance: Allowance) -> bool:
        """True if one more bundle is within the hour, the share and the ones held for later."""
        author, kind, hlc, size_bytes = claim
        group, hour = GROUPS[kind], hour_of(hlc)
        tally = self._tallies.get((author, hour))
        if tally is not None and not fits(tally, allowance, group, size_bytes):
            return False
        if hlc > self._due and self._ahead[author] >= QUOTA_AHEAD_MAX:
            return False
        holding = self._holdings.get(author)
        return holding is None or is_within(
            holding, allowance, group, size_bytes, self._arrival_hour
        )

    def charge(self, claim: Claim) -> None:
        """Count a bundle that passed every check."""
        self._count(claim, 1)
        self._hold(claim, 1)

    def take_off(self, claim: Claim, *, is_uncounted: bool) -> None:
        """A charged bundle is not held after all.

        `is_uncounted` says that it may come again and is counted then; else it was made, and stays
        counted as made.
        """
        if is_uncounted:
            self._count(claim, -1)
        self._hold(claim, -1)

    def _count(self, claim: Claim, by: int) -> None:
        author, kind, hlc, size_bytes = claim
        hour = hour_of(hlc)
        if hour >= self._first_hour:
            tally = self._tallies.get((author, hour))
            if tally is None:
                tally = self._tallies[author, hour] = Tally.empty()
            tally.add(GROUPS[kind], size_bytes, by)
            self._changed.add((author, hour))
        holding = self._holdings.get(author)
        if holding is None:
            holding = self._holdings[author] = Holding()
        if kind is not Kind.SOS:
            charged = by * (size_bytes + STORE_ROW_BYTES)
            holding.begin(self._arrival_hour)
            if _SHARES[kind] == _BULK_SHARE:
                holding.bulk_arrived_bytes += charged
            else:
                holding.arrived_bytes += charged

    def _hold(self, claim: Claim, by: int) -> None:
        charged = by * (claim.size_bytes + STORE_ROW_BYTES)
        if claim.hlc > self._due:
            self._ahead[claim.author] += by
        holding = self._holdings[claim.author]
        more = self._more.setdefault(claim.author, [0, 0, 0])
        share = _SHARES[claim.kind]
        if share == _SOS_SHARE:
            holding.sos_bytes += charged
        elif share == _BULK_SHARE:
            holding.bulk_bytes += charged
        else:
            holding.live_bytes += charged
        more[share] += charged

    def save(self, tx: Transaction) -> None:
        """Write what was charged, in the transaction that stores it."""
        hours = [
            (node, hour, *tally.counts, tally.bytes, tally.bulk_bytes)
            for (node, hour) in sorted(self._changed)
            for tally in (self._tallies[node, hour],)
        ]
        run_many(tx.connection, _PUT_HOUR, hours)
        held = [
            (node, *self._more[node], each.hour, each.arrived_bytes, each.bulk_arrived_bytes)
            for node in sorted(self._more)
            for each in (self._holdings[node],)
        ]
        run_many(tx.connection, _ADD_HOLDING, held)


def _others(counts: Sequence[int]) -> int:
    """Return how many bundles of counts by group are neither SOS nor bulk."""
    return sum(counts[:_BYTES]) - counts[_SOS_PLACE] - counts[_BULK_PLACE]


def _charged(row: Sequence[int]) -> tuple[int, int, int]:
    """Return what a row of demand takes of the share, of that for SOS, and of that for bulk."""
    return (
        row[_BYTES] + _others(row) * STORE_ROW_BYTES,
        row[_SOS_BYTES] + row[_SOS_PLACE] * STORE_ROW_BYTES,
        row[_BULK_BYTES] + row[_BULK_PLACE] * STORE_ROW_BYTES,
    )


def let_go(tx: Transaction, dropped: Sequence[BundleSummary]) -> None:
    """Give the room of dropped bundles back to their authors' shares."""
    gone: dict[NodeId, list[int]] = {}
    for summary in dropped:
        figures = gone.setdefault(summary.author, [0, 0, 0])
        figures[_SHARES[summary.kind]] += summary.size_bytes + STORE_ROW_BYTES
    run_many(tx.connection, _LET_GO, [(*gone[node], node) for node in sorted(gone)])


def tally_of(conn: Connection, node: NodeId, hour: int) -> Tally:
    """Return what `node` made within one hour of its clock, as far as this store took it."""
    row = conn.execute(select(_QUOTA).where(_QUOTA.c.node == node, _QUOTA.c.hour == hour)).first()
    if row is None:
        return Tally.empty()
    return Tally(
        [row.texts, row.states, row.positions, row.sos, row.bulk], row.size_bytes, row.bulk_bytes
    )


def holding_of(conn: Connection, node: NodeId) -> Holding:
    """Return what this store holds of one author, and took in lately."""
    for _node, *figures in select_many(conn, _SELECT_HOLDINGS, [node]):
        return Holding(*figures)
    return Holding()


def prune_hours(tx: Transaction, now_ms: int) -> int:
    """Forget hours that are no longer counted; return how many rows went."""
    first = now_ms // _HOUR_MS - QUOTA_HOURS_KEPT
    return tx.connection.execute(_FORGET_HOURS, {"first_hour": first}).rowcount
