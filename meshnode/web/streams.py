"""Event streams: what happens in the node, as server-sent events, each reader for itself.

A reader that takes nothing is dropped; one that is slow loses the oldest events, hears `following`
and fetches the state anew. A stream ends with its session, with the lock of the device, and when
the node stops.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Final

import trio
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from meshnode.lines import Json
from meshnode.web.answers import RefusedError
from meshnode.web.gate import Asked
from meshnode.web.limits import PULSE_S, STREAM_SEND_S_MAX, STREAMS_MAX
from meshnode.web.sessions import Session

__all__ = ["EventStream", "Streams"]

_RETRY_MS: Final = 2_000
"""How long a browser waits before it comes back."""
_PULSE: Final = b"event: pulse\ndata:\n\n"
"""A sign of life that a script hears, as it does no comment: a stream may die without a word."""


class Streams:
    """The streams that are open now."""

    def __init__(self) -> None:
        self._scopes: dict[trio.CancelScope, Session] = {}

    def __len__(self) -> int:
        return len(self._scopes)

    @contextmanager
    def place(self, session: Session) -> Iterator[trio.CancelScope]:
        """Hold one place until the block is left, or others need it.

        Raises: RefusedError where all are taken, and no other name has more of them.
        """
        if len(self._scopes) >= STREAMS_MAX:
            self._make_room(session.name)
        with trio.CancelScope() as scope:
            self._scopes[scope] = session
            try:
                yield scope
            finally:
                self._scopes.pop(scope, None)

    def _make_room(self, name: str) -> None:
        names = [each.name for each in self._scopes.values()]
        most = max(names, key=names.count)
        if names.count(most) <= names.count(name):
            raise RefusedError("streams")
        oldest = next(scope for scope, each in self._scopes.items() if each.name == most)
        del self._scopes[oldest]
        oldest.cancel()

    def end(self, session_id: bytes | None = None) -> None:
        """End the streams of a session, or all."""
        for scope, owner in list(self._scopes.items()):
            if session_id is None or owner.id == session_id:
                scope.cancel()


class EventStream(Response):
    """One stream, as an answer."""

    media_type = "text/event-stream"

    def __init__(self, asked: Asked, streams: Streams) -> None:
        super().__init__()
        del self.headers["content-length"]
        self.headers["cache-control"] = "no-store, no-transform"
        self.headers["x-accel-buffering"] = "no"
        self._asked = asked
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the reader, its session or the node ends."""
        assert self._asked.session is not None, "the gate lets nobody else through"
        start: Message = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        with self._streams.place(self._asked.session):
            await send(start)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                await self._tell(send)
                nursery.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, send: Send) -> None:
        """Send events and signs of life; returns where the reader is to go."""
        session, door = self._asked.session, self._asked.parts.door
        assert session is not None, "the gate lets nobody else through"
        sender, receiver = trio.open_memory_channel[Json](0)
        number = 0
        async with trio.open_nursery() as nursery, receiver:
            nursery.start_soon(self._follow, sender)
            while door.left_s(session) > 0:
                data, event = _PULSE, None
                with trio.move_on_after(PULSE_S), suppress(trio.EndOfChannel):
                    event = await receiver.receive()
                    number += 1
                    data = _framed(number, event)
                if not await self._sent(send, data) or _is_end(event):
                    break
            nursery.cancel_scope.cancel()

    async def _follow(self, sender: trio.MemorySendChannel[Json]) -> None:
        # The node's own queue of events is bounded, and drops the oldest ones.
        async with sender, aclosing(self._asked.api.follow()) as events:
            with suppress(trio.BrokenResourceError):
                async for event in events:
                    await sender.send(event)

    async def _sent(self, send: Send, data: bytes) -> bool:
        with trio.move_on_after(STREAM_SEND_S_MAX) as waited:
            await send({"type": "http.response.body", "body": data, "more_body": True})
        if waited.cancelled_caught:
            self._asked.parts.metrics.count("web_streams_dropped")
        return not waited.cancelled_caught


def _is_end(event: Json | None) -> bool:
    return event is not None and event["event"] == "lock_changed" and bool(event["is_locked"])


def _framed(number: int, event: Json) -> bytes:
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    # One line of JSON has no line break of its own, which would end the frame.
    data = text.encode("utf-8", "backslashreplace")
    head = f"retry: {_RETRY_MS}\n" if number == 1 else ""
    return f"{head}id: {number}\ndata: ".encode() + data + b"\n\n"


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
    scope.cancel()
