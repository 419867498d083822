"""Rooms that fail start again, later each time; our own defects are not hidden."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from meshnode.errors import StoreFullError
from meshnode.metrics import Metrics
from meshnode.runtime import system_runtime
from meshnode.supervisor import contain, keep_running
from protocol.errors import LocalProtocolError
from protocol.limits import RESTART_MS_MAX
from sims.runtime import Machine, Tracer


class Room:
    """A room that fails as told."""

    def __init__(self, failures: list[BaseException], *, runs_s: float = 0.0) -> None:
        self.starts: list[float] = []
        self._failures = failures
        self._runs_s = runs_s

    async def run(self) -> None:
        """Run for a while, then fail as long as failures are left."""
        self.starts.append(trio.current_time())
        await trio.sleep(self._runs_s)
        if self._failures:
            raise self._failures.pop(0)


async def supervise(room: Room) -> tuple[Metrics, Tracer]:
    """Keep a room running; return what was counted and traced."""
    metrics, tracer = Metrics(), Tracer()
    await keep_running("inbox", room.run, Machine(1, "a", tracer).runtime, metrics)
    return metrics, tracer


async def test_a_room_that_fails_starts_again_later_each_time(autojump_clock: MockClock) -> None:
    room = Room([OSError("secret words")] * 9)
    metrics, tracer = await supervise(room)
    waits = [b - a for a, b in zip(room.starts, room.starts[1:], strict=False)]
    assert waits == [min(0.5 * 2**n, RESTART_MS_MAX / 1000) for n in range(9)]
    assert metrics.value("rooms_restarted") == 9
    assert {line.event for line in tracer.lines} == {"room_failed"}
    assert dict(tracer.lines[0].fields) == {"room": "inbox", "reason": "OSError"}


async def test_a_room_that_was_well_for_a_minute_starts_at_once(autojump_clock: MockClock) -> None:
    room = Room([StoreFullError("full")] * 4, runs_s=61.0)
    await supervise(room)
    waits = [b - a - 61.0 for a, b in zip(room.starts, room.starts[1:], strict=False)]
    assert waits == [0.5] * 4


async def test_a_room_that_ends_is_left_alone(autojump_clock: MockClock) -> None:
    room = Room([])
    await supervise(room)
    assert len(room.starts) == 1


@pytest.mark.parametrize(
    "defect",
    [
        AssertionError("ours"),
        LocalProtocolError("ours"),
        ExceptionGroup("nursery", [OSError(), ExceptionGroup("inner", [AssertionError("ours")])]),
    ],
)
async def test_a_defect_of_ours_is_not_hidden(autojump_clock: MockClock, defect: Exception) -> None:
    room = Room([defect])
    with pytest.raises(type(defect)):
        await supervise(room)
    assert len(room.starts) == 1


async def test_a_failure_in_a_group_is_a_failure(autojump_clock: MockClock) -> None:
    room = Room([ExceptionGroup("nursery", [OSError()])])
    metrics, _tracer = await supervise(room)
    assert metrics.value("rooms_restarted") == 1


async def test_cancellation_passes(autojump_clock: MockClock) -> None:
    room = Room([], runs_s=1e6)
    with trio.move_on_after(5) as scope:
        await supervise(room)
    assert scope.cancelled_caught


async def test_what_strangers_start_ends_alone() -> None:
    metrics, traced = Metrics(), list[str]()

    def trace(event: str, /, **fields: object) -> None:
        traced.append(f"{event} {fields['reason']}")

    async def breaks() -> int:
        raise AssertionError("secret text of a stranger")

    async def works() -> int:
        return 7

    seams = replace(system_runtime(), trace=trace)
    assert await contain("session", works, seams, metrics) == 7
    assert await contain("session", breaks, seams, metrics) is None
    assert metrics.value("session_defects") == 1
    assert traced == ["defect AssertionError"]


async def test_containing_lets_cancellation_through() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await contain("session", trio.sleep_forever, system_runtime(), Metrics())
    assert scope.cancelled_caught
