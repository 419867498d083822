"""What receipts say has arrived, so that carriers stop carrying it.

Receipts are signed, in clear to enrolled devices, cumulative and superseding (wire-format 4.12);
this keeps them as bit sets per (author, incarnation, page). A recipient can only receipt for
itself, and lets go of nothing that it has not receipted itself; so a lie keeps carriers from
bringing things, to itself or, from a member of the operations centre, to that centre. Nothing here
opens a bundle. Source: DESIGN D3, routing point 4.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from meshnode.directory import Directory
from protocol.bundle import Bundle, Scope, ScopeKind
from protocol.errors import RemoteProtocolError
from protocol.ids import NodeId
from protocol.limits import IMMUNITY_PAGES_MAX, Kind
from protocol.receipts import PAGE, Receipt, decode_receipt_untrusted, page_of

__all__ = ["Covered", "Immunity"]

_FOR_EACH: Final = frozenset({Kind.CHAIN_KEYS, Kind.SOS})
"""Goes on to every member of the operations centre, whatever one of them says."""
_PageKey = tuple[NodeId, int, int]
"""Author, incarnation, page."""


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
    """Bit sets of receipted seqs: 128 bytes per author, page and recipient.

    At most `IMMUNITY_PAGES_MAX` pages are remembered, the latest heard of; a page that was
    forgotten costs bytes on the air, never a message.
    """

    def __init__(self, node: NodeId) -> None:
        """`node` is this one."""
        self._node = node
        self._pages: OrderedDict[_PageKey, dict[NodeId, int]] = OrderedDict()

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
        self._pages.move_to_end(key)
        if len(self._pages) > IMMUNITY_PAGES_MAX:
            self._pages.popitem(last=False)
        before = page.get(bundle.header.author, 0)
        after = before | _bits(receipt)
        page[bundle.header.author] = after
        return _runs(key, after & ~before)

    def has_all(
        self, name: tuple[NodeId, int, int], kind: Kind, scope: Scope, directory: Directory
    ) -> bool:
        """True if everybody whom the bundle (author, incarnation, seq) is for has receipted it.

        For the operations centre one of its members is enough, but not for chain keys, which each
        of them needs, nor for an SOS; and a member itself goes by its own receipt, and keeps a
        chunk until all members have it, or two might hold one half of a file each. A bundle for a
        whole zone is never complete and lives until it expires.
        """
        author, incarnation, seq = name
        page = self._pages.get((author, incarnation, page_of(seq)))
        if not page or scope.kind is ScopeKind.ZONE:
            return False
        bit = 1 << (seq % PAGE)
        holders = {node for node, bits in page.items() if bits & bit}
        if not holders:
            return False
        if kind is Kind.CHUNK and author in holders:
            # Withdrawn: only its author can receipt a bundle in its own name (wire-format 4.19).
            return True
        recipients = directory.recipients(scope, author)
        is_outside = self._node not in recipients
        if self._node in recipients and self._node not in holders:
            return False
        is_for_any = kind not in _FOR_EACH and (kind is not Kind.CHUNK or is_outside)
        if scope.kind is ScopeKind.CODT and is_for_any:
            return not holders.isdisjoint(recipients)
        return bool(recipients) and recipients <= holders


def _bits(receipt: Receipt) -> int:
    bits = 0
    for first, count in receipt.runs:
        bits |= ((1 << count) - 1) << first
    return bits


def _runs(key: _PageKey, bits: int) -> tuple[Covered, ...]:
    author, incarnation, page = key
    base, runs = page * PAGE, []
    while bits:
        first = (bits & -bits).bit_length() - 1
        length = (~(bits >> first) & ((bits >> first) + 1)).bit_length() - 1
        runs.append(Covered(author, incarnation, base + first, base + first + length - 1))
        bits &= ~(((1 << length) - 1) << first)
    return tuple(runs)
