"""What time alone brings about: expiry, forgetting, purges, asking again; needs no agent's keys.

Nothing is destroyed on the word of a clock that jumped: see `meshnode.clock`.

Sleeps until the next thing expires, at most `HOUSEKEEPING_MS_MAX`: an idle node wakes a dozen
times an hour for this. Source: DESIGN D3, security 2.7 and 2.12.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from meshnode.audit import Audit
from meshnode.clock import TrustedClock
from meshnode.disk import DiskWatch
from meshnode.events import MessageChanged
from meshnode.links.level import Level
from meshnode.membership import Membership
from meshnode.purging import Purging
from meshnode.relay import Relay
from meshnode.runtime import Runtime
from meshnode.shift_ends import ShiftEnds
from meshnode.store import (
    bundles,
    chunks,
    keyring,
    messages,
    network_keys,
    positions,
    quotas,
    reading,
    residence,
    retention,
)
from meshnode.store.engine import Store, Transaction
from protocol.limits import HOUSEKEEPING_MS_MAX

__all__ = ["Housekeeping"]

_SLICE: Final = 500
"""Rows dropped in one transaction, so that messages never wait long for the writer."""
_WAIT_MS_MIN: Final = 1_000


class Housekeeping:
    """Keeps the store true to the clock."""

    def __init__(
        self,
        store: Store,
        runtime: Runtime,
        relay: Relay,
        ends: ShiftEnds,
        clock: TrustedClock,
        audit: Audit,
        membership: Membership,
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._relay = relay
        self._ends = ends
        self._membership = membership
        self._events = membership.events
        self._metrics = membership.metrics
        self._purging = Purging(
            store, runtime, membership.metrics, lambda: membership.time_floor_ms
        )
        self._clock = clock
        self._audit = audit
        self.disk = DiskWatch(store, runtime, membership.events, self.keep_clock)
        """Whether the disk takes what is written; a room of its own, beside this one."""
        self.wake = Level()
        """Set when something was written that may expire earlier than all before."""
        self.on_look: list[Callable[[], None]] = []
        """Told at every look: rooms that look at the clock too need not wake the machine again."""

    async def run(self) -> None:
        """Look after the store until cancelled. Raises: StoreError."""
        await self._ends.empty_log(is_start=True)
        while True:
            await self.look()
            with trio.move_on_after(await self._wait_ms() / 1000):
                await self.wake.wait()

    async def look(self) -> None:
        """Do everything that is due now. Raises: StoreError."""
        for tell in self.on_look:
            tell()
        self._relay.ask_again()
        await self._relay.drop_delivered()
        now_ms = self._runtime.now_ms()
        await self._ends.empty_log()
        was_doubted = self._clock.is_doubted
        if self._clock.may_destroy(now_ms):
            while await self._tidy(now_ms):
                pass
            await self._ends.empty_log()
            await self._purging.look()
            await self._membership.forget_over()
            return
        if not was_doubted:
            self._audit.note("clock_doubted")
            self._runtime.trace("clock_doubted")
        # Uptime goes on counting, over restarts too: a day of it settles the doubt.
        await self.keep_clock()

    async def keep_clock(self) -> None:
        """Write down what is known of the clock: a few bytes. Raises: StoreError."""
        now_ms = self._runtime.now_ms()
        state = self._clock.state(now_ms)
        await self._store.write(lambda tx: residence.put_clock_state(tx, state, now_ms))

    async def _tidy(self, now_ms: int) -> bool:
        """Let go of what is over, at most a slice of each kind; True if there may be more.

        All in one transaction: each is a change of threads, and so wakes an idle machine.
        """
        state = self._clock.state(now_ms)

        def tidy(tx: Transaction) -> tuple[list[int], int]:
            over = messages.expire_messages(tx, now_ms, _SLICE)
            gone = len(retention.expire(tx, now_ms, _SLICE))
            gone += residence.expire_resident(tx, state.uptime_ms, now_ms, _SLICE - gone)
            retention.prune(tx, now_ms)
            quotas.prune_hours(tx, now_ms)
            reading.prune(tx, now_ms)
            residence.put_clock_state(tx, state, now_ms)
            keyring.erase_ended(tx, now_ms)
            network_keys.erase_old(tx, now_ms)
            chunks.expire(tx, now_ms)
            self._ends.tidy(tx, now_ms)
            return over, gone

        over, gone = await self._store.write(tidy)
        self._metrics.count("messages_expired", len(over))
        self._metrics.count("bundles_dropped_expired", gone)
        for key in over:
            self._events.publish(MessageChanged(key))
        return _SLICE in (len(over), gone)

    async def _wait_ms(self) -> int:
        now_ms = self._runtime.now_ms()
        next_ms: tuple[int | None, ...] = await self._store.read(
            lambda conn: (
                bundles.expires_next(conn),
                messages.expires_next(conn),
                positions.ends_next(conn),
            )
        )
        waits = [each - now_ms for each in next_ms if each is not None]
        return max(_WAIT_MS_MIN, min([*waits, HOUSEKEEPING_MS_MAX]))
