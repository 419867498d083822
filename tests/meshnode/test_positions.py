"""Shifts of an agent and the positions in them: who sees them, and until when."""

from __future__ import annotations

import math

import pytest
from trio.testing import MockClock

from meshnode.errors import SendError
from meshnode.positions import Place
from protocol import payloads
from protocol.bundle import Suite
from protocol.envelope import pad, seal_message
from protocol.identity import Role
from protocol.limits import KEY_REQUEST_DELAY_MS, Kind
from protocol.payloads import Position
from sims.fleet import DevicePlan
from tests.meshnode.documents import publish_roster
from tests.meshnode.rig import CODT, SQUAD, Member, Rig, open_rig, squad_scope

HOUR_MS = 3_600_000
HERE = Place(44.89, -6.64, 12.5)


async def begin(member: Member, hours: int = 12) -> None:
    """Open a shift."""
    await member.node.relay.announce(await member.node.positions.open_shift(hours), None)


async def tell(member: Member, place: Place = HERE) -> None:
    """Tell a position."""
    await member.node.relay.announce(await member.node.positions.report(place), None)


async def end(member: Member) -> None:
    """Close the shift."""
    await member.node.relay.announce(await member.node.positions.close_shift(), None)


async def latitudes(member: Member) -> list[int]:
    """Return what a device shows."""
    return [place.latitude_e7 for _record, place in await member.node.positions.newest()]


async def test_squad_and_centre_see_a_position_and_the_box_does_not(
    autojump_clock: MockClock, met: Rig
) -> None:
    await begin(met["anna"])
    await tell(met["anna"])
    await met.mix("anna", "box", "bruno", "gateway")
    for name in ("anna", "bruno", "gateway"):
        ((record, place),) = await met[name].node.positions.newest()
        assert (record.author, record.scope) == (met["anna"].id, squad_scope().encode())
        numbers = (place.latitude_e7, place.longitude_e7, place.accuracy_dm)
        assert numbers == (448_900_000, -66_400_000, 125)
    assert await latitudes(met["box"]) == []
    assert met["bruno"].metric("positions_kept") == 1
    assert await met["bruno"].texts() == []


async def test_a_mate_keeps_the_newest_and_the_centre_all(
    autojump_clock: MockClock, met: Rig
) -> None:
    await begin(met["anna"])
    for latitude in (44.1, 44.2, 44.3):
        await tell(met["anna"], Place(latitude, 6.0))
        await met.mix("anna", "bruno", "gateway")
        met["anna"].machine.clock_ahead_ms += 30_000
    count = "SELECT count(*) FROM position"
    for name, kept in (("anna", 1), ("bruno", 1), ("gateway", 3)):
        store = met[name].store
        assert await store.read(lambda c: c.exec_driver_sql(count).scalar_one()) == kept, name
        assert await latitudes(met[name]) == [443_000_000]


async def test_an_old_position_does_not_replace_a_newer_one(
    autojump_clock: MockClock, met: Rig
) -> None:
    await begin(met["anna"])
    await met.mix("anna", "bruno")
    await tell(met["anna"], Place(44.1, 6.0))
    early = await met["anna"].held(Kind.POSITION)
    met["anna"].machine.clock_ahead_ms += 30_000
    await tell(met["anna"], Place(44.2, 6.0))
    await met.carry("anna", "bruno")
    await met["bruno"].take(early)
    assert await latitudes(met["bruno"]) == [442_000_000]


async def test_texts_and_positions_go_on_chains_of_their_own(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    before = await anna.send(squad_scope(), "before")
    await begin(anna)
    await tell(anna)
    after = await anna.send(squad_scope(), "in the shift")
    found = {each.header.id: each.header for each in await anna.held(Kind.TEXT)}
    (position,) = await anna.held(Kind.POSITION)
    chains = {found[before.id].keyref, found[after.id].keyref, position.header.keyref}
    assert len(chains) == 3, "a shift renews the chain of texts too"
    await met.mix("anna", "bruno")
    assert sorted(await met["bruno"].texts()) == ["before", "in the shift"]


async def test_a_position_under_a_chain_of_texts_does_not_open(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Else a member could be shown a position that no end of a shift erases."""
    anna, bruno = met["anna"], met["bruno"]
    await begin(anna)
    under = await anna.store.write(lambda tx: anna.node.outbox._keeper.key_for(tx, squad_scope()))
    more = {"suite": Suite.CHAIN, "keyref": under.chain_id, "index": under.index}
    header = anna.header(Kind.POSITION, squad_scope(), 7, lifetime_s=600, **more)
    place = Position(anna.id, squad_scope().encode(), anna.machine.now_ms(), 1, 1, 0)
    body = seal_message(under.key, header.encode(), pad(payloads.encode(place)))
    await met.mix("anna", "bruno")
    await bruno.take([anna.forge(header, body)])
    assert await latitudes(bruno) == []
    assert bruno.metric("messages_unopenable") == 1


@pytest.mark.parametrize(("dated_ms", "is_kept"), [(0, True), (-60_000, False), (60_000, False)])
async def test_a_place_of_before_its_shift_or_of_after_its_stamp_is_refused(
    autojump_clock: MockClock, met: Rig, dated_ms: int, is_kept: bool
) -> None:
    """A mate's changed program seals what it likes; the stamp alone is seen by relays."""
    anna, bruno = met["anna"], met["bruno"]
    await begin(anna)
    shift = await anna.node.positions.current()
    assert shift is not None
    opened = shift.shift
    under = await anna.store.write(
        lambda tx: anna.node.positions._keeper.position_key_for(tx, squad_scope(), opened)
    )
    more = {"suite": Suite.CHAIN, "keyref": under.chain_id, "index": under.index}
    header = anna.header(Kind.POSITION, squad_scope(), 7, lifetime_s=600, **more)
    stamp_ms = header.hlc >> 16
    taken_ms = opened.opened_ms + dated_ms if dated_ms < 0 else stamp_ms + dated_ms
    place = Position(anna.id, squad_scope().encode(), taken_ms, 1, 1, 0)
    body = seal_message(under.key, header.encode(), pad(payloads.encode(place)))
    await anna.node.relay.announce(under.made, None)
    await met.mix("anna", "bruno")
    await bruno.take([anna.forge(header, body)])
    assert bool(await latitudes(bruno)) is is_kept
    assert bruno.metric("positions_refused") == (0 if is_kept else 1)


async def test_closing_erases_at_once_here_and_later_at_mates(
    autojump_clock: MockClock, met: Rig
) -> None:
    await begin(met["anna"])
    await tell(met["anna"])
    await met.mix("anna", "bruno", "box")
    await end(met["anna"])
    assert await latitudes(met["anna"]) == []
    assert await latitudes(met["bruno"]) == [448_900_000], "it has not heard yet"
    await met.mix("anna", "bruno", "box")
    assert await latitudes(met["bruno"]) == []
    assert met["bruno"].metric("shifts_erased") == 1


async def test_a_second_agent_of_a_pooled_handset_sees_nothing_of_the_first(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    await begin(anna)
    await tell(anna)
    await end(anna)
    await begin(anna)
    assert await latitudes(anna) == []
    chains = "SELECT count(*) FROM sending_chain WHERE length(scope) = 19"
    assert await anna.store.read(lambda c: c.exec_driver_sql(chains).scalar_one()) == 1


async def test_who_was_not_known_when_the_shift_began_gets_the_keys_in_it(
    autojump_clock: MockClock, rig: Rig
) -> None:
    """Security case S21, for positions."""
    anna, bruno = rig["anna"], rig["bruno"]
    await begin(anna)
    await tell(anna)
    await rig.carry("anna", "bruno")
    assert await latitudes(bruno) == []
    await rig.carry("bruno", "anna")
    await rig.carry("anna", "bruno")
    assert await latitudes(bruno) == [448_900_000]
    bruno.machine.clock_ahead_ms += KEY_REQUEST_DELAY_MS
    assert await bruno.held(Kind.KEY_REQUEST) == []


async def test_no_key_goes_out_after_the_shift(autojump_clock: MockClock, rig: Rig) -> None:
    anna = rig["anna"]
    await begin(anna, hours=1)
    await tell(anna)
    anna.machine.clock_ahead_ms += HOUR_MS
    await rig.carry("bruno", "anna", Kind.PREKEY)
    assert await anna.held(Kind.CHAIN_KEYS) == []
    await anna.node.housekeeping.look()
    count = "SELECT (SELECT count(*) FROM sending_chain) + (SELECT count(*) FROM given)"
    assert await anna.store.read(lambda c: c.exec_driver_sql(count).scalar_one()) == 0


TRIO = tuple(DevicePlan(name, Role.AGENT, (SQUAD,)) for name in ("anna", "bruno", "carla"))


async def test_a_member_that_left_opens_no_later_position(autojump_clock: MockClock) -> None:
    """Security case S20, for positions."""
    async with open_rig(TRIO) as rig:
        names = ("anna", "bruno", "carla")
        await rig.mix(*names)
        await begin(rig["anna"])
        await tell(rig["anna"], Place(1, 1))
        await rig.mix(*names)
        await publish_roster(rig, rig["anna"], ["anna", "bruno"], version=2)
        rig["anna"].machine.clock_ahead_ms += 1_000
        await tell(rig["anna"], Place(2, 2))
        await rig.mix(*names)
        assert await latitudes(rig["bruno"]) == [20_000_000]
        assert await latitudes(rig["carla"]) == [10_000_000]


async def test_positions_of_no_member_are_refused(autojump_clock: MockClock) -> None:
    async with open_rig(TRIO) as rig:
        names = ("anna", "bruno", "carla")
        await rig.mix(*names)
        await publish_roster(rig, rig["bruno"], ["bruno", "carla"], version=2)
        await rig.mix(*names)
        await begin(rig["anna"])
        await tell(rig["anna"])
        await rig.mix("anna", "bruno")
        assert await latitudes(rig["bruno"]) == []


# --- refusals ----------------------------------------------------------------------------------


async def refused(call: object) -> str:
    """Return the reason of a refusal."""
    with pytest.raises(SendError) as caught:
        await call  # type: ignore[misc]
    return caught.value.reason


@pytest.mark.parametrize("hours", [0, 13, -1])
async def test_a_shift_has_one_to_twelve_hours(
    autojump_clock: MockClock, rig: Rig, hours: int
) -> None:
    assert await refused(rig["anna"].node.positions.open_shift(hours)) == "hours"
    assert await rig["anna"].node.positions.current() is None


async def test_who_has_no_squad_has_no_shift(autojump_clock: MockClock, rig: Rig) -> None:
    assert await refused(rig["gateway"].node.positions.open_shift()) == "no_squad"


async def test_one_shift_at_a_time(autojump_clock: MockClock, rig: Rig) -> None:
    positions = rig["anna"].node.positions
    await begin(rig["anna"])
    assert await refused(positions.open_shift()) == "shift_open"
    await end(rig["anna"])
    assert await refused(positions.close_shift()) == "no_shift"
    assert await refused(positions.report(HERE)) == "no_shift"


@pytest.mark.parametrize(
    "place",
    [
        Place(90.1, 0),
        Place(-90.1, 0),
        Place(0, 180.1),
        Place(0, -180.1),
        Place(math.nan, 0),
        Place(0, math.inf),
        Place(0, 0, -1),
        Place(0, 0, 100_001),
        Place(0, 0, math.nan),
    ],
    ids=str,
)
async def test_places_off_the_map_are_refused(
    autojump_clock: MockClock, rig: Rig, place: Place
) -> None:
    await begin(rig["anna"])
    assert await refused(rig["anna"].node.positions.report(place)) == "place"
    assert await rig["anna"].held(Kind.POSITION) == []


@pytest.mark.parametrize("place", [Place(90, 180, 100_000), Place(-90, -180)], ids=str)
async def test_the_corners_of_the_map_are_places(
    autojump_clock: MockClock, rig: Rig, place: Place
) -> None:
    await begin(rig["anna"])
    await tell(rig["anna"], place)
    assert await latitudes(rig["anna"]) == [round(place.latitude * 1e7)]


async def test_a_stamp_that_runs_past_the_shift_makes_no_position(
    autojump_clock: MockClock, rig: Rig
) -> None:
    """Relays judge by the stamp, which may be ahead of a clock that was set back."""
    anna = rig["anna"]
    anna.machine.clock_ahead_ms += 2 * HOUR_MS
    await begin(anna)
    await end(anna)
    anna.machine.clock_ahead_ms -= 2 * HOUR_MS
    await begin(anna, hours=1)
    assert await refused(anna.node.positions.report(HERE)) == "no_shift"
    assert await anna.held(Kind.POSITION) == []
    assert await latitudes(anna) == []


def test_no_place_is_printed() -> None:
    assert "44.89" not in repr(HERE)
    assert "6.64" not in repr(HERE)


async def test_the_end_of_a_shift_takes_the_bundles_with_its_keys_from_readers_alone(
    autojump_clock: MockClock, met: Rig
) -> None:
    """They are sealed to a prekey that lives on for days; those of the track are for the centre."""
    await begin(met["anna"])
    await met.mix("anna", "bruno", "box", "gateway")
    await end(met["anna"])
    closed = [each.raw for each in await met["anna"].held(Kind.SHIFT)]
    for name, held in (("bruno", 0), ("box", 1), ("gateway", 1)):
        node = met[name].node
        await node.relay.receive(None, [(0, raw) for raw in closed])
        await node.inbox.open_some()
        keys = [each for each in await met[name].held(Kind.CHAIN_KEYS) if each.header.keyref]
        assert len(keys) == held, name
        of_track = [e for e in await met[name].held(Kind.CHAIN_KEYS) if e.header.scope == CODT]
        assert of_track == [], "the centre has receipted them"
    await met.mix("anna", "bruno", "box", "gateway")
    keys = [each for each in await met["bruno"].held(Kind.CHAIN_KEYS) if each.header.keyref]
    assert keys == [], "and they never come back"
