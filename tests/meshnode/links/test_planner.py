"""Questions are answered by rank; long answers leave room for urgent ones."""

from __future__ import annotations

from functools import partial

import trio
from trio.testing import wait_all_tasks_blocked

from meshnode.links.level import Level
from meshnode.links.planner import Planner
from protocol.limits import PLANS_WAITING_MAX


async def test_a_lower_rank_goes_first_then_the_older() -> None:
    planner, done = Planner(), []

    async def job(name: str) -> None:
        await trio.lowlevel.checkpoint()
        done.append(name)

    for rank, name in [(4, "bulk"), (1, "sos"), (4, "more bulk"), (-1, "hello")]:
        planner.put(rank, partial(job, name))
    planner.park(0, partial(job, "parked"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(planner.run)
        await wait_all_tasks_blocked()
        assert done == ["hello", "sos", "bulk", "more bulk"]
        was_idle = planner.is_idle
        planner.unpark()
        await wait_all_tasks_blocked()
        assert done[-1] == "parked"
        assert (was_idle, planner.is_idle) == (False, True)
        nursery.cancel_scope.cancel()


async def test_an_urgent_question_passes_between_the_steps_of_a_long_one() -> None:
    planner, done = Planner(), []

    async def step(left: int) -> None:
        await trio.lowlevel.checkpoint()
        done.append(f"bulk {left}")
        if left == 2:
            planner.put(1, urgent)
        if left:
            planner.put(4, partial(step, left - 1))

    async def urgent() -> None:
        await trio.lowlevel.checkpoint()
        done.append("sos")

    planner.put(4, partial(step, 2))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(planner.run)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert done == ["bulk 2", "sos", "bulk 1", "bulk 0"]


async def test_questions_are_bounded() -> None:
    planner = Planner()
    for _ in range(PLANS_WAITING_MAX - 1):
        planner.put(0, trio.lowlevel.checkpoint)
    assert planner.has_room
    planner.park(0, trio.lowlevel.checkpoint)
    assert not planner.has_room


async def test_a_level_remembers_that_and_not_how_often() -> None:
    level = Level()
    level.set()
    level.set()
    await level.wait()
    with trio.move_on_after(0) as limit:
        await level.wait()
    assert limit.cancelled_caught
