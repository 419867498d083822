"""What receipts say has arrived, and authors took back, so that carriers stop carrying it.

Receipts are signed, in clear to enrolled devices, cumulative and superseding (wire-format 4.12);
this keeps them as bit sets per (author, incarnation, page). A recipient can only receipt for
itself, and lets go of nothing that it has not receipted itself; so a lie keeps carriers from
bringing things, to itself or, from a member of the operations centre, to that centre. An author can
take back its own texts alone (wire-format 4.30). Nothing here opens a bundle.
Source: DESIGN D3, routing point 4.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from meshnode.directory import Directory
from protocol.bundle import Bundle, Scope, ScopeKind
from protocol.cancels import CANCELLED_KINDS, decode_cancel_untrusted
from protocol.errors import RemoteProtocolError
from protocol.ids import NodeId
from protocol.limits import IMMUNITY_PAGES_MAX, Kind
from protocol.pages import PAGE, Runs, page_of
from protocol.receipts import decode_receipt_untrusted

__all__ = ["SETTLING", "Covered", "Immunity"]

SETTLING: Final = frozenset({Kind.RECEIPT, Kind.CANCEL})
"""Kinds in clear that say what need not be carried any more."""

_FOR_EACH: Final = frozenset({Kind.CHAIN_KEYS})
"""Goes on to every member of the operations centre, whatever one of them says."""
_KEPT_FOR_OTHERS: Final = frozenset({Kind.CHUNK, Kind.TRACK})
"""Carriers let go of it once one member has it, members when all have."""
_FOR_ALL_TIME: Final = frozenset({Kind.SOS, Kind.CANCEL})
"""Stays until it expires, whoever has it."""
_PageKey = tuple[NodeId, int, int]
"""Author, incarnation, page."""


@dataclass(frozen=True, slots=True)
class Covered:
    """A run of bundles that one receipt or cancellation covers."""

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
        self._cancelled: OrderedDict[_PageKey, int] = OrderedDict()

    def learn(self, bundle: Bundle) -> tuple[Covered, ...]:
        """Take in a verified receipt or cancellation; return the runs that it newly covers.

        A body that is malformed, or a receipt whose scope is no device, is ignored: it has no
        effect. The caller leaves out what a revoked author wrote.
        """
        if bundle.header.kind is Kind.CANCEL:
            return self._learn_cancel(bundle)
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
        after = before | _bits(receipt.runs)
        page[bundle.header.author] = after
        return _runs(key, after & ~before)

    def _learn_cancel(self, bundle: Bundle) -> tuple[Covered, ...]:
        header = bundle.header
        try:
            cancel = decode_cancel_untrusted(bundle.body)
        except RemoteProtocolError:
            return ()
        key = (header.author, header.incarnation, cancel.page)
        before = self._cancelled.get(key, 0)
        self._cancelled[key] = before | _bits(cancel.runs)
        self._cancelled.move_to_end(key)
        if len(self._cancelled) > IMMUNITY_PAGES_MAX:
            self._cancelled.popitem(last=False)
        return _runs(key, self._cancelled[key] & ~before)

    def has_all(
        self, name: tuple[NodeId, int, int], kind: Kind, scope: Scope, directory: Directory
    ) -> bool:
        """True if nobody needs the bundle (author, incarnation, seq) any more.

        Everybody whom it is for has receipted it, or its author took it back.
        For the operations centre one of its members is enough, but not for chain keys, which each
        of them needs; and a member itself goes by its own receipt, and keeps chunks and tracks
        until all members have them, or two might hold one half each. A bundle for a whole zone is
        never complete and lives until it expires. So does an SOS for whomever: the nearest
        colleague reads it too. And so does a cancellation: what it takes back may come from a
        carrier that was far away, also after a restart.
        """
        author, incarnation, seq = name
        key, bit = (author, incarnation, page_of(seq)), 1 << (seq % PAGE)
        if self._cancelled.get(key, 0) & bit and kind in CANCELLED_KINDS:
            return True
        page = self._pages.get(key)
        if not page or kind in _FOR_ALL_TIME:
            return False
        holders = {node for node, bits in page.items() if bits & bit}
        if kind is Kind.CHUNK and author in holders:
            # Withdrawn: only its author can receipt a bundle in its own name (wire-format 4.23).
            return True
        if not holders or scope.kind is ScopeKind.ZONE:
            return False
        recipients = directory.recipients(scope, author)
        is_outside = self._node not in recipients
        if self._node in recipients and self._node not in holders:
            return False
        is_for_any = kind not in _FOR_EACH and (kind not in _KEPT_FOR_OTHERS or is_outside)
        if scope.kind is ScopeKind.CODT and is_for_any:
            return not holders.isdisjoint(recipients)
        return bool(recipients) and recipients <= holders


def _bits(runs: Runs) -> int:
    bits = 0
    for first, count in runs:
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
