"""Tracks: made in a shift, opened by the centre alone, erased here with the shift."""

from __future__ import annotations

import math

import pytest
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.errors import SendError
from meshnode.positions import Place
from meshnode.services.tracks import POINTS_PER_SEGMENT
from protocol import payloads
from protocol.brief import seal_position
from protocol.bundle import Bundle, Suite
from protocol.envelope import pad, seal_message
from protocol.limits import Kind
from protocol.payloads import Position, Track
from protocol.reports import Reception
from protocol.track_bodies import TrackBody, encode_track_body
from protocol.tracks import TrackPoint
from sims.runtime import Machine
from tests.meshnode.rig import CODT, Member, Rig, squad_scope
from tests.meshnode.services.test_board import count
from tests.meshnode.test_positions import HOUR_MS, begin, end, tell

OWN_CHAINS = "SELECT count(*) FROM sending_chain WHERE length(scope) = 20"
THEIR_CHAINS = "SELECT count(*) FROM receiving_chain WHERE length(scope) = 20"
POINTS = "SELECT count(*) FROM track_point"


async def go(rig: Rig, steps: int, *, who: str = "anna") -> list[tuple[float, float]]:
    """Go along a bent road, one point every 30 s; return the way."""
    way = []
    for n in range(steps):
        place = Place(44.8 + 0.002 * n, 6.6 + 0.003 * math.sin(n / 5), 5)
        await tell(rig[who], place)
        way.append((place.latitude, place.longitude))
        for member in rig.members.values():
            member.machine.clock_ahead_ms += 30_000
    return way


async def later(rig: Rig, by_ms: int) -> None:
    """Let time pass; everybody does then what is due by the clock."""
    for member in rig.members.values():
        member.machine.clock_ahead_ms += by_ms
        await member.node.housekeeping.look()
        await member.node.settle()


async def shown(member: Member) -> list[list[list[float]]]:
    """Return the segments of anna that a device shows."""
    found = await Api(member.node).track("anna")
    return [each["points"] for each in found["segments"]]


async def test_the_centre_gets_the_way_of_a_shift(autojump_clock: MockClock, met: Rig) -> None:
    anna, gateway = met["anna"], met["gateway"]
    await begin(anna)
    way = await go(met, 40)
    assert await anna.held(Kind.TRACK) == []
    await end(anna)
    (bundle,) = await anna.held(Kind.TRACK)
    await met.mix("anna", "box", "gateway")
    (points,) = await shown(gateway)
    assert len(points) == 40
    for (at_ms, north, east), (latitude, longitude) in zip(points, way, strict=True):
        assert (north, east) == pytest.approx((latitude, longitude), abs=0.000_006)
        assert at_ms % 1000 == 0
    assert len(bundle.raw) < 40 * 12
    assert gateway.metric("tracks_kept") == 1
    await met.mix("anna", "box", "gateway")
    assert len(await shown(gateway)) == 1, "shown once"


async def test_long_ways_come_in_segments(autojump_clock: MockClock, met: Rig) -> None:
    anna = met["anna"]
    await begin(anna)
    await go(met, POINTS_PER_SEGMENT - 1)
    assert await anna.held(Kind.TRACK) == []
    await go(met, 2)
    (bundle,) = await anna.held(Kind.TRACK)
    print(f"{POINTS_PER_SEGMENT} points in a bundle of {len(bundle.raw)} bytes")
    assert len(bundle.raw) / POINTS_PER_SEGMENT < 6
    assert await count(anna, POINTS) == 1
    await met.mix("anna", "gateway")
    assert [len(each) for each in await shown(met["gateway"])] == [POINTS_PER_SEGMENT]


async def test_mates_and_relays_never_get_its_keys(autojump_clock: MockClock, met: Rig) -> None:
    await begin(met["anna"])
    await go(met, 3)
    await end(met["anna"])
    await met.mix("anna", "bruno", "box")
    for name in ("bruno", "box"):
        assert len(await met[name].held(Kind.TRACK)) == 1, "it is carried"
        assert await count(met[name], THEIR_CHAINS) == 0
        assert await shown(met[name]) == []
    assert await met["bruno"].held(Kind.KEY_REQUEST) == []


@pytest.mark.parametrize("is_closed", [True, False])
async def test_the_end_of_the_shift_erases_points_and_chain_here(
    autojump_clock: MockClock, met: Rig, is_closed: bool
) -> None:
    anna = met["anna"]
    await begin(anna, hours=1)
    await go(met, 5)
    assert (await count(anna, POINTS), await count(anna, OWN_CHAINS)) == (5, 1)
    if is_closed:
        await end(anna)
    else:
        # The clock ends it, also where the device is locked: nothing is made of the points then.
        anna.machine.clock_ahead_ms += HOUR_MS
        await anna.node.housekeeping.look()
        assert await anna.held(Kind.TRACK) == []
    assert (await count(anna, POINTS), await count(anna, OWN_CHAINS)) == (0, 0)
    await begin(anna)
    assert await shown(anna) == []


async def test_no_point_outside_a_shift(autojump_clock: MockClock, met: Rig) -> None:
    anna = met["anna"]
    with pytest.raises(SendError):
        await tell(anna)
    before_ms = anna.machine.now_ms()
    anna.machine.clock_ahead_ms += 1_000
    await begin(anna)
    with pytest.raises(SendError):
        await anna.node.positions.report(Place(44.8, 6.6), before_ms)
    assert await count(anna, POINTS) == 0


async def forged(
    met: Rig,
    points: list[TrackPoint],
    *,
    late_ms: int = 0,
    window: tuple[int, int] | None = None,
    squad: bytes | None = None,
) -> Bundle:
    """Return a track that anna really seals under her chain of tracks, whatever it says."""
    anna, scope = met["anna"], squad_scope()
    found = await anna.node.positions.current()
    assert found is not None
    shift = found.shift
    keeper = anna.node.require_desk().tracks._keeper
    under = await anna.store.write(lambda tx: keeper.track_key_for(tx, scope, shift))
    more = {"suite": Suite.CHAIN, "keyref": under.chain_id, "index": under.index}
    stamp = (anna.machine.now_ms() + late_ms) << 16
    header = anna.header(Kind.TRACK, CODT, under.index, hlc=stamp, **more)
    track = payloads.encode(Track(anna.id, CODT.encode(), tuple(points)))
    sealed = seal_message(under.key, header.encode(), pad(track))
    opened_ms, over_ms = window or (shift.opened_ms, shift.ends_ms)
    body = TrackBody(squad or scope.target, opened_ms, over_ms, sealed)
    return anna.forge(header, encode_track_body(body))


async def test_points_outside_their_shift_are_refused(autojump_clock: MockClock, met: Rig) -> None:
    anna, gateway = met["anna"], met["gateway"]
    await begin(anna)
    await met.mix("anna", "gateway")
    for member in met.members.values():
        member.machine.clock_ahead_ms += 600_000
    now_s = anna.machine.now_ms() // 1000
    good = TrackPoint(now_s - 300, 4_480_000, 660_000)
    for points in (
        [TrackPoint(now_s - 601, 4_480_000, 660_000), good],
        [good, TrackPoint(now_s + 1, 4_480_000, 660_000)],
    ):
        await gateway.take([await forged(met, points)])
    assert gateway.metric("tracks_refused") == 2
    await gateway.take([await forged(met, [good])])
    assert [len(each) for each in await shown(gateway)] == [1]


async def test_a_chain_of_tracks_opens_no_position(autojump_clock: MockClock, met: Rig) -> None:
    anna, gateway = met["anna"], met["gateway"]
    await begin(anna)
    await met.mix("anna", "gateway")
    found = await anna.node.positions.current()
    assert found is not None
    keeper, scope = anna.node.require_desk().tracks._keeper, squad_scope()
    under = await anna.store.write(lambda tx: keeper.track_key_for(tx, scope, found.shift))
    more = {"suite": Suite.CHAIN, "keyref": under.chain_id, "index": under.index}
    header = anna.header(Kind.POSITION, scope, under.index, **more)
    place = Position(anna.id, scope.encode(), anna.machine.now_ms(), 1, 1, 0)
    body = seal_message(under.key, header.encode(), seal_position(place, header))
    await gateway.take([anna.forge(header, body)])
    assert gateway.metric("messages_unopenable") == 1
    assert await gateway.node.positions.newest() == []


async def test_relays_take_a_track_by_the_shift_that_it_declares(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, box, gateway = met["anna"], met["box"], met["gateway"]
    await begin(anna)
    await met.carry("anna", "gateway", Kind.SHIFT)
    await go(met, 2)
    await end(anna)
    (bundle,) = await anna.held(Kind.TRACK)
    assert bundle.header.hlc >> 16 == anna.machine.now_ms(), "made in the moment that closed it"
    assert await box.take([bundle]) == [Reception.STORED], "its shift is not known here"
    await later(met, 60_000)
    await begin(anna)
    await go(met, 2)
    await end(anna)
    second = next(each for each in await anna.held(Kind.TRACK) if each.raw != bundle.raw)
    assert await gateway.take([second]) == [Reception.NO_SHIFT], "a later shift is told first"
    await met.carry("anna", "gateway", Kind.SHIFT)
    assert await gateway.take([second]) == [Reception.STORED]
    assert await gateway.take([bundle]) == [Reception.STORED], "one of the shift before comes late"


async def test_a_clock_that_runs_while_a_shift_is_closed_loses_no_track(
    autojump_clock: MockClock, met: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making the last segment takes milliseconds, and relays judge by what the close says."""

    def running(machine: Machine) -> int:
        machine.clock_ahead_ms += 1
        return machine.clock_ahead_ms

    monkeypatch.setattr(Machine, "ahead_ms", property(running))
    await begin(met["anna"])
    await go(met, 2)
    await end(met["anna"])
    await met.mix("anna", "gateway")
    assert [len(each) for each in await shown(met["gateway"])] == [2]


async def test_relays_refuse_a_track_outside_its_shift(autojump_clock: MockClock, met: Rig) -> None:
    anna, box = met["anna"], met["box"]
    await begin(anna, hours=2)
    await later(met, HOUR_MS)
    now_ms = anna.machine.now_ms()
    point = [TrackPoint(now_ms // 1000, 1, 1)]
    hidden, too_late = [
        await forged(met, point, late_ms=late_ms) for late_ms in (1_000, HOUR_MS + 1)
    ]
    early = await forged(met, point, window=(now_ms + 1, now_ms + HOUR_MS))
    assert await box.take([too_late, early]) == [Reception.MALFORMED] * 2
    await end(anna)
    await met.carry("anna", "box", Kind.SHIFT)
    assert await box.take([hidden]) == [Reception.NO_SHIFT], "that shift was closed before"
    await later(met, 60_000)
    await begin(anna)
    await met.carry("anna", "box", Kind.SHIFT)
    assert await box.take([hidden]) == [Reception.NO_SHIFT], "nor is it one of the shift before"


async def test_the_centre_takes_no_track_for_another_shift_or_squad(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, gateway = met["anna"], met["gateway"]
    await begin(anna)
    await met.mix("anna", "gateway")
    await later(met, 60_000)
    now_ms = anna.machine.now_ms()
    point = [TrackPoint(now_ms // 1000, 1, 1)]
    # A shift before this one that nobody was told of, and a squad that the chain is not for.
    opened_ms = now_ms - HOUR_MS
    other = await forged(met, point, window=(opened_ms, opened_ms + 12 * HOUR_MS))
    assert await gateway.take([other]) == [Reception.NO_SHIFT]
    await gateway.take([await forged(met, point, squad=bytes(8))])
    assert gateway.metric("tracks_refused") == 1
    assert await shown(gateway) == []


async def test_without_a_key_of_the_centre_points_wait_for_one(
    autojump_clock: MockClock, rig: Rig
) -> None:
    anna = rig["anna"]
    await rig.mix("anna", "bruno", "box")
    await begin(anna)
    assert (await Api(anna.node).shift())["track_has_reader"] is False
    await go(rig, 3)
    await rig.mix("anna", "gateway")
    assert (await Api(anna.node).shift())["track_has_reader"] is True
    await end(anna)
    await rig.mix("anna", "gateway")
    assert [len(each) for each in await shown(rig["gateway"])] == [3]


async def test_nothing_is_made_that_nobody_can_open(autojump_clock: MockClock, rig: Rig) -> None:
    anna = rig["anna"]
    await begin(anna)
    await go(rig, 3)
    await end(anna)
    assert await anna.held(Kind.TRACK) == []
    assert (await count(anna, POINTS), await count(anna, OWN_CHAINS)) == (0, 0)


async def test_a_shift_that_nobody_closes_brings_its_last_points(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    await begin(anna, hours=1)
    for member in met.members.values():
        member.machine.clock_ahead_ms += 15_000
    await go(met, 120)
    assert await anna.node.positions.current() is None, "the clock has ended it"
    await later(met, 1_000)
    await met.mix("anna", "box")
    await met.mix("box", "gateway")
    assert sum(len(each) for each in await shown(met["gateway"])) == 120


async def test_the_centre_keeps_a_track_for_two_months(autojump_clock: MockClock, met: Rig) -> None:
    await begin(met["anna"])
    await go(met, 2)
    await end(met["anna"])
    await met.mix("anna", "gateway")
    met["gateway"].machine.clock_ahead_ms += 59 * 24 * HOUR_MS
    assert len(await shown(met["gateway"])) == 1
    met["gateway"].machine.clock_ahead_ms += 24 * HOUR_MS
    assert await shown(met["gateway"]) == []


async def test_a_track_is_of_a_device(autojump_clock: MockClock, met: Rig) -> None:
    with pytest.raises(SendError, match="one device"):
        await Api(met["gateway"].node).track("codt")
