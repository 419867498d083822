"""Stations on a line: sightings, calls with and without a good knock, lost frames, unplugging."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from meshnode.bearers import NodeBearers, parse_port
from meshnode.errors import LinkClosedError, LinkError, LinkTimeoutError
from meshnode.links.base import Address, Link
from meshnode.links.joined import JoinedBearer, Way
from meshnode.links.knocking import Knocks
from meshnode.links.serial_bearer import PortSettings, SerialBearer
from meshnode.links.serial_port import open_port
from meshnode.links.tcp import TCPBearer
from protocol.narrow.bounds import OPEN_TRIES_MAX
from protocol.narrow.frames import Beacon, Call, Piece, decode_frame_untrusted, encode_frame
from protocol.narrow.kiss import KissDecoder, encode_kiss
from tests.meshnode.links.lines import LineEnd, line_pair
from tests.meshnode.links.parts import network, outsiders, runtime

PORT = PortSettings("/dev/ttyTEST0")
KEYS = {1: [b"k" * 32]}


def bearer(
    line: LineEnd, seed: int, *, knocks: Knocks | None = None, is_stranger: bool = False
) -> SerialBearer:
    contexts = (outsiders() if is_stranger else network()).contexts()
    return SerialBearer(
        [PortSettings(PORT.path, line.rate_bps)],
        lambda: contexts,
        runtime(seed=seed),
        knocks=knocks,
        opener=lambda _path, _rate: line,
    )


@asynccontextmanager
async def both(
    first: SerialBearer, second: SerialBearer
) -> AsyncIterator[tuple[Link, Link, trio.Nursery]]:
    """Run both ports, call whoever is heard, and give the two ends."""
    accepted, arrivals = trio.open_memory_channel[Link](1)

    async def keep(link: Link) -> None:
        await accepted.send(link)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for each in (first, second):
            await nursery.start(each.serve, keep)
        made, makes = trio.open_memory_channel[Link](1)

        async def call(each: SerialBearer) -> None:
            await made.send(await each.dial(await each.heard.receive()))

        nursery.start_soon(call, first)
        nursery.start_soon(call, second)
        answered = await arrivals.receive()
        yield await makes.receive(), answered, nursery
        nursery.cancel_scope.cancel()


def run(main: object) -> None:
    trio.run(main, clock=MockClock(autojump_threshold=0))  # type: ignore[arg-type]


async def breaks(link: Link) -> None:
    """Send until the link is found to be broken."""
    with pytest.raises(LinkClosedError):
        while True:
            await link.send(bytes(1_000))


def frames_of(line: LineEnd) -> list[Beacon | Call | Piece]:
    decoder = KissDecoder()
    return [
        decode_frame_untrusted(raw) for each in line.sent for raw in decoder.feed_untrusted(each)
    ]


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_two_stations_find_each_other_and_one_of_them_calls(loss: float) -> None:
    async def main() -> None:
        left, right = line_pair(loss=loss)
        async with both(bearer(left, 1), bearer(right, 2)) as (dialled, answered, _nursery):
            assert (dialled.is_initiator, answered.is_initiator) == (True, False)
            assert dialled.kind == "serial"
            await dialled.send(b"from the pass")
            assert await answered.receive(100) == b"from the pass"
            calls = [
                frame
                for line in (left, right)
                for frame in frames_of(line)
                if isinstance(frame, Call) and not frame.is_answer
            ]
            assert len({call.link for call in calls}) == 1, "only one of the two calls"
            assert calls[0].caller < calls[0].station

    run(main)


def test_a_call_without_a_good_knock_is_not_answered() -> None:
    async def main() -> None:
        left, right = line_pair()
        member = bearer(right, 2, knocks=Knocks(runtime(), lambda: KEYS))
        for knocks in (None, Knocks(runtime(), lambda: {1: [b"x" * 32]})):
            stranger = bearer(left, 1, knocks=knocks)
            async with trio.open_nursery() as nursery:

                async def nobody(_link: Link) -> None:
                    pytest.fail("a stranger got a link")

                for each in (stranger, member):
                    await nursery.start(each.serve, nobody)
                await trio.sleep(5)
                (station,) = member._stations.values()
                right.sent.clear()
                with pytest.raises(LinkTimeoutError):
                    await stranger.dial(Address(PORT.name, station.number))
                assert not [each for each in frames_of(right) if not isinstance(each, Beacon)]
                nursery.cancel_scope.cancel()
        assert member.metrics.value("knocks_refused") == 2 * OPEN_TRIES_MAX

    run(main)


def test_a_device_of_another_network_gets_no_link() -> None:
    async def main() -> None:
        left, right = line_pair()
        stranger, member = bearer(left, 1, is_stranger=True), bearer(right, 2)
        async with trio.open_nursery() as nursery:

            async def nobody(_link: Link) -> None:
                pytest.fail("a stranger got a link")

            for each in (stranger, member):
                await nursery.start(each.serve, nobody)
            await trio.sleep(5)
            (station,) = member._stations.values()
            with pytest.raises(LinkError):
                await stranger.dial(Address(PORT.name, station.number))
            nursery.cancel_scope.cancel()

    run(main)


def test_what_was_sent_before_the_end_arrives() -> None:
    async def main() -> None:
        async with both(*(bearer(line, n) for n, line in enumerate(line_pair(loss=0.05)))) as (
            dialled,
            answered,
            _nursery,
        ):
            await dialled.send(bytes(3_000))
            await dialled.aclose()
            got = b""
            while piece := await answered.receive(1_000):
                got += piece
            assert got == bytes(3_000)
            with pytest.raises(LinkClosedError):
                await dialled.send(b"x")
            await answered.aclose()

    run(main)


def test_a_port_that_is_unplugged_breaks_its_links_and_is_opened_again() -> None:
    async def main() -> None:
        lines = line_pair()
        second = line_pair()
        opened: list[LineEnd] = []

        def plug(_path: str, _rate: int) -> LineEnd:
            opened.append((lines[0], second[0])[min(len(opened), 1)])
            return opened[-1]

        first = bearer(lines[0], 1)
        first._opener = plug
        async with both(first, bearer(lines[1], 2)) as (dialled, answered, _nursery):
            lines[0].unplug()
            with trio.fail_after(300):
                await breaks(dialled)
                await breaks(answered)
            assert len(opened) == 2
            assert first.metrics.value("ports_failed") == 1
            assert any(isinstance(each, Beacon) for each in frames_of(second[0]))

    run(main)


def test_two_stations_with_one_number_part() -> None:
    async def main() -> None:
        left, right = line_pair()
        pair = [bearer(left, 1), bearer(right, 2)]
        async with trio.open_nursery() as nursery:

            async def keep(_link: Link) -> None:
                await trio.sleep_forever()

            for each in pair:
                await nursery.start(each.serve, keep)
            await trio.sleep(0.1)
            stations = [each._stations[PORT.name] for each in pair]
            for station in stations:
                station.number = 77
            await trio.sleep(60)
            assert stations[0].number != stations[1].number
            nursery.cancel_scope.cancel()

    run(main)


def test_damaged_and_foreign_frames_are_counted_and_do_no_harm() -> None:
    async def main() -> None:
        left, right = line_pair()
        async with both(bearer(left, 1), bearer(right, 2)) as (dialled, answered, _nursery):
            noise = bytearray(encode_frame(Beacon(7)))
            noise[2] ^= 1
            await left.send_all(encode_kiss(bytes(noise)))
            await left.send_all(b"\xc0\x07CMD\xc0")
            for kind in (0x14, 0x15):
                piece = Piece(kind, 99, 0, 0, 0, 0, b"")  # type: ignore[arg-type]
                await left.send_all(encode_kiss(encode_frame(piece)))
            await dialled.send(b"still here")
            assert await answered.receive(100) == b"still here"

    run(main)


# --- the port itself ---------------------------------------------------------------------------


def test_a_real_pseudo_terminal_carries_a_link() -> None:
    async def main() -> None:
        masters, paths = [], []
        for _ in range(2):
            master, slave = os.openpty()
            paths.append(os.ttyname(slave))
            masters.append(trio.lowlevel.FdStream(master))

        async def carry(source: trio.abc.Stream, target: trio.abc.Stream) -> None:
            while True:
                await target.send_all(await source.receive_some(1_000))

        ports = [PortSettings(path, 115_200) for path in paths]
        pair = [
            SerialBearer([port], network().contexts, runtime(seed=n))
            for n, port in enumerate(ports)
        ]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carry, masters[0], masters[1])
            nursery.start_soon(carry, masters[1], masters[0])
            with trio.fail_after(30):
                async with both(*pair) as (dialled, answered, _nursery):
                    data = bytes(range(256)) * 20
                    nursery.start_soon(dialled.send, data)
                    got = b""
                    while len(got) < len(data):
                        got += await answered.receive(10_000)
                    assert got == data
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_what_is_no_port_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="cannot be opened"):
        open_port(str(tmp_path / "none"), 9_600)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LinkError, match="is no serial port"):
        open_port(str(tmp_path / "file"), 9_600)


@pytest.mark.parametrize(
    ("text", "rate_bps"), [("/dev/ttyUSB0", 9_600), ("/dev/ttyS1@1200", 1_200)]
)
def test_a_port_of_the_settings_is_read(text: str, rate_bps: int) -> None:
    found = parse_port(text)
    assert (found.path, found.rate_bps) == (text.partition("@")[0], rate_bps)
    assert found.name.startswith("serial-dev-tty")


@pytest.mark.parametrize("text", ["", "ttyUSB0", "/dev/ttyS0@9601", "/dev/ttyS0@fast"])
def test_a_port_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(LinkError, match="write /dev/NAME@RATE"):
        parse_port(text)


def test_an_address_goes_to_the_bearer_that_has_it() -> None:
    async def main() -> None:
        tcp = TCPBearer(network().contexts(), runtime())
        bearers = NodeBearers(tcp, [PORT], runtime())
        with pytest.raises(LinkError, match="is not open"):
            await bearers.dial(Address(PORT.name, 7))
        with pytest.raises(LinkError, match="no bearer"):
            await JoinedBearer([Way(tcp, lambda _address: False)]).dial(Address("a", 1))

    run(main)
