"""Links inside one process, with the latency, rate and buffers of real ones, on trio's clock.

For tests and simulation: under a virtual clock an hour of traffic takes as long as its work.
A pipe is arithmetic, not a task: each piece is given the time at which its last bit arrives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import trio

from meshnode.errors import LinkClosedError, LinkError, LinkTimeoutError
from meshnode.links.base import Address, Bearer, Link, LinkCost, LinkHandler
from protocol.limits import DIAL_MS_MAX, LINK_BUFFER_BYTES

__all__ = ["MemoryBearer", "MemoryLink", "MemoryNetwork", "Shape", "memory_link_pair"]

_PIECE_BYTES = 4_096
_RESEND_S_MIN = 0.2
_LOSSES_MAX = 6
"""A piece that is lost more often arrives nevertheless: its radio would have given up."""


def _never() -> float:
    """Draw what is below no share: nothing is lost or corrupted."""
    return 1.0


@dataclass(frozen=True, slots=True)
class Shape:
    """One direction of a link."""

    latency_s: float = 0.0
    """From the last bit sent to its arrival."""
    rate_bytes_s: float | None = None
    """Bytes per second; None is as fast as the machine."""
    buffer_bytes: int = LINK_BUFFER_BYTES
    """What the sender's side holds before it waits, and again what the reader's side holds."""
    mtu_bytes: int = _PIECE_BYTES
    """Largest piece that is carried at once, bytes."""
    loss: float = 0.0
    """Share of pieces that are lost and sent again after a wait, 0 to below 1."""
    corruption: float = 0.0
    """Share of pieces in which one bit arrives turned, 0 to 1."""
    unit: Callable[[], float] = _never
    """Draws from 0 to below 1 that decide which piece is lost or corrupted, and where."""

    @property
    def resend_s(self) -> float:
        """How long after a piece was lost it arrives: a round trip, or the least wait of TCP."""
        return max(_RESEND_S_MIN, 2 * self.latency_s)


class _Pipe:
    """One direction: pieces with their times of arrival, and who waits for a change."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._unread_bytes = 0
        self._line_free_s = 0.0
        self._ended_s: float | None = None
        self._is_stalled = False
        self._changed = trio.Event()
        on_way = int(shape.latency_s * (shape.rate_bytes_s or 0.0))
        self._unread_bytes_max = 2 * shape.buffer_bytes + on_way
        self._fault = ""

    def notify(self) -> None:
        """Wake whoever waits, to look again."""
        self._changed.set()
        self._changed = trio.Event()

    def stall(self, is_stalled: bool) -> None:
        """Hold everything back, or let it go on; nothing is lost."""
        self._is_stalled = is_stalled
        self.notify()

    def end(self) -> None:
        """Nothing more will be sent."""
        if self._ended_s is None:
            self._ended_s = max(trio.current_time(), self._line_free_s) + self._shape.latency_s
            self.notify()

    def fail(self, fault: str) -> None:
        """Lose what is under way; both ends get LinkClosedError."""
        if not self._fault:
            self._fault = fault
            self._pieces.clear()
            self._unread_bytes = 0
            self.notify()

    async def send(self, data: bytes) -> None:
        """Put `data` on the line piece by piece."""
        await trio.lowlevel.checkpoint()
        view = memoryview(data)
        size = max(1, min(self._shape.mtu_bytes, self._shape.buffer_bytes))
        for start in range(0, len(view), size):
            piece = bytes(view[start : start + size])
            await self._wait_for_room(len(piece))
            self._put(piece)
        self._check()

    def _check(self) -> None:
        if self._fault:
            raise LinkClosedError(self._fault)
        if self._ended_s is not None:
            raise LinkClosedError("this end of the link was closed")

    async def _wait_for_room(self, size_bytes: int) -> None:
        while True:
            self._check()
            if self._unread_bytes + size_bytes > self._unread_bytes_max:
                await self._changed.wait()
                continue
            wait_s = self._line_wait_s(size_bytes)
            if wait_s <= 0:
                return
            await self._wait_until(trio.current_time() + wait_s)

    def _line_wait_s(self, size_bytes: int) -> float:
        """Return how long until the line's own buffer has room."""
        rate = self._shape.rate_bytes_s
        if rate is None:
            return 0.0
        ahead_s = max(0.0, self._line_free_s - trio.current_time())
        wait_s = ahead_s - (self._shape.buffer_bytes - size_bytes) / rate
        return wait_s if wait_s > 1e-9 else 0.0

    def _put(self, piece: bytes) -> None:
        rate = self._shape.rate_bytes_s
        start_s = max(trio.current_time(), self._line_free_s)
        self._line_free_s = start_s + (len(piece) / rate if rate else 0.0)
        self._line_free_s += self._lost_s()
        if self._shape.corruption and self._shape.unit() < self._shape.corruption:
            piece = _with_turned_bit(piece, self._shape.unit())
        self._pieces.append((self._line_free_s + self._shape.latency_s, piece))
        self._unread_bytes += len(piece)
        self.notify()

    def _lost_s(self) -> float:
        """Return how long a piece is late; what follows it waits, as in every ordered stream."""
        loss, late_s = self._shape.loss, 0.0
        for _ in range(_LOSSES_MAX if loss else 0):
            if self._shape.unit() >= loss:
                break
            late_s += self._shape.resend_s
        return late_s

    async def _wait_until(self, at_s: float) -> None:
        with trio.move_on_at(at_s):
            await self._changed.wait()

    async def receive(self, max_bytes: int) -> bytes:
        """Return what has arrived; nothing at the end."""
        await trio.lowlevel.checkpoint()
        while True:
            if self._fault:
                raise LinkClosedError(self._fault)
            next_s = self._pieces[0][0] if self._pieces else self._ended_s
            if next_s is None or self._is_stalled:
                await self._changed.wait()
            elif next_s > trio.current_time():
                await self._wait_until(next_s)
            else:
                return self._take(max_bytes)

    def _take(self, max_bytes: int) -> bytes:
        taken, now_s = bytearray(), trio.current_time()
        while self._pieces and self._pieces[0][0] <= now_s and len(taken) < max_bytes:
            arrival_s, piece = self._pieces.popleft()
            room = max_bytes - len(taken)
            taken += piece[:room]
            if len(piece) > room:
                self._pieces.appendleft((arrival_s, piece[room:]))
        self._unread_bytes -= len(taken)
        self.notify()
        return bytes(taken)


def _with_turned_bit(piece: bytes, unit: float) -> bytes:
    place = int(unit * len(piece) * 8)
    turned = bytearray(piece)
    turned[place // 8] ^= 1 << place % 8
    return bytes(turned)


class MemoryLink(Link):
    """One end of a pair."""

    kind = "memory"
    mtu_bytes = 65_536
    cost = LinkCost.FREE

    def __init__(
        self,
        out: _Pipe,
        into: _Pipe,
        *,
        is_initiator: bool,
        remote: str,
        local_certificate: bytes,
        peer_certificate: bytes,
    ) -> None:
        self._out = out
        self._into = into
        self.is_initiator = is_initiator
        self.remote = remote
        self.local_certificate = local_certificate
        self.peer_certificate = peer_certificate

    async def send(self, data: bytes) -> None:
        """See `Link.send`."""
        await self._out.send(data)

    async def receive(self, max_bytes: int) -> bytes:
        """See `Link.receive`."""
        return await self._into.receive(max_bytes)

    async def aclose(self) -> None:
        """See `Link.aclose`."""
        self._out.end()
        self._into.fail("the peer or this end closed the link")
        await trio.lowlevel.checkpoint()

    def drop(self) -> None:
        """Break the link at once in both directions, as when a radio dies."""
        self._out.fail("the link broke")
        self._into.fail("the link broke")

    def stall(self) -> None:
        """Stop both directions without a word; what is sent meanwhile waits."""
        self.stall_sending(True)
        self.stall_receiving(True)

    def resume(self) -> None:
        """End a stall."""
        self.stall_sending(False)
        self.stall_receiving(False)

    def stall_sending(self, is_stalled: bool) -> None:
        """Stop what this end sends, or let it go on; what the other end sends arrives."""
        self._out.stall(is_stalled)

    def stall_receiving(self, is_stalled: bool) -> None:
        """Stop what the other end sends, or let it go on; what this end sends arrives."""
        self._into.stall(is_stalled)


def memory_link_pair(
    shape_a_to_b: Shape | None = None,
    shape_b_to_a: Shape | None = None,
    *,
    certificates: tuple[bytes, bytes] = (b"certificate a", b"certificate b"),
    names: tuple[str, str] = ("a", "b"),
) -> tuple[MemoryLink, MemoryLink]:
    """Return both ends of a link; the first is the initiator. One shape serves both directions."""
    forth = _Pipe(shape_a_to_b or Shape())
    back = _Pipe(shape_b_to_a or shape_a_to_b or Shape())
    ends = []
    for is_initiator, out, into in ((True, forth, back), (False, back, forth)):
        ours, theirs = (0, 1) if is_initiator else (1, 0)
        ends.append(
            MemoryLink(
                out,
                into,
                is_initiator=is_initiator,
                remote=names[theirs],
                local_certificate=certificates[ours],
                peer_certificate=certificates[theirs],
            )
        )
    return ends[0], ends[1]


ShapeBetween = Callable[[Address, Address], Shape | None]
"""Dialler and dialled to the shape of the link; None while they cannot reach each other."""


def _perfect(_dialler: Address, _dialled: Address) -> Shape | None:
    return Shape()


class MemoryNetwork:
    """Bearers that reach each other as `shape_between` says at the moment of a dial."""

    def __init__(self, shape_between: ShapeBetween = _perfect) -> None:
        self._shape_between = shape_between
        self._listeners: dict[Address, tuple[MemoryBearer, trio.MemorySendChannel[Link]]] = {}

    def bearer(self, address: Address, certificate: bytes) -> MemoryBearer:
        """Return the bearer of a node that is reached at `address`."""
        return MemoryBearer(self, address, certificate)

    def open(
        self, bearer: MemoryBearer, address: Address
    ) -> tuple[trio.MemorySendChannel[Link], trio.MemoryReceiveChannel[Link]]:
        """Let `bearer` be dialled. Raises: LinkError if the address is taken."""
        if address in self._listeners:
            raise LinkError(f"{address} is in use")
        send, receive = trio.open_memory_channel[Link](0)
        self._listeners[address] = (bearer, send)
        return send, receive

    def shut(self, address: Address) -> None:
        """Nobody answers at `address` any more."""
        self._listeners.pop(address, None)

    async def connect(self, dialler: MemoryBearer, address: Address) -> MemoryLink:
        """Return the dialler's end. Raises: LinkError, LinkTimeoutError."""
        shape = self._shape_between(dialler.address, address)
        if shape is None:
            await trio.sleep(DIAL_MS_MAX / 1000)
            raise LinkTimeoutError(f"{address} does not answer")
        await trio.sleep(2 * shape.latency_s)
        listener = self._listeners.get(address)
        if listener is None:
            raise LinkError(f"nobody listens at {address}")
        dialled, channel = listener
        near, far = memory_link_pair(
            shape,
            certificates=(dialler.certificate, dialled.certificate),
            names=(str(dialler.address), str(address)),
        )
        try:
            await channel.send(far)
        except trio.BrokenResourceError as error:
            raise LinkError(f"{address} went away") from error
        return near


class MemoryBearer(Bearer):
    """Dials and serves inside a `MemoryNetwork`."""

    kind = "memory"

    def __init__(self, network: MemoryNetwork, address: Address, certificate: bytes) -> None:
        self._network = network
        self.address = address
        self.certificate = certificate

    async def dial(self, address: Address) -> Link:
        """See `Bearer.dial`."""
        return await self._network.connect(self, address)

    async def serve(
        self,
        handler: LinkHandler,
        *,
        task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See `Bearer.serve`."""
        send, receive = self._network.open(self, self.address)
        try:
            async with send, receive, trio.open_nursery() as nursery:
                task_status.started((self.address,))
                async for link in receive:
                    nursery.start_soon(handler, link)
        finally:
            self._network.shut(self.address)
