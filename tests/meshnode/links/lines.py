"""A serial line in memory: a rate, a delay, and pieces that get lost; each send is one frame."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import trio

BITS_PER_BYTE = 10


@dataclass(eq=False)
class LineEnd(trio.abc.Stream):
    """One end of a line, or of a channel that several share; made by the functions below."""

    rate_bps: int
    latency_s: float
    loss: float
    seed: int
    peers: list[LineEnd] = field(default_factory=list)
    sent_bytes: int = 0
    is_unplugged: bool = False
    sent: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._put, self._came = trio.open_memory_channel[tuple[float, bytes]](10_000)
        self._rest = b""
        self._free_s = 0.0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Put a frame on the line; returns when the line has taken it."""
        await trio.lowlevel.checkpoint()
        if self.is_unplugged:
            raise trio.BrokenResourceError
        now_s = trio.current_time()
        self._free_s = max(now_s, self._free_s) + len(data) * BITS_PER_BYTE / self.rate_bps
        self.sent_bytes += len(data)
        self.sent.append(bytes(data))
        for peer in self.peers:
            if self._random.random() >= self.loss:
                peer._put.send_nowait((self._free_s + self.latency_s, bytes(data)))

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what came, once it has come."""
        if not self._rest:
            at_s, self._rest = await self._came.receive()
            await trio.sleep_until(at_s)
        if self.is_unplugged:
            raise trio.BrokenResourceError
        count = max_bytes or 1_000
        found, self._rest = self._rest[:count], self._rest[count:]
        return found

    def unplug(self) -> None:
        """Every call fails from now on."""
        self.is_unplugged = True
        self._put.send_nowait((trio.current_time(), b"x"))

    async def aclose(self) -> None:
        """Close the port."""
        await trio.lowlevel.checkpoint()


def line_pair(
    rate_bps: int = 9_600, latency_s: float = 0.5, loss: float = 0.0, seed: int = 1
) -> tuple[LineEnd, LineEnd]:
    """Return both ends of a line."""
    left = LineEnd(rate_bps, latency_s, loss, seed)
    right = LineEnd(rate_bps, latency_s, loss, seed + 1, [left])
    left.peers.append(right)
    return left, right


def channel(
    hearing: dict[str, str], rate_bps: int = 9_600, latency_s: float = 0.5, loss: float = 0.0
) -> dict[str, LineEnd]:
    """Return ends of one radio channel by name; `hearing` says who hears whom, by spaces.

    Frames of two that talk at once both arrive: what a controller does about it is not shown.
    """
    ends = {name: LineEnd(rate_bps, latency_s, loss, n + 1) for n, name in enumerate(hearing)}
    for name, others in hearing.items():
        ends[name].peers += [ends[each] for each in others.split()]
    return ends
