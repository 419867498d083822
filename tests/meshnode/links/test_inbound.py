"""Batches: urgent first, acknowledged in order, finished even when the session ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from trio.testing import MockClock

from meshnode.errors import StoreError
from meshnode.links.inbound import Inbound, Settled, is_urgent_untrusted
from protocol import bundle as bundles
from protocol.bundle import Header, Scope, Suite
from protocol.errors import LocalProtocolError, MeshError
from protocol.ids import NodeId, ShortId
from protocol.limits import (
    BATCH_BUNDLES_MAX,
    BATCH_BYTES_MAX,
    BATCHES_IN_FLIGHT_MAX,
    BUNDLE_BYTES_MAX,
    KINDS,
    Kind,
    TrafficClass,
)
from protocol.reports import Reception
from protocol.session import BundleReceived
from tests.meshnode.links.fake_host import FakeHost, container, short_of

PEER: NodeId = b"p" * 16


class Case:
    """An `Inbound` and what it reported."""

    def __init__(self, host: FakeHost, nursery: trio.Nursery) -> None:
        self.settled: list[Settled] = []
        self.failures: list[MeshError] = []
        self.inbound = Inbound(host, nursery, self.settled.append, self.failures.append)
        self.inbound.peer = PEER
        self._next = 0

    def put(self, raws: list[bytes]) -> None:
        for raw in raws:
            self.inbound.put(BundleReceived(self._next, 0, raw))
            self._next += 1
        self.inbound.start()

    @property
    def upto(self) -> int:
        return self.settled[-1].upto if self.settled else 0


@asynccontextmanager
async def inbound(host: FakeHost) -> AsyncIterator[Case]:
    async with trio.open_nursery() as nursery:
        yield Case(host, nursery)


def texts(count: int, start: int = 0, size_bytes: int = 300) -> list[bytes]:
    return [container(Kind.TEXT, start + number, size_bytes) for number in range(count)]


@pytest.mark.parametrize("kind", list(Kind))
def test_urgency_is_read_from_real_bundles(kind: Kind) -> None:
    key = Ed25519PrivateKey.generate()
    header = Header(
        suite=Suite.CLEAR,
        kind=kind,
        author=bytes(16),
        incarnation=2**32 - 1,
        seq=2**64 - 1,
        hlc=2**63,
        lifetime_s=3_600,
        scope=Scope.for_device(65_535, bytes(16)),
        keyref=b"",
        index=0,
    )
    raw = bundles.build(header, bytes(1_000), key.sign).raw
    assert is_urgent_untrusted(raw) is (KINDS[kind].traffic_class <= TrafficClass.SOS)


def test_short_garbage_is_not_urgent() -> None:
    assert not any(is_urgent_untrusted(bytes([1]) * size) for size in range(5))


async def test_batches_are_bounded_and_overlap(autojump_clock: MockClock) -> None:
    host = FakeHost(bytes(16), commit_s=1)
    async with inbound(host) as case:
        case.put(texts(2 * BATCH_BUNDLES_MAX + 200))
        was_idle = case.inbound.is_idle
        await case.inbound.finish(1_000)
        assert (was_idle, case.inbound.is_idle) == (False, True)
    assert [len(batch) for batch in host.batches] == [BATCH_BUNDLES_MAX, BATCH_BUNDLES_MAX, 200]
    assert trio.current_time() == 2  # Two at the same time, then the third.
    assert len(host.stored) == case.upto == 2 * BATCH_BUNDLES_MAX + 200
    assert BATCHES_IN_FLIGHT_MAX == 2


async def test_batches_are_bounded_in_bytes(autojump_clock: MockClock) -> None:
    host = FakeHost(bytes(16))
    async with inbound(host) as case:
        case.put(texts(30, size_bytes=BUNDLE_BYTES_MAX))
    sizes = [sum(map(len, batch)) for batch in host.batches]
    assert len(sizes) > 2
    assert max(sizes) < BATCH_BYTES_MAX + BUNDLE_BYTES_MAX


async def test_the_first_bundle_is_not_kept_waiting(autojump_clock: MockClock) -> None:
    host = FakeHost(bytes(16), commit_s=1)
    async with inbound(host) as case:
        case.put(texts(1))
        case.put(texts(10, start=1))  # Too few for a second batch beside the first.
        await trio.sleep(0.5)
        assert [len(batch) for batch in host.batches] == [1]
    assert [len(batch) for batch in host.batches] == [1, 10]


async def test_an_sos_passes_all_that_waits(autojump_clock: MockClock) -> None:
    host = FakeHost(bytes(16), commit_s=1)
    sos = container(Kind.SOS, 1)
    async with inbound(host) as case:
        case.put(texts(2_000))
        await trio.sleep(0.5)
        case.put([sos])
        await trio.sleep(1.1)
        assert host.has(sos)
        assert len(host.stored) < 1_100
        # Indexes are acknowledged in order: the SOS is durable, and named when its turn comes.
        assert case.upto <= 1_000
        with trio.fail_after(60):
            await case.inbound.finish(1_000)
    assert case.upto == 2_001


async def test_refusals_are_named_once_and_in_order(autojump_clock: MockClock) -> None:
    host = FakeHost(bytes(16))
    raws = texts(5)
    host.refuse = {short_of(raws[1]): Reception.EXPIRED, short_of(raws[4]): Reception.QUOTA}
    host.put([raws[2]])
    async with inbound(host) as case:
        case.put(raws)
    refusals = [refusal for settled in case.settled for refusal in settled.refusals]
    assert refusals == [
        (1, Reception.EXPIRED),
        (2, Reception.DUPLICATE),
        (4, Reception.QUOTA),
    ]
    assert set(case.settled[0].arrived) == {short_of(raw) for raw in raws}
    assert set(case.settled[0].held) == {short_of(raws[number]) for number in (0, 2, 3)}


async def test_bytes_that_are_no_bundle_have_no_name(autojump_clock: MockClock) -> None:
    class Strict(FakeHost):
        async def receive(self, peer, batch):  # type: ignore[no-untyped-def]
            await trio.lowlevel.checkpoint()
            none: ShortId | None = None
            return [(none, Reception.MALFORMED) for _ in batch]

    async with inbound(Strict(bytes(16))) as case:
        case.put([b"garbage"])
    assert case.settled == [Settled(1, ((0, Reception.MALFORMED),), (), ())]


async def test_a_full_store_is_reported_and_the_rest_dropped(autojump_clock: MockClock) -> None:
    host = FakeHost(bytes(16))
    host.fault, host.fault_in = StoreError("disk"), "receive"
    async with inbound(host) as case:
        case.put(texts(3_000))
        await case.inbound.finish(100)
    assert case.failures
    assert case.settled == []
    assert case.inbound.is_idle


async def test_a_defect_of_ours_is_raised(autojump_clock: MockClock) -> None:
    host = FakeHost(bytes(16))
    host.fault, host.fault_in = LocalProtocolError("defect"), "receive"
    with pytest.raises(ExceptionGroup) as caught:
        async with inbound(host) as case:
            case.put(texts(1))
    assert caught.group_contains(LocalProtocolError)


async def test_a_batch_that_began_survives_a_cancelled_node(autojump_clock: MockClock) -> None:
    host = FakeHost(bytes(16), commit_s=2)
    with trio.move_on_after(1):
        async with trio.open_nursery() as nursery:
            case = Case(host, nursery)
            case.put(texts(BATCHES_IN_FLIGHT_MAX * BATCH_BUNDLES_MAX + 500))
            try:
                await trio.sleep_forever()
            finally:
                case.inbound.forget()
                with trio.CancelScope(shield=True):
                    await case.inbound.finish(trio.current_time() + 5)
    assert len(host.stored) == BATCHES_IN_FLIGHT_MAX * BATCH_BUNDLES_MAX
    assert trio.current_time() == 2


async def test_a_store_that_hangs_is_left_after_the_deadline(autojump_clock: MockClock) -> None:
    host = FakeHost(bytes(16), commit_s=1_000)
    async with inbound(host) as case:
        case.put(texts(1_000))
        await trio.sleep(1)
        await case.inbound.finish(6)
    assert trio.current_time() == 6
    assert host.stored == {}
