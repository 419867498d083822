"""Security cases S01-S04, S06-S08 and the session of S25: who gets in, against real nodes.

Hostile peers are small scripts over plain sockets. Each case ends with its counter, an honest peer
served, no key in the traces, and is tried again after a restart of the node.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import trio

from meshnode.bearers import NodeBearers
from meshnode.config import Settings
from meshnode.discovery.addresses import AddressWatch, LocalAddress
from meshnode.discovery.addresses import Surroundings as Around
from meshnode.discovery.mdns import MulticastDiscovery
from meshnode.node import Node, Surroundings
from meshnode.running import open_home
from meshnode.runtime import system_runtime
from meshnode.store import peers
from protocol import issuing
from protocol.errors import CloseCode
from protocol.guards import KNOCK_OLD_EPOCHS_MAX
from protocol.identity import Badge, binding_message
from protocol.knock import (
    NONCE_BYTES,
    TLS_FIRST_BYTE,
    KnockKeys,
    address_name,
    announcement_tag,
    make_knock,
)
from protocol.limits import (
    BACKOFF_MS_MAX,
    CONTACTS_MAX,
    HANDSHAKE_MS_MAX,
    HANDSHAKES_MAX,
    HANDSHAKES_PER_ADDRESS_MAX,
)
from protocol.network_keys import epoch_at
from protocol.reports import Standing
from protocol.session import messages
from protocol.session.frames import FrameType, encode_frame
from tests.real.flooder import announcement
from tests.security.parts import (
    BOX,
    Peer,
    Town,
    address_of,
    has_settled,
    held,
    measured,
    rising,
    running,
    serves,
    until,
    warm_up,
    with_knock_keys,
)
from tests.security.test_hostile_peers import NOISE, anonymous, first_flight, showing

pytestmark = [pytest.mark.real, pytest.mark.slow]

CLOSED_S_MAX = HANDSHAKE_MS_MAX / 1000 + 5.0
"""The bound of every wait for a stranger, and some seconds for a busy machine to keep it."""
KEPT_BYTES_MAX = 500_000
STRANGER = "127.0.0.9"
WEEK = epoch_at(system_runtime().now_ms())
KEY, OLD_KEY = b"\x5a" * 32, b"\xa5" * 32
KEYS: KnockKeys = {WEEK: [KEY], WEEK - KNOCK_OLD_EPOCHS_MAX - 1: [OLD_KEY]}
TLS_HELLO = first_flight(ssl.TLSVersion.TLSv1_3)

Attack = Callable[[Node], Awaitable[None]]


@pytest.fixture
async def knocking(town: Town) -> Town:
    """The town, whose devices all hold the knock key of the week and one four weeks older."""
    return await with_knock_keys(town, KEYS)


async def holds(town: Town, attack: Attack, *counters: str, home: str = BOX) -> None:
    """Check what must hold of every case, on a fresh node and again after its restart."""
    for _start in range(2):
        traced: list[str] = []

        def trace(event: str, /, traced: list[str] = traced, **fields: object) -> None:
            traced.append(f"{event} {fields}")

        async with running(town.home(home), trace) as node:
            async with rising(node, *counters):
                await attack(node)
            await serves(town, node)
            await has_settled(node)
        text = "\n".join(traced)
        for key in (KEY, OLD_KEY):
            assert key.hex() not in text
            assert repr(key) not in text


def name_of(node: Node) -> bytes:
    address = address_of(node)
    return address_name(address.host, address.port)


def good_knock(node: Node) -> bytes:
    return make_knock(KEY, name_of(node), os.urandom(NONCE_BYTES))


async def answer_to(node: Node, data: bytes, host: str = STRANGER) -> bytes:
    """Send bytes over plain TCP and return all that comes until the socket is closed."""
    address, answer = address_of(node), bytearray()
    stream = await trio.open_tcp_stream(address.host, address.port, local_address=host)
    async with stream:
        with trio.fail_after(CLOSED_S_MAX), suppress(trio.BrokenResourceError):
            await stream.send_all(data)
            async for some in stream:
                answer += some
    return bytes(answer)


async def said_to(node: Node, context: ssl.SSLContext) -> bytes:
    """Knock, shake hands, and return what the node says inside TLS before it ends the link."""
    address, answer = address_of(node), bytearray()
    stream = await trio.open_tcp_stream(address.host, address.port)
    tls = trio.SSLStream(stream, context, https_compatible=True)
    async with stream:
        with trio.fail_after(CLOSED_S_MAX), suppress(trio.BrokenResourceError):
            await stream.send_all(good_knock(node))
            await tls.do_handshake()
            await tls.send_all(encode_frame(FrameType.PING, bytes(8)))
            async for some in tls:
                answer += some
    return bytes(answer)


# --- S01, S02: a knock opens TLS and nothing else ----------------------------------------------


async def test_s01_a_knock_without_a_certificate_hears_no_byte(knocking: Town) -> None:
    async def attack(node: Node) -> None:
        assert await said_to(node, anonymous()) == b""

    await holds(knocking, attack, "links_refused")


async def test_s02_a_knock_with_a_certificate_of_others_hears_no_byte(
    knocking: Town, outsiders: Town, tmp_path: Path
) -> None:
    identity = knocking.identity("mallory")
    root = issuing.make_root(system_runtime().now_ms())
    foreign = outsiders.client("mallory")
    foreign.check_hostname, foreign.verify_mode = False, ssl.CERT_NONE
    shown = {
        "self-signed": showing(tmp_path, [root.certificate], root.key),
        "badge": showing(tmp_path, identity.badge_chain, identity.badge_key),
        "another root": foreign,
    }

    async def attack(node: Node) -> None:
        for context in shown.values():
            assert await said_to(node, context) == b""

    await holds(knocking, attack, "links_refused")


# --- S03: without a good knock not one byte ----------------------------------------------------


async def _shake_hands(town: Town, node: Node, knock: bytes) -> None:
    """Use a knock up, as an honest device does that then changes its mind."""
    address = address_of(node)
    async with await trio.open_tcp_stream(address.host, address.port) as stream:
        await stream.send_all(knock)
        tls = trio.SSLStream(stream, town.client("alice"), https_compatible=True)
        await tls.do_handshake()


def false_knocks(node: Node) -> dict[str, bytes]:
    nonce = os.urandom(NONCE_BYTES)
    return {
        "no knock": b"",
        # A first byte of TLS would be no knock at all, and a gateway takes that.
        "random": bytes([TLS_FIRST_BYTE ^ 0x80]) + os.urandom(31),
        "another instance": make_knock(KEY, b"00112233445566aa", nonce),
        "another address": make_knock(KEY, address_name("127.0.0.1", 1), nonce),
        "four epochs old": make_knock(OLD_KEY, name_of(node), nonce),
    }


async def test_s03_without_a_good_knock_not_one_byte_is_answered(knocking: Town) -> None:
    async def attack(node: Node) -> None:
        for knock in false_knocks(node).values():
            assert await answer_to(node, knock + TLS_HELLO) == b""
        used = good_knock(node)
        await _shake_hands(knocking, node, used)
        assert await answer_to(node, used + TLS_HELLO) == b""
        assert node.metrics.value("knocks_refused") == 6
        # Nobody knocks: closed as well, and by then an honest peer has long been served.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer_to, node, b"")
            await serves(knocking, node)
        assert node.metrics.value("knocks_refused") == 7

    await holds(knocking, attack, "knocks_refused")


async def test_s03_a_gateway_takes_links_without_knock_and_no_false_one(knocking: Town) -> None:
    async def attack(node: Node) -> None:
        for name, knock in false_knocks(node).items():
            if name != "no knock":
                assert await answer_to(node, knock + TLS_HELLO) == b""
        async with Peer.dialled(_without_keys(knocking), "alice", node) as peer:
            await peer.greet(node)

    await holds(knocking, attack, "knocks_refused", home="centre")


def _without_keys(town: Town) -> Town:
    return Town(town.folder, town.anchors)


# --- S04: no TLS 1.3 after a good knock --------------------------------------------------------


PLAIN = {
    "TLS 1.2": first_flight(ssl.TLSVersion.TLSv1_2),
    "HTTP": b"GET / HTTP/1.1\r\nHost: box\r\n\r\n",
    "300 random bytes": NOISE,
}


async def test_s04_what_is_no_tls_is_closed_and_leaves_no_memory(knocking: Town) -> None:
    async def attack(node: Node) -> None:
        await _plain_after_a_knock(node)
        await warm_up(node)
        with measured() as memory:
            for _ in range(20):
                await _plain_after_a_knock(node)
            assert memory.kept < KEPT_BYTES_MAX

    await holds(knocking, attack, "links_refused")


async def _plain_after_a_knock(node: Node) -> None:
    for data in PLAIN.values():
        assert await answer_to(node, good_knock(node) + data) == b""


async def test_s04_a_client_hello_and_silence_is_closed_in_five_seconds(knocking: Town) -> None:
    async def attack(node: Node) -> None:
        # An opaque certificate is all that a holder of the key gets; then the link is closed.
        answer = await answer_to(node, good_knock(node) + TLS_HELLO)
        assert answer[:1] == b"\x16"
        assert b"Alpes" not in answer
        bearers = node.bearer
        assert isinstance(bearers, NodeBearers)
        bearer = bearers.tcp
        await until(lambda: bearer.gate.unfinished == 0)

    await holds(knocking, attack, "links_refused")


# --- S06: a recorded HELLO ---------------------------------------------------------------------


async def test_s06_a_recorded_hello_is_refused_and_records_nobody(knocking: Town) -> None:
    bob = knocking.identity("bob")
    signature = bob.badge_key.sign(binding_message(bob.link_chain[0]))

    async def attack(node: Node) -> None:
        async with Peer.dialled(knocking, "mallory", node) as peer:
            recorded = peer.hello(badge_chain=bob.badge_chain, binding_signature=signature)
            await peer.send(FrameType.HELLO, recorded)
            assert await peer.ended() is CloseCode.NOT_AUTHENTICATED
            assert peer.seen == []
        await node.contact_log.flush()
        known = await node.store.read(peers.list_peers)
        assert bob.node not in {each.node for each in known}

    await holds(knocking, attack, "peers_refused")


# --- S07: places for handshakes ----------------------------------------------------------------


@asynccontextmanager
async def silent(node: Node, hosts: list[str], each: int) -> AsyncIterator[list[int]]:
    """Hold silent connections from addresses; gives a list that ends with the most at once."""
    address, bearers, most = address_of(node), node.bearer, [0]
    assert isinstance(bearers, NodeBearers)
    bearer = bearers.tcp

    async def hold(host: str) -> None:
        while True:
            with suppress(OSError, trio.BrokenResourceError):
                stream = await trio.open_tcp_stream(address.host, address.port, local_address=host)
                async with stream:
                    await stream.receive_some(1)
            await trio.sleep(0.5)

    async def watch() -> None:
        while True:
            most[0] = max(most[0], bearer.gate.unfinished)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        for host in hosts:
            for _ in range(each):
                nursery.start_soon(hold, host)
        yield most
        nursery.cancel_scope.cancel()


async def test_s07_500_silent_connections_stop_no_enrolled_peer(knocking: Town) -> None:
    async def attack(node: Node) -> None:
        async with silent(node, [STRANGER], 500) as most:
            await serves(knocking, node)
            refused = 500 - HANDSHAKES_PER_ADDRESS_MAX
            await until(lambda: node.metrics.value("links_refused") >= refused)
        assert 0 < most[0] <= HANDSHAKES_PER_ADDRESS_MAX + 1

    await holds(knocking, attack, "links_refused", "knocks_refused")


async def test_s07_eight_addresses_of_one_attacker_stop_nobody_either(knocking: Town) -> None:
    count = HANDSHAKES_MAX // HANDSHAKES_PER_ADDRESS_MAX
    hosts = [f"127.0.1.{number}" for number in range(1, count + 1)]

    async def attack(node: Node) -> None:
        async with silent(node, hosts, HANDSHAKES_PER_ADDRESS_MAX) as most:
            await until(lambda: most[0] == HANDSHAKES_MAX)
            for _ in range(3):
                await serves(knocking, node)
        assert most[0] <= HANDSHAKES_MAX

    await holds(knocking, attack, "links_refused", "knocks_refused")


# --- S08: announcements ------------------------------------------------------------------------

LOOPBACK = Around((LocalAddress("127.0.0.1", 8, 1),))
FALSE, RIGHT = 10_000, 200
RIGHT_PORT = 9


@asynccontextmanager
async def listening_to_multicast(home: Path) -> AsyncIterator[Node]:
    """Run a node whose multicast stays on the loopback."""
    runtime = system_runtime()
    watch = AddressWatch(runtime)
    async with open_home(home, Settings(), runtime) as node, trio.open_nursery() as nursery:
        bearers = node.bearer
        assert isinstance(bearers, NodeBearers)
        bearer = bearers.tcp
        discovery = MulticastDiscovery(
            1, watch, runtime, node.metrics, only=["127.0.0.1"], knocks=bearer.knocks
        )
        around = Surroundings(
            is_serving=False, discoveries=lambda _: [discovery], watches=(watch.run,)
        )
        await nursery.start(node.run, around)
        await trio.sleep(1)
        yield node
        nursery.cancel_scope.cancel()


@contextmanager
def counted() -> Iterator[tuple[int, list[int]]]:
    """Listen where nobody should dial; gives the port, and an entry for each connection."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1_000)
        listener.setblocking(False)
        found: list[int] = []
        yield listener.getsockname()[1], found
        with suppress(BlockingIOError):
            while True:
                listener.accept()[0].close()
                found.append(1)


async def _flood(count: int, false_port: int) -> None:
    """Announce from another thread, slowly enough that the kernel drops none."""

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, b"\x7f\0\0\1")
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            for number in range(count):
                is_right = number % 51 == 50
                name, port = f"{number:016x}", RIGHT_PORT if is_right else false_port
                tag = announcement_tag(KEY, name.encode(), port) if is_right else os.urandom(8)
                data = announcement(number, "127.0.0.1", is_whole=True, port=port, tag=tag)
                sender.sendto(data, ("224.0.0.251", 5353))
                if number % 20 == 19:
                    time.sleep(0.02)

    await trio.to_thread.run_sync(send)


def _rose(node: Node, counter: str, least: int) -> bool:
    return node.metrics.value(counter) > least


async def test_s08_false_announcements_are_never_dialled_and_right_ones_with_bounds(
    knocking: Town,
) -> None:
    for start in range(2):
        count = (FALSE + RIGHT) // (10 if start else 1)
        async with listening_to_multicast(knocking.home(BOX)) as node:
            with counted() as (false_port, dialled):
                await _flood(count, false_port)
                # The kernel and zeroconf may drop some of a flood.
                await until(partial(_rose, node, "mdns_untagged", count // 2), 60)
                await until(partial(_rose, node, "hints", count // 51 // 4))
                contacts = node.manager._contacts
                assert 0 < len(contacts) <= min(RIGHT, CONTACTS_MAX)
                for contact in contacts._by_name.values():
                    assert {address.port for address in contact.addresses} == {RIGHT_PORT}
                    assert contact.backoff.failures <= 12 < BACKOFF_MS_MAX
            assert dialled == []
        async with running(knocking.home(BOX)) as node:
            await serves(knocking, node)


# --- S25: the session of a revoked device ------------------------------------------------------


async def test_s25_a_revoked_device_gets_documents_and_nothing_else(knocking: Town) -> None:
    mallory = knocking.identity("mallory").node

    def judge(badge: Badge) -> Standing:
        return Standing.REVOKED if badge.node == mallory else Standing.FULL

    async def attack(node: Node) -> None:
        node.relay._admission._standing_of = judge
        before = held(node)
        async with Peer.dialled(knocking, "mallory", node) as peer:
            await peer.send(FrameType.HELLO, peer.hello())
            await peer.expect(FrameType.HELLO)
            await peer.send(FrameType.DOCUMENT_DIGESTS, messages.encode_digests({}))
            await peer.send(FrameType.DOCUMENT_VERSIONS, messages.encode_versions({}))
            await peer.send(FrameType.DOCUMENTS_END)
            await until(lambda: (FrameType.DOCUMENTS_END, b"") in peer.seen)
            await peer.send(FrameType.SUMMARY, messages.encode_summary(messages.Summary(1, ())))
            assert await peer.ended() is CloseCode.REFUSED
            kinds = [frame_type for frame_type, _payload in peer.seen]
            assert kinds.count(FrameType.DOCUMENT) == len(node.membership.versions)
            assert set(kinds) == {
                FrameType.DOCUMENT_DIGESTS,
                FrameType.DOCUMENT_VERSIONS,
                FrameType.DOCUMENT,
                FrameType.DOCUMENTS_END,
            }
            assert peer.sent == 0
        assert held(node) == before
        assert node.relay.sessions == {}

    await holds(knocking, attack, "peers_restricted")
