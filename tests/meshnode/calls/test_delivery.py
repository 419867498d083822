"""The matrix of a message, and its outcome with a reason, as programs and people get them."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.errors import SendError
from meshnode.outbox import Priority
from protocol.guards import OUT_OF_REACH_MS, QUOTA_HOUR_SOS
from protocol.identity import Role
from protocol.reports import Reception
from sims.fleet import DevicePlan
from tests.meshnode import documents
from tests.meshnode.rig import CODT, SQUAD, ZONE_SCOPE, Rig, open_rig, squad_scope
from tests.meshnode.services.test_reading import read_all


async def story(rig: Rig, key: int) -> tuple[str, list[str], dict[str, dict[str, Any]]]:
    """Return outcome, whom it is about, and the rows of the matrix by name."""
    found = await Api(rig["anna"].node).message(str(key))
    rows = {row["name"]: row for row in found["matrix"]}
    return found["outcome"], found["outcome_names"], rows


async def test_from_writing_to_reading(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = met["anna"], met["bruno"]
    sent = await anna.send(squad_scope(), "where is everybody")
    outcome, names, rows = await story(met, sent.key)
    assert (outcome, names) == ("on its way", [])
    assert (rows["bruno"]["state"], rows["bruno"]["is_out_of_reach"]) == ("pending", False)
    await met.mix("anna", "bruno")
    assert (await story(met, sent.key))[0] == "delivered"
    await read_all(bruno)
    await met.mix("anna", "bruno")
    outcome, names, rows = await story(met, sent.key)
    assert (outcome, rows["bruno"]["state"], rows["bruno"]["why"]) == ("read", "read", "")


async def test_silence_has_a_beginning(autojump_clock: MockClock, met: Rig) -> None:
    """What counts is what a mate signed, whoever carried it, and any contact."""
    anna, bruno, box = met["anna"], met["bruno"], met["box"]
    sent = await anna.send(squad_scope(), "are you there")
    for each in met.members.values():
        each.machine.clock_ahead_ms += OUT_OF_REACH_MS + 60_000
    before = (await story(met, sent.key))[2]["bruno"]
    assert before["is_out_of_reach"] is True
    assert before["out_of_reach_since_ms"] == before["last_heard_ms"] > 0
    await bruno.send(CODT, "I am here")
    await met.carry("bruno", "box")
    await met.carry("box", "anna")
    after = (await story(met, sent.key))[2]["bruno"]
    assert (after["is_out_of_reach"], after["out_of_reach_since_ms"]) == (False, 0)
    assert after["last_heard_ms"] == bruno.machine.now_ms()
    assert box.id not in {row["node"] for row in (await story(met, sent.key))[2].values()}


async def test_a_message_that_expired_says_who_had_it(autojump_clock: MockClock) -> None:
    plans = tuple(DevicePlan(name, Role.AGENT, (SQUAD,)) for name in ("anna", "bruno", "carla"))
    async with open_rig(plans) as rig:
        anna = rig["anna"]
        await rig.mix("anna", "bruno", "carla")
        sent = await anna.send(squad_scope(), "soon over", lifetime_s=60)
        await rig.mix("anna", "bruno")
        anna.machine.clock_ahead_ms += 61_000
        await anna.node.housekeeping.look()
        outcome, names, rows = await story(rig, sent.key)
        assert (outcome, names) == ("expired", ["bruno"])
        assert (rows["bruno"]["why"], rows["carla"]["why"]) == ("", "expired")


async def test_a_missing_key_and_a_revoked_device(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        anna = rig["anna"]
        sent = await anna.send(rig["bruno"].scope, "no key yet")
        outcome, _names, rows = await story(rig, sent.key)
        assert (outcome, rows["bruno"]["why"]) == ("waiting", "no key")
        assert await anna.node.membership.accept([documents.revocations(rig, ["bruno"], 1).raw])
        assert (await story(rig, sent.key))[2]["bruno"]["why"] == "revoked"


async def test_what_the_hour_holds_back(autojump_clock: MockClock, met: Rig) -> None:
    count = QUOTA_HOUR_SOS + 1
    sent = [await met["anna"].send(ZONE_SCOPE, f"help {n}", Priority.SOS) for n in range(count)]
    assert (await story(met, sent[-1].key))[0] == "held back"


async def test_whoever_was_met_refused_it(autojump_clock: MockClock, met: Rig) -> None:
    anna, box = met["anna"], met["box"]
    sent = await anna.send(squad_scope(), "too much")
    short = (await anna.message(sent.key)).short_id
    assert short is not None
    for _ in range(2):
        await anna.node.relay.handed_over(box.id, [(short, Reception.QUOTA)])
    outcome, _names, rows = await story(met, sent.key)
    assert (outcome, rows["bruno"]["why"]) == ("turned down", "turned down")
    told = (await Api(anna.node).message(str(sent.key)))["ledger"]
    lines = [(line["name"], line["detail"]) for line in told if line["event"] == "turned down"]
    assert lines == [("box", "quota")]


async def test_every_end_of_a_cancellation(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = met["anna"], met["bruno"]
    api = Api(anna.node)
    early = await anna.send(squad_scope(), "taken back in time")
    assert await api.cancel(str(early.key))
    outcome, names, rows = await story(met, early.key)
    assert (outcome, names, rows["bruno"]["why"]) == ("cancelling", ["bruno"], "cancelling")
    await met.mix("anna", "bruno")
    outcome, names, rows = await story(met, early.key)
    assert (outcome, names, rows["bruno"]["state"]) == ("cancelled", [], "withdrawn")
    late = await anna.send(squad_scope(), "taken back too late")
    await met.mix("anna", "bruno")
    await read_all(bruno)
    assert await api.cancel(str(late.key))
    await met.mix("anna", "bruno")
    assert (await story(met, late.key))[:2] == ("too late", ["bruno"])


async def test_the_matrix_of_a_squad_counts_copies_as_their_message(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = met["anna"]
    api = Api(anna.node)
    keys = [(await anna.send(squad_scope(), f"{n}")).key for n in range(4)]
    await anna.send(CODT, "not for the squad")
    again = await api.resend(str(keys[3]))
    assert again["resends"] == (await api.message(str(keys[3])))["message"]
    found = await api.matrix(f"squad:{SQUAD}", last=3)
    assert [each["key"] for each in found["messages"]] == keys[1:]
    assert found["messages"][-1]["copies"] == [again["key"]]
    await met.mix("anna", "bruno")
    # The copy alone arrived at first: the message is there all the same.
    assert (await story(met, again["key"]))[0] == "delivered"
    assert (await api.message(str(again["key"])))["resends_key"] == keys[3]
    with pytest.raises(SendError, match="one device"):
        await api.resend(str(keys[0]), f"squad:{SQUAD}")
    with pytest.raises(SendError, match="no message"):
        await api.resend("999")


async def test_a_received_message_has_no_matrix(autojump_clock: MockClock, met: Rig) -> None:
    await met["anna"].send(squad_scope(), "hello")
    await met.mix("anna", "bruno")
    found = await Api(met["bruno"].node).message("1")
    assert (found["outcome"], found["matrix"]) == ("", [])
