"""Knocks over real sockets: who is let through to TLS, and that nobody else hears a byte."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trio
import trio.testing

from meshnode.errors import HandshakeError
from meshnode.links import knock_journal
from meshnode.links.base import Address, Link
from meshnode.links.knock_journal import KnockJournal
from meshnode.links.knocking import Knocks
from meshnode.links.tcp import TCPBearer
from protocol.guards import (
    KNOCK_MS_MAX,
    KNOCK_OLD_EPOCHS_MAX,
    KNOCKED_PER_ADDRESS_MAX,
    NETWORK_EPOCH_MS,
)
from protocol.knock import NONCE_BYTES, TLS_FIRST_BYTE, KnockKeys, address_name, make_knock
from protocol.limits import HANDSHAKES_PER_ADDRESS_MAX
from protocol.network_keys import epoch_at
from tests.meshnode.links.parts import NOW_MS, network, runtime, serving
from tests.patience import HANGS_S, stopwatch

pytestmark = pytest.mark.real

WEEK = epoch_at(NOW_MS)
KEY, OLD_KEY, FOREIGN_KEY = (bytes([number]) * 32 for number in (1, 2, 3))
KEYS = {WEEK: [KEY], WEEK - 1: [OLD_KEY]}
TLS_HELLO = b"\x16\x03\x01"


@dataclass
class Listener:
    """A bearer that listens, and what it traced."""

    bearer: TCPBearer
    address: Address
    keys: dict[int, list[bytes]]
    reasons: list[str] = field(default_factory=list)

    @property
    def refused(self) -> int:
        return self.bearer.metrics.value("knocks_refused")

    @property
    def name(self) -> bytes:
        return address_name(self.address.host, self.address.port)

    async def answer_to(self, data: bytes, *, is_patient: bool = False) -> bytes:
        """Send bytes and return all that comes until the socket is closed."""
        async with await trio.open_tcp_stream(self.address.host, self.address.port) as stream:
            await stream.send_all(data)
            answer = bytearray()
            with trio.fail_after(HANGS_S), stopwatch() as watch:
                try:
                    async for some in stream:
                        answer += some
                except trio.BrokenResourceError:
                    pass
            assert watch.own_s < (KNOCK_MS_MAX / 1000 + 0.5 if is_patient else 1)
            return bytes(answer)


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(HANGS_S):
        while not condition():  # noqa: ASYNC110  # The kernel makes it true.
            await trio.sleep(0.005)


def bearer_of(
    keys: KnockKeys,
    listen: tuple[Address, ...] = (),
    *,
    is_gateway: bool = False,
    known_as: tuple[Address, ...] = (),
    trace: Callable[..., None] = lambda event, **fields: None,
) -> TCPBearer:
    plain = replace(runtime(trace=trace), entropy=os.urandom)
    knocks = Knocks(plain, lambda: keys, is_gateway=is_gateway, known_as=known_as)
    return TCPBearer(network().contexts(), plain, listen, knocks=knocks)


@asynccontextmanager
async def listening(
    keys: dict[int, list[bytes]] | None = None,
    *,
    is_gateway: bool = False,
    known_as: tuple[Address, ...] = (),
) -> AsyncIterator[Listener]:
    keys = dict(KEYS) if keys is None else keys
    reasons: list[str] = []
    bearer = bearer_of(
        keys,
        (Address("127.0.0.1", 0),),
        is_gateway=is_gateway,
        known_as=known_as,
        trace=lambda event, **fields: reasons.append(fields["reason"]),
    )

    async def echo(link: Link) -> None:
        while data := await link.receive(100):
            await link.send(data)
        await link.aclose()

    async with serving(bearer, echo) as (address,):
        yield Listener(bearer, address, keys, reasons)


async def reaches(listener: Listener, keys: KnockKeys, instance: str = "") -> bool:
    """Dial once and say whether the other end was reached."""
    return await tries(bearer_of(keys), replace(listener.address, instance=instance))


async def tries(bearer: TCPBearer, address: Address) -> bool:
    try:
        link = await bearer.dial(address)
    except HandshakeError:
        return False
    await link.send(b"hello")
    assert await link.receive(100) == b"hello"
    await link.aclose()
    return True


async def test_members_reach_each_other_by_address_and_by_name() -> None:
    async with listening() as listener:
        assert await reaches(listener, KEYS)
        assert await reaches(listener, {WEEK - 1: [OLD_KEY]})
        assert await reaches(listener, KEYS, listener.bearer.knocks.instance)
        assert listener.refused == 0


async def test_names_of_others_and_keys_of_others_open_nothing() -> None:
    async with listening() as listener:
        assert not await reaches(listener, KEYS, "00112233445566aa")
        assert not await reaches(listener, {WEEK: [FOREIGN_KEY]})
        assert not await reaches(listener, {})
        assert listener.refused == 3
        assert await reaches(listener, KEYS)


def strangers(listener: Listener) -> dict[str, bytes]:
    """Return what must stay unanswered."""
    nonce = b"\1" * 16
    return {
        # A first byte of TLS would be no knock at all, and a gateway takes that.
        "random": bytes([TLS_FIRST_BYTE ^ 0x80]) + os.urandom(31),
        "tls": TLS_HELLO + bytes(300),
        "another instance": make_knock(KEY, b"00112233445566aa", nonce),
        "another port": make_knock(KEY, address_name("127.0.0.1", 1), nonce),
        "another key": make_knock(FOREIGN_KEY, listener.name, nonce),
    }


async def test_strangers_hear_not_one_byte_and_are_closed_at_once() -> None:
    async with listening() as listener:
        for number, data in enumerate(strangers(listener).values(), 1):
            assert await listener.answer_to(data) == b""
            assert listener.refused == number
        assert set(listener.reasons) == {"no key of an accepted week made this knock"}
        assert await reaches(listener, KEYS)
        assert listener.bearer.metrics.value("links_refused") == 0


async def test_a_knock_of_four_weeks_ago_or_used_twice_is_refused() -> None:
    week = WEEK - KNOCK_OLD_EPOCHS_MAX - 1
    async with listening({**KEYS, week: [FOREIGN_KEY]}) as listener:
        old = make_knock(FOREIGN_KEY, listener.name, b"\1" * 16)
        assert await listener.answer_to(old) == b""
        good = make_knock(KEY, listener.name, b"\1" * 16)
        # The first is let through, and then is no TLS.
        assert await listener.answer_to(good + b"no TLS at all" * 10) == b""
        await until(lambda: listener.bearer.metrics.value("links_refused") == 1)
        assert await listener.answer_to(good + TLS_HELLO + bytes(300)) == b""
        assert listener.refused == 2
        assert listener.reasons[-1] == "this knock was used before"


async def test_a_knock_opens_once_after_a_restart_too(tmp_path: Path) -> None:
    port = 0
    nonces = [b"\1" * 16, b"\2" * 16]
    for expected in (["links_refused", "links_refused"], ["knocks_refused", "knocks_refused"]):
        plain = runtime()
        knocks = Knocks(plain, lambda: KEYS, journal=KnockJournal(tmp_path / "knocks"))
        await knocks.recall()
        bearer = TCPBearer(network().contexts(), plain, [Address("127.0.0.1", port)], knocks=knocks)
        async with serving(bearer, lambda link: link.aclose()) as (address,):
            port = address.port
            listener = Listener(bearer, address, dict(KEYS))
            for number, nonce in enumerate(nonces, 1):
                data = make_knock(KEY, listener.name, nonce) + b"no TLS at all" * 10
                assert await listener.answer_to(data) == b""
                await until(
                    lambda: bearer.metrics.value(expected[0]) == number  # noqa: B023
                )


async def test_a_long_journal_is_written_anew_while_links_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knock_journal, "_RECORDS_MAX", 3)
    plain = replace(runtime(), entropy=os.urandom)
    knocks = Knocks(plain, lambda: KEYS, journal=KnockJournal(tmp_path / "knocks"))
    bearer = TCPBearer(network().contexts(), plain, [Address("127.0.0.1", 0)], knocks=knocks)

    async def echo(link: Link) -> None:
        await link.send(await link.receive(100))

    async with serving(bearer, echo) as (address,):
        for _ in range(5):
            assert await tries(bearer_of(KEYS), address)
    kept = KnockJournal(tmp_path / "knocks").load().knocks
    assert len(set(kept)) == 5
    assert len(kept) < 8


async def test_a_disk_that_is_full_cuts_nobody_off(tmp_path: Path) -> None:
    reasons: list[str] = []
    plain = replace(
        runtime(trace=lambda event, **fields: reasons.append(event)), entropy=os.urandom
    )
    knocks = Knocks(plain, lambda: KEYS, journal=KnockJournal(tmp_path / "no folder" / "knocks"))
    bearer = TCPBearer(network().contexts(), plain, [Address("127.0.0.1", 0)], knocks=knocks)

    async def echo(link: Link) -> None:
        await link.send(await link.receive(100))

    async with serving(bearer, echo) as (address,):
        assert await tries(bearer_of(KEYS), address)
    assert "knock_not_kept" in reasons


@pytest.mark.slow
async def test_whoever_does_not_knock_is_gone_in_two_seconds() -> None:
    async with listening() as listener, trio.open_nursery() as nursery:
        for data in (b"", b"\1" * 31):

            async def silent(data: bytes = data) -> None:
                assert await listener.answer_to(data, is_patient=True) == b""

            nursery.start_soon(silent)
        assert await reaches(listener, KEYS)
    assert listener.refused == 2
    assert listener.bearer.gate.unfinished == 0


async def test_whoever_leaves_in_the_middle_is_counted() -> None:
    async with listening() as listener:
        async with await trio.open_tcp_stream("127.0.0.1", listener.address.port) as stream:
            await stream.send_all(b"\1" * 5)
        await until(lambda: listener.refused == 1)


async def test_a_knock_may_come_in_pieces() -> None:
    async with listening() as listener:
        plain = bearer_of({}).contexts
        stream = await trio.open_tcp_stream("127.0.0.1", listener.address.port)
        for byte in make_knock(KEY, listener.name, b"\1" * 16):
            await stream.send_all(bytes([byte]))
            await trio.sleep(0.001)
        tls = trio.SSLStream(stream, plain.client, https_compatible=True)
        await tls.do_handshake()
        await tls.send_all(b"hello")
        assert await tls.receive_some(10) == b"hello"
        await trio.aclose_forcefully(stream)


async def test_a_gateway_takes_those_whose_keys_are_all_too_old() -> None:
    too_old = {WEEK - KNOCK_OLD_EPOCHS_MAX - 1: [OLD_KEY]}
    async with listening(is_gateway=True) as listener:
        assert await reaches(listener, too_old)
        assert await reaches(listener, {})
        assert await reaches(listener, KEYS)
        for name, data in strangers(listener).items():
            if name != "tls":
                assert await listener.answer_to(data) == b""
        assert listener.refused == 4
    async with listening() as listener:
        assert not await reaches(listener, too_old)


async def held_of_one_address(
    stack: AsyncExitStack, listener: Listener, count: int, first: Callable[[], bytes]
) -> int:
    """Connect so often, send what comes first and then nothing; return how many are held."""
    bearer, before = listener.bearer, listener.bearer.gate.unfinished
    for _ in range(count):
        known = bearer.gate.unfinished + bearer.metrics.value("links_refused")
        stream = await trio.open_tcp_stream(listener.address.host, listener.address.port)
        await stack.enter_async_context(stream)
        with suppress(trio.BrokenResourceError):
            await stream.send_all(first())
        await until(
            lambda known=known: (  # type: ignore[misc]
                bearer.gate.unfinished + bearer.metrics.value("links_refused") > known
            )
        )
        # A good knock is judged before the next comes.
        await trio.testing.wait_all_tasks_blocked(0.02)
    return bearer.gate.unfinished - before


async def test_a_crowd_behind_one_address_gets_more_places_for_its_knocks() -> None:
    async with listening(is_gateway=True) as listener, AsyncExitStack() as stack:

        def knock() -> bytes:
            return make_knock(KEY, listener.name, os.urandom(NONCE_BYTES))

        async def held(count: int, first: Callable[[], bytes]) -> int:
            return await held_of_one_address(stack, listener, count, first)

        assert await held(KNOCKED_PER_ADDRESS_MAX + 3, knock) == KNOCKED_PER_ADDRESS_MAX
        assert listener.bearer.metrics.value("links_refused") == 3
        # Whoever begins with TLS, as a gateway allows, has shown nothing.
        strangers = HANDSHAKES_PER_ADDRESS_MAX
        assert await held(strangers + 2, lambda: TLS_HELLO) == strangers
        assert listener.bearer.metrics.value("links_refused") == 5
        assert listener.refused == 0, "none of them knocked wrongly"


async def test_without_knock_keys_one_address_has_few_places() -> None:
    async with listening(keys={}) as listener, AsyncExitStack() as stack:
        count = HANDSHAKES_PER_ADDRESS_MAX
        assert await held_of_one_address(stack, listener, count + 2, lambda: TLS_HELLO) == count


async def test_a_network_without_keys_knocks_and_demands_nothing() -> None:
    async with listening({}) as listener:
        assert await reaches(listener, {})
        # Keys may come later: from then on they count.
        listener.keys[WEEK] = [KEY]
        assert not await reaches(listener, {})
        assert await reaches(listener, KEYS)


async def test_a_dial_that_fails_tries_the_next_key_and_at_last_none() -> None:
    """The peer may not have got the newest key, or may be a gateway that holds no key of ours."""
    newer = {WEEK: [FOREIGN_KEY], WEEK - 1: [OLD_KEY]}
    async with listening({WEEK - 1: [OLD_KEY]}) as listener:
        bearer = bearer_of(newer)
        assert [await tries(bearer, listener.address) for _ in range(3)] == [False, True, True]
    async with listening({WEEK: [KEY]}, is_gateway=True) as listener:
        bearer = bearer_of(newer)
        assert [await tries(bearer, listener.address) for _ in range(3)] == [False, False, True]
    async with listening({WEEK: [KEY]}) as listener:
        bearer = bearer_of(newer)
        assert [await tries(bearer, listener.address) for _ in range(4)] == [False] * 4


async def test_another_start_of_who_was_announced_is_reached_by_its_address() -> None:
    async with listening() as listener:
        bearer, before = bearer_of(KEYS), replace(listener.address, instance="00112233445566aa")
        assert [await tries(bearer, before) for _ in range(2)] == [False, True]


async def test_the_address_of_a_forwarder_is_taken_where_it_is_named() -> None:
    name = address_name("10.7.0.1", 443)
    async with listening() as listener:
        assert await listener.answer_to(make_knock(KEY, name, b"\1" * 16) + bytes(300)) == b""
        assert listener.refused == 1
    async with listening(known_as=(Address("10.7.0.1", 443),)) as listener:
        await listener.answer_to(make_knock(KEY, name, b"\2" * 16) + bytes(300))
        await until(lambda: listener.bearer.metrics.value("links_refused") == 1)
        assert listener.refused == 0


async def test_every_start_has_another_name() -> None:
    names = {bearer_of(KEYS).knocks.instance for _ in range(20)}
    assert len(names) == 20
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in names)


def test_the_weeks_of_these_tests_are_as_the_guards_say() -> None:
    assert WEEK * NETWORK_EPOCH_MS <= NOW_MS < (WEEK + 1) * NETWORK_EPOCH_MS
