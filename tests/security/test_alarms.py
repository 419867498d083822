"""Attacks on alarms: insiders who sign what they may not, replay, and the last byte of a disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from trio.testing import MockClock

from meshnode.errors import LockedError, StoreFullError
from meshnode.outbox import Priority, Writing
from meshnode.services.standing import standing_of
from meshnode.store import network_keys
from meshnode.store.alarms import AlarmName
from meshnode.store.keyring import KeyPurpose
from protocol import payloads
from protocol.alarms import Basis, Outcome, Standing, Step
from protocol.bundle import Bundle, Scope, Suite
from protocol.envelope import seal_message, sos_message_key
from protocol.identity import Role
from protocol.ids import BundleId
from protocol.limits import STORE_RESERVE_PCT, Kind
from protocol.orders import Revocation
from protocol.payloads import Sos
from protocol.reports import Reception
from sims.fleet import ZONE, DevicePlan
from sims.runtime import START_MS
from tests.meshnode import documents
from tests.meshnode.rig import SQUAD, ZONE_SCOPE, Member, Rig, open_rig

pytestmark = pytest.mark.slow

PLANS = (
    DevicePlan("anna", Role.AGENT, (SQUAD,)),
    DevicePlan("mallory", Role.AGENT, (SQUAD,)),
    DevicePlan("bruno", Role.AGENT, (SQUAD,)),
    DevicePlan("box", Role.RELAY, (SQUAD,)),
    DevicePlan("codt", Role.OPERATOR),
)
NAMES = tuple(plan.name for plan in PLANS)
PEOPLE = ("anna", "mallory", "bruno", "codt")


@pytest.fixture
async def town(autojump_clock: MockClock) -> AsyncIterator[Rig]:
    """Everybody has met everybody."""
    async with open_rig(PLANS) as rig:
        await rig.mix(*NAMES)
        yield rig


async def raised(member: Member, text: str = "Chute au col") -> AlarmName:
    """Raise an alarm; return its name."""
    sent = await member.node.outbox.send(Writing(ZONE_SCOPE, text, Priority.SOS))
    return member.id, sent.alarm_id


async def forged(member: Member, seq: int, sos: Sos, scope: Scope = ZONE_SCOPE) -> Bundle:
    """Return a step that a device really signs and seals, whatever it says."""
    store, now_ms = member.store, member.machine.now_ms()
    found = await store.read(
        lambda conn: network_keys.chosen(conn, KeyPurpose.ZONE_SOS, now_ms, ())
    )
    assert found is not None
    key_id, zone_key = found
    header = member.header(Kind.SOS, scope, seq, suite=Suite.ZONE, keyref=key_id)
    key = sos_message_key(zone_key, header.id)
    sealed = seal_message(key, header.encode(), payloads.encode(sos))
    return member.forge(header, sealed)


def step_of(member: Member, name: AlarmName, step: Step, **more: Any) -> Sos:
    """Return a step as a modified program would write it."""
    raiser = b"" if step is Step.RAISED else name[0]
    scope = ZONE_SCOPE.encode()
    numbers: dict[str, Any] = {key: int(value) for key, value in more.items()}
    return Sos(member.id, scope, "", name[1], int(step), raiser=raiser, **numbers)


async def states(rig: Rig, name: AlarmName) -> set[Step]:
    """What everybody says of an alarm."""
    return {(await rig[each].node.alarms.view(name)).alarm.state for each in PEOPLE}


@pytest.mark.parametrize("basis", [Basis.AGENT, Basis.OPERATOR, Basis.NONE])
async def test_a_mate_closes_nothing_by_the_right_of_others(town: Rig, basis: Basis) -> None:
    name = await raised(town["anna"])
    await town.mix(*NAMES)
    mallory = town["mallory"]
    lie = step_of(mallory, name, Step.CLOSED, basis=basis, outcome=Outcome.OVER)
    for other in ("anna", "bruno", "codt"):
        fate = await town[other].take([await forged(mallory, int(basis) + 1, lie)])
        assert fate == [Reception.STORED], "relays cannot judge what they cannot read"
        assert town[other].metric("alarm_steps_ignored") == 1
    assert await states(town, name) == {Step.RAISED}


async def test_one_mate_is_not_two_witnesses(town: Rig) -> None:
    name = await raised(town["anna"])
    await town.mix(*NAMES)
    lie = step_of(town["mallory"], name, Step.CLOSED, basis=Basis.WITNESS, outcome=Outcome.OVER)
    for seq in range(1, 5):
        await town["bruno"].take([await forged(town["mallory"], seq, lie)])
    await town.mix(*NAMES)
    assert await states(town, name) == {Step.RAISED}


async def test_nobody_raises_or_reopens_the_alarm_of_another(town: Rig) -> None:
    anna, mallory = town["anna"], town["mallory"]
    name = await raised(anna)
    await anna.node.alarms.act(name, Step.CLOSED)
    await town.mix(*NAMES)
    await town["bruno"].take(
        [await forged(mallory, 1, step_of(mallory, name, Step.RAISED, round=1))]
    )
    assert (await town["bruno"].node.alarms.view(name)).alarm.state is Step.CLOSED
    # The same eight bytes under another author are another alarm, shown as his.
    own = (mallory.id, name[1])
    assert (await town["bruno"].node.alarms.view(own)).alarm.state is Step.RAISED


async def test_a_payload_for_another_author_does_not_open(town: Rig) -> None:
    name = await raised(town["anna"])
    await town.mix(*NAMES)
    lie = replace(step_of(town["anna"], name, Step.CLOSED, basis=1, outcome=1))
    await town["bruno"].take([await forged(town["mallory"], 1, lie)])
    assert town["bruno"].metric("messages_unopenable") == 1
    assert await states(town, name) == {Step.RAISED}


async def test_the_closing_of_one_alarm_closes_no_other(town: Rig) -> None:
    anna, bruno = town["anna"], town["bruno"]
    first = await raised(anna, "un")
    await anna.node.alarms.act(first, Step.CLOSED)
    await town.mix(*NAMES)
    second = await raised(anna, "deux")
    await town.mix(*NAMES)
    closings = [each for each in await bruno.held(Kind.SOS) if each.header.author == anna.id]
    await bruno.take(closings)
    # Lifted under a header of the thief's own, the body opens no more.
    for seq, each in enumerate(closings, start=1):
        header = town["mallory"].header(
            Kind.SOS, ZONE_SCOPE, seq, suite=Suite.ZONE, keyref=each.header.keyref
        )
        await bruno.take([town["mallory"].forge(header, each.body)])
    assert bruno.metric("messages_unopenable") >= len(closings)
    assert await states(town, second) == {Step.RAISED}


async def test_what_a_revoked_author_signs_closes_nothing(town: Rig) -> None:
    """Before the news and after it: nodes that heard the step first come to the same."""
    mallory, codt = town["mallory"], town["codt"]
    name = await raised(town["anna"])
    await town.mix(*NAMES)
    await town["bruno"].node.alarms.act(name, Step.CLOSED)
    await mallory.node.alarms.act(name, Step.CLOSED)
    await town.carry("mallory", "codt")
    await town.carry("bruno", "codt")
    assert (await codt.node.alarms.view(name)).alarm.state is Step.CLOSED
    entry = Revocation(mallory.id, START_MS, mallory.store.incarnation, 0)
    listed = documents.signed_list(town, [entry], 1).raw
    for each in ("anna", "bruno", "codt"):
        await town[each].node.membership.accept([listed])
    assert (await codt.node.alarms.view(name)).alarm.state is Step.RAISED
    await town.mix("anna", "bruno", "codt")
    found = {
        (await town[each].node.alarms.view(name)).alarm.state
        for each in PEOPLE
        if each != "mallory"
    }
    assert found == {Step.RAISED}


async def test_a_step_for_another_zone_is_not_opened(town: Rig) -> None:
    name = await raised(town["anna"])
    await town.mix(*NAMES)
    elsewhere = Scope.for_zone(ZONE + 1)
    sos = replace(step_of(town["mallory"], name, Step.TAKEN), scope=elsewhere.encode())
    await town["bruno"].take([await forged(town["mallory"], 1, sos, elsewhere)])
    assert await states(town, name) == {Step.RAISED}


async def test_strangers_relays_and_other_zones_have_no_standing(town: Rig) -> None:
    directory, anna = town["bruno"].node.membership.directory, town["anna"].id

    def standing(node: bytes, zone: int = ZONE) -> Standing:
        return standing_of(directory, zone, anna, BundleId(node, 1, 1))

    assert standing(anna) is Standing.RAISER
    assert standing(town["bruno"].id) is Standing.MEMBER
    assert standing(town["codt"].id) is Standing.OPERATOR
    assert standing(town["box"].id) is Standing.NONE
    assert standing(bytes(16)) is Standing.NONE
    for name in ("bruno", "codt"):
        assert standing(town[name].id, ZONE + 1) is Standing.NONE, "an operator of elsewhere"


async def test_a_flood_of_steps_leaves_the_alarm_as_it_is(town: Rig) -> None:
    """Of one author an hour has 24 SOS and steps; the rest is refused before it is verified."""
    name = await raised(town["anna"])
    await town.mix(*NAMES)
    odd = replace(step_of(town["mallory"], name, Step.SEEN), step=15)
    fates = [
        (await town["bruno"].take([await forged(town["mallory"], seq, odd)]))[0]
        for seq in range(1, 40)
    ]
    assert (fates.count(Reception.STORED), fates.count(Reception.QUOTA)) == (24, 15)
    assert await states(town, name) == {Step.RAISED}
    await town["bruno"].node.alarms.act(name, Step.TAKEN)
    await town.mix("anna", "bruno")
    assert (await town["anna"].node.alarms.view(name)).alarm.state is Step.TAKEN


# --- raising always works ------------------------------------------------------------------------


async def test_a_full_store_still_takes_an_alarm_and_its_answers(town: Rig) -> None:
    """Texts fill all but the reserve, which is for authority documents and SOS alone."""
    anna, bruno = town["anna"], town["bruno"]
    for member in (anna, bruno):
        member.store.bytes_max = member.store.total_bytes * 100 // (100 - STORE_RESERVE_PCT)
        with pytest.raises(StoreFullError):
            for number in range(50):
                await member.send(town["codt"].scope, f"{number} " + "x" * 900)
    name = await raised(anna)
    assert await town.carry("anna", "bruno", Kind.SOS) == [Reception.STORED]
    await bruno.node.alarms.act(name, Step.TAKEN)
    await town.carry("bruno", "anna", Kind.SOS)
    assert (await anna.node.alarms.view(name)).alarm.state is Step.TAKEN


async def test_a_full_disk_says_so_and_keeps_no_half_of_an_alarm(town: Rig) -> None:
    """Where the file system has no byte left nothing can be kept: the agent is told at once."""
    anna = town["anna"]
    pages = await anna.store.read(lambda conn: conn.exec_driver_sql("PRAGMA page_count").scalar())
    limit = "PRAGMA max_page_count = {}"
    await anna.store.write(lambda tx: tx.connection.exec_driver_sql(limit.format(pages)))
    with pytest.raises(StoreFullError):
        for number in range(40):
            await raised(anna, f"{number} " + "x" * 9_000)
    before = await anna.node.alarms.list_alarms()
    assert len(before) == len(await anna.outgoing()) == len(await anna.held(Kind.SOS))
    await anna.store.write(lambda tx: tx.connection.exec_driver_sql(limit.format(4_000_000)))
    await raised(anna, "maintenant")
    assert len(await anna.node.alarms.list_alarms()) == len(before) + 1


async def test_a_locked_device_raises_nothing_and_says_how(town: Rig) -> None:
    anna = town["anna"]
    await anna.node.lock()
    with pytest.raises(LockedError, match="meshnode unlock"):
        anna.node.outbox  # noqa: B018 - the property is what is asked for
    await town["bruno"].node.relay.announce([], None)
    await raised(town["bruno"])
    await town.carry("bruno", "anna", Kind.SOS)
    assert len(await anna.held(Kind.SOS)) == 1, "it carries the alarms of others"
