"""A radio channel between simulated devices: frames that reach whoever hears, or get lost.

The stations on it are those of the field, from the frames to the store; only the port is made up.
It is slower than a session needs, so what crosses it is what nodes send without one.
Source: wire-format 11 and 12.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from meshnode.airing import Airing
from meshnode.around import untaken_alarms
from meshnode.budgets import Budgets
from meshnode.links.knocking import Knocks
from meshnode.links.serial import BITS_PER_BYTE
from meshnode.links.serial_bearer import PortSettings, SerialBearer
from sims.draws import Draw
from sims.tariffs import RADIO, tariff_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import NoReturn

    from meshnode.links.base import Link
    from meshnode.node import Node
    from meshnode.runtime import Runtime
    from protocol.budgets import Tariff
    from sims.fleet import DevicePlan

__all__ = ["Air"]

_PORT: Final = PortSettings(RADIO, 1_200)
_FRAMES_MAX: Final = 1_000
"""Frames that a device which stopped reading leaves lying; the rest is lost."""
_DELAY_S: Final = 0.3
"""Of a controller that keys its transmitter."""


class _End(trio.abc.Stream):
    """The port of one device, for one of its lives."""

    def __init__(self, air: Air, name: str) -> None:
        self._air = air
        self._name = name
        self._put, self._came = trio.open_memory_channel[tuple[float, bytes]](_FRAMES_MAX)
        self._rest = b""
        self.is_open = True
        """False while nobody reads: the radio is off then, and hears nothing."""
        self.billed: Callable[[int], None] = lambda _size_bytes: None
        """Told of each frame that crosses, bytes."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`; one call is one frame."""
        await trio.lowlevel.checkpoint()
        self.billed(len(data))
        self._air.spread(self._name, bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        if not self._rest:
            at_s, self._rest = await self._came.receive()
            await trio.sleep_until(at_s)
            self.billed(len(self._rest))
        count = max_bytes or len(self._rest)
        found, self._rest = self._rest[:count], self._rest[count:]
        return found

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`; what came and was not read is lost, and billed."""
        self.is_open, self._rest = False, b""
        while self._came.statistics().current_buffer_used:
            at_s, frame = self._came.receive_nowait()
            if at_s <= trio.current_time():
                self.billed(len(frame))
        await trio.lowlevel.checkpoint()

    def opened(self) -> _End:
        """The radio is switched on."""
        self.is_open = True
        return self

    def hear(self, frame: bytes) -> None:
        """A frame reaches this port once its last byte was sent."""
        if not self.is_open:
            return
        at_s = trio.current_time() + _DELAY_S + len(frame) * BITS_PER_BYTE / _PORT.rate_bps
        if self._put.statistics().current_buffer_used < _FRAMES_MAX:
            self._put.send_nowait((at_s, frame))


class Air:
    """Who hears whom at this moment, and what gets lost between them."""

    def __init__(self, loss: float, draw: Draw) -> None:
        """`loss` is the part of the frames that one of those who hear does not get, 0 to 1."""
        self._loss = loss
        self._draw = draw
        self._hearing = Counter[frozenset[str]]()
        self._ends: dict[str, _End] = {}

    def begin(self, first: str, second: str) -> None:
        """Two devices hear each other from now on."""
        self._hearing[frozenset((first, second))] += 1

    def end(self, first: str, second: str) -> None:
        """End of one `begin`."""
        self._hearing[frozenset((first, second))] -= 1

    def spread(self, name: str, frame: bytes) -> None:
        """Give a frame to all who hear the device called `name`."""
        for other, end in self._ends.items():
            if self._hearing[frozenset((name, other))] > 0 and not self._draw.chance(self._loss):
                end.hear(frame)

    def tasks(self, node: Node, plan: DevicePlan) -> tuple[Callable[[], Awaitable[None]], ...]:
        """Return what keeps a node on the air, from this start of it to its end."""
        keyring, runtime = node.knock_keys, node.runtime
        assert keyring is not None, "a node with a radio is given its keys"
        end = self._ends[plan.name] = _End(self, plan.name)
        bearer = SerialBearer(
            [_PORT],
            _no_sessions,
            runtime,
            knocks=Knocks(runtime, keyring),
            opener=lambda _path, _rate: end.opened(),
        )
        bearer.metrics = node.metrics
        tariff = tariff_of(plan.radio_budget)
        if tariff is not None:
            node.budgets = budgets = Budgets([tariff], node.store, runtime)
            budgets.metrics = node.metrics
            budgets.on_sos.append(bearer.call_out)
            bearer.meters = budgets.meter_of
            end.billed = partial(_bill, runtime, tariff)
        parts = (node.relay, node.store, runtime, node.membership)
        airing = Airing(bearer, *parts, partial(untaken_alarms, node))
        return (keyring.run, partial(bearer.serve, _refuse), airing.run)


def _bill(runtime: Runtime, tariff: Tariff, frame_bytes: int) -> None:
    """Note what an operator bills for a frame: full steps, counted for itself."""
    steps = (frame_bytes + tariff.step_bytes - 1) // tariff.step_bytes
    runtime.trace("air_billed", bytes=steps * tariff.step_bytes, now_ms=runtime.now_ms())


def _no_sessions() -> NoReturn:
    raise AssertionError("no session goes over a port of 1,200 bit/s")


async def _refuse(link: Link) -> None:
    raise AssertionError("no session goes over a port of 1,200 bit/s")
