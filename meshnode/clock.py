"""How far the wall clock of this device is believed, and what may be destroyed on its word.

*Now* is the later of the local clock and the signed lower bound of time. A clock that jumps ahead
hides what seems to be over, and destroys it only once a signed time or a day of uptime agrees: a
clock must not be a wipe weapon. A clock that is set back keeps nothing alive: uptime counts how
long a bundle has been here. Source: security 2.12.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import trio

from meshnode.runtime import Runtime
from meshnode.store import residence
from meshnode.store.engine import Store
from meshnode.store.residence import ClockState, Trust
from protocol.guards import CLOCK_AGREE_MS, CLOCK_JUMP_MS_MAX, CLOCK_MARK_MS

__all__ = ["TrustedClock", "judged", "seems_late"]


def seems_late(stored: int, too_far_ahead: int) -> bool:
    """Return whether more bundles were refused as of the future than were stored.

    Then this device's clock is late by more than a day; or it has met little but what somebody
    wrote whose clock is ahead. Both are counts since the node was started.
    """
    return too_far_ahead > stored


def judged(trust: Trust, wall_ms: int, uptime_ms: int, floor_ms: int) -> Trust:
    """Return what to think of the clock now; pure, one step of the state machine.

    Agreed: a signed time not far below the clock; or no lead, for a day of uptime. Doubted: a lead
    over the uptime since the agreed moment. While doubted, another jump begins the day anew.
    Time during which the device was off is a lead like any other, so a phone that was off for three
    days waits a day of uptime, or for a beacon, before it destroys anything.
    """
    here = Trust(wall_ms, uptime_ms)
    if floor_ms and wall_ms - floor_ms <= CLOCK_JUMP_MS_MAX:
        # From what was signed and not from the clock, or two leads of 48 h would add up.
        return Trust(min(wall_ms, floor_ms), uptime_ms)
    lead_ms = (wall_ms - trust.anchor_wall_ms) - (uptime_ms - trust.anchor_uptime_ms)
    if lead_ms <= CLOCK_JUMP_MS_MAX:
        if uptime_ms - trust.anchor_uptime_ms >= CLOCK_AGREE_MS:
            return here
        return replace(trust, is_doubted=False, doubt_wall_ms=0, doubt_uptime_ms=0)
    doubted = replace(trust, is_doubted=True, doubt_wall_ms=wall_ms, doubt_uptime_ms=uptime_ms)
    if not trust.is_doubted:
        return doubted
    since_ms = uptime_ms - trust.doubt_uptime_ms
    if abs(wall_ms - trust.doubt_wall_ms - since_ms) > CLOCK_JUMP_MS_MAX:
        return doubted
    return here if since_ms >= CLOCK_AGREE_MS else trust


class TrustedClock:
    """The clock that a node goes by."""

    def __init__(self, runtime: Runtime, floor: Callable[[], int]) -> None:
        """`floor` gives the signed lower bound of time, Unix ms; 0 where nothing is signed."""
        self._runtime = runtime
        self._floor = floor
        self._trust: Trust | None = None
        self._uptime_base_ms = 0
        self._began_s = trio.current_time()
        self._shown: deque[tuple[int, int]] = deque()
        """For each hour of the last day: uptime, and the least that the clock led it by; ms."""
        self.runtime = replace(runtime, now_ms=self.now_ms)
        """The seams of the machine with this clock in the place of its own."""

    def now_ms(self) -> int:
        """Return the time, Unix milliseconds: never before what an authority signed."""
        return max(self._runtime.now_ms(), self._floor())

    @property
    def uptime_ms(self) -> int:
        """How long nodes have run on this store in all, up to 5 min per crash less."""
        return self._uptime_base_ms + round((trio.current_time() - self._began_s) * 1000)

    @property
    def is_doubted(self) -> bool:
        """True while nothing may be destroyed on this clock's word."""
        return self._trust is not None and self._trust.is_doubted

    async def load(self, store: Store) -> None:
        """Learn from the store what was agreed before the restart. Raises: StoreError."""
        found = await store.read(residence.clock_state)
        self._began_s = trio.current_time()
        if found is not None:
            self._uptime_base_ms, self._trust = found.uptime_ms, found.trust
            agreed_ms = found.trust.anchor_wall_ms - found.trust.anchor_uptime_ms
            self._shown.append((self.uptime_ms, agreed_ms))

    def may_destroy(self, now_ms: int) -> bool:
        """Judge the clock, which shows `now_ms`, and tell whether its word may destroy data."""
        uptime_ms, before = self.uptime_ms, self._trust
        trust = before or Trust(now_ms, uptime_ms)
        self._trust = judged(trust, now_ms, uptime_ms, self._floor())
        return not self._trust.is_doubted

    def proven_ms(self, now_ms: int) -> int:
        """Return the time that has surely come, for what keeps its terms to the day; Unix ms.

        Never later than the clock shows: the least that it showed at any look of a day of uptime,
        or what an authority signed. So a clock that is a day ahead, and set right, ends nothing.
        """
        uptime_ms = self.uptime_ms
        since_ms, lead_ms = uptime_ms, now_ms - uptime_ms
        if self._shown and uptime_ms - self._shown[-1][0] < CLOCK_MARK_MS:
            since_ms, before_ms = self._shown.pop()
            lead_ms = min(lead_ms, before_ms)
        self._shown.append((since_ms, lead_ms))
        while self._shown[0][0] < uptime_ms - CLOCK_AGREE_MS - CLOCK_MARK_MS:
            self._shown.popleft()
        least_ms = uptime_ms + min(lead for _, lead in self._shown)
        return min(now_ms, max(least_ms, self._floor()))

    def state(self, now_ms: int) -> ClockState:
        """Return what is to be kept over a restart."""
        uptime_ms = self.uptime_ms
        return ClockState(uptime_ms, self._trust or Trust(now_ms, uptime_ms))
