"""The screens of a device that is not enrolled yet, asked in this process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from meshnode.authority_home import AuthorityHome
from meshnode.cli.exits import EXIT_INTERRUPTED
from meshnode.enrol import is_enrolled
from meshnode.vault import wrapping
from meshnode.web.gate import CSRF_HEADER, HEADERS
from meshnode.web.newcomer import Newcomer, NewcomerParts, serve_newcomer
from meshnode.web.roles import WebRole
from protocol.armour import TextForm, armour
from protocol.errors import EnrolmentError
from tests.environment import unmeasured
from tests.meshnode.cli.people import People
from tests.meshnode.enrolling import (
    CHEAP,
    NOW_MS,
    SECRET,
    invite,
    make_authority,
    opened,
    text_of,
)
from tests.meshnode.homes import enrolled_home, runtime
from tests.meshnode.web.screens import BASE
from tests.meshnode.web.test_gate import kind
from tests.patience import HANGS_S

pytestmark = [pytest.mark.real, pytest.mark.slow]
ENROLMENT = "/api/enrolment"
STEPS = (f"{ENROLMENT}/invitation", f"{ENROLMENT}/answer")


@dataclass(slots=True)
class Desk:
    """A new device, and the authority that enrols it."""

    home: Path
    """Of the device."""
    authority: Path
    """Home of the authority."""
    parts: NewcomerParts = field(repr=False)
    """What its screens are built from."""
    newcomer: Newcomer = field(repr=False)
    """Its screens."""

    def client(self) -> httpx.AsyncClient:
        """Return a browser on this machine."""
        transport = httpx.ASGITransport(self.newcomer.app(), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=BASE)

    @asynccontextmanager
    async def signed_in(self) -> AsyncIterator[httpx.AsyncClient]:
        """Give the browser that the terminal let in."""
        async with self.client() as client:
            code = self.newcomer.sessions.offer(WebRole.AGENT)
            found = (await client.post("/api/session", json={"key": code})).json()
            assert found["role"] == "newcomer"
            client.headers[CSRF_HEADER] = found["csrf"]
            yield client

    @contextmanager
    def office(self) -> Iterator[AuthorityHome]:
        """Open the authority."""
        with opened(self.authority) as office:
            yield office

    def invitation(self) -> str:
        """Return the text of an invitation for nina."""
        with self.office() as office:
            return text_of(invite(office, "nina"))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(wrapping, "AGENT_COST", CHEAP)
    make_authority(tmp_path / "hq")
    parts = NewcomerParts(tmp_path / "nina", runtime(), statics=tmp_path / "static")
    return Desk(tmp_path / "nina", tmp_path / "hq", parts, Newcomer(parts))


async def test_a_device_is_enrolled_on_its_own_screens(desk: Desk) -> None:
    invitation = desk.invitation()
    async with desk.signed_in() as client:
        assert (await client.get(ENROLMENT)).json()["state"] == "new"
        body = {"text": invitation, "secret": SECRET}
        shown = (await client.post(STEPS[0], json=body)).json()
        assert (shown["state"], shown["name"], len(shown["code"])) == ("asked", "nina", 6)
        again = (await client.post(STEPS[0], json=body)).json()
        assert again["request"] == shown["request"]
        with desk.office() as office:
            other = {**body, "text": text_of(invite(office, "nino"))}
        assert (await client.post(STEPS[0], json=other)).json()["name"] == "nino"
        shown = (await client.post(STEPS[0], json=body)).json()
        assert shown["name"] == "nina"
        with desk.office() as office:
            answer = armour(TextForm.ANSWER, office.issue(shown["request"], NOW_MS).encode())
        wrong = await client.post(STEPS[1], json={"text": answer, "secret": "not this secret"})
        assert (wrong.status_code, kind(wrong)) == (403, "wrong_secret")
        assert not is_enrolled(desk.home)
        done = (await client.post(STEPS[1], json={"text": answer, "secret": SECRET})).json()
        assert (done["state"], done["name"], done["role"]) == ("enrolled", "nina", "agent")
        assert (await client.get(ENROLMENT)).json() == done
        late = await client.post(STEPS[0], json=body)
        assert (late.status_code, kind(late)) == (409, "refused")
    assert is_enrolled(desk.home)
    assert desk.newcomer.is_done.is_set()


async def test_a_request_that_waits_is_shown_again_for_its_secret(desk: Desk) -> None:
    async with desk.signed_in() as client:
        none = await client.post(STEPS[0], json={"text": "", "secret": SECRET})
        assert (none.status_code, kind(none)) == (409, "refused")
        body = {"text": desk.invitation(), "secret": SECRET}
        shown = (await client.post(STEPS[0], json=body)).json()
    later = Desk(desk.home, desk.authority, desk.parts, Newcomer(desk.parts))
    async with later.signed_in() as client:
        assert (await client.get(ENROLMENT)).json() == {"schema": 1, "state": "waiting"}
        again = await client.post(STEPS[0], json={"text": "", "secret": SECRET})
        assert again.json() == shown


async def test_nobody_else_takes_a_step(desk: Desk) -> None:
    async with desk.client() as client:
        for path in STEPS:
            answer = await client.post(path, json={"text": "", "secret": ""})
            assert (answer.status_code, kind(answer)) == (401, "no_session")
        for path in ("/api/session", ENROLMENT):
            assert (await client.get(path)).status_code == 401
        assert desk.parts.metrics.value("web_requests_refused") == 4
        wrong = await client.post("/api/session", json={"key": "0" * 32})
        assert (wrong.status_code, kind(wrong)) == (401, "wrong_key")
        key = {"key": desk.newcomer.sessions.offer(WebRole.AGENT)}
        foreign = {"origin": "http://evil.example"}
        assert kind(await client.post("/api/session", json=key, headers=foreign)) == "origin"
        assert desk.parts.metrics.value("web_signins_refused") == 1
    async with desk.signed_in() as client:
        own = client.headers.pop(CSRF_HEADER)
        for path in STEPS:
            body = {"text": "", "secret": ""}
            assert kind(await client.post(path, json=body)) == "csrf"
            headers = {CSRF_HEADER: own, "origin": "http://evil.example"}
            assert kind(await client.post(path, json=body, headers=headers)) == "origin"
            headers = {CSRF_HEADER: own, "host": "evil.example:8480"}
            assert kind(await client.post(path, json=body, headers=headers)) == "host"
            headers = {CSRF_HEADER: own}
            assert kind(await client.post(path, json={"unknown": 1}, headers=headers)) == "body"
            assert kind(await client.post(path, content=b"{", headers=headers)) == "body"
        missing = await client.get("/api/messages/inbox")
        assert (missing.status_code, kind(missing)) == (404, "unknown_route")
        for name, value in HEADERS.items():
            assert missing.headers[name] == value


async def test_a_device_that_is_enrolled_has_no_such_screens(tmp_path: Path) -> None:
    home, _accepted = await enrolled_home(tmp_path, "anna")
    with pytest.raises(EnrolmentError, match="enrolled already"):
        await serve_newcomer(home, "127.0.0.1:0", runtime(), lambda _url: None)


def test_a_port_that_is_taken_is_told_and_a_signal_ends_the_command(tmp_path: Path) -> None:
    people = People(tmp_path)
    people.reads("nina", "init")
    settings = people.home("nina") / "meshnode.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings.write_text(f'[web]\nlisten = "127.0.0.1:{taken.getsockname()[1]}"\n')
        screen = people.types("nina", "web", "enrol")
        assert screen.code != 0
        assert "is in use by another program" in screen.err
        assert "Traceback" not in screen.err
    settings.write_text('[web]\nlisten = "127.0.0.1:0"\n')
    command = [sys.executable, "-m", "meshnode", "--home", str(people.home("nina"))]
    process = subprocess.Popen(
        [*command, "web", "enrol"],
        stderr=subprocess.PIPE,
        text=True,
        env=unmeasured(PYTHONPATH=os.getcwd(), LC_ALL="C"),
    )
    assert process.stderr is not None
    assert "#key=" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=HANGS_S)
    assert (process.returncode, err) == (EXIT_INTERRUPTED, "")
