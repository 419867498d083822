"""Lists of messages on the screen, and the screen that follows what arrives."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import trio
import typer

from meshnode.cli.language import say
from meshnode.cli.show import local_time, print_json, print_table, safe, state_words
from meshnode.cli.which import PAGE, Lister, every
from meshnode.errors import ControlError

if TYPE_CHECKING:
    from meshnode.api import Api

__all__ = ["follow_inbox", "newest", "show_inbox", "show_outbox"]


async def newest(
    lister: Lister, limit: int, *, is_unread_only: bool = False
) -> list[dict[str, Any]]:
    """Return the newest `limit` messages, oldest first."""
    found: deque[dict[str, Any]] = deque(maxlen=limit)
    async for each in every(lister):
        if not (is_unread_only and each["is_read"]):
            found.append(each)
    return list(found)


def show_inbox(messages: Sequence[dict[str, Any]]) -> None:
    """Print incoming messages as a table."""
    if not messages:
        typer.echo(say("No messages."))
        return
    rows = [
        (
            str(each["key"]),
            local_time(each["received_ms"]),
            each["from"],
            each["to"],
            _marked(each),
        )
        for each in messages
    ]
    print_table(
        (say("no."), say("received"), say("from"), say("to"), say("text")),
        rows,
    )


def show_outbox(messages: Sequence[dict[str, Any]]) -> None:
    """Print outgoing messages as a table."""
    if not messages:
        typer.echo(say("No messages."))
        return
    rows = [
        (
            str(each["key"]),
            local_time(each["created_ms"]),
            each["to"],
            state_words(each["state"], reason=each["reason"]),
            _marked(each),
        )
        for each in messages
    ]
    print_table((say("no."), say("written"), say("to"), say("state"), say("text")), rows)


def _marked(message: dict[str, Any]) -> str:
    return f"SOS  {message['text']}" if message["kind"] == "sos" else str(message["text"])


async def follow_inbox(api: Api, limit: int, *, is_unread_only: bool, as_json: bool) -> NoReturn:
    """Print what is there, then each message as it arrives. Raises: ControlError at the end."""
    shown = _Shown(api, as_json)
    async for event in api.follow():
        if shown.is_new:
            for each in await newest(api.inbox, limit, is_unread_only=is_unread_only):
                await shown.show(each)
            shown.is_new = False
        # Asking from the cursor on also finds what a lost event was about.
        elif event["event"] == "message_arrived":
            for each in await api.inbox(shown.last_key, PAGE):
                await shown.show(each)
    raise ControlError("ended", "the node has stopped: start it with 'meshnode run'")


class _Shown:
    """What a following screen has shown."""

    def __init__(self, api: Api, as_json: bool) -> None:
        self._api = api
        self._as_json = as_json
        self.last_key = 0
        self.is_new = True

    async def show(self, message: dict[str, Any]) -> None:
        """Print one message on one line."""
        self.last_key = max(self.last_key, message["key"])
        if self._as_json:
            print_json(**message)
        else:
            when, who = local_time(message["received_ms"]), safe(message["from"])
            text = safe(_marked(message))
            typer.echo(f"{message['key']}  {when}  {who} → {safe(message['to'])}: {text}")
            await self._api.mark_read(message["key"])
        await trio.lowlevel.checkpoint()
