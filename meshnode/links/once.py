"""When is a contact done: rounds until one finds nothing more to move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import trio

from meshnode.links.session_runner import SessionRunner, SessionStats
from protocol.ids import NodeId

__all__ = ["Progress", "SyncSummary", "until_synced"]

_ROUNDS_MAX = 8
"""Two nodes that keep getting new bundles would never be done."""
_QUIET_S = 0.25
"""Least silence after which a peer has nothing left to stream; four round trips are added."""
_QUIET_S_MAX = 5.0
_STALL_S = 10.0
"""A bundle that was asked for and does not come for this long was dropped by the peer."""
_PROGRESS_S = 0.1

Progress: TypeAlias = Callable[[SessionStats], None]
"""Told now and then, and at the end."""


@dataclass(frozen=True, slots=True)
class SyncSummary:
    """What one contact did."""

    peer: NodeId | None
    """None if it was not admitted."""
    is_complete: bool
    """False if the contact ended before both sides held the same."""
    reason: str
    """Why it ended."""
    duration_s: float
    """From the dial to the end."""
    stats: SessionStats
    """What crossed."""


async def until_synced(runner: SessionRunner, on_progress: Progress) -> bool:
    """Return True once a round has found nothing to move, False if the session ends before.

    A responder streams what the initiator knows nothing of, and does not say when it is done:
    hence a further round as proof, as soon as the line is quiet.
    """
    report = _Report(runner, on_progress)
    rounds = runner.rounds_finished
    can_ask = runner.is_initiator
    moved = -1
    for _ in range(_ROUNDS_MAX):
        if can_ask and rounds:
            runner.start_round()
        while runner.rounds_finished <= rounds and (can_ask or not rounds):
            if runner.is_over:
                return False
            await _wait(runner, float("inf"), report)
        if not await _until_quiet(runner, report):
            return False
        if not can_ask or _moved(runner) in (0, moved):
            break
        moved, rounds = _moved(runner), runner.rounds_finished
    on_progress(runner.stats)
    return True


async def _until_quiet(runner: SessionRunner, report: _Report) -> bool:
    """Wait until no bundle has moved for a while; False if the session is over before."""
    quiet_s = min(_QUIET_S + 4 * runner.rtt_s, _QUIET_S_MAX)
    moved, moved_s = _moved(runner), trio.current_time()
    while not runner.is_over:
        limit_s = moved_s + (quiet_s if runner.is_quiet else _STALL_S)
        if trio.current_time() >= limit_s:
            if runner.is_quiet:
                return True
            runner.give_up_waiting()
            moved_s = trio.current_time()
            continue
        await _wait(runner, limit_s, report)
        if moved != _moved(runner):
            moved, moved_s = _moved(runner), trio.current_time()
    return False


async def _wait(runner: SessionRunner, until_s: float, report: _Report) -> None:
    with trio.move_on_at(until_s):
        await runner.wait_changed()
    report.look()


def _moved(runner: SessionRunner) -> int:
    stats = runner.stats
    return stats.bundles_sent + stats.bundles_received


class _Report:
    """Keeps progress to ten times a second."""

    def __init__(self, runner: SessionRunner, on_progress: Progress) -> None:
        self._runner = runner
        self._on_progress = on_progress
        self._next_s = 0.0

    def look(self) -> None:
        if trio.current_time() >= self._next_s:
            self._next_s = trio.current_time() + _PROGRESS_S
            self._on_progress(self._runner.stats)
