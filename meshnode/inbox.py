"""Opens what is for this device, once, and keeps it: messages, prekeys, chain keys, requests.

The relay queues a bundle here in the transaction that stores it; opening, keeping and the duty to
receipt it are one transaction too, so a crash at any moment loses nothing and shows nothing
twice. What cannot be opened yet waits for its key and says so. Source: DESIGN section 4,
security 2.5 and 2.6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import trio

from meshnode.chain_keeper import ChainKeeper
from meshnode.errors import StoreFullError
from meshnode.events import AlarmChanged, Events, MessageArrived
from meshnode.key_requests import KeyRequests
from meshnode.links.level import Level
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.network_keys import KeyRenewal
from meshnode.opening import DUE, Opened, Opener, Waits, due_keyref
from meshnode.positions import Positions
from meshnode.reception import Checked
from meshnode.relay import Relay
from meshnode.runtime import Runtime
from meshnode.services.alarms import Alarms
from meshnode.services.attachments import Attachments
from meshnode.services.sheets import Sheets
from meshnode.shift_ends import ShiftEnds
from meshnode.store import bundles as rows
from meshnode.store import delivery, keyring, messages, reading
from meshnode.store.engine import Store, Transaction
from meshnode.store.records import IncomingReason, NewMessage, Unopened
from protocol import bundle as bundles
from protocol import hlc
from protocol.bundle import Bundle, Header, Scope, ScopeKind
from protocol.chains import AlreadyUsedError
from protocol.envelope import check_prekey, decode_prekey_untrusted
from protocol.errors import EnvelopeError, IdentityError, MalformedError, RemoteProtocolError
from protocol.ids import BundleId, ShortId
from protocol.limits import CLOCK_DRIFT_MS_MAX, OPEN_BATCH_MAX, RECEIVING_CHAIN_KEEP_MS, Kind
from protocol.payloads import Attached, Sos, Text
from protocol.receipts import KeyRequest, decode_key_request_untrusted
from protocol.shifts import split_subject

__all__ = ["Inbox", "InboxParts", "Keep"]

_DUE_BYTES: Final = 9
_AGAIN: Final = "messages_again"
_OPENED_ASTRAY: Final = frozenset({Kind.TEXT, Kind.NOTE, Kind.SOS, Kind.POSITION, Kind.CHAIN_KEYS})
"""What people read, and see that its author was revoked, and the keys that it is under."""


Keep: TypeAlias = Callable[[Transaction, Bundle, Callable[[], Opened]], Opened | None]
"""Keeps a bundle of another device: opens it by the function given, and says what it opened.

None where it needed no key. Raises: NoKeyError, MalformedError and what opening raises.
"""


@dataclass(frozen=True, slots=True)
class InboxParts:
    """What an inbox is built from."""

    store: Store
    """Where bundles and messages lie."""
    runtime: Runtime
    """The seams."""
    membership: Membership
    """Who is who."""
    opener: Opener
    """The room with the keys."""
    keeper: ChainKeeper
    """Gives our own chains to those who ask."""
    positions: Positions
    """Keeps where others are while their shift lasts."""
    alarms: Alarms
    """Keeps the steps of alarms."""
    keepers: Mapping[Kind, Keep]
    """Who keeps what is of another kind than those that the inbox knows itself."""
    attachments: Attachments
    """Keeps the files that go with messages."""
    sheets: Sheets
    """Keeps reflex sheets."""
    ends: ShiftEnds
    """Erases what hangs on shifts that are over."""
    renewal: KeyRenewal
    """Takes the weekly keys of the network."""
    requests: KeyRequests
    """Asks authors for keys that are missing here."""
    relay: Relay
    """Carries what is made here."""
    events: Events
    """Who watches."""
    metrics: Metrics
    """Counters."""
    on_prekey: Callable[[], None]
    """Wakes the outbox: a prekey that it may wait for has come."""
    on_received: Callable[[], None]
    """Wakes the writer of receipts."""
    on_kept: Callable[[], None]
    """Called after each commit: a keeper may have something to tell."""


@dataclass(slots=True)
class _Work:
    """What one transaction did, to be announced after its commit."""

    arrived: list[tuple[int, BundleId]] = field(default_factory=list)
    """Messages kept: local number and identity."""
    alarms: list[AlarmChanged] = field(default_factory=list)
    """Steps of alarms that changed something."""
    made: list[Checked] = field(default_factory=list)
    """Bundles made in answer."""
    received: int = 0
    """Bundles whose receipt is due."""
    counts: dict[str, int] = field(default_factory=dict)
    """Metrics to raise."""
    has_chunks: bool = False
    """Pieces of a file were kept."""
    has_prekey: bool = False
    """A newer prekey of somebody is known."""

    def count(self, name: str) -> None:
        """Raise a metric once the transaction is through."""
        self.counts[name] = self.counts.get(name, 0) + 1


class Inbox:
    """Works through the queue of unopened bundles."""

    def __init__(self, parts: InboxParts) -> None:
        self._parts = parts
        self._store = parts.store
        self._runtime = parts.runtime
        self._membership = parts.membership
        self._node = parts.opener.node
        self.wake = Level()
        """Set when something for this device was stored, or a key came."""

    async def run(self) -> None:
        """Open what comes, until cancelled. Raises: StoreError."""
        while True:
            while await self.open_some():
                pass
            wait_ms = await self._later_ms()
            with trio.move_on_after(float("inf") if wait_ms is None else wait_ms / 1000):
                await self.wake.wait()

    async def _later_ms(self) -> int | None:
        """Do what is due by time; return how long until something else is, None for never."""
        now_ms = self._runtime.now_ms()
        waiting = await self._store.read(lambda conn: delivery.waiting_keys(conn, OPEN_BATCH_MAX))
        due = [each for each in waiting if _due_ms(each.keyref) is not None]
        ripe = [each.keyref for each in due if (_due_ms(each.keyref) or 0) <= now_ms]
        if ripe:
            await self._store.write(lambda tx: [delivery.requeue(tx, keyref) for keyref in ripe])
            return 0
        made, wait_ms = await self._parts.requests.make_due(
            [each for each in waiting if _due_ms(each.keyref) is None]
        )
        await self._parts.relay.announce(made, None)
        waits = [(_due_ms(each.keyref) or 0) - now_ms for each in due]
        if wait_ms is not None:
            waits.append(wait_ms)
        return max(0, min(waits)) if waits else None

    async def open_some(self) -> int:
        """Open a batch of the queue; return how many bundles left it. Raises: StoreError."""
        queue = await self._store.read(lambda conn: delivery.unopened(conn, OPEN_BATCH_MAX))
        if not queue:
            return 0
        raws = await self._store.read(
            lambda conn: rows.raw_many(conn, [each.short_id for each in queue])
        )
        await self._announce(await self._store.write(lambda tx: self._open_all(tx, queue, raws)))
        await self._parts.ends.empty_log()
        return len(queue)

    async def _announce(self, work: _Work) -> None:
        for name, by in work.counts.items():
            self._parts.metrics.count(name, by)
        await self._parts.relay.announce(work.made, None)
        if work.received:
            self._parts.on_received()
        if work.has_chunks:
            self._parts.attachments.wake.set()
        if work.has_prekey:
            self._parts.on_prekey()
        self._parts.on_kept()
        for key, message in work.arrived:
            self._parts.events.publish(MessageArrived(key, message))
        for change in work.alarms:
            self._parts.events.publish(change)
        if work.alarms:
            self._parts.alarms.wake.set()

    # --- in the transaction -----------------------------------------------------------------

    def _open_all(
        self,
        tx: Transaction,
        queue: Sequence[Unopened],
        raws: Mapping[ShortId, tuple[bytes, int]],
    ) -> _Work:
        work = _Work()
        for each in queue:
            held = raws.get(each.short_id)
            if held is None:
                # It expired or was receipted by all others meanwhile, or is damaged.
                delivery.mark_opened(tx, [each.short_id])
                continue
            self._open(tx, each, bundles.decode_untrusted(held[0]), work)
        return work

    def _open(self, tx: Transaction, each: Unopened, bundle: Bundle, work: _Work) -> None:
        header, short_id, now_ms = bundle.header, each.short_id, self._runtime.now_ms()
        ahead_ms = hlc.wall_ms(header.hlc) - now_ms
        if ahead_ms > CLOCK_DRIFT_MS_MAX:
            due_ms = now_ms + ahead_ms - CLOCK_DRIFT_MS_MAX
            delivery.set_waiting(tx, short_id, header.author, due_keyref(due_ms))
            return
        if self._is_refused(header):
            # It may have come before the news of its author.
            self._shut(tx, each, work, "messages_revoked", "revoked_author", bundle=str(header.id))
            return
        try:
            self._dispatch(tx, short_id, bundle, work)
        except Waits as error:
            delivery.set_waiting(tx, short_id, header.author, error.keyref)
            return
        except AlreadyUsedError:
            # A copy of what was opened before, or another message under the same key.
            self._shut(tx, each, work, "chain_keys_reused", "opened_before", bundle=str(header.id))
            return
        except StoreFullError:
            # Chain keys that there is no room to give; whoever needs them asks again.
            self._runtime.trace("keys_not_given", bundle=str(header.id))
        except (EnvelopeError, RemoteProtocolError, IdentityError) as error:
            facts = {"bundle": str(header.id), "reason": type(error).__name__}
            self._shut(tx, each, work, "messages_unopenable", "unopenable", **facts)
            return
        delivery.mark_opened(tx, [short_id])

    def _shut(
        self, tx: Transaction, each: Unopened, work: _Work, counter: str, event: str, **facts: str
    ) -> None:
        """Leave a bundle that nothing opens, and tell of it the first time."""
        if delivery.mark_shut(tx, each):
            work.count(counter)
            self._runtime.trace(event, **facts)

    def _dispatch(self, tx: Transaction, short_id: ShortId, bundle: Bundle, work: _Work) -> None:
        header = bundle.header
        match header.kind:
            case Kind.TEXT | Kind.NOTE | Kind.SOS:
                self._keep_message(tx, short_id, bundle, work)
            case Kind.CHUNK:
                self._keep_chunk(tx, bundle, work)
            case Kind.CHAIN_KEYS:
                self._keep_chain(tx, bundle)
                self._note_keys(tx, bundle, work)
            case Kind.PREKEY:
                self._keep_prekey(tx, bundle, work)
            case Kind.KEY_REQUEST:
                request = self._request_untrusted(bundle, work)
                work.made += self._parts.keeper.answer(tx, header.author, request)
            case Kind.SHIFT:
                self._parts.positions.note_shift(tx, bundle)
            case Kind.NETWORK_KEYS:
                opened, made = self._parts.renewal.take(tx, bundle, self._opening(tx, bundle))
                self._keep_state(tx, header, opened)
                work.made += made
            case kind if kind in self._parts.keepers:
                self._have_kept(tx, bundle, work)
            case _:
                raise MalformedError("this kind of bundle is never queued for the inbox")

    def _have_kept(self, tx: Transaction, bundle: Bundle, work: _Work) -> None:
        header = bundle.header
        kept = self._parts.keepers[header.kind](tx, bundle, self._opening(tx, bundle))
        if kept is not None:
            self._keep_state(tx, header, kept)
        if header.kind is Kind.TRACK:
            # Carriers let go of it then: it is nine days on its way otherwise.
            self._note_received(tx, bundle, work)

    def _keep_chunk(self, tx: Transaction, bundle: Bundle, work: _Work) -> None:
        if bundle.header.scope.kind is ScopeKind.ZONE:
            # Of a sheet: the whole zone has it, and nobody receipts it.
            self._parts.sheets.keep_chunk(tx, bundle)
        elif self._parts.attachments.keep(tx, bundle):
            self._note_received(tx, bundle, work)
            work.has_chunks = True

    def _note_keys(self, tx: Transaction, bundle: Bundle, work: _Work) -> None:
        # Keys of a shift go on to the centre, whoever has them already.
        if not bundle.header.keyref:
            self._note_received(tx, bundle, work)

    def _opening(self, tx: Transaction, bundle: Bundle) -> Callable[[], Opened]:
        return lambda: self._parts.opener.open_message(tx.connection, bundle)

    def _keep_message(
        self, tx: Transaction, short_id: ShortId, bundle: Bundle, work: _Work
    ) -> None:
        header, now_ms = bundle.header, self._runtime.now_ms()
        if messages.is_known(tx.connection, header.id):
            self._keep_file_left_out(tx, bundle)
            self._note_received(tx, bundle, work)
            return
        opened = self._parts.opener.open_message(tx.connection, bundle)
        payload = opened.payload
        is_sos = header.kind is Kind.SOS
        if not isinstance(payload, Text | Attached | Sos) or isinstance(payload, Sos) is not is_sos:
            raise MalformedError("the content is of another kind than its bundle says")
        if isinstance(payload, Sos):
            changed = self._parts.alarms.keep(tx, header, payload)
            work.alarms += [] if changed is None else [changed]
            if payload.step or payload.round or payload.number:
                # A step, or the same alarm again: no message of its own, and nobody receipts it.
                return
        message, scope, created_ms = self._named(header, payload)
        if refused := _unshown(tx, header.id, message):
            if isinstance(payload, Attached) and refused == _AGAIN:
                # It may have come before as a copy that brought no file.
                known = messages.kept_of_copy(tx.connection, message, bundle.digest)
                if known is not None:
                    self._parts.attachments.expect(tx, header, scope, known, payload.manifest)
            self._keep_state(tx, header, opened)
            self._note_received(tx, bundle, work)
            work.count(refused)
            return
        new = NewMessage(
            id=message,
            scope=scope,
            kind=header.kind,
            text=payload.text,
            created_ms=created_ms,
            expires_ms=header.expires_ms,
            received_ms=now_ms,
            alarm_id=payload.alarm_id if isinstance(payload, Sos) else b"",
            step=payload.step if isinstance(payload, Sos) else 0,
            suite=int(header.suite),
            reason=IncomingReason.REVOKED if self._is_astray(header) else "",
        )
        key = messages.add_incoming(tx, new, short_id, bundle.digest, now_ms)
        assert key is not None, "it was looked for in this transaction"
        if isinstance(payload, Attached):
            self._parts.attachments.expect(tx, header, scope, key, payload.manifest)
        self._keep_state(tx, header, opened)
        tx.hlc = hlc.merge(tx.hlc, header.hlc, now_ms, CLOCK_DRIFT_MS_MAX)
        self._note_received(tx, bundle, work)
        work.count("messages_opened")
        work.arrived.append((key, message))

    def _keep_file_left_out(self, tx: Transaction, bundle: Bundle) -> None:
        """Expect the file of a message that is known by a copy, which tells of none."""
        key = messages.kept_of_copy(tx.connection, bundle.header.id, bundle.digest)
        if key is None or reading.is_cancelled(tx.connection, bundle.header.id):
            return
        opened = self._parts.opener.open_message(tx.connection, bundle)
        if isinstance(opened.payload, Attached):
            scope, manifest = bundle.header.scope.encode(), opened.payload.manifest
            self._parts.attachments.expect(tx, bundle.header, scope, key, manifest)
        self._keep_state(tx, bundle.header, opened)

    def _named(self, header: Header, payload: Text | Attached | Sos) -> tuple[BundleId, bytes, int]:
        """Return whose message a bundle carries: its own, or the one that it repeats.

        Raises: MalformedError for a copy of what was never for this device.
        """
        origin, wall_ms = None if isinstance(payload, Sos) else payload.origin, header.hlc >> 16
        if origin is None:
            return header.id, header.scope.encode(), wall_ms
        scope = Scope.decode_untrusted(origin.scope)
        if not self._membership.directory.is_recipient(self._node, scope, header.author):
            raise MalformedError("this message repeats one for others")
        message = BundleId(header.author, origin.incarnation, origin.seq)
        return message, origin.scope, min(origin.created_ms, wall_ms)

    def _is_refused(self, header: Header) -> bool:
        """True for what a revoked author wrote after its last good bundle, and no centre reads.

        Of what relays, gateways and operators take of it, messages and positions are opened, which
        are shown marked, and the keys that they are under; nothing else of it has an effect.
        """
        if not self._is_astray(header):
            return False
        is_opened = header.kind in _OPENED_ASTRAY
        named = (header.author, header.incarnation, header.seq)
        return not is_opened or self._membership.directory.refuses_astray(self._node, *named)

    def _is_astray(self, header: Header) -> bool:
        """True for what a revoked author wrote after its last good bundle."""
        directory = self._membership.directory
        return directory.is_astray(header.author, header.incarnation, header.seq)

    @staticmethod
    def _keep_state(tx: Transaction, header: Header, opened: Opened) -> None:
        """Put the used key of a chain away, now that its message is kept."""
        if opened.chain is not None:
            scope, ends_ms = opened.chain_scope, opened.chain_ends_ms
            keyring.put_receiving_chain(tx, opened.chain, header.author, scope, ends_ms)

    def _keep_chain(self, tx: Transaction, bundle: Bundle) -> None:
        given = self._parts.opener.open_slot(tx.connection, bundle)
        if given is None:
            return
        chain, subject = given
        author, now_ms = bundle.header.author, self._runtime.now_ms()
        ends_ms: int | None = now_ms + RECEIVING_CHAIN_KEEP_MS
        if split_subject(subject)[1]:
            ends_ms = self._parts.positions.chain_ends_ms(tx, author, subject)
        if ends_ms is None:
            return
        held = keyring.receiving_chain(tx.connection, chain.chain_id, author)
        if held is None or chain.first_index < held[0].first_index:
            keyring.put_receiving_chain(tx, chain, author, subject, ends_ms)
        delivery.requeue(tx, chain.chain_id)

    @staticmethod
    def _request_untrusted(bundle: Bundle, work: _Work) -> KeyRequest:
        try:
            return decode_key_request_untrusted(bundle.body)
        except RemoteProtocolError:
            work.count("key_requests_refused")
            raise

    def _keep_prekey(self, tx: Transaction, bundle: Bundle, work: _Work) -> None:
        try:
            record = decode_prekey_untrusted(bundle.body)
            check_prekey(record)
        except (RemoteProtocolError, IdentityError):
            work.count("prekeys_refused")
            raise
        if keyring.put_peer_prekey(tx, bundle.header.author, record):
            work.has_prekey = True
            work.made += self._parts.keeper.give_to(tx, bundle.header.author)
            work.made += self._parts.renewal.give_to(tx, bundle.header.author)

    def _note_received(self, tx: Transaction, bundle: Bundle, work: _Work) -> None:
        """Make a receipt due if we are one of those whom the bundle is for."""
        header, directory = bundle.header, self._membership.directory
        if not directory.is_recipient(self._node, header.scope, header.author):
            return
        ours = (header.author, header.incarnation, header.seq)
        if delivery.note_received(tx, *ours, bundle.digest, self._runtime.now_ms()):
            work.received += 1


def _unshown(tx: Transaction, *names: BundleId) -> str:
    """Return the metric of a message that is not shown (again); empty for one that is."""
    if any(reading.is_cancelled(tx.connection, name) for name in names):
        return "messages_withdrawn"
    return _AGAIN if messages.is_known(tx.connection, names[-1]) else ""


def _due_ms(keyref: bytes) -> int | None:
    """Return the time that a queue key names, None for the name of a real key."""
    if len(keyref) != _DUE_BYTES or not keyref.startswith(DUE):
        return None
    return int.from_bytes(keyref[1:], "big")
