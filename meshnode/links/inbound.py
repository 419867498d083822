"""Received bundles on their way to the store: batches, urgent ones first, acknowledged in order.

While a batch is checked and committed, the next one is being read. A batch that has begun is
finished even when its session ends: what arrived is kept. Source: wire-format 6.8, STYLE 24.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from meshnode.links.session_host import SessionHost
from protocol.errors import LocalProtocolError, MeshError
from protocol.ids import NodeId, ShortId
from protocol.limits import (
    BATCH_BUNDLES_MAX,
    BATCH_BYTES_MAX,
    BATCH_URGENT_MAX,
    BATCHES_IN_FLIGHT_MAX,
    KINDS,
    TrafficClass,
)
from protocol.reports import Reception
from protocol.session import BundleReceived

__all__ = ["Inbound", "Settled", "is_urgent_untrusted"]

_STORED: Final = Reception.STORED
_SECOND_BATCH_MIN = 256
"""A second batch beside one under way starts with this many: smaller ones waste commits."""
_URGENT_KINDS = frozenset(
    int(kind) for kind, rule in KINDS.items() if rule.traffic_class <= TrafficClass.SOS
)


@dataclass(frozen=True, slots=True)
class Settled:
    """A further run of received bundles whose fate is known and on disk."""

    upto: int
    """All of a lower index are settled."""
    refusals: tuple[tuple[int, Reception], ...]
    """(index, why) of those in this run that were not stored."""
    arrived: tuple[ShortId, ...]
    """Short ids in the batch just finished."""
    held: tuple[ShortId, ...]
    """Those of them that we hold now."""


class Inbound:
    """Takes bundles from one session; bounded by what the session reads ahead."""

    def __init__(
        self,
        host: SessionHost,
        nursery: trio.Nursery,
        on_settled: Callable[[Settled], None],
        on_failed: Callable[[MeshError], None],
    ) -> None:
        self.peer: NodeId | None = None
        self._host = host
        self._nursery = nursery
        self._on_settled = on_settled
        self._on_failed = on_failed
        self._urgent: deque[BundleReceived] = deque()
        self._ordinary: deque[BundleReceived] = deque()
        self._in_flight = 0
        self._fates: dict[int, Reception] = {}
        self._settled_upto = 0
        self._idle = trio.Event()
        self._scope_deadline_s = float("inf")
        self._scopes: set[trio.CancelScope] = set()

    @property
    def is_idle(self) -> bool:
        """True if nothing waits and nothing is under way."""
        return not (self._urgent or self._ordinary or self._in_flight)

    def put(self, arrived: BundleReceived) -> None:
        """Take a bundle; `start` begins to work on it."""
        queue = self._urgent if is_urgent_untrusted(arrived.raw) else self._ordinary
        queue.append(arrived)

    def start(self) -> None:
        """Begin as many batches as may be under way; an urgent one may be one more."""
        if self._urgent and self._in_flight <= BATCHES_IN_FLIGHT_MAX:
            self._begin(self._urgent, BATCH_URGENT_MAX)
        while self._ordinary and self._in_flight < BATCHES_IN_FLIGHT_MAX:
            if self._in_flight and len(self._ordinary) < _SECOND_BATCH_MIN:
                break
            self._begin(self._ordinary, BATCH_BUNDLES_MAX)

    def _begin(self, queue: deque[BundleReceived], bundles_max: int) -> None:
        batch: list[BundleReceived] = []
        size_bytes = 0
        while queue and len(batch) < bundles_max and size_bytes < BATCH_BYTES_MAX:
            arrived = queue.popleft()
            size_bytes += len(arrived.raw)
            batch.append(arrived)
        assert self.peer is not None, "no bundle comes before the peer is admitted"
        self._in_flight += 1
        self._nursery.start_soon(self._work, self.peer, batch)

    async def _work(self, peer: NodeId, batch: Sequence[BundleReceived]) -> None:
        scope = trio.CancelScope(shield=True, deadline=self._scope_deadline_s)
        self._scopes.add(scope)
        try:
            with scope:
                outcomes = await self._host.receive(
                    peer, [(arrived.hops, arrived.raw) for arrived in batch]
                )
                self._settle(batch, outcomes)
        except LocalProtocolError:
            raise
        except MeshError as error:
            self.forget()
            self._on_failed(error)
        finally:
            self._scopes.discard(scope)
            self._in_flight -= 1
            self.start()
            if self.is_idle:
                self._idle.set()

    def _settle(
        self,
        batch: Sequence[BundleReceived],
        outcomes: Sequence[tuple[ShortId | None, Reception]],
    ) -> None:
        named, held = [], []
        for arrived, (short_id, fate) in zip(batch, outcomes, strict=True):
            self._fates[arrived.number] = fate
            if short_id is not None:
                named.append(short_id)
                if fate.is_held:
                    held.append(short_id)
        refusals = []
        while (known := self._fates.pop(self._settled_upto, None)) is not None:
            if known is not _STORED:
                refusals.append((self._settled_upto, known))
            self._settled_upto += 1
        self._on_settled(Settled(self._settled_upto, tuple(refusals), tuple(named), tuple(held)))

    def forget(self) -> None:
        """Drop what waits; what is under way goes on."""
        self._urgent.clear()
        self._ordinary.clear()

    async def finish(self, deadline_s: float) -> None:
        """Wait until all is stored, at most until `deadline_s` of trio's clock."""
        self._scope_deadline_s = deadline_s
        for scope in self._scopes:
            scope.deadline = deadline_s
        while not self.is_idle:
            self._idle = trio.Event()
            with trio.move_on_at(deadline_s) as limit:
                await self._idle.wait()
            if limit.cancelled_caught:
                self.forget()
                return


def is_urgent_untrusted(raw: bytes) -> bool:
    """Tell whether a container claims an urgent kind, without decoding it.

    In canonical form the kind is the fifth byte (wire-format 4.1, 4.2). A lie changes nothing but
    the order within one session.
    """
    return len(raw) > 4 and raw[4] in _URGENT_KINDS
