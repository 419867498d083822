"""Random frames, well formed or not, from an admitted peer: no sequence of them hurts the node.

The session alone is fuzzed elsewhere; here everything behind it answers too, the store included.
A failure names its seed.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from random import Random

import pytest
import trio

from meshnode.node import Node
from protocol.errors import CloseCode
from protocol.limits import SKETCH_SYMBOLS, TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reports import Reception
from protocol.session import messages as wire
from protocol.session.frames import FrameType
from tests.security.parts import (
    BOX,
    ZONE,
    Peer,
    Town,
    Writer,
    has_settled,
    held,
    running,
    serves,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]

SESSIONS = 40
STEPS = 25
LOOK_S = 1.0


class Fuzzer:
    """Makes frames that a session might take seriously."""

    def __init__(self, seed: int, node: Node, writer: Writer) -> None:
        self._random = Random(seed)
        self._node = node
        self._writer = writer
        self._rounds = 1
        self._makers: dict[FrameType, Callable[[], bytes]] = {
            FrameType.SUMMARY: self._summary,
            FrameType.SYMBOLS: self._symbols,
            FrameType.MORE: self._more,
            FrameType.LIST: self._list,
            FrameType.EQUAL: self._equal,
            FrameType.ROUND_END: lambda: wire.encode_round(self._round()),
            FrameType.WANT: lambda: wire.encode_ids(self._ids()),
            FrameType.OFFER: lambda: wire.encode_ids(self._ids()),
            FrameType.BUNDLE: self._bundle,
            FrameType.ACK: self._ack,
            FrameType.PING: lambda: bytes(8),
            FrameType.DOCUMENT: lambda: self._random.randbytes(90),
        }

    def frames(self) -> list[tuple[FrameType, bytes]]:
        """Return the next frames of a session; a few of them are not due, or not well formed."""
        chance = self._random.random()
        if chance < 0.02:
            return [(self._random.choice(list(FrameType)), self._random.randbytes(60))]
        if chance < 0.05:
            frame_type = self._random.choice(list(self._makers))
            return [(frame_type, self._makers[frame_type]())]
        if chance < 0.2:
            self._rounds += 1
            more = [(FrameType.MORE, self._more())] if self._random.random() < 0.2 else []
            end = (FrameType.ROUND_END, wire.encode_round(self._rounds))
            return [(FrameType.SUMMARY, self._summary()), *more, end]
        frame_type = self._random.choice(_ALWAYS_DUE)
        return [(frame_type, self._makers[frame_type]())]

    def begin(self) -> None:
        """A new session: one round is behind it."""
        self._rounds = 1

    def _round(self) -> int:
        return self._rounds if self._random.random() < 0.95 else self._random.getrandbits(32)

    def _interest(self) -> Interest:
        known = list(self._node.store.sketches)
        other = Interest(self._random.choice((ZONE, 1, 65_535)), self._random.choice(_CLASSES))
        return self._random.choice([*known, other])

    def _ids(self) -> array[int]:
        return array("Q", self._random.randbytes(8 * self._random.choice((0, 1, 7, 4_096))))

    def _count(self) -> int:
        return self._random.choice((0, 1, 40, SKETCH_SYMBOLS))

    def _summary(self) -> bytes:
        interests = sorted({self._interest() for _ in range(self._random.randrange(4))})
        lines = tuple(
            wire.SummaryLine(each, self._random.getrandbits(20), self._random.getrandbits(64))
            for each in interests
        )
        return wire.encode_summary(wire.Summary(self._round(), lines))

    def _symbols(self) -> bytes:
        symbols = wire.Symbols(
            self._round(),
            self._interest(),
            self._random.getrandbits(20),
            self._random.getrandbits(64),
            self._count(),
            self._count(),
            self._random.randbytes(self._random.randrange(600)),
        )
        return wire.encode_symbols_frame(symbols)

    def _more(self) -> bytes:
        return wire.encode_more(
            wire.More(self._round(), self._interest(), self._count(), self._count())
        )

    def _list(self) -> bytes:
        is_last = self._random.random() < 0.5
        return wire.encode_list(wire.IdList(self._round(), self._interest(), is_last, self._ids()))

    def _equal(self) -> bytes:
        return wire.encode_equal(self._round(), [self._interest()])

    def _bundle(self) -> bytes:
        raw = self._writer.bundle(self._random.randbytes(self._random.randrange(400)))
        return bytes([self._random.choice((0, 0, 0, 31, 255))]) + raw

    def _ack(self) -> bytes:
        upto = self._random.choice((0, 1, 2, 2**64 - 1))
        refusals = ((0, self._random.choice(list(Reception)[1:])),) if upto else ()
        return wire.encode_ack(wire.Ack(upto, refusals))


_CLASSES = tuple(TrafficClass)
_ALWAYS_DUE = (FrameType.WANT, FrameType.OFFER, FrameType.BUNDLE, FrameType.PING)


async def run_session(town: Town, node: Node, fuzzer: Fuzzer) -> None:
    """Have one session and leave it, if the node does not end it before."""
    fuzzer.begin()
    async with Peer.dialled(town, "mallory", node) as peer:
        await peer.go_live(node)
        for _ in range(STEPS):
            for frame in fuzzer.frames():
                await peer.send(*frame)
        # What is wrong in it, if anything, is found by the time that all is read.
        await peer.send(FrameType.BYE, wire.encode_bye(CloseCode.NORMAL))
        with trio.move_on_after(LOOK_S):
            await peer.has_ended.wait()


@pytest.mark.parametrize("seed", range(4))
async def test_no_sequence_of_frames_hurts_the_node(town: Town, seed: int) -> None:
    async with running(town.home(BOX)) as node:
        await serves(town, node)
        fuzzer = Fuzzer(seed, node, Writer(town.identity("mallory")))
        for _ in range(SESSIONS):
            await run_session(town, node, fuzzer)
            await has_settled(node)
        assert node.metrics.value("rooms_restarted") == 0
        broken, kept = node.metrics.value("sessions_broken"), held(node)
        print(f"seed {seed}: {kept} bundles, {broken} of {SESSIONS} sessions broken")
        assert SESSIONS // 10 < broken < SESSIONS
        assert kept > SESSIONS
        await serves(town, node)
