"""Asking by unicast where peers were or should be, for networks that swallow multicast.

Gives the link manager a few places to try: the configured ones, the gateways of this moment, and
where known peers were last. It never walks through a subnet: that empties batteries and looks
like an attack. Source: DESIGN D5, ecosystem 3.3, 5.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from meshnode.discovery.addresses import AddressWatch
from meshnode.discovery.base import DEFAULT_PORT, Discovery, HintSink
from meshnode.links.base import Address
from meshnode.links.contacts import Hint
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from protocol.limits import PROBE_EVERY_MS, PROBE_TRIES_MAX, PROBES_MAX

__all__ = ["LastKnown", "UnicastProbe"]

LastKnown = Callable[[], Awaitable[Sequence[Address]]]
"""Gives addresses at which peers answered, or from which they dialled; those met last first."""


class UnicastProbe(Discovery):
    """Hints at every start, whenever the surroundings changed, and once an hour."""

    def __init__(
        self,
        watch: AddressWatch,
        runtime: Runtime,
        metrics: Metrics,
        last_known: LastKnown,
        *,
        configured: Sequence[Address] = (),
        port: int = DEFAULT_PORT,
    ) -> None:
        self._watch = watch
        self._runtime = runtime
        self._metrics = metrics
        self._last_known = last_known
        self._configured = tuple(configured)
        self._port = port

    async def run(
        self,
        hints: trio.MemorySendChannel[Hint],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See `Discovery.run`."""
        sink = HintSink(hints, self._metrics)
        task_status.started()
        seen = await self._watch.wait(0)
        while True:
            for address in await self._places():
                sink.offer(Hint(f"probe {address}", (address,), tries_max=PROBE_TRIES_MAX))
            with trio.move_on_after(PROBE_EVERY_MS / 1000):
                await self._watch.wait(seen)
            seen = self._watch.generation

    async def _places(self) -> Sequence[Address]:
        gateways = [Address(host, self._port) for host in self._watch.surroundings.gateways]
        known = await self._last_known()
        places = list(dict.fromkeys([*self._configured, *gateways, *known]))[:PROBES_MAX]
        self._runtime.trace("probing", places=len(places))
        return places
