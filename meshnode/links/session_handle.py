"""A running session as the rest of the node sees it: a handle, its counters, how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import trio

from meshnode.links.base import Link
from protocol.errors import CloseCode
from protocol.ids import NodeId, ShortId
from protocol.limits import TrafficClass
from protocol.reconcile.interest import Interest
from protocol.session import Item

if TYPE_CHECKING:
    from meshnode.links.session_runner import SessionRunner

__all__ = ["Backlog", "SessionGate", "SessionHandle", "SessionReport", "SessionStats"]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a session still has to hand over, as far as it is known at one instant."""

    settled: int
    """Bundles that the peer has taken or refused."""
    under_way: int
    """Bundles on the wire that it has not answered for."""
    waiting: int
    """Bundles that wait for the wire."""
    settled_bytes: int
    """Bytes of bundles that the peer has taken or refused."""
    unsettled_bytes: int
    """Bytes of those under way and of those that wait."""
    to_plan: int
    """Ids that the peer lacks and that wait for their order; some may be dropped by then."""
    streams: Mapping[Interest, int]
    """Interests of which the peer has nothing, and how many of each were put in order so far."""
    rounds: int
    """Rounds of reconciliation finished: before the first nobody knows how much there is."""


@dataclass(frozen=True, slots=True)
class SessionStats:
    """Counters of one session at one instant."""

    bytes_sent: int
    """On the link, above TLS."""
    bytes_received: int
    """On the link, above TLS."""
    bundles_sent: int
    """BUNDLE frames sent."""
    bundles_received: int
    """BUNDLE frames received."""
    reconcile_bytes: int
    """Part of both byte counts that found the difference."""
    round_trips: int
    """Flights of reconciliation."""
    rounds: int
    """Rounds finished."""


@dataclass(frozen=True, slots=True)
class SessionReport:
    """How a session ended."""

    peer: NodeId | None
    """None if nobody was admitted."""
    code: CloseCode
    """Why it ended."""
    by_peer: bool
    """The peer said so, or the link ended."""
    reason: str
    """For people and traces."""
    duration_s: float
    """From link-up to the end."""
    stats: SessionStats
    """What crossed."""


class SessionGate(Protocol):
    """Who else may have a say about a session; the manager keeps one session per peer."""

    def admit(self, handle: SessionHandle) -> CloseCode | None:
        """Return why this admitted peer is not wanted here, or None."""
        ...

    def up(self, handle: SessionHandle) -> None:
        """Both ends admitted each other; sessions that this one replaces end now."""
        ...


class SessionHandle:
    """What the rest of the node holds of a session."""

    def __init__(self, runner: SessionRunner, peer: NodeId, link: Link) -> None:
        self._runner = runner
        self.peer = peer
        self.link = link

    @property
    def stats(self) -> SessionStats:
        """Counters so far."""
        return self._runner.stats

    @property
    def backlog(self) -> Backlog:
        """What is still to be handed over. Cost: one step per bundle that waits."""
        return self._runner.backlog

    @property
    def silent_s(self) -> float:
        """Seconds since the peer was last heard."""
        return trio.current_time() - self._runner.heard_s

    @property
    def is_over(self) -> bool:
        """True once the session is closed."""
        return self._runner.is_over

    @property
    def is_quiet(self) -> bool:
        """True if no bundle waits, is under way, or is still owed by the peer."""
        return self._runner.is_quiet

    async def wait_ended(self) -> None:
        """Return when the session is over and what it brought is stored."""
        await self._runner.ended.wait()

    def announce(self, items: Iterable[Item]) -> None:
        """Push new bundles to the peer; nothing if it holds them or the session is over.

        Over a link that is there for SOS alone nothing of a lower class is pushed.
        """
        last = TrafficClass.SOS if self.link.is_sos_only else TrafficClass.BULK
        self._runner.announce(tuple(each for each in items if each.traffic_class <= last))

    def tell_documents(self, raws: Sequence[bytes]) -> None:
        """Send authority documents that came into force here; nothing if the session is over."""
        self._runner.tell_documents(raws)

    def restrict(self) -> None:
        """Give the peer the documents that wait for it, and nothing more; then the session ends."""
        self._runner.restrict()

    def ask(self, short_ids: Sequence[ShortId]) -> None:
        """Ask the peer for those of these bundles that are still missing here."""
        self._runner.ask(short_ids)

    def start_round(self) -> None:
        """Reconcile again soon. Only the initiator can; at the other end nothing happens."""
        self._runner.start_round()

    def close(self, code: CloseCode) -> None:
        """End the session; the peer is told why."""
        self._runner.close(code)

    def retire(self, code: CloseCode) -> None:
        """Close, and let the host know before this returns: another session takes over."""
        self._runner.retire(code)
