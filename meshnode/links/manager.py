"""Contacts of a node: who is dialled and when, who may dial us, one session per peer.

There is no timer that runs while nothing happens: each place worth dialling has a task that
sleeps until its next try, and a session wakes for its pings. Source: DESIGN D4 and D5.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import trio

from meshnode.errors import LinkError
from meshnode.links.airtime import AirTime
from meshnode.links.base import Address, Bearer, Link
from meshnode.links.contacts import Contact, Contacts, Hint, Known
from meshnode.links.once import Progress, SyncSummary, until_synced
from meshnode.links.session_host import SessionHost
from meshnode.links.session_runner import SessionHandle, SessionReport, SessionRunner
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from protocol.errors import CloseCode
from protocol.ids import NodeId
from protocol.limits import (
    BACKOFF_RESET_MS,
    DIALS_MAX,
    LINK_LINGER_MS,
    SESSION_FINISH_MS,
    SESSION_PING_MS,
    SESSIONS_MAX,
    SESSIONS_PER_PEER_MAX,
    SESSIONS_UNADMITTED_MAX,
)

__all__ = ["LinkManager"]

_SILENT_S = SESSION_PING_MS * 1.25 / 1000
"""A session that heard nothing for this long missed the answer to a ping."""
_BROKEN = frozenset(
    {
        CloseCode.MALFORMED,
        CloseCode.LIMIT_EXCEEDED,
        CloseCode.VERSION,
        CloseCode.UNEXPECTED_FRAME,
        CloseCode.TIMEOUT,
        CloseCode.CLOCK_DRIFT,
    }
)
"""Said by us, these put the fault on the peer."""
_USELESS = _BROKEN | {CloseCode.NORMAL}
"""A session that ends with one of these at either end is not worth another one at once."""
_MOVED_SILENT_S = 3.0
"""The same where the peer now comes from another address: it has probably lost the old one."""


SessionRun: TypeAlias = Callable[[], Awaitable[SessionReport]]
"""Runs one session to its end."""
Containment: TypeAlias = Callable[[SessionRun], Awaitable[SessionReport | None]]
"""Runs a session, and returns None where a defect of ours ended it."""


async def _uncontained(run: SessionRun) -> SessionReport:
    """Let a defect out, as tests want it."""
    return await run()


def _nobody(_peer: NodeId) -> bool:
    """Hold nobody back."""
    return False


class LinkManager:
    """Keeps the node in contact with whoever is in reach, over one bearer."""

    def __init__(
        self,
        node: NodeId,
        host: SessionHost,
        bearer: Bearer,
        runtime: Runtime,
        *,
        static: Sequence[Address] = (),
        hints: trio.MemoryReceiveChannel[Hint] | None = None,
        metrics: Metrics | None = None,
        contained: Containment | None = None,
    ) -> None:
        self._node = node
        self._host = host
        self._bearer = bearer
        self._runtime = runtime
        self._static = tuple(static)
        self._hints = hints
        self._metrics = metrics or Metrics()
        self._air = AirTime(self._metrics)
        self._contained = contained or _uncontained
        self.holds_back: Callable[[NodeId], bool] = _nobody
        """Says whether a peer is not to be dialled now: another does that for us."""
        self.sessions_max = SESSIONS_MAX
        """Sessions at the same time; those beyond are closed at once, and counted."""
        self._held: set[Contact] = set()
        self._contacts = Contacts()
        self._known = Known()
        self._own: set[Address] = set()
        self._runners: dict[SessionRunner, bool] = {}
        self._dialled: dict[SessionRunner, Address] = {}
        self._by_peer: dict[NodeId, list[SessionHandle]] = {}
        self._dialling = trio.CapacityLimiter(DIALS_MAX)
        self._nursery: trio.Nursery | None = None
        self._stopping = trio.Event()
        self._stopped = trio.Event()
        self._stopped.set()
        self.listening: tuple[Address, ...] = ()

    @property
    def sessions(self) -> list[SessionHandle]:
        """The sessions whose peer is admitted, one per peer save in moments of change."""
        return [handle for handles in self._by_peer.values() for handle in handles]

    def addresses(self, node: NodeId) -> tuple[Address, ...]:
        """Return where `node` answered our dials, the latest first."""
        return self._known.addresses(node)

    # --- life -------------------------------------------------------------------------------

    async def run(
        self,
        *,
        is_serving: bool = True,
        task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve and dial until `stop`. Starts with the open addresses. Raises: LinkError."""
        self._stopped = trio.Event()
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                if is_serving:
                    self.listening = await nursery.start(self._bearer.serve, self._incoming)
                for address in self._static:
                    contact = Contact((address,), self._runtime.entropy, is_static=True)
                    self._watch(f"static {address}", contact)
                if self._hints is not None:
                    nursery.start_soon(self._take_hints, self._hints)
                task_status.started(self.listening)
                await self._stopping.wait()
                await self._part()
                nursery.cancel_scope.cancel()
        finally:
            self._nursery = None
            self.listening = ()
            self._stopped.set()

    async def stop(self) -> None:
        """Say goodbye to every peer and end `run`; returns when it has ended."""
        self._stopping.set()
        await self._stopped.wait()

    async def _part(self) -> None:
        for runner in list(self._runners):
            runner.close(CloseCode.GOING_AWAY)
        with trio.move_on_after((LINK_LINGER_MS + SESSION_FINISH_MS) / 1000):
            for runner in list(self._runners):
                await runner.ended.wait()

    # --- one session per peer ---------------------------------------------------------------

    def admit(self, handle: SessionHandle) -> CloseCode | None:
        """Return why this session is not wanted, or None. See `SessionGate`."""
        if handle.peer == self._node:
            return CloseCode.REFUSED
        self._known.note(handle.link.peer_certificate, handle.peer)
        others = self._by_peer.setdefault(handle.peer, [])
        if len(others) >= SESSIONS_PER_PEER_MAX or self._keeps_other(handle.peer, handle.link):
            return CloseCode.DUPLICATE_SESSION
        others.append(handle)
        for runner in self._runners:
            if runner.handle is handle:
                self._runners[runner] = True
                if runner in self._dialled:
                    self._known.note_address(handle.peer, self._dialled[runner])
        return None

    def up(self, handle: SessionHandle) -> None:
        """Both ends want this session: end the others with this peer. See `SessionGate`."""
        for other in list(self._by_peer.get(handle.peer, ())):
            if other is not handle:
                other.retire(CloseCode.DUPLICATE_SESSION)

    def _keeps_other(self, peer: NodeId, link: Link) -> bool:
        """Tell whether a session we have with `peer` is preferred to a new one over `link`."""
        return any(
            _is_preferred(other, link, is_ours_smaller=self._node < peer)
            for other in self._by_peer.get(peer, ())
            if not other.is_over
        )

    # --- sessions ---------------------------------------------------------------------------

    async def _incoming(self, link: Link) -> None:
        unadmitted = sum(1 for is_admitted in self._runners.values() if not is_admitted)
        is_full = len(self._runners) >= self.sessions_max or unadmitted >= SESSIONS_UNADMITTED_MAX
        if is_full or self._stopping.is_set():
            self._metrics.count("links_refused")
            self._runtime.trace("session_refused", remote=link.remote, sessions=len(self._runners))
            await link.aclose()
            return
        await self._session(self._runner(link))

    def _runner(self, link: Link) -> SessionRunner:
        return SessionRunner(link, self._host, self._runtime, self, self._air)

    async def _session(
        self, runner: SessionRunner, dialled: Address | None = None
    ) -> SessionReport:
        self._runners[runner] = False
        if dialled is not None:
            self._dialled[runner] = dialled
        try:
            report = await self._contained(runner.run) or runner.report_of_defect()
        finally:
            del self._runners[runner]
            self._dialled.pop(runner, None)
            self._forget(runner.handle)
        if report.code in _BROKEN and not report.by_peer:
            self._metrics.count("sessions_broken", node=report.peer)
        self._runtime.trace(
            "session_ended",
            peer=report.peer.hex() if report.peer else "",
            code=report.code.name.lower(),
            reason=report.reason,
        )
        return report

    def _forget(self, handle: SessionHandle | None) -> None:
        if handle is None:
            return
        handles = self._by_peer.get(handle.peer, [])
        if handle in handles:
            handles.remove(handle)
        if not handles:
            self._by_peer.pop(handle.peer, None)

    # --- dialling ---------------------------------------------------------------------------

    async def _take_hints(self, hints: trio.MemoryReceiveChannel[Hint]) -> None:
        async for hint in hints:
            contact = self._contacts.get(hint.name)
            if not hint.addresses:
                self._contacts.drop(hint.name)
            elif contact is None:
                contact = Contact(
                    hint.addresses,
                    self._runtime.entropy,
                    is_static=False,
                    tries_max=hint.tries_max,
                )
                self._watch(hint.name, contact)
            else:
                contact.move(hint.addresses)

    def moved(self, own_hosts: Container[str]) -> None:
        """Take note that the surroundings changed: every place is worth trying again now.

        Sessions over an address that this machine lost end here. Their packets go nowhere, and
        neither end would find out before half a minute of silence.
        """
        for runner in list(self._runners):
            if runner.local and runner.local not in own_hosts:
                runner.close(CloseCode.GOING_AWAY)
        self._contacts.retry()

    def look_again(self) -> None:
        """Try every place again now: a network is back."""
        self._contacts.retry()

    def look_again_where_held(self) -> None:
        """Try those places again that were held back, and are no longer."""
        for contact in self._held:
            if contact.node is not None and not self.holds_back(contact.node):
                contact.retry()

    def _watch(self, name: str, contact: Contact) -> None:
        assert self._nursery is not None, "only a running manager dials by itself"
        self._contacts.add(name, contact)
        self._nursery.start_soon(self._keep_in_touch, name, contact)

    async def _keep_in_touch(self, name: str, contact: Contact) -> None:
        with contact.scope:
            while not contact.is_hopeless:
                await self._until_out_of_touch(contact)
                await self._until_let_go(contact)
                if await self._try(contact):
                    contact.backoff.reset()
                with trio.move_on_after(contact.backoff.next_s()):
                    await contact.changed.wait()
            if not contact.is_dropped:
                self._contacts.drop(name)

    async def _until_out_of_touch(self, contact: Contact) -> None:
        while True:
            handles = [] if contact.node is None else self._by_peer.get(contact.node, [])
            near = [each for each in handles if each.link.cost <= contact.cost]
            if not near:
                return
            await near[0].wait_ended()

    async def _until_let_go(self, contact: Contact) -> None:
        self._held.add(contact)
        try:
            while contact.node is not None and self.holds_back(contact.node):
                await contact.changed.wait()
        finally:
            self._held.discard(contact)

    async def _try(self, contact: Contact) -> bool:
        """Dial the addresses in turn and run the session; True if it did some good."""
        for address in contact.addresses:
            if address in self._own or len(self._runners) >= self.sessions_max:
                continue
            try:
                async with self._dialling:
                    link = await self._bearer.dial(address)
            except LinkError as error:
                self._runtime.trace("dial_failed", address=str(address), reason=str(error))
                continue
            contact.cost = link.cost
            node = self._known.node_of(link.peer_certificate)
            if link.peer_certificate == link.local_certificate:
                self._own.add(address)
                await link.aclose()
                continue
            contact.node = node or contact.node
            if node is not None and (self._keeps_other(node, link) or self.holds_back(node)):
                await link.aclose()
                return True
            contact.is_in_session = True
            try:
                runner = self._runner(link)
                report = await self._session(runner, address)
            finally:
                contact.is_in_session = False
            return self._learn(contact, address, report)
        return False

    def _learn(self, contact: Contact, address: Address, report: SessionReport) -> bool:
        is_unheard = report.peer is None and report.code is CloseCode.REFUSED
        if report.peer == self._node or is_unheard:
            # Before its own HELLO a node says so only to one that shows that very identity.
            self._own.add(address)
            return False
        if report.peer is not None:
            contact.node = report.peer
            contact.answered(address)
            self._known.note_address(report.peer, address)
        # Whoever breaks every session, by malice or by a defect, must not be dialled every second.
        was_useful = report.stats.rounds > 0 and report.code not in _USELESS
        return was_useful or report.duration_s * 1000 >= BACKOFF_RESET_MS

    # --- one contact on demand --------------------------------------------------------------

    async def sync_once(self, address: Address, on_progress: Progress) -> SyncSummary:
        """Dial `address`, exchange everything, part; over a session that we have, if we do.

        Works whether or not `run` does. Raises: LinkError if there is no way there.
        """
        link = await self._bearer.dial(address)
        node = self._known.node_of(link.peer_certificate)
        if node is not None and self._keeps_other(node, link):
            await link.aclose()
            return await self._sync_over(node, on_progress)
        runner = self._runner(link)
        watched = await self._watched(runner, address, on_progress)
        if watched.report.peer is not None:
            self._known.note_address(watched.report.peer, address)
            if watched.report.code is CloseCode.DUPLICATE_SESSION:
                return await self._sync_over(watched.report.peer, on_progress)
        return SyncSummary(
            watched.report.peer,
            watched.is_complete,
            watched.report.reason,
            watched.report.duration_s,
            watched.report.stats,
        )

    async def _watched(
        self, runner: SessionRunner, address: Address, on_progress: Progress
    ) -> _Watched:
        is_complete = False

        async def watch() -> None:
            nonlocal is_complete
            is_complete = await until_synced(runner, on_progress)
            runner.close(CloseCode.NORMAL)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            report = await self._session(runner, address)
        on_progress(report.stats)
        return _Watched(report, is_complete)

    async def _sync_over(self, peer: NodeId, on_progress: Progress) -> SyncSummary:
        """Do the same over a session that goes on afterwards; the counters are all of its own."""
        started_s = trio.current_time()
        runner = next(
            runner
            for runner in self._runners
            if runner.handle is not None and runner.handle.peer == peer
        )
        is_complete = await until_synced(runner, on_progress)
        reason = "over the session already open"
        duration_s = trio.current_time() - started_s
        return SyncSummary(peer, is_complete, reason, duration_s, runner.stats)


@dataclass(frozen=True, slots=True)
class _Watched:
    report: SessionReport
    is_complete: bool


def _is_preferred(other: SessionHandle, link: Link, *, is_ours_smaller: bool) -> bool:
    """Tell whether an open session is better than a new one over `link`, as both ends decide it.

    The cheaper bearer stays. On one bearer it is the one that the smaller node id dialled; if one
    end dialled both, that end knows best: it may have lost the first. A session that fell silent
    never stops a new one.
    """
    has_moved = _host(other.link) != _host(link)
    if other.silent_s > (_MOVED_SILENT_S if has_moved else _SILENT_S):
        return False
    if other.link.cost != link.cost:
        return other.link.cost < link.cost
    if other.link.is_initiator == link.is_initiator:
        return link.is_initiator
    return other.link.is_initiator == is_ours_smaller


def _host(link: Link) -> str:
    return link.remote.rpartition(":")[0].partition("%")[0].strip("[]")
