"""Which message a person means: a whole id, a part of it, a local number, or the last one sent."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from meshnode.cli.texts import TextError
from meshnode.local_numbers import local_number

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["PAGE", "Lister", "every", "find_message"]

PAGE: Final = 500
"""Messages asked of the node at once."""
_WHOLE: Final = re.compile(r"[0-9a-f]{32}\.\d+\.\d+")
_NEEDED: Final = 3
"""Characters below which a part of an id would be a guess."""
_LISTED_MAX: Final = 5

Lister: TypeAlias = Callable[[int, int], Awaitable[list[dict[str, Any]]]]
"""`Api.inbox` or `Api.outgoing`: messages behind a local number, at most so many."""


async def find_message(api: NodeApi, text: str) -> str:
    """Return the id of the message that `text` means. Raises: TextError.

    Cost: for a part of an id, or 'last', one pass over the messages of this device.
    """
    wanted = text.strip().lower()
    if _WHOLE.fullmatch(wanted):
        return wanted
    if (numbered := await _numbered(api, wanted)) is not None:
        return numbered
    if wanted == "last":
        return await _last_sent(api)
    start, _, end = wanted.replace("...", "…").partition("…")
    if len(start + end) < _NEEDED:
        raise TextError(f"'{text}' is too short: give three characters of the id, or its number")
    found = set()
    for lister in (api.outgoing, api.inbox):
        async for each in every(lister):
            if _fits(each["message"], start, end):
                found.add(each["message"])
    if len(found) > 1:
        listed = ", ".join(sorted(found)[:_LISTED_MAX]) + (
            ", …" if len(found) > _LISTED_MAX else ""
        )
        raise TextError(f"'{text}' fits {len(found)} messages: give more of the id ({listed})")
    if not found:
        raise _unknown(text)
    return str(found.pop())


def _fits(message: str, start: str, end: str) -> bool:
    if end:
        return message.startswith(start) and message.endswith(end)
    return message.startswith(start) or message.endswith(start)


async def _numbered(api: NodeApi, wanted: str) -> str | None:
    key = local_number(wanted)
    if key is None:
        return None
    for lister in (api.outgoing, api.inbox):
        for each in await lister(key - 1, 1):
            if each["key"] == key:
                return str(each["message"])
    return None


async def _last_sent(api: NodeApi) -> str:
    last = None
    async for each in every(api.outgoing):
        last = str(each["message"])
    if last is None:
        raise TextError("nothing was sent from here: write with 'meshnode send' first")
    return last


def _unknown(text: str) -> TextError:
    return TextError(f"no message here is '{text}': see 'meshnode inbox' and 'meshnode outbox'")


async def every(lister: Lister) -> AsyncIterator[dict[str, Any]]:
    """Give all messages, oldest first, page by page."""
    after = 0
    while page := await lister(after, PAGE):
        for each in page:
            yield each
        after = page[-1]["key"]
