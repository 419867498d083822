"""The bridge to a TAK server: one connection, made again for ever, and what goes over it.

It asks the node only what any screen may ask, through the service interface. While the node is
locked nothing leaves. A server that is away, slow or hostile costs counters and the connection,
never the node.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

import trio

from meshnode.api import Api
from meshnode.config import TakSettings
from meshnode.errors import LinkError, LockedError
from meshnode.lines import Json
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.tak import sharing
from meshnode.tak.connection import WRITE_S_MAX
from meshnode.tak.cot import (
    ALL_ROOMS,
    Chat,
    CotEvent,
    EventStream,
    read_event_untrusted,
    write_event,
)
from meshnode.tak.inward import Inward
from meshnode.tak.ledger import TakLedger
from meshnode.tak.taking import ForeignMark, take
from protocol.errors import RemoteProtocolError

__all__ = ["BridgeParts", "TakBridge"]

_FIRST_WAIT_S: Final = 1.0
_WAIT_S_MAX: Final = 60.0
_READ_BYTES: Final = 16_384
_MARKS_MAX: Final = 2_000
"""Units of partners that are remembered; whoever was told of longest ago is forgotten first."""
_PAGE: Final = 200
_SHOWN_MAX: Final = 1_000
_REPEAT_MS: Final = 60_000
"""A marker that did not change is told again after so long, for whoever has just joined."""


@dataclass(frozen=True, slots=True)
class BridgeParts:
    """What a bridge is made of."""

    api: Api
    """Asked as a screen asks it."""
    settings: TakSettings
    """What leaves, what is taken, and where the server is."""
    runtime: Runtime
    """Wall time and trace."""
    metrics: Metrics
    """Counters of the node."""
    connect: Callable[[], Awaitable[trio.abc.Stream]]
    """Opens a connection. Raises: LinkError."""
    ledger: TakLedger
    """What was told before a restart."""
    keep: Callable[[bytes], Awaitable[None]]
    """Writes the ledger down. Raises: OSError."""
    uid: str
    """Identifier of the centre on the server."""


@dataclass(slots=True)
class _Told:
    """What one connection was told."""

    places: dict[str, tuple[CotEvent, int]] = field(default_factory=dict)
    """What was told of each marker last, and when, by its identifier."""
    alarms_s: dict[str, float] = field(default_factory=dict)
    """When each open alarm was told last, by trio's clock."""
    presence_s: float = -math.inf
    """When the centre showed itself last."""
    is_first: bool = True
    """True until what became of lines before this connection was looked at."""


def _differs(event: CotEvent, before: CotEvent) -> bool:
    """True for another place, or other words or another battery beside it."""
    return event.start_ms != before.start_ms or event.detail != before.detail


class TakBridge:
    """Runs the exchange with one server."""

    def __init__(self, parts: BridgeParts) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._wake = trio.Event()
        self._marks: OrderedDict[str, ForeignMark] = OrderedDict()
        self._inward = Inward(parts.api, parts.settings, parts.ledger, parts.metrics, parts.runtime)
        self._kept = b""
        self._changed = set[int]()
        self._up_ms = 0
        self._fault = ""

    # --- what people see --------------------------------------------------------------------

    def view(self) -> Json:
        """Return how the connection stands, what may leave, and the units of partners."""
        now_ms = self._parts.runtime.now_ms()
        settings, value = self._settings, self._parts.metrics.value
        return {
            "server": settings.server,
            "is_connected": bool(self._up_ms),
            "since_ms": self._up_ms,
            "fault": self._fault,
            "send": list(settings.send),
            "squads": list(settings.squads),
            "accept": list(settings.accept),
            "events_sent": value("tak_events_sent"),
            "events_taken": value("tak_events_taken"),
            "events_refused": value("tak_events_refused"),
            "marks": [
                {
                    "uid": mark.uid,
                    "callsign": mark.callsign,
                    "type": mark.type,
                    "latitude": mark.point.latitude,
                    "longitude": mark.point.longitude,
                    "at_ms": mark.start_ms,
                    "stale_ms": mark.stale_ms,
                    "is_stale": mark.stale_ms < now_ms,
                }
                for mark in self._marks.values()
            ],
        }

    # --- running ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the exchange going until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow)
            wait_s = _FIRST_WAIT_S
            while True:
                started_s = trio.current_time()
                await self._connect_once()
                if trio.current_time() - started_s > _WAIT_S_MAX:
                    wait_s = _FIRST_WAIT_S
                await trio.sleep(wait_s)
                wait_s = min(2 * wait_s, _WAIT_S_MAX)

    async def _follow(self) -> None:
        """Wake the exchange when something happens that it may have to tell."""
        async with aclosing(self._parts.api.follow()) as events:
            async for event in events:
                if event["event"] == "message_changed":
                    self._changed.add(event["key"])
                if event["event"] in {"message_arrived", "message_changed", "alarm_changed"}:
                    self._wake.set()

    async def _connect_once(self) -> None:
        metrics = self._parts.metrics
        try:
            stream = await self._parts.connect()
        except LinkError as error:
            metrics.count("tak_connections_failed")
            self._fault = str(error)
            return
        metrics.count("tak_connections")
        self._up_ms, self._fault = self._parts.runtime.now_ms(), ""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear, stream, nursery.cancel_scope)
                nursery.start_soon(self._tell, stream, nursery.cancel_scope)
        finally:
            self._up_ms = 0
            await trio.aclose_forcefully(stream)

    # --- out --------------------------------------------------------------------------------

    async def _tell(self, stream: trio.abc.Stream, scope: trio.CancelScope) -> None:
        """Tell what is new, every interval and when something happens."""
        told = _Told()
        try:
            while True:
                self._wake = trio.Event()
                await self._round(stream, told)
                with trio.move_on_after(self._settings.interval_s):
                    await self._wake.wait()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._fault = "the server closed the connection"
        except trio.TooSlowError:
            self._fault = f"the server takes nothing for {WRITE_S_MAX:.0f} s"
        except OSError as error:
            # Without its ledger the bridge would tell things twice: it stops and says so.
            self._fault = f"what was told cannot be written down: {error.strerror}"
        scope.cancel()

    async def _round(self, stream: trio.abc.Stream, told: _Told) -> None:
        """Raises: BrokenResourceError, ClosedResourceError, TooSlowError, OSError."""
        events = self._presence(told)
        try:
            events += await self._places(told)
            events += await self._alarms(told)
            events += await self._chat()
            events += await self._receipts(told)
        except LockedError:
            # What was shown before is taken back as if its shift had ended.
            events = self._take_back(told, set())
        for event in events:
            with trio.fail_after(WRITE_S_MAX):
                await stream.send_all(write_event(event))
            self._parts.metrics.count("tak_events_sent")
        await self.keep()

    async def keep(self) -> None:
        """Write the ledger down if it changed. Raises: OSError."""
        raw = self._parts.ledger.encode()
        if raw != self._kept:
            await self._parts.keep(raw)
            self._kept = raw

    def _presence(self, told: _Told) -> list[CotEvent]:
        now_s = trio.current_time()
        if now_s - told.presence_s < sharing.PRESENCE_S:
            return []
        told.presence_s = now_s
        now_ms = self._parts.runtime.now_ms()
        return [sharing.presence_event(self._parts.uid, self._settings.callsign, now_ms)]

    async def _places(self, told: _Told) -> list[CotEvent]:
        """Return markers that are new or changed, and what takes others back.

        Raises: LockedError.
        """
        if "position" not in self._settings.send:
            return []
        board, now_ms = await self._parts.api.board(), self._parts.runtime.now_ms()
        mates = sharing.shared_mates(board, self._settings.squads)
        has_battery = "battery" in self._settings.send
        stale_s = board["stale_s"]["position"]
        found = sharing.place_events(mates, stale_s, now_ms, has_battery=has_battery)
        # A stale one stays on the screens, grey; one off duty goes.
        on_duty = {sharing.mate_uid(node) for node, each in mates.items() if each["is_on_shift"]}
        events = self._take_back(told, on_duty)
        for uid, event in found.items():
            before, told_ms = told.places.get(uid, (None, 0))
            if before is None or _differs(event, before) or now_ms - told_ms >= _REPEAT_MS:
                told.places[uid] = (event, now_ms)
                events.append(event)
        return events

    def _take_back(self, told: _Told, kept: set[str]) -> list[CotEvent]:
        gone, now_ms = set(told.places) - kept, self._parts.runtime.now_ms()
        for uid in gone:
            del told.places[uid]
        return [sharing.gone_event(uid, now_ms) for uid in sorted(gone)]

    async def _alarms(self, told: _Told) -> list[CotEvent]:
        """Return alerts that are due, and ends of alerts. Raises: LockedError."""
        if "sos" not in self._settings.send:
            return []
        ledger, now_ms = self._parts.ledger, self._parts.runtime.now_ms()
        now_s, events = trio.current_time(), list[CotEvent]()
        ours = set(ledger.raised.values())
        raisers = await self._alarm_raisers()
        for alarm in await self._parts.api.alarms():
            name = alarm["alarm"]
            if name in ours or alarm["is_author_revoked"]:
                continue
            is_known = name in ledger.alarms
            if not is_known and raisers is not None and alarm["from_node"] not in raisers:
                continue
            if alarm["state"] != "closed":
                if now_s - told.alarms_s.get(name, -math.inf) >= sharing.ALERT_S:
                    told.alarms_s[name] = now_s
                    ledger.alarms.add(name)
                    events.append(sharing.alarm_event(alarm, now_ms))
            elif is_known:
                ledger.alarms.discard(name)
                events.append(sharing.alarm_over_event(alarm, now_ms))
        return events

    async def _alarm_raisers(self) -> set[str] | None:
        """Return whose alarms may leave; None for everybody's. Raises: LockedError."""
        if not self._settings.squads:
            return None
        return set(sharing.shared_mates(await self._parts.api.board(), self._settings.squads))

    async def _chat(self) -> list[CotEvent]:
        """Return the messages that came or were written since the last look. Raises: LockedError.

        A line that a partner wrote became a message of ours, and does not go back. Messages are
        passed by also where no chat leaves: it begins with what comes after the setting changed.
        """
        ledger, api = self._parts.ledger, self._parts.api
        while len(ledger.raised) > _SHOWN_MAX:
            del ledger.raised[next(iter(ledger.raised))]
        now_ms, events = self._parts.runtime.now_ms(), list[CotEvent]()
        for message in await api.inbox(ledger.inbox_key, _PAGE):
            ledger.inbox_key = message["key"]
            if self._may_leave(message) and message["received_ms"] >= ledger.since_ms:
                events.append(sharing.chat_event(message, now_ms))
        status = await api.status()
        for message in await api.outgoing(ledger.outgoing_key, _PAGE):
            ledger.outgoing_key = message["key"]
            is_ours = message["message"] not in ledger.lines
            if is_ours and self._may_leave(message) and message["created_ms"] >= ledger.since_ms:
                own = {"from": status["name"], "from_node": status["node"]}
                events.append(sharing.chat_event({**message, **own}, now_ms))
        return events if "chat" in self._settings.send else []

    def _may_leave(self, message: Json) -> bool:
        """True for a text of a squad that the settings name; an SOS goes as an alert instead."""
        to = message["to"]
        is_wanted = sharing.is_for_a_group(to) and sharing.is_shared(to, self._settings.squads)
        return message["kind"] == "text" and is_wanted and not message.get("is_author_revoked")

    async def _receipts(self, told: _Told) -> list[CotEvent]:
        """Return what has become of lines of partners. Raises: LockedError."""
        if "receipt" not in self._settings.send:
            return []
        ledger, now_ms = self._parts.ledger, self._parts.runtime.now_ms()
        events = list[CotEvent]()
        changed = None if told.is_first else frozenset(self._changed)
        told.is_first = False
        self._changed.clear()
        for message, state in await self._inward.news(changed):
            line = ledger.lines[message]
            chat = Chat(line.room or ALL_ROOMS, line.sender, line.sender_uid, line.line, "")
            line.state = state
            who = (self._parts.uid, self._settings.callsign)
            events.append(sharing.receipt_event(chat, *who, now_ms, is_read=state == "read"))
        return events

    # --- in ---------------------------------------------------------------------------------

    async def _hear(self, stream: trio.abc.Stream, scope: trio.CancelScope) -> None:
        """Take what the server sends until it ends."""
        events = EventStream()
        self._fault = ""
        try:
            while data := await stream.receive_some(_READ_BYTES):
                for raw in events.receive_untrusted(bytes(data)):
                    await self._take(raw)
            self._fault = "the server closed the connection"
        except RemoteProtocolError as error:
            # An event without an end: what comes behind it cannot be read either.
            self._refuse(error)
            self._fault = "the server sent what is no event"
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._fault = "the server closed the connection"
        scope.cancel()

    async def _take(self, raw: bytes) -> None:
        try:
            taken = take(read_event_untrusted(raw))
        except RemoteProtocolError as error:
            self._refuse(error)
            return
        if isinstance(taken, ForeignMark):
            self._mark(taken)
        elif taken is not None and await self._inward.take(taken):
            self._wake.set()

    def _mark(self, mark: ForeignMark) -> None:
        if "position" not in self._settings.accept:
            self._parts.metrics.count("tak_events_ignored")
            return
        self._parts.metrics.count("tak_events_taken")
        self._marks[mark.uid] = mark
        self._marks.move_to_end(mark.uid)
        if len(self._marks) > _MARKS_MAX:
            self._marks.popitem(last=False)

    def _refuse(self, error: RemoteProtocolError) -> None:
        self._parts.metrics.count("tak_events_refused")
        self._parts.runtime.trace("tak_event_refused", reason=type(error).__name__)
