"""What outsiders, and enrolled devices gone bad, do to the links and sessions of a running node.

Each attack ends with its counter, nothing stored, memory and time within bounds, and an honest
peer served. Security cases S01, S02, S04, S06, S07.
"""

from __future__ import annotations

import os
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from meshnode.bearers import NodeBearers
from meshnode.node import Node
from meshnode.runtime import system_runtime
from meshnode.store import peers
from protocol import issuing
from protocol.errors import CloseCode
from protocol.identity import binding_message
from protocol.knock import address_name, make_knock
from protocol.limits import (
    HANDSHAKES_MAX,
    HANDSHAKES_PER_ADDRESS_MAX,
    IDS_PER_FRAME_MAX,
    SESSION_HELLO_MS_MAX,
)
from protocol.session import messages
from protocol.session.frames import FrameType, encode_frame
from tests.security.parts import (
    BOX,
    Peer,
    Town,
    Writer,
    address_of,
    has_settled,
    held,
    measured,
    rising,
    running,
    serves,
    until,
    warm_up,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]

CLOSED_S_MAX = SESSION_HELLO_MS_MAX / 1000 + 5.0
"""The bound of every wait for a stranger, and some seconds for a busy machine to keep it."""
KEPT_BYTES_MAX = 500_000
"""What may be left of an attack: caches and counters, not connections."""
FLOOD_BYTES_MAX = 100_000_000
"""What one enrolled peer may make a node hold, at most, however much it sends."""
FLOOD_S = 5.0
FLOOD_ENDS_S_MAX = 60.0
STRANGER = "127.0.0.9"
"""Where floods come from: bounds are by address."""


# --- before TLS ------------------------------------------------------------------------------


def anonymous(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """Return a client without a certificate that trusts everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    return context


def showing(folder: Path, chain: Sequence[bytes], key: PrivateKeyTypes) -> ssl.SSLContext:
    """Return a client that shows a chain (DER) with the key of its leaf."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "shown.key").write_bytes(pem)
    (folder / "shown.pem").write_text("".join(ssl.DER_cert_to_PEM_cert(der) for der in chain))
    context = anonymous()
    context.load_cert_chain(folder / "shown.pem", folder / "shown.key")
    return context


def first_flight(version: ssl.TLSVersion) -> bytes:
    """Return the ClientHello of an anonymous client."""
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        anonymous(version).wrap_bio(ssl.MemoryBIO(), out, server_hostname="x").do_handshake()
    return out.read()


async def knock(town: Town, node: Node, stream: trio.SocketStream) -> None:
    """Knock as who has stolen the key: what is tested here stands behind the knock."""
    at = address_of(node)
    key = town.keys[max(town.keys)][0]
    await stream.send_all(make_knock(key, address_name(at.host, at.port), os.urandom(16)))


async def answer_to(town: Town, node: Node, data: bytes, pause_s: float = 0.0) -> bytes:
    """Knock, send bytes, one by one where there is a pause; return all that comes."""
    host, port = address_of(node).host, address_of(node).port
    answer = bytearray()
    stream = await trio.open_tcp_stream(host, port, local_address=STRANGER)
    await knock(town, node, stream)

    async def drip() -> None:
        step = 1 if pause_s else max(1, len(data))
        for start in range(0, len(data), step):
            try:
                await stream.send_all(data[start : start + step])
            except trio.BrokenResourceError:
                return
            await trio.sleep(pause_s)

    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        try:
            async for some in stream:
                answer += some
        except trio.BrokenResourceError:
            pass
        nursery.cancel_scope.cancel()
    return bytes(answer)


NOISE = random.Random(1).randbytes(300)
"""Always the same: of the heads of all records one in hundreds makes TLS wait for more."""
assert NOISE[1] != 3
assert not (NOISE[0] & 0x80 and NOISE[2] == 1)
PLAIN = {
    "300 random bytes": NOISE,
    "a first byte of TLS, then noise": b"\x16\x03\x01" + os.urandom(300),
    "HTTP": b"GET / HTTP/1.1\r\nHost: box\r\n\r\n",
    "TLS 1.2": first_flight(ssl.TLSVersion.TLSv1_2),
}


@pytest.mark.parametrize("name", PLAIN)
async def test_what_is_no_tls_1_3_gets_no_answer(town: Town, name: str) -> None:
    async with running(town.home(BOX)) as node:
        async with rising(node, "links_refused"):
            with trio.fail_after(CLOSED_S_MAX):
                assert await answer_to(town, node, PLAIN[name]) == b""
        await serves(town, node)


async def test_whoever_is_silent_or_slow_is_gone_in_five_seconds(town: Town) -> None:
    hello = first_flight(ssl.TLSVersion.TLSv1_3)
    cut = {"nothing": b"", "half a ClientHello": hello[:100]}
    async with running(town.home(BOX)) as node, trio.open_nursery() as nursery:

        async def closed(data: bytes, pause_s: float = 0.0) -> None:
            with trio.fail_after(CLOSED_S_MAX):
                assert await answer_to(town, node, data, pause_s) == b""

        async def after_the_server_spoke() -> None:
            # A certificate that tells nothing is all that anybody gets (security 2.3).
            with trio.fail_after(CLOSED_S_MAX):
                assert b"Alpes" not in await answer_to(town, node, hello)

        for data in cut.values():
            nursery.start_soon(closed, data)
        nursery.start_soon(closed, hello, 0.2)
        nursery.start_soon(after_the_server_spoke)
        await trio.sleep(0.5)
        # All places of the address are taken, so the honest one comes from another.
        await serves(town, node)


async def application_bytes(town: Town, node: Node, context: ssl.SSLContext) -> bytes:
    """Connect over TLS and return what the node says before it ends the link."""
    host, port = address_of(node).host, address_of(node).port
    stream = await trio.open_tcp_stream(host, port)
    await knock(town, node, stream)
    tls = trio.SSLStream(stream, context, https_compatible=True)
    answer = bytearray()
    try:
        async with stream:
            await tls.do_handshake()
            await tls.send_all(encode_frame(FrameType.PING, bytes(8)))
            async for some in tls:
                answer += some
    except trio.BrokenResourceError:
        pass
    return bytes(answer)


@pytest.mark.parametrize("shown", ["nothing", "self-signed", "another root", "badge"])
async def test_without_a_link_certificate_nobody_hears_a_byte(
    town: Town, outsiders: Town, tmp_path: Path, shown: str
) -> None:
    identity = town.identity("mallory")
    if shown == "nothing":
        context = anonymous()
    elif shown == "self-signed":
        root = issuing.make_root(system_runtime().now_ms())
        context = showing(tmp_path, [root.certificate], root.key)
    elif shown == "another root":
        context = outsiders.client("mallory")
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context = showing(tmp_path, identity.badge_chain, identity.badge_key)
    async with running(town.home(BOX)) as node:
        async with rising(node, "links_refused"):
            with trio.fail_after(CLOSED_S_MAX):
                assert await application_bytes(town, node, context) == b""
        await serves(town, node)


async def test_a_thousand_refused_connections_leave_nothing_behind(town: Town) -> None:
    async with running(town.home(BOX)) as node:
        await serves(town, node)
        await has_settled(node)
        tasks = trio.lowlevel.current_statistics().tasks_living
        await answer_to(town, node, PLAIN["HTTP"])
        await warm_up(node)
        with measured() as memory:
            for number in range(1_000):
                data = PLAIN["HTTP"] if number % 2 else PLAIN["300 random bytes"]
                assert await answer_to(town, node, data) == b""
            assert memory.kept < KEPT_BYTES_MAX
        await until(lambda: trio.lowlevel.current_statistics().tasks_living <= tasks)
        await serves(town, node)


async def test_five_hundred_silent_connections_keep_nobody_out(town: Town) -> None:
    # Security case S07: the flood comes from one address, the enrolled peer from another.
    async with running(town.home(BOX)) as node, trio.open_nursery() as nursery:
        host, port = address_of(node).host, address_of(node).port
        bearers = node.bearer
        assert isinstance(bearers, NodeBearers)
        bearer = bearers.tcp
        most = 0

        async def silent() -> None:
            async with await trio.open_tcp_stream(host, port, local_address=STRANGER) as stream:
                try:
                    await stream.receive_some(1)
                except trio.BrokenResourceError:
                    return

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, bearer.gate.unfinished)
                await trio.lowlevel.checkpoint()

        nursery.start_soon(watch)
        for _ in range(500):
            nursery.start_soon(silent)
        await serves(town, node)
        refused = 500 - HANDSHAKES_PER_ADDRESS_MAX
        await until(lambda: node.metrics.value("links_refused") >= refused)
        nursery.cancel_scope.cancel()
        assert 0 < most <= HANDSHAKES_PER_ADDRESS_MAX + 1 <= HANDSHAKES_MAX


# --- the first words after TLS ---------------------------------------------------------------


Attack = Callable[[Peer, Node, Town, Town], Awaitable[None]]


async def _garbage(peer: Peer, _node: Node, _town: Town, _outsiders: Town) -> None:
    await peer.raw(b"\xff" + os.urandom(1_000))


async def _bundle_first(peer: Peer, _node: Node, _town: Town, _outsiders: Town) -> None:
    await peer.send(FrameType.BUNDLE, bytes(100))


async def _broken_hello(peer: Peer, _node: Node, _town: Town, _outsiders: Town) -> None:
    await peer.send(FrameType.HELLO, peer.hello()[:-1])


async def _huge_hello(peer: Peer, _node: Node, _town: Town, _outsiders: Town) -> None:
    await peer.send(FrameType.HELLO, peer.hello(badge_chain=(bytes(4_000),) * 9))


async def _hello_of_bob(peer: Peer, _node: Node, town: Town, _outsiders: Town) -> None:
    """Bob's own HELLO, as recorded on a link of his: his signature is over his certificate."""
    bob = town.identity("bob")
    signature = bob.badge_key.sign(binding_message(bob.link_chain[0]))
    recorded = peer.hello(badge_chain=bob.badge_chain, binding_signature=signature)
    await peer.send(FrameType.HELLO, recorded)


async def _badge_of_bob(peer: Peer, _node: Node, town: Town, _outsiders: Town) -> None:
    """Bob's badge with a signature by another key over the right certificate."""
    await peer.send(FrameType.HELLO, peer.hello(badge_chain=town.identity("bob").badge_chain))


async def _wrong_binding(peer: Peer, _node: Node, _town: Town, _outsiders: Town) -> None:
    await peer.send(FrameType.HELLO, peer.hello(binding_signature=bytes(64)))


async def _other_root(peer: Peer, _node: Node, _town: Town, outsiders: Town) -> None:
    eve = outsiders.identity("mallory")
    signature = eve.badge_key.sign(binding_message(peer.link.local_certificate))
    shown = peer.hello(badge_chain=eve.badge_chain, binding_signature=signature)
    await peer.send(FrameType.HELLO, shown)


async def _link_as_badge(peer: Peer, _node: Node, _town: Town, _outsiders: Town) -> None:
    await peer.send(FrameType.HELLO, peer.hello(badge_chain=peer.identity.link_chain))


async def _own_badge_of_the_node(peer: Peer, _node: Node, town: Town, _outsiders: Town) -> None:
    box = town.identity(BOX)
    signature = box.badge_key.sign(binding_message(peer.link.local_certificate))
    shown = peer.hello(badge_chain=box.badge_chain, binding_signature=signature)
    await peer.send(FrameType.HELLO, shown)


@pytest.mark.parametrize(
    ("attack", "code", "counter"),
    [
        (_garbage, CloseCode.UNEXPECTED_FRAME, "sessions_broken"),
        (_bundle_first, CloseCode.UNEXPECTED_FRAME, "sessions_broken"),
        (_broken_hello, CloseCode.MALFORMED, "sessions_broken"),
        (_huge_hello, CloseCode.LIMIT_EXCEEDED, "sessions_broken"),
        (_hello_of_bob, CloseCode.NOT_AUTHENTICATED, "peers_refused"),
        (_badge_of_bob, CloseCode.NOT_AUTHENTICATED, "peers_refused"),
        (_wrong_binding, CloseCode.NOT_AUTHENTICATED, "peers_refused"),
        (_other_root, CloseCode.NOT_AUTHENTICATED, "peers_refused"),
        (_link_as_badge, CloseCode.NOT_AUTHENTICATED, "peers_refused"),
        (_own_badge_of_the_node, CloseCode.REFUSED, None),
    ],
)
async def test_a_false_hello_is_refused(
    town: Town, outsiders: Town, attack: Attack, code: CloseCode, counter: str | None
) -> None:
    async with running(town.home(BOX)) as node:
        before = held(node)
        async with (
            rising(node, *([counter] if counter else [])),
            Peer.dialled(town, "mallory", node) as peer,
        ):
            await attack(peer, node, town, outsiders)
            assert await peer.ended() is code
            # Nothing of ours was said but the goodbye.
            assert peer.seen == []
        assert held(node) == before
        await node.contact_log.flush()
        assert await node.store.read(peers.list_peers) == []
        await serves(town, node)


async def test_whoever_does_not_say_hello_is_gone_in_five_seconds(town: Town) -> None:
    async with running(town.home(BOX)) as node, trio.open_nursery() as nursery:

        async def silent(peer: Peer) -> None:
            assert await peer.ended(CLOSED_S_MAX) is CloseCode.TIMEOUT

        async def slow(peer: Peer) -> None:
            frame = encode_frame(FrameType.HELLO, peer.hello())
            with trio.move_on_after(SESSION_HELLO_MS_MAX / 1000 + 0.5):
                for byte in frame:
                    await peer.raw(bytes([byte]))
                    await trio.sleep(0.05)
            assert await peer.ended() is CloseCode.TIMEOUT

        async def attack(way: Callable[[Peer], Awaitable[None]]) -> None:
            async with Peer.dialled(town, "mallory", node) as peer:
                await way(peer)

        async with rising(node, "sessions_broken"), trio.open_nursery() as attackers:
            attackers.start_soon(attack, silent)
            attackers.start_soon(attack, slow)
            await serves(town, node)
        nursery.cancel_scope.cancel()


# --- a live session --------------------------------------------------------------------------


async def test_garbage_in_a_live_session_ends_it(town: Town) -> None:
    async with running(town.home(BOX)) as node:
        async with (
            rising(node, "sessions_broken"),
            Peer.dialled(town, "mallory", node) as peer,
        ):
            await peer.go_live(node)
            await peer.raw(b"\x7f" + os.urandom(60_000))
            assert await peer.ended() is CloseCode.UNEXPECTED_FRAME
        await serves(town, node)


@pytest.mark.parametrize(
    ("frame_type", "payload", "code"),
    [
        (FrameType.HELLO, b"", CloseCode.UNEXPECTED_FRAME),
        (FrameType.ACK, messages.encode_ack(messages.Ack(5, ())), CloseCode.UNEXPECTED_FRAME),
        (FrameType.PONG, (9).to_bytes(8, "big"), CloseCode.UNEXPECTED_FRAME),
        (FrameType.PING, bytes(9), CloseCode.MALFORMED),
        (FrameType.WANT, bytes(7), CloseCode.MALFORMED),
        (FrameType.OFFER, bytes(8 * (IDS_PER_FRAME_MAX + 1)), CloseCode.LIMIT_EXCEEDED),
        (FrameType.BUNDLE, b"\0", CloseCode.MALFORMED),
        (FrameType.BUNDLE, bytes(65_535), CloseCode.LIMIT_EXCEEDED),
        (FrameType.SUMMARY, b"\xc1", CloseCode.MALFORMED),
        (FrameType.DOCUMENTS_END, b"", CloseCode.UNEXPECTED_FRAME),
    ],
)
async def test_a_frame_that_is_not_due_ends_the_session(
    town: Town, frame_type: FrameType, payload: bytes, code: CloseCode
) -> None:
    async with running(town.home(BOX)) as node:
        async with (
            rising(node, "sessions_broken"),
            Peer.dialled(town, "mallory", node) as peer,
        ):
            await peer.go_live(node)
            await peer.send(frame_type, payload)
            assert await peer.ended() is code
        await serves(town, node)


async def _pings(peer: Peer) -> None:
    await peer.raw(encode_frame(FrameType.PING, bytes(8)) * 5_000)


async def _offers(peer: Peer) -> None:
    ids = os.urandom(8 * IDS_PER_FRAME_MAX)
    await peer.raw(encode_frame(FrameType.OFFER, ids) * 2)


async def _wants(peer: Peer) -> None:
    await peer.raw(encode_frame(FrameType.WANT, os.urandom(8 * IDS_PER_FRAME_MAX)))


async def _false_bundles(peer: Peer) -> None:
    raw = Writer(peer.identity).bundle()
    false = raw[:-1] + bytes([raw[-1] ^ 1])
    await peer.raw(encode_frame(FrameType.BUNDLE, b"\0" + false) * 500)


FLOODS = {
    "false bundles": (_false_bundles, 40),
    "pings": (_pings, 400),
    "offers": (_offers, 400),
    "wants": (_wants, 100),
}


@asynccontextmanager
async def flooding(
    town: Town, node: Node, name: str, *, is_reading: bool
) -> AsyncIterator[trio.Event]:
    """Let Mallory send one flood while the block runs; gives an event for its end."""
    attack, times = FLOODS[name]
    is_over = trio.Event()
    async with Peer.dialled(town, "mallory", node) as peer, trio.open_nursery() as nursery:
        await peer.go_live(node)
        peer.is_deaf = True
        if not is_reading:
            peer.stop_reading()

        async def flood() -> None:
            for _ in range(times):
                await attack(peer)
            is_over.set()

        nursery.start_soon(flood)
        yield is_over
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("name", FLOODS)
@pytest.mark.parametrize("is_reading", [False, True])
async def test_a_flood_stops_nobody(town: Town, name: str, *, is_reading: bool) -> None:
    async with running(town.home(BOX)) as node:
        async with flooding(town, node, name, is_reading=is_reading):
            for _ in range(3):
                await serves(town, node)
            if name in ("pings", "offers") and not is_reading:
                # What would be said to it piles up beyond a bound.
                await until(lambda: node.metrics.value("sessions_broken") == 1, FLOOD_ENDS_S_MAX)
        await serves(town, node)


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_costs_bounded_memory(town: Town, name: str) -> None:
    async with running(town.home(BOX)) as node:
        await serves(town, node)
        with measured() as memory:
            async with flooding(town, node, name, is_reading=False) as is_over:
                with trio.move_on_after(FLOOD_S):
                    await is_over.wait()
            await has_settled(node)
            print(f"{name}: peak {memory.peak / 1e6:.1f} MB, kept {memory.kept / 1e6:.1f} MB")
            assert memory.peak < FLOOD_BYTES_MAX
            # A table of ids that were asked for keeps its room for the next ones.
            await until(lambda: memory.kept < FLOOD_BYTES_MAX / 4)
