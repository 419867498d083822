"""Alarms between whole nodes: who hears, who answers, and that all come to the same state."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.cli import alarm as cli_alarm
from meshnode.errors import SendError
from meshnode.events import AlarmChanged
from meshnode.outbox import Priority, Writing
from meshnode.positions import Place
from meshnode.services.alarms import AlarmView
from meshnode.store.alarms import AlarmName
from protocol.alarms import Outcome, Standing, Step
from protocol.guards import (
    ALARM_AUTHOR_STEPS_MAX,
    ALARM_SEEN_MAX,
    ALARM_SPARE,
    QUOTA_HOUR_SOS,
)
from protocol.identity import Role
from protocol.limits import Kind
from protocol.payloads import SosPlace
from sims.fleet import DevicePlan
from tests.meshnode.rig import CODT, SQUAD, ZONE_SCOPE, Member, Rig, open_rig, squad_scope

pytestmark = pytest.mark.slow

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
PLANS = (
    DevicePlan("anna", Role.AGENT, (SQUAD,)),
    DevicePlan("bruno", Role.AGENT, (SQUAD,)),
    DevicePlan("carla", Role.AGENT, ("Ubaye",)),
    DevicePlan("gateway", Role.GATEWAY),
    DevicePlan("codt", Role.OPERATOR),
)
NAMES = tuple(plan.name for plan in PLANS)


async def raise_alarm(member: Member, text: str = "Chute au col", **more: Any) -> AlarmName:
    """Raise an alarm; return its name."""
    scope = more.pop("scope", ZONE_SCOPE)
    writing = Writing(scope, text, Priority.SOS, **more)
    sent = await member.node.outbox.send(writing)
    record = await member.message(sent.key)
    return member.id, record.alarm_id


async def view(member: Member, name: AlarmName) -> AlarmView:
    """What a device knows of an alarm."""
    return await member.node.alarms.view(name)


async def states(rig: Rig, name: AlarmName) -> set[tuple[Step, Outcome]]:
    """What all devices with a person or a desk say of an alarm: one state if they agree."""
    found = [(await view(rig[each], name)).alarm for each in rig.members]
    return {(each.state, each.outcome) for each in found}


async def test_a_whole_life_is_the_same_everywhere(autojump_clock: MockClock) -> None:
    async with open_rig(PLANS) as rig:
        anna, carla = rig["anna"], rig["carla"]
        name = await raise_alarm(anna)
        await rig.mix(*NAMES)
        # Carla is of another squad, and nobody's mate.
        assert await carla.texts() == ["Chute au col"]
        assert await carla.node.alarms.show(name)
        await rig.mix(*NAMES)
        assert await states(rig, name) == {(Step.SEEN, Outcome.NONE)}
        assert await carla.node.alarms.act(name, Step.TAKEN, "dix minutes")
        assert await rig["bruno"].node.alarms.act(name, Step.TAKEN)
        await rig.mix(*NAMES)
        assert await states(rig, name) == {(Step.TAKEN, Outcome.NONE)}
        assert len((await view(anna, name)).alarm.taken) == 2
        assert await carla.node.alarms.act(name, Step.ON_SCENE)
        await rig.mix(*NAMES)
        assert await states(rig, name) == {(Step.ON_SCENE, Outcome.NONE)}
        assert await rig["codt"].node.alarms.act(name, Step.CLOSED, "évacuée")
        await rig.mix(*NAMES)
        assert await states(rig, name) == {(Step.CLOSED, Outcome.OVER)}
        for member in rig.members.values():
            assert len(await member.incoming()) <= 1, "steps are no messages"


async def test_a_relay_carries_it_and_reads_nothing(autojump_clock: MockClock, met: Rig) -> None:
    name = await raise_alarm(met["anna"], scope=CODT)
    await met.carry("anna", "box")
    await met.carry("box", "bruno")
    assert await met["bruno"].texts() == ["Chute au col"]
    assert (await view(met["box"], name)).alarm.raised is None
    with pytest.raises(SendError):
        await met["box"].node.alarms.act(name, Step.TAKEN)


async def test_a_colleague_who_comes_after_the_centre_has_it_still_reads_it(
    autojump_clock: MockClock,
) -> None:
    """Found by the scenario: receipts of the whole centre made carriers drop it."""
    async with open_rig(PLANS) as rig:
        name = await raise_alarm(rig["anna"], scope=CODT)
        await rig.mix("anna", "gateway", "codt")
        await rig.carry("gateway", "carla")
        assert (await view(rig["carla"], name)).alarm.raised is not None
        assert await rig["carla"].texts() == ["Chute au col"]


async def test_steps_that_come_before_their_alarm_wait(autojump_clock: MockClock) -> None:
    async with open_rig(PLANS) as rig:
        name = await raise_alarm(rig["anna"])
        await rig.carry("anna", "bruno")
        await rig["bruno"].node.alarms.act(name, Step.TAKEN)
        found = await rig["bruno"].held(Kind.SOS)
        raised, taken = sorted(found, key=lambda each: each.header.author != name[0])
        codt = rig["codt"]
        with codt.node.events.subscribe() as heard:
            await codt.take([taken])
            assert await codt.node.alarms.list_alarms() == []
            with pytest.raises(SendError) as caught:
                await codt.node.alarms.act(name, Step.TAKEN)
            assert caught.value.reason == "unknown"
            await codt.take([raised])
            told = [e for e in heard._waiting if isinstance(e, AlarmChanged)]
        assert [each.is_new for each in told] == [True]
        (only,) = await codt.node.alarms.list_alarms()
        assert only.alarm.state is Step.TAKEN


async def test_it_rings_once_whatever_comes_how_often(autojump_clock: MockClock) -> None:
    async with open_rig(PLANS) as rig:
        bruno = rig["bruno"]
        with bruno.node.events.subscribe() as heard:
            name = await raise_alarm(rig["anna"])
            found = await rig["anna"].held(Kind.SOS)
            for _ in range(3):
                await bruno.take(found)
            await rig["codt"].take(found)
            await rig["codt"].node.alarms.act(name, Step.TAKEN)
            await rig.mix(*NAMES)
            told = [e for e in heard._waiting if isinstance(e, AlarmChanged)]
        assert [(each.step, each.is_new) for each in told] == [(0, True), (2, False)]
        assert await bruno.texts() == ["Chute au col"]


# --- closing -----------------------------------------------------------------------------------


async def test_two_witnesses_close_and_one_does_not(autojump_clock: MockClock) -> None:
    async with open_rig(PLANS) as rig:
        name = await raise_alarm(rig["anna"])
        await rig.mix(*NAMES)
        await rig["bruno"].node.alarms.act(name, Step.CLOSED, outcome=Outcome.FALSE_ALARM)
        await rig.mix(*NAMES)
        assert await states(rig, name) == {(Step.RAISED, Outcome.NONE)}
        await rig["carla"].node.alarms.act(name, Step.CLOSED, outcome=Outcome.FALSE_ALARM)
        await rig.mix(*NAMES)
        assert await states(rig, name) == {(Step.CLOSED, Outcome.FALSE_ALARM)}


async def test_the_agent_takes_it_back_and_raises_it_anew(autojump_clock: MockClock) -> None:
    async with open_rig(PLANS) as rig:
        anna, bruno = rig["anna"], rig["bruno"]
        name = await raise_alarm(anna)
        assert not await anna.node.alarms.raise_anew(name), "it is open"
        await anna.node.alarms.act(name, Step.CLOSED, outcome=Outcome.FALSE_ALARM)
        await rig.mix(*NAMES)
        for act in (Step.TAKEN, Step.CLOSED):
            with pytest.raises(SendError) as caught:
                await bruno.node.alarms.act(name, act)
            assert caught.value.reason == "closed"
        with pytest.raises(SendError):
            await bruno.node.alarms.raise_anew(name)
        with bruno.node.events.subscribe() as heard:
            assert await anna.node.alarms.raise_anew(name, "Si, à l'aide")
            await rig.mix(*NAMES)
            told = [e for e in heard._waiting if isinstance(e, AlarmChanged)]
        assert [each.is_new for each in told] == [True], "it rings again"
        assert await states(rig, name) == {(Step.RAISED, Outcome.NONE)}
        raised = (await view(bruno, name)).alarm.raised
        assert raised is not None
        assert raised.sos.text == "Si, à l'aide"


async def test_who_raised_it_cannot_answer_it(autojump_clock: MockClock, met: Rig) -> None:
    anna = met["anna"]
    name = await raise_alarm(anna, scope=squad_scope())
    for step in (Step.SEEN, Step.TAKEN, Step.ON_SCENE):
        with pytest.raises(SendError) as caught:
            await anna.node.alarms.act(name, step)
        assert caught.value.reason == "no_right"
    assert not await anna.node.alarms.show(name)
    with pytest.raises(SendError):
        await anna.node.alarms.act(name, Step.CLOSED, "x" * 16_385)


async def test_a_gateway_is_no_witness(autojump_clock: MockClock, met: Rig) -> None:
    name = await raise_alarm(met["anna"], scope=CODT)
    await met.mix("anna", "gateway")
    assert (await view(met["gateway"], name)).standing is Standing.NONE
    with pytest.raises(SendError) as caught:
        await met["gateway"].node.alarms.act(name, Step.CLOSED)
    assert caught.value.reason == "no_right"
    assert "nobody sits in front of a gateway" in str(caught.value)
    await met.mix("anna", "bruno")
    # At the gateway it rings until somebody goes; for whoever raised it, never.
    rings = {"anna": (False, False), "gateway": (False, True), "bruno": (True, True)}
    assert {each: await rings_at(met, each) for each in rings} == rings
    await met["bruno"].node.alarms.act(name, Step.SEEN)
    await met.mix("bruno", "gateway")
    assert await rings_at(met, "bruno") == (True, False)
    assert await rings_at(met, "gateway") == (False, True)
    await met["bruno"].node.alarms.act(name, Step.TAKEN)
    await met.mix("bruno", "gateway")
    assert await rings_at(met, "gateway") == (False, False)


async def rings_at(met: Rig, who: str) -> tuple[bool, bool]:
    """Return whether one can answer the alarm, and whether it rings; each counts it alike."""
    api = Api(met[who].node)
    (told,) = await api.alarms()
    assert await api.alarms_pressing() == int(told["is_pressing"])
    return told["can_answer"], told["is_pressing"]


# --- any order -----------------------------------------------------------------------------------


async def test_bundles_in_any_order_come_to_the_same_state(autojump_clock: MockClock) -> None:
    """Eight bundles in six drawn orders, each into a store of its own."""
    async with open_rig(PLANS) as rig:
        name = await raise_alarm(rig["anna"])
        await rig.mix(*NAMES)
        await rig["bruno"].node.alarms.show(name)
        await rig["bruno"].node.alarms.act(name, Step.TAKEN)
        await rig["carla"].node.alarms.act(name, Step.CLOSED)
        await rig["codt"].node.alarms.act(name, Step.CLOSED, outcome=Outcome.FALSE_ALARM)
        await rig.mix(*NAMES)
        await rig["anna"].node.alarms.raise_anew(name)
        await rig.mix(*NAMES)
        await rig["codt"].node.alarms.act(name, Step.TAKEN)
        await rig["anna"].node.alarms.act(name, Step.CLOSED)
        await rig.mix(*NAMES)
        found = await rig["gateway"].held(Kind.SOS)
        assert len(found) == 8
        wanted = (await view(rig["gateway"], name)).alarm
        assert (wanted.state, wanted.outcome, wanted.round) == (Step.CLOSED, Outcome.OVER, 1)
        for seed in range(6):
            async with open_rig(PLANS, seed=1) as other:
                order = sorted(found, key=lambda each: hash((seed, each.header.seq, each.raw[7])))
                for bundle in order:
                    await other["gateway"].take([bundle])
                assert (await view(other["gateway"], name)).alarm == wanted, seed


# --- places --------------------------------------------------------------------------------------


async def test_a_place_goes_along_in_a_shift_and_else_only_if_it_is_told(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    place = SosPlace(anna.machine.now_ms(), 448_900_000, 66_400_000, 50)

    async def told(**more: Any) -> SosPlace | None:
        name = await raise_alarm(anna, scope=CODT, **more)
        await met.mix("anna", "bruno")
        raised = (await view(bruno, name)).alarm.raised
        assert raised is not None
        return raised.sos.place

    assert await told() is None, "no shift is open"
    assert await told(place=place) == place, "the agent says where"
    await anna.node.relay.announce(await anna.node.positions.open_shift(), None)
    assert await told() is None, "nothing is known yet"
    await anna.node.relay.announce(await anna.node.positions.report(Place(44.9, 6.6, 9)), None)
    found = await told()
    assert found is not None
    assert (found.latitude_e7, found.accuracy_dm) == (449_000_000, 90)
    assert await told(tells_place=False) is None, "the agent does not want it"
    await anna.node.relay.announce(await anna.node.positions.close_shift(), None)
    assert await told() is None, "the shift is over"


async def test_the_nearest_colleagues_come_first(autojump_clock: MockClock) -> None:
    plans = tuple(DevicePlan(name, Role.AGENT, (SQUAD,)) for name in ("anna", "bruno", "carla"))
    async with open_rig(plans) as rig:
        names = ("anna", "bruno", "carla")
        await rig.mix(*names)
        for name, latitude in (("bruno", 44.95), ("carla", 44.91)):
            node = rig[name].node
            await node.relay.announce(await node.positions.open_shift(), None)
            await node.relay.announce(await node.positions.report(Place(latitude, 6.6)), None)
        await rig.mix(*names)
        place = SosPlace(rig["anna"].machine.now_ms(), 449_000_000, 66_000_000, 50)
        alarm = await raise_alarm(rig["anna"], place=place)
        await rig.mix(*names)
        near = (await view(rig["bruno"], alarm)).nearest
        assert [each.node for each in near] == [rig["carla"].id, rig["bruno"].id]
        assert [round(each.distance_m) for each in near] == [1112, 5560]
        without = await raise_alarm(rig["anna"], tells_place=False)
        assert (await view(rig["anna"], without)).nearest == ()


# --- repeating -----------------------------------------------------------------------------------


async def count_sos(member: Member) -> int:
    """Bundles of alarms in a store."""
    return len(await member.held(Kind.SOS))


async def test_an_alarm_is_repeated_until_it_is_taken_where_that_brings_something(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    repeat_due = anna.node.alarms.repeat_due
    assert await repeat_due() is None
    await anna.node.relay.announce(await anna.node.positions.open_shift(), None)
    await anna.node.relay.announce(await anna.node.positions.report(Place(44.9, 6.6, 9)), None)
    name = await raise_alarm(anna, scope=squad_scope())
    assert await repeat_due() == MINUTE_MS
    anna.machine.clock_ahead_ms += MINUTE_MS
    assert await repeat_due() == MINUTE_MS
    assert await count_sos(anna) == 1, "the same again brings nothing: one copy is on its way"
    await anna.node.relay.announce(await anna.node.positions.report(Place(44.91, 6.6, 9)), None)
    anna.machine.clock_ahead_ms += MINUTE_MS
    assert await repeat_due() == 3 * MINUTE_MS
    assert await count_sos(anna) == 2, "a new place is worth a bundle"
    await met.mix("anna", "bruno")
    raised = (await view(bruno, name)).alarm.raised
    assert raised is not None
    assert raised.sos.number == 1
    assert raised.sos.place is not None
    assert raised.sos.place.latitude_e7 == 449_100_000
    assert await bruno.texts() == ["Chute au col"], "and shown once"
    await bruno.node.alarms.act(name, Step.TAKEN)
    await met.mix("anna", "bruno")
    assert await repeat_due() is None, "somebody is on the way"


async def test_an_alarm_does_not_expire_before_it_is_taken(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    name = await raise_alarm(anna, scope=squad_scope())
    for _hour in range(24 * 6 - 1):
        anna.machine.clock_ahead_ms += HOUR_MS
        bruno.machine.clock_ahead_ms += HOUR_MS
        await anna.node.alarms.repeat_due()
        await anna.node.housekeeping.look()
    assert anna.metric("alarms_repeated") == 3, "one for each half of a life of three days"
    await met.mix("anna", "bruno")
    assert (await view(bruno, name)).alarm.state is Step.RAISED
    ends_ms = max(each.header.expires_ms for each in await bruno.held(Kind.SOS))
    assert ends_ms > bruno.machine.now_ms() + 24 * HOUR_MS


async def test_what_waits_for_the_next_hour_is_not_repeated(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    for _ in range(QUOTA_HOUR_SOS):
        await raise_alarm(anna, scope=squad_scope())
    late = await anna.node.outbox.send(Writing(squad_scope(), "encore", Priority.SOS))
    assert late.is_held_back
    name = (anna.id, (await anna.message(late.key)).alarm_id)
    raised = (await view(anna, name)).alarm.raised
    assert raised is not None, "its agent sees it at once"
    await anna.node.outbox.cancel(late.key)
    assert (await view(anna, name)).alarm.raised is None, "and it is gone with its message"


async def test_whoever_raised_it_sees_whether_it_has_left(
    autojump_clock: MockClock, met: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    api = Api(anna.node)
    name = await raise_alarm(anna)
    found = await api.alarm("last")
    assert found["way"] == "queued"
    cli_alarm.show_alarm(found)
    assert "NOBODY IS KNOWN TO HAVE IT yet" in capsys.readouterr().out
    await met.mix("anna", "bruno")
    assert await bruno.node.alarms.show(name)
    await met.mix("anna", "bruno")
    assert (await api.alarm("last"))["way"] == "left"
    assert (await Api(bruno.node).alarm("last"))["way"] == "", "of that only its agent knows"
    for _ in range(QUOTA_HOUR_SOS):
        late = await anna.node.outbox.send(Writing(squad_scope(), "encore", Priority.SOS))
    assert late.is_held_back
    found = await api.alarm(late.alarm_id.hex())
    assert found["way"] == "waiting"
    cli_alarm.show_alarm(found)
    assert "It has NOT left this device" in capsys.readouterr().out


# --- what a screen signs by itself ---------------------------------------------------------------


async def test_strangers_stop_signing_that_they_saw_it_once_enough_did(
    autojump_clock: MockClock,
) -> None:
    crowd = [f"agent {number}" for number in range(ALARM_SEEN_MAX + 2)]
    plans = (
        DevicePlan("anna", Role.AGENT, (SQUAD,)),
        DevicePlan("mate", Role.AGENT, (SQUAD,)),
        *(DevicePlan(name, Role.AGENT, ("Ubaye",)) for name in crowd),
    )
    async with open_rig(plans) as rig:
        name = await raise_alarm(rig["anna"])
        signed = []
        for number, each in enumerate(crowd):
            previous = "anna" if number == 0 else crowd[number - 1]
            await rig.carry(previous, each, Kind.SOS)
            signed.append(await rig[each].node.alarms.show(name))
        assert signed == [True] * ALARM_SEEN_MAX + [False] * 2
        await rig.carry(crowd[-1], "mate", Kind.SOS)
        assert await rig["mate"].node.alarms.show(name), "a mate always does"
        assert await rig[crowd[-1]].node.alarms.act(name, Step.SEEN), "and so may a person"


async def test_screens_leave_enough_of_the_hour_to_people(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    names = [await raise_alarm(anna, scope=squad_scope()) for _ in range(QUOTA_HOUR_SOS)]
    await met.mix("anna", "bruno")
    signed = [await bruno.node.alarms.show(name) for name in names]
    assert sum(signed) == QUOTA_HOUR_SOS - ALARM_SPARE
    taken = [await bruno.node.alarms.act(name, Step.TAKEN) for name in names[:ALARM_SPARE]]
    assert all(taken)


async def test_one_author_says_only_so_much_of_one_alarm(
    autojump_clock: MockClock, met: Rig
) -> None:
    """An insider cannot fill the rows of an alarm: at the bound, and one beyond."""
    from meshnode.store import alarms as kept

    anna = met["anna"]
    name = await raise_alarm(anna, scope=squad_scope())
    (first,) = await anna.store.read(lambda conn: kept.steps(conn, name))
    results = []
    for seq in range(1, ALARM_AUTHOR_STEPS_MAX + 1):
        step = replace(first, name=replace(first.name, seq=1_000_000 + seq))
        results.append(await anna.store.write(partial(kept.put, record=step)))
    assert results == [True] * (ALARM_AUTHOR_STEPS_MAX - 1) + [False]


@settings(max_examples=30)
@given(st.integers(0, 10**13), st.integers(0, 10**10))
def test_the_next_look_is_never_now_and_never_late(first_ms: int, after_ms: int) -> None:
    from protocol.alarms import repeat_due_ms

    due_ms = repeat_due_ms(first_ms, first_ms + after_ms)
    assert 0 < due_ms - first_ms - after_ms <= 600_000
