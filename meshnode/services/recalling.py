"""Sends a message again to those that lack it, and takes one back from whoever has not shown it.

A copy is a message of its own that names the first one inside its seal, so a device shows it once.
A cancellation is in clear, because carriers obey it too; it names the author's own texts alone.
Source: wire-format 4.30 and 4.31, decision 27.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from meshnode.author import Author, Draft
from meshnode.errors import SendError
from meshnode.membership import Membership
from meshnode.opening import Opened
from meshnode.reception import Checked
from meshnode.runtime import Runtime
from meshnode.services.reading import Reading
from meshnode.store import delivery, messages, reading, recipients
from meshnode.store.engine import Connection, Transaction
from meshnode.store.records import MessageRecord, MessageState, RecipientState
from protocol.bundle import Bundle, Header, Scope, ScopeKind, Suite
from protocol.cancels import (
    CANCELLED_KINDS,
    cancelled_seqs,
    decode_cancel_untrusted,
    encode_cancel,
    make_cancel,
)
from protocol.guards import CANCELS_OF_AUTHOR_MAX, COPIES_OF_MESSAGE_MAX
from protocol.ids import BundleId, NodeId
from protocol.limits import Kind
from protocol.pages import page_of
from protocol.payloads import Origin

__all__ = ["Recalling", "family", "lacking", "origin_of", "states"]

_HAVE: Final = frozenset(
    {
        RecipientState.AT_GATEWAY,
        RecipientState.ON_DEVICE,
        RecipientState.WITHDRAWN,
        RecipientState.READ,
    }
)


def family(conn: Connection, key: int) -> list[MessageRecord]:
    """Return a message and its copies, the first one first; a copy stands for all."""
    first = reading.origin(conn, key) or key
    keys = [first, *reading.copies(conn, [first])[first]]
    found = (messages.get(conn, each) for each in keys)
    return [record for record in found if record is not None]


def states(
    conn: Connection, group: Sequence[MessageRecord]
) -> dict[NodeId, tuple[RecipientState, int]]:
    """Return what is known of each recipient over all copies of one message, and since when."""
    known: dict[NodeId, tuple[RecipientState, int]] = {}
    for record in group:
        for each in recipients.recipients(conn, record.key):
            before = known.get(each.node)
            if before is None or recipients.joined(before[0], each.state) is not before[0]:
                known[each.node] = (each.state, each.at_ms)
    return known


def lacking(conn: Connection, group: Sequence[MessageRecord]) -> set[NodeId]:
    """Return the recipients of whom nothing says that they have any copy."""
    return {node for node, (state, _at) in states(conn, group).items() if state not in _HAVE}


def origin_of(conn: Connection, key: int) -> Origin | None:
    """Return what a copy repeats, as its payload names it; None for a message of its own."""
    first_key = reading.origin(conn, key)
    first = None if first_key is None else messages.get(conn, first_key)
    if first is None:
        return None
    return Origin(first.id.incarnation, first.id.seq, first.scope, first.created_ms)


class Recalling:
    """Takes back our own texts, and obeys others that take back theirs."""

    def __init__(
        self, author: Author, runtime: Runtime, membership: Membership, room: Reading
    ) -> None:
        self._author = author
        self._runtime = runtime
        self._membership = membership
        self._room = room

    # --- ours ---------------------------------------------------------------------------------

    def cancel(self, tx: Transaction, key: int) -> tuple[bool, list[Checked]]:
        """Take a message back with all its copies; return if that can change anything.

        False where its lifetime is over, everybody has read it, or it is taken back already.
        Raises: SendError (`alarm`), QuotaError, StoreFullError.
        """
        now_ms, conn = self._runtime.now_ms(), tx.connection
        group = family(conn, key)
        if any(record.kind not in CANCELLED_KINDS for record in group):
            raise SendError("alarm", "an alarm is not cancelled: close it, which all others see")
        known = [state for state, _at in states(conn, group).values()]
        if known and all(state is RecipientState.READ for state in known):
            return False, []
        made: list[Checked] = []
        scopes: set[tuple[bytes, int, int]] = set()
        is_changed = False
        for record in group:
            if record.expires_ms <= now_ms:
                continue
            if record.short_id is None:
                is_changed |= messages.cancel(tx, record.key, now_ms)
            elif reading.cancel(tx, record.id, record.scope, record.expires_ms, now_ms):
                messages.cancel(tx, record.key, now_ms, is_travelling=True)
                scopes.add((record.scope, record.id.incarnation, page_of(record.id.seq)))
                is_changed = True
        for scope, incarnation, page in sorted(scopes):
            if incarnation == tx.incarnation:
                made.append(self._tell(tx, scope, page))
        return is_changed, made

    def _tell(self, tx: Transaction, scope: bytes, page: int) -> Checked:
        """Make the bundle that names all that is taken back in a scope and page."""
        now_ms = self._runtime.now_ms()
        known = reading.cancelled(tx.connection, self._author.node, tx.incarnation, scope, now_ms)
        here = {seq: ends for seq, ends in known.items() if page_of(seq) == page}
        lifetime_s = max(1, -((now_ms - max(here.values())) // 1000))
        draft = Draft(
            Kind.CANCEL,
            Suite.CLEAR,
            Scope.decode_untrusted(scope),
            index=page & 0xFFFF_FFFF,
            lifetime_s=lifetime_s,
        )
        body = encode_cancel(make_cancel(page, here))
        made = self._author.make(tx, draft, partial(_given, body))
        self._membership.metrics.count("cancels_made")
        return made

    # --- those of others ----------------------------------------------------------------------

    def keep(self, tx: Transaction, bundle: Bundle, _open: Callable[[], Opened]) -> None:
        """Withdraw what its author took back, and say so; what was shown before stays.

        Raises: MalformedError, LimitExceededError.
        """
        header, now_ms = bundle.header, self._runtime.now_ms()
        directory = self._membership.directory
        cancel = decode_cancel_untrusted(bundle.body)
        if not directory.is_recipient(self._author.node, header.scope, header.author):
            return
        room, news = CANCELS_OF_AUTHOR_MAX - reading.count_of(tx.connection, header.author), False
        for seq in cancelled_seqs(cancel):
            message = BundleId(header.author, header.incarnation, seq)
            if reading.is_cancelled(tx.connection, message):
                continue
            if room <= 0:
                self._membership.metrics.count("cancels_refused", node=header.author)
                break
            reading.cancel(tx, message, header.scope.encode(), header.expires_ms, now_ms)
            room, news = room - 1, True
            self._withdraw(tx, message, now_ms)
        if news:
            self._room.note_due(tx, header.scope, header.author)
        known = (header.author, header.incarnation, header.seq)
        delivery.note_received(tx, *known, bundle.digest, now_ms)

    def _withdraw(self, tx: Transaction, message: BundleId, now_ms: int) -> None:
        found = reading.withdraw(tx, message, now_ms)
        is_too_late = found is not None and not found[1]
        self._membership.metrics.count("cancels_too_late" if is_too_late else "cancels_obeyed")
        if found is not None:
            self._room.note_changed(found[0])

    # --- sending again ------------------------------------------------------------------------

    def targets(
        self, conn: Connection, group: Sequence[MessageRecord], to: NodeId | None
    ) -> tuple[Scope, list[NodeId]]:
        """Return whom a new copy is for: a scope, and those of it that lack the message.

        One alone gets it under its own key. Raises: SendError (`alarm`, `cancelled`, `copies`,
        `no_recipient`, `has_it`, `nobody`).
        """
        _check_repeatable(conn, group)
        first, directory = group[0], self._membership.directory
        known, without = states(conn, group), lacking(conn, group)
        if to is not None:
            name = directory.name_of(to)
            if to not in known:
                raise SendError("no_recipient", f"this message was never for {name}")
            if to not in without:
                raise SendError("has_it", f"{name} has this message already")
            without = {to}
        without -= directory.revoked.keys()
        scope = Scope.decode_untrusted(first.scope)
        if scope.kind is ScopeKind.CODT and to is None and len(without) < len(known):
            # One member of the centre has it, which is enough.
            without = set()
        if not without:
            raise SendError("nobody", "nobody lacks this message, or who does was revoked")
        if scope.kind is ScopeKind.SQUAD and len(without) == 1:
            (node,) = without
            member = directory.member(node)
            if member is not None:
                scope = Scope.for_device(member.zone, node)
        return scope, sorted(without)


def _check_repeatable(conn: Connection, group: Sequence[MessageRecord]) -> None:
    """Raises: SendError where this message is not to be sent again."""
    first = group[0]
    if first.kind not in CANCELLED_KINDS:
        raise SendError("alarm", "an alarm repeats itself until it is taken: nothing to resend")
    if any(reading.is_cancelled(conn, each.id) for each in group) or _is_taken_back(first):
        raise SendError("cancelled", "this message was cancelled: write a new one")
    if len(group) > COPIES_OF_MESSAGE_MAX:
        most = COPIES_OF_MESSAGE_MAX
        raise SendError("copies", f"this message was sent again {most} times: write a new one")


def _is_taken_back(first: MessageRecord) -> bool:
    return first.state is MessageState.REFUSED and first.reason == "cancelled"


def _given(body: bytes, _header: Header) -> bytes:
    return body
