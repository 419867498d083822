"""The desk of a node: all that reads, writes and signs, there only while the device is unlocked.

The carrier (`meshnode.node`) works without it and does not know what it does; it makes a desk when
the agent's keys open and drops it when they lock. What the desk began and did not commit is found
again in the store by the next one. Source: security 2.1 and 2.10.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from meshnode.audit_head import AuditHeads
from meshnode.author import Author
from meshnode.chain_keeper import ChainKeeper
from meshnode.errors import LockedError
from meshnode.inbox import Inbox, InboxParts, Keep
from meshnode.key_requests import KeyRequests
from meshnode.links.level import Level
from meshnode.membership import Membership
from meshnode.network_keys import KeyRenewal
from meshnode.opening import Opener
from meshnode.outbox import Outbox, OutboxServices
from meshnode.positions import Positions
from meshnode.prekeys import Prekeys
from meshnode.receipting import Receipting
from meshnode.reception import Checked, allowances
from meshnode.relay import Relay
from meshnode.runtime import Runtime
from meshnode.services.alarms import Alarms
from meshnode.services.attachments import Attachments
from meshnode.services.board import Board
from meshnode.services.coverage_map import CoverageLearning
from meshnode.services.reading import Reading, ReadingParts
from meshnode.services.readings import Readings
from meshnode.services.recalling import Recalling
from meshnode.services.reporting import Duty, Reporting
from meshnode.services.sheet_publishing import SheetPublishing
from meshnode.services.sheet_search import SheetSearch
from meshnode.services.sheets import Sheets
from meshnode.services.tracks import Tracks
from meshnode.shift_ends import ShiftEnds
from meshnode.store.engine import Store
from meshnode.supervisor import keep_running
from protocol.alarms import Step
from protocol.envelope import Sealer
from protocol.ids import NodeId
from protocol.limits import Kind
from protocol.quota import AGENT, Allowance

__all__ = ["Carrier", "Desk", "DeskParts"]

_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class DeskParts:
    """What the agent's secret opens."""

    sealer: Sealer
    """Public-key sealing; given to the rooms of the desk, to no relay."""
    sign: Callable[[bytes], bytes] = field(repr=False)
    """Signs with the badge's private key."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """What a desk finds in the node that it belongs to."""

    node: NodeId
    """16 bytes."""
    zone: int
    """Our own zone, 1-65535."""
    network_key: bytes = field(repr=False)
    """Makes short ids; every enrolled device has it."""
    store: Store
    """Where bundles, messages and keys lie."""
    runtime: Runtime
    """The seams."""
    membership: Membership
    """Who is who; it knows who watches, and the counters."""
    relay: Relay
    """Carries what is made here."""
    ends: ShiftEnds
    """Erases what hangs on shifts that are over."""


class Desk:
    """The rooms that need the agent's keys. Made by `Node.open_desk`, ended by `Node.lock`."""

    def __init__(self, carrier: Carrier, parts: DeskParts) -> None:
        store, runtime, membership = carrier.store, carrier.runtime, carrier.membership
        relay, metrics = carrier.relay, membership.metrics
        self._runtime, self._relay, self._metrics = runtime, relay, metrics
        self._node, self._membership = carrier.node, membership
        self._pen = _Pen(parts.sign)
        self._scope = trio.CancelScope()
        self._is_stopped = False
        self.store = store
        """Where all of it lies, as the holder of the keys sees it."""
        self.sealer = parts.sealer
        self.seal_waiting = Level()
        """Set when a key may have come that a message waits for."""
        self.look_due = Level()
        """Set when it is time to see whether a prekey is old."""
        author = Author(
            carrier.node, self._pen, runtime, carrier.network_key, partial(_allowance, carrier)
        )
        self.author = author
        """Signs bundles."""
        keeper = ChainKeeper(author, runtime, membership, parts.sealer, metrics)
        self.alarms = Alarms(author, carrier.zone, store, runtime, membership, relay)
        self.reading = Reading(
            ReadingParts(author, store, runtime, membership, keeper, parts.sealer, relay)
        )
        recalling = Recalling(author, runtime, membership, self.reading)
        services = OutboxServices(self.alarms, recalling)
        self.outbox = Outbox(
            author, store, runtime, membership, keeper, parts.sealer, relay, services
        )
        self.positions = Positions(
            author, store, runtime, membership, keeper, carrier.ends, metrics
        )
        self._watch_duty(author, carrier, keeper)
        self.renewal = KeyRenewal(author, store, runtime, membership, keeper, parts.sealer, metrics)
        self.receipting = Receipting(author, store, membership, relay, metrics, runtime)
        self.attachments = Attachments(
            author, store, runtime, membership, relay, metrics, self.receipting.wake.set
        )
        self._lay_out_sheets(author, carrier)
        self.inbox = Inbox(
            InboxParts(
                store=store,
                runtime=runtime,
                membership=membership,
                opener=Opener(
                    carrier.node, carrier.zone, parts.sealer, lambda: membership.directory
                ),
                keeper=keeper,
                positions=self.positions,
                alarms=self.alarms,
                keepers=self._keepers(recalling),
                attachments=self.attachments,
                sheets=self.sheets,
                ends=carrier.ends,
                renewal=self.renewal,
                requests=KeyRequests(author, store, runtime, membership, metrics),
                relay=relay,
                events=membership.events,
                metrics=metrics,
                on_prekey=self._try_sealing,
                on_received=self.receipting.wake.set,
                on_kept=self._tell_kept,
            )
        )
        self._prekeys = Prekeys(author, store, runtime, parts.sealer, carrier.zone)
        self._audit_heads = AuditHeads(author, store, runtime, carrier.zone)

    def _keepers(self, recalling: Recalling) -> Mapping[Kind, Keep]:
        """Return who keeps what the inbox does not know itself."""
        return {
            Kind.POSITION: self.positions.keep,
            Kind.STATE: self.board.keep,
            Kind.TRACK: self.tracks.keep,
            Kind.CANCEL: recalling.keep,
            Kind.READ: self.reading.keep,
            Kind.SHEETS: self.sheets.keep,
            Kind.COVERAGE: self.coverage.keep,
        }

    def _lay_out_sheets(self, author: Author, carrier: Carrier) -> None:
        """Make the rooms of reflex sheets."""
        store, runtime, membership = carrier.store, carrier.runtime, carrier.membership
        metrics, relay = membership.metrics, carrier.relay
        publishing = SheetPublishing(
            author, carrier.zone, store, runtime, membership, relay, metrics
        )
        self.sheets = Sheets(carrier.zone, store, runtime, metrics, publishing)
        self.sheet_search = SheetSearch(self.sheets, runtime)

    def _watch_duty(self, author: Author, carrier: Carrier, keeper: ChainKeeper) -> None:
        """Make the rooms that tell of this device while a shift is open."""
        store, runtime, membership = carrier.store, carrier.runtime, carrier.membership
        metrics, relay = membership.metrics, carrier.relay
        self.board = Board(author, store, runtime, membership, keeper, self.positions, metrics)
        self.tracks = Tracks(author, store, runtime, keeper, self.positions, metrics)
        self.positions.trackers.append(self.tracks)
        self.reporting = Reporting(
            self.board, self.positions, runtime, metrics, partial(_announce, relay), self._duty
        )
        self.coverage = CoverageLearning(author, store, runtime, membership, keeper, self.positions)
        self.reporting.beside = self.coverage.look

    def plug(self, readings: Readings, reached: Callable[[], bool | None]) -> None:
        """Tell of this device what `readings` say; `reached` tells whether a gateway is."""
        self.reporting.plug(readings)
        self.coverage.plug(readings, reached)

    @property
    def sign(self) -> Callable[[bytes], bytes]:
        """Signs as this device. The function raises LockedError once the desk is put away."""
        return self._pen

    async def look(self) -> None:
        """Renew the prekey and tell the head of the audit log, where they are a day old.

        Weekly keys are made where it is our turn.

        Raises: StoreError, LockedError.
        """
        await self._relay.announce(await self._prekeys.renew(), None)
        await self._relay.announce(await self.renewal.renew(), None)
        await self._relay.announce(await self._audit_heads.renew(), None)

    async def _duty(self) -> Duty:
        own = self._membership.directory.member(self._node)
        alarms = await self.alarms.list_alarms()
        return Duty(
            role=None if own is None else own.role,
            is_in_alarm=any(
                each.name[0] == self._node and each.alarm.state < Step.CLOSED for each in alarms
            ),
        )

    async def settle(self) -> None:
        """Do once what the rooms do all the time. Raises: StoreError, LockedError."""
        while await self.inbox.open_some():
            pass
        await self.outbox.seal_waiting()
        await self.alarms.repeat_due()
        while await self.attachments.work():
            pass
        while await self.sheets.publishing.work():
            pass
        while await self.receipting.write_due():
            pass
        while await self.reading.write_due():
            pass
        await self._relay.announce(await self.coverage.look(), None)

    async def run(self) -> None:
        """Keep the rooms at work until cancelled, or until the desk is stopped."""
        rooms: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
            ("inbox", self.inbox.run),
            ("receipting", self.receipting.run),
            ("reading", self.reading.run),
            ("attachments", self.attachments.run),
            ("sheets", self.sheets.publishing.run),
            ("prekeys", self._keep_looking),
            ("sealing", self._keep_sealing),
            ("reporting", self.reporting.run),
            ("alarms", self.alarms.run),
        )
        if self._is_stopped:
            return
        with trio.CancelScope() as self._scope:
            async with trio.open_nursery() as nursery:
                for name, room in rooms:
                    nursery.start_soon(keep_running, name, room, self._runtime, self._metrics)

    def stop(self) -> None:
        """End the rooms at once; a transaction that has begun is finished by the store."""
        self._is_stopped = True
        self._scope.cancel()

    def put_away(self) -> None:
        """Give the keys back: whoever still holds a part of the desk hears that it is locked."""
        self._pen.put_away()

    def _try_sealing(self) -> None:
        """A key came that a message, or a read receipt, may wait for."""
        self.seal_waiting.set()
        self.reading.wake.set()

    def _tell_kept(self) -> None:
        """What the inbox kept is on the disk: keepers may have something to tell, or to do."""
        self.reading.tell_changed()
        self.sheets.publishing.tell_changed()
        self.coverage.forget()

    async def _keep_looking(self) -> None:
        while True:
            await self.look()
            await self.look_due.wait()

    async def _keep_sealing(self) -> None:
        while True:
            await self.outbox.seal_waiting()
            # What this hour's quota held back is due in the next one.
            with trio.move_on_after(_next_hour_s(self._runtime.now_ms())):
                await self.seal_waiting.wait()


def _next_hour_s(now_ms: int) -> float:
    """Return how long until quotas begin anew, seconds; a little more, so that it has begun."""
    return (_HOUR_MS - now_ms % _HOUR_MS) / 1000 + 1


async def _announce(relay: Relay, made: Sequence[Checked]) -> None:
    await relay.announce(made, None)


def _allowance(carrier: Carrier) -> Allowance:
    """Return what others take of this node; that of an agent until a roster names it."""
    return allowances(carrier.membership.directory, [carrier.node]).get(carrier.node, AGENT)


class _Pen:
    """The badge's signature until it is put away, for whoever kept hold of it too."""

    def __init__(self, sign: Callable[[bytes], bytes]) -> None:
        self._sign: Callable[[bytes], bytes] | None = sign

    def __call__(self, message: bytes) -> bytes:
        """Return the signature. Raises: LockedError."""
        if self._sign is None:
            raise LockedError
        return self._sign(message)

    def put_away(self) -> None:
        """Sign nothing any more."""
        self._sign = None
