"""What people and programs may ask of a node, in plain values: the one service interface.

The control socket passes these calls through unchanged, so a command works the same beside a
running node and without one. Times are Unix milliseconds, ids as people see them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from meshnode.calls.alarm_by_secret import AlarmBySecretCalls
from meshnode.calls.archive_file import ArchiveFileCalls
from meshnode.calls.archive_report import ArchiveReportCalls
from meshnode.calls.audit import AuditCalls
from meshnode.calls.board import BoardCalls
from meshnode.calls.card import CardCalls
from meshnode.calls.coverage import CoverageCalls
from meshnode.calls.delivery import DeliveryCalls
from meshnode.calls.file import FileCalls
from meshnode.calls.key import KeyCalls
from meshnode.calls.naming import NamingCalls
from meshnode.calls.order import OrderCalls
from meshnode.calls.readiness import ReadinessCalls
from meshnode.calls.sensor import SensorCalls
from meshnode.calls.sheet import SheetCalls
from meshnode.calls.shift import ShiftCalls
from meshnode.calls.tak import TakCalls
from meshnode.calls.unloading import UnloadingCalls
from meshnode.calls.uplink import UplinkCalls
from meshnode.calls.web import WebCalls
from meshnode.clock import seems_late
from meshnode.discovery.base import DEFAULT_PORT
from meshnode.document_files import read_documents, write_documents
from meshnode.errors import SendError
from meshnode.events import (
    AlarmChanged,
    ArchiveGrew,
    BundlesStored,
    DiskChanged,
    DocumentsChanged,
    Equivocated,
    Event,
    LockChanged,
    MessageArrived,
    MessageChanged,
    PeerDown,
    PeerUp,
)
from meshnode.lines import Json, Progress
from meshnode.links.base import parse_address
from meshnode.links.session_handle import SessionStats
from meshnode.order_log import order_log
from meshnode.outbox import Priority, Writing
from meshnode.stick import Stick
from meshnode.store import delivery, keyring, messages, peers, reading
from meshnode.store.evidence import evidence_count
from meshnode.store.records import Direction, IncomingReason, MessageRecord
from protocol.errors import EnvelopeError, RemoteProtocolError
from protocol.identity import Role
from protocol.ids import print_bundle_id, print_node_id
from protocol.limits import Kind, TrafficClass

__all__ = ["Api", "Json", "Progress"]

_LIST_MAX: Final = 1_000
_PRIORITIES: Final = {"normal": Priority.NORMAL, "low": Priority.LOW}
_NO_MATRIX: Final[Json] = {"outcome": "", "outcome_names": [], "copies": [], "matrix": []}
_WORDS: Final = {Kind.TEXT: "text", Kind.NOTE: "note", Kind.SOS: "sos"}


class Api(
    AlarmBySecretCalls,
    ArchiveFileCalls,
    ArchiveReportCalls,
    AuditCalls,
    BoardCalls,
    CoverageCalls,
    CardCalls,
    DeliveryCalls,
    FileCalls,
    KeyCalls,
    NamingCalls,
    OrderCalls,
    ReadinessCalls,
    SensorCalls,
    SheetCalls,
    ShiftCalls,
    TakCalls,
    UnloadingCalls,
    UplinkCalls,
    WebCalls,
):
    """The calls, over an open node that runs or not."""

    # --- writing ----------------------------------------------------------------------------

    async def send(
        self,
        to: str,
        text: str,
        *,
        sos: bool = False,
        priority: str = "normal",
        lifetime_s: int | None = None,
        attach: str = "",
        keep_place: bool = False,
    ) -> Json:
        """Keep a message for `to` (`codt`, `zone`, `squad:NAME`, a device's name or id).

        With `attach`, the path of a file, that goes with it; of a photo only the picture, unless
        `keep_place`, which needs an open shift.
        Raises: UnknownNameError, SendError, StoreError; nothing is kept then.
        """
        scope = self._node.membership.directory.find(to, self._node.identity.zone)
        if not sos and priority not in _PRIORITIES:
            raise SendError("priority", "a priority is normal or low; for help use --sos")
        chosen = Priority.SOS if sos else _PRIORITIES[priority]
        if attach:
            if sos:
                raise SendError("file_sos", "an SOS takes no file: send the file after it")
            take_in = partial(self._node.attachments.intake.take_in, Path(attach))
            writing = Writing(scope, text, chosen, lifetime_s)
            sent = await self._send_file(writing, take_in, keep_place)
        else:
            sent = await self._node.outbox.send(Writing(scope, text, chosen, lifetime_s))
        self._node.housekeeping.wake.set()
        return self._told_sent(scope, sent)

    async def cancel(self, message: str) -> bool:
        """End an outgoing message; False if it had ended. Raises: SendError, StoreError."""
        record = await self._find(message)
        is_file_cancelled = await self._node.attachments.cancel_message(record.key)
        return await self._node.outbox.cancel(record.key) or is_file_cancelled

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

        Its author is told by a sealed receipt a moment later. Raises: LockedError, StoreError.
        """
        is_new = await self._node.require_desk().reading.mark_read(key)
        record = await self._node.store.read(lambda conn: messages.get(conn, key))
        if is_new and record is not None and record.kind is Kind.SOS:
            await self._note_shown(record.id.author, record.alarm_id)
        return is_new

    async def message(self, message: str) -> Json:
        """Return all that is known here of one message. Raises: SendError (`unknown`)."""
        record = await self._find(message)
        short_ids = [] if record.short_id is None else [record.short_id]
        is_ours = record.direction is Direction.OUTGOING
        await self._node.contact_log.flush()
        recipients, ledger, carriers, matrix, origin = await self._node.store.read(
            lambda conn: (
                messages.recipients(conn, record.key),
                messages.ledger(conn, record.key),
                peers.copies(conn, short_ids),
                self._matrix(conn, record.key) if is_ours else None,
                reading.origin(conn, record.key) or 0,
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
            "resends_key": origin,
            **(_NO_MATRIX if matrix is None else self._matrix_of(matrix)),
        }

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
                    "is_revoked": peer.node in directory.revoked,
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
        """Return what this node is and how it stands.

        `disk_fault` says why the disk takes nothing that is written, in English; empty where it
        does: then no message comes in, and none is kept.
        """
        node, directory = self._node, self._node.membership.directory
        own = directory.member(node.identity.node)
        states, unopened, alarms_unread, evidence = await node.store.read(
            lambda conn: (
                messages.counts(conn),
                delivery.unopened_count(conn),
                delivery.alarms_unopened(conn),
                evidence_count(conn),
            )
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
            "alarms_unread": alarms_unread,
            "evidence": evidence,
            "is_clock_doubted": node.clock.is_doubted,
            "is_clock_late": seems_late(
                node.metrics.value("bundles_stored"), node.metrics.value("bundles_too_far_ahead")
            ),
            "disk_fault": node.housekeeping.disk.fault,
            "lock": self._lock_state(),
            "archive": await self._archive(),
            "metrics": node.metrics.snapshot(),
        }

    async def _archive(self) -> Json | None:
        """Return how the archive stands; None where this device keeps none."""
        gateway = None if self._guard is None else self._guard.gateway
        if gateway is None or not gateway.master.exists():
            return None
        return await self._archive_standing(gateway)

    async def orders(self) -> list[Json]:
        """Return the wipe orders in force, and which devices have proven that they obeyed."""
        return order_log(self._node.membership.trust)

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

    # --- contacts ---------------------------------------------------------------------------

    async def sync(self, address: str, progress: Progress | None = None) -> Json:
        """Dial `address`, exchange everything, part. Raises: LinkError if there is no way."""
        place = parse_address(address, DEFAULT_PORT)

        def report(stats: SessionStats) -> None:
            if progress is not None:
                progress(_counters(stats))

        # What was read since the last contact is told in this one.
        await self._node.settle()
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
        await self._node.settle()
        recipients = await self._readers_of(to or ["codt"])
        exported = await self._stick().export(Path(path), recipients)
        self._node.audit.note("export")
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
            await self._node.audit.flush()
            raise
        self._node.audit.note("import")
        await self._node.settle()
        return {
            "path": path,
            "bundles_stored": imported.stored,
            "bundles_known": imported.known,
            "bundles_refused": imported.refused,
            "documents": imported.documents,
        }

    async def export_documents(self, path: str) -> Json:
        """Write the authority documents that hold here into a file of text. Raises: StickError."""
        node = self._node
        raws = await node.membership.read(list(node.membership.versions))
        count = await node.runtime.run_blocking(write_documents, Path(path), raws)
        return {"path": path, "documents": count}

    async def import_documents(self, path: str) -> Json:
        """Take authority documents from a file of text; each is judged like a peer's.

        Raises: StickError, MalformedError, LimitExceededError, StoreError.
        """
        node = self._node
        try:
            raws = await node.runtime.run_blocking(read_documents, Path(path))
        except RemoteProtocolError as error:
            node.membership.note_refusal(error)
            await node.audit.flush()
            raise
        judged = await node.membership.judge(raws)
        await node.settle()
        return {
            "path": path,
            "documents": len(raws),
            "taken": judged.taken,
            "known": judged.known,
            "refused": dict(judged.refused),
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

    # --- watching ---------------------------------------------------------------------------

    async def follow(self) -> AsyncGenerator[Json, None]:
        """Yield what happens from now on, without end.

        `following` comes first, and again where a slow reader lost some: it looks at all anew.
        """
        with self._node.events.subscribe() as subscription:
            while True:
                lost = subscription.lost
                yield {"event": "following"}
                while subscription.lost == lost:
                    yield self._told(await subscription.next())

    def _told(self, event: Event) -> Json:
        match event:
            case AlarmChanged() | ArchiveGrew() | DiskChanged():
                return self._told_elsewhere(event)
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
            case Equivocated(node, bundle):
                name = print_bundle_id(bundle)
                return {"event": "equivocation", **self._who(node), "message": name}
            case LockChanged(is_locked):
                return {"event": "lock_changed", "is_locked": is_locked}

    def _told_elsewhere(self, event: AlarmChanged | ArchiveGrew | DiskChanged) -> Json:
        if isinstance(event, AlarmChanged):
            return self._told_alarm(event)
        if isinstance(event, DiskChanged):
            return {"event": "disk_changed", "fault": event.fault}
        grown = {"bundles": event.bundles, "contents": event.contents}
        return {"event": "archive_grew", **self._who(event.gateway), **grown}

    # --- words ------------------------------------------------------------------------------

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
            "is_author_revoked": record.reason == IncomingReason.REVOKED,
        }


def _counters(stats: SessionStats) -> Json:
    return {
        "bytes_sent": stats.bytes_sent,
        "bytes_received": stats.bytes_received,
        "bundles_sent": stats.bundles_sent,
        "bundles_received": stats.bundles_received,
        "reconcile_bytes": stats.reconcile_bytes,
        "round_trips": stats.round_trips,
    }
