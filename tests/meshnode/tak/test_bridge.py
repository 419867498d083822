"""The bridge to a TAK server: what leaves, what is taken in, and what never does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from meshnode.api import Api
from meshnode.config import TakSettings
from meshnode.errors import LinkError
from meshnode.positions import Place
from meshnode.tak.bridge import BridgeParts, TakBridge
from meshnode.tak.cot import (
    UNKNOWN,
    CotEvent,
    EventStream,
    Point,
    read_event_untrusted,
    write_event,
)
from meshnode.tak.inward import ALERTS_PER_HOUR, LINES_PER_HOUR
from meshnode.tak.ledger import LINES_MAX, Line, TakLedger, load, save
from meshnode.tak.sharing import mate_uid
from protocol.guards import QUOTA_HOUR_SOS
from protocol.ids import print_node_id
from tests.meshnode.rig import SQUAD, Member, Rig
from tests.meshnode.services.test_board import MINUTE_MS, say_state, wait
from tests.meshnode.tak.test_cot import CHAT
from tests.meshnode.test_positions import HERE, begin, end, tell

EVERYTHING = TakSettings(
    server="tcp://127.0.0.1:1",
    send=("position", "battery", "chat", "sos", "receipt"),
    accept=("chat", "position", "sos"),
    chat_to=f"squad:{SQUAD}",
)


@dataclass
class Server:
    """A TAK server at the far end, which hears everything and says what it is told to."""

    bridge: TakBridge
    ledger: TakLedger
    kept: list[bytes]
    streams: list[trio.abc.Stream] = field(default_factory=list)
    heard: list[CotEvent] = field(default_factory=list)
    reader: EventStream = field(default_factory=EventStream)
    is_away: bool = False

    async def connect(self) -> trio.abc.Stream:
        if self.is_away:
            raise LinkError("no answer within 10 s")
        here, there = memory_stream_pair()
        self.streams.append(there)
        self.reader = EventStream()
        return here

    async def listen(self, s: float = 3.0) -> list[CotEvent]:
        """Return what came within some time, without the presence of the centre."""
        before = len(self.heard)
        with trio.move_on_after(s):
            while True:
                if not self.streams:
                    await trio.sleep(0.5)
                    continue
                data = await self.streams[-1].receive_some(65_536)
                if not data:
                    await trio.sleep(0.5)
                for raw in self.reader.receive_untrusted(bytes(data)):
                    self.heard.append(read_event_untrusted(raw))
        return [each for each in self.heard[before:] if each.type != "a-f-G-U-C-H"]

    async def say(self, *raws: bytes | str) -> None:
        for raw in raws:
            await self.streams[-1].send_all(raw.encode() if isinstance(raw, str) else raw)
        await trio.testing.wait_all_tasks_blocked(0.01)


@asynccontextmanager
async def serving(
    member: Member, settings: TakSettings = EVERYTHING, ledger: TakLedger | None = None
) -> AsyncIterator[Server]:
    """Run the bridge of a node against a server."""
    ledger = ledger or TakLedger(member.machine.now_ms())
    kept: list[bytes] = []
    server: Server

    async def keep(raw: bytes) -> None:
        kept.append(raw)

    async def dial() -> trio.abc.Stream:
        return await server.connect()

    node = member.node
    api = Api(node)
    uid = mate_uid(print_node_id(member.id))
    bridge = TakBridge(
        BridgeParts(api, settings, node.runtime, node.metrics, dial, ledger, keep, uid)
    )
    server = Server(bridge, ledger, kept)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bridge.run)
        await trio.testing.wait_all_tasks_blocked(0.01)
        yield server
        nursery.cancel_scope.cancel()


def uid_of(member: Member) -> str:
    return mate_uid(print_node_id(member.id))


async def show(met: Rig, place: Place = HERE) -> None:
    """Let Anna tell where she is and how full her battery is, up to the gateway."""
    await tell(met["anna"], place)
    await say_state(met["anna"])
    await met.mix("anna", "box", "gateway")


# --- out ---------------------------------------------------------------------------------------


async def test_a_mate_on_duty_is_shown_moves_and_goes_with_its_shift(
    autojump_clock: MockClock, met: Rig
) -> None:
    await begin(met["anna"])
    await show(met)
    async with serving(met["gateway"]) as server:
        (shown,) = await server.listen()
        assert (shown.uid, shown.type, shown.callsign) == (uid_of(met["anna"]), "a-f-G-U-C", "anna")
        assert (shown.point.latitude, shown.point.longitude) == (44.89, -6.64)
        assert shown.point.accuracy_m == 12.5
        status = shown.element("status")
        assert status is not None
        assert status.get("battery") == "61"
        assert shown.stale_ms - shown.start_ms == 6 * MINUTE_MS
        assert await server.listen(30) == [], "nothing moved"
        wait(met, 15_000)
        await say_state(met["anna"], 48)
        await met.mix("anna", "box", "gateway")
        (drained,) = await server.listen(15)
        assert drained.start_ms == shown.start_ms, "a battery is told of where nobody moves, too"
        status = drained.element("status")
        assert status is not None
        assert status.get("battery") == "48"
        wait(met, 15_000)
        await show(met, Place(44.9, -6.64))
        (moved,) = await server.listen(15)
        assert (moved.uid, moved.point.latitude) == (shown.uid, 44.9)
        assert moved.point.accuracy_m == UNKNOWN
        await end(met["anna"])
        await met.mix("anna", "box", "gateway")
        (gone,) = await server.listen(15)
        link = gone.element("link")
        assert link is not None
        assert (gone.type, link.get("uid")) == ("t-x-d-d", shown.uid)
        assert await server.listen(90) == []


async def test_a_stale_place_does_not_leave(autojump_clock: MockClock, met: Rig) -> None:
    await begin(met["anna"])
    await show(met)
    wait(met, 6 * MINUTE_MS)
    async with serving(met["gateway"]) as server:
        assert await server.listen() == []


@pytest.mark.parametrize(
    ("changes", "is_shown", "has_battery"),
    [
        ({"send": ("sos",)}, False, False),
        ({"send": ("position",)}, True, False),
        ({"squads": ("queyras",)}, True, True),
        ({"squads": ("Briançon",)}, False, False),
    ],
)
async def test_only_what_the_settings_name_leaves(
    autojump_clock: MockClock,
    met: Rig,
    changes: dict[str, tuple[str, ...]],
    is_shown: bool,
    has_battery: bool,
) -> None:
    await begin(met["anna"])
    await show(met)
    settings = TakSettings(**{"send": ("position", "battery"), **changes})  # type: ignore[arg-type]
    async with serving(met["gateway"], settings) as server:
        found = await server.listen()
        assert len(found) == is_shown
        assert any(each.element("status") for each in found) is has_battery


async def test_an_sos_goes_at_once_is_repeated_and_taken_back(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = Api(met["anna"].node)
    async with serving(met["gateway"]) as server:
        await server.listen()
        raised = await anna.sos("Chute <au> col", at="44.8,-6.5,20")
        await met.mix("anna", "gateway")
        (alert,) = await server.listen(1)
        assert (alert.type, alert.point) == ("b-a-o-tbl", Point(44.8, -6.5, 20.0))
        emergency, remarks = alert.element("emergency"), alert.element("remarks")
        assert emergency is not None
        assert remarks is not None
        assert (emergency.text, remarks.text) == ("anna", "Chute <au> col")
        again = await server.listen(65)
        assert [each.uid for each in again] == [alert.uid] * 2
        await anna.alarm_close(raised["alarm"])
        await met.mix("anna", "gateway")
        (over,) = [each for each in await server.listen(15) if each.type != "b-a-o-tbl"]
        emergency = over.element("emergency")
        assert emergency is not None
        assert (over.uid, over.type, emergency.get("cancel")) == (alert.uid, "b-a-o-can", "true")
        assert await server.listen(120) == []
    async with serving(met["gateway"], ledger=server.ledger) as server:
        assert await server.listen(60) == [], "closed, and told so, before the restart"


async def test_an_sos_that_was_closed_while_the_server_was_away_is_taken_back(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna = Api(met["anna"].node)
    raised = await anna.sos("Chute")
    await met.mix("anna", "gateway")
    async with serving(met["gateway"]) as server:
        assert [each.type for each in await server.listen()] == ["b-a-o-tbl"]
    await anna.alarm_close(raised["alarm"])
    await met.mix("anna", "gateway")
    async with serving(met["gateway"], ledger=server.ledger) as server:
        assert [each.type for each in await server.listen()] == ["b-a-o-can"]


async def test_chat_leaves_once_and_nothing_of_before(autojump_clock: MockClock, met: Rig) -> None:
    gateway = met["gateway"]
    await Api(met["anna"].node).send("codt", "avant")
    await met.mix("anna", "gateway")
    wait(met, 1_000)
    async with serving(gateway) as server:
        await server.listen()
        await Api(met["anna"].node).send("codt", "on descend")
        await met.mix("anna", "gateway")
        await Api(gateway.node).send(f"squad:{SQUAD}", "bien reçu")
        found = [each.chat for each in await server.listen(15)]
        assert [(each.sender, each.text) for each in found if each] == [
            ("anna", "[codt] on descend"),
            ("gateway", f"[squad:{SQUAD}] bien reçu"),
        ]
        assert server.kept, "what was told is written down"
    async with serving(gateway, ledger=server.ledger) as server:
        assert await server.listen(30) == []


async def test_what_is_written_to_one_device_does_not_leave(
    autojump_clock: MockClock, met: Rig
) -> None:
    gateway, anna = met["gateway"], met["anna"]
    async with serving(gateway) as server:
        await server.listen()
        await Api(anna.node).send("gateway", "pour toi seul")
        await met.mix("anna", "gateway")
        await Api(gateway.node).send("anna", "pour toi seule")
        await Api(gateway.node).send(f"squad:{SQUAD}", "pour tous")
        found = [each.chat for each in await server.listen(15)]
        assert [each.text for each in found if each] == [f"[squad:{SQUAD}] pour tous"]


async def test_nothing_leaves_while_the_node_is_locked(autojump_clock: MockClock, met: Rig) -> None:
    gateway = met["gateway"].node
    await begin(met["anna"])
    await show(met)
    async with serving(met["gateway"]) as server:
        assert len(await server.listen()) == 1
        await gateway.lock()
        assert [each.type for each in await server.listen(15)] == ["t-x-d-d"]
        assert await server.listen(90) == []


async def test_a_server_that_comes_and_goes_is_dialled_again(
    autojump_clock: MockClock, met: Rig
) -> None:
    gateway = met["gateway"]
    async with serving(gateway) as server:
        await server.listen()
        assert server.bridge.view()["is_connected"]
        server.is_away = True
        await server.streams[-1].aclose()
        await trio.sleep(40)
        assert not server.bridge.view()["is_connected"]
        assert server.bridge.view()["fault"] == "no answer within 10 s"
        assert gateway.metric("tak_connections_failed") > 2
        server.is_away = False
        await trio.sleep(70)
        assert server.bridge.view()["is_connected"]
        assert gateway.metric("tak_connections") == 2


# --- in ----------------------------------------------------------------------------------------


def line(number: int, text: str = "On est au col", room: str = "All Chat Rooms") -> str:
    found = CHAT.replace("77", str(number)).replace("On est au col", text)
    return found.replace('chatroom="All Chat Rooms"', f'chatroom="{room}"')


async def test_a_line_becomes_a_message_once_and_its_author_hears_of_it(
    autojump_clock: MockClock, met: Rig
) -> None:
    async with serving(met["gateway"]) as server:
        await server.listen()
        await server.say(line(1), line(1))
        assert await server.listen(15) == [], "their own line is not sent back"
        await met.mix("gateway", "anna", "bruno", "box")
        assert await met["anna"].texts() == ["TAK RESCUE 1 : On est au col"]
        await met.mix("gateway", "anna", "bruno", "box")
        (told,) = await server.listen(15)
        assert (told.uid, told.type) == ("1", "b-t-f-d")
        for name in ("anna", "bruno"):
            (message,) = await met[name].incoming()
            await Api(met[name].node).mark_read(message.key)
        await met.mix("gateway", "anna", "bruno", "box")
        assert [each.type for each in await server.listen(15)] == ["b-t-f-r"]
    async with serving(met["gateway"], ledger=server.ledger) as server:
        await server.listen()
        await server.say(line(1))
        assert await server.listen(15) == [], "it was taken before the restart"
        assert len(await met["gateway"].outgoing()) == 1


async def test_a_line_of_a_room_goes_to_the_squad_of_that_name(
    autojump_clock: MockClock, met: Rig
) -> None:
    settings = TakSettings(accept=("chat",), squads=(SQUAD,))
    async with serving(met["gateway"], settings) as server:
        await server.listen()
        await server.say(line(1, "a", SQUAD.upper()), line(2, "b"), line(3, "c", "Autre"))
        assert [each.text for each in await met["gateway"].outgoing()] == ["TAK RESCUE 1 : a"]
        assert met["gateway"].metric("tak_events_ignored") == 2, "chat_to names nobody"


async def test_a_flood_of_lines_is_cut(autojump_clock: MockClock, met: Rig) -> None:
    gateway = met["gateway"]
    async with serving(gateway) as server:
        await server.listen()
        await server.say(line(0, "x" * 2_000))
        assert gateway.metric("tak_events_refused") == 1
        await server.say("".join(line(number) for number in range(1, LINES_PER_HOUR + 4)))
        assert len(await gateway.outgoing()) <= LINES_PER_HOUR
        assert gateway.metric("tak_events_refused") >= 4
        assert gateway.metric("tak_events_taken") == len(await gateway.outgoing())
        assert len(server.ledger.lines) <= LINES_MAX


async def test_names_without_an_end_are_not_kept(autojump_clock: MockClock, met: Rig) -> None:
    gateway = met["gateway"]
    long = "7" * 60_000
    async with serving(gateway) as server:
        await server.listen()
        for old in ('messageId="', 'chatroom="All', 'senderCallsign="RESCUE', 'link uid="ANDR'):
            await server.say(CHAT.replace(old, old + long))
        assert gateway.metric("tak_events_refused") == 4
        assert server.ledger.lines == {}


def alert(number: int, kind: str = "b-a-o-tbl", lat: float = 45.0) -> bytes:
    from meshnode.tak.cot import Element

    name = Element("emergency", (), f"RESCUE {number}")
    return write_event(
        CotEvent(f"A{number}-9-1-1", kind, 1, 1, 2, "m-g", Point(lat, 6.0, 5.0), (name,))
    )


async def test_an_alert_of_a_partner_is_an_sos_until_it_is_cancelled(
    autojump_clock: MockClock, met: Rig
) -> None:
    gateway = met["gateway"]
    api = Api(gateway.node)
    async with serving(gateway) as server:
        await server.listen()
        await server.say(alert(1), alert(1))
        (raised,) = await api.alarms()
        assert (raised["text"], raised["state"]) == ("TAK RESCUE 1 : alerte", "raised")
        assert raised["place"]["latitude"] == 45.0
        assert await server.listen(60) == [], "their own alert is not sent back"
        await server.say(alert(1, "b-a-o-can"))
        (over,) = await api.alarms()
        assert over["state"] == "closed"
        for number in range(2, ALERTS_PER_HOUR + 5):
            await server.say(alert(number))
        assert len(await api.alarms()) == ALERTS_PER_HOUR
        assert gateway.metric("tak_events_refused") >= 4


async def test_a_flood_of_alerts_leaves_half_of_the_hour_to_people(
    autojump_clock: MockClock, met: Rig
) -> None:
    gateway = met["gateway"]
    api = Api(gateway.node)
    async with serving(gateway) as server:
        await server.listen()
        for number in range(30):
            # Long callsigns make long texts, whose beginning goes out by itself.
            raw = alert(number).replace(b"RESCUE", "\N{MOUNTAIN}".encode() * 30)
            await server.say(raw)
            await gateway.node.alarms.repeat_due()
            await server.say(raw.replace(b"b-a-o-tbl", b"b-a-o-can"))
        for _ in range(QUOTA_HOUR_SOS // 2):
            assert not (await api.sos("chute", tells_place=False))["is_held_back"]


async def test_units_of_partners_are_shown_to_people_alone(
    autojump_clock: MockClock, met: Rig
) -> None:
    gateway = met["gateway"]
    now_ms = gateway.machine.now_ms()
    marks = [
        CotEvent(
            f"P{n}", "a-f-G-U-C", now_ms, now_ms, now_ms + 5_000, "m-g", Point(n / 100, 6.0, 5)
        )
        for n in range(2_003)
    ]
    async with serving(gateway) as server:
        await server.listen()
        before = len(await gateway.ids())
        await server.say(b"".join(write_event(each) for each in marks))
        found = server.bridge.view()["marks"]
        assert (len(found), found[0]["uid"], found[-1]["uid"]) == (2_000, "P3", "P2002")
        assert not any(each["is_stale"] for each in found)
        gateway.machine.clock_ahead_ms += 6_000
        assert all(each["is_stale"] for each in server.bridge.view()["marks"])
        assert len(await gateway.ids()) == before


@pytest.mark.parametrize("accept", [(), ("chat",), ("position",), ("sos",)])
async def test_what_is_not_accepted_is_not_taken(
    autojump_clock: MockClock, met: Rig, accept: tuple[str, ...]
) -> None:
    gateway = met["gateway"]
    now_ms = gateway.machine.now_ms()
    mark = CotEvent("P", "a-f-G", now_ms, now_ms, now_ms, "m-g", Point(1, 1, 1))
    settings = TakSettings(accept=accept, chat_to="codt" if not accept else f"squad:{SQUAD}")
    async with serving(gateway, settings) as server:
        await server.listen()
        await server.say(line(1), alert(1), write_event(mark))
        assert bool(await gateway.outgoing()) is bool({"chat", "sos"} & set(accept))
        assert bool(await Api(gateway.node).alarms()) is ("sos" in accept)
        assert bool(server.bridge.view()["marks"]) is ("position" in accept)
        assert gateway.metric("tak_events_taken") == len(accept)
        assert gateway.metric("tak_events_ignored") == 3 - len(accept)


async def test_garbage_costs_a_counter_and_an_endless_event_the_connection(
    autojump_clock: MockClock, met: Rig
) -> None:
    gateway = met["gateway"]
    async with serving(gateway) as server:
        await server.listen()
        await server.say("<a></event>", "<event/></event>", line(1))
        assert gateway.metric("tak_events_refused") == 2
        assert len(await gateway.outgoing()) == 1
        with trio.move_on_after(5):
            await server.say(b"<event>" + b"x" * 70_000)
        await trio.sleep(5)
        assert gateway.metric("tak_connections") == 2
        assert gateway.metric("tak_events_refused") == 3


# --- the ledger --------------------------------------------------------------------------------


def test_a_ledger_is_read_back_and_a_damaged_one_begins_now(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "tak.json"
    assert load(path, 7) == TakLedger(7)
    ledger = TakLedger(5, 3, 4, {"a"}, {"u": "b"}, {"m": Line(9, "r", "s", "u", "l", "read")})
    save(path, ledger.encode())
    assert path.stat().st_mode & 0o777 == 0o600
    found = load(path, 7)
    assert found.encode() == ledger.encode()
    assert "On est" not in path.read_text()
    for raw in (b"", b"{}", b"[]", b'{"schema": 2}', path.read_bytes()[:-3], b"\xff"):
        path.write_bytes(raw)
        assert load(path, 7) == TakLedger(7)
