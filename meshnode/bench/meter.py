"""CPU, wall time, bytes and memory of one end of a measured contact."""

from __future__ import annotations

import resource
import time

import trio

__all__ = ["CountedStream", "Meter"]


class CountedStream(trio.abc.Stream):
    """A byte stream that counts what crosses it, both ways, below TLS."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.sent_bytes = 0
        self.received_bytes = 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data` and count it."""
        self.sent_bytes += len(data)
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the wrapped stream."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive and count."""
        data = await self._stream.receive_some(max_bytes)
        self.received_bytes += len(data)
        return data

    async def aclose(self) -> None:
        """As the wrapped stream."""
        await self._stream.aclose()


class Meter:
    """Measures one process between `start` and `stop`."""

    def __init__(self) -> None:
        self._cpu_s = 0.0
        self._wall_s = 0.0
        self._streams: list[CountedStream] = []

    def count(self, stream: trio.SocketStream) -> CountedStream:
        """Return `stream` wrapped so that its bytes are part of the figures."""
        counted = CountedStream(stream)
        self._streams.append(counted)
        return counted

    def start(self) -> None:
        """Remember CPU and wall time of this instant."""
        self._cpu_s = time.process_time()
        self._wall_s = time.monotonic()

    def stop(self) -> dict[str, float]:
        """Return `cpu_seconds, started, ended` (system-wide monotonic s), bytes and peak memory."""
        return {
            "cpu_seconds": time.process_time() - self._cpu_s,
            "started": self._wall_s,
            "ended": time.monotonic(),
            "sent_bytes": sum(stream.sent_bytes for stream in self._streams),
            "received_bytes": sum(stream.received_bytes for stream in self._streams),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
