"""What each device knows, as its own node tells it through its control socket.

A witness follows one node: it keeps what the node shows and how its messages stand, and tells of
each change. It never learns anything from the script of the story.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import trio

from meshnode.client import RemoteApi
from meshnode.demo.stage import NodeProcess
from meshnode.errors import ControlError

__all__ = ["Change", "Tell", "Witness", "summary"]

_PAGE: Final = 1_000
_SAME_MEETING_S: Final = 5.0
"""Two nodes that dial each other at once make two sessions and keep one: that is one meeting."""
_TOGETHER_S: Final = 0.05
"""Changes that come so close are asked for once."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a device came to know."""

    device: str
    """Whose node tells it."""
    what: str
    """`meets`, `shows` or `learns`."""
    name: str
    """The peer met, or who wrote the message."""
    message: dict[str, Any]
    """The message, as `Api.inbox` or `Api.message` give it; empty for a meeting."""


Tell = Callable[[Change], None]


def summary(message: dict[str, Any]) -> str:
    """Return how far an outgoing message is, as its author's node knows, in a few words."""
    arrived = [each["name"] for each in message["recipients"] if each["state"] in _ARRIVED]
    if message["state"] in ("delivered", "expired", "refused"):
        return str(message["state"])
    if arrived:
        return f"with {', '.join(arrived)}"
    carriers = sorted({each["name"] for each in message["carriers"]})
    if carriers:
        return f"carried by {', '.join(carriers)}"
    return _WORDS.get(message["state"], str(message["state"]))


_WORDS: Final = {"waiting": "waits for a key"}
_ARRIVED: Final = ("at gateway", "on device")


class Witness:
    """Follows one running node."""

    def __init__(self, node: NodeProcess, tell: Tell, on_look: Callable[[], None]) -> None:
        """`tell` gets each change, `on_look` is called after everything was brought up to date."""
        self.node = node
        self.shown: list[dict[str, Any]] = []
        """Its inbox, in order of arrival."""
        self.written: dict[int, dict[str, Any]] = {}
        """What it wrote, by local number, each as `Api.message` gives it."""
        self._tell = tell
        self._on_look = on_look
        self._met: dict[str, float] = {}
        self._touched: set[int] = set()
        self._has_news = trio.Event()

    @property
    def name(self) -> str:
        """The device."""
        return self.node.name

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow until the node ends or this is cancelled; starts once nothing can be missed."""
        try:
            async with self.node.line() as events, self.node.line() as questions:
                await self._follow(events, questions, task_status)
        except* ControlError:
            # The node went away, and the stage notices if it should not have: nobody is met now.
            self._met.clear()

    async def _follow(
        self, events: RemoteApi, questions: RemoteApi, task_status: trio.TaskStatus[None]
    ) -> None:
        async with trio.open_nursery() as nursery:
            # The first event says that the node follows: what comes later is not missed.
            async for event in events.follow():
                if event["event"] == "following":
                    await self._look(questions, everything=True)
                    nursery.start_soon(self._refresh_all, questions)
                    task_status.started()
                self._note(event)

    def _note(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "peer_up":
                self._meet(event["name"])
            case "message_arrived":
                self._has_news.set()
            case "message_changed":
                self._touched.add(event["key"])
                self._has_news.set()

    def _meet(self, peer: str) -> None:
        now_s = trio.current_time()
        if now_s - self._met.get(peer, -_SAME_MEETING_S) >= _SAME_MEETING_S:
            self._tell(Change(self.name, "meets", peer, {}))
        self._met[peer] = now_s

    async def _refresh_all(self, api: RemoteApi) -> None:
        while True:
            await self._has_news.wait()
            await trio.sleep(_TOGETHER_S)
            self._has_news = trio.Event()
            await self._look(api)

    async def _look(self, api: RemoteApi, *, everything: bool = False) -> None:
        """Ask for what is new: an inbox only grows, of what was written only some changed."""
        after = self.shown[-1]["key"] if self.shown else 0
        for message in await api.inbox(after, _PAGE):
            self.shown.append(message)
            self._tell(Change(self.name, "shows", message["from"], message))
        touched, self._touched = self._touched, set()
        known = await api.outgoing(0, _PAGE) if everything or touched else []
        for row in known:
            if row["kind"] == "note":
                self.written[row["key"]] = row
            elif everything or row["key"] in touched:
                await self._look_at(api, row["key"])
        self._on_look()

    async def _look_at(self, api: RemoteApi, key: int) -> None:
        message = await api.message(str(key))
        before = self.written.get(key)
        self.written[key] = message
        # What was just written is queued, as whoever wrote it was told.
        known = ("queued", "waits for a key") if before is None else (summary(before),)
        if summary(message) not in known:
            self._tell(Change(self.name, "learns", self.name, message))
