"""Tracks of a boat that is away for days: they come to port whole, and nobody else opens them."""

from __future__ import annotations

from trio.testing import MockClock

from meshnode.api import Api
from protocol.envelope import decode_slots_untrusted
from protocol.identity import Role
from protocol.limits import Kind
from sims.fleet import DevicePlan
from tests.meshnode.rig import CODT, USUAL, Rig, open_rig
from tests.meshnode.services.test_board import count
from tests.meshnode.services.test_tracks import OWN_CHAINS, POINTS, THEIR_CHAINS, go, later, shown
from tests.meshnode.test_positions import HOUR_MS, begin, end

DAY_MS = 24 * HOUR_MS
CREW = ("anna", "bruno", "box")


async def day_at_sea(rig: Rig, points: int) -> list[tuple[float, float]]:
    """Work a shift on board, have everybody there meet, and sleep until the next morning."""
    start_ms = rig["anna"].machine.now_ms()
    await begin(rig["anna"], hours=8)
    way = await go(rig, points)
    await rig.mix(*CREW)
    await end(rig["anna"])
    await rig.mix(*CREW)
    await later(rig, DAY_MS - (rig["anna"].machine.now_ms() - start_ms))
    return way


async def test_a_week_at_sea_brings_the_tracks_of_each_day_to_port(
    autojump_clock: MockClock, met: Rig
) -> None:
    ways = [await day_at_sea(met, 5 + day) for day in range(7)]
    assert await count(met["bruno"], THEIR_CHAINS) == 0
    assert await shown(met["box"]) == []
    await met.mix("box", "gateway")
    segments = await shown(met["gateway"])
    assert [len(each) for each in segments] == [len(way) for way in ways]
    assert met["gateway"].metric("tracks_kept") == 7
    found = await Api(met["gateway"].node).track("anna")
    assert {each["squad"] for each in found["segments"]} == {"squad:Queyras"}
    # What has arrived is carried no further.
    await met.mix("box", "gateway", "anna", "bruno")
    for name in (*CREW, "gateway"):
        assert await met[name].held(Kind.TRACK) == [], name


async def test_an_operator_behind_the_gateway_opens_them_too(autojump_clock: MockClock) -> None:
    async with open_rig((*USUAL, DevicePlan("odile", Role.OPERATOR))) as rig:
        await rig.mix("anna", "bruno", "box", "gateway", "odile")
        await day_at_sea(rig, 4)
        await rig.mix("box", "gateway", "anna")
        assert [len(each) for each in await shown(rig["gateway"])] == [4]
        assert await rig["box"].held(Kind.TRACK) == [], "carriers let go of what is ashore"
        await rig.mix("gateway", "odile")
        assert [len(each) for each in await shown(rig["odile"])] == [4]
        await rig.mix("gateway", "odile")
        assert await rig["gateway"].held(Kind.TRACK) == [], "and so does the centre"


async def test_a_seized_phone_or_box_has_tracks_that_it_cannot_open(
    autojump_clock: MockClock, met: Rig
) -> None:
    """All that is left of a shift on board is sealed to keys that stay ashore."""
    await day_at_sea(met, 4)
    for name in CREW:
        member = met[name]
        assert len(await member.held(Kind.TRACK)) == 1, name
        (keys,) = [e for e in await member.held(Kind.CHAIN_KEYS) if e.header.scope == CODT]
        slots = decode_slots_untrusted(keys.body)
        print(f"keys of a shift's track for one member of the centre: {len(keys.raw)} bytes")
        assert [slot.member for slot in slots] == [met["gateway"].id], name
        for what in (OWN_CHAINS, THEIR_CHAINS, POINTS):
            assert await count(member, what) == 0, name
    assert await shown(met["anna"]) == [], "not its author either"
