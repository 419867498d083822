"""The broadcast: everybody hears what was published since, and the slow lose the oldest."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from meshnode import events as module
from meshnode.events import BundlesStored, Event, Events, MessageChanged


async def test_every_subscriber_hears_all_since_it_came(autojump_clock: MockClock) -> None:
    events = Events()
    events.publish(MessageChanged(0))
    with events.subscribe() as first:
        events.publish(MessageChanged(1))
        with events.subscribe() as second:
            events.publish(MessageChanged(2))
            assert [await first.next(), await first.next()] == [
                MessageChanged(1),
                MessageChanged(2),
            ]
            assert await second.next() == MessageChanged(2)
        events.publish(MessageChanged(3))
        assert await first.next() == MessageChanged(3)
    events.publish(MessageChanged(4))
    assert (first.lost, second.lost) == (0, 0)


async def test_a_waiting_reader_wakes(autojump_clock: MockClock) -> None:
    events, heard = Events(), list[Event]()

    async def read() -> None:
        with events.subscribe() as subscription:
            for _ in range(2):
                heard.append(await subscription.next())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        for count in (1, 2):
            await wait_all_tasks_blocked()
            events.publish(BundlesStored(count, None))
    assert heard == [BundlesStored(1, None), BundlesStored(2, None)]


async def test_the_slow_lose_the_oldest_and_are_told_how_many(autojump_clock: MockClock) -> None:
    events, most = Events(), module._EVENTS_MAX
    with events.subscribe() as subscription:
        for key in range(most):
            events.publish(MessageChanged(key))
        assert subscription.lost == 0
        events.publish(MessageChanged(most))
        assert subscription.lost == 1
        assert await subscription.next() == MessageChanged(1)


async def test_reading_is_a_checkpoint(autojump_clock: MockClock) -> None:
    events = Events()
    with events.subscribe() as subscription:
        events.publish(MessageChanged(1))
        with trio.move_on_after(0) as scope:
            scope.cancel()
            await subscription.next()
        assert scope.cancelled_caught
        assert await subscription.next() == MessageChanged(1)
