"""Stations heard on serial ports, as hints for the link manager; the bearer keeps the ports."""

from __future__ import annotations

from typing import Final

import trio

from meshnode.discovery.base import Discovery, HintSink
from meshnode.links.base import Address
from meshnode.links.contacts import Hint
from meshnode.metrics import Metrics

__all__ = ["StationsHeard"]

_TRIES_MAX: Final = 2
"""Calls after one sighting; the next one comes with the next sign of life."""


class StationsHeard(Discovery):
    """Hints at the stations that were heard and that we should call."""

    def __init__(self, heard: trio.MemoryReceiveChannel[Address], metrics: Metrics) -> None:
        self._heard = heard
        self._metrics = metrics

    async def run(
        self,
        hints: trio.MemorySendChannel[Hint],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See `Discovery.run`."""
        sink = HintSink(hints, self._metrics)
        task_status.started()
        while True:
            address = await self._heard.receive()
            sink.offer(Hint(f"station {address}", (address,), tries_max=_TRIES_MAX))
