"""Read receipts: tells authors what a person saw here, sealed, and keeps what others say of ours.

A message to a squad is answered to the squad under this device's chain, any other to its author
alone. One bundle per scope tells everything that still lives and replaces the one before it; a
scope stays due until that bundle is stored. Source: wire-format 4.32, decision 27.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from meshnode.author import Author, Draft
from meshnode.chain_keeper import ChainKeeper
from meshnode.errors import QuotaError
from meshnode.events import MessageChanged
from meshnode.links.level import Level
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.opening import Opened
from meshnode.reception import Checked
from meshnode.relay import Relay
from meshnode.runtime import Runtime
from meshnode.store import keyring, messages, reading
from meshnode.store.engine import Store, Transaction
from meshnode.store.quotas import tally_of
from meshnode.store.reading import Told
from meshnode.store.records import RecipientState
from protocol import payloads
from protocol.bundle import Bundle, Header, Scope, ScopeKind, Suite
from protocol.envelope import Sealer, pad, seal_info, seal_message
from protocol.errors import MalformedError
from protocol.guards import READ_DELAY_MS, READ_MESSAGES_MAX
from protocol.ids import BundleId, NodeId
from protocol.limits import KINDS, OPEN_BATCH_MAX, PREKEY_LEFT_MS_MIN, Kind
from protocol.pages import page_of, runs_of, seqs_of
from protocol.payloads import READ_PAGES_MAX, Read, ReadPage
from protocol.quota import Group, share_left_for

__all__ = ["Reading", "ReadingParts", "answer_scope"]

_HOUR_MS: Final = 3_600_000
_PACE_S: Final = 60.0
"""Receipts that wait for quota are looked at again after this time."""


@dataclass(frozen=True, slots=True)
class ReadingParts:
    """What the room is built from."""

    author: Author
    """Signs."""
    store: Store
    """Where messages lie."""
    runtime: Runtime
    """The seams."""
    membership: Membership
    """Who is who; the counters and who watches."""
    keeper: ChainKeeper
    """Our chains."""
    sealer: Sealer
    """Seals for one device."""
    relay: Relay
    """Carries what is made here."""


def answer_scope(scope: Scope, author: Scope) -> Scope:
    """Return whom a read receipt goes to: the squad of the message, or its author's device."""
    return scope if scope.kind is ScopeKind.SQUAD else author


class Reading:
    """Says what was read here, and notes what others read of ours."""

    def __init__(self, parts: ReadingParts) -> None:
        self._author = parts.author
        self._store = parts.store
        self._runtime = parts.runtime
        self._membership = parts.membership
        self._metrics: Metrics = parts.membership.metrics
        self._keeper = parts.keeper
        self._sealer = parts.sealer
        self._relay = parts.relay
        self._is_held_back = False
        self._changed: deque[int] = deque()
        self._has_news = False
        self.wake = Level()
        """Set when something was read, or a key may have come."""

    # --- what was read here -------------------------------------------------------------------

    async def mark_read(self, key: int) -> bool:
        """Note that somebody saw an incoming message; False if that was known, or it is withdrawn.

        Raises: StoreError.
        """
        now_ms = self._runtime.now_ms()

        def mark(tx: Transaction) -> bool:
            if not messages.mark_read(tx, key, now_ms):
                return False
            record = messages.get(tx.connection, key)
            assert record is not None, "it was marked a line above"
            self.note_due(tx, Scope.decode_untrusted(record.scope), record.id.author)
            return True

        is_new = await self._store.write(mark)
        self.tell_changed()
        return is_new

    def note_due(self, tx: Transaction, scope: Scope, author: NodeId) -> None:
        """There is news for whoever wrote a message to `scope`."""
        member = self._membership.directory.member(author)
        if member is not None:
            device = Scope.for_device(member.zone, author)
            to = device if self._is_outside(author, scope) else answer_scope(scope, device)
            reading.note_due(tx, to.encode(), self._runtime.now_ms())
            self._has_news = True

    def _is_outside(self, author: NodeId, scope: Scope) -> bool:
        """True for a squad without `author`, which hears nothing there, such as an operator."""
        readers = self._membership.directory.recipients(scope, self._author.node)
        return scope.kind is ScopeKind.SQUAD and author not in readers

    async def run(self) -> None:
        """Write read receipts until cancelled. Raises: StoreError."""
        while True:
            while await self.write_due():
                pass
            with trio.move_on_after(_PACE_S if self._is_held_back else float("inf")):
                await self.wake.wait()
            # What is read in one go goes into one bundle; and nobody learns the very moment.
            await trio.sleep(READ_DELAY_MS / 1000)

    async def write_due(self) -> int:
        """Write what is due now; return how many scopes were. Raises: StoreError.

        A scope whose author's key is not here yet, or for which this hour's quota has no room,
        stays due.
        """
        now_ms = self._runtime.now_ms()
        due, tally = await self._store.read(
            lambda conn: (
                [scope for scope, _since_ms in reading.due(conn, OPEN_BATCH_MAX)],
                tally_of(conn, self._author.node, now_ms // _HOUR_MS),
            )
        )
        left = share_left_for(tally, self._author.allowance(), Group.STATE, now_ms % _HOUR_MS)
        self._is_held_back = left < len(due)
        if not due[:left]:
            return 0
        try:
            made, done = await self._store.write(lambda tx: self._write(tx, due[:left]))
        except QuotaError:
            self._is_held_back = True
            return 0
        self._metrics.count("read_receipts_made", done)
        await self._relay.announce(made, None)
        return done

    def _write(self, tx: Transaction, due: list[bytes]) -> tuple[list[Checked], int]:
        made: list[Checked] = []
        done = 0
        for encoded in due:
            scope = Scope.decode_untrusted(encoded)
            read = self._read(tx, scope)
            if read is None:
                reading.made(tx, encoded)
                continue
            bundles = self._seal(tx, scope, read)
            if bundles is not None:
                reading.made(tx, encoded)
                made += bundles
                done += 1
        return made, done

    def _read(self, tx: Transaction, scope: Scope) -> Read | None:
        """Return what is to be said to `scope`; None where there is nothing, or nobody there."""
        own = self._membership.directory.member(self._author.node)
        if own is None:
            return None
        now_ms, node = self._runtime.now_ms(), self._author.node
        whom, scopes = None, [scope.encode()]
        if scope.kind is ScopeKind.DEVICE:
            if scope.target in self._membership.directory.revoked:
                return None
            whom = scope.target
            mine = [Scope.for_device(own.zone, node), Scope.for_codt(own.zone)]
            squads = [Scope.for_squad(own.zone, each) for each in own.squads]
            mine += [each for each in squads if self._is_outside(whom, each)]
            scopes = [each.encode() for each in (*mine, Scope.for_zone(own.zone))]
        told = reading.told(tx.connection, scopes, whom, node, now_ms, READ_MESSAGES_MAX)
        pages = _pages(told)
        return Read(node, scope.encode(), pages) if pages else None

    def _seal(self, tx: Transaction, scope: Scope, read: Read) -> list[Checked] | None:
        """Return the bundles that say it; None where the key of the author is missing."""
        plaintext, now_ms = pad(payloads.encode(read)), self._runtime.now_ms()
        if scope.kind is ScopeKind.SQUAD:
            if not self._membership.directory.recipients(scope, self._author.node):
                return []
            under = self._keeper.key_for(tx, scope)
            draft = Draft(Kind.READ, Suite.CHAIN, scope, under.chain_id, under.index)
            body = partial(_chained, under.key, plaintext)
            return [*under.made, self._author.make(tx, draft, body)]
        prekeys = keyring.peer_prekeys(tx.connection, [scope.target], now_ms + PREKEY_LEFT_MS_MIN)
        prekey = prekeys.get(scope.target)
        if prekey is None:
            return None
        lifetime_s = min(KINDS[Kind.READ].lifetime_s, (prekey.ends_ms - now_ms) // 1000)

        def body_for_one(header: Header) -> bytes:
            return self._sealer.seal_hybrid(prekey.public, seal_info(header.encode()), plaintext)

        draft = Draft(Kind.READ, Suite.HYBRID, scope, prekey.prekey_id, lifetime_s=lifetime_s)
        return [self._author.make(tx, draft, body_for_one)]

    # --- what others read ---------------------------------------------------------------------

    def keep(self, tx: Transaction, bundle: Bundle, open_message: Callable[[], Opened]) -> Opened:
        """Open a read receipt and write down what it says of our messages.

        Raises: what `open_message` raises; MalformedError for other content.
        """
        opened = open_message()
        payload = opened.payload
        if not isinstance(payload, Read):
            raise MalformedError("the content is of another kind than its bundle says")
        changed: list[int] = []
        for page in payload.pages:
            if page.author == self._author.node:
                changed += self._note(tx, bundle.header.author, page)
        if changed:
            self._metrics.count("read_receipts_taken")
            self._changed.extend(changed)
        return opened

    def _note(self, tx: Transaction, reader: NodeId, page: ReadPage) -> list[int]:
        now_ms, whose = self._runtime.now_ms(), page.incarnation
        # Nobody withdraws for the author: what it never took back is not withdrawn.
        withdrawn = [
            seq
            for seq in seqs_of(page.page, page.withdrawn)
            if reading.is_cancelled(tx.connection, BundleId(self._author.node, whose, seq))
        ]
        read = list(seqs_of(page.page, page.read))
        states = ((read, RecipientState.READ), (withdrawn, RecipientState.WITHDRAWN))
        return [
            key
            for seqs, state in states
            for key in messages.note_receipt(tx, reader, whose, seqs, state, now_ms)
        ]

    def note_changed(self, key: int) -> None:
        """A message came further in this transaction: tell so after the commit."""
        self._changed.append(key)

    def tell_changed(self) -> None:
        """After the commit: tell whoever watches our messages, and wake the writer."""
        while self._changed:
            self._membership.events.publish(MessageChanged(self._changed.popleft()))
        if self._has_news:
            self._has_news = False
            self.wake.set()


def _chained(key: bytes, plaintext: bytes, header: Header) -> bytes:
    return seal_message(key, header.encode(), plaintext)


def _pages(told: list[Told]) -> tuple[ReadPage, ...]:
    """Return what is told, in pages; where they are too many, those of the newest messages."""
    found: dict[tuple[NodeId, int, int], tuple[list[int], list[int]]] = {}
    for message, is_read in told:
        place = (message.author, message.incarnation, page_of(message.seq))
        if place not in found and len(found) == READ_PAGES_MAX:
            continue
        found.setdefault(place, ([], []))[0 if is_read else 1].append(message.seq)
    return tuple(
        ReadPage(*place, runs_of(place[2], read), runs_of(place[2], withdrawn))
        for place, (read, withdrawn) in sorted(found.items())
    )
