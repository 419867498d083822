"""S27, the SOS of a phone whose lease has ended: it is heard, and all else stays closed."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from meshnode import control
from meshnode.api import Api
from meshnode.erasing import destroy_agent
from meshnode.errors import (
    LeaseEndedError,
    LockedError,
    SecretDelayedError,
    WipedError,
    WrongSecretError,
)
from meshnode.home_keys import HomeKeys
from meshnode.locking import Lent
from meshnode.running import Access
from meshnode.runtime import system_runtime
from meshnode.web.building import make_app
from meshnode.web.door import Door, DoorState
from meshnode.web.gate import CSRF_HEADER, EVENTS_PATH, Gate
from meshnode.web.parts import WebParts
from meshnode.web.roles import WebRole
from meshnode.web.routes.table import ROUTES
from protocol.errors import MeshError
from protocol.guards import SECRET_TRIES_FREE
from tests.meshnode.enrolling import SECRET
from tests.meshnode.web.screens import BASE
from tests.meshnode.web.test_gate import FILLED
from tests.patience import HANGS_S
from tests.security.parts import Town, make_town
from tests.security.shut_phones import (
    ALARM,
    KNOWN,
    TEXT,
    end_lease,
    filled_phone,
    renew_lease,
    reopened,
    shown_at,
    sos_of,
)

pytestmark = [pytest.mark.slow, pytest.mark.real]

NEEDED = "a fall at the col"
WRONG = "five words that are wrong"
LOCKED_MIN = 30
"""Calls at least that a phone which is shut refuses for that reason."""


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return make_town(tmp_path / "town")


@pytest.fixture
async def home(town: Town) -> Path:
    """A phone with texts, an alarm, a file and a position, whose lease has ended."""
    found = await filled_phone(town)
    end_lease(found)
    return found


async def test_s27_by_the_secret_an_sos_leaves_and_nothing_else_opens(
    town: Town, home: Path
) -> None:
    async with reopened(home) as (api, guard):
        before = await sos_of(guard.node)
        with pytest.raises(LeaseEndedError):
            await api.unlock(SECRET)
        raised = await api.sos_by_secret(SECRET, NEEDED, at="44.9,6.6")
        assert raised["is_shut"]
        assert guard.node.desk is None
        for call in (api.inbox, api.outgoing, api.alarms, api.board, api.positions, api.files):
            with pytest.raises(LockedError):
                await call()
        made = [each for each in await sos_of(guard.node) if each not in before]
        assert len(made) == 1
    # After a restart it is still there, and as shut as before.
    async with reopened(home) as (api, guard):
        assert made[0] in await sos_of(guard.node)
        assert await api.alarm_way(raised["alarm"]) == "queued"
        with pytest.raises(LockedError):
            await api.alarms()
    assert NEEDED in await shown_at(town, "alice", made)
    # A new beacon and the secret open it again, and the alarm stands with the others.
    renew_lease(home)
    async with reopened(home) as (api, guard):
        await api.unlock(SECRET)
        assert {each["text"] for each in await api.alarms()} == {NEEDED, ALARM}
        assert TEXT in [each["text"] for each in await api.outgoing()]


async def test_s27_a_wrong_secret_raises_nothing_and_counts_over_a_restart(home: Path) -> None:
    # The first wait is a second: a restart may take longer, so the clock stands still.
    now_ms = system_runtime().now_ms()
    still = replace(system_runtime(), now_ms=lambda: now_ms)
    async with reopened(home, runtime=still) as (api, guard):
        before = await sos_of(guard.node)
        for _ in range(SECRET_TRIES_FREE):
            with pytest.raises(WrongSecretError):
                await api.sos_by_secret(WRONG, NEEDED)
        assert guard.node.metrics.value("unlocks_refused") == SECRET_TRIES_FREE
        with pytest.raises(SecretDelayedError):
            await api.sos_by_secret(SECRET, NEEDED)
        assert await sos_of(guard.node) == before
    async with reopened(home, runtime=still) as (api, guard):
        with pytest.raises(SecretDelayedError):
            await api.sos_by_secret(SECRET, NEEDED)
        assert await sos_of(guard.node) == before
        entries = (await api.audit())["entries"]
        assert sum(x["count"] for x in entries if x["event"] == "unlocks_refused") >= 2


async def test_s27_a_wiped_phone_raises_nothing(home: Path) -> None:
    destroy_agent(home, system_runtime())
    async with reopened(home) as (api, guard):
        before = await sos_of(guard.node)
        for secret in (SECRET, WRONG):
            with pytest.raises(WipedError):
                await api.sos_by_secret(secret, NEEDED)
        assert await sos_of(guard.node) == before
    async with reopened(home) as (api, _guard):
        with pytest.raises(WipedError):
            await api.sos_by_secret(SECRET, NEEDED)


async def test_s27_an_unattended_device_raises_it_without_a_secret_and_stays_shut(
    town: Town,
) -> None:
    home = town.home("bob")
    end_lease(home)
    async with reopened(home) as (api, guard):
        assert guard.node.desk is None
        assert (await api.sos_by_secret("", NEEDED))["is_shut"]
        made = await sos_of(guard.node)
        with pytest.raises(LockedError):
            await api.alarms()
    async with reopened(home) as (api, guard):
        assert guard.node.desk is None
        assert await sos_of(guard.node) == made
    assert await shown_at(town, "alice", made) == [NEEDED]


# --- while it is raised --------------------------------------------------------------------------


class HeldKeys(HomeKeys):
    """Keys whose signature waits, so that a test looks around while they are lent."""

    is_signing = threading.Event()
    may_sign = threading.Event()

    def lend(self, secret: str) -> Lent:
        lent = super().lend(secret)

        def sign(message: bytes) -> bytes:
            self.is_signing.set()
            assert self.may_sign.wait(HANGS_S)
            return lent.sign(message)

        return Lent(sign, lent.vault)


_VALUES: dict[str, object] = {
    "str": "1",
    "int": 1,
    "float": 1.0,
    "bool": False,
    "Sequence[str]": ["alice"],
}
_NAMED = {
    "to": "alice",
    "who": "alice",
    "secret": WRONG,
    "level": "none",
    "role": "reader",
    "address": "127.0.0.1:1",
    "at": "44.9,6.6",
}


def params_of(call: Callable[..., Any], path: Path) -> dict[str, object]:
    """Return values for what a call must be given; `path` is nowhere yet."""
    found: dict[str, object] = {}
    for name, each in inspect.signature(call).parameters.items():
        if each.default is not inspect.Parameter.empty:
            continue
        if name in ("path", "folder"):
            found[name] = str(path)
        else:
            found[name] = _NAMED.get(name, _VALUES[str(each.annotation)])
    return found


async def told_by(api: Api, method: str, path: Path) -> tuple[str, str]:
    """Return what a call comes to, and all that it says."""
    call = getattr(api, method)
    try:
        found = await call(**params_of(call, path))
    except (MeshError, OSError) as error:
        return type(error).__name__, repr(error)
    return "told", repr(found)


async def all_told(api: Api, folder: Path, done: dict[str, tuple[str, str]]) -> None:
    """Make every call that the control socket takes, all at the same time."""

    async def one(method: str) -> None:
        done[method] = await told_by(api, method, folder / f"{len(done)} {method}")

    async with trio.open_nursery() as nursery:
        for method in sorted(control._METHODS):
            nursery.start_soon(one, method)


def gate_of(api: Api, home: Path) -> tuple[Gate, Door]:
    """Return the screens of a node that this test opened."""
    node, runtime = api._node, system_runtime()
    door = Door(api, home, runtime)
    door.state = DoorState(f"{BASE}/", "")
    return make_app(WebParts(api, door, home, runtime, node.metrics, statics=home)), door


async def all_shown(gate: Gate, door: Door, done: dict[str, tuple[str, str]]) -> None:
    """Ask every route of the screens as an operator who is signed in, a few at the same time."""
    opened = door.sessions.open(WebRole.OPERATOR, 3_600)
    headers = {CSRF_HEADER: opened.session.csrf}
    cookies = {"meshnode_session": opened.secret}
    places = trio.Semaphore(8)
    transport = httpx.ASGITransport(gate, raise_app_exceptions=False)
    async with (
        httpx.AsyncClient(
            transport=transport, base_url=BASE, cookies=cookies, headers=headers, timeout=HANGS_S
        ) as client,
        trio.open_nursery() as nursery,
    ):

        async def one(method: str, path: str) -> None:
            async with places:
                body: dict[str, str] | None = None if method == "GET" else {}
                answer = await client.request(method, path.format(**FILLED), json=body)
            done[f"{method} {path}"] = str(answer.status_code), answer.text

        for route in ROUTES:
            # The stream has no end, and signing out would end this look around.
            if route.path != EVENTS_PATH and (route.method, route.path) != LEAVING:
                nursery.start_soon(one, route.method, route.path)


LEAVING = ("DELETE", "/api/session")


def check(before: dict[str, tuple[str, str]], meanwhile: dict[str, tuple[str, str]]) -> None:
    """All that was asked while keys were lent is answered as before, and tells nothing known."""
    assert {name: each[0] for name, each in meanwhile.items()} == {
        name: each[0] for name, each in before.items()
    }
    for name, (_word, said) in (*before.items(), *meanwhile.items()):
        assert [each for each in KNOWN if each in said] == [], name


@pytest.mark.parametrize("look", ["calls", "routes"])
async def test_s27_whoever_asks_for_anything_meanwhile_finds_it_shut(
    look: str, home: Path, tmp_path: Path
) -> None:
    HeldKeys.is_signing.clear()
    HeldKeys.may_sign.clear()
    before: dict[str, tuple[str, str]] = {}
    meanwhile: dict[str, tuple[str, str]] = {}
    raised: list[dict[str, Any]] = []
    async with reopened(home, Access(keys=HeldKeys)) as (api, _guard):

        async def look_around(done: dict[str, tuple[str, str]]) -> None:
            if look == "calls":
                folder = tmp_path / ("before" if done is before else "meanwhile")
                folder.mkdir()
                await all_told(api, folder, done)
            else:
                await all_shown(*gate_of(api, home), done)

        async def raise_it() -> None:
            raised.append(await api.sos_by_secret(SECRET, NEEDED))

        await look_around(before)
        refused = [each for each in before.values() if each[0] in ("LockedError", "423")]
        assert len(refused) >= LOCKED_MIN
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raise_it)
            with trio.fail_after(HANGS_S):
                await trio.to_thread.run_sync(HeldKeys.is_signing.wait)
            assert api._node.store.vault.is_locked is not False  # type: ignore[union-attr]
            nursery.start_soon(look_around, meanwhile)
            # What only reads is answered now; what writes waits for the one writer.
            with trio.fail_after(HANGS_S):
                while len(meanwhile) < len(before) // 2:  # noqa: ASYNC110 - calls have no event
                    await trio.sleep(0.05)
            assert raised == []
            HeldKeys.may_sign.set()
        check(before, meanwhile)
        assert raised[0]["is_shut"]
        assert api.is_locked
    # And after a restart nothing of it is left open either.
    async with reopened(home) as (api, _guard):
        with pytest.raises(LockedError):
            await api.inbox()
