"""Counts what an archive holds, a class and a day at a time; pure.

It is told rows and forgets them; what it keeps are sets of numbers and counts. Source: decision 61.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from meshnode.gateway.archive.facts import Arrival
from meshnode.gateway.report.groups import Arrivals, Delivery, coarse_s
from meshnode.retention import DataClass
from protocol.bundle import ScopeKind, decode_untrusted
from protocol.errors import RemoteProtocolError
from protocol.limits import Kind
from protocol.receipts import PAGE, decode_receipt_untrusted

__all__ = ["CLOCK_SLACK_MS", "OUTCOMES", "Cell", "Counting", "Devices", "Receipts", "bucket_of"]

CLOCK_SLACK_MS: Final = 5_000
"""A bundle that came so little before it was written took no time: two clocks are never one."""
OUTCOMES: Final = ("acknowledged", "at_centre", "pending", "unknown")
"""Receipted by a device; for the centre, and here; still under way; over, and nothing is known."""
_MESSAGES: Final = frozenset({int(Kind.TEXT), int(Kind.NOTE), int(Kind.SOS)})
_SIZES: Final = ((4, "squad_1_4"), (9, "squad_5_9"), (19, "squad_10_19"))
_TARGETS: Final = {
    int(ScopeKind.DEVICE): "device",
    int(ScopeKind.CODT): "centre",
    int(ScopeKind.ZONE): "zone",
}
_Page: TypeAlias = tuple[bytes, int, int]


class Devices:
    """Numbers for devices, so that no group keeps an id."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def number(self, node: bytes) -> int:
        """Return the number of a device."""
        return self._numbers.setdefault(node, len(self._numbers))


def bucket_of(scope: bytes, squad_devices: Mapping[bytes, int]) -> str:
    """Return for whom a bundle is, squads by their size."""
    target = _TARGETS.get(scope[0])
    if target is not None:
        return target
    size = squad_devices.get(scope)
    if size is None:
        return "squad_unknown"
    return next((name for most, name in _SIZES if size <= most), "squad_20_more")


class Receipts:
    """Which bundles somebody but their author has, by the receipts of the archive."""

    def __init__(self) -> None:
        self._pages: dict[_Page, int] = {}
        self.unreadable = 0
        """Receipts that say nothing that can be read."""

    def take(self, containers: Iterable[bytes]) -> None:
        """Note what receipts say; they were verified when they were taken in."""
        for raw in containers:
            try:
                bundle = decode_untrusted(raw)
                receipt = decode_receipt_untrusted(bundle.body)
            except RemoteProtocolError:
                self.unreadable += 1
                continue
            header = bundle.header
            if header.scope.kind is not ScopeKind.DEVICE or header.scope.target == header.author:
                continue
            bits = 0
            for first, count in receipt.runs:
                bits |= ((1 << count) - 1) << first
            page = (header.scope.target, receipt.incarnation, receipt.page)
            self._pages[page] = self._pages.get(page, 0) | bits

    def has(self, author: bytes, incarnation: int, seq: int) -> bool:
        """Return whether a receipt names a bundle."""
        page, place = divmod(seq, PAGE)
        return bool(self._pages.get((author, incarnation, page), 0) >> place & 1)


@dataclass(frozen=True, slots=True)
class Cell:
    """By what bundles are told apart."""

    day: int
    """Since 1970, UTC."""
    data_class: DataClass
    """Of the bundles."""
    zone: int
    """That they are for."""
    addressee: str
    """For whom in it."""


@dataclass(slots=True)
class _Leaf:
    arrivals: Arrivals = field(default_factory=Arrivals)
    delivery: Delivery = field(default_factory=Delivery)


class Counting:
    """Arrivals and messages by day, class, zone and addressee."""

    def __init__(
        self, devices: Devices, receipts: Receipts, squad_devices: Mapping[bytes, int], now_ms: int
    ) -> None:
        self._devices = devices
        self._receipts = receipts
        self._squads = squad_devices
        self._now_ms = now_ms
        self.arrivals: dict[str, dict[str, Arrivals]] = {}
        """Groups by breakdown and name."""
        self.delivery: dict[str, dict[str, Delivery]] = {}
        """Of messages alone."""

    def take(self, data_class: DataClass, day: int, rows: Iterable[Arrival]) -> None:
        """Count the bundles of a class and day. Cost: about 2 µs each."""
        leaves: dict[tuple[int, str], _Leaf] = {}
        buckets: dict[bytes, str] = {}
        for row in rows:
            scope = row.scope
            bucket = buckets.get(scope)
            if bucket is None:
                bucket = buckets[scope] = bucket_of(scope, self._squads)
            leaf = leaves.get((row.zone, bucket))
            if leaf is None:
                leaf = leaves[row.zone, bucket] = _Leaf()
            self._count(row, leaf)
        for (zone, bucket), leaf in leaves.items():
            self._add(Cell(day, data_class, zone, bucket), leaf)

    def _count(self, row: Arrival, leaf: _Leaf) -> None:
        device = self._devices.number(row.author)
        came = leaf.arrivals
        came.devices.add(device)
        came.bundles += 1
        delay_ms = row.arrived_ms - row.created_ms
        if delay_ms < -CLOCK_SLACK_MS:
            came.ahead += 1
        else:
            came.timed.add(device)
            came.delays[coarse_s(max(delay_ms, 0))] += 1
        if row.kind in _MESSAGES:
            leaf.delivery.devices.add(device)
            leaf.delivery.outcomes[self._outcome(row)] += 1

    def _outcome(self, row: Arrival) -> str:
        if self._receipts.has(row.author, row.incarnation, row.seq):
            return "acknowledged"
        if row.scope[0] == ScopeKind.CODT:
            return "at_centre"
        return "pending" if row.expires_ms > self._now_ms else "unknown"

    def _add(self, cell: Cell, leaf: _Leaf) -> None:
        names = {
            "total": "",
            "by_day": str(cell.day),
            "by_class": str(cell.data_class),
            "by_zone": str(cell.zone),
            "by_addressee": cell.addressee,
        }
        for breakdown, name in names.items():
            came = self.arrivals.setdefault(breakdown, {})
            came.setdefault(name, Arrivals()).add(leaf.arrivals)
            if leaf.delivery.devices:
                told = self.delivery.setdefault(breakdown, {})
                told.setdefault(name, Delivery()).add(leaf.delivery)
