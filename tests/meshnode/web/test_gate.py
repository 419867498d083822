"""What every route refuses: tried on each of the table, and that no other route answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount
from starlette.routing import Route as Plain

from meshnode.web.gate import COOKIE, CSRF_HEADER, EVENTS_PATH, HEADERS, PRESENCE_HEADER, GatedRoute
from meshnode.web.limits import BODY_BYTES_MAX, JSON_DEPTH_MAX, REQUESTS_MAX
from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import Route
from meshnode.web.routes.table import ROUTES
from tests.meshnode.web.screens import Screens, open_screens

GUARDED = [each for each in ROUTES if each.least > WebRole.NOBODY]
CHANGING = [each for each in GUARDED if each.method != "GET"]
FILLED = {
    "message": "1",
    "request": "0",
    "key": "1",
    "alarm": "last",
    "file": "1",
    "name": "alps",
    "ending": "csv",
    "collection": "positions",
    "item": "nobody",
}


@pytest.fixture
async def screens(tmp_path: Path) -> AsyncIterator[Screens]:
    async with open_screens(tmp_path) as found:
        yield found


async def ask(client: httpx.AsyncClient, route: Route, **headers: str) -> httpx.Response:
    """Ask a route with its parameters filled in and a body that is none of its own."""
    path = route.path.format(**FILLED)
    body = None if route.method == "GET" else {"unknown": 1}
    return await client.request(route.method, path, headers=headers, json=body)


def kind(answer: httpx.Response) -> str:
    """Return the word of a refusal."""
    found = answer.json()
    assert found["schema"] == 1
    assert found["error"]["message"]
    return str(found["error"]["kind"])


def test_few_routes_need_nobody() -> None:
    """What else stands outside the table is the front end, which holds nothing of anybody.

    Of the two about an SOS one needs the secret, the other the 8 random bytes of an alarm.
    """
    open_to_all = {each.path for each in ROUTES if each.least is WebRole.NOBODY}
    assert open_to_all == {
        "/api/session",
        "/api/sos/secret",
        "/api/sos/{alarm}/way",
        "/healthz",
    }


async def test_routes_that_need_nobody_are_named_and_all_others_gated(screens: Screens) -> None:
    gated, bare = set(), set()
    for route in screens.gate.app.router.routes:
        if isinstance(route, APIRoute):
            assert isinstance(route, GatedRoute)
            gated |= {(method, route.path) for method in route.methods or ()}
        elif isinstance(route, Mount):
            bare.add(route.path)
        else:
            assert isinstance(route, Plain)
            bare.add(route.path)
            assert route.methods == {"GET", "HEAD"}
    assert gated == {(each.method, each.path) for each in ROUTES}
    assert bare == {
        "/",
        "/assets",
        "/favicon.ico",
        "/icons",
        "/manifest.webmanifest",
        "/map",
        "/robots.txt",
        "/sw.js",
    }


def test_a_route_without_a_least_role_cannot_be_made() -> None:
    async def anybody() -> None: ...

    with pytest.raises(KeyError):
        GatedRoute("/open", anybody)


async def assert_refused(
    client: httpx.AsyncClient, route: Route, status: int, word: str, **headers: str
) -> None:
    """Assert that a route refuses, and by this word."""
    answer = await ask(client, route, **headers)
    assert (answer.status_code, kind(answer)) == (status, word), f"{route.method} {route.path}"


async def test_nobody_is_let_in_without_a_session(screens: Screens) -> None:
    async with screens.client() as client:
        for route in GUARDED:
            wrong = "0" * 32
            await assert_refused(client, route, 401, "no_session")
            await assert_refused(client, route, 401, "wrong_key", authorization=f"Bearer {wrong}")
            cookie = f"meshnode_session={wrong}"
            await assert_refused(client, route, 401, "no_session", cookie=cookie)
    assert screens.metric("web_requests_refused") == 3 * len(GUARDED)


async def test_a_lower_role_is_refused(screens: Screens) -> None:
    for route in GUARDED:
        async with screens.signed_in(WebRole(route.least - 1)) as client:
            await assert_refused(client, route, 403, "role")
    assert screens.metric("web_requests_refused") == len(GUARDED)


async def test_another_site_is_refused(screens: Screens) -> None:
    async with screens.signed_in(WebRole.OPERATOR) as client:
        for route in ROUTES:
            for origin in ("http://evil.example", "null", "", "https://127.0.0.1:8480"):
                await assert_refused(client, route, 403, "origin", origin=origin)
            # Another port of this machine is the same site, and another program.
            for site in ("cross-site", "same-site"):
                foreign = {"sec-fetch-site": site}
                await assert_refused(client, route, 403, "origin", **foreign)
        for site in ("same-origin", "none"):
            ours = {"sec-fetch-site": site}
            assert (await client.get("/api/session", headers=ours)).status_code == 200


async def test_by_https_a_page_in_clear_is_another_site(screens: Screens) -> None:
    base = "https://127.0.0.1:8480"
    transport = httpx.ASGITransport(screens.gate)
    opened = screens.door.sessions.open(WebRole.AGENT, 60)
    cookies = {COOKIE: opened.secret}
    async with httpx.AsyncClient(transport=transport, base_url=base, cookies=cookies) as client:
        for origin, status in ((base, 200), ("http://127.0.0.1:8480", 403)):
            answer = await client.get("/api/session", headers={"origin": origin})
            assert answer.status_code == status


async def test_no_web_socket_is_opened(screens: Screens) -> None:
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await screens.gate({"type": "websocket", "path": "/api/events"}, receive, send)
    assert said == [{"type": "websocket.close", "code": 1008}]


async def test_a_foreign_name_is_not_served(screens: Screens) -> None:
    hosts = ("evil.example:8480", "127.0.0.1.evil.example:8480", "127.0.0.1:80", "10.0.0.1:8480")
    async with screens.signed_in(WebRole.OPERATOR) as client:
        for route in ROUTES:
            for host in hosts:
                await assert_refused(client, route, 421, "host", host=host)


async def test_on_a_network_addresses_and_own_names_are_served(tmp_path: Path) -> None:
    async with (
        open_screens(tmp_path, is_local=False, names=("codt.example",)) as screens,
        screens.signed_in() as client,
    ):
        for host, status in (
            ("10.0.0.1:8480", 200),
            ("codt.example:8480", 200),
            ("CODT.example:8480", 200),
            ("localhost:8480", 421),
            ("evil.example:8480", 421),
        ):
            answer = await client.get("/api/status", headers={"host": host})
            assert answer.status_code == status, host


async def test_two_names_at_once_are_not_served(screens: Screens) -> None:
    async with screens.signed_in() as client:
        hosts = [("host", "127.0.0.1:8480"), ("host", "evil.example:8480")]
        for both in (hosts, hosts[::-1], hosts[:1] * 2):
            answer = await client.get("/api/status", headers=both)
            assert (answer.status_code, kind(answer)) == (421, "host")


async def test_what_changes_something_needs_the_word_of_the_session(screens: Screens) -> None:
    async with screens.signed_in(WebRole.OPERATOR) as client:
        own = client.headers.pop(CSRF_HEADER)
        for route in CHANGING:
            await assert_refused(client, route, 403, "csrf")
            await assert_refused(client, route, 403, "csrf", **{CSRF_HEADER: own[::-1]})


async def test_a_token_works_and_needs_no_word(screens: Screens) -> None:
    for role in (WebRole.READER, WebRole.AGENT, WebRole.OPERATOR):
        async with await screens.program(role.word, role.word) as program:
            for route in GUARDED:
                # The stream has no end: see test_streams.py.
                if route.least is role and route.path != EVENTS_PATH:
                    answer = await ask(program, route)
                    assert answer.status_code in (200, 400, 404, 409), answer.text


async def test_a_locked_node_serves_what_needs_no_key(screens: Screens) -> None:
    await screens.rig["anna"].node.lock()
    for route in GUARDED:
        async with screens.signed_in(WebRole.OPERATOR) as client:
            if not route.while_locked:
                await assert_refused(client, route, 423, "locked")
            elif route.path != EVENTS_PATH:
                assert (await ask(client, route)).status_code in (200, 400, 404, 409)


async def test_only_somebody_who_is_there_keeps_the_device_open(
    screens: Screens, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[str] = []
    monkeypatch.setattr(screens.api, "touch", lambda: touched.append("somebody"))

    async def counted(client: httpx.AsyncClient, **headers: str) -> list[int]:
        """Return how often each of a few requests told of somebody."""
        found = []
        for method, path in (
            ("GET", "/api/status"),
            ("GET", "/api/alarms/last"),
            ("POST", "/api/messages/1/read"),
            ("POST", "/api/session"),
        ):
            before = len(touched)
            body: dict[str, str] | None = {} if method == "POST" else None
            await client.request(method, path, headers=headers, json=body)
            found.append(len(touched) - before)
        return found

    async with screens.client() as guest, screens.signed_in() as page:
        assert await counted(guest) == [0, 0, 0, 0]
        assert await counted(guest, **{PRESENCE_HEADER: "1"}) == [0, 0, 0, 0]
        # A page fetches anew, and marks as read, while nobody looks at it.
        assert await counted(page) == [0, 0, 0, 0]
        assert await counted(page, **{PRESENCE_HEADER: "1"}) == [1, 1, 1, 1]
    async with await screens.program() as program:
        assert await counted(program) == [0, 1, 1, 1]


async def test_our_own_page_is_served_by_each_name_of_this_machine(screens: Screens) -> None:
    async with screens.signed_in() as client:
        for host in ("127.0.0.1:8480", "localhost:8480", "[::1]:8480"):
            answer = await client.get(
                "/api/session", headers={"host": host, "origin": f"http://{host}"}
            )
            assert answer.status_code == 200


async def test_every_answer_has_its_headers(screens: Screens) -> None:
    async with screens.signed_in() as client:
        for path in ("/", "/api/status", "/nothing", "/assets/nothing.js"):
            answer = await client.get(path)
            for name, value in HEADERS.items():
                assert answer.headers[name] == value
            assert "server" not in answer.headers
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.filterwarnings("ignore:.*object ByteStream:pytest.PytestUnraisableExceptionWarning")
async def test_a_body_is_refused_one_byte_above_its_bound(screens: Screens) -> None:
    async with screens.signed_in() as client:
        head = '{"to":"bruno","text":"'

        async def send(size_bytes: int) -> httpx.Response:
            raw = (head + " " * (size_bytes - len(head) - 2) + '"}').encode()
            assert len(raw) == size_bytes
            headers = {"content-type": "application/json"}
            return await client.post("/api/messages", content=raw, headers=headers)

        assert (await send(BODY_BYTES_MAX)).status_code == 400
        answer = await send(BODY_BYTES_MAX + 1)
        assert (answer.status_code, kind(answer)) == (413, "size")
    assert screens.metric("web_requests_shed") == 1


async def test_json_is_refused_one_level_below_its_bound(screens: Screens) -> None:
    async with screens.signed_in() as client:

        async def send(depth: int) -> httpx.Response:
            raw = "[" * depth + '"]]}}[[{{\\""' + "]" * depth
            headers = {"content-type": "application/json"}
            return await client.post("/api/messages", content=raw, headers=headers)

        assert kind(await send(JSON_DEPTH_MAX)) == "body"
        assert kind(await send(JSON_DEPTH_MAX + 1)) == "depth"
        assert kind(await send(100_000)) == "depth"


@pytest.mark.parametrize(
    ("content", "media"),
    [
        (b"{", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b'{"to":"bruno","text":"\\ud800"}', "application/json"),
        (b'{"to":"bruno","text":"a\\u0000b"}', "application/json"),
        (b'{"to":"bruno","text":"x","lifetime_s":NaN}', "application/json"),
        (b'{"to":"bruno","text":"x","sos":true}', "application/json"),
        (b"to=bruno&text=x", "application/x-www-form-urlencoded"),
        (b'{"to":"bruno","text":"x"}', "text/plain"),
        (b"", "application/json"),
    ],
)
async def test_a_body_that_is_none_is_refused(screens: Screens, content: bytes, media: str) -> None:
    async with screens.signed_in() as client:
        answer = await client.post(
            "/api/messages", content=content, headers={"content-type": media}
        )
        assert (answer.status_code, kind(answer)) == (400, "body")
        assert (await client.get("/api/messages/outgoing")).json()["messages"] == []


async def test_a_word_of_the_query_that_a_route_does_not_have_is_refused(screens: Screens) -> None:
    """Whoever misspells what narrows a search must not take the whole archive for its answer."""
    async with screens.signed_in(WebRole.OPERATOR) as client:
        for route in (each for each in GUARDED if each.path != EVENTS_PATH):
            path = route.path.format(**FILLED)
            answer = await client.request(route.method, path, params={"autor": "anna"})
            assert (answer.status_code, kind(answer)) == (400, "body"), route.path
        answer = await client.get("/api/archive/search", params={"autor": "anna"})
        assert "author" in answer.json()["error"]["message"]


async def test_more_requests_than_it_takes_are_turned_away(screens: Screens) -> None:
    gate = screens.gate
    async with screens.signed_in() as client:
        gate.busy = REQUESTS_MAX - 1
        assert (await client.get("/api/status")).status_code == 200
        gate.busy = REQUESTS_MAX
        answer = await client.get("/api/status")
        assert (answer.status_code, kind(answer)) == (503, "busy")
        assert answer.headers["retry-after"] == "1"
    assert screens.metric("web_requests_shed") == 1


async def test_sentences_are_in_the_language_that_is_asked_for(screens: Screens) -> None:
    async with screens.client() as client:
        french = await client.get("/api/status")
        english = await client.get("/api/status", headers={"accept-language": "de, en;q=0.5"})
    assert "d'abord" in french.json()["error"]["message"]
    assert "sign in first" in english.json()["error"]["message"]
