"""A node of a rig with its web interface, asked in this process: no socket, and a virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from meshnode.api import Api
from meshnode.runtime import Runtime, system_runtime
from meshnode.web.building import make_app
from meshnode.web.door import Door, DoorState
from meshnode.web.gate import CSRF_HEADER, Gate
from meshnode.web.parts import WebParts
from meshnode.web.roles import WebRole
from tests.meshnode.rig import Rig, open_rig

BASE = "http://127.0.0.1:8480"


@dataclass(slots=True)
class Screens:
    """The web interface of anna, of the rig."""

    rig: Rig
    """Anna, bruno, the box and the gateway."""
    parts: WebParts = field(repr=False)
    """What it is built from."""
    gate: Gate = field(repr=False)
    """The ASGI program."""

    @property
    def api(self) -> Api:
        """Anna's calls."""
        return self.parts.api

    @property
    def door(self) -> Door:
        """Anna's door."""
        return self.parts.door

    def metric(self, name: str) -> int:
        """Return a counter of anna's node."""
        return self.parts.metrics.value(name)

    def client(self, **more: Any) -> httpx.AsyncClient:
        """Return somebody who has not signed in."""
        transport = httpx.ASGITransport(self.gate, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=BASE, **more)

    def signed_in(self, role: WebRole = WebRole.AGENT, **more: Any) -> httpx.AsyncClient:
        """Return a browser that has a session of this role."""
        opened = self.door.sessions.open(role, 3_600)
        headers = {CSRF_HEADER: opened.session.csrf}
        return self.client(cookies={"meshnode_session": opened.secret}, headers=headers, **more)

    async def program(self, role: str = "agent", name: str = "wall") -> httpx.AsyncClient:
        """Return a program that shows a token."""
        found = await self.door.add_token(name, role, 30)
        return self.client(headers={"authorization": f"Bearer {found['token']}"})


@asynccontextmanager
async def open_screens(
    home: Path, who: str = "anna", *, has_beacons: bool = False, **more: Any
) -> AsyncIterator[Screens]:
    """Give the web interface of one node of a rig whose members know each other's keys."""
    async with open_rig(has_beacons=has_beacons) as rig:
        await rig.mix("anna", "bruno", "gateway")
        node = rig[who].node
        api = Api(node)
        real = system_runtime()
        runtime = Runtime(node.runtime.now_ms, real.entropy, _inline, node.runtime.trace)
        door = Door(api, home, runtime)
        door.state = DoorState(f"{BASE}/", "")
        api.door = door
        parts = WebParts(api, door, home, runtime, node.metrics, statics=home / "static", **more)
        yield Screens(rig, parts, make_app(parts))


async def _inline(function: Any, *args: Any, limiter: Any = None) -> Any:
    return function(*args)
