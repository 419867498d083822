"""What people and programs may ask of a node, in plain values: the one service interface.

The control socket passes these calls through unchanged, so a command works the same beside a
running node and without one. Times are Unix milliseconds, ids as people see them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from meshnode.discovery.base import DEFAULT_PORT
from meshnode.errors import ControlError, SendError
from meshnode.events import (
    BundlesStored,
    DocumentsChanged,
    Event,
    LockChanged,
    MessageArrived,
    MessageChanged,
    PeerDown,
    PeerUp,
)
from meshnode.links.base import parse_address
from meshnode.links.session_handle import SessionStats
from meshnode.locking import Guard, SecretCase
from meshnode.node import Node
from meshnode.outbox import Priority, Writing
from meshnode.stick import Stick, StickError
from meshnode.store import keyring, messages, peers
from meshnode.store.keyring import KeyPurpose
from meshnode.store.records import MessageRecord
from protocol.bundle import Scope
from protocol.envelope import PrekeyRecord
from protocol.errors import EnvelopeError, MalformedError, RemoteProtocolError
from protocol.identity import Role
from protocol.ids import (
    BundleId,
    NodeId,
    parse_bundle_id_untrusted,
    print_bundle_id,
    print_node_id,
)
from protocol.limits import Kind, TrafficClass

__all__ = ["Api", "Json", "Progress"]

Json: TypeAlias = dict[str, Any]
"""One record of plain values."""
Progress: TypeAlias = Callable[[Json], None]
"""Told the counters of a contact now and then."""

_LIST_MAX: Final = 1_000
_PRIORITIES: Final = {"normal": Priority.NORMAL, "low": Priority.LOW}
_WEEKLY: Final = frozenset({"KNOCK", "RADIO"})
_WEEKLY_ID_BYTES: Final = 8
"""Id of a weekly key: four bytes of its week, four of its hash."""
_WORDS: Final = {Kind.TEXT: "text", Kind.NOTE: "note", Kind.SOS: "sos"}


class Api:
    """The calls, over an open node that runs or not."""

    def __init__(self, node: Node, guard: Guard | None = None) -> None:
        self._node = node
        self._guard = guard

    # --- writing ----------------------------------------------------------------------------

    async def send(
        self,
        to: str,
        text: str,
        *,
        sos: bool = False,
        priority: str = "normal",
        lifetime_s: int | None = None,
    ) -> Json:
        """Keep a message for `to` (`codt`, `zone`, `squad:NAME`, a device's name or id).

        Raises: UnknownNameError, SendError, StoreError; nothing is kept then.
        """
        scope = self._node.membership.directory.find(to, self._node.identity.zone)
        if not sos and priority not in _PRIORITIES:
            raise SendError("priority", "a priority is normal or low; for help use --sos")
        chosen = Priority.SOS if sos else _PRIORITIES[priority]
        sent = await self._node.outbox.send(Writing(scope, text, chosen, lifetime_s))
        self._node.housekeeping.wake.set()
        return {
            "message": print_bundle_id(sent.id),
            "key": sent.key,
            "state": sent.state.value,
            "to": self._node.membership.directory.describe(scope),
            "recipients": sent.recipients,
        }

    async def cancel(self, message: str) -> bool:
        """End an outgoing message; False if it had ended. Raises: SendError, StoreError."""
        record = await self._find(message)
        return await self._node.outbox.cancel(record.key)

    # --- reading ----------------------------------------------------------------------------

    async def inbox(self, after: int = 0, limit: int = 100) -> list[Json]:
        """Return messages for this device that came after the one numbered `after`.

        Raises: LockedError, StoreError.
        """
        self._node.require_desk()
        count = max(0, min(limit, _LIST_MAX))
        found = await self._node.store.read(lambda conn: messages.list_inbox(conn, after, count))
        return [self._incoming(record) for record in found]

    async def outgoing(self, after: int = 0, limit: int = 100) -> list[Json]:
        """Return messages written here after the one numbered `after`.

        Raises: LockedError, StoreError.
        """
        self._node.require_desk()
        count = max(0, min(limit, _LIST_MAX))
        found = await self._node.store.read(lambda conn: messages.list_outgoing(conn, after, count))
        return [
            {
                "key": record.key,
                "message": print_bundle_id(record.id),
                "to": self._describe(record.scope),
                "kind": _WORDS[record.kind],
                "text": record.text,
                "created_ms": record.created_ms,
                "state": record.state.value,
                "reason": record.reason,
            }
            for record in found
        ]

    async def mark_read(self, key: int) -> bool:
        """Note that somebody saw an incoming message; False if that was known.

        Raises: LockedError, StoreError.
        """
        self._node.require_desk()
        now_ms = self._node.runtime.now_ms()
        return await self._node.store.write(lambda tx: messages.mark_read(tx, key, now_ms))

    async def message(self, message: str) -> Json:
        """Return all that is known here of one message. Raises: SendError (`unknown`)."""
        record = await self._find(message)
        short_ids = [] if record.short_id is None else [record.short_id]
        recipients, ledger, carriers = await self._node.store.read(
            lambda conn: (
                messages.recipients(conn, record.key),
                messages.ledger(conn, record.key),
                peers.copies(conn, short_ids),
            )
        )
        names = self._node.membership.directory.name_of
        return {
            **self._incoming(record),
            "direction": record.direction.value,
            "state": record.state.value,
            "reason": record.reason,
            "expires_ms": record.expires_ms,
            "ended_ms": record.ended_ms,
            "suite": record.suite,
            "recipients": [
                {**self._who(each.node), "state": each.state.value, "at_ms": each.at_ms}
                for each in recipients
            ],
            "ledger": [
                {
                    "at_ms": each.at_ms,
                    "event": each.event.value,
                    "name": "" if each.node is None else names(each.node),
                    "node": "" if each.node is None else print_node_id(each.node),
                    "detail": each.detail,
                }
                for each in ledger
            ],
            "carriers": [self._who(node) for nodes in carriers.values() for node in sorted(nodes)],
        }

    async def _find(self, text: str) -> MessageRecord:
        """Return the message that `text` names by its id, or by its local number."""
        self._node.require_desk()
        record = None
        if text.isdecimal() and len(text) < 16:
            number = int(text)
            record = await self._node.store.read(lambda conn: messages.get(conn, number))
        else:
            bundle = _bundle_id(text)
            record = await self._node.store.read(lambda conn: messages.find(conn, bundle))
        if record is None:
            raise SendError("unknown", f"no message '{text[:80]}' is known on this device")
        return record

    # --- state ------------------------------------------------------------------------------

    async def peers(self) -> list[Json]:
        """Return every node that was ever met, those in contact first."""
        await self._node.contact_log.flush()
        found = await self._node.store.read(peers.list_peers)
        directory = self._node.membership.directory
        rows = []
        for peer in found:
            member = directory.member(peer.node)
            rows.append(
                {
                    **self._who(peer.node),
                    "role": "" if member is None else member.role.name.lower(),
                    "address": peer.address,
                    "is_up": peer.is_up,
                    "first_ms": peer.first_ms,
                    "last_ms": peer.last_ms,
                    "contacts": peer.contacts,
                    "sent_bytes": peer.sent_bytes,
                    "received_bytes": peer.received_bytes,
                }
            )
        return rows

    async def status(self) -> Json:
        """Return what this node is and how it stands."""
        node, directory = self._node, self._node.membership.directory
        own = directory.member(node.identity.node)
        states, unopened = await node.store.read(
            lambda conn: (messages.counts(conn), messages.unopened_count(conn))
        )
        squads = {roster.unit_id: roster.name for roster in directory.rosters() if roster.unit_id}
        sessions = node.relay.sessions
        return {
            "node": print_node_id(node.identity.node),
            "name": directory.name_of(node.identity.node),
            "role": "" if own is None else own.role.name.lower(),
            "zone": node.identity.zone,
            "network": directory.network_name,
            "squads": [] if own is None else [squads.get(each, each.hex()) for each in own.squads],
            "listening": [str(address) for address in node.manager.listening],
            "is_online": self._meets_gateway(),
            "sessions": len(sessions),
            "neighbours": [directory.name_of(peer) for peer in sessions],
            "store": self._store_figures(),
            "messages": {state.value: count for state, count in states.items()},
            "documents": len(node.membership.versions),
            "unopened": unopened,
            "lock": self._lock_state(),
            "metrics": node.metrics.snapshot(),
        }

    def _lock_state(self) -> Json:
        if self._guard is not None:
            return self._guard.describe()
        # A node without a guard is opened and shut by whoever made it.
        return {"is_locked": self._node.desk is None, "protection": SecretCase.UNATTENDED.value}

    def _meets_gateway(self) -> bool:
        """True if a gateway is in contact, or this is one."""
        directory = self._node.membership.directory
        near = [self._node.identity.node, *self._node.relay.sessions]
        members = [directory.member(node) for node in near]
        return any(member is not None and member.role is Role.GATEWAY for member in members)

    def _store_figures(self) -> Json:
        store = self._node.store
        counts = store.class_counts
        return {
            "bundles": sum(counts.values()),
            "bytes": store.total_bytes,
            "bytes_max": store.bytes_max,
            "by_class": {each.name.lower(): counts.get(each, 0) for each in TrafficClass},
        }

    # --- the agent's keys -------------------------------------------------------------------

    async def lock(self) -> bool:
        """Lock the agent's keys; False if they were locked. Raises: ControlError."""
        return await self._guarded().lock()

    async def unlock(self, secret: str) -> bool:
        """Open the agent's keys; False if they were open.

        Raises: WrongSecretError, LeaseEndedError, WipedError, KeystoreError, ControlError.
        """
        return await self._guarded().unlock(secret)

    async def keys(self) -> Json:
        """Return which keys there are, how old they are and what opens them; never a key."""
        node = self._node
        now_ms = node.runtime.now_ms()
        found: Json = {"lock": self._lock_state(), "prekey": None, "chains": None}
        purposes = [each for each in KeyPurpose if each is not KeyPurpose.ZONE_SOS]
        if node.desk is not None:
            purposes = list(KeyPurpose)
            prekey, chains = await node.store.read(
                lambda conn: (
                    keyring.newest_own_prekey(conn),
                    len(keyring.open_chains(conn, now_ms)),
                )
            )
            found["chains"] = chains
            if prekey is not None:
                found["prekey"] = {"issued_ms": prekey.issued_ms, "ends_ms": prekey.ends_ms}
        ids = await node.store.read(
            lambda conn: {each: list(keyring.network_keys(conn, each)) for each in purposes}
        )
        found["network"] = [
            {"purpose": purpose.name.lower(), "id": each.hex(), "epoch": _epoch(purpose, each)}
            for purpose, listed in ids.items()
            for each in listed
        ]
        return found

    def touch(self) -> None:
        """Somebody is there who gives commands: idleness is counted anew."""
        if self._guard is not None:
            self._guard.touch()

    def _guarded(self) -> Guard:
        if self._guard is None:
            raise ControlError("not_guarded", "this node has no lock of its own")
        return self._guard

    # --- contacts ---------------------------------------------------------------------------

    async def sync(self, address: str, progress: Progress | None = None) -> Json:
        """Dial `address`, exchange everything, part. Raises: LinkError if there is no way."""
        place = parse_address(address, DEFAULT_PORT)

        def report(stats: SessionStats) -> None:
            if progress is not None:
                progress(_counters(stats))

        async with self._node.working():
            summary = await self._node.manager.sync_once(place, report)
        await self._node.settle()
        peer = summary.peer
        return {
            "peer": "" if peer is None else print_node_id(peer),
            "name": "" if peer is None else self._node.membership.directory.name_of(peer),
            "is_complete": summary.is_complete,
            "reason": summary.reason,
            "duration_s": summary.duration_s,
            **_counters(summary.stats),
        }

    async def export_file(self, path: str, to: Sequence[str] = ()) -> Json:
        """Write a sealed file for the devices named, or for the centre's. Raises: StickError."""
        recipients = await self._readers_of(to or ["codt"])
        exported = await self._stick().export(Path(path), recipients)
        names = self._node.membership.directory.name_of
        return {
            "path": path,
            "bundles": exported.bundles,
            "documents": exported.documents,
            "bytes": exported.bytes,
            "left_out": exported.left_out,
            "recipients": sorted(names(node) for node in exported.recipients),
        }

    async def import_file(self, path: str) -> Json:
        """Take in a sealed file, whole or not at all. Raises: StickError and its like."""
        try:
            imported = await self._stick().import_file(Path(path))
        except (EnvelopeError, RemoteProtocolError) as error:
            self._node.metrics.count("files_refused")
            self._node.runtime.trace("file_refused", reason=type(error).__name__)
            raise
        await self._node.settle()
        return {
            "path": path,
            "bundles_stored": imported.stored,
            "bundles_known": imported.known,
            "bundles_refused": imported.refused,
            "documents": imported.documents,
        }

    def _stick(self) -> Stick:
        node = self._node
        return Stick(
            node.store,
            node.runtime,
            node.membership,
            node.relay,
            node.sealer,
            keyring.own_prekey,
        )

    async def _readers_of(self, to: Sequence[str]) -> Mapping[NodeId, PrekeyRecord]:
        directory, own = self._node.membership.directory, self._node.identity
        nodes: set[NodeId] = set()
        for words in to:
            nodes |= directory.recipients(directory.find(words, own.zone), own.node)
        now_ms = self._node.runtime.now_ms()
        known = await self._node.store.read(lambda conn: keyring.peer_prekeys(conn, nodes, now_ms))
        if not known:
            raise StickError(f"no key of {', '.join(to)} is known here yet: meet them once first")
        return known

    # --- watching ---------------------------------------------------------------------------

    async def follow(self) -> AsyncGenerator[Json, None]:
        """Yield what happens from now on, without end."""
        with self._node.events.subscribe() as subscription:
            yield {"event": "following"}
            while True:
                yield self._told(await subscription.next())

    def _told(self, event: Event) -> Json:
        match event:
            case MessageArrived(key, message):
                return {
                    "event": "message_arrived",
                    "key": key,
                    "message": print_bundle_id(message),
                }
            case MessageChanged(key):
                return {"event": "message_changed", "key": key}
            case PeerUp(node, remote):
                return {"event": "peer_up", **self._who(node), "address": remote}
            case PeerDown(node):
                return {"event": "peer_down", **self._who(node)}
            case BundlesStored(count, source):
                source_words = {} if source is None else self._who(source)
                return {"event": "bundles_stored", "count": count, **source_words}
            case DocumentsChanged(count):
                return {"event": "documents_changed", "count": count}
            case LockChanged(is_locked):
                return {"event": "lock_changed", "is_locked": is_locked}

    # --- words ------------------------------------------------------------------------------

    def _who(self, node: NodeId) -> Json:
        name = self._node.membership.directory.name_of(node)
        return {"name": name, "node": print_node_id(node)}

    def _describe(self, scope: bytes) -> str:
        return self._node.membership.directory.describe(Scope.decode_untrusted(scope))

    def _incoming(self, record: MessageRecord) -> Json:
        return {
            "key": record.key,
            "message": print_bundle_id(record.id),
            "from": self._node.membership.directory.name_of(record.id.author),
            "from_node": print_node_id(record.id.author),
            "to": self._describe(record.scope),
            "kind": _WORDS[record.kind],
            "text": record.text,
            "created_ms": record.created_ms,
            "received_ms": record.received_ms,
            "is_read": record.is_read,
        }


def _epoch(purpose: KeyPurpose, key_id: bytes) -> int | None:
    """Return the week of a key that is renewed weekly, None for one that is not."""
    is_weekly = purpose.name in _WEEKLY and len(key_id) == _WEEKLY_ID_BYTES
    return int.from_bytes(key_id[:4], "big") if is_weekly else None


def _bundle_id(text: str) -> BundleId:
    try:
        return parse_bundle_id_untrusted(text)
    except MalformedError as error:
        raise SendError("unknown", str(error)) from error


def _counters(stats: SessionStats) -> Json:
    return {
        "bytes_sent": stats.bytes_sent,
        "bytes_received": stats.bytes_received,
        "bundles_sent": stats.bundles_sent,
        "bundles_received": stats.bundles_received,
        "reconcile_bytes": stats.reconcile_bytes,
        "round_trips": stats.round_trips,
    }
