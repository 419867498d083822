"""Radio seconds: bursts and tails by hand, and beside a slow reference in a contact of nodes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from meshnode.links.airtime import TAIL_S, AirTime
from meshnode.links.base import Address, LinkCost
from meshnode.links.memory import MemoryLink, MemoryNetwork, Shape, memory_link_pair
from meshnode.metrics import Metrics
from meshnode.node import Surroundings
from tests.meshnode.rig import open_rig


def awake_ms(spans: Sequence[tuple[float, float]], tail_s: float) -> float:
    """Return how long any span or its tail lasts, in whole: the obvious way."""
    total_s, until_s = 0.0, float("-inf")
    for start_s, end_s in sorted(spans):
        total_s += max(0.0, end_s + tail_s - max(start_s, until_s))
        until_s = max(until_s, end_s + tail_s)
    return 1000 * total_s


async def test_bursts_within_a_tail_are_one_and_sending_counts_throughout(
    autojump_clock: MockClock,
) -> None:
    metrics, (link, other) = Metrics(), memory_link_pair()
    link.cost, other.cost = LinkCost.METERED, LinkCost.COSTLY
    air, tail_ms = AirTime(metrics), 1000 * TAIL_S["cellular"]
    air.received(link)
    await trio.sleep(TAIL_S["cellular"] - 1)
    air.received(link)
    assert metrics.value("radio_ms_cellular") == pytest.approx(2 * tail_ms - 1_000, abs=2)
    await trio.sleep(100)
    before = metrics.value("radio_ms_cellular")
    with air.sending(link):
        await trio.sleep(50)
        air.received(link)
        await trio.sleep(50)
    assert metrics.value("radio_ms_cellular") - before == pytest.approx(100_000 + tail_ms, abs=2)
    assert metrics.value("radio_ms_lan") == 0
    air.received(other)
    assert metrics.value("radio_ms_satellite") == pytest.approx(1000 * TAIL_S["satellite"], abs=1)
    link.kind = "serial"
    air.received(link)
    assert metrics.value("radio_ms_serial") == pytest.approx(1000 * TAIL_S["serial"], abs=1)


async def test_a_contact_of_two_nodes_counts_what_went_over_its_link(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    send, receive = MemoryLink.send, MemoryLink.receive

    async def timed_send(self: MemoryLink, data: bytes) -> None:
        start_s = trio.current_time()
        try:
            await send(self, data)
        finally:
            spans[self.is_initiator].append((start_s, trio.current_time()))

    async def timed_receive(self: MemoryLink, max_bytes: int = 65_536) -> bytes:
        data = await receive(self, max_bytes)
        if data:
            spans[self.is_initiator].append((trio.current_time(), trio.current_time()))
        return data

    slow = Shape(latency_s=0.3, rate_bytes_s=2_000.0, buffer_bytes=4_096)
    monkeypatch.setattr(MemoryLink, "send", timed_send)
    monkeypatch.setattr(MemoryLink, "receive", timed_receive)
    monkeypatch.setattr(
        "tests.meshnode.rig.MemoryNetwork", lambda: MemoryNetwork(lambda _from, _to: slow)
    )
    async with open_rig() as rig, trio.open_nursery() as nursery:
        anna, bruno = rig["anna"], rig["bruno"]
        for _each in range(20):
            await anna.send(bruno.scope, "where are you? " * 60)
        await nursery.start(bruno.node.run, Surroundings())
        await nursery.start(anna.node.run, Surroundings(static=(Address("bruno", 1),)))
        await trio.sleep(300)
        for name, is_initiator in (("anna", True), ("bruno", False)):
            counted = rig[name].metric("radio_ms_lan")
            expected = awake_ms(spans[is_initiator], TAIL_S["lan"])
            print(f"{name}: radio awake for {counted} ms of 300 s, {expected:.0f} by the reference")
            assert counted == pytest.approx(expected, abs=5)
            assert 8_000 < counted < 60_000
        nursery.cancel_scope.cancel()
