"""The web interface on a real socket of this machine: it stops at once, and takes no other down."""

from __future__ import annotations

import ipaddress
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from trio.testing import wait_all_tasks_blocked

from meshnode.api import Api
from meshnode.client import open_api
from meshnode.config import WebSettings
from meshnode.errors import ControlError
from meshnode.node import Node
from meshnode.running import run_home
from meshnode.runtime import Runtime, system_runtime
from meshnode.web import building
from meshnode.web.building import make_app
from meshnode.web.door import Door, DoorState
from meshnode.web.gate import CSRF_HEADER, Gate
from meshnode.web.limits import REQUESTS_MAX
from meshnode.web.parts import WebParts
from meshnode.web.room import WebRoom, has_screens
from protocol.identity import Role
from tests.meshnode.homes import ALONE, enrolled_home, runtime
from tests.meshnode.rig import open_rig
from tests.patience import HANGS_S, stopwatch

pytestmark = [pytest.mark.real, pytest.mark.slow]
ANY_PORT = WebSettings(listen="127.0.0.1:0")


@dataclass(slots=True)
class Served:
    """A web room that runs, over anna of a rig."""

    node: Node = field(repr=False)
    """Anna's."""
    room: WebRoom = field(repr=False)
    """Her screens."""
    states: list[DoorState] = field(default_factory=list)
    """What was told of them."""
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    """Ends the room."""

    async def base(self) -> str:
        """Return the address once it is served."""
        await until(lambda: bool(self.states and self.states[-1].url))
        return self.states[-1].url.rstrip("/")

    def client(self) -> httpx.AsyncClient:
        """Return a browser that does not wait for ever."""
        return httpx.AsyncClient(base_url=self.states[-1].url, timeout=HANGS_S)

    async def signed_in(self, client: httpx.AsyncClient) -> None:
        """Sign a browser in, as a person does."""
        assert self.room.door is not None
        key = self.room.door.open()["url"].partition("#key=")[2]
        answer = await client.post("/api/session", json={"key": key})
        client.headers[CSRF_HEADER] = answer.json()["csrf"]


@asynccontextmanager
async def served(home: Path, settings: WebSettings = ANY_PORT) -> AsyncIterator[Served]:
    """Run a web room, and let it end by its own way when the block is left."""
    async with open_rig() as rig:
        await rig.mix("anna", "bruno")
        node, real = rig["anna"].node, system_runtime()
        seams = Runtime(node.runtime.now_ms, real.entropy, real.run_blocking, node.runtime.trace)
        states: list[DoorState] = []

        def on_state(_door: Door | None, state: DoorState) -> None:
            states.append(state)

        room = WebRoom(Api(node), home, settings, seams, node.metrics, on_state)
        found = Served(node, room, states)

        async def run() -> None:
            with found.scope:
                await room.run()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            yield found
            found.scope.cancel()


async def test_screens_are_made_once_somebody_is_sent_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made for nobody, and whoever opens the address that was shown waits for less."""
    made = 0

    def counted(parts: WebParts) -> Gate:
        nonlocal made
        made += 1
        return make_app(parts)

    monkeypatch.setattr(building, "make_app", counted)
    async with served(tmp_path) as screens:
        await screens.base()
        await wait_all_tasks_blocked()
        assert made == 0
        assert screens.room.door is not None
        screens.room.door.open()
        await until(lambda: made == 1)
        async with screens.client() as client:
            await screens.signed_in(client)
        assert made == 1


async def test_a_browser_signs_in_writes_and_follows(tmp_path: Path) -> None:
    async with served(tmp_path) as screens:
        await screens.base()
        async with screens.client() as client:
            await screens.signed_in(client)
            with trio.fail_after(HANGS_S):
                frames = await written_and_followed(client)
    assert '"following"' in frames[0]
    assert "bundles_stored" in "".join(frames)


async def written_and_followed(client: httpx.AsyncClient) -> list[str]:
    """Follow, write a message at the first word, and sign out once its event came."""
    frames: list[str] = []
    async with client.stream("GET", "/api/events") as stream:
        async for frame in stream.aiter_text():
            frames.append(frame)
            if len(frames) == 1:
                sent = await client.post("/api/messages", json={"to": "bruno", "text": "hi"})
                assert sent.json()["state"] == "queued"
            elif "bundles_stored" in "".join(frames):
                # The stream ends with its session.
                await client.delete("/api/session")
    return frames


async def test_it_stops_at_once_with_open_streams_and_readers_that_take_nothing(
    tmp_path: Path,
) -> None:
    ended_s = float("inf")
    async with served(tmp_path) as screens:
        base = await screens.base()
        async with screens.client() as client, trio.open_nursery() as nursery:
            await screens.signed_in(client)
            cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
            stalled = [await _stalled(base, cookie) for _ in range(5)]
            # Asks again and again, and reads nothing: the answers fill every buffer.
            asked = _request("/api/openapi.json", base, cookie) * 200
            for each in stalled:
                with trio.move_on_after(2):
                    await each.send_all(asked)
            for _ in range(3):
                nursery.start_soon(_follow, client)
            await trio.sleep(0.2)
            with stopwatch() as watch:
                screens.scope.cancel()
                await until(lambda: bool(screens.room.door and screens.room.door.state.trouble))
            ended_s = watch.own_s
            for each in stalled:
                await trio.aclose_forcefully(each)
            nursery.cancel_scope.cancel()
    assert ended_s < 1.5


async def _follow(client: httpx.AsyncClient) -> None:
    with suppress(httpx.HTTPError):
        async with client.stream("GET", "/api/events") as stream:
            async for _ in stream.aiter_text():
                pass


async def _stalled(base: str, cookie: str) -> trio.SocketStream:
    stream = await trio.open_tcp_stream("127.0.0.1", int(base.rpartition(":")[2]))
    await stream.send_all(_request("/api/openapi.json", base, cookie))
    return stream


def _request(path: str, base: str, cookie: str) -> bytes:
    host = base.removeprefix("http://")
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n".encode()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, looking now and then."""
    limit_s = trio.current_time() + 60
    while not condition():
        assert trio.current_time() < limit_s, "it did not come about in time"
        await trio.sleep(0.01)


async def test_a_hundred_requests_at_once_are_answered_or_turned_away(tmp_path: Path) -> None:
    statuses: list[int] = []
    async with served(tmp_path) as screens:
        await screens.base()
        limits = httpx.Limits(max_connections=100)
        url = screens.states[-1].url
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
            await screens.signed_in(client)

            async def ask() -> None:
                statuses.append((await client.get("/api/status")).status_code)

            async with trio.open_nursery() as nursery:
                for _ in range(100):
                    nursery.start_soon(ask)
            assert (await client.get("/api/status")).status_code == 200
    assert len(statuses) == 100
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= REQUESTS_MAX


async def test_what_is_no_request_ends_its_connection_and_nothing_else(tmp_path: Path) -> None:
    async with served(tmp_path) as screens:
        base = await screens.base()
        port = int(base.rpartition(":")[2])
        for data in (b"\x16\x03\x01\x00\xff", b"GET / HTTP/9\r\n\r\n", b"x" * 100_000, b"\r\n" * 9):
            with trio.fail_after(HANGS_S):
                await said(port, data)
        async with screens.client() as client:
            assert (await client.get("/healthz")).status_code == 200
        assert screens.node.metrics.value("session_defects") == 0


async def said(port: int, data: bytes) -> None:
    """Send what is no request, and wait until the other end has had enough."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with suppress(trio.BrokenResourceError):
            await stream.send_all(data)
            await stream.send_eof()
            while await stream.receive_some(65_536):
                pass


async def test_a_guest_who_takes_every_connection_keeps_nobody_else_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshnode.web.server.CONNECTIONS_MAX", 8)
    async with served(tmp_path) as screens:
        base = await screens.base()
        port = int(base.rpartition(":")[2])
        async with screens.client() as client:
            # Idle ones, which ask for nothing, and one more than there are places.
            held = [await _from_elsewhere(port) for _ in range(9)]
            with trio.fail_after(HANGS_S):
                assert await held[8].receive_some(1) == b""
                await screens.signed_in(client)
                assert (await client.get("/api/status")).status_code == 200
                # The oldest of the guest made room.
                assert await held[0].receive_some(1) == b""
        for each in held:
            await trio.aclose_forcefully(each)
    assert screens.node.metrics.value("web_requests_shed") == 1


async def _from_elsewhere(port: int) -> trio.SocketStream:
    """Connect from another address of this machine."""
    return await trio.open_tcp_stream("127.0.0.1", port, local_address="127.0.0.2")


async def test_an_address_in_use_is_one_sentence_and_the_node_goes_on(tmp_path: Path) -> None:
    async with served(tmp_path) as first:
        base = await first.base()
        taken = WebSettings(listen=base.removeprefix("http://"))
        async with served(tmp_path, taken) as second:
            await until(lambda: bool(second.states))
            assert second.states[0].trouble.endswith(
                "is in use by another program: stop it, or set web.listen"
            )
            assert await second.room._api.status()


async def test_a_certificate_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "web.pem").write_text("no certificate")
    settings = WebSettings("127.0.0.1:0", certificate="web.pem", key="web.pem")
    async with served(tmp_path, settings) as screens:
        await until(lambda: bool(screens.states))
        assert "see web.certificate and web.key" in screens.states[0].trouble


def certify(home: Path) -> ssl.SSLContext:
    """Put a certificate of 127.0.0.1 and its key into a home; return who trusts that one alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "screens")]), datetime.now(UTC)
    host = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(Encoding.PEM)
    (home / "web.pem").write_bytes(pem)
    (home / "web.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return ssl.create_default_context(cadata=pem.decode())


async def test_by_https_nothing_is_served_in_clear(tmp_path: Path) -> None:
    trusting = certify(tmp_path)
    settings = WebSettings("127.0.0.1:0", certificate="web.pem", key="web.key")
    async with served(tmp_path, settings) as screens:
        base = await screens.base()
        assert base.startswith("https://127.0.0.1:")
        async with httpx.AsyncClient(base_url=base, verify=trusting, timeout=HANGS_S) as client:
            await screens.signed_in(client)
            assert (await client.get("/api/status")).status_code == 200
            (cookie,) = client.cookies.jar
            assert cookie.secure
        async with httpx.AsyncClient(timeout=HANGS_S) as client:
            with pytest.raises(httpx.HTTPError):
                await client.get(base.replace("https", "http") + "/healthz")
            with pytest.raises(httpx.ConnectError):
                await client.get(base + "/healthz")


async def test_a_defect_of_the_room_ends_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def broken() -> None:
        calls.append(1)
        raise AssertionError("a defect")

    monkeypatch.setattr("meshnode.web.room._load", broken)
    async with served(tmp_path) as screens:
        await until(lambda: len(calls) >= 2)
        assert screens.node.metrics.value("session_defects") >= 1
        assert screens.node.metrics.value("rooms_restarted") >= 1


async def test_a_running_home_has_screens_that_commands_open(tmp_path: Path) -> None:
    from dataclasses import replace

    home, _ = await enrolled_home(tmp_path, "anna")
    settings = replace(ALONE, web=ANY_PORT)
    doors: list[tuple[Door | None, DoorState]] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(
            run_home, home, settings, runtime(), None, None, lambda *told: doors.append(told)
        )
        await until(lambda: bool(doors))
        async with open_api(home, system_runtime()) as api:
            opened = await api.web_open()
            assert opened["role"] == "agent"
            base, _, key = opened["url"].partition("#key=")
            async with httpx.AsyncClient(base_url=base, timeout=HANGS_S) as client:
                answer = await client.post("/api/session", json={"key": key})
                assert answer.json()["name"] == "anna"
                made = await api.web_token_add("wall", "reader", 2)
                assert [each["name"] for each in await api.web_tokens()] == ["wall"]
                shown = {"authorization": f"Bearer {made['token']}"}
                assert (await client.get("/metrics", headers=shown)).status_code == 200
                assert await api.web_close() == 1
                assert (await client.get("/api/session")).status_code == 401
                assert await api.web_token_revoke("wall") is True
            assert (await api.names())["members"] == []
        nursery.cancel_scope.cancel()


@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="gdal-bin is not installed")
async def test_gdal_reads_the_features_of_a_running_node(tmp_path: Path) -> None:
    async with served(tmp_path) as screens:
        base = await screens.base()
        api, door = screens.room._api, screens.room.door
        assert door is not None
        await api.shift_open(8)
        await api.position(44.9, 6.6)
        token = (await door.add_token("gdal", "reader", 1))["token"]
        options = ["--config", "GDAL_HTTP_HEADERS", f"Authorization: Bearer {token}"]
        argv = ["ogrinfo", "-ro", "-al", *options, f"OAPIF:{base}/api/ogc"]
        done = await trio.run_process(argv, capture_stdout=True, capture_stderr=True, check=False)
        shown = done.stdout.decode()
        assert "Feature Count: 1" in shown, done.stderr.decode()
        assert "name (String) = anna" in shown
        assert "POINT (6.6 44.9)" in shown


async def test_a_home_without_screens_says_so(tmp_path: Path) -> None:
    home, _ = await enrolled_home(tmp_path, "anna")
    async with trio.open_nursery() as nursery:
        await nursery.start(run_home, home, ALONE, runtime())
        async with open_api(home, system_runtime()) as api:
            with pytest.raises(ControlError) as refused:
                await api.web_open()
            assert refused.value.kind == "no_web"
        nursery.cancel_scope.cancel()


def test_a_node_without_screens_loads_no_framework() -> None:
    program = (
        "import sys; import meshnode.running; "
        "print({'fastapi', 'starlette', 'hypercorn', 'pydantic.main'} & {*sys.modules} "
        "- {'pydantic.main'})"
    )
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"


def test_a_relay_has_screens_only_where_that_is_said() -> None:
    assert has_screens(WebSettings(), Role.AGENT)
    assert has_screens(WebSettings(), None)
    assert not has_screens(WebSettings(), Role.RELAY)
    assert has_screens(ANY_PORT, Role.RELAY)
    assert not has_screens(WebSettings(listen=""), Role.OPERATOR)
