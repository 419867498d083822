"""Tells the plotter on board where mates are: sentences over UDP, to configured addresses alone.

Nothing new is sent while the device is locked. Whoever was shown and no longer is, because the
shift ended, the place got too old or the device was locked, gets one sentence more, without a
place, so that a plotter does not go on showing the last one. A plotter that cannot be reached
costs a counter, and is tried again in the next round.
"""

from __future__ import annotations

import errno
import ipaddress
import math
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from meshnode.errors import LockedError
from meshnode.links.base import Address
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.services.ais import help_sentence, lost_sentence, sentences
from meshnode.services.alarms import Alarms
from meshnode.services.board import Board
from meshnode.services.targets import Numbers, targets_of
from protocol.alarms import Step
from protocol.ids import NodeId

__all__ = ["HELP_S", "Desks", "Plotter"]

HELP_S: Final = 60.0
"""An open SOS of a mate is told again after so long: a plotter beeps each time."""
_SEND_S_MAX: Final = 1.0
"""A datagram that the machine does not take in this time is lost."""
_HELP_MAX: Final = 10
"""Alarms of one round; each is a line on a small screen."""


@dataclass(frozen=True, slots=True)
class Desks:
    """What is read while the device is open."""

    board: Board
    """Where mates are."""
    alarms: Alarms
    """Who asked for help."""


class Plotter:
    """The room that tells plotters."""

    def __init__(
        self,
        addresses: Sequence[Address],
        desk: Callable[[], Desks | None],
        own: NodeId,
        membership: Membership,
        runtime: Runtime,
        metrics: Metrics,
        *,
        interval_s: float,
        mid: int,
    ) -> None:
        """`desk` gives what is open now, None while the device is locked."""
        self._addresses = tuple(addresses)
        self._desk = desk
        self._own = own
        self._membership = membership
        self._runtime = runtime
        self._metrics = metrics
        self._interval_s = interval_s
        self._numbers = Numbers(mid)
        self._shown: frozenset[int] = frozenset()
        self._help_s: dict[NodeId, float] = {}

    async def run(self) -> None:
        """Send a round every `interval_s` seconds until cancelled. Raises: StoreError."""
        sockets = dict[int, trio.socket.SocketType]()
        try:
            while True:
                desk = self._desk()
                for sentence in await self.look():
                    if self._desk() != desk:
                        break
                    for address in self._addresses:
                        await self._send(sockets, sentence, address)
                await trio.sleep(self._interval_s)
        finally:
            for each in sockets.values():
                each.close()

    async def look(self) -> list[bytes]:
        """Return the sentences of one round. Raises: StoreError."""
        desk, told = self._desk(), list[bytes]()
        shown = frozenset[int]()
        try:
            if desk is not None:
                told, shown = await self._told(desk)
        except LockedError:
            told, shown = [], frozenset()
        if self._desk() != desk:
            # It was locked while the store was read: what was read may not go out any more.
            told, shown = [], frozenset()
        gone = [lost_sentence(mmsi) for mmsi in sorted(self._shown - shown)]
        self._shown = shown
        return told + gone

    async def _told(self, desk: Desks) -> tuple[list[bytes], frozenset[int]]:
        mates = await desk.board.mates()
        # Also of those who are off duty, so that a number does not depend on who is out today.
        numbers = self._numbers.give(mate.node for mate in mates if mate.node != self._own)
        found = targets_of(mates, self._own, self._membership.directory, numbers)
        told = [sentence for target in found for sentence in sentences(target)]
        in_need = [
            each.name[0]
            for each in await desk.alarms.list_alarms()
            if each.alarm.state < Step.CLOSED and each.name[0] in numbers
        ]
        names = self._membership.directory.name_of
        told += [help_sentence(numbers[node], names(node)) for node in self._due(in_need)]
        return told, frozenset(target.mmsi for target in found)

    def _due(self, in_need: Iterable[NodeId]) -> list[NodeId]:
        """Return who is to be told of in this round, and note that."""
        now_s, present = trio.current_time(), sorted(set(in_need))[:_HELP_MAX]
        self._help_s = {node: self._help_s.get(node, -math.inf) for node in present}
        due = [node for node, told_s in self._help_s.items() if now_s - told_s >= HELP_S]
        self._help_s.update(dict.fromkeys(due, now_s))
        return due

    async def _send(
        self, sockets: dict[int, trio.socket.SocketType], sentence: bytes, address: Address
    ) -> None:
        """Send one sentence in a datagram of its own, which every plotter understands."""
        is_v6 = ipaddress.ip_address(address.host).version == 6
        family = socket.AF_INET6 if is_v6 else socket.AF_INET
        failure = errno.errorcode[errno.EAGAIN]
        try:
            if family not in sockets:
                sockets[family] = _opened(family)
            with trio.move_on_after(_SEND_S_MAX):
                await sockets[family].sendto(sentence, (address.host, address.port))
                self._metrics.count("target_sentences_sent")
                return
        except OSError as error:
            failure = errno.errorcode.get(error.errno or 0, "unknown")
        self._metrics.count("target_sentences_lost")
        self._runtime.trace("target_sentence_lost", reason=failure)


def _opened(family: int) -> trio.socket.SocketType:
    """Return a socket that may send to one and to all. Raises: OSError."""
    opened = trio.socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    return opened
