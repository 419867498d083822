"""Starts a part of the node again when it fails: a full disk or a lost socket ends no node.

One of the three places that catch every exception. What happened is traced by its type alone,
because the text of a foreign error may hold anything. Source: STYLE 20 and 23.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from protocol.errors import LocalProtocolError
from protocol.limits import RESTART_MS_MAX

__all__ = ["contain", "keep_running"]

T = TypeVar("T")

_FIRST_MS: Final = 500
_HEALTHY_S: Final = 60.0
"""A room that ran this long before it failed starts again at once."""

_log = logging.getLogger("meshnode.supervisor")


async def keep_running(
    name: str, room: Callable[[], Awaitable[None]], runtime: Runtime, metrics: Metrics
) -> None:
    """Run `room` until it returns; after a failure run it again, later each time, up to a minute.

    A defect of ours that the protocol noticed (LocalProtocolError, AssertionError) is not hidden:
    it ends the node. Cancellation always passes.
    """
    wait_ms = _FIRST_MS
    while True:
        started_s = trio.current_time()
        try:
            await room()
        except Exception as error:
            if _is_defect(error):
                raise
            metrics.count("rooms_restarted")
            runtime.trace("room_failed", room=name, reason=type(error).__name__)
            _log.debug("room %s failed", name, exc_info=error)
        else:
            return
        if trio.current_time() - started_s > _HEALTHY_S:
            wait_ms = _FIRST_MS
        await trio.sleep(wait_ms / 1000)
        wait_ms = min(2 * wait_ms, RESTART_MS_MAX)


async def contain(
    name: str, work: Callable[[], Awaitable[T]], runtime: Runtime, metrics: Metrics
) -> T | None:
    """Return what `work` returns, or None if a defect of ours ended it: it ends alone then.

    For what strangers can start: whatever they found must not take the node from everybody else.
    """
    try:
        return await work()
    except Exception as error:  # noqa: BLE001 - whatever a stranger found, it ends alone
        metrics.count("session_defects")
        runtime.trace("defect", room=name, reason=type(error).__name__)
        _log.warning("%s ended by a defect of this program", name, exc_info=error)
        return None


def _is_defect(error: BaseException) -> bool:
    """True for a defect of ours, by itself or in the group that a nursery makes of it."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(_is_defect, error.exceptions))
    return isinstance(error, LocalProtocolError | AssertionError)
