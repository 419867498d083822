"""When a device tells of itself without being asked: by its readings, in a shift, at a pace."""

from __future__ import annotations

import math

import trio
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.services.readings import (
    BatteryRead,
    CoverageRead,
    FixedReadings,
    Network,
    PlaceRead,
)
from protocol.limits import Kind
from sims.sealer import StandInSealer
from tests.meshnode.rig import Member, Rig, open_rig
from tests.meshnode.test_positions import begin, end, latitudes

MOVING_S, REST_S = 30.0, 300.0
PER_METRE = 1 / 111_320


def place(
    member: Member, north_m: float = 0.0, accuracy_m: float = 5.0, old_ms: int = 0
) -> PlaceRead:
    """Return a place read just now, or a while ago."""
    taken_ms = member.machine.now_ms() - old_ms
    return PlaceRead(44.89 + north_m * PER_METRE, 6.64, accuracy_m, taken_ms)


def counts(member: Member) -> tuple[int, int]:
    """Return how many positions and states were told."""
    return member.metric("positions_made"), member.metric("states_made")


def later(member: Member, seconds: float) -> None:
    """Let time pass."""
    member.machine.clock_ahead_ms += round(1000 * seconds)


async def look(member: Member, seconds: float = 0) -> float:
    """Let time pass, look once, and return when the room wants to look again."""
    later(member, seconds)
    return await member.node.require_desk().reporting.look()


def plug(member: Member) -> FixedReadings:
    """Give a device readings."""
    readings = FixedReadings()
    member.node.require_desk().reporting.plug(readings)
    return readings


async def test_nothing_is_told_without_readings_or_without_a_shift(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    assert await look(anna) == math.inf
    readings = plug(anna)
    readings.position = place(anna)
    assert await look(anna) == math.inf
    assert counts(anna) == (0, 0)
    await begin(anna)
    readings.position = place(anna)
    await look(anna)
    assert counts(anna) == (1, 1)
    await end(anna)
    readings.position = place(anna, 500)
    assert await look(anna, 600) == math.inf
    assert counts(anna) == (1, 1)


async def test_a_place_of_before_the_shift_is_never_told(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    readings = plug(anna)
    readings.position = place(anna)
    anna.machine.clock_ahead_ms += 1_000
    await begin(anna)
    readings.battery = BatteryRead(50.0, False, anna.machine.now_ms())
    assert await look(anna) == 2.0, "the receiver tells of now at any moment"
    assert counts(anna) == (0, 1)
    assert await anna.held(Kind.POSITION) == []
    readings.position = place(anna)
    await look(anna, 2.0)
    assert counts(anna)[0] == 1, "and the squad need not wait for the next report"


class Arriving:
    """Readings whose receiver tells a place while the device is busy telling the rest."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._places = [place(member, old_ms=1_000)]
        self.battery = BatteryRead(50.0, False, member.machine.now_ms())
        self.coverage = None

    @property
    def position(self) -> PlaceRead:
        """The newest place; each look after the first finds one of a moment ago."""
        newest = self._places[-1]
        later(self._member, 0.1)
        self._places.append(place(self._member))
        return newest


async def test_a_place_that_comes_while_the_rest_is_told_is_not_missed(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    await begin(anna)
    anna.node.require_desk().reporting.plug(Arriving(anna))
    assert await look(anna) == 2.0
    assert counts(anna) == (0, 1)
    await look(anna, 2.0)
    assert counts(anna)[0] == 1


async def test_every_half_minute_while_moving_and_five_minutes_at_rest(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    await begin(anna)
    readings = plug(anna)
    readings.position = place(anna)
    await look(anna)
    for n in range(1, 11):
        later(anna, MOVING_S)
        readings.position = place(anna, 100 * n)
        await look(anna)
    assert counts(anna) == (11, 11)
    for _ in range(9):
        # The receiver goes on telling the same place, give or take its error.
        later(anna, MOVING_S)
        readings.position = place(anna, 1_010)
        await look(anna)
    assert counts(anna) == (11, 11)
    later(anna, MOVING_S)
    readings.position = place(anna, 1_010)
    await look(anna)
    assert counts(anna) == (12, 12)


async def test_a_changed_battery_or_network_is_told_soon(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    await begin(anna)
    readings = plug(anna)
    now_ms = anna.machine.now_ms()
    readings.battery = BatteryRead(61, False, now_ms)
    readings.coverage = CoverageRead(Network.FOUR_G, 60, "Orange F", now_ms)
    await look(anna)
    assert counts(anna) == (0, 1)
    changes: tuple[tuple[str, object], ...] = (
        ("battery", BatteryRead(60, False, now_ms)),
        ("battery", BatteryRead(60, True, now_ms)),
        ("coverage", CoverageRead(Network.NONE, None, "", now_ms)),
        ("coverage", CoverageRead(Network.THREE_G, 10, "SFR", now_ms)),
        ("coverage", CoverageRead(Network.THREE_G, 40, "SFR", now_ms)),
    )
    for told, (name, reading) in enumerate(changes, start=1):
        setattr(readings, name, reading)
        await look(anna, MOVING_S - 1)
        assert counts(anna) == (0, told), "not before its time"
        await look(anna, 1)
        assert counts(anna) == (0, told + 1)
    readings.coverage = CoverageRead(Network.THREE_G, 45, "SFR", now_ms)
    await look(anna, MOVING_S)
    assert counts(anna) == (0, 6), "a signal always sways"


async def test_an_old_place_is_not_told_as_one_of_now(autojump_clock: MockClock, met: Rig) -> None:
    anna = met["anna"]
    await begin(anna)
    anna.machine.clock_ahead_ms += 600_000
    readings = plug(anna)
    readings.position = place(anna, old_ms=121_000)
    await look(anna)
    assert counts(anna)[0] == 0
    later(anna, REST_S)
    readings.position = place(anna, old_ms=20_000)
    await look(anna)
    ((record, _place),) = await anna.node.positions.newest()
    assert record.taken_ms == readings.position.taken_ms


async def test_what_cannot_be_told_now_is_told_later(autojump_clock: MockClock, met: Rig) -> None:
    """A reading that lies keeps nothing from being tried again."""
    anna = met["anna"]
    await begin(anna)
    readings = plug(anna)
    readings.position = PlaceRead(math.nan, 6.64, 5, anna.machine.now_ms())
    await look(anna)
    assert counts(anna) == (0, 0)
    assert anna.metric("reports_held_back") == 1
    later(anna, REST_S)
    readings.position = place(anna)
    await look(anna)
    assert counts(anna) == (1, 1)
    assert await latitudes(anna) == [448_900_000]


async def test_the_room_runs_by_itself_and_sleeps_off_duty(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    reporting = anna.node.require_desk().reporting
    readings = FixedReadings()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reporting.run)
        await trio.sleep(3_600)
        await begin(anna)
        reporting.plug(readings)
        for n in range(60):
            readings.position = place(anna, 60 * n)
            await trio.sleep(MOVING_S)
        await end(anna)
        nursery.cancel_scope.cancel()
    made = counts(anna)
    assert 55 <= made[0] <= 61
    assert made[0] == made[1]


async def test_a_node_reports_what_its_own_sensors_say(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        node = rig["anna"].node
        assert node.require_desk().reporting._readings is node.sensors
        await node.lock()
        node.open_desk(rig["anna"].device.desk(StandInSealer(rig["anna"].machine.runtime.entropy)))
        assert node.require_desk().reporting._readings is node.sensors, "after a lock too"


async def test_little_battery_is_told_more_rarely_and_an_sos_as_often_as_it_may(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    await begin(anna)
    readings = plug(anna)
    readings.battery = BatteryRead(10, False, anna.machine.now_ms())

    async def walk(minutes: int) -> tuple[int, int]:
        before = counts(anna)
        for n in range(2 * minutes):
            later(anna, 30)
            readings.position = place(anna, 100 * (n + 1))
            await look(anna)
        after = counts(anna)
        return after[0] - before[0], after[1] - before[1]

    await look(anna)
    # An agent in the band of reserve: a place every 2 minutes, a state every 5.
    assert await walk(20) == (10, 4)
    api = Api(anna.node)
    await api.sos("À terre, jambe cassée")
    assert await walk(20) == (40, 40)
    (alarm,) = await api.alarms()
    await api.alarm_close(alarm["alarm"], "retrouvée")
    assert await walk(20) == (10, 4)
