"""The bearer over serial ports: calls stations, answers calls, keeps ports open.

A port that is unplugged is opened again when it is back. Source: wire-format 11, security 2.3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from meshnode.errors import BudgetError, HandshakeError, LinkError
from meshnode.links.base import Address, Bearer, Link, LinkCost, LinkHandler
from meshnode.links.knocking import Knocks
from meshnode.links.level import Level
from meshnode.links.meter import Fare, Frames, Meter, MeteredStream
from meshnode.links.secured_link import SecuredLink
from meshnode.links.serial import BITS_PER_BYTE, Line, SerialStream, Station, StationPolicy
from meshnode.links.serial_port import open_port
from meshnode.links.tls import TLSContexts, secure
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from protocol.errors import RemoteProtocolError
from protocol.knock import keys_to_dial
from protocol.narrow.bounds import (
    NARROW_FRAME_BYTES_MAX,
    POSITION_PACE_MS_MAX,
    STATION_BEACON_MS,
)
from protocol.narrow.kiss import encode_kiss
from protocol.narrow.radio import SEAL_BYTES, keys_to_hear, radio_key, unwrap_untrusted, wrap

__all__ = ["PortSettings", "SerialBearer", "SerialLink"]

_HANDSHAKE_MS_MAX: Final = 45_000
"""TLS moves about 5 kB: 5 s at 9.6 kbit/s on a clear line, eight times that on a bad one."""
_REOPEN_S: Final = 10.0
"""A port that failed is tried again after this."""
_SESSION_BPS_MIN: Final = 2_400
"""On slower ports no handshake fits into its time: they carry what is sent without a link."""
_FORMS_MAX: Final = 32
"""Narrow forms that were heard and wait for the store; the next ones are lost, as on the air."""
_RECENT_MAX: Final = 256
"""Frames that are known again: half a minute of a line of 9.6 kbit/s that carries nothing else."""
_UNPAID_S: Final = 300.0
"""A port whose budget is used up is looked at again after this; an SOS opens it at once."""
_METERED_BEACON_MS: Final = 3_600_000
"""Where each frame is billed, a station tells once an hour that it is there."""
_HEARD_MAX: Final = 16
"""Stations waiting to be called; more are forgotten until they are heard again."""


@dataclass(frozen=True, slots=True)
class PortSettings:
    """One serial port."""

    path: str
    """Of the device, such as `/dev/ttyUSB0`."""
    rate_bps: int = 9_600
    """Bits per second on the line, or on the air where that is slower."""

    @property
    def name(self) -> str:
        """What addresses call it: its path with dashes, such as `serial-dev-ttyUSB0`."""
        return "serial" + "".join(char if char.isalnum() else "-" for char in self.path)

    @property
    def has_sessions(self) -> bool:
        """False where the line is too slow for a handshake."""
        return self.rate_bps >= _SESSION_BPS_MIN


class SerialLink(SecuredLink):
    """A TLS connection over a serial port."""

    kind = "serial"
    mtu_bytes = NARROW_FRAME_BYTES_MAX
    cost = LinkCost.METERED


class SerialBearer(Bearer):
    """Dials and listens over every port that is configured."""

    kind = "serial"

    def __init__(
        self,
        ports: Sequence[PortSettings],
        contexts: Callable[[], TLSContexts],
        runtime: Runtime,
        *,
        knocks: Knocks | None = None,
        opener: Callable[[str, int], Line] = open_port,
        meters: Callable[[str], Meter | None] = lambda _path: None,
    ) -> None:
        """`meters` gives the meter of a port whose bytes cost money."""
        self._ports = {port.name: port for port in ports}
        self._contexts = contexts
        self._runtime = runtime
        self._knocks = knocks or Knocks(runtime)
        self._opener = opener
        self.meters = meters
        """Gives the meter of a port; put in once there is a store to book in."""
        self._fares: dict[str, Fare] = {}
        self._calls_out = {name: Level() for name in self._ports}
        self._stations: dict[str, Station] = {}
        self.metrics = Metrics()
        """Counters; those of the node once it is open."""
        self._heard_in, self.heard = trio.open_memory_channel[Address](_HEARD_MAX)
        self._recent: deque[bytes] = deque(maxlen=_RECENT_MAX)
        self._forms_in, self.forms = trio.open_memory_channel[bytes](_FORMS_MAX)

    def has(self, address: Address) -> bool:
        """True for a station on one of our ports."""
        return address.host in self._ports

    # --- without a link: wire-format 12 -----------------------------------------------------

    @property
    def byte_ms(self) -> Mapping[str, float]:
        """Names of the ports, and how long a byte takes on each, milliseconds."""
        return {name: 1_000 * BITS_PER_BYTE / port.rate_bps for name, port in self._ports.items()}

    def air(self, port: str, form: bytes, *, is_alarm: bool) -> int:
        """Send a narrow form on a port; an alarm alone on one with links, or open for SOS.

        Returns: the bytes of its frame; 0 where it was not sent, or no key is held.
        """
        keys = keys_to_dial(self._knocks.keys, self._runtime.now_ms())
        station = self._stations.get(port)
        if not keys or station is None:
            return 0
        if not is_alarm and (station.has_links or self._is_sos_only(port)):
            return 0
        sealed = wrap(radio_key(keys[0]), form, self._runtime.entropy(1)[0])
        station.air(sealed, is_alarm=is_alarm)
        self.metrics.count("forms_sent")
        return len(encode_kiss(sealed))

    async def pace_ms(self, port: str, frames: Sequence[int]) -> int:
        """Return how long positions wait after frames of so many bytes; 0 where none is billed."""
        meter = self.meters(self._ports[port].path)
        return 0 if meter is None else await meter.pace_ms(frames, POSITION_PACE_MS_MAX)

    def is_billed(self, port: str) -> bool:
        """True for a port whose bytes cost money."""
        return self.meters(self._ports[port].path) is not None

    def _is_sos_only(self, port: str) -> bool:
        fare = self._fares.get(port)
        return fare is not None and fare.is_sos

    def _aired(self, raw: bytes) -> bool:
        """Take a frame that is of no link; False where no member of these weeks sealed it."""
        try:
            keys = keys_to_hear(self._knocks.keys, self._runtime.now_ms())
            form = unwrap_untrusted(raw, keys)
        except RemoteProtocolError:
            return False
        if raw[:SEAL_BYTES] in self._recent:
            # Members seal what they repeat anew: this may be anybody with a recorder, who must not
            # make it look as if many had sent an alarm on.
            self.metrics.count("forms_repeated")
            return True
        self.metrics.count("forms_heard")
        try:
            self._forms_in.send_nowait(form)
        except trio.WouldBlock:
            self.metrics.count("forms_dropped")
        else:
            self._recent.append(raw[:SEAL_BYTES])
        return True

    # --- links ------------------------------------------------------------------------------

    async def dial(self, address: Address) -> Link:
        """See `Bearer.dial`; the port of the address is the number of the station."""
        station = self._stations.get(address.host)
        if station is None:
            raise LinkError(f"{address.host} is not open: start the node with 'meshnode run'")
        stream = await station.call(address.port)
        try:
            return await self._secured(stream, address, server_side=False)
        except HandshakeError:
            self._knocks.missed(_name_of(address.port))
            raise

    async def _secured(
        self, stream: SerialStream, address: Address, *, server_side: bool
    ) -> SerialLink:
        contexts = self._contexts()
        secured = await secure(
            stream,
            contexts,
            server_side=server_side,
            now_ms=self._runtime.now_ms(),
            within_ms=_HANDSHAKE_MS_MAX,
        )
        link = SerialLink(secured, contexts.certificate, str(address), is_initiator=not server_side)
        fare = self._fares.get(address.host)
        if fare is not None:
            link.cost, link.is_sos_only = LinkCost.COSTLY, fare.is_sos
        return link

    def call_out(self) -> None:
        """Tell on every port now that we are there, and open those that are shut: an SOS waits."""
        for wanted in self._calls_out.values():
            wanted.set()
        for station in self._stations.values():
            station.tell()

    async def serve(
        self,
        handler: LinkHandler,
        *,
        task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See `Bearer.serve`; starts at once, with the ports that are configured."""
        async with trio.open_nursery() as nursery:

            async def answer(port: PortSettings, stream: SerialStream) -> None:
                link = await self._answered(port, stream)
                if link is not None:
                    await handler(link)

            for port in self._ports.values():
                called = partial(_start, nursery, partial(answer, port))
                nursery.start_soon(self._keep_open, port, called)
            task_status.started(())

    async def _answered(self, port: PortSettings, stream: SerialStream) -> SerialLink | None:
        address = Address(port.name, stream.peer)
        try:
            return await self._secured(stream, address, server_side=True)
        except HandshakeError as error:
            self.metrics.count("links_refused")
            self._runtime.trace("handshake_failed", remote=str(address), reason=str(error))
            return None

    async def _keep_open(self, port: PortSettings, called: Callable[[SerialStream], None]) -> None:
        while True:
            wait_s = _REOPEN_S
            try:
                await self._work_at(port, called)
            except LinkError as error:
                wait_s = _UNPAID_S if isinstance(error, BudgetError) else _REOPEN_S
                if wait_s == _REOPEN_S:
                    self.metrics.count("ports_failed")
                self._runtime.trace("port_failed", port=port.name, reason=str(error))
            with trio.move_on_after(wait_s):
                await self._calls_out[port.name].wait()

    async def _work_at(self, port: PortSettings, called: Callable[[SerialStream], None]) -> None:
        """Serve a port until it fails. Raises: LinkError; BudgetError where it may cost no more."""
        meter = self.meters(port.path)
        fare = None if meter is None else await _opened(meter, port)
        try:
            async with self._opener(port.path, port.rate_bps) as bare:
                line: Line = bare if fare is None else MeteredStream(bare, fare, _bursts(port))
                if fare is not None:
                    self._fares[port.name] = fare
                policy = self._policy(port, called, is_metered=fare is not None)
                station = Station(line, port.rate_bps, self._runtime, self.metrics, policy)
                self._stations[port.name] = station
                await station.run()
        except LinkError as error:
            if fare is not None and fare.is_spent:
                if fare.may_go_on:
                    self._calls_out[port.name].set()
                raise BudgetError(fare.tariff.name) from error
            raise
        finally:
            self._stations.pop(port.name, None)
            self._fares.pop(port.name, None)
            if fare is not None:
                # The modem may have billed what nobody has read yet.
                await fare.close(keeps_ahead=True)

    def _policy(
        self, port: PortSettings, called: Callable[[SerialStream], None], *, is_metered: bool
    ) -> StationPolicy:
        def heard(station: int) -> None:
            if not port.has_sessions:
                return
            try:
                self._heard_in.send_nowait(Address(port.name, station))
            except trio.WouldBlock:
                self.metrics.count("hints_dropped")

        return StationPolicy(
            knock=lambda station: self._knocks.knock_at([_name_of(station)]),
            judge=lambda own, knock: self._knocks.judge_call(knock, [_name_of(own)]),
            heard=heard,
            called=called,
            aired=self._aired,
            beacon_ms=_beacon_ms(port, is_metered=is_metered),
        )


def _start(
    nursery: trio.Nursery,
    answer: Callable[[SerialStream], Awaitable[None]],
    stream: SerialStream,
) -> None:
    nursery.start_soon(answer, stream)


def _beacon_ms(port: PortSettings, *, is_metered: bool) -> int | None:
    if not port.has_sessions:
        return None
    return _METERED_BEACON_MS if is_metered else STATION_BEACON_MS


async def _opened(meter: Meter, port: PortSettings) -> Fare:
    """Pay for opening a port. Raises: BudgetError."""
    frames, tariff = _bursts(port), meter.tariff
    return await meter.open(frames.opening(tariff), frames.worth(tariff))


def _bursts(port: PortSettings) -> Frames:
    """Return how a port is billed: without sessions, one frame at a time and none answered."""
    return Frames() if port.has_sessions else Frames(NARROW_FRAME_BYTES_MAX, window=0)


def _name_of(station: int) -> bytes:
    """Return what a knock at a station is bound to."""
    return b"station " + station.to_bytes(2, "big")
