"""Our own chains: which one a message goes under, who has its keys, who still needs them.

A chain serves one group for one shift. A reader that leaves the group ends it; one that joins
gets it from the present message on; one whose prekey is not known here is owed its keys and gets
them when the prekey comes, from the first message it was meant to read. Keys are given by their
author alone. Source: security 2.6, wire-format 4.6, 4.7, 4.13.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from meshnode.author import Author, Draft
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.reception import Checked
from meshnode.runtime import Runtime
from meshnode.store import keyring
from meshnode.store.engine import Connection, Transaction
from meshnode.store.keyring import SendingChainRecord
from protocol.bundle import Header, Scope, Suite
from protocol.chains import new_chain, next_key
from protocol.envelope import (
    PrekeyRecord,
    Sealer,
    Slot,
    SlotSecret,
    encode_slot_secret,
    encode_slots,
    slot_info,
)
from protocol.ids import NodeId, print_node_id
from protocol.limits import (
    CHAIN_LIFE_MS,
    CHAIN_MESSAGES_MAX,
    CHAIN_SLOTS_MAX,
    KEY_REQUEST_REPEAT_MS,
    KINDS,
    PREKEY_LEFT_MS_MIN,
    PREKEY_RENEW_MS,
    Kind,
)
from protocol.receipts import KeyRequest
from protocol.shifts import (
    Shift,
    carried_under,
    position_subject,
    split_subject,
    track_subject,
)

__all__ = ["ChainKeeper", "MessageKey"]


@dataclass(frozen=True, slots=True)
class MessageKey:
    """What one message is sealed with, and the bundles that hand out its chain."""

    chain_id: bytes
    """8 bytes."""
    index: int
    """Number of the message in the chain."""
    key: bytes = field(repr=False)
    """32 bytes, used once."""
    made: tuple[Checked, ...]
    """Bundles of chain keys made in the same transaction."""


class ChainKeeper:
    """Keeps the chains that this node sends on."""

    def __init__(
        self,
        author: Author,
        runtime: Runtime,
        membership: Membership,
        sealer: Sealer,
        metrics: Metrics,
    ) -> None:
        self._author = author
        self._runtime = runtime
        self._membership = membership
        self._sealer = sealer
        self._metrics = metrics

    def key_for(self, tx: Transaction, scope: Scope) -> MessageKey:
        """Return the key of the next message to a group. Raises: StoreFullError."""
        return self._key_for(tx, scope.encode(), self._runtime.now_ms() + CHAIN_LIFE_MS)

    def position_key_for(self, tx: Transaction, scope: Scope, shift: Shift) -> MessageKey:
        """Return the key of the next position to a squad in a shift. Raises: StoreFullError."""
        return self._key_for(tx, position_subject(scope, shift.shift_id), shift.ends_ms)

    def track_key_for(self, tx: Transaction, scope: Scope, shift: Shift) -> MessageKey:
        """Return the key of the next track of a shift. Raises: StoreFullError."""
        return self._key_for(tx, track_subject(scope, shift.shift_id), shift.ends_ms)

    def start_positions(self, tx: Transaction, scope: Scope, shift: Shift) -> list[Checked]:
        """Begin a shift: hand out a chain for its positions, and let a new one serve the rest.

        Returns the bundles of keys. Raises: StoreFullError.
        """
        old = keyring.open_chain(tx.connection, scope.encode(), self._runtime.now_ms())
        if old is not None:
            keyring.close_chain(tx, old.chain.chain_id)
        return self._start(tx, position_subject(scope, shift.shift_id), shift)

    def start_tracks(self, tx: Transaction, scope: Scope, shift: Shift) -> list[Checked]:
        """Hand out a chain for the tracks of a shift, to the centre alone.

        Returns the bundles of keys. Raises: StoreFullError.
        """
        return self._start(tx, track_subject(scope, shift.shift_id), shift)

    def has_track_reader(self, conn: Connection, scope: Scope, shift: Shift) -> bool:
        """True if somebody of the centre was given the keys of a shift's tracks."""
        subject = track_subject(scope, shift.shift_id)
        record = keyring.open_chain(conn, subject, self._runtime.now_ms())
        if record is None:
            return False
        chain_id = record.chain.chain_id
        return bool(keyring.readers(conn, chain_id).keys() - keyring.owed(conn, chain_id).keys())

    def _start(self, tx: Transaction, subject: bytes, shift: Shift) -> list[Checked]:
        readers = self._membership.directory.chain_readers(subject, self._author.node)
        record = self._chain_for(tx, subject, readers, shift.ends_ms)
        keyring.owe(tx, record.chain.chain_id, readers, record.chain.index)
        return self._give_owed(tx, record)

    def _key_for(self, tx: Transaction, subject: bytes, ends_ms: int) -> MessageKey:
        readers = self._membership.directory.chain_readers(subject, self._author.node)
        record = self._chain_for(tx, subject, readers, ends_ms)
        chain_id = record.chain.chain_id
        keyring.owe(tx, chain_id, readers, record.chain.index)
        advanced, index, key = next_key(record.chain)
        keyring.advance_chain(tx, advanced)
        return MessageKey(chain_id, index, key, tuple(self._give_owed(tx, record)))

    def _chain_for(
        self, tx: Transaction, subject: bytes, readers: Collection[NodeId], ends_ms: int
    ) -> SendingChainRecord:
        now_ms = self._runtime.now_ms()
        record = keyring.open_chain(tx.connection, subject, now_ms)
        if record is not None:
            left = keyring.readers(tx.connection, record.chain.chain_id).keys() - set(readers)
            if not left:
                return record
            keyring.close_chain(tx, record.chain.chain_id)
        chain = new_chain(self._runtime.entropy(32))
        keyring.start_chain(tx, chain, subject, now_ms, ends_ms)
        return SendingChainRecord(chain, subject, now_ms, ends_ms, is_closed=False)

    # --- handing out ------------------------------------------------------------------------

    def give_to(self, tx: Transaction, node: NodeId) -> list[Checked]:
        """A prekey of `node` came: give it every chain it is owed."""
        made: list[Checked] = []
        for chain_id, _index in keyring.owed_to(tx.connection, node):
            record = keyring.sending_chain(tx.connection, chain_id)
            if record is not None:
                made += self._give_owed(tx, record)
        return made

    def _give_owed(self, tx: Transaction, record: SendingChainRecord) -> list[Checked]:
        """Give the chain to all who are owed it and have a prekey here."""
        owed = keyring.owed(tx.connection, record.chain.chain_id)
        if not owed or self._is_over(record):
            return []
        scope, _keyref = carried_under(record.scope)
        members = self._membership.directory.chain_readers(record.scope, self._author.node)
        still = {node: index for node, index in owed.items() if node in members}
        return [
            self._give(tx, record, scope, prekeys, still) for prekeys in self._groups(tx, still)
        ]

    def _is_over(self, record: SendingChainRecord) -> bool:
        """True for a chain of a shift that has ended: nobody gets its keys any more."""
        _scope, shift_id = split_subject(record.scope)
        return bool(shift_id) and record.ends_ms <= self._runtime.now_ms()

    def _groups(
        self, tx: Transaction, owed: Mapping[NodeId, int]
    ) -> list[dict[NodeId, PrekeyRecord]]:
        """Cut readers into bundles; prekeys near their end shorten only the life of their own."""
        now_ms = self._runtime.now_ms()
        known = keyring.peer_prekeys(tx.connection, owed.keys(), now_ms + PREKEY_LEFT_MS_MIN)
        fresh_from_ms = now_ms + PREKEY_RENEW_MS
        groups = []
        for is_fresh in (True, False):
            chosen = [
                (node, record)
                for node, record in sorted(known.items())
                if (record.ends_ms >= fresh_from_ms) is is_fresh
            ]
            groups += [
                dict(chosen[start : start + CHAIN_SLOTS_MAX])
                for start in range(0, len(chosen), CHAIN_SLOTS_MAX)
            ]
        return groups

    def _give(
        self,
        tx: Transaction,
        record: SendingChainRecord,
        scope: Scope,
        prekeys: Mapping[NodeId, PrekeyRecord],
        indices: Mapping[NodeId, int],
    ) -> Checked:
        chain_id, now_ms = record.chain.chain_id, self._runtime.now_ms()
        secrets: dict[NodeId, SlotSecret] = {}
        for node in prekeys:
            seed = keyring.secret_at(tx.connection, chain_id, indices[node])
            assert seed is not None, "a chain that is sent on has its first seed"
            secrets[node] = SlotSecret(
                self._author.node, chain_id, indices[node], record.scope, seed
            )
        ends_ms = min(prekey.ends_ms for prekey in prekeys.values())
        _scope, keyref = carried_under(record.scope)
        if keyref:
            # No longer than the last position: whoever seizes a device later finds no keys.
            ends_ms = min(ends_ms, record.ends_ms + 1000 * KINDS[Kind.POSITION].lifetime_s)
        lifetime_s = min(KINDS[Kind.CHAIN_KEYS].lifetime_s, (ends_ms - now_ms) // 1000)

        def body(header: Header) -> bytes:
            slots = [
                Slot(
                    node,
                    prekeys[node].prekey_id,
                    self._sealer.seal_hybrid(
                        prekeys[node].public,
                        slot_info(header.encode(), node),
                        encode_slot_secret(secret),
                    ),
                )
                for node, secret in secrets.items()
            ]
            return encode_slots(slots)

        draft = Draft(Kind.CHAIN_KEYS, Suite.HYBRID, scope, keyref, lifetime_s=lifetime_s)
        made = self._author.make(tx, draft, body)
        keyring.note_given(tx, chain_id, list(prekeys), now_ms)
        self._metrics.count("keys_given", len(prekeys))
        return made

    # --- requests ---------------------------------------------------------------------------

    def answer(self, tx: Transaction, asker: NodeId, request: KeyRequest) -> list[Checked]:
        """Give `asker` those of the chains it misses that it may read; nobody else's.

        A member that joined after a chain's last message gets it from the next one on.
        """
        made: list[Checked] = []
        for chain_id in request.chains:
            record = keyring.sending_chain(tx.connection, chain_id)
            if record is None or self._is_over(record):
                continue
            if asker in self._membership.directory.chain_readers(record.scope, self._author.node):
                made += self._give_again(tx, record, asker)
            else:
                self._metrics.count("key_requests_refused", node=asker)
                self._runtime.trace("key_request_refused", peer=print_node_id(asker))
        return made

    def _give_again(
        self, tx: Transaction, record: SendingChainRecord, asker: NodeId
    ) -> Sequence[Checked]:
        chain_id, now_ms = record.chain.chain_id, self._runtime.now_ms()
        given_ms = keyring.given_ms(tx.connection, chain_id, asker)
        if given_ms and given_ms > now_ms - KEY_REQUEST_REPEAT_MS:
            return ()
        if record.chain.index < CHAIN_MESSAGES_MAX:
            keyring.owe(tx, chain_id, [asker], record.chain.index)
        indices = keyring.readers(tx.connection, chain_id)
        if asker not in indices:
            # It joined after the last message of a chain that is used up.
            return ()
        prekeys = keyring.peer_prekeys(tx.connection, [asker], now_ms + PREKEY_LEFT_MS_MIN)
        member = self._membership.directory.member(asker)
        if not prekeys or member is None:
            return ()
        scope = Scope.for_device(member.zone, asker)
        return [self._give(tx, record, scope, prekeys, indices)]
