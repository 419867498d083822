"""Who is let in, and for how long: codes, sessions, tokens, the agent's secret."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import trio
from trio.testing import MockClock

from meshnode.errors import ControlError, WebError, WrongSecretError
from meshnode.locking import SecretCase
from meshnode.web.door import Door, DoorState
from meshnode.web.gate import COOKIE, CSRF_HEADER
from meshnode.web.limits import (
    CODE_S_MAX,
    CODES_MAX,
    SESSION_S_MAX,
    SESSIONS_MAX,
    TOKEN_DAYS_MAX,
    TOKENS_MAX,
)
from meshnode.web.roles import WebRole
from meshnode.web.sessions import Session
from meshnode.web.tokens import TOKEN_FILE
from tests.meshnode.web.screens import Screens, open_screens


@pytest.fixture
async def screens(autojump_clock: MockClock, tmp_path: Path) -> AsyncIterator[Screens]:
    async with open_screens(tmp_path) as found:
        yield found


def code_of(screens: Screens) -> str:
    """Return a fresh code, as `meshnode web open` gives it."""
    return str(screens.door.open()["url"].partition("#key=")[2])


async def enter(client: httpx.AsyncClient, **body: str) -> httpx.Response:
    return await client.post("/api/session", json=body)


# --- codes and sessions ---------------------------------------------------------------------------


async def test_a_code_signs_in_once_and_the_cookie_is_kept_from_scripts(
    autojump_clock: MockClock, screens: Screens
) -> None:
    code = code_of(screens)
    async with screens.client() as client:
        answer = await enter(client, key=code)
        found = answer.json()
        assert (found["role"], found["name"], found["token"]) == ("agent", "anna", "")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= {*cookie.split("; ")}
        assert "Secure" not in cookie
        mine = await client.get("/api/session")
        assert mine.json()["csrf"] == found["csrf"]
        again = await enter(client, key=code)
        assert (again.status_code, again.json()["error"]["kind"]) == (401, "wrong_key")
    assert (screens.metric("web_signins"), screens.metric("web_signins_refused")) == (1, 1)


async def test_by_https_the_cookie_never_goes_in_clear(
    autojump_clock: MockClock, screens: Screens
) -> None:
    transport = httpx.ASGITransport(screens.gate)
    base = "https://127.0.0.1:8480"
    async with httpx.AsyncClient(transport=transport, base_url=base) as client:
        answer = await enter(client, key=code_of(screens))
    assert "Secure" in answer.headers["set-cookie"]


async def test_a_code_lives_five_minutes(autojump_clock: MockClock, screens: Screens) -> None:
    codes = [code_of(screens) for _ in range(2)]
    async with screens.client() as client:
        await trio.sleep(CODE_S_MAX - 1)
        assert (await enter(client, key=codes[0])).status_code == 200
        await trio.sleep(1)
        assert (await enter(client, key=codes[1])).status_code == 401


async def test_of_more_codes_than_wait_the_oldest_goes(
    autojump_clock: MockClock, screens: Screens
) -> None:
    codes = [code_of(screens) for _ in range(CODES_MAX + 1)]
    async with screens.client() as client:
        assert (await enter(client, key=codes[0])).status_code == 401
        assert (await enter(client, key=codes[1])).status_code == 200


async def test_a_session_ends_after_a_shift(autojump_clock: MockClock, screens: Screens) -> None:
    async with screens.client() as client:
        await enter(client, key=code_of(screens))
        await trio.sleep(SESSION_S_MAX - 1)
        assert (await client.get("/api/session")).status_code == 200
        await trio.sleep(1)
        assert (await client.get("/api/session")).status_code == 401


async def test_of_more_sessions_than_there_may_be_the_oldest_ends(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async with screens.signed_in() as first, screens.signed_in() as second:
        for _ in range(SESSIONS_MAX - 1):
            screens.door.sessions.open(WebRole.AGENT, 60)
        assert (await first.get("/api/session")).status_code == 401
        assert (await second.get("/api/session")).status_code == 200


async def test_signing_out_and_closing_end_sessions(
    autojump_clock: MockClock, screens: Screens
) -> None:
    async with screens.signed_in() as first, screens.signed_in() as second:
        assert (await first.delete("/api/session")).json()["is_changed"] is True
        assert (await first.get("/api/session")).status_code == 401
        assert (await second.get("/api/session")).status_code == 200
        assert await screens.api.web_close() == 1
        assert (await second.get("/api/session")).status_code == 401
        assert await screens.api.web_close() == 0


async def test_closing_forgets_codes_as_well(autojump_clock: MockClock, screens: Screens) -> None:
    code = code_of(screens)
    await screens.api.web_close()
    async with screens.client() as client:
        assert (await enter(client, key=code)).status_code == 401


@pytest.mark.parametrize(("who", "role"), [("anna", "agent"), ("gateway", "operator")])
async def test_a_code_gives_what_the_owner_of_the_device_is(
    tmp_path: Path, who: str, role: str
) -> None:
    async with open_screens(tmp_path, who) as screens:
        assert (await screens.api.web_open())["role"] == role


@pytest.mark.parametrize("body", [{}, {"key": "a", "token": "b"}, {"key": ""}, {"password": "a"}])
async def test_a_sign_in_gives_one_thing(
    autojump_clock: MockClock, screens: Screens, body: dict[str, str]
) -> None:
    async with screens.client() as client:
        answer = await enter(client, **body)
        assert (answer.status_code, answer.json()["error"]["kind"]) == (400, "body")


async def test_without_screens_the_calls_say_so(
    autojump_clock: MockClock, screens: Screens
) -> None:
    screens.api.door = None
    with pytest.raises(ControlError, match="meshnode run --web"):
        await screens.api.web_open()


async def test_while_nothing_is_served_no_code_is_given(
    autojump_clock: MockClock, screens: Screens
) -> None:
    screens.door.state = DoorState("", "the address is taken")
    with pytest.raises(WebError, match="the address is taken"):
        screens.door.open()


# --- tokens ---------------------------------------------------------------------------------------


async def test_a_token_is_shown_once_and_kept_as_its_hash(
    autojump_clock: MockClock, screens: Screens
) -> None:
    made = await screens.api.web_token_add("wall", "reader", 30)
    path = screens.parts.home / TOKEN_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert made["token"] not in path.read_text()
    (listed,) = await screens.api.web_tokens()
    assert (listed["name"], listed["role"], listed["has_ended"]) == ("wall", "reader", False)
    assert made["token"] not in json.dumps(listed)
    async with screens.client(headers={"authorization": f"bearer {made['token']}"}) as program:
        found = (await program.get("/api/session")).json()
        assert (found["role"], found["token"], found["csrf"]) == ("reader", "wall", "")


async def test_a_restart_keeps_tokens_and_a_revocation_ends_all_that_came_of_one(
    autojump_clock: MockClock,
    screens: Screens,
) -> None:
    made = await screens.api.web_token_add("wall", "agent")
    async with screens.client() as browser:
        signed_in = await enter(browser, token=made["token"])
        assert signed_in.json()["token"] == "wall"
        door = Door(screens.api, screens.parts.home, screens.parts.runtime)
        assert door.bearer(made["token"]) is not None
        assert await screens.api.web_token_revoke("wall") is True
        assert await screens.api.web_token_revoke("wall") is False
        assert (await browser.get("/api/session")).status_code == 401
        assert (await enter(browser, token=made["token"])).status_code == 401
    assert screens.door.bearer(made["token"]) is None


async def test_a_token_ends_by_the_calendar(autojump_clock: MockClock, screens: Screens) -> None:
    made = await screens.api.web_token_add("wall", "agent", 1)
    machine = screens.rig["anna"].machine
    before = screens.door.bearer(made["token"])
    assert before is not None
    left_s = screens.door.left_s(before)
    assert 0 < left_s <= 86_400
    await trio.sleep(left_s + 1)
    assert machine.now_ms() > made["ends_ms"]
    assert screens.door.bearer(made["token"]) is None
    assert screens.door.left_s(before) == 0
    assert (await screens.api.web_tokens())[0]["has_ended"] is True


async def test_a_token_by_a_cookie_or_a_session_as_a_token_is_nothing(
    autojump_clock: MockClock, screens: Screens
) -> None:
    made = await screens.api.web_token_add("wall", "agent")
    opened = screens.door.sessions.open(WebRole.AGENT, 60)
    async with screens.client(cookies={COOKIE: made["token"]}) as client:
        assert (await client.get("/api/session")).status_code == 401
    async with screens.client(headers={"authorization": f"Bearer {opened.secret}"}) as client:
        assert (await client.get("/api/session")).status_code == 401


@pytest.mark.parametrize(
    ("name", "role", "days"),
    [
        ("", "agent", 1),
        ("a" * 41, "agent", 1),
        ("a b", "agent", 1),
        ("../x", "agent", 1),
        ("a", "nobody", 1),
        ("a", "root", 1),
        ("a", "agent", 0),
        ("a", "agent", TOKEN_DAYS_MAX + 1),
    ],
)
async def test_a_token_that_cannot_be_is_refused(
    autojump_clock: MockClock, screens: Screens, name: str, role: str, days: int
) -> None:
    with pytest.raises(WebError):
        await screens.api.web_token_add(name, role, days)
    assert await screens.api.web_tokens() == []


async def test_tokens_are_bounded_and_each_name_is_one(
    autojump_clock: MockClock, screens: Screens
) -> None:
    for number in range(TOKENS_MAX):
        await screens.api.web_token_add(f"t{number}", "reader", TOKEN_DAYS_MAX)
    with pytest.raises(WebError, match="revoke one"):
        await screens.api.web_token_add("more", "reader")
    await screens.api.web_token_revoke("t0")
    with pytest.raises(WebError, match="there is a token"):
        await screens.api.web_token_add("t1", "reader")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"version": 2, "tokens": []}',
        '{"version": 1}',
        '{"version": 1, "tokens": [{"name": "a"}]}',
        '{"version": 1, "tokens": [{"name": "a", "role": "root", "made_ms": 1, "ends_ms": 2, '
        '"hash": "00"}]}',
        "[" * 100_000,
    ],
)
async def test_a_damaged_file_of_tokens_is_told(
    autojump_clock: MockClock, screens: Screens, tmp_path: Path, text: str
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / TOKEN_FILE).write_text(text)
    with pytest.raises(WebError):
        Door(screens.api, folder, screens.parts.runtime)


async def test_a_disk_that_takes_no_token_gives_none(
    autojump_clock: MockClock, screens: Screens
) -> None:
    (screens.parts.home / f".{TOKEN_FILE}.new").mkdir()
    with pytest.raises(WebError, match="cannot be written"):
        await screens.api.web_token_add("wall", "reader")
    assert await screens.api.web_tokens() == []


# --- the agent's secret ---------------------------------------------------------------------------


class _Guard(SimpleNamespace):
    """What signing in asks of a guard, over the rig's own node."""

    gateway = None

    async def unlock(self, secret: str) -> bool:
        if secret != "right":
            raise WrongSecretError("the secret is wrong")
        self.node.open_desk(self.desk)
        return True

    def touch(self) -> None: ...

    def describe(self) -> dict[str, object]:
        return {"is_locked": self.node.desk is None, "protection": self.case.value}


async def test_on_a_locked_device_the_secret_signs_in(
    autojump_clock: MockClock, screens: Screens
) -> None:
    anna = screens.rig["anna"]
    screens.api._guard = _Guard(  # type: ignore[assignment]
        node=anna.node, desk=anna.parts.desk, case=SecretCase.WORDS
    )
    async with screens.client() as client:
        # While it is open nobody looks at the secret.
        assert (await enter(client, secret="right")).status_code == 401
        await anna.node.lock()
        wrong = await enter(client, secret="wrong")
        assert (wrong.status_code, wrong.json()["error"]["kind"]) == (403, "wrong_secret")
        answer = await enter(client, secret="right")
        assert (answer.status_code, answer.json()["is_locked"]) == (200, False)
        assert (await client.get("/api/messages/inbox")).status_code == 200


async def test_a_device_that_opens_by_itself_takes_no_secret(
    autojump_clock: MockClock, screens: Screens
) -> None:
    anna = screens.rig["anna"]
    screens.api._guard = _Guard(  # type: ignore[assignment]
        node=anna.node, desk=anna.parts.desk, case=SecretCase.UNATTENDED
    )
    await anna.node.lock()
    async with screens.client() as client:
        assert (await enter(client, secret="right")).status_code == 401
    assert screens.api.is_locked


# --- nothing is told ------------------------------------------------------------------------------


async def test_no_secret_stands_in_a_log_a_trace_or_a_repr(
    autojump_clock: MockClock, screens: Screens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    code = code_of(screens)
    made = await screens.api.web_token_add("wall", "agent")
    async with screens.client() as client:
        csrf = (await enter(client, key=code)).json()["csrf"]
        cookie = client.cookies[COOKIE]
        await enter(client, key=code)
        await client.post("/api/unlock", json={"secret": "hush-hush"}, headers={CSRF_HEADER: csrf})
    session = screens.door.sessions.find(cookie)
    assert session is not None
    told = "\n".join(
        [
            *(record.getMessage() for record in caplog.records if "HTTP Request" not in record.msg),
            *map(str, screens.rig.tracer.lines),
            repr(screens.parts),
            repr(screens.door),
            repr(session),
            repr(screens.door.sessions.open(WebRole.AGENT, 1)),
            repr(screens.door.bearer(made["token"])),
            repr(replace(screens.parts)),
        ]
    )
    for secret in (code, cookie, csrf, made["token"], "hush-hush"):
        assert secret not in told


def test_nobody_proves_a_word_that_is_none() -> None:
    assert not Session(bytes(32), WebRole.AGENT, "wall", 1.0).proves("")
