"""Steps of one device's tasks: every await can be the last."""

from __future__ import annotations

import trio

from sims.steps import StepCounter, belongs_to


async def walk(name: str, done: list[int], count: int) -> None:
    """Do so many steps as a task of a device."""
    belongs_to(name)
    for number in range(count):
        done.append(number)
        await trio.lowlevel.checkpoint()


async def test_the_power_goes_after_exactly_so_many_steps() -> None:
    for steps in range(1, 7):
        done: list[int] = []
        others: list[int] = []
        counter = StepCounter()
        with trio.CancelScope() as scope:
            counter.after("a", steps, scope.cancel)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(walk, "a", done, 10)
                nursery.start_soon(walk, "b", others, 3)
        assert done == list(range(steps))


async def test_tasks_started_by_a_device_are_its_own() -> None:
    seen: list[str] = []
    counter = StepCounter()

    async def device() -> None:
        belongs_to("a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.checkpoint)

    counter.after("a", 3, lambda: seen.append("a"))
    await device()
    await trio.lowlevel.checkpoint()
    assert seen == ["a"]


async def test_whoever_waits_no_longer_is_not_called() -> None:
    seen: list[str] = []
    counter = StepCounter()
    counter.after("a", 2, lambda: seen.append("first"))
    counter.after("a", 1, lambda: seen.append("second"))
    counter.after("b", 1, lambda: seen.append("b"))
    counter.forget("b")
    counter.forget("nobody")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(walk, "a", [], 4)
        nursery.start_soon(walk, "b", [], 4)
    assert seen == ["second"]
