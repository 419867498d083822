"""Waiting until devices say something that no event tells: they are asked again and again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

__all__ = ["come_about"]

_ASK_EVERY_S = 0.05


async def come_about(told: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Ask until `told` says so; False if it did not within so many seconds."""
    with trio.move_on_after(seconds) as waiting:
        while not await told():  # noqa: ASYNC110 - asked of other processes
            await trio.sleep(_ASK_EVERY_S)
    return not waiting.cancelled_caught
