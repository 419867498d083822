"""Event streams, driven by hand at the ASGI interface: order, life, ends, slow readers, bounds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from meshnode.web.gate import COOKIE
from meshnode.web.limits import FILE_TURN_S, FILES_MAX, PULSE_S, STREAM_SEND_S_MAX, STREAMS_MAX
from meshnode.web.roles import WebRole
from tests.meshnode.web.screens import Screens, open_screens


@pytest.fixture
async def screens(autojump_clock: MockClock, tmp_path: Path) -> AsyncIterator[Screens]:
    async with open_screens(tmp_path) as found:
        yield found


class Reader:
    """One screen that follows, or asks for something else."""

    def __init__(self, cookie: str, path: str = "/api/events") -> None:
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1:8480"), (b"cookie", f"{COOKIE}={cookie}".encode())],
            "server": ("127.0.0.1", 8480),
            "client": ("127.0.0.1", 5),
        }
        self.status = 0
        self.frames: list[str] = []
        self.is_over = False
        self.reads = True
        self.piece_s = 0.0
        self.leaves = trio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        if not self.reads:
            await trio.sleep_forever()
        await trio.sleep(self.piece_s)
        self.frames += [message["body"].decode()] if message["body"] else []
        self.is_over = self.is_over or not message.get("more_body", False)

    @property
    def events(self) -> list[dict[str, Any]]:
        """What was told, in order."""
        lines = "".join(self.frames).splitlines()
        return [json.loads(each[6:]) for each in lines if each.startswith("data: ")]

    @property
    def ids(self) -> list[int]:
        """The numbers of what was told."""
        lines = "".join(self.frames).splitlines()
        return [int(each[4:]) for each in lines if each.startswith("id: ")]


@asynccontextmanager
async def following(
    screens: Screens, count: int = 1, name: str = ""
) -> AsyncIterator[list[Reader]]:
    """Give readers, each with a session of its own, whose streams have begun."""
    sessions = screens.door.sessions
    readers = [Reader(sessions.open(WebRole.AGENT, 100_000, name).secret) for _ in range(count)]
    async with trio.open_nursery() as nursery:
        for each in readers:
            nursery.start_soon(screens.gate, each.scope, each.receive, each.send)
        await wait_all_tasks_blocked()
        yield readers
        nursery.cancel_scope.cancel()


async def test_events_come_in_order_with_their_numbers(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async with following(screens) as (reader,):
        for text in ("one", "two"):
            await screens.api.send("bruno", text)
        await wait_all_tasks_blocked()
        assert reader.status == 200
        assert reader.events[0] == {"event": "following"}
        assert [each["event"] for each in reader.events[1:]] == [
            "bundles_stored",
            "message_changed",
        ] * 2
        assert reader.ids == [1, 2, 3, 4, 5]
        assert reader.frames[0].startswith("retry: ")
        # No event tells a text.
        assert "one" not in "".join(reader.frames)


async def test_a_quiet_stream_shows_that_it_lives(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async with following(screens) as (reader,):
        await trio.sleep(3 * PULSE_S + 1)
        assert reader.frames[1:] == ["event: pulse\ndata:\n\n"] * 3
        assert len(reader.events) == 1


async def test_it_ends_with_its_session_and_others_go_on(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async with following(screens, 2) as (first, second):
        session = screens.door.sessions.find(first.scope["headers"][1][1].decode().split("=")[1])  # type: ignore[index]
        assert session is not None
        screens.door.sessions.end(session.id)
        await wait_all_tasks_blocked()
        assert (first.is_over, second.is_over) == (True, False)
        screens.door.close()
        await wait_all_tasks_blocked()
        assert second.is_over


async def test_it_ends_when_the_device_locks_and_says_so(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async with following(screens) as (reader,):
        await screens.rig["anna"].node.lock()
        await wait_all_tasks_blocked()
        assert reader.is_over
        assert reader.events[-1] == {"event": "lock_changed", "is_locked": True}


async def test_it_ends_when_its_token_was_revoked(
    autojump_clock: MockClock, screens: Screens
) -> None:
    made = await screens.api.web_token_add("wall", "agent")
    reader = Reader("")
    reader.scope["headers"] = [
        (b"host", b"127.0.0.1:8480"),
        (b"authorization", f"Bearer {made['token']}".encode()),
    ]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(screens.gate, reader.scope, reader.receive, reader.send)
        await wait_all_tasks_blocked()
        assert reader.status == 200
        await screens.api.web_token_revoke("wall")
        await trio.sleep(PULSE_S + 1)
        assert reader.is_over


async def test_a_reader_that_leaves_gives_its_place_back(
    autojump_clock: MockClock, screens: Screens
) -> None:
    streams = screens.gate.app.state.streams
    async with following(screens) as (reader,):
        assert len(streams) == 1
        reader.leaves.set()
        await wait_all_tasks_blocked()
        assert len(streams) == 0


async def test_a_reader_that_takes_nothing_is_dropped(
    autojump_clock: MockClock, screens: Screens
) -> None:
    streams = screens.gate.app.state.streams
    async with following(screens) as (reader,):
        reader.reads = False
        await trio.sleep(PULSE_S + STREAM_SEND_S_MAX + 1)
        assert len(streams) == 0
        assert screens.metric("web_streams_dropped") == 1


async def test_there_are_as_many_streams_as_places(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async with following(screens, STREAMS_MAX + 1) as readers:
        assert sorted(each.status for each in readers) == [200] * STREAMS_MAX + [429]
        screens.gate.app.state.streams.end()
        await wait_all_tasks_blocked()
        assert all(each.is_over for each in readers)


async def test_whoever_holds_every_stream_makes_room_for_others(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async with following(screens, STREAMS_MAX, "wall") as walls, following(screens) as (owner,):
        assert (owner.status, owner.is_over) == (200, False)
        assert sum(each.is_over for each in walls) == 1
        async with following(screens, 1, "wall") as (another,):
            assert another.status == 429, "their own places are taken still"


async def test_a_large_file_keeps_its_place_until_it_is_sent_and_goes_in_pieces(
    autojump_clock: MockClock, screens: Screens
) -> None:
    size_bytes, asked = 1_000_000, []

    async def content(file: str) -> tuple[dict[str, str], bytes]:
        asked.append(file)
        return {"name": "plan.pdf", "media": "pdf"}, b"x" * size_bytes

    screens.api.file_content = content  # type: ignore[method-assign]
    path = "/api/files/1/content"
    cookie = screens.door.sessions.open(WebRole.AGENT, 1_000).secret
    readers = [Reader(cookie, path) for _ in range(FILES_MAX + 1)]
    for each in readers:
        each.reads = False
    async with trio.open_nursery() as nursery:
        for each in readers:
            nursery.start_soon(screens.gate, each.scope, each.receive, each.send)
        await wait_all_tasks_blocked()
        assert len(asked) == FILES_MAX, "those who wait hold no file in memory"
        nursery.cancel_scope.cancel()
    reader = Reader(cookie, path)
    reader.leaves.set()
    await screens.gate(reader.scope, reader.receive, reader.send)
    assert sum(map(len, reader.frames)) == size_bytes
    assert max(map(len, reader.frames)) <= 65_536, "each piece has its own time"


async def test_who_waits_for_a_place_gets_that_of_the_slowest_after_its_turn(
    autojump_clock: MockClock, screens: Screens
) -> None:
    size_bytes = 3_000_000

    async def content(file: str) -> tuple[dict[str, str], bytes]:
        return {"name": file, "media": "pdf"}, b"x" * size_bytes

    screens.api.file_content = content  # type: ignore[method-assign]
    cookie = screens.door.sessions.open(WebRole.AGENT, 1_000).secret
    slow, slowest, waiting = (Reader(cookie, "/api/files/1/content") for _ in range(3))
    slow.piece_s, slowest.piece_s = 4, 10
    ended_s: dict[Reader, float] = {}

    async def ask(each: Reader) -> None:
        await screens.gate(each.scope, each.receive, each.send)
        ended_s[each] = trio.current_time()

    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, slow)
        nursery.start_soon(ask, slowest)
        await trio.sleep(FILE_TURN_S / 2)
        nursery.start_soon(ask, waiting)
    assert (slow.is_over, slowest.is_over, waiting.is_over) == (True, False, True)
    assert ended_s[waiting] - began_s <= FILE_TURN_S + slowest.piece_s
    assert ended_s[slow] - began_s > 3 * FILE_TURN_S, "nobody waits any more: it takes its time"
    assert screens.metric("web_requests_shed") == 1


async def test_an_upload_that_drips_makes_room_for_others_and_hears_why(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async def drip() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n'
        while True:
            await trio.sleep(5)
            yield b"x"

    form = {"content-type": "multipart/form-data; boundary=x"}
    statuses: list[int] = []

    async def upload(client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/files", content=drip(), headers=form)
        statuses.append(answer.status_code)

    began_s = trio.current_time()
    async with screens.signed_in() as client, trio.open_nursery() as nursery:
        for _ in range(FILES_MAX):
            nursery.start_soon(upload, client)
        await trio.sleep(1)
        photo = {"file": ("a.txt", b"abc", "text/plain")}
        answer = await client.post(
            "/api/files", files=photo, data={"to": "bruno", "text": "der Plan"}
        )
        assert answer.status_code == 200, answer.text
        assert trio.current_time() - began_s <= FILE_TURN_S + 10
        assert statuses == [503]
        nursery.cancel_scope.cancel()
