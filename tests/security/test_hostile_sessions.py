"""Enrolled devices gone bad that drip, do not read, overdo, mix up, repeat and reflect frames.

What comes too slowly, too large, out of turn or twice costs its own session at most: nothing is
stored by it, the others are served meanwhile, and the memory stays within bounds.
"""

from __future__ import annotations

from array import array
from collections.abc import Awaitable, Callable

import pytest
import trio

from meshnode.node import Node
from meshnode.runtime import system_runtime
from meshnode.store import bundles as rows
from meshnode.store import documents
from meshnode.store.engine import Connection
from protocol.errors import CloseCode
from protocol.limits import FRAME_BYTES_MAX
from protocol.reports import Reception
from protocol.session import messages
from protocol.session.frames import FrameType, encode_frame
from protocol.session.messages import Ack, IdList, More, Summary, Symbols
from tests.security.parts import (
    BOX,
    Peer,
    Town,
    Writer,
    has_settled,
    held,
    measured,
    rising,
    running,
    serves,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]

DRIP_S = 0.02
SLOW_BYTES_MAX = 2_000_000
"""What a session that goes on for ever may cost: a frame, and the caches of the others."""
UNREAD_BYTES_MAX = 12_000_000
"""What may wait for a peer that does not read: the windows of session and link."""


# --- too slow --------------------------------------------------------------------------------


async def drip(peer: Peer, frame_type: FrameType, payload_bytes: int) -> None:
    """Announce a large frame and send it byte by byte."""
    frame = encode_frame(frame_type, bytes(payload_bytes))
    await peer.raw(frame[:80])
    for byte in frame[80:]:
        await peer.raw(bytes([byte]))
        await trio.sleep(DRIP_S)


@pytest.mark.parametrize("stage", ["before documents", "among documents", "live"])
async def test_a_frame_that_drips_in_keeps_nobody_waiting(town: Town, stage: str) -> None:
    async with running(town.home(BOX)) as node:
        await serves(town, node)
        before = held(node)
        with measured() as memory:
            async with (
                Peer.dialled(town, "mallory", node) as peer,
                trio.open_nursery() as nursery,
            ):
                if stage == "live":
                    await peer.go_live(node)
                    nursery.start_soon(drip, peer, FrameType.BUNDLE, 60_000)
                else:
                    await peer.greet(node)
                    kind = FrameType.DOCUMENT if "among" in stage else FrameType.DOCUMENT_VERSIONS
                    nursery.start_soon(drip, peer, kind, 60_000)
                for _ in range(4):
                    await serves(town, node)
                    await trio.sleep(0.3)
                nursery.cancel_scope.cancel()
            await has_settled(node)
            assert memory.kept < SLOW_BYTES_MAX
        assert held(node) == before + 4
        await serves(town, node)


async def test_who_wants_everything_and_reads_nothing_costs_a_window(town: Town) -> None:
    writers = [Writer(town.identity(name)) for name in ("alice", "bob")]
    now_ms = system_runtime().now_ms()
    large = [
        writers[number % 2].bundle(
            bytes([number % 256]) * 60_000, hlc=(now_ms - number // 32 * 3_600_000) << 16
        )
        for number in range(300)
    ]
    async with running(town.home(BOX)) as node:
        for start in range(0, len(large), 50):
            batch = [(0, raw) for raw in large[start : start + 50]]
            outcomes = await node.relay.receive(None, batch)
            assert {fate for _short, fate in outcomes} == {Reception.STORED}
        ids = await _short_ids(node)
        with measured() as memory:
            async with Peer.dialled(town, "mallory", node) as peer:
                await peer.go_live(node)
                peer.stop_reading()
                for start in range(0, len(ids), 100):
                    wanted = messages.encode_ids(array("Q", ids[start : start + 100]))
                    await peer.send(FrameType.WANT, wanted)
                for _ in range(4):
                    await serves(town, node)
                    await trio.sleep(0.2)
                print(f"{len(large) * 60} kB wanted, {memory.peak / 1e6:.1f} MB at most")
                assert memory.peak < UNREAD_BYTES_MAX
            await has_settled(node)
        await serves(town, node)


async def _short_ids(node: Node) -> list[int]:
    def read(conn: Connection) -> list[int]:
        return [short for each in list(node.store.sketches) for short in rows.ids(conn, each)]

    return await node.store.read(read)


# --- too large -------------------------------------------------------------------------------

ENDS = {CloseCode.LIMIT_EXCEEDED, CloseCode.MALFORMED, CloseCode.UNEXPECTED_FRAME}


@pytest.mark.parametrize("frame_type", list(FrameType))
async def test_the_largest_frame_of_each_type_costs_its_session_alone(
    town: Town, frame_type: FrameType
) -> None:
    async with running(town.home(BOX)) as node:
        before, kept = held(node), await node.store.read(documents.all_raw)
        with measured() as memory:
            async with Peer.dialled(town, "mallory", node) as peer:
                await peer.go_live(node)
                await peer.raw(encode_frame(frame_type, b"\x93" * FRAME_BYTES_MAX))
                if frame_type is FrameType.DOCUMENT:
                    # Larger than any document: refused as one, or as a frame.
                    await peer.send(FrameType.DOCUMENT, bytes(FRAME_BYTES_MAX))
                    await peer.send(FrameType.BYE, messages.encode_bye(CloseCode.NORMAL))
                    await peer.ended()
                else:
                    assert await peer.ended() in ENDS
            await has_settled(node)
            assert memory.peak < UNREAD_BYTES_MAX
        assert held(node) == before
        assert await node.store.read(documents.all_raw) == kept
        await serves(town, node)


# --- out of turn -----------------------------------------------------------------------------

Play = Callable[[Peer, Node], Awaitable[None]]


async def _end_before_hello(peer: Peer, _node: Node) -> None:
    await peer.send(FrameType.DOCUMENTS_END)
    await peer.send(FrameType.HELLO, peer.hello())


async def _data_before_documents(peer: Peer, node: Node) -> None:
    await peer.greet(node)
    await peer.send(FrameType.BUNDLE, b"\0" + Writer(peer.identity).bundle())


async def _summary_before_documents(peer: Peer, node: Node) -> None:
    await peer.greet(node)
    await peer.send(FrameType.SUMMARY, messages.encode_summary(Summary(1, ())))


async def _end_twice(peer: Peer, node: Node) -> None:
    await peer.go_live(node)
    await peer.send(FrameType.DOCUMENTS_END)


async def _round_that_nobody_began(peer: Peer, node: Node) -> None:
    await peer.go_live(node)
    await peer.send(FrameType.ROUND_END, messages.encode_round(2))


async def _round_twice(peer: Peer, node: Node) -> None:
    await peer.go_live(node)
    await peer.send(FrameType.SUMMARY, messages.encode_summary(Summary(1, ())))


async def _round_left_out(peer: Peer, node: Node) -> None:
    await peer.go_live(node)
    await peer.send(FrameType.SUMMARY, messages.encode_summary(Summary(9, ())))


async def _equal_unasked(peer: Peer, node: Node) -> None:
    await peer.go_live(node)
    await peer.send(FrameType.EQUAL, messages.encode_equal(1, []))


async def _list_unasked(peer: Peer, node: Node) -> None:
    await peer.go_live(node)
    interest = next(iter(node.store.sketches))
    page = IdList(1, interest, True, array("Q", [5]))
    await peer.send(FrameType.LIST, messages.encode_list(page))


async def _symbols_unasked(peer: Peer, node: Node) -> None:
    await peer.go_live(node)
    interest = next(iter(node.store.sketches))
    flight = Symbols(1, interest, 1, 1, 0, 0, b"")
    await peer.send(FrameType.SYMBOLS, messages.encode_symbols_frame(flight))


async def _more_unasked(peer: Peer, node: Node) -> None:
    await peer.go_live(node)
    interest = next(iter(node.store.sketches))
    await peer.send(FrameType.MORE, messages.encode_more(More(1, interest, 64, 64)))


async def _ack_for_nothing(peer: Peer, node: Node) -> None:
    await peer.go_live(node)
    await peer.send(FrameType.ACK, messages.encode_ack(Ack(1, ((0, Reception.DUPLICATE),))))


@pytest.mark.parametrize(
    "play",
    [
        _end_before_hello,
        _data_before_documents,
        _summary_before_documents,
        _end_twice,
        _round_that_nobody_began,
        _round_twice,
        _round_left_out,
        _equal_unasked,
        _list_unasked,
        _symbols_unasked,
        _more_unasked,
        _ack_for_nothing,
    ],
)
async def test_what_comes_out_of_turn_ends_the_session(town: Town, play: Play) -> None:
    async with running(town.home(BOX)) as node:
        await serves(town, node)
        before = held(node)
        async with (
            rising(node, "sessions_broken"),
            Peer.dialled(town, "mallory", node) as peer,
        ):
            await play(peer, node)
            assert await peer.ended() in ENDS
        assert held(node) == before
        await serves(town, node)


# --- again -----------------------------------------------------------------------------------


async def test_a_recorded_session_has_no_second_effect(town: Town) -> None:
    raws = [Writer(town.identity("bob")).bundle() for _ in range(20)]
    async with running(town.home(BOX)) as node:
        record: list[tuple[FrameType, bytes]] = [
            *((FrameType.DOCUMENT, raw) for raw in await node.store.read(documents.all_raw)),
            *((FrameType.BUNDLE, b"\0" + raw) for raw in raws),
        ]
        fates: list[list[Reception]] = []
        kept = await node.store.read(documents.all_raw)
        for _session in range(3):
            async with Peer.dialled(town, "mallory", node) as peer:
                await peer.go_live(node)
                for frame_type, payload in record[: len(kept)]:
                    await peer.send(frame_type, payload)
                fates.append(await peer.give(raws))
        assert fates == [[Reception.STORED] * 20, *[[Reception.DUPLICATE] * 20] * 2]
        assert await node.store.read(documents.all_raw) == kept
        assert node.metrics.value("documents_accepted") == 0
    # It holds after a restart too: what was seen is remembered on the disk.
    async with running(town.home(BOX)) as node, Peer.dialled(town, "mallory", node) as peer:
        await peer.go_live(node)
        assert await peer.give(raws) == [Reception.DUPLICATE] * 20
        await serves(town, node)


async def test_a_node_does_not_believe_its_own_words(town: Town) -> None:
    async with running(town.home(BOX)) as node:
        before = held(node)
        async with Peer.dialled(town, "mallory", node) as peer:
            await peer.send(FrameType.HELLO, peer.hello())
            spoken = await peer.expect(FrameType.HELLO)
        async with (
            rising(node, "peers_refused"),
            Peer.dialled(town, "mallory", node) as peer,
        ):
            # What the node said on one link, said to it on another.
            await peer.send(FrameType.HELLO, spoken)
            assert await peer.ended() is CloseCode.NOT_AUTHENTICATED
            assert peer.seen == []
        assert held(node) == before
        await serves(town, node)
