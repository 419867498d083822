"""How many hints reach the link manager, whatever a source offers."""

from __future__ import annotations

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode.discovery.base import HintSink
from meshnode.links.base import Address
from meshnode.links.contacts import Hint
from meshnode.metrics import Metrics
from protocol.limits import HINTS_BURST_MAX, HINTS_PER_S_MAX, HINTS_WAITING_MAX

HINT = Hint("boat", (Address("10.0.0.1", 7625),))


async def test_a_burst_passes_and_one_more_does_not(autojump_clock: MockClock) -> None:
    metrics = Metrics()
    send, receive = trio.open_memory_channel[Hint](HINTS_BURST_MAX + 10)
    sink = HintSink(send, metrics)
    assert all(sink.offer(HINT) for _ in range(HINTS_BURST_MAX))
    assert not sink.offer(HINT)
    assert receive.statistics().current_buffer_used == HINTS_BURST_MAX
    assert metrics.value("hints") == HINTS_BURST_MAX
    assert metrics.value("hints_dropped") == 1


async def test_a_flood_is_slowed_to_a_rate(autojump_clock: MockClock) -> None:
    send, receive = trio.open_memory_channel[Hint](1_000_000)
    sink = HintSink(send, Metrics())
    for _ in range(600):
        for _ in range(100):
            sink.offer(HINT)
        await trio.sleep(0.1)
    passed = receive.statistics().current_buffer_used
    assert HINTS_BURST_MAX < passed <= HINTS_BURST_MAX + 60 * HINTS_PER_S_MAX


async def test_a_full_or_closed_channel_drops_and_never_waits() -> None:
    metrics = Metrics()
    send, receive = trio.open_memory_channel[Hint](1)
    sink = HintSink(send, metrics)
    assert sink.offer(HINT)
    assert not sink.offer(HINT)
    assert receive.receive_nowait() == HINT
    assert sink.offer(HINT)
    receive.close()
    assert not sink.offer(HINT)
    assert metrics.value("hints_dropped") == 2


@given(st.lists(st.tuples(st.floats(0, 1_000), st.integers(0, 600)), max_size=20))
def test_no_order_of_events_passes_more_than_the_rate(steps: list[tuple[float, int]]) -> None:
    async def offer_all() -> tuple[int, float]:
        send, receive = trio.open_memory_channel[Hint](100_000)
        sink = HintSink(send, Metrics())
        started_s = trio.current_time()
        for pause_s, count in steps:
            await trio.sleep(pause_s)
            for _ in range(count):
                sink.offer(HINT)
        return receive.statistics().current_buffer_used, trio.current_time() - started_s

    passed, took_s = trio.run(offer_all, clock=MockClock(autojump_threshold=0))
    assert passed <= HINTS_BURST_MAX + took_s * HINTS_PER_S_MAX + 1e-6
    assert passed <= sum(count for _pause, count in steps)


def test_one_burst_fits_the_queue() -> None:
    assert HINTS_BURST_MAX <= HINTS_WAITING_MAX
