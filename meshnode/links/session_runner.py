"""The one loop between a link and a `SyncSession`: bytes, questions, bundles, time.

One task reads, one writes, one brings containers from the store, one answers questions, one waits
for deadlines; received bundles are stored by tasks of their own. All wait for levels: an idle
session wakes for its pings only. Nothing that a peer does raises out of `SessionRunner.run`;
a defect of ours does. Source: DESIGN section 4, wire-format 6.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from meshnode.errors import LinkError
from meshnode.links.airtime import AirTime
from meshnode.links.answers import Answers
from meshnode.links.base import Link
from meshnode.links.inbound import Inbound, Settled
from meshnode.links.level import Level
from meshnode.links.session_handle import (
    Backlog,
    SessionGate,
    SessionHandle,
    SessionReport,
    SessionStats,
)
from meshnode.links.session_host import SessionHost
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime, steady_ms
from protocol.errors import CloseCode, MeshError
from protocol.ids import NodeId, ShortId
from protocol.limits import (
    LINK_LINGER_MS,
    LINK_READ_BYTES,
    SESSION_FINISH_MS,
    SUPPLY_BYTES,
)
from protocol.session import (
    BundleReceived,
    BundlesAcked,
    Event,
    Item,
    ReconcileStarting,
    RoundFinished,
    SessionClosed,
    SessionRole,
    SyncSession,
)

__all__ = ["SessionGate", "SessionHandle", "SessionReport", "SessionRunner", "SessionStats"]


class SessionRunner:
    """Runs one session over one link, from HELLO to the end of both."""

    def __init__(
        self,
        link: Link,
        host: SessionHost,
        runtime: Runtime,
        gate: SessionGate | None = None,
        air: AirTime | None = None,
    ) -> None:
        role = SessionRole.INITIATOR if link.is_initiator else SessionRole.RESPONDER
        self._link = link
        self._host = host
        self._runtime = runtime
        self._gate = gate
        self._air = air or AirTime(Metrics())
        self._session = SyncSession(role, host.hello(link), steady_ms())
        self._answers = Answers(self._session, host, link, self)
        self._inbound: Inbound | None = None
        self._sending: trio.CancelScope | None = None
        self._is_cut = False
        self._writable = Level()
        self._suppliable = Level()
        self._readable = Level()
        self._retimed = Level()
        self._armed_ms: int | None = None
        self._closed: SessionClosed | None = None
        self._scope = trio.CancelScope()
        self._handle: SessionHandle | None = None
        self._is_up = False
        self._is_stepping = False
        self._is_round_wanted = False
        self._started_s = trio.current_time()
        self.heard_s = self._started_s
        self.rounds_started = 0
        self.rounds_finished = 0
        self.ended = trio.Event()
        self._changed = trio.Event()
        self.first_heard_s: float | None = None

    # --- what others may ask ----------------------------------------------------------------

    @property
    def handle(self) -> SessionHandle | None:
        """The handle, once the peer is admitted."""
        return self._handle

    @property
    def stats(self) -> SessionStats:
        """Counters so far."""
        session = self._session
        return SessionStats(
            bytes_sent=session.bytes_sent,
            bytes_received=session.bytes_received,
            bundles_sent=session.bundles_sent,
            bundles_received=session.bundles_received,
            reconcile_bytes=session.reconcile_bytes,
            round_trips=session.round_trips,
            rounds=self.rounds_finished,
        )

    @property
    def backlog(self) -> Backlog:
        """See `SessionHandle.backlog`."""
        session = self._session
        return Backlog(
            settled=session.bundles_settled,
            under_way=session.bundles_sent - session.bundles_settled,
            waiting=session.bundles_waiting,
            settled_bytes=session.bytes_settled,
            unsettled_bytes=session.bytes_unsettled,
            to_plan=self._answers.to_plan,
            streams=dict(self._answers.streams),
            rounds=self.rounds_finished,
        )

    @property
    def is_over(self) -> bool:
        """True once the session is closed; what has come in may still be under way to disk."""
        return self._closed is not None

    @property
    def is_quiet(self) -> bool:
        """True if no bundle waits, is under way, or is still owed by the peer."""
        inbound_idle = self._inbound is None or self._inbound.is_idle
        return inbound_idle and self._answers.is_idle and self._session.is_idle

    @property
    def is_initiator(self) -> bool:
        """True if this end dialled: only it can ask for rounds."""
        return self._link.is_initiator

    @property
    def local(self) -> str:
        """Our own address on the link; see `Link.local`."""
        return self._link.local

    @property
    def rtt_s(self) -> float:
        """Roughly one round trip: from link-up to the first word of the peer."""
        return (self.first_heard_s or trio.current_time()) - self._started_s

    async def wait_changed(self) -> None:
        """Return after anything has happened; look again then. Any number of tasks may wait."""
        await self._changed.wait()

    def give_up_waiting(self) -> None:
        """No longer count on bundles that were asked for: the peer dropped them meanwhile."""
        self._answers.give_up_waiting()

    def announce(self, items: tuple[Item, ...]) -> None:
        """See `SessionHandle.announce`."""
        if self._closed is None and items:
            self._session.announce(items)
            self.step()

    def tell_documents(self, raws: Sequence[bytes]) -> None:
        """See `SessionHandle.tell_documents`."""
        if self._closed is None and raws:
            self._session.tell_documents(raws)
            self.step()

    def restrict(self) -> None:
        """See `SessionHandle.restrict`."""
        if self._closed is None:
            self._session.restrict()
            self.step()

    def ask(self, short_ids: Sequence[ShortId]) -> None:
        """See `SessionHandle.ask`."""
        if self._closed is None and short_ids:
            self._answers.ask(short_ids)

    def start_round(self) -> None:
        """See `SessionHandle.start_round`."""
        if self._link.is_initiator and self._closed is None:
            self._is_round_wanted = True
            self.step()

    def close(self, code: CloseCode) -> None:
        """See `SessionHandle.close`."""
        if self._closed is None:
            self._session.close(code)
            self.step()

    def retire(self, code: CloseCode) -> None:
        """See `SessionHandle.retire`."""
        self.close(code)
        self._down()

    # --- the run ----------------------------------------------------------------------------

    async def run(self) -> SessionReport:
        """Run until the session or the link ends; closes the link."""
        try:
            async with trio.open_nursery() as storing:
                self._inbound = Inbound(self._host, storing, self._on_settled, self.failed)
                try:
                    await self._converse()
                    await self._finish()
                finally:
                    self._inbound.forget()
                    self._down()
                    with trio.CancelScope(shield=True):
                        await self._link.aclose()
                        await self._inbound.finish(_deadline_s(SESSION_FINISH_MS))
        finally:
            self.ended.set()
            self._tell_changed()
        return self._report()

    async def _converse(self) -> None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                for task in (
                    self._write,
                    self._supply,
                    self._watch_time,
                    self._answers.run,
                    self._answers.run_custody,
                ):
                    nursery.start_soon(task)
                self.step()
                try:
                    await self._read()
                finally:
                    self._limit_sending()

    def _limit_sending(self) -> None:
        """Let a frame that is half sent go out, or the peer could not read the BYE behind it."""
        if self._sending is not None:
            is_over = self._closed is not None and self._closed.by_peer
            self._sending.deadline = _deadline_s(0 if is_over else LINK_LINGER_MS)

    async def _finish(self) -> None:
        """Say goodbye if that is ours to say, and store what has come in."""
        assert self._inbound is not None
        assert self._closed is not None
        if not (self._closed.by_peer or self._is_cut):
            with trio.move_on_after(LINK_LINGER_MS / 1000):
                await self._say_bye()
        await self._link.aclose()
        await self._inbound.finish(_deadline_s(SESSION_FINISH_MS))
        try:
            await self._answers.hand_over()
        except MeshError as error:
            self._runtime.trace("custody_lost", remote=self._link.remote, reason=str(error))

    async def _say_bye(self) -> None:
        """Send what is left, then read until the peer ends the link, so that a reset eats none."""
        try:
            while data := self._session.data_to_send(LINK_READ_BYTES, steady_ms()):
                with self._air.sending(self._link):
                    await self._link.send(data)
            while await self._link.receive(LINK_READ_BYTES):
                pass
        except LinkError:
            return

    def _down(self) -> None:
        if self._is_up and self._handle is not None:
            self._is_up = False
            self._host.session_down(self._handle)

    def report_of_defect(self) -> SessionReport:
        """Return the report of a session that a defect of ours ended."""
        return SessionReport(
            peer=self._handle.peer if self._handle else None,
            code=CloseCode.INTERNAL,
            by_peer=False,
            reason="a defect of this program",
            duration_s=trio.current_time() - self._started_s,
            stats=self.stats,
        )

    def _report(self) -> SessionReport:
        assert self._closed is not None
        return SessionReport(
            peer=self._handle.peer if self._handle else None,
            code=self._closed.code,
            by_peer=self._closed.by_peer,
            reason=self._closed.reason,
            duration_s=trio.current_time() - self._started_s,
            stats=self.stats,
        )

    # --- tasks ------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            while not (self._session.wants_read and self._answers.has_room):
                await self._readable.wait()
            try:
                data = await self._link.receive(LINK_READ_BYTES)
            except LinkError:
                data = b""
            self.heard_s = trio.current_time()
            self.first_heard_s = self.first_heard_s or self.heard_s
            if not data:
                self._end_of_link()
                return
            self._air.received(self._link)
            self._session.receive_data(data, steady_ms())
            self.step()

    async def _write(self) -> None:
        try:
            while not self.is_over:
                data = self._session.data_to_send(LINK_READ_BYTES, steady_ms())
                if not data:
                    if self._session.has_ended:
                        # It parted with what it had to send; the BYE goes at the end.
                        self.step()
                    await self._writable.wait()
                    continue
                await trio.lowlevel.checkpoint_if_cancelled()
                with trio.CancelScope(shield=True) as self._sending, self._air.sending(self._link):
                    await self._link.send(data)
                if self._sending.cancelled_caught:
                    self._is_cut = True
                    return
                self._sending = None
                self._suppliable.set()
                self._tell_changed()
        except LinkError:
            # Give the reader time to find the peer's last words; it mostly sees the end itself.
            self._is_cut = True
            await trio.sleep(LINK_LINGER_MS / 1000)
            self._end_of_link()

    async def _supply(self) -> None:
        while True:
            ids = self._session.next_to_supply(SUPPLY_BYTES)
            if not ids:
                await self._suppliable.wait()
                continue
            try:
                peer = None if self._handle is None else self._handle.peer
                found = await self._host.read_bundles(ids, peer)
            except MeshError as error:
                self.failed(error)
                return
            if self.is_over:
                return
            for short_id in ids:
                raw, hops = found.get(short_id, (None, 0))
                self._session.supply(short_id, raw, hops)
            self.step()

    async def _watch_time(self) -> None:
        """Sleep to the deadline that is nearest; it mostly moves away while this sleeps."""
        while True:
            self._armed_ms = self._session.next_deadline_ms()
            at_s = float("inf") if self._armed_ms is None else self._armed_ms / 1000
            with trio.move_on_at(at_s):
                await self._retimed.wait()
            deadline_ms = self._session.next_deadline_ms()
            if deadline_ms is not None and deadline_ms <= steady_ms():
                self._session.handle_timeout(steady_ms())
                self.step()

    def _tell_changed(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _end_of_link(self) -> None:
        if not self.is_over:
            self._session.receive_eof()
            self.step()

    # --- steps ------------------------------------------------------------------------------

    def step(self) -> None:
        """Look at what the session says now, and wake whoever has work."""
        if self._is_stepping:
            return
        self._is_stepping = True
        try:
            while (event := self._session.next_event()) is not None:
                self._on_event(event)
            self._maybe_start_round()
        finally:
            self._is_stepping = False
        if self._inbound is not None:
            self._inbound.start()
        self._answers.look()
        # Each waking costs as much as a bundle does: only whoever has work is woken.
        if self._session.may_send:
            self._writable.set()
        if self._session.bundles_waiting:
            self._suppliable.set()
        self._readable.set()
        self._tell_changed()
        deadline_ms = self._session.next_deadline_ms()
        if deadline_ms is not None and (self._armed_ms is None or deadline_ms < self._armed_ms):
            self._retimed.set()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, BundleReceived):
            assert self._inbound is not None, "bundles come after the start"
            self._inbound.put(event)
        elif isinstance(event, BundlesAcked):
            self._answers.acked(event.outcomes)
        elif isinstance(event, ReconcileStarting):
            self._on_reconcile()
        elif isinstance(event, RoundFinished):
            self.rounds_finished += 1
            self._answers.round_finished()
        elif isinstance(event, SessionClosed):
            self._closed = event
            self._scope.cancel()
        else:
            self._answers.put(event)

    def _on_reconcile(self) -> None:
        """Take the snapshot; from this instant on new bundles are announced, so none is missed."""
        assert self._handle is not None, "no round before a peer is admitted"
        if not self._is_up:
            if self._gate is not None:
                self._gate.up(self._handle)
            self._is_up = True
            self._host.session_up(self._handle)
        self.rounds_started += 1
        self._session.reconcile(self._host.sketches(self._handle.peer))

    def _maybe_start_round(self) -> None:
        is_between = self.rounds_finished == self.rounds_started > 0
        if self._is_round_wanted and is_between and self._closed is None:
            self._is_round_wanted = False
            self._session.start_round()
            while (event := self._session.next_event()) is not None:
                self._on_event(event)

    def admitted(self, peer: NodeId) -> CloseCode | None:
        """Tell who the peer is; return why it is not wanted, or None."""
        handle = SessionHandle(self, peer, self._link)
        self._handle = handle
        assert self._inbound is not None
        self._inbound.peer = peer
        return self._gate.admit(handle) if self._gate is not None else None

    def _on_settled(self, settled: Settled) -> None:
        self._answers.arrived(settled.arrived)
        if self.is_over:
            return
        self._session.note_received(*settled.held)
        self._session.acknowledge(settled.upto, settled.refusals)
        self.step()

    def failed(self, error: MeshError) -> None:
        """Our side cannot go on: the store is full or broken."""
        self._runtime.trace("session_failed", remote=self._link.remote, reason=str(error))
        self.close(CloseCode.INTERNAL)


def _deadline_s(within_ms: int) -> float:
    return trio.current_time() + within_ms / 1000
