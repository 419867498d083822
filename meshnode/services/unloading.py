"""How far a node is with handing over what it carries to the centre: what is left, and how long.

Counted from the sessions and the store, not from what was hoped: bundles that the other end has
answered for, those that wait, those that it lacks and whose order is not made yet. The rate is
that of the last half minute, in bytes, because a port's network is slow by the byte. While small
bundles go first the estimate is rather too long. It needs no agent's keys and opens nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

import trio

from meshnode.links.session_handle import Backlog, SessionHandle
from meshnode.membership import Membership
from meshnode.relay import Relay
from meshnode.store.engine import Store
from protocol.identity import Role
from protocol.ids import NodeId
from protocol.limits import STORE_ROW_BYTES

__all__ = ["PACE_S", "Pace", "Port", "Unloading"]

PACE_S: Final = 30.0
"""The rate is that of this time."""
_STEP_S: Final = 0.5
"""Looks that come faster than this count as one."""


@dataclass(frozen=True, slots=True)
class Port:
    """How far the handing over to one gateway is."""

    gateway: NodeId
    """Which one."""
    is_counted: bool
    """False until the two have compared what they hold: nobody knows before how much is left."""
    done: int
    """Bundles of this contact that the gateway answered for."""
    left: int
    """Bundles that it has not answered for."""
    left_bytes: int
    """Their containers, together."""
    rate_bytes_s: float | None
    """Bytes a second of late; None where that is not known yet, or nothing moves."""
    rate_bundles_s: float | None
    """Bundles a second of late; None likewise."""

    @property
    def seconds_left(self) -> float | None:
        """How long it takes at this rate; 0 where nothing is left, None where nobody knows."""
        if not self.is_counted:
            return None
        if not self.left:
            return 0.0
        return None if self.rate_bytes_s is None else self.left_bytes / self.rate_bytes_s


class Pace:
    """A rate over the last `PACE_S` seconds, from looks at counters that only grow."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int, int]] = deque()

    def __len__(self) -> int:
        """How many looks are kept."""
        return len(self._looks)

    def note(self, at_s: float, done_bytes: int, done: int) -> None:
        """Take one look; `at_s` is monotonic."""
        looks = self._looks
        while looks and at_s - looks[0][0] > PACE_S:
            looks.popleft()
        if len(looks) > 1 and at_s - looks[-2][0] < _STEP_S:
            looks.pop()
        looks.append((at_s, done_bytes, done))

    @property
    def rates(self) -> tuple[float | None, float | None]:
        """Bytes and bundles a second; None for each where two looks do not differ."""
        first, last = self._looks[0], self._looks[-1]
        elapsed_s = last[0] - first[0]
        if elapsed_s <= 0:
            return None, None
        return (
            (last[1] - first[1]) / elapsed_s or None,
            (last[2] - first[2]) / elapsed_s or None,
        )


class Unloading:
    """Looks at the sessions with gateways."""

    def __init__(self, store: Store, relay: Relay, membership: Membership) -> None:
        self._store = store
        self._relay = relay
        self._membership = membership
        self._paces: WeakKeyDictionary[SessionHandle, Pace] = WeakKeyDictionary()

    def look(self) -> list[Port]:
        """Return how far each gateway in reach is, the busiest first.

        Two looks with time between them give a rate. Cost: a step per bundle that waits.
        """
        member = self._membership.directory.member
        found = [
            self._port(peer, handle)
            for peer, handle in self._relay.sessions.items()
            if (entry := member(peer)) is not None and entry.role is Role.GATEWAY
        ]
        found.sort(key=lambda port: (-port.left_bytes, port.gateway))
        return found

    def _port(self, gateway: NodeId, handle: SessionHandle) -> Port:
        backlog = handle.backlog
        left, left_bytes = self._left(backlog)
        pace = self._paces.setdefault(handle, Pace())
        pace.note(trio.current_time(), backlog.settled_bytes, backlog.settled)
        rate_bytes_s, rate_bundles_s = pace.rates
        return Port(
            gateway=gateway,
            is_counted=backlog.rounds > 0 or left > 0,
            done=backlog.settled,
            left=left,
            left_bytes=left_bytes,
            rate_bytes_s=rate_bytes_s,
            rate_bundles_s=rate_bundles_s,
        )

    def _left(self, backlog: Backlog) -> tuple[int, int]:
        """Return bundles and bytes; of what is not read from the store yet, the usual size."""
        usual = _mean(sum(self._store.class_counts.values()), self._store.total_bytes)
        left = backlog.under_way + backlog.waiting + backlog.to_plan
        left_bytes = backlog.unsettled_bytes + backlog.to_plan * usual
        for interest, planned in backlog.streams.items():
            held, charged = self._store.charged(interest)
            rest = max(0, held - planned)
            left += rest
            left_bytes += rest * _mean(held, charged)
        return left, round(left_bytes)


def _mean(count: int, charged_bytes: int) -> float:
    """Return the usual size of a container; each is charged with a row beside its own bytes."""
    return max(1.0, charged_bytes / count - STORE_ROW_BYTES) if count else 1.0
