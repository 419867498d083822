"""An SOS by the secret over the screens: who may ask for it, and what it opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.lease import LeaseState
from meshnode.runtime import Runtime, system_runtime
from meshnode.web.building import make_app
from meshnode.web.door import Door, DoorState
from meshnode.web.gate import COOKIE, CSRF_HEADER, Gate
from meshnode.web.parts import WebParts
from meshnode.web.roles import WebRole
from protocol.guards import LEASE_MS
from protocol.limits import Kind
from sims.runtime import START_MS
from tests.meshnode.agent_secrets import SECRET, OpenKeys
from tests.meshnode.rig import Rig
from tests.meshnode.test_lease import Documents
from tests.meshnode.test_locking import guarded
from tests.meshnode.test_sos_while_shut import Shut, shut
from tests.meshnode.web.screens import BASE, _inline


def screens_of(api: Api, home: Path) -> tuple[Gate, Door]:
    """Return the screens over these calls."""
    node, real = api._node, system_runtime()
    runtime = Runtime(node.runtime.now_ms, real.entropy, _inline, node.runtime.trace)
    door = Door(api, home, runtime)
    door.state = DoorState(f"{BASE}/", "")
    return make_app(WebParts(api, door, home, runtime, node.metrics, statics=home)), door


def browser(gate: Gate, **more: Any) -> httpx.AsyncClient:
    """Return a browser; without a cookie it is nobody's."""
    transport = httpx.ASGITransport(gate, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=BASE, **more)


async def raised(client: httpx.AsyncClient, secret: str, **more: object) -> httpx.Response:
    """Ask for an alarm by a secret."""
    return await client.post("/api/sos/secret", json={"secret": secret, "text": "x", **more})


def kind(answer: httpx.Response) -> str:
    """Return the word of a refusal."""
    return str(answer.json()["error"]["kind"])


async def count(found: Shut) -> int:
    """Return how many alarms are carried."""
    return len(await found.rig["anna"].held(Kind.SOS))


async def test_a_guest_raises_it_and_is_not_signed_in(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with shut() as found:
        gate, door = screens_of(found.api, tmp_path)
        async with browser(gate) as client:
            wrong = await raised(client, "wrong")
            assert (wrong.status_code, kind(wrong)) == (403, "wrong_secret")
            assert (await raised(client, "")).status_code == 403
            assert await count(found) == 0
            answer = await raised(client, SECRET)
            assert (answer.status_code, answer.json()["is_shut"]) == (200, True)
            assert COOKIE not in client.cookies
            assert door.sessions.end_all() == 0
            alarm = answer.json()["alarm"]
            assert (await client.get(f"/api/sos/{alarm}/way")).json()["way"] == "queued"
            assert kind(await client.get("/api/sos/last/way")) == "unknown_name"
            assert (await client.get("/api/alarms")).status_code == 401
        assert await count(found) == 1
        assert not found.anna.is_open()


async def test_a_page_of_another_site_raises_nothing(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with shut() as found:
        gate, _door = screens_of(found.api, tmp_path)
        for header in ({"origin": "http://127.0.0.1:9999"}, {"sec-fetch-site": "same-site"}):
            async with browser(gate, headers=header) as client:
                assert kind(await raised(client, SECRET)) == "origin"
        assert await count(found) == 0


async def test_whoever_is_signed_in_raises_it_too(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with shut() as found:
        gate, door = screens_of(found.api, tmp_path)
        opened = door.sessions.open(WebRole.AGENT, 3_600)
        headers = {CSRF_HEADER: opened.session.csrf}
        async with browser(gate, cookies={COOKIE: opened.secret}, headers=headers) as client:
            assert (await client.post("/api/sos", json={"text": "x"})).status_code == 423
            assert kind(await raised(client, "wrong")) == "wrong_secret"
            assert (await raised(client, SECRET, at="44.9,6.6")).json()["is_shut"]
        assert await count(found) == 1


async def test_while_the_lease_runs_the_browser_is_signed_in(
    autojump_clock: MockClock, tmp_path: Path, rig: Rig
) -> None:
    async with guarded(rig["anna"], documents=Documents(START_MS, START_MS)) as anna:
        gate, _door = screens_of(Api(anna.node, anna.guard), tmp_path)
        async with browser(gate) as client:
            answer = await raised(client, SECRET)
            assert (answer.status_code, answer.json()["is_shut"]) == (200, False)
            assert (await client.get("/api/alarms")).json()["alarms"][0]["text"] == "x"
        # It is open now, and whoever is nobody proves nothing by a secret.
        async with browser(gate) as other:
            refused = await raised(other, SECRET)
            assert (refused.status_code, kind(refused)) == (401, "wrong_key")
            assert COOKIE not in other.cookies


async def test_a_device_that_opens_by_itself_takes_it_from_nobody_unknown(
    autojump_clock: MockClock, tmp_path: Path, rig: Rig
) -> None:
    keys, documents = OpenKeys(rig["anna"].device.keys.badge), Documents(START_MS - LEASE_MS)
    async with guarded(rig["anna"], keys, documents=documents) as anna:
        assert anna.guard.lease().state is LeaseState.ENDED
        gate, door = screens_of(Api(anna.node, anna.guard), tmp_path)
        async with browser(gate) as client:
            assert kind(await raised(client, "")) == "wrong_key"
        opened = door.sessions.open(WebRole.READER, 3_600)
        async with browser(gate, cookies={COOKIE: opened.secret}) as reader:
            assert kind(await raised(reader, "")) == "wrong_key"
        opened = door.sessions.open(WebRole.AGENT, 3_600)
        headers = {CSRF_HEADER: opened.session.csrf}
        async with browser(gate, cookies={COOKIE: opened.secret}, headers=headers) as agent:
            assert (await raised(agent, "")).json()["is_shut"]
