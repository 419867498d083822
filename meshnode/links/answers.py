"""Answers the questions of a session from its host: badge, documents, plans, wants, lists."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from meshnode.links.base import Link
from meshnode.links.level import Level
from meshnode.links.planner import Job, Planner
from meshnode.links.session_host import SessionHost
from protocol.errors import (
    CloseCode,
    IdentityError,
    LocalProtocolError,
    MeshError,
    RemoteProtocolError,
)
from protocol.ids import NodeId, ShortId
from protocol.limits import (
    PLAN_IDS_MAX,
    SESSION_DOCUMENT_BYTES_MAX,
    WAITING_ITEMS_MAX,
    TrafficClass,
)
from protocol.reconcile.interest import Interest
from protocol.reports import Reception
from protocol.session import (
    DocumentKey,
    DocumentReceived,
    DocumentsReceived,
    DocumentsWanted,
    Event,
    HelloReceived,
    IdsNeeded,
    Item,
    Needed,
    PeerLacks,
    StreamWanted,
    SyncSession,
    Wanted,
)

__all__ = ["Answers", "SessionControl"]

_FIRST = -1
"""Rank of what the session cannot go on without; plans have the rank of their class."""
_ASKING = int(TrafficClass.MESSAGE)
"""Rank of asking for bundles, whose classes are not known here."""
_EXPECTED_MAX = 200_000
"""Ids asked for that are remembered, to tell when a session has nothing left to wait for."""


class SessionControl(Protocol):
    """The loop around the session, as far as answers need it."""

    @property
    def is_over(self) -> bool:
        """True if the session was closed while an answer was being found."""
        ...

    def admitted(self, peer: NodeId) -> CloseCode | None:
        """Take note of the peer; return why it is not wanted, or None."""
        ...

    def step(self) -> None:
        """Look at what the session says after an answer."""
        ...

    def failed(self, error: MeshError) -> None:
        """End the session: the host could not answer."""
        ...


class Answers:
    """One session's questions, and its host's replies."""

    def __init__(
        self,
        session: SyncSession,
        host: SessionHost,
        link: Link,
        control: SessionControl,
    ) -> None:
        self._session = session
        self._host = host
        self._link = link
        self._control = control
        # An answer may change nothing and yet be the last thing that somebody waits for.
        self._planner = Planner(control.step)
        self._peer: NodeId | None = None
        self._documents: list[bytes] = []
        self._documents_bytes = 0
        self._outcomes: list[tuple[ShortId, Reception]] = []
        self._has_outcomes = Level()
        self._expected: set[ShortId] = set()
        self.to_plan = 0
        """Ids that the peer lacks and that wait for their order."""
        self.streams: dict[Interest, int] = {}
        """Interests of which the peer has nothing, and how many of each were put in order."""

    @property
    def has_room(self) -> bool:
        """False while the peer asked more than we have answered."""
        return self._planner.has_room

    @property
    def is_idle(self) -> bool:
        """True if no question is open and all that was asked of the peer has come."""
        return self._planner.is_idle and not self._expected and not self._outcomes

    @property
    def expected(self) -> int:
        """Bundles asked of the peer that have not come."""
        return len(self._expected)

    def give_up_waiting(self) -> None:
        """Stop counting on what was asked for: the peer dropped it meanwhile."""
        self._expected.clear()

    def arrived(self, short_ids: Sequence[ShortId]) -> None:
        """Bundles came and are stored."""
        self._expected.difference_update(short_ids)

    def acked(self, outcomes: Sequence[tuple[ShortId, Reception]]) -> None:
        """The peer told what became of what we sent."""
        self._outcomes += outcomes
        self._has_outcomes.set()

    def look(self) -> None:
        """Go on with plans that waited for the queue to the peer."""
        if self._session.bundles_waiting <= WAITING_ITEMS_MAX // 2:
            self._planner.unpark()

    def ask(self, short_ids: Sequence[ShortId]) -> None:
        """Ask the peer for those of these bundles that are still missing."""
        self._planner.put(_ASKING, partial(self._want, short_ids, 0))

    def round_finished(self) -> None:
        """Send again what a peer may hold without our knowing it."""
        self._planner.put(_ASKING, self._confirm)

    def put(self, event: Event) -> None:
        """Take one question."""
        match event:
            case HelloReceived():
                self._planner.put(_FIRST, partial(self._admit, event))
            case DocumentsWanted(keys):
                self._planner.put(_FIRST, partial(self._give_documents, keys))
            case DocumentReceived(raw):
                self._keep_document(raw)
            case DocumentsReceived():
                self._planner.put(_FIRST, self._apply_documents)
            case IdsNeeded(interest):
                self._planner.put(interest.traffic_class, partial(self._give_ids, interest))
            case PeerLacks(interest, ids):
                rank = int(interest.traffic_class)
                self.to_plan += len(ids)
                self._planner.put(rank, partial(self._offer, rank, ids, 0, ask_first=True))
            case StreamWanted(interest):
                self.streams[interest] = 0
                self._planner.put(interest.traffic_class, partial(self._stream, interest, None))
            case Needed(ids):
                self._planner.put(_ASKING, partial(self._want, ids, 0))
            case Wanted(ids):
                self.to_plan += len(ids)
                self._planner.put(_ASKING, partial(self._offer, _ASKING, ids, 0, ask_first=False))

    async def run(self) -> None:
        """Answer until cancelled; a failure of the host ends the session."""
        try:
            await self._planner.run()
        except LocalProtocolError:
            raise
        except MeshError as error:
            self._control.failed(error)

    async def run_custody(self) -> None:
        """Pass on what the peer acknowledged, several at a time."""
        try:
            while True:
                await self._has_outcomes.wait()
                await self.hand_over()
                self._control.step()
        except LocalProtocolError:
            raise
        except MeshError as error:
            self._control.failed(error)

    async def hand_over(self) -> None:
        """Tell the host about everything acknowledged so far."""
        outcomes, self._outcomes = self._outcomes, []
        if outcomes and self._peer is not None:
            await self._host.handed_over(self._peer, outcomes)

    # --- one question each ------------------------------------------------------------------

    async def _admit(self, hello: HelloReceived) -> None:
        try:
            peer = (await self._host.admit(self._link, hello)).node
        except (IdentityError, RemoteProtocolError) as error:
            code = getattr(error, "close_code", CloseCode.NOT_AUTHENTICATED)
            if not self._control.is_over:
                self._session.refuse(code)
                self._control.step()
            return
        if self._control.is_over:
            return
        self._peer = peer
        unwanted = self._control.admitted(peer)
        if unwanted is None:
            self._session.admit(peer)
        else:
            self._session.refuse(unwanted)
        self._control.step()

    async def _give_documents(self, keys: Sequence[DocumentKey]) -> None:
        raws = await self._host.read_documents(keys)
        if not self._control.is_over:
            self._session.supply_documents(raws)
            self._control.step()

    def _keep_document(self, raw: bytes) -> None:
        self._documents_bytes += len(raw)
        if self._documents_bytes > SESSION_DOCUMENT_BYTES_MAX:
            self._session.close(CloseCode.LIMIT_EXCEEDED)
        else:
            self._documents.append(raw)

    async def _apply_documents(self) -> None:
        raws, self._documents, self._documents_bytes = self._documents, [], 0
        if raws:
            await self._host.apply_documents(self._known_peer, raws)
        if not self._control.is_over:
            # Judged after the documents: they may have revoked the peer, or cleared it.
            self._session.documents_applied(self._host.standing(self._link))
            self._control.step()

    async def _give_ids(self, interest: Interest) -> None:
        ids = await self._host.ids(interest)
        if not self._control.is_over:
            self._session.supply_ids(interest, ids)
            self._control.step()

    async def _offer(
        self, rank: int, ids: Sequence[ShortId], start: int, *, ask_first: bool
    ) -> None:
        end = start + PLAN_IDS_MAX
        items = await self._host.plan(self._known_peer, ids[start:end])
        self._queue(items, ask_first=ask_first)
        self.to_plan -= len(ids[start:end])
        if end < len(ids):
            self._go_on(rank, partial(self._offer, rank, ids, end, ask_first=ask_first))

    async def _stream(self, interest: Interest, after: int | None) -> None:
        items, cursor = await self._host.plan_all(self._known_peer, interest, after)
        self._queue(items, ask_first=True)
        self.streams[interest] = self.streams.get(interest, 0) + len(items)
        if cursor is None:
            self.streams.pop(interest, None)
        else:
            self._go_on(interest.traffic_class, partial(self._stream, interest, cursor))

    async def _want(self, ids: Sequence[ShortId], start: int) -> None:
        end = start + PLAN_IDS_MAX
        wanted = await self._host.missing(ids[start:end], self._known_peer)
        if wanted and not self._control.is_over:
            if len(self._expected) < _EXPECTED_MAX:
                self._expected.update(wanted)
            self._session.want(wanted)
            self._control.step()
        if end < len(ids):
            self._planner.put(_ASKING, partial(self._want, ids, end))

    async def _confirm(self) -> None:
        self._queue(await self._host.unconfirmed(self._known_peer), ask_first=True)

    def _queue(self, items: Sequence[Item], *, ask_first: bool) -> None:
        if items and not self._control.is_over:
            self._session.offer(items, ask_first=ask_first)
            self._control.step()

    def _go_on(self, rank: int, job: Job) -> None:
        """Queue the next step of a plan, later if the peer has enough to take already."""
        if self._session.bundles_waiting > WAITING_ITEMS_MAX:
            self._planner.park(rank, job)
        else:
            self._planner.put(rank, job)

    @property
    def _known_peer(self) -> NodeId:
        assert self._peer is not None, "the session asks nothing before the peer is admitted"
        return self._peer
