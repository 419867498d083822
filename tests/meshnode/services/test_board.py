"""The squad board: what mates told, how old it is, and that it ends with the shift."""

from __future__ import annotations

import random

import pytest
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.calls.board import BoardCalls
from meshnode.chain_keeper import MessageKey
from meshnode.cli import alarm as cli_alarm
from meshnode.cli.shift import show_places
from meshnode.errors import SendError
from meshnode.services.board import AHEAD_MS_MAX, STALE_MS, Mate, is_stale
from meshnode.services.readings import BatteryRead, CoverageRead, Network
from meshnode.shifts import known_shift
from meshnode.store import delivery, peers
from meshnode.store.engine import Transaction
from protocol import payloads
from protocol.bundle import Bundle, Suite
from protocol.envelope import pad, seal_message
from protocol.guards import QUOTA_HOUR_STATES
from protocol.limits import KINDS, Kind
from protocol.payloads import State
from protocol.states import Battery, Bearer, Coverage, Unit
from tests.meshnode.documents import publish_roster
from tests.meshnode.rig import Member, Rig, open_rig, squad_scope
from tests.meshnode.test_positions import HOUR_MS, TRIO, begin, end, tell
from tests.meshnode.test_revoked_authors import revoke

MINUTE_MS = 60_000
STATES = "SELECT count(*) FROM state"


async def say_state(
    member: Member, level: float = 61, network: Network = Network.FOUR_G, dbm: int | None = -97
) -> None:
    """Tell how a device is."""
    now_ms = member.machine.now_ms()
    battery = BatteryRead(level, False, now_ms)
    coverage = CoverageRead(network, None, "Orange F", now_ms, dbm)
    made = await member.node.require_desk().board.report(battery, coverage)
    await member.node.relay.announce(made, None)


async def line(member: Member, of: Member) -> Mate:
    """Return what one device shows of another."""
    mates = await member.node.require_desk().board.mates()
    return next(each for each in mates if each.node == of.id)


async def count(member: Member, query: str = STATES) -> int:
    """Return a number from the store."""
    return await member.store.read(lambda conn: int(conn.exec_driver_sql(query).scalar_one()))


def wait(rig: Rig, ms: int) -> None:
    """Let time pass for everybody."""
    for member in rig.members.values():
        member.machine.clock_ahead_ms += ms


async def test_a_mate_sees_battery_coverage_place_and_shift(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    await begin(anna)
    await tell(anna)
    await say_state(anna)
    await met.mix("anna", "box", "bruno")
    found = await line(bruno, anna)
    assert found.is_on_shift
    assert found.battery is not None
    assert found.coverage is not None
    assert found.place is not None
    assert (found.battery[0].level_pct, found.battery[0].is_charging) == (61, False)
    assert found.coverage[0].bearer is Bearer.G4
    assert (found.coverage[0].unit, found.coverage[0].strength) == (Unit.MINUS_DBM, 97)
    assert found.coverage[0].operator == "Orange F"
    assert found.place[1].latitude_e7 == 448_900_000
    assert not any(each[-1].is_stale for each in (found.place, found.battery, found.coverage))
    assert bruno.metric("states_kept") == 1
    assert await bruno.texts() == []


async def test_the_centre_reads_a_state_as_it_reads_a_position(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, gateway = met["anna"], met["gateway"]
    await begin(anna)
    await say_state(anna)
    await met.mix("anna", "box", "gateway")
    found = await line(gateway, anna)
    assert found.battery is not None
    assert (found.battery[0].level_pct, gateway.metric("states_kept")) == (61, 1)
    await end(anna)
    await met.mix("anna", "box", "gateway")
    assert await count(gateway) == 0, "it goes with the shift, at the centre too"


async def test_a_chain_of_texts_opens_no_state(autojump_clock: MockClock, met: Rig) -> None:
    """Its keys outlive the shift."""
    anna, bruno = met["anna"], met["bruno"]
    await begin(anna)
    await anna.send(squad_scope(), "hello")
    await met.mix("anna", "bruno")
    keeper = anna.node.require_desk().outbox._keeper
    under = await anna.store.write(lambda tx: keeper.key_for(tx, squad_scope()))
    state = State(anna.id, squad_scope().encode(), None, None, 0)
    more = {"suite": Suite.CHAIN, "keyref": under.chain_id, "index": under.index}
    header = anna.header(Kind.STATE, squad_scope(), under.index, lifetime_s=600, **more)
    body = seal_message(under.key, header.encode(), pad(payloads.encode(state)))
    await bruno.take([anna.forge(header, body)])
    assert (await count(bruno), bruno.metric("messages_unopenable")) == (0, 1)


async def test_a_relay_carries_a_state_and_reads_none(autojump_clock: MockClock, met: Rig) -> None:
    await begin(met["anna"])
    await say_state(met["anna"])
    await met.mix("anna", "box")
    assert len(await met["box"].held(Kind.STATE)) == 1
    assert await count(met["box"]) == 0


async def test_no_state_without_an_open_shift(autojump_clock: MockClock, met: Rig) -> None:
    """Off duty a device tells nothing of its owner."""
    anna = met["anna"]
    for told in range(2):
        with pytest.raises(SendError) as caught:
            await say_state(anna)
        assert caught.value.reason == "no_shift"
        assert anna.metric("states_made") == told
        assert await count(anna) == 0
        await begin(anna)
        await say_state(anna)
        await end(anna)


async def test_the_end_of_the_shift_erases_states_here_and_at_mates(
    autojump_clock: MockClock, met: Rig
) -> None:
    await begin(met["anna"])
    await say_state(met["anna"])
    await met.mix("anna", "bruno")
    assert await count(met["bruno"]) == 1
    await end(met["anna"])
    assert await count(met["anna"]) == 0
    await met.mix("anna", "bruno")
    assert await count(met["bruno"]) == 0
    found = await line(met["bruno"], met["anna"])
    assert (found.is_on_shift, found.battery, found.coverage) == (False, None, None)


async def test_the_clock_ends_a_state_too(autojump_clock: MockClock, met: Rig) -> None:
    await begin(met["anna"], hours=1)
    await say_state(met["anna"])
    await met.mix("anna", "bruno")
    wait(met, HOUR_MS)
    assert (await line(met["bruno"], met["anna"])).battery is None
    for name in ("anna", "bruno"):
        await met[name].node.housekeeping.look()
        assert await count(met[name]) == 0
        assert await met[name].held(Kind.STATE) == [], "it lives no longer than its shift"


async def test_a_state_that_comes_after_its_shift_is_not_opened(
    autojump_clock: MockClock, met: Rig
) -> None:
    await begin(met["anna"])
    await met.mix("anna", "bruno")
    await say_state(met["anna"])
    late = await met["anna"].held(Kind.STATE)
    await end(met["anna"])
    await met.carry("anna", "bruno", Kind.SHIFT)
    await met.carry("anna", "bruno", Kind.CHAIN_KEYS)
    await met["bruno"].take(late)
    assert await count(met["bruno"]) == 0
    assert await met["bruno"].store.read(delivery.unopened_count) == 0


async def test_newer_replaces_older_in_any_order(autojump_clock: MockClock) -> None:
    """Also where several are made within one millisecond."""
    async with open_rig() as rig:
        await rig.mix("anna", "bruno", "box", "gateway")
        await begin(rig["anna"])
        await rig.mix("anna", "bruno")
        told = list[Bundle]()
        for level in range(20, 32):
            await say_state(rig["anna"], level)
            told += await rig["anna"].held(Kind.STATE)
            if level % 3 == 0:
                rig["anna"].machine.clock_ahead_ms += 1
        await rig.carry("anna", "bruno", Kind.CHAIN_KEYS)
        assert len({each.header.hlc for each in told}) == len(told) == 12
        random.Random(5).shuffle(told)
        seen = set[tuple[int, int, int]]()
        for bundle in told:
            await rig["bruno"].take([bundle])
            seen.add((bundle.header.hlc, bundle.header.incarnation, bundle.header.seq))
            found = await line(rig["bruno"], rig["anna"])
            assert found.battery is not None
            newest = max(seen)
            numbers = sorted(each.header.hlc for each in told)
            assert found.battery[0].level_pct == 20 + numbers.index(newest[0])
        assert len(await rig["bruno"].held(Kind.STATE)) == 1


# --- how old -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STALE_MS)
def test_a_value_is_stale_from_its_age_on(name: str) -> None:
    assert not is_stale(name, STALE_MS[name] - 1)
    assert is_stale(name, STALE_MS[name])
    assert not is_stale(name, 0, AHEAD_MS_MAX)
    assert is_stale(name, 0, AHEAD_MS_MAX + 1)


async def test_each_value_grows_stale_by_itself(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = met["anna"], met["bruno"]
    await begin(anna)
    await tell(anna)
    await say_state(anna)
    await met.mix("anna", "bruno")
    passed_ms = 0
    for at_ms in sorted({*STALE_MS.values(), *(each - 1 for each in STALE_MS.values())}):
        wait(met, at_ms - passed_ms)
        passed_ms = at_ms
        found = await line(bruno, anna)
        for name, value in (
            ("position", found.place),
            ("battery", found.battery),
            ("coverage", found.coverage),
        ):
            assert value is not None
            assert value[-1].age_ms == at_ms
            assert value[-1].is_stale is (at_ms >= STALE_MS[name]), name
        assert found.heard is not None
        assert found.heard.is_stale is (at_ms >= STALE_MS["shift"])


async def test_a_reading_keeps_its_own_time(autojump_clock: MockClock, met: Rig) -> None:
    """A new state with an old look at the battery is an old look at the battery."""
    anna, bruno = met["anna"], met["bruno"]
    await begin(anna)
    await say_state(anna)
    wait(met, 20 * MINUTE_MS)
    coverage = CoverageRead(Network.NONE, None, "", anna.machine.now_ms())
    await anna.node.require_desk().board.report(None, coverage)
    await met.mix("anna", "bruno")
    found = await line(bruno, anna)
    assert found.battery is not None
    assert found.coverage is not None
    assert (found.battery[1].age_ms, found.battery[1].is_stale) == (20 * MINUTE_MS, True)
    assert (found.coverage[1].age_ms, found.coverage[1].is_stale) == (0, False)


async def test_a_mate_whose_clock_is_ahead_is_not_young_for_ever(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    anna.machine.clock_ahead_ms += 5 * MINUTE_MS
    await begin(anna)
    await say_state(anna)
    bruno.machine.clock_ahead_ms += 5 * MINUTE_MS
    await met.mix("anna", "bruno")
    bruno.machine.clock_ahead_ms -= 4 * MINUTE_MS
    found = await line(bruno, anna)
    assert found.battery is not None
    assert found.battery[1].is_stale, "it is dated four minutes ahead: nobody knows its age"
    bruno.machine.clock_ahead_ms += 4 * MINUTE_MS + STALE_MS["battery"]
    found = await line(bruno, anna)
    assert found.battery is not None
    assert found.battery[1].is_stale


async def test_a_place_lies_here_for_as_long_as_it_does_whatever_its_author_s_clock_says(
    autojump_clock: MockClock, met: Rig
) -> None:
    """Its author's clock is ahead: by that clock it would be young when it is long too old."""
    anna, bruno = met["anna"], met["bruno"]
    await begin(anna)
    anna.machine.clock_ahead_ms += 5 * MINUTE_MS
    await tell(anna)
    await met.mix("anna", "bruno")
    for passed_ms in range(0, 20 * MINUTE_MS, 30_000):
        found = await line(bruno, anna)
        assert found.place is not None
        value = found.place[-1]
        assert value.age_ms >= passed_ms
        assert value.is_stale or passed_ms < STALE_MS["position"], "an old place shown as current"
        bruno.machine.clock_ahead_ms += 30_000


async def test_wherever_a_place_is_shown_its_age_stands_beside_it(
    autojump_clock: MockClock, met: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    await begin(anna)
    await tell(anna)
    raised = await Api(anna.node).sos("Chute au col")
    assert (
        cli_alarm.what_place(raised["place"])
        == "Your position goes along: 44.89000, -6.64000 ± 12 m."
    )
    await met.mix("anna", "bruno")
    await begin(bruno)
    await tell(bruno)
    await met.mix("anna", "bruno")
    wait(met, STALE_MS["position"])
    raised = await Api(anna.node).sos("Et maintenant")
    assert "STALE, of 6 min ago" in cli_alarm.what_place(raised["place"])
    await met.mix("anna", "bruno")
    show_places(await Api(bruno.node).positions())
    assert capsys.readouterr().out.count("STALE 6 min ago") == 2
    cli_alarm.show_alarm(await Api(bruno.node).alarm("last"))
    shown = capsys.readouterr().out
    assert "STALE 6 min ago: Place: 44." in shown
    assert "0 m " in shown, "who is near is told, as of then"
    assert shown.count("STALE 6 min ago") == 2
    found = await line(bruno, anna)
    assert found.place is not None
    assert found.place[-1].is_stale


# --- who ---------------------------------------------------------------------------------------


async def test_the_board_names_mates_who_told_nothing(autojump_clock: MockClock, met: Rig) -> None:
    mates = await met["anna"].node.require_desk().board.mates()
    assert {each.node for each in mates} == {met["anna"].id, met["bruno"].id}
    assert all(not each.is_on_shift and each.heard is None for each in mates)
    assert await met["gateway"].node.require_desk().board.mates() == []


async def test_the_centre_sees_places_of_squads_that_it_is_not_in(
    autojump_clock: MockClock, met: Rig
) -> None:
    await begin(met["anna"])
    await tell(met["anna"])
    await say_state(met["anna"])
    await met.mix("anna", "gateway")
    found = await line(met["gateway"], met["anna"])
    assert found.is_on_shift
    assert found.place is not None
    assert found.battery is not None, "a state is for the centre too"


async def test_a_state_of_no_member_is_refused(autojump_clock: MockClock) -> None:
    async with open_rig(TRIO) as rig:
        names = ("anna", "bruno", "carla")
        await rig.mix(*names)
        await publish_roster(rig, rig["bruno"], ["bruno", "carla"], version=2)
        await rig.mix("bruno", "carla")
        await begin(rig["anna"])
        await say_state(rig["anna"])
        await rig.mix("anna", "bruno")
        assert await count(rig["bruno"]) == 0


async def test_a_revoked_mate_is_marked_and_off_duty(autojump_clock: MockClock, met: Rig) -> None:
    await begin(met["anna"])
    await tell(met["anna"])
    await say_state(met["anna"])
    await met.mix("anna", "bruno")
    await revoke(met, "anna", "bruno")
    found = await line(met["bruno"], met["anna"])
    assert found.is_revoked
    assert not found.is_on_shift
    shown = await Api(met["bruno"].node).board()
    (anna,) = [each for each in shown["mates"] if each["name"] == "anna"]
    assert anna["is_revoked"]


async def test_what_is_dated_ahead_of_its_own_stamp_is_refused(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    await begin(anna)
    await say_state(anna)
    await met.mix("anna", "bruno")
    keeper = anna.node.require_desk().outbox._keeper

    def take_key(tx: Transaction) -> MessageKey:
        shift = known_shift(tx.connection, anna.id, squad_scope())
        assert shift is not None
        return keeper.position_key_for(tx, squad_scope(), shift)

    late_ms = anna.machine.now_ms() + 10_000
    for ahead in (
        State(anna.id, squad_scope().encode(), Battery(late_ms, 99, False), None, 0),
        State(anna.id, squad_scope().encode(), None, Coverage(late_ms, Bearer.NONE), 0),
        State(anna.id, squad_scope().encode(), None, None, late_ms),
    ):
        wait(met, 1_000)
        under = await anna.store.write(take_key)
        more = {"suite": Suite.CHAIN, "keyref": under.chain_id, "index": under.index}
        header = anna.header(Kind.STATE, squad_scope(), under.index, lifetime_s=600, **more)
        body = seal_message(under.key, header.encode(), pad(payloads.encode(ahead)))
        await bruno.take([anna.forge(header, body)])
    assert bruno.metric("states_refused") == 3
    found = await line(bruno, anna)
    assert found.battery is not None
    assert found.battery[0].level_pct == 61


async def test_the_last_contact_with_a_gateway_is_told(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno, gateway = met["anna"], met["bruno"], met["gateway"]
    await begin(anna)
    await say_state(anna)
    await met.mix("anna", "bruno")
    assert (await line(bruno, anna)).gateway_ms == 0
    at_ms = anna.machine.now_ms()
    await anna.store.write(lambda tx: peers.contact_up(tx, gateway.id, "", at_ms))
    await anna.store.write(lambda tx: peers.contact_down(tx, gateway.id, at_ms + 7, 0, 0))
    wait(met, MINUTE_MS)
    await say_state(anna)
    await met.mix("anna", "bruno")
    assert (await line(bruno, anna)).gateway_ms == at_ms + 7


def test_a_shift_of_states_leaves_room_for_receipts() -> None:
    """One every 30 s for an hour is within what others take of an author."""
    assert QUOTA_HOUR_STATES - 3_600 // 30 >= 150
    assert KINDS[Kind.STATE].lifetime_s == 43_200


# --- calls -------------------------------------------------------------------------------------


async def test_odd_states_are_refused(autojump_clock: MockClock, met: Rig) -> None:
    await begin(met["anna"])
    api: BoardCalls = Api(met["anna"].node)
    for odd in (
        {},
        {"battery_pct": 101.0},
        {"battery_pct": float("nan")},
        {"battery_pct": -1.0},
        {"network": "6G"},
        {"network": "4G", "signal_pct": 101.0},
        {"network": "4G", "signal_dbm": 1},
        {"network": "4G", "signal_dbm": -151},
        {"network": "4G", "operator": "a\x1b[2Jb"},
    ):
        with pytest.raises(SendError) as caught:
            await api.state(**odd)
        assert caught.value.reason == "state"
    assert await met["anna"].held(Kind.STATE) == []


async def test_names_of_operators_are_cut_and_cleaned(autojump_clock: MockClock, met: Rig) -> None:
    anna = met["anna"]
    await begin(anna)
    now_ms = anna.machine.now_ms()
    for name, kept in (("é" * 40, "é" * 16), ("a\x07b", ""), (" x ", "x")):
        seen = CoverageRead(Network.THREE_G, 250.0, name, now_ms)
        await anna.node.require_desk().board.report(None, seen)
        found = await line(anna, anna)
        assert found.coverage is not None
        assert (found.coverage[0].operator, found.coverage[0].strength) == (kept, 100)


def test_no_place_and_no_operator_is_printed() -> None:
    assert "Orange" not in repr(CoverageRead(Network.LAN, None, "Orange", 0))
    assert Mate.__dataclass_fields__["place"].repr is False
