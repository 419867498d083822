"""Lists of messages on the screen, and the screen that follows what arrives."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from meshnode.cli.language import say
from meshnode.cli.show import local_time, print_json, print_table, safe, state_words
from meshnode.cli.which import PAGE, Lister, every
from meshnode.client import NodeApi, open_api
from meshnode.errors import ControlError
from meshnode.runtime import Runtime

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
    """Return the text, behind what must be seen before it."""
    text = f"SOS  {message['text']}" if message["kind"] == "sos" else str(message["text"])
    return f"{say('REVOKED AUTHOR')}  {text}" if message.get("is_author_revoked") else text


async def follow_inbox(
    home: Path, runtime: Runtime, limit: int, *, is_unread_only: bool, as_json: bool
) -> NoReturn:
    """Print what is there, then each message as it arrives, until the node stops.

    Raises: ControlError at the end, or at once where no node runs.
    """
    async with open_api(home, runtime) as watch:
        events = watch.follow()
        # The list comes after the watch began, so nothing falls between the two.
        await anext(events)
        async with open_api(home, runtime) as api:
            last_key = 0
            for each in await newest(api.inbox, limit, is_unread_only=is_unread_only):
                last_key = await _show_one(api, each, as_json=as_json)
            async for event in events:
                if event["event"] not in ("message_arrived", "following"):
                    continue
                # Asking from the last one on also finds what a lost event was about.
                for each in await api.inbox(last_key, PAGE):
                    last_key = await _show_one(api, each, as_json=as_json)
    raise ControlError("ended", "the node has stopped: start it with 'meshnode run'")


async def _show_one(api: NodeApi, message: dict[str, Any], *, as_json: bool) -> int:
    """Print one message on one line; return its local number."""
    key = int(message["key"])
    if as_json:
        print_json(**message)
        return key
    when, who, whom = (
        local_time(message["received_ms"]),
        safe(message["from"]),
        safe(message["to"]),
    )
    typer.echo(f"{key}  {when}  {who} → {whom}: {safe(_marked(message))}")
    await api.mark_read(key)
    return key
