"""Positions from NMEA 0183 on a serial line, and from the datagrams of a boat's multiplexer."""

from __future__ import annotations

import errno
from collections import OrderedDict
from typing import Final

import trio

from meshnode.errors import SensorError
from meshnode.sensors.base import Sensor, SensorSink
from meshnode.sensors.bounds import (
    FIX_SILENT_S,
    NMEA_LINE_BYTES_MAX,
    NMEA_TALKER_S,
    NMEA_TALKERS_MAX,
    STREAM_FRESH_S,
)
from meshnode.sensors.lines import Lines
from meshnode.sensors.nmea import FixMerger, no_position
from meshnode.sensors.readings import SensorKind
from meshnode.serial_line import open_line

__all__ = ["BAUD_RATES", "SerialNmea", "UdpNmea"]

BAUD_RATES: Final = (4800, 9600, 19200, 38400, 57600, 115200)
"""What receivers use, bits per second."""
_READ_BYTES: Final = 4_096
_DATAGRAM_BYTES_MAX: Final = 2_048
"""Longer datagrams are cut: multiplexers send a few sentences in one of at most 1,500 bytes."""


class SerialNmea(Sensor):
    """A receiver on a serial line or behind a USB adapter; read, never written to."""

    kinds = frozenset({SensorKind.POSITION})
    fresh_s = STREAM_FRESH_S

    def __init__(self, name: str, path: str, baud: int) -> None:
        """`baud` is one of BAUD_RATES."""
        self.name = name
        self._path = path
        self._baud = baud

    async def run(self, sink: SensorSink) -> None:
        """See `Sensor.run`."""
        merger, lines = FixMerger(self.name), Lines(NMEA_LINE_BYTES_MAX)
        async with trio.lowlevel.FdStream(_open_serial(self._path, self._baud)) as stream:
            while True:
                data = b""
                with trio.move_on_after(FIX_SILENT_S) as silence:
                    data = await self._receive(stream)
                if silence.cancelled_caught:
                    sink.explain(no_position())
                    continue
                for line in lines.feed(data):
                    if line is None:
                        sink.refuse(SensorError("line", "a line has no end"))
                    else:
                        merger.hear(line, sink, trio.current_time())
                await sink.pace(len(data))

    async def _receive(self, stream: trio.lowlevel.FdStream) -> bytes:
        try:
            data = await stream.receive_some(_READ_BYTES)
        except (OSError, trio.BrokenResourceError) as error:
            raise SensorError("gone", f"{self._path} went away: is it plugged in?") from error
        if not data:
            raise SensorError("gone", f"{self._path} went away: is it plugged in?")
        return data


def _open_serial(path: str, baud: int) -> int:
    """Return a descriptor of a line set to raw bytes. Raises: SensorError."""
    try:
        return open_line(path, baud, is_written=False)
    except OSError as error:
        if error.errno == errno.ENOTTY:
            raise SensorError("missing", f"{path} is no serial line") from error
        raise SensorError("missing", f"{path} cannot be opened: {error.strerror}") from error


class UdpNmea(Sensor):
    """Sentences that arrive on a UDP port, as boats send them round; anybody there may lie.

    Whoever gave a position first is followed until silent for NMEA_TALKER_S: two receivers on
    board, or a stranger, do not make the device jump to and fro.
    """

    kinds = frozenset({SensorKind.POSITION})
    fresh_s = STREAM_FRESH_S

    def __init__(self, name: str, host: str, port: int) -> None:
        """`host` is the address to listen on; port 0 takes any free one."""
        self.name = name
        self._host = host
        self._port = port
        self._talkers: OrderedDict[str, FixMerger] = OrderedDict()
        self._followed: str | None = None
        self.port = 0
        """Where it listens, once it does."""

    async def run(self, sink: SensorSink) -> None:
        """See `Sensor.run`."""
        with await self._bind() as receiver:
            self.port = receiver.getsockname()[1]
            while True:
                with trio.move_on_after(FIX_SILENT_S) as silence:
                    data, sender = await self._receive(receiver)
                if silence.cancelled_caught:
                    sink.explain(no_position())
                    continue
                self._hear(data, f"{sender[0]} {sender[1]}", sink)
                await sink.pace(max(len(data), NMEA_LINE_BYTES_MAX))

    async def _bind(self) -> trio.socket.SocketType:
        try:
            (family, _, _, _, place), *_ = await trio.socket.getaddrinfo(
                self._host,
                self._port,
                type=trio.socket.SOCK_DGRAM,
                flags=trio.socket.AI_PASSIVE | trio.socket.AI_NUMERICHOST,
            )
            receiver = trio.socket.socket(family, trio.socket.SOCK_DGRAM)
        except OSError as error:
            raise SensorError("missing", f"{self._host} is no address of this machine") from error
        try:
            # A plotter on the same machine may want to hear the same sentences.
            receiver.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
            await receiver.bind(place)
        except OSError as error:
            receiver.close()
            where = f"port {self._port} on {self._host}"
            raise SensorError("missing", f"{where} cannot be had: {error.strerror}") from error
        return receiver

    async def _receive(self, receiver: trio.socket.SocketType) -> tuple[bytes, tuple[str, int]]:
        try:
            data, sender = await receiver.recvfrom(_DATAGRAM_BYTES_MAX)
        except OSError as error:
            raise SensorError("gone", f"port {self._port} went away: {error.strerror}") from error
        return data, sender

    def _hear(self, data: bytes, sender: str, sink: SensorSink) -> None:
        now_s = trio.current_time()
        followed = self._talkers.get(self._followed) if self._followed is not None else None
        if followed is None or followed.fix_s is None or now_s - followed.fix_s > NMEA_TALKER_S:
            self._followed = None
        if self._followed not in (None, sender):
            return
        merger = self._talkers.setdefault(sender, FixMerger(self.name))
        self._talkers.move_to_end(sender)
        if len(self._talkers) > NMEA_TALKERS_MAX:
            self._talkers.popitem(last=False)
        for line in data.splitlines():
            if len(line) > NMEA_LINE_BYTES_MAX:
                sink.refuse(SensorError("line", "a line has no end"))
            elif merger.hear(line, sink, now_s):
                self._followed = sender
