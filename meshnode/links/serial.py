"""Links over a serial line or a radio controller that speaks KISS: stations, calls, streams.

One station for each port. It tells now and then that it is there; of two that hear each other the
one with the smaller number calls, with a knock, and TLS runs over the stream that follows.
Source: wire-format 11, security 2.3, ecosystem 6.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import trio

from meshnode.errors import LinkError, LinkTimeoutError
from meshnode.links.level import Level
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime, steady_ms
from protocol.errors import RemoteProtocolError
from protocol.narrow.arq import Arq
from protocol.narrow.bounds import OPEN_TRIES_MAX, RETRY_FIRST_MS, STATION_BEACON_MS
from protocol.narrow.frames import (
    Beacon,
    Call,
    Frame,
    FrameKind,
    Piece,
    decode_frame_untrusted,
    encode_frame,
)
from protocol.narrow.kiss import KissDecoder, encode_kiss

__all__ = ["BITS_PER_BYTE", "Line", "SerialStream", "Station", "StationPolicy"]

BITS_PER_BYTE: Final = 10
"""Start bit, eight bits, stop bit."""
_READ_BYTES: Final = 4_096
_LINKS_MAX: Final = 8
"""Open links of one port: more would leave none of them a usable rate."""
_DEAF_MAX: Final = 64
"""Links that were over here lately, whose peers are told so."""
_AIRED_MAX: Final = 16
"""Sealed forms that wait for the line: two seconds of it at 9.6 kbit/s."""
_LINGER_S: Final = 30.0
"""A link that was closed here stays so long for what the peer has not acknowledged."""

Line: TypeAlias = trio.abc.Stream
"""An open port."""


@dataclass(frozen=True, slots=True)
class StationPolicy:
    """What a station asks of its bearer."""

    knock: Callable[[int], bytes]
    """Gives the knock for the station that is called, empty where there is no key."""
    judge: Callable[[int, bytes], Awaitable[str]]
    """Says why a knock at this station is refused, nothing where it is good."""
    heard: Callable[[int], None]
    """A station is there that we should call."""
    called: Callable[[SerialStream], None]
    """Takes a link that somebody made to us, and returns at once: it may outlive the port."""
    aired: Callable[[bytes], bool] = lambda _raw: False
    """Takes what is no frame of a link; False where nobody of ours sent it."""
    beacon_ms: int | None = STATION_BEACON_MS
    """How long from one beacon to the next, about, milliseconds; None where nobody is called."""


class SerialStream(trio.abc.Stream):
    """One end of a link, as a stream."""

    def __init__(self, station: Station, link: int, peer: int) -> None:
        self._station = station
        self._arq = Arq(link, steady_ms())
        self.link = link
        """Its name on the line."""
        self.peer = peer
        """The other station."""
        self._changed = trio.Event()
        self._is_closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Hand everything to the line; waits while its small buffer is full."""
        await trio.lowlevel.checkpoint()
        rest = bytes(data)
        while True:
            self._check()
            rest = rest[self._arq.write(rest) :]
            self._station.wake.set()
            if not rest:
                return
            await self._changed.wait()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room for a byte."""
        await trio.lowlevel.checkpoint()
        self._check()
        while not self._arq.room_bytes:
            await self._changed.wait()
            self._check()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what came; nothing at the end."""
        await trio.lowlevel.checkpoint()
        while not self._arq.is_readable or self._is_closed:
            self._check()
            await self._changed.wait()
        found = self._arq.read(max_bytes or _READ_BYTES, steady_ms())
        self._station.wake.set()
        return found

    async def aclose(self) -> None:
        """End the link; what was sent before still arrives if the peer is there."""
        self._is_closed = True
        self._arq.finish()
        self._station.leave(self)
        self._notify()
        await trio.lowlevel.checkpoint()

    def _notify(self) -> None:
        """Wake whoever waits, to look again: one may send while another receives."""
        self._changed.set()
        self._changed = trio.Event()

    def _check(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError
        if self._arq.is_broken:
            raise trio.BrokenResourceError("the line, or the other end, is gone")

    # --- the station's side -----------------------------------------------------------------

    def receive(self, piece: Piece) -> None:
        """Take in a frame of this link."""
        self._arq.receive(piece, steady_ms())
        if self._is_closed:
            # Acknowledged for the sake of what we still have to say, and read by nobody.
            self._arq.read(len(piece.data), steady_ms())
        self._notify()

    @property
    def is_deaf(self) -> bool:
        """True once we have said everything and left: more of the peer's words are in vain."""
        return self._is_closed and self._arq.has_arrived

    def fail(self) -> None:
        """The port is gone, and the link with it."""
        self._arq.is_broken = True
        self._notify()

    def next_frame(self) -> Piece | None:
        """Return what to send now."""
        was_broken = self._arq.is_broken
        frame = self._arq.next_frame(steady_ms())
        if frame is not None or self._arq.is_broken is not was_broken:
            self._notify()
        return frame

    def next_deadline_ms(self) -> int | None:
        """Return when to ask again."""
        return None if self.is_over else self._arq.next_deadline_ms()

    @property
    def is_over(self) -> bool:
        """True once nothing more is to be sent or heard."""
        return self._arq.is_broken or (self._is_closed and self._arq.is_done)


class Station:
    """One port: reads, sends, and keeps the links over it apart."""

    def __init__(
        self, line: Line, rate_bps: int, runtime: Runtime, metrics: Metrics, policy: StationPolicy
    ) -> None:
        self._line = line
        self._byte_s = BITS_PER_BYTE / rate_bps
        self._runtime = runtime
        self._metrics = metrics
        self._policy = policy
        self._decoder = KissDecoder()
        self.number = self._draw()
        """Who we are on this line, 1-65535."""
        self.wake = Level()
        """Set when there may be something to send."""
        self._urgent: list[Frame] = []
        self._alarms: deque[bytes] = deque(maxlen=_AIRED_MAX)
        self._aired: deque[bytes] = deque(maxlen=_AIRED_MAX)
        self._links: dict[int, SerialStream] = {}
        self._left: dict[int, float] = {}
        self._answers: dict[int, trio.Event] = {}
        self._judging: set[int] = set()
        self._deaf: dict[int, None] = {}
        self._beacon_s = 0.0
        self._nursery: trio.Nursery | None = None

    def _draw(self) -> int:
        return int.from_bytes(self._runtime.entropy(2), "big") or 1

    # --- links ------------------------------------------------------------------------------

    async def call(self, station: int) -> SerialStream:
        """Return a link to another station. Raises: LinkTimeoutError, LinkError."""
        if self._nursery is None:
            raise LinkError("the serial port is not open: start the node with 'meshnode run'")
        if len(self._links) >= _LINKS_MAX:
            raise LinkError("the serial port has all the links that it can carry")
        link = int.from_bytes(self._runtime.entropy(4), "big")
        knock = self._policy.knock(station)
        answered = self._answers[link] = trio.Event()
        stream = self._links[link] = SerialStream(self, link, station)
        try:
            for _ in range(OPEN_TRIES_MAX):
                self._say(Call(link, station, self.number, knock, is_answer=False))
                with trio.move_on_after(RETRY_FIRST_MS / 1000):
                    await answered.wait()
                    return stream
        except trio.Cancelled:
            self._links.pop(link, None)
            raise
        finally:
            del self._answers[link]
        self._links.pop(link, None)
        raise LinkTimeoutError(f"station {station} does not answer")

    def tell(self) -> None:
        """Tell now that we are there."""
        self._beacon_s = 0.0
        self.wake.set()

    def leave(self, stream: SerialStream) -> None:
        """The node is done with this link."""
        self._left.setdefault(stream.link, trio.current_time() + _LINGER_S)
        self.wake.set()

    def _say(self, frame: Frame) -> None:
        self._urgent.append(frame)
        self.wake.set()

    # --- life -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read and send until the port fails or this is cancelled. Raises: LinkError."""
        try:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._read)
                self._nursery.start_soon(self._send)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LinkError(f"the serial port failed: {error.exceptions[0]}") from error
        finally:
            self._nursery = None
            for stream in self._links.values():
                stream.fail()

    async def _read(self) -> None:
        while True:
            data = bytes(await self._line.receive_some(_READ_BYTES))
            if not data:
                raise OSError("it was unplugged")
            before = self._decoder.dropped
            for raw in self._decoder.feed_untrusted(data):
                try:
                    self._take(decode_frame_untrusted(raw))
                except RemoteProtocolError:
                    if not self._policy.aired(raw):
                        self._metrics.count("line_frames_damaged")
            self._metrics.count("line_frames_damaged", self._decoder.dropped - before)
            self.wake.set()

    def _take(self, frame: Frame) -> None:
        match frame:
            case Beacon(station):
                self._meet(station)
            case Call() if frame.is_answer:
                if frame.link in self._answers and frame.caller == self.number:
                    self._answers[frame.link].set()
            case Call():
                if frame.station == self.number:
                    self._called(frame)
            case Piece():
                self._piece(frame)

    def _meet(self, station: int) -> None:
        if station == self.number:
            # Another one drew our number: one of the two draws anew.
            self.number = self._draw()
            self._beacon_s = 0.0
        elif self.number < station:
            self._policy.heard(station)
        elif all(each.peer != station for each in self._links.values()):
            # It shall call us, and may not have heard of us yet.
            self._beacon_s = min(self._beacon_s, trio.current_time() + self._unit() * 2)

    def _unit(self) -> float:
        return self._runtime.entropy(1)[0] / 256

    def _called(self, call: Call) -> None:
        known = self._links.get(call.link)
        if known is not None:
            # Our answer was lost.
            self._say(Call(call.link, self.number, call.caller, b"", is_answer=True))
        elif len(self._links) < _LINKS_MAX and self._nursery is not None:
            self._nursery.start_soon(self._answer, call)

    async def _answer(self, call: Call) -> None:
        if call.link in self._judging:
            return
        self._judging.add(call.link)
        refusal = await self._policy.judge(self.number, call.knock)
        self._judging.discard(call.link)
        if refusal:
            self._metrics.count("knocks_refused")
            self._runtime.trace("call_refused", reason=refusal)
            return
        stream = self._links[call.link] = SerialStream(self, call.link, call.caller)
        self._say(Call(call.link, self.number, call.caller, b"", is_answer=True))
        self._policy.called(stream)

    def _piece(self, piece: Piece) -> None:
        stream = self._links.get(piece.link)
        if stream is not None:
            stream.receive(piece)
            if piece.link in self._answers:
                self._answers[piece.link].set()
        is_deaf = piece.link in self._deaf if stream is None else stream.is_deaf
        if is_deaf and piece.data:
            # Of links that we never had we say nothing: others use the line too.
            self._say(Piece(FrameKind.RESET, piece.link, 0, 0, 0, 0, b""))

    # --- sending ----------------------------------------------------------------------------

    async def _send(self) -> None:
        while True:
            found = self._next_raw()
            if found is None:
                with trio.move_on_at(self._next_look_s()):
                    await self.wake.wait()
                continue
            raw = encode_kiss(found)
            await self._line.send_all(raw)
            self._metrics.count("line_bytes_sent", len(raw))
            # What the port still holds cannot be overtaken: so it never holds more than a frame.
            await trio.sleep(len(raw) * self._byte_s)

    def air(self, sealed: bytes, *, is_alarm: bool) -> None:
        """Send a sealed form to whoever listens: an alarm before all else.

        Where too many wait, the oldest go.
        """
        (self._alarms if is_alarm else self._aired).append(sealed)
        self.wake.set()

    @property
    def has_links(self) -> bool:
        """True while sessions bring to the stations around what is new."""
        return bool(self._links)

    def _next_raw(self) -> bytes | None:
        if self._alarms:
            return self._alarms.popleft()
        frame = self._next_frame()
        if frame is not None:
            return encode_frame(frame)
        return self._aired.popleft() if self._aired else None

    def _next_frame(self) -> Frame | None:
        now_s = trio.current_time()
        if self._urgent:
            return self._urgent.pop(0)
        beacon_ms = self._policy.beacon_ms
        if beacon_ms is not None and now_s >= self._beacon_s:
            self._beacon_s = now_s + beacon_ms / 1000 * (0.75 + self._unit() / 2)
            return Beacon(self.number)
        for link, stream in list(self._links.items()):
            if stream.is_over or now_s >= self._left.get(link, now_s + 1):
                del self._links[link]
                self._left.pop(link, None)
                self._deaf[link] = None
                if len(self._deaf) > _DEAF_MAX:
                    del self._deaf[next(iter(self._deaf))]
                continue
            frame = stream.next_frame()
            if frame is not None:
                # Whoever has sent goes to the end of the line.
                self._links[link] = self._links.pop(link)
                return frame
        return None

    def _next_look_s(self) -> float:
        due = [each.next_deadline_ms() for each in self._links.values()]
        times = [each / 1000 for each in due if each is not None]
        beacon_s = float("inf") if self._policy.beacon_ms is None else self._beacon_s
        return min([beacon_s, *self._left.values(), *times])
