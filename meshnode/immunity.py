"""What receipts say has arrived, so that carriers stop carrying it.

Receipts are signed, in clear to enrolled devices, cumulative and superseding (wire-format 4.12);
this keeps them as bit sets per (author, incarnation, page). A recipient can only receipt for
itself, so a lie costs its own copy alone. Nothing here opens a bundle. Source: DESIGN D3,
routing point 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from meshnode.directory import Directory
from protocol.bundle import Bundle, Scope, ScopeKind
from protocol.errors import RemoteProtocolError
from protocol.ids import BundleId, NodeId
from protocol.receipts import Receipt, decode_receipt_untrusted, page_of, page_seqs

__all__ = ["Covered", "Immunity"]


@dataclass(frozen=True, slots=True)
class Covered:
    """A run of bundles that one receipt covers."""

    author: NodeId
    """Whose bundles."""
    incarnation: int
    """Of the author's store."""
    first: int
    """First seq covered."""
    last: int
    """Last seq covered."""


class Immunity:
    """Bit sets of receipted seqs: memory grows with (author, page, recipient), 128 bytes each."""

    def __init__(self) -> None:
        self._pages: dict[tuple[NodeId, int, int], dict[NodeId, int]] = {}

    def learn(self, bundle: Bundle) -> tuple[Covered, ...]:
        """Take in a verified receipt bundle; return the runs that it newly covers.

        A body that is malformed, or a scope that is no device, is ignored: it has no effect.
        """
        scope = bundle.header.scope
        try:
            receipt = decode_receipt_untrusted(bundle.body)
        except RemoteProtocolError:
            return ()
        if scope.kind is not ScopeKind.DEVICE:
            return ()
        key = (scope.target, receipt.incarnation, receipt.page)
        page = self._pages.setdefault(key, {})
        before = page.get(bundle.header.author, 0)
        after = before | _bits(receipt)
        page[bundle.header.author] = after
        return _runs(key, after & ~before)

    def has_all(self, bundle: BundleId, scope: Scope, directory: Directory) -> bool:
        """True if everybody whom the bundle is for has receipted it.

        For the operations centre one of its members is enough; a bundle for a whole zone is
        never complete and lives until it expires.
        """
        page = self._pages.get((bundle.author, bundle.incarnation, page_of(bundle.seq)))
        if not page or scope.kind is ScopeKind.ZONE:
            return False
        bit = 1 << (bundle.seq % page_size())
        holders = {node for node, bits in page.items() if bits & bit}
        if not holders:
            return False
        recipients = directory.recipients(scope, bundle.author)
        if scope.kind is ScopeKind.CODT:
            return not holders.isdisjoint(recipients)
        return bool(recipients) and recipients <= holders


def page_size() -> int:
    """Seqs per receipt page."""
    return len(page_seqs(0))


def _bits(receipt: Receipt) -> int:
    bits = 0
    for first, count in receipt.runs:
        bits |= ((1 << count) - 1) << first
    return bits


def _runs(key: tuple[NodeId, int, int], bits: int) -> tuple[Covered, ...]:
    author, incarnation, page = key
    base, runs = page * page_size(), []
    while bits:
        first = (bits & -bits).bit_length() - 1
        length = (~(bits >> first) & ((bits >> first) + 1)).bit_length() - 1
        runs.append(Covered(author, incarnation, base + first, base + first + length - 1))
        bits &= ~(((1 << length) - 1) << first)
    return tuple(runs)


def runs_of(pages: Iterable[tuple[Covered, ...]]) -> list[Covered]:
    """Return all runs of several receipts in one list."""
    return [run for page in pages for run in page]
