"""From what somebody wrote to a bundle that travels: one transaction, then *queued*.

A message for a device is sealed to its prekey, one for a group under our chain, an SOS under the
zone's key. Where the key of a device is missing the message waits here, and says so. Nothing is
called queued before it is on the disk. Source: DESIGN section 4, wire-format 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from meshnode.author import Author, Draft
from meshnode.chain_keeper import ChainKeeper
from meshnode.errors import QuotaError, SendError, StoreFullError
from meshnode.events import MessageChanged
from meshnode.membership import Membership
from meshnode.reception import Checked
from meshnode.relay import Relay
from meshnode.runtime import Runtime
from meshnode.services.alarms import Alarms
from meshnode.services.recalling import Recalling, family, origin_of
from meshnode.store import attachments, keyring, messages, reading
from meshnode.store.attachments import AttachmentRecord
from meshnode.store.chunks import AttachmentState
from meshnode.store.engine import Connection, Store, Transaction
from meshnode.store.records import LedgerEvent, MessageRecord, MessageState, NewMessage
from protocol import payloads
from protocol.bundle import Header, Scope, ScopeKind, Suite
from protocol.envelope import (
    Sealer,
    pad,
    seal_info,
    seal_message,
)
from protocol.ids import BundleId, NodeId
from protocol.limits import (
    KINDS,
    MESSAGE_LIFETIME_S_MAX,
    PREKEY_LEFT_MS_MIN,
    TEXT_BYTES_MAX,
    Kind,
)
from protocol.payloads import Attached, Payload, Sos, SosPlace, Text
from protocol.quota import GROUPS, Group

__all__ = ["Outbox", "OutboxServices", "Priority", "Sent", "Writing", "file_of"]

_WAITING_MAX: Final = 10_000
"""Messages without a key that are looked at together."""
_LIFETIME_S_MIN: Final = 60
"""A message that lives shorter would end before most devices have met."""


class Priority(Enum):
    """What a message may overtake."""

    SOS = Kind.SOS
    """Everything but authority documents."""
    NORMAL = Kind.TEXT
    """State and bulk."""
    LOW = Kind.NOTE
    """Nothing: it goes among bulk."""


@dataclass(frozen=True, slots=True)
class Writing:
    """What somebody wants to send."""

    scope: Scope
    """Whom it is for."""
    text: str = field(repr=False)
    """1 to 16,384 bytes of UTF-8."""
    priority: Priority = Priority.NORMAL
    """What it may overtake."""
    lifetime_s: int | None = None
    """60 s to 9 days; None takes that of its kind."""
    place: SosPlace | None = field(default=None, repr=False)
    """Where an SOS says that its agent is; None takes the newest position of the open shift."""
    tells_place: bool = True
    """False keeps every place out of an SOS, in a shift too."""
    attachment: int | None = None
    """A file that was taken in, which goes with it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that is kept now."""

    key: int
    """Its local number."""
    id: BundleId
    """Its identity."""
    state: MessageState
    """QUEUED, or WAITING for a key or for the next hour."""
    recipients: int
    """Devices that shall receipt it."""
    is_held_back: bool = False
    """An SOS beyond what others take of one author in an hour: it leaves in the next one."""
    alarm_id: bytes = b""
    """8 bytes that name the alarm beside its author; empty for a text."""
    has_file: bool = False
    """A message that is sent again brings the file of the first one."""


@dataclass(slots=True)
class _Work:
    """What one transaction made, to be announced after its commit."""

    made: list[Checked] = field(default_factory=list)
    """Bundles, in the order in which they were made."""
    sealed: list[int] = field(default_factory=list)
    """Messages that left the state WAITING."""


@dataclass(frozen=True, slots=True)
class OutboxServices:
    """What an outbox asks beside keys and carriers."""

    alarms: Alarms
    """Makes the bundles of alarms."""
    recalling: Recalling
    """Knows copies of messages, and takes messages back."""


class Outbox:
    """Takes messages and seals them."""

    def __init__(
        self,
        author: Author,
        store: Store,
        runtime: Runtime,
        membership: Membership,
        keeper: ChainKeeper,
        sealer: Sealer,
        relay: Relay,
        services: OutboxServices,
    ) -> None:
        self._recalling = services.recalling
        self._author = author
        self._store = store
        self._runtime = runtime
        self._membership = membership
        self._keeper = keeper
        self._sealer = sealer
        self._relay = relay
        self._alarms = services.alarms
        self._events = membership.events

    async def send(self, writing: Writing) -> Sent:
        """Keep a message and seal it if its key is here; on return it survives any crash.

        Raises: SendError (`empty`, `long`, `lifetime`, `nobody`, `self`, `no_sos_key`),
        QuotaError, StoreFullError, StoreError; nothing is kept then. An SOS is never refused for a
        quota, or for its length or characters: it is kept, and leaves in the next hour; what
        cannot be said of its text is left out.
        """
        if writing.priority is Priority.SOS:
            writing = replace(writing, text=_sayable(writing.text))
        recipients = self._checked(writing)

        def keep(tx: Transaction) -> tuple[Sent, _Work]:
            work = _Work()
            return self._keep(tx, writing, recipients, work), work

        try:
            sent, work = await self._store.write(keep)
        except StoreFullError:
            if writing.priority is not Priority.SOS:
                raise
            # It shared its commit with others that were too much for the disk: now alone.
            sent, work = await self._store.write(keep)
        self._membership.metrics.count("messages_sent")
        await self._announce(work, [sent.key])
        return sent

    def _checked(self, writing: Writing) -> frozenset[NodeId]:
        """Return who shall receipt the message. Raises: SendError."""
        size = len(writing.text.encode("utf-8", "surrogatepass"))
        if not writing.text.strip():
            raise SendError("empty", "the message is empty: write something")
        if size > TEXT_BYTES_MAX or _is_broken(writing.text):
            raise SendError("long", f"a message is text of at most {TEXT_BYTES_MAX} bytes")
        lifetime_s = writing.lifetime_s
        if lifetime_s is not None and not (
            _LIFETIME_S_MIN <= lifetime_s <= self._lifetime_s_max(writing.priority)
        ):
            most_h = self._lifetime_s_max(writing.priority) // 3600
            raise SendError("lifetime", f"a message lives from one minute to {most_h} hours")
        if writing.scope == Scope.for_device(writing.scope.zone, self._author.node):
            raise SendError("self", "this message is for this very device: name another one")
        found = self._membership.directory.recipients(writing.scope, self._author.node)
        if not found:
            words = self._membership.directory.describe(writing.scope)
            raise SendError("nobody", f"nobody who could read it belongs to '{words}' yet")
        return found

    @staticmethod
    def _lifetime_s_max(priority: Priority) -> int:
        if priority is Priority.SOS:
            return 7 * 86_400
        return MESSAGE_LIFETIME_S_MAX

    # --- in the transaction -----------------------------------------------------------------

    def _keep(
        self, tx: Transaction, writing: Writing, recipients: frozenset[NodeId], work: _Work
    ) -> Sent:
        kind, now_ms = writing.priority.value, self._runtime.now_ms()
        lifetime_s = KINDS[kind].lifetime_s if writing.lifetime_s is None else writing.lifetime_s
        new = NewMessage(
            id=BundleId(self._author.node, tx.incarnation, tx.take_seq()),
            scope=writing.scope.encode(),
            kind=kind,
            text=writing.text,
            created_ms=now_ms,
            expires_ms=now_ms + 1000 * lifetime_s,
            alarm_id=self._runtime.entropy(8) if kind is Kind.SOS else b"",
        )
        key = messages.add_outgoing(tx, new, recipients, now_ms)
        if kind is Kind.SOS:
            self._note_raised(tx, writing, new)
        attachment = writing.attachment
        if attachment is not None and not attachments.bind(tx, attachment, key, new.scope):
            raise SendError("file", "the file of this message is gone: send it again")
        record = messages.get(tx.connection, key)
        assert record is not None, "it was written a line above"
        try:
            is_sealed, is_held_back = self._seal(tx, record, work), False
        except QuotaError:
            if kind is not Kind.SOS:
                raise
            messages.note_once(tx, key, now_ms, LedgerEvent.HELD_BACK)
            is_sealed, is_held_back = False, True
        state = MessageState.QUEUED if is_sealed else MessageState.WAITING
        return Sent(key, new.id, state, len(recipients), is_held_back, new.alarm_id)

    def _note_raised(self, tx: Transaction, writing: Writing, new: NewMessage) -> None:
        place = writing.place
        if place is None and writing.tells_place:
            place = self._alarms.own_place(tx.connection)
        sos = Sos(new.id.author, new.scope, new.text, new.alarm_id, 0, place=place)
        self._alarms.note_raised(tx, new.id, sos, new.expires_ms)

    def _seal(self, tx: Transaction, record: MessageRecord, work: _Work) -> bool:
        """Make the bundle of a message; False where a key is missing. Raises: SendError."""
        scope = Scope.decode_untrusted(record.scope)
        checked: Checked | None
        if record.kind is Kind.SOS:
            checked = self._seal_sos(tx, record, scope)
        elif scope.kind is ScopeKind.DEVICE:
            checked = self._seal_to_device(tx, record, scope)
        elif scope.kind is ScopeKind.ZONE:
            raise SendError("zone", "only an SOS goes to the whole zone: add --sos")
        else:
            checked = self._seal_to_group(tx, record, scope, work)
        if checked is None:
            return False
        assert checked.bundle is not None
        assert checked.short_id is not None
        work.made.append(checked)
        messages.set_bundle(
            tx,
            record.key,
            checked.short_id,
            checked.bundle.digest,
            int(checked.bundle.header.suite),
            self._runtime.now_ms(),
        )
        return True

    def _seal_sos(self, tx: Transaction, record: MessageRecord, scope: Scope) -> Checked:
        sos = Sos(record.id.author, record.scope, record.text, record.alarm_id, 0)
        return self._alarms.seal_raised(tx, self._draft(record, scope, Suite.ZONE, b"", 0), sos)

    def _seal_to_device(
        self, tx: Transaction, record: MessageRecord, scope: Scope
    ) -> Checked | None:
        now_ms, node = self._runtime.now_ms(), scope.target
        prekeys = keyring.peer_prekeys(tx.connection, [node], now_ms + PREKEY_LEFT_MS_MIN)
        prekey = prekeys.get(node)
        directory = self._membership.directory
        if prekey is None or node in directory.revoked:
            name = directory.name_of(node)
            # It was not revoked when the message was written.
            reason = (
                f"{name} was revoked"
                if node in directory.revoked
                else f"no key of {name} is known here yet"
            )
            messages.note_once(tx, record.key, now_ms, LedgerEvent.WAITING, reason)
            return None
        plaintext = _padded(tx, record, self._runtime.now_ms())

        def body(header: Header) -> bytes:
            return self._sealer.seal_hybrid(prekey.public, seal_info(header.encode()), plaintext)

        draft = self._draft(record, scope, Suite.HYBRID, prekey.prekey_id, 0, prekey.ends_ms)
        return self._author.make(tx, draft, body)

    def _seal_to_group(
        self, tx: Transaction, record: MessageRecord, scope: Scope, work: _Work
    ) -> Checked:
        under = self._keeper.key_for(tx, scope)
        work.made += under.made
        plaintext = _padded(tx, record, self._runtime.now_ms())

        def body(header: Header) -> bytes:
            return seal_message(under.key, header.encode(), plaintext)

        draft = self._draft(record, scope, Suite.CHAIN, under.chain_id, under.index)
        checked = self._author.make(tx, draft, body)
        owed = keyring.owed(tx.connection, under.chain_id)
        now_ms = self._runtime.now_ms()
        for node in sorted(owed):
            name = self._membership.directory.name_of(node)
            messages.note_once(
                tx, record.key, now_ms, LedgerEvent.WAITING, f"{name} gets its key when it is met"
            )
        return checked

    def _draft(
        self,
        record: MessageRecord,
        scope: Scope,
        suite: Suite,
        keyref: bytes,
        index: int,
        ends_ms: int | None = None,
    ) -> Draft:
        """The bundle ends with the message, and never after the key it is sealed to."""
        now_ms = self._runtime.now_ms()
        # Upwards, so that a moment spent before sealing does not make a lifetime unusual.
        lifetime_s = -((now_ms - record.expires_ms) // 1000)
        if ends_ms is not None:
            lifetime_s = min(lifetime_s, (ends_ms - now_ms) // 1000)
        lifetime_s = max(1, lifetime_s)
        return Draft(record.kind, suite, scope, keyref, index, lifetime_s, record.id.seq)

    # --- later ------------------------------------------------------------------------------

    async def seal_waiting(self) -> int:
        """Seal what waits for a key that has come, or for an hour that has begun.

        Returns how many were sealed. Raises: StoreError.
        """

        def seal(tx: Transaction) -> _Work:
            work, now_ms = _Work(), self._runtime.now_ms()
            beyond: set[Group] = set()
            for record in messages.waiting(tx.connection, _WAITING_MAX):
                if record.expires_ms <= now_ms or GROUPS[record.kind] in beyond:
                    continue
                try:
                    if self._seal(tx, record, work):
                        work.sealed.append(record.key)
                except QuotaError:
                    # All of its kind wait for the next hour; nothing of this one was stored.
                    beyond.add(GROUPS[record.kind])
                    messages.note_once(tx, record.key, now_ms, LedgerEvent.HELD_BACK)
                except SendError as error:
                    # An SOS whose key went meanwhile; the others do not wait for it.
                    messages.note_once(tx, record.key, now_ms, LedgerEvent.WAITING, str(error))
            return work

        if not await self._store.read(lambda conn: messages.waiting(conn, 1)):
            return 0
        work = await self._store.write(seal)
        await self._announce(work, work.sealed)
        return len(work.sealed)

    async def resend(self, key: int, to: NodeId | None = None) -> Sent:
        """Send a message again to those that lack it, or to one of them; it is shown once.

        Raises: SendError (see `Recalling.targets`), QuotaError, StoreFullError, StoreError.
        """

        def keep(tx: Transaction) -> tuple[Sent, _Work]:
            work = _Work()
            return self._keep_copy(tx, key, to, work), work

        sent, work = await self._store.write(keep)
        self._membership.metrics.count("messages_sent")
        await self._announce(work, [sent.key])
        return sent

    def _keep_copy(self, tx: Transaction, key: int, to: NodeId | None, work: _Work) -> Sent:
        group, now_ms = family(tx.connection, key), self._runtime.now_ms()
        scope, nodes = self._recalling.targets(tx.connection, group, to)
        first = group[0]
        life_ms = max(first.expires_ms - first.created_ms, 1000 * _LIFETIME_S_MIN)
        new = NewMessage(
            id=BundleId(self._author.node, tx.incarnation, tx.take_seq()),
            scope=scope.encode(),
            kind=first.kind,
            text=first.text,
            created_ms=now_ms,
            expires_ms=now_ms + life_ms,
        )
        copy = messages.add_outgoing(tx, new, nodes, now_ms)
        reading.link(tx, copy, first.key)
        messages.note(tx, first.key, now_ms, LedgerEvent.RESENT, detail=f"{len(nodes)} recipients")
        record = messages.get(tx.connection, copy)
        assert record is not None, "it was written a line above"
        is_sealed = self._seal(tx, record, work)
        state = MessageState.QUEUED if is_sealed else MessageState.WAITING
        has_file = file_of(tx.connection, copy, now_ms) is not None
        return Sent(copy, new.id, state, len(nodes), has_file=has_file)

    async def cancel(self, key: int) -> bool:
        """Take a message back because its writer wants so; False if that changes nothing.

        Carriers drop their copies, and devices that have not shown it do not; those that have say
        so. Raises: SendError (`alarm`), QuotaError, StoreError.
        """
        is_changed, made = await self._store.write(lambda tx: self._cancel(tx, key))
        if is_changed:
            await self._announce(_Work(made), [key])
        return is_changed

    def _cancel(self, tx: Transaction, key: int) -> tuple[bool, list[Checked]]:
        record = messages.get(tx.connection, key)
        if record is not None and record.kind is Kind.SOS and record.short_id is None:
            # It waits for the next hour, and nobody else has heard of it.
            self._alarms.forget(tx, record.id)
            return messages.cancel(tx, key, self._runtime.now_ms()), []
        return self._recalling.cancel(tx, key)

    async def _announce(self, work: _Work, keys: Sequence[int]) -> None:
        await self._relay.announce(work.made, None)
        if any(each.record is not None and each.record.kind is Kind.SOS for each in work.made):
            self._alarms.wake.set()
        for key in keys:
            self._events.publish(MessageChanged(key))


def file_of(conn: Connection, key: int, now_ms: int) -> AttachmentRecord | None:
    """Return the file that a message brings; None where there is none, or a copy cannot.

    A copy brings that of the first one, whose chunks go on, while its bytes are held here.
    """
    first = reading.origin(conn, key)
    if first is None:
        return attachments.of_message(conn, key)
    found = attachments.of_message(conn, first)
    if found is None or found.state is not AttachmentState.QUEUED:
        return None
    return found if found.ends_ms - now_ms >= 1000 * _LIFETIME_S_MIN else None


def _padded(tx: Transaction, record: MessageRecord, now_ms: int) -> bytes:
    origin = origin_of(tx.connection, record.key)
    payload: Payload = Text(record.id.author, record.scope, record.text, origin)
    found = file_of(tx.connection, record.key, now_ms)
    if found is not None:
        payload = Attached(record.id.author, record.scope, record.text, found.manifest, origin)
    return pad(payloads.encode(payload))


def _sayable(text: str) -> str:
    """Return as much of a text as a message holds; a half of a character becomes `?`."""
    return text.encode("utf-8", "replace")[:TEXT_BYTES_MAX].decode("utf-8", "ignore")


def _is_broken(text: str) -> bool:
    """True for a text with halves of characters, which has no UTF-8 form."""
    return any("\ud800" <= letter <= "\udfff" for letter in text)
