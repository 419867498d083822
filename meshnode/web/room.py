"""The screens as a part of the node: started beside it, started again when they fail.

The server is loaded here, and FastAPI once somebody was given an address that signs in, or comes: a
node whose screens nobody opens does not pay for it. A fault of this room, whatever it is, ends no
other. Source: decision 51.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from meshnode.api import Api
from meshnode.config import WebSettings, is_loopback
from meshnode.errors import WebError
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.supervisor import contain, keep_running
from meshnode.web.door import Door, DoorState
from meshnode.web.parts import WebParts
from protocol.identity import Role

__all__ = ["WebRoom", "has_screens"]


def has_screens(settings: WebSettings, role: Role | None) -> bool:
    """True where a node of this role has screens: a relay only where that is said."""
    if settings.is_auto:
        return role is not Role.RELAY
    return settings.address is not None


class WebRoom:
    """The screens of one node."""

    def __init__(
        self,
        api: Api,
        home: Path,
        settings: WebSettings,
        runtime: Runtime,
        metrics: Metrics,
        on_state: Callable[[Door | None, DoorState], None] = lambda _door, _state: None,
    ) -> None:
        self._api = api
        self._home = home
        self._settings = settings
        self._runtime = runtime
        self._metrics = metrics
        self._on_state = on_state
        self._state = DoorState("", "")
        self.door: Door | None = None
        """There once the tokens of the home were read."""

    def on_lock(self, _is_held: bool) -> None:
        """The device locked: every browser is signed out."""
        if self.door is not None:
            self.door.sessions.end_all()

    async def run(self) -> None:
        """Serve until cancelled; a fault is told once, and tried again later and later."""
        await keep_running("web", self._live, self._runtime, self._metrics)

    async def _live(self) -> None:
        trouble = await contain("web", self._serve, self._runtime, self._metrics)
        raise trouble or WebError("the screens ended by a defect of this program")

    async def _serve(self) -> WebError:
        try:
            parts = await self._parts()
            serve = await self._runtime.run_blocking(_load)
            await serve(parts, self._settings, self._tell)
        except WebError as error:
            self._tell(DoorState("", str(error)))
            return error
        finally:
            if self.door is not None and not self.door.state.trouble:
                self.door.state = DoorState("", "the screens are starting again")
        return WebError("the screens ended by themselves")

    async def _parts(self) -> WebParts:
        if self.door is None:
            self.door = await self._runtime.run_blocking(Door, self._api, self._home, self._runtime)
            self._api.door = self.door
        address = self._settings.address
        return WebParts(
            api=self._api,
            door=self.door,
            home=self._home,
            runtime=self._runtime,
            metrics=self._metrics,
            is_local=address is not None and is_loopback(address.host),
            names=tuple(name.lower() for name in self._settings.names),
        )

    def _tell(self, state: DoorState) -> None:
        if self.door is not None:
            self.door.state = state
        if state != self._state:
            self._state = state
            self._on_state(self.door, state)


def _load() -> Callable[..., Awaitable[None]]:
    from meshnode.web.server import serve_web

    return serve_web
