"""The life of a wiped device: root, order and proof for whoever it meets.

It takes nothing. A proof counts as taken once a peer shows, in a later contact, that it holds it:
what a peer only received it may not have saved. A wiped device knows no roster, so every member is
as good as another to it. Source: security 2.9, wire-format 6.5, 7.11.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import trio

from meshnode.admission import Admission
from meshnode.errors import LinkError
from meshnode.links.base import Address, Bearer, Link
from meshnode.links.contacts import Backoff, Hint
from meshnode.links.level import Level
from meshnode.metrics import Metrics
from meshnode.remnant import Remnant
from meshnode.runtime import Runtime, steady_ms
from meshnode.supervisor import contain
from protocol import authority
from protocol.authority import DocumentClass, SignedDocument
from protocol.errors import AuthenticationError, CloseCode
from protocol.guards import REMNANT_CONTACT_MS, REMNANT_PLACES_MAX, WIPE_CARRY_MS
from protocol.limits import BACKOFF_FIRST_MS, HINTS_WAITING_MAX, LINK_READ_BYTES
from protocol.reports import Standing
from protocol.session import (
    DocumentKey,
    DocumentsReceived,
    DocumentsWanted,
    Event,
    HelloReceived,
    LocalHello,
    SessionClosed,
    SessionRole,
    SyncSession,
)

__all__ = ["Prover"]

_FAILURES_MAX = 12
"""A place that was only sighted is forgotten after so many vain tries."""

Finder = Callable[[trio.MemorySendChannel[Hint]], Awaitable[None]]
"""Looks for peers until cancelled, and says where they may be."""


class Prover:
    """Delivers the proof of one wiped device."""

    def __init__(
        self,
        remnant: Remnant,
        bearer: Bearer,
        runtime: Runtime,
        metrics: Metrics,
        binding: bytes | None = None,
    ) -> None:
        """`binding` is that of the bearer's certificate, where it is not the remnant's own."""
        self._bearer = bearer
        self._runtime = runtime
        self._remnant = remnant
        self._binding = remnant.binding if binding is None else binding
        self._held = [authority.decode_untrusted(raw) for raw in remnant.documents]
        self._anchors = authority.decode_root_untrusted(self._held[0].body).anchors
        self._metrics = metrics
        self._admission = Admission(runtime, metrics)
        self._places: dict[Address, Level] = {}
        self._delivered = trio.Event()
        self.contacts = 0
        """Peers that were given, or showed, the proof."""

    # --- the run ----------------------------------------------------------------------------

    async def run(
        self,
        places: Sequence[Address],
        finders: Callable[[Sequence[Address]], Sequence[Finder]] = lambda _listening: (),
        *,
        is_serving: bool = True,
    ) -> bool:
        """Return True once a peer has the proof, False once nobody carries it any longer."""
        left_ms = self._ends_ms() - self._runtime.now_ms()
        with trio.move_on_after(max(0, left_ms) / 1000):
            async with trio.open_nursery() as nursery:
                listening = await self._serve(nursery) if is_serving else ()
                for place in places[:REMNANT_PLACES_MAX]:
                    self._watch(nursery, place, tries_max=None)
                nursery.start_soon(self._take_hints, nursery, finders(listening))
                await self._delivered.wait()
                nursery.cancel_scope.cancel()
        return self._delivered.is_set()

    def _ends_ms(self) -> int:
        orders = [each for each in self._held if each.cls is DocumentClass.WIPE]
        return max((each.issued_ms for each in orders), default=0) + WIPE_CARRY_MS

    async def _serve(self, nursery: trio.Nursery) -> Sequence[Address]:
        """Let others dial; where no port is free, they are dialled only."""
        try:
            found: Sequence[Address] = await nursery.start(self._bearer.serve, self._answer)
        except LinkError as error:
            self._runtime.trace("remnant_deaf", reason=type(error).__name__)
            return ()
        return found

    async def _take_hints(self, nursery: trio.Nursery, finders: Sequence[Finder]) -> None:
        hints_in, hints_out = trio.open_memory_channel[Hint](HINTS_WAITING_MAX)
        for finder in finders:
            nursery.start_soon(finder, hints_in.clone())
        async with hints_in, hints_out:
            async for hint in hints_out:
                for place in hint.addresses:
                    if place in self._places:
                        self._places[place].set()
                    elif len(self._places) < REMNANT_PLACES_MAX:
                        self._watch(nursery, place, tries_max=_FAILURES_MAX)

    def _watch(self, nursery: trio.Nursery, place: Address, tries_max: int | None) -> None:
        if place not in self._places:
            self._places[place] = Level()
            nursery.start_soon(self._keep_trying, place, tries_max)

    async def _keep_trying(self, place: Address, tries_max: int | None) -> None:
        backoff = Backoff(self._runtime.entropy)
        while tries_max is None or backoff.failures <= tries_max:
            wait_s = backoff.next_s()
            if await self._dial(place):
                # It has what it lacked: that it holds it shows at the next contact.
                backoff.reset()
                wait_s = BACKOFF_FIRST_MS / 1000
            with trio.move_on_after(wait_s):
                await self._places[place].wait()
        del self._places[place]

    async def _dial(self, place: Address) -> bool:
        """Meet whoever is at `place`; True if documents were exchanged."""
        try:
            link = await self._bearer.dial(place)
        except LinkError as error:
            self._runtime.trace("dial_failed", address=str(place), reason=type(error).__name__)
            return False
        return await self._answer(link)

    # --- one contact ------------------------------------------------------------------------

    async def _answer(self, link: Link) -> bool:
        """Talk over a link; a defect that a stranger finds ends this contact alone."""
        talk = partial(self._talk, link)
        return await contain("remnant", talk, self._runtime, self._metrics) or False

    async def _talk(self, link: Link) -> bool:
        """Give the documents over one link and close it; True if they were exchanged."""
        try:
            if link.peer_certificate == link.local_certificate:
                return False
            talk = _Talk(link, self._hello(link), self._held, self._admit)
            with trio.move_on_after(REMNANT_CONTACT_MS / 1000):
                await talk.run()
        finally:
            with trio.CancelScope(shield=True):
                await link.aclose()
        if talk.is_exchanged:
            self.contacts += 1
            self._runtime.trace("remnant_met", has_proof=talk.has_proof)
        if talk.has_proof:
            self._delivered.set()
        return talk.is_exchanged

    def _hello(self, link: Link) -> LocalHello:
        versions = {_key(each): (each.epoch, each.version) for each in self._held}
        nonce = self._runtime.entropy(16)
        assert link.local_certificate, "a bearer shows a certificate"
        return LocalHello(self._remnant.badge_chain, self._binding, versions, nonce)

    async def _admit(self, link: Link, hello: HelloReceived) -> bytes:
        """Return who the peer is. Raises: AuthenticationError."""
        admit = self._admission.admit
        badge, _standing = await self._runtime.run_blocking(admit, link, hello, self._anchors)
        return badge.node


@dataclass(slots=True)
class _Talk:
    """One session that gives documents and nothing else."""

    link: Link
    """To the peer."""
    hello: LocalHello
    """What is shown."""
    held: Sequence[SignedDocument]
    """What is given."""
    admit: Callable[[Link, HelloReceived], Awaitable[bytes]]
    """Says who the peer is."""
    is_exchanged: bool = False
    """Both ends gave all their documents."""
    has_proof: bool = False
    """The peer showed that it held every proof before."""
    wanted: set[DocumentKey] = field(default_factory=set)
    """What the peer lacked."""
    is_over: bool = False
    """The session was closed at either end."""

    async def run(self) -> None:
        """Talk until the peer has everything, or breaks off."""
        role = SessionRole.INITIATOR if self.link.is_initiator else SessionRole.RESPONDER
        session = SyncSession(role, self.hello, steady_ms())
        try:
            while True:
                while data := session.data_to_send(LINK_READ_BYTES, steady_ms()):
                    await self.link.send(data)
                await self._take_events(session)
                if self.is_over:
                    break
                data = await self.link.receive(LINK_READ_BYTES)
                if not data:
                    break
                session.receive_data(data, steady_ms())
                await self._take_events(session)
            await self._say_bye(session)
        except LinkError:
            return

    async def _say_bye(self, session: SyncSession) -> None:
        """Send what is left, then wait for the peer to end the link: a reset would eat the rest."""
        while data := session.data_to_send(LINK_READ_BYTES, steady_ms()):
            await self.link.send(data)
        while await self.link.receive(LINK_READ_BYTES):
            pass

    async def _take_events(self, session: SyncSession) -> None:
        while (event := session.next_event()) is not None:
            await self._take(session, event)

    async def _take(self, session: SyncSession, event: Event) -> None:
        match event:
            case HelloReceived():
                try:
                    session.admit(await self.admit(self.link, event))
                except AuthenticationError:
                    session.refuse(CloseCode.NOT_AUTHENTICATED)
            case DocumentsWanted(keys):
                self.wanted |= set(keys)
                session.supply_documents([each.raw for each in self.held if _key(each) in keys])
            case DocumentsReceived():
                # What the peer gave is forgotten unread.
                proofs = {_key(each) for each in self.held if each.cls is DocumentClass.ERASURE}
                self.is_exchanged, self.has_proof = True, not proofs & self.wanted
                session.documents_applied(Standing.CONTROL_ONLY)
            case SessionClosed():
                self.is_over = True
            case _:
                return


def _key(document: SignedDocument) -> DocumentKey:
    return int(document.cls), document.scope
