"""What a boat's plotter is told: mates on shift, under numbers that stay, and for how long."""

from __future__ import annotations

import socket

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode.links.base import Address
from meshnode.outbox import Priority
from meshnode.positions import Place
from meshnode.sensors.nmea import parse_sentence_untrusted
from meshnode.services.ais import help_sentence, lost_sentence
from meshnode.services.plotter import HELP_S, Desks, Plotter
from meshnode.services.targets import NUMBERS, Numbers, shown
from protocol.alarms import Outcome, Step
from protocol.identity import Role
from protocol.ids import NodeId
from sims.fleet import DevicePlan
from tests.meshnode.rig import SQUAD, ZONE_SCOPE, Member, Rig, open_rig
from tests.meshnode.services.test_ais import bits_of, number, text
from tests.meshnode.services.test_board import MINUTE_MS, line, wait
from tests.meshnode.test_positions import HERE, begin, end, tell
from tests.meshnode.test_revoked_authors import revoke

FIRST = 982_270_000


def plotter(member: Member, *addresses: Address, interval_s: float = 10) -> Plotter:
    """Make the room of a boat's box; it finds the desk as a running node does."""

    def desks() -> Desks | None:
        desk = member.node.desk
        return None if desk is None else Desks(desk.board, desk.alarms)

    return Plotter(
        addresses,
        desks,
        member.id,
        member.node.membership,
        member.node.runtime,
        member.node.metrics,
        interval_s=interval_s,
        mid=227,
    )


def number_of(member: Member) -> int:
    return FIRST + int.from_bytes(member.id, "big") % NUMBERS


def kinds(told: list[bytes]) -> list[int]:
    return [number(bits_of(each), 0, 6) for each in told]


async def test_a_mate_on_shift_is_shown_until_its_place_is_stale(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    room = plotter(bruno)
    assert await room.look() == []
    await begin(anna)
    await tell(anna)
    await met.mix("anna", "bruno")
    place, name, _rest = await room.look()
    assert number(bits_of(place), 8, 30) == number_of(anna)
    assert number(bits_of(place), 85, 27, is_signed=True) == round(HERE.latitude * 600_000)
    assert text(bits_of(name)[:160], 40) == "ANNA"
    wait(met, 3 * MINUTE_MS)
    assert text(bits_of((await room.look())[1])[:160], 40) == "ANNA 3MIN"
    wait(met, 3 * MINUTE_MS)
    assert await room.look() == [lost_sentence(number_of(anna))]
    assert await room.look() == []


@pytest.mark.slow
async def test_the_end_of_a_shift_a_lock_and_a_revocation_take_a_mate_away(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    room, lost = plotter(bruno), [lost_sentence(number_of(anna))]
    for ending in ("end", "lock", "revoke"):
        if ending != "revoke":
            await begin(anna)
        await tell(anna)
        await met.mix("anna", "bruno")
        assert kinds(await room.look()) == [18, 24, 24], ending
        if ending == "end":
            await end(anna)
            await met.carry("anna", "bruno")
        elif ending == "lock":
            parts = bruno.parts.desk
            await bruno.node.lock()
        else:
            await revoke(met, "bruno")
        assert await room.look() == lost, ending
        assert await room.look() == [], ending
        if ending == "lock":
            assert parts is not None
            bruno.node.open_desk(parts)


async def test_what_was_read_before_a_lock_is_not_told(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = met["anna"], met["bruno"]
    await begin(anna)
    await tell(anna)
    await met.mix("anna", "bruno")
    room, desk = plotter(bruno), bruno.node.require_desk()
    read = desk.board.mates

    async def lock_meanwhile() -> object:
        found = await read()
        await bruno.node.lock()
        return found

    desk.board.mates = lock_meanwhile  # type: ignore[method-assign,assignment]
    assert await room.look() == []


@pytest.mark.slow
async def test_an_sos_of_a_mate_is_told_each_minute_and_without_its_words(
    autojump_clock: MockClock,
) -> None:
    """Also out of a shift: it says who, and no place. Alarms of other squads are left out."""
    plans = [
        DevicePlan("anna", Role.AGENT, (SQUAD,)),
        DevicePlan("bruno", Role.AGENT, (SQUAD,)),
        DevicePlan("chloe", Role.AGENT, ("Vars",)),
    ]
    async with open_rig(plans) as rig:
        await rig.mix(*rig.members)
        for name in ("anna", "chloe"):
            await rig[name].send(ZONE_SCOPE, "man overboard", Priority.SOS)
        await rig.mix(*rig.members)
        room, told = plotter(rig["bruno"]), [help_sentence(number_of(rig["anna"]), "anna")]
        assert await room.look() == told
        assert text(bits_of(told[0]), 40) == "SOS ANNA"
        assert await room.look() == []
        await trio.sleep(HELP_S)
        assert await room.look() == told
        alarms = rig["anna"].node.require_desk().alarms
        found = [each.name for each in await alarms.list_alarms()]
        (own,) = [name for name in found if name[0] == rig["anna"].id]
        await alarms.act(own, Step.CLOSED, outcome=Outcome.OVER)
        await rig.mix(*rig.members)
        await trio.sleep(HELP_S)
        assert await room.look() == []


@given(st.lists(st.integers(0, 3 * NUMBERS), max_size=60), st.lists(st.integers(0, 60), max_size=3))
def test_numbers_are_unique_and_stay(ids: list[int], cuts: list[int]) -> None:
    """Whoever is there in two rounds in a row keeps the number, whoever else comes or goes."""
    nodes = [NodeId(each.to_bytes(16, "big")) for each in ids]
    numbers, before = Numbers(227), dict[NodeId, int]()
    for cut in (len(nodes), *cuts):
        given_ = numbers.give(nodes[cut:] + nodes[: cut // 2])
        assert len(set(given_.values())) == len(given_)
        assert all(FIRST <= each < FIRST + NUMBERS for each in given_.values())
        assert all(given_[node] == before[node] for node in given_.keys() & before.keys())
        before = given_


@pytest.mark.real
async def test_sentences_go_to_a_plotter_and_none_comes_back_as_a_position(met: Rig) -> None:
    """A box hears what it sends to all: no reader of positions takes it for one."""
    anna, bruno = met["anna"], met["bruno"]
    await begin(anna)
    await tell(anna)
    await met.mix("anna", "bruno")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as screen:
        screen.bind(("127.0.0.1", 0))
        screen.settimeout(5)
        address = Address("127.0.0.1", screen.getsockname()[1])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(plotter(bruno, address).run)
            heard = [await trio.to_thread.run_sync(screen.recv, 2_048) for _ in range(3)]
            nursery.cancel_scope.cancel()
    assert kinds(heard) == [18, 24, 24]
    assert [parse_sentence_untrusted(each.strip()) for each in heard] == [None] * 3
    assert bruno.metric("target_sentences_sent") == 3


async def test_a_plotter_out_of_reach_costs_a_counter_and_is_tried_again(
    autojump_clock: MockClock, met: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    await begin(anna)
    await tell(anna)
    await met.mix("anna", "bruno")
    broken = [True]

    class Line:
        """A socket over a network that comes and goes."""

        async def sendto(self, sentence: bytes, place: tuple[str, int]) -> int:
            if broken[0]:
                raise OSError(101, "Network is unreachable")
            return len(sentence)

        def close(self) -> None:
            pass

    monkeypatch.setattr("meshnode.services.plotter._opened", lambda _family: Line())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(plotter(bruno, Address("10.0.0.9", 10_110)).run)
        await trio.sleep(15)
        lost = bruno.metric("target_sentences_lost")
        broken[0] = False
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert lost == 6
    assert bruno.metric("target_sentences_sent") == 3
    assert all("44.8" not in str(each) for each in met.tracer.lines)


async def test_each_mate_is_shown_once_and_this_device_never(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    await begin(anna)
    await tell(anna, Place(44.5, 6.0))
    await met.mix("anna", "bruno")
    mate, directory = await line(bruno, anna), bruno.node.membership.directory
    assert shown([mate, mate], bruno.id, directory) == [mate], "of two squads, once"
    assert shown([mate], anna.id, directory) == [], "never this device itself"
