"""The service interface: plain values, ids as people see them, and nothing that is not so."""

from __future__ import annotations

import json
import os
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.directory import UnknownNameError
from meshnode.errors import LinkError, SendError
from meshnode.events import _EVENTS_MAX, DocumentsChanged
from meshnode.links.base import Address
from meshnode.node import Surroundings
from meshnode.outbox import Priority
from meshnode.stick import StickError
from protocol.errors import NoKeyError
from protocol.ids import print_node_id
from tests.meshnode.documents import roster
from tests.meshnode.rig import ZONE_SCOPE, Rig, squad_scope


def api(rig: Rig, name: str) -> Api:
    """Return the calls of one node."""
    return Api(rig[name].node)


async def test_everything_is_plain(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = api(met, "anna"), api(met, "bruno")
    sent = await anna.send("squad:Queyras", "hello")
    await met.mix("anna", "bruno", "box")
    found: list[Any] = [
        sent,
        await anna.message(sent["message"]),
        await anna.outgoing(),
        await bruno.inbox(),
        await anna.peers(),
        await anna.status(),
    ]
    assert json.loads(json.dumps(found)) == found


async def test_the_whole_story_of_a_message(autojump_clock: MockClock, met: Rig) -> None:
    anna, bruno = api(met, "anna"), api(met, "bruno")
    sent = await anna.send("Bruno", "hello")
    assert (sent["to"], sent["state"], sent["recipients"]) == ("bruno", "queued", 1)
    await met.mix("anna", "bruno")
    story = await anna.message(sent["message"])
    assert (story["direction"], story["state"], story["to"]) == ("outgoing", "delivered", "bruno")
    assert [each["state"] for each in story["recipients"]] == ["on device"]
    assert [each["event"] for each in story["ledger"]] == [
        "created",
        "sealed",
        "queued",
        "receipt",
        "delivered",
    ]
    assert story == await anna.message(str(sent["key"])), "its number names it, too"
    (arrived,) = await bruno.inbox()
    assert (arrived["from"], arrived["text"], arrived["kind"]) == ("anna", "hello", "text")
    assert (arrived["message"], arrived["is_read"]) == (sent["message"], False)
    assert await bruno.mark_read(arrived["key"]) is True
    assert await bruno.mark_read(arrived["key"]) is False
    assert (await bruno.inbox())[0]["is_read"] is True
    assert (await bruno.message(arrived["message"]))["direction"] == "incoming"


async def test_lists_go_on_where_they_ended(autojump_clock: MockClock, met: Rig) -> None:
    anna = api(met, "anna")
    for number in range(5):
        await anna.send("bruno", f"{number}")
    seen, after = [], 0
    while page := await anna.outgoing(after, 2):
        assert len(page) <= 2
        seen += [each["text"] for each in page]
        after = page[-1]["key"]
    assert seen == list("01234")
    assert await anna.outgoing(limit=-1) == []
    assert len(await anna.outgoing(limit=10**9)) == 5


@pytest.mark.parametrize("priority", ["high", "", "NORMAL", "sos"])
async def test_an_unknown_priority_is_refused(
    autojump_clock: MockClock, met: Rig, priority: str
) -> None:
    with pytest.raises(SendError) as caught:
        await api(met, "anna").send("bruno", "x", priority=priority)
    assert caught.value.reason == "priority"


async def test_kinds_have_their_words(autojump_clock: MockClock, met: Rig) -> None:
    anna = api(met, "anna")
    await anna.send("bruno", "a")
    await anna.send("bruno", "b", priority="low")
    await anna.send("zone", "c", sos=True)
    assert [each["kind"] for each in await anna.outgoing()] == ["text", "note", "sos"]


@pytest.mark.parametrize("name", ["", "nobody", "squad:nowhere", "Queyras"])
async def test_an_unknown_name_is_told(autojump_clock: MockClock, met: Rig, name: str) -> None:
    with pytest.raises(UnknownNameError):
        await api(met, "anna").send(name, "x")


@pytest.mark.parametrize("name", ["", "1.2", "0", "999", "x" * 500, "９", "-1", "\ud800"])
async def test_an_unknown_message_is_told(autojump_clock: MockClock, met: Rig, name: str) -> None:
    for call in (api(met, "anna").message, api(met, "anna").cancel):
        with pytest.raises(SendError) as caught:
            await call(name)
        assert caught.value.reason == "unknown"


async def test_a_message_is_cancelled_by_its_id(autojump_clock: MockClock, met: Rig) -> None:
    anna = api(met, "anna")
    sent = await anna.send("bruno", "never mind")
    assert await anna.cancel(sent["message"]) is True
    assert await anna.cancel(sent["message"]) is False
    (found,) = await anna.outgoing()
    assert (found["state"], found["reason"]) == ("refused", "cancelled")


async def test_the_state_of_a_node(autojump_clock: MockClock, met: Rig) -> None:
    found = await api(met, "anna").status()
    assert found["node"] == print_node_id(met["anna"].id)
    assert (found["name"], found["role"], found["squads"]) == ("anna", "agent", ["Queyras"])
    assert (found["is_online"], found["sessions"], found["listening"]) == (False, 0, [])
    assert found["store"]["bundles"] == len(await met["anna"].ids())
    assert found["store"]["bundles"] == sum(found["store"]["by_class"].values())
    assert (await api(met, "gateway").status())["is_online"] is True
    await met["anna"].send(met["bruno"].scope, "hello")
    assert (await api(met, "anna").status())["messages"] == {"queued": 1}


async def test_sync_once_moves_everything_and_tells_how_much(
    autojump_clock: MockClock, met: Rig
) -> None:
    await met["anna"].send(squad_scope(), "over the contact")
    told: list[Any] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(met["bruno"].node.run, Surroundings())
        found = await api(met, "anna").sync("bruno:1", told.append)
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert (found["name"], found["is_complete"]) == ("bruno", True)
    assert found["bundles_sent"] >= 2
    assert told
    assert told[-1]["bundles_sent"] == found["bundles_sent"]
    assert await met["bruno"].texts() == ["over the contact"]
    (peer,) = await api(met, "anna").peers()
    assert (peer["name"], peer["role"], peer["address"]) == ("bruno", "agent", "bruno:1")


async def test_a_place_where_nobody_is_is_told(autojump_clock: MockClock, met: Rig) -> None:
    for address in ("bruno:1", "no address at all"):
        with pytest.raises(LinkError):
            await api(met, "anna").sync(address)


async def test_online_is_who_meets_a_gateway(autojump_clock: MockClock, met: Rig) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(met["gateway"].node.run, Surroundings())
        await nursery.start(met["anna"].node.run, Surroundings((Address("gateway", 1),)))
        await trio.sleep(3)
        found = await api(met, "anna").status()
        assert (found["is_online"], found["neighbours"]) == (True, ["gateway"])
        assert found["listening"] == ["anna:1"]
        assert (await api(met, "anna").peers())[0]["is_up"] is True
        nursery.cancel_scope.cancel()
    assert (await api(met, "anna").status())["is_online"] is False


async def test_a_stick_carries_what_no_link_does(
    autojump_clock: MockClock, met: Rig, tmp_path: Path
) -> None:
    path = str(tmp_path / "carry.mesh")
    await met["anna"].send(squad_scope(), "on a stick")
    exported = await api(met, "anna").export_file(path, ["bruno"])
    assert exported["recipients"] == ["bruno"]
    assert exported["bundles"] > 0
    imported = await api(met, "bruno").import_file(path)
    assert imported["bundles_stored"] > 0
    assert imported["bundles_refused"] == 0
    assert await met["bruno"].texts() == ["on a stick"]
    again = await api(met, "bruno").import_file(path)
    assert again["bundles_stored"] == 0
    with pytest.raises(NoKeyError):
        await api(met, "box").import_file(path)


async def test_a_stick_for_somebody_whose_key_is_unknown_is_not_written(
    autojump_clock: MockClock, rig: Rig, tmp_path: Path
) -> None:
    with pytest.raises(StickError, match="meet them once first"):
        await api(rig, "anna").export_file(str(tmp_path / "x"), ["bruno"])
    with pytest.raises(StickError, match="meet them once first"):
        await api(rig, "anna").export_file(str(tmp_path / "x"))
    assert os.listdir(tmp_path) == []


async def test_whoever_follows_too_slowly_is_told_that_events_were_lost(
    autojump_clock: MockClock, met: Rig
) -> None:
    events, published = met["bruno"].node.events, 3 * _EVENTS_MAX // 2
    async with aclosing(api(met, "bruno").follow()) as told:
        assert await anext(told) == {"event": "following"}
        for _round in range(2):
            for number in range(published):
                events.publish(DocumentsChanged(number))
            assert await anext(told) == {"event": "following"}
            left = [(await anext(told))["count"] for _each in range(_EVENTS_MAX)]
            assert left == list(range(published))[-_EVENTS_MAX:]
        events.publish(DocumentsChanged(7))
        assert await anext(told) == {"event": "documents_changed", "count": 7}


async def test_following_tells_every_kind_of_event(autojump_clock: MockClock, met: Rig) -> None:
    heard: dict[str, Any] = {}

    async def follow() -> None:
        async for event in api(met, "bruno").follow():
            heard[event["event"]] = event

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await nursery.start(met["bruno"].node.run, Surroundings())
        await nursery.start(met["anna"].node.run, Surroundings((Address("bruno", 1),)))
        await trio.sleep(2)
        await met["anna"].send(met["bruno"].scope, "ping")
        await met["bruno"].send(met["anna"].scope, "pong")
        await met["anna"].send(ZONE_SCOPE, "help", Priority.SOS)

        await met["anna"].node.membership.accept([roster(met, ["anna", "bruno", "box"], 2).raw])
        await trio.sleep(2)
        await met["anna"].node.manager.stop()
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert set(heard) == {
        "following",
        "peer_up",
        "peer_down",
        "bundles_stored",
        "message_arrived",
        "alarm_changed",
        "message_changed",
        "documents_changed",
    }
    assert heard["peer_up"]["name"] == "anna"
    assert json.dumps(heard)
