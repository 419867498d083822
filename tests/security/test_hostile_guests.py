"""Guests of the screens: what somebody without a session, or with a small one, can hold up."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio
from trio.testing import MockClock

from meshnode.web.bodies import (
    AlarmCloseBody,
    AlarmTextBody,
    ConfirmBody,
    DeclineBody,
    MessageBody,
    OwnPaperBody,
    SessionBody,
    SosBody,
)
from meshnode.web.gate import COOKIE
from meshnode.web.limits import BODY_BYTES_MAX, GUESTS_MAX, REQUESTS_MAX, SESSIONS_MAX
from meshnode.web.roles import WebRole
from tests.meshnode.web.screens import Screens, open_screens

JSON = {"content-type": "application/json"}


@pytest.fixture
async def screens(autojump_clock: MockClock, tmp_path: Path) -> AsyncIterator[Screens]:
    async with open_screens(tmp_path) as found:
        yield found


class Pulled:
    """A body of 64 kB pieces that says how much of it was read."""

    def __init__(self, pieces: int) -> None:
        self.bytes = 0
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.bytes >= self._pieces * 65_536:
            raise StopAsyncIteration
        self.bytes += 65_536
        return b" " * 65_536


async def test_a_text_without_an_end_costs_a_guest_no_time_of_the_node(
    autojump_clock: MockClock, screens: Screens
) -> None:
    # Each quote might begin a text that is looked for to the end.
    raw = b'\\"' * 20_000
    async with screens.client() as guest:
        began_s = time.process_time()
        answer = await guest.post("/api/session", content=raw, headers=JSON)
        took_s = time.process_time() - began_s
    assert answer.status_code == 400
    assert took_s < 1


@pytest.mark.filterwarnings("ignore:.*ByteStream:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("media", ["application/json", "Application/JSON", "text/plain; x=json"])
async def test_a_body_of_json_is_never_as_large_as_a_file(
    autojump_clock: MockClock, screens: Screens, media: str
) -> None:
    async with screens.signed_in() as agent:
        for path in ("/api/files", "/api/files/1/cancel"):
            body = Pulled(4 * BODY_BYTES_MAX // 65_536)
            headers = {"content-type": media}
            await agent.post(path, content=body, headers=headers)
            assert body.bytes <= BODY_BYTES_MAX + 65_536, path


async def test_a_request_that_takes_no_body_reads_none(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async with screens.signed_in() as agent:
        body = Pulled(1)
        answer = await agent.request("GET", "/api/status", content=body, headers=JSON)
    assert (answer.status_code, body.bytes) == (200, 0)


async def test_guests_who_never_end_their_requests_leave_places_to_those_signed_in(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await trio.sleep_forever()

    async def linger(guest: httpx.AsyncClient) -> None:
        await guest.post("/api/session", content=endless(), headers=JSON)

    assert GUESTS_MAX < REQUESTS_MAX
    async with (
        screens.client(timeout=None) as guest,
        screens.signed_in() as agent,
        trio.open_nursery() as nursery,
    ):
        for _ in range(REQUESTS_MAX):
            nursery.start_soon(linger, guest)
        # On this clock a second is over once everybody waits.
        await trio.sleep(1)
        answer = await guest.get("/healthz")
        assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "busy")
        assert (await agent.get("/api/status")).status_code == 200
        async with await screens.program() as program:
            assert (await program.get("/api/status")).status_code == 200
        nursery.cancel_scope.cancel()
    assert screens.metric("web_requests_shed") == REQUESTS_MAX - GUESTS_MAX + 1


async def test_a_token_signs_nobody_else_out(autojump_clock: MockClock, screens: Screens) -> None:
    shown = (await screens.door.add_token("wall", "reader", 30))["token"]
    async with screens.signed_in(WebRole.OPERATOR) as operator, screens.client() as reader:
        for _ in range(SESSIONS_MAX + 1):
            reader.cookies.clear()
            answer = await reader.post("/api/session", json={"token": shown})
            assert answer.status_code == 200
        assert reader.cookies[COOKIE]
        assert (await reader.get("/api/session")).status_code == 200
        assert (await operator.get("/api/session")).status_code == 200


def test_no_body_shows_what_somebody_wrote() -> None:
    word = "col de la lune"
    for each in (
        MessageBody(to="anna", text=word),
        SosBody(text=word, at=word),
        AlarmTextBody(text=word),
        AlarmCloseBody(text=word),
        SessionBody(key=word, token=word, secret=word),
        ConfirmBody(token=word, typed="anna"),
        DeclineBody(reason=word),
        OwnPaperBody(text=word, secret=word),
    ):
        assert word not in repr(each), type(each).__name__
