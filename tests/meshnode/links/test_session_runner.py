"""Two nodes over one link: sets meet, urgent goes first, faults stay where they are."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from meshnode.errors import LinkClosedError, StoreError
from meshnode.links.base import Link
from meshnode.links.memory import memory_link_pair
from meshnode.links.once import until_synced
from meshnode.links.session_handle import SessionStats
from meshnode.links.session_runner import SessionHandle, SessionRunner
from protocol.errors import CloseCode, IdentityError, LocalProtocolError
from protocol.limits import Kind
from protocol.reports import Reception
from tests.meshnode.links.contact_parts import (
    FAST,
    MEGABYTE,
    End,
    bulk,
    contact,
    hosts,
    make_ends,
    texts,
    until,
)
from tests.meshnode.links.fake_host import FakeHost, container, short_of
from tests.meshnode.links.parts import runtime

# --- sets meet ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "common"),
    [(0, 0, 0), (5, 0, 0), (0, 5, 0), (3, 4, 10), (100, 200, 50), (0, 0, 300), (40, 700, 500)],
)
async def test_two_nodes_end_with_the_same_set(
    autojump_clock: MockClock, ours: int, theirs: int, common: int
) -> None:
    a, b = hosts()
    a.put(texts(ours) + texts(common, 10_000))
    b.put(texts(theirs, 5_000) + texts(common, 10_000))
    async with contact(a, b) as (near, far):
        assert await until_synced(near.runner, lambda stats: None)
    assert a.stored == b.stored
    assert len(a.stored) == ours + theirs + common
    assert near.done.code is CloseCode.NORMAL
    assert not near.done.by_peer
    assert far.done.code is CloseCode.NORMAL
    assert far.done.by_peer
    assert near.done.peer == b.node
    assert near.done.stats.bundles_received == theirs
    assert far.done.stats.bundles_received == ours
    assert {short for short, _fate in a.custody} == {short_of(raw) for raw in texts(ours)}
    assert a.handles == b.handles == []
    assert len(a.went_down) == len(b.went_down) == 1


async def test_documents_come_before_everything(autojump_clock: MockClock) -> None:
    a, b = hosts()
    a.documents = {(1, b""): (3, b"new root"), (2, b"x"): (1, b"old roster")}
    b.documents = {(1, b""): (2, b"old root"), (2, b"x"): (5, b"new roster")}
    b.put(texts(3))
    async with contact(a, b) as (near, _far):
        assert await until_synced(near.runner, lambda stats: None)
    assert a.applied == [b"new roster"]
    assert b.applied == [b"new root"]
    assert len(a.stored) == 3


async def test_new_bundles_are_pushed_to_a_live_peer(autojump_clock: MockClock) -> None:
    a, b = hosts()
    small, large = container(Kind.TEXT, 1), container(Kind.CHUNK, 2, 50_000)
    async with contact(a, b) as (near, far):
        await until(lambda: bool(a.handles and b.handles))
        b.publish([small])
        a.publish([large])
        pushed_s = trio.current_time()
        assert await until(lambda: a.has(small) and b.has(large)) - pushed_s < 0.2
        near.runner.announce(())
        assert far.runner.handle is not None
    near.runner.announce(tuple(a.put([container(Kind.TEXT, 9)])))
    near.runner.start_round()
    near.runner.close(CloseCode.NORMAL)
    assert near.done.stats.bundles_received == 1


async def test_a_round_finds_what_no_push_told(autojump_clock: MockClock) -> None:
    a, b = hosts()
    async with contact(a, b) as (near, far):
        assert await until_synced(near.runner, lambda stats: None)
        a.put(texts(20))
        b.put(texts(30, 1_000))
        far.runner.start_round()  # Only the initiator can.
        await trio.sleep(5)
        assert a.stored != b.stored
        assert near.runner.handle is not None
        near.runner.handle.start_round()
        near.runner.handle.start_round()
        await until(lambda: a.stored == b.stored)
        assert near.runner.handle.stats.rounds >= 2


async def test_what_was_dropped_meanwhile_is_not_waited_for(autojump_clock: MockClock) -> None:
    a, b = hosts()
    a.put(texts(100))
    b.put(texts(100) + texts(10, 500))
    b.read_s = 0.05
    async with contact(a, b) as (near, _far):
        await until(lambda: near.runner.rounds_finished == 1, 0.001)
        for raw in texts(10, 500)[:4]:
            del b.stored[short_of(raw)]
        assert await until_synced(near.runner, lambda stats: None)
    assert len(a.stored) == 106


async def test_refusals_reach_the_sender(autojump_clock: MockClock) -> None:
    a, b = hosts()
    raws = texts(5)
    a.put(raws)
    b.refuse = {short_of(raws[2]): Reception.QUOTA}
    async with contact(a, b) as (near, _far):
        assert await until_synced(near.runner, lambda stats: None)
    assert dict(a.custody)[short_of(raws[2])] is Reception.QUOTA
    assert len(b.stored) == 4


async def test_a_large_empty_peer_is_streamed_to_in_pages(autojump_clock: MockClock) -> None:
    a, b = hosts()
    a.put(texts(12_000, size_bytes=120))
    a.page = 3_000
    async with contact(a, b) as (near, _far):
        assert await until_synced(near.runner, lambda stats: None)
    assert len(b.stored) == 12_000


async def test_progress_is_told_a_few_times_a_second(autojump_clock: MockClock) -> None:
    a, b = hosts()
    a.put(bulk(3_000_000))
    seen: list[SessionStats] = []
    async with contact(a, b, MEGABYTE) as (near, _far):
        assert await until_synced(near.runner, seen.append)
    assert 5 < len(seen) < 100
    assert seen[-1].bundles_sent == 50
    assert [stats.bytes_sent for stats in seen] == sorted(stats.bytes_sent for stats in seen)


# --- urgency -----------------------------------------------------------------------------------


@pytest.mark.slow
async def test_an_sos_passes_50_megabytes_of_bulk_on_a_megabyte_link(
    autojump_clock: MockClock,
) -> None:
    a, b = hosts(commit_s=0.01)
    sos, text = container(Kind.SOS, 1, 200), container(Kind.TEXT, 2, 400)
    a.put(bulk(50_000_000))
    a.put([sos, text])
    async with contact(a, b, MEGABYTE) as (near, far):
        with trio.move_on_after(20):
            await until(lambda: b.has(sos))
            await until(lambda: b.has(text))
        assert b.stored_s[short_of(sos)] < 1
        assert b.stored_s[short_of(text)] < 3
        await trio.sleep(5)
        # Later ones, in the middle of the bulk, both ways.
        late, answer = container(Kind.SOS, 3, 200), container(Kind.SOS, 4, 200)
        note = container(Kind.TEXT, 5, 400)
        at_s = trio.current_time()
        a.publish([late, note])
        b.publish([answer])
        await until(lambda: b.has(late) and b.has(note) and a.has(answer), 0.05)
        assert b.stored_s[short_of(late)] - at_s < 1
        assert b.stored_s[short_of(note)] - at_s < 3
        assert a.stored_s[short_of(answer)] - at_s < 1
        await trio.sleep(10)
        # The bulk fills the line all the while.
        assert len(b.stored) * 60_000 > 0.85 * trio.current_time() * 1_000_000 - 1_000_000
        near.link.drop()
    assert not far.runner.handle.silent_s < 0  # type: ignore[union-attr]


# --- time --------------------------------------------------------------------------------------


async def test_an_idle_session_wakes_for_its_pings_only(autojump_clock: MockClock) -> None:
    a, b = hosts()

    class Steps(trio.abc.Instrument):
        count = 0

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            self.count += 1

    steps = Steps()
    async with contact(a, b) as (near, _far):
        assert await until_synced(near.runner, lambda stats: None)
        await trio.sleep(60)
        trio.lowlevel.add_instrument(steps)
        await trio.sleep(3_600 - 120)
        trio.lowlevel.remove_instrument(steps)
        assert near.runner.report_open if False else not near.runner.is_over
    # About 180 silences of 20 s; each is one ping, one answer, and the tasks that look.
    assert steps.count < 180 * 2 * 12


async def test_a_peer_that_says_nothing_is_given_up(autojump_clock: MockClock) -> None:
    a, _b = hosts()
    near, _far = memory_link_pair()
    report = await SessionRunner(near, a, runtime()).run()
    assert report.code is CloseCode.TIMEOUT
    assert report.peer is None
    assert trio.current_time() <= 7


async def test_a_peer_that_falls_silent_is_given_up(autojump_clock: MockClock) -> None:
    a, b = hosts()
    async with contact(a, b) as (near, far):
        assert await until_synced(near.runner, lambda stats: None)
        near.link.stall()
        at_s = trio.current_time()
        assert await until(lambda: near.report is not None, 1) - at_s < 75
        assert near.done.code is CloseCode.TIMEOUT
        near.link.resume()
        await until(lambda: far.report is not None, 1)
    assert a.handles == b.handles == []


# --- ends --------------------------------------------------------------------------------------


async def test_a_link_that_breaks_keeps_what_arrived(autojump_clock: MockClock) -> None:
    a, b = hosts(commit_s=0.5)
    a.put(texts(3_000))
    async with contact(a, b, MEGABYTE) as (near, far):
        await until(lambda: len(b.stored) > 0)
        near.link.drop()
        await until(lambda: near.report is not None and far.report is not None)
    assert near.done.by_peer
    assert len(b.stored) == far.done.stats.bundles_received > 250
    assert a.handles == b.handles == []


async def test_both_close_at_once(autojump_clock: MockClock) -> None:
    a, b = hosts()
    async with contact(a, b) as (near, far):
        await trio.sleep(1)
        far.runner.close(CloseCode.GOING_AWAY)
    assert {near.done.code, far.done.code} <= {CloseCode.NORMAL, CloseCode.GOING_AWAY}


async def test_a_bye_in_the_middle_of_bulk_is_understood(autojump_clock: MockClock) -> None:
    a, b = hosts()
    a.put(bulk(5_000_000))
    async with contact(a, b, MEGABYTE) as (near, far):
        await trio.sleep(2)
        near.runner.close(CloseCode.GOING_AWAY)
        await until(lambda: far.report is not None)
    assert far.done.code is CloseCode.GOING_AWAY
    assert far.done.by_peer
    assert far.done.stats.bundles_received == len(b.stored)


async def test_a_cancelled_node_stores_what_was_begun(autojump_clock: MockClock) -> None:
    a, b = hosts(commit_s=1)
    a.put(texts(2_000))
    near, far = make_ends(a, b, MEGABYTE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.run)
        with trio.move_on_after(1.2) as limit:
            await far.run()
        assert limit.cancelled_caught
        assert b.stored
        assert b.handles == []
    assert near.done.by_peer


async def test_a_cancelled_node_does_not_wait_for_a_stalled_link(
    autojump_clock: MockClock,
) -> None:
    a, b = hosts()
    a.put(bulk(5_000_000))
    near, far = make_ends(a, b, MEGABYTE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(far.run)
        with trio.move_on_after(5):
            with trio.move_on_after(2):
                nursery.start_soon(trio.sleep, 0)
                near.link.resume()
                await _stalling(near)
        assert trio.current_time() < 4
        nursery.cancel_scope.cancel()


async def _stalling(end: End) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(end.run)
        await trio.sleep(1)
        end.link.stall()


# --- faults of the host ------------------------------------------------------------------------

PLACES = [
    "read_bundles",
    "plan",
    "plan_all",
    "missing",
    "receive",
    "handed_over",
    "ids",
    "unconfirmed",
]


@pytest.mark.parametrize("place", PLACES)
async def test_a_host_that_fails_ends_the_session_only(
    autojump_clock: MockClock, place: str
) -> None:
    a, b = hosts()
    for host in (a, b):
        host.fault, host.fault_in = StoreError("disk"), place
    a.put([*texts(60), container(Kind.SOS, 1)])
    b.put([*texts(60, 1_000), container(Kind.POSITION, 1)])
    async with contact(a, b) as (near, far):
        with trio.move_on_after(20):
            await until(lambda: near.report is not None and far.report is not None)
    codes = {near.done.code, far.done.code}
    assert CloseCode.INTERNAL in codes or place == "ids"
    assert a.handles == b.handles == []


@pytest.mark.parametrize("place", ["read_documents", "apply_documents"])
async def test_a_host_that_fails_on_documents(autojump_clock: MockClock, place: str) -> None:
    a, b = hosts()
    a.documents = {(1, b""): (3, b"new root")}
    for host in (a, b):
        host.fault, host.fault_in = StoreError("disk"), place
    async with contact(a, b) as (near, far):
        await until(lambda: near.report is not None and far.report is not None)
    assert CloseCode.INTERNAL in {near.done.code, far.done.code}


@pytest.mark.parametrize("place", ["plan_all", "handed_over"])
async def test_a_defect_of_the_host_is_raised(autojump_clock: MockClock, place: str) -> None:
    a, b = hosts()
    a.fault, a.fault_in = LocalProtocolError("defect"), place
    a.put(texts(5))
    with pytest.raises(BaseExceptionGroup) as caught:
        async with contact(a, b):
            await trio.sleep(30)
    assert caught.group_contains(LocalProtocolError, depth=None)


@pytest.mark.parametrize("error", [IdentityError("no badge"), None])
async def test_a_peer_that_is_not_admitted(
    autojump_clock: MockClock, error: Exception | None
) -> None:
    a, b = hosts()
    b.fault, b.fault_in = error, "admit"
    a.node = a.node if error else b""
    if error is None:
        a.hello = lambda link: _no_badge(a, link)  # type: ignore[method-assign]
    async with contact(a, b) as (near, far):
        await until(lambda: near.report is not None and far.report is not None)
    assert near.done.code is CloseCode.NOT_AUTHENTICATED
    assert far.done.code is CloseCode.NOT_AUTHENTICATED
    assert far.done.peer is None
    assert a.went_down == b.went_down == []


def _no_badge(host: FakeHost, link: Link):  # type: ignore[no-untyped-def]
    hello = FakeHost.hello(host, link)
    return type(hello)((b"nonsense",), hello.binding_signature, hello.documents)


class Gate:
    def admit(self, handle: SessionHandle) -> CloseCode | None:
        return CloseCode.DUPLICATE_SESSION

    def up(self, handle: SessionHandle) -> None:
        raise AssertionError


async def test_a_gate_may_refuse_an_admitted_peer(autojump_clock: MockClock) -> None:
    a, b = hosts()
    near, far = make_ends(a, b, gate=Gate())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.run)
        nursery.start_soon(far.run)
    assert near.done.code is far.done.code is CloseCode.DUPLICATE_SESSION
    assert near.done.peer == b.node
    assert far.done.by_peer


async def test_a_handle_tells_and_ends(autojump_clock: MockClock) -> None:
    a, b = hosts()
    async with contact(a, b) as (near, far):
        await until(lambda: bool(a.handles))
        handle = a.handles[0]
        assert handle.peer == b.node
        assert handle.link is near.link
        await trio.sleep(10)
        assert 5 < handle.silent_s <= 10
        handle.retire(CloseCode.DUPLICATE_SESSION)
        assert a.handles == []
        assert handle.is_over
        handle.retire(CloseCode.NORMAL)
        await handle.wait_ended()
    assert far.done.code is CloseCode.DUPLICATE_SESSION


# --- hostile peers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 100,
        b"\x01\xff\xff" + bytes(65_535),
        b"\x22\x00\x05hello",
        b"\x30\x00\x08pingpong",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_garbage_ends_the_session_with_a_code(autojump_clock: MockClock, data: bytes) -> None:
    a, _b = hosts()
    near, far = memory_link_pair(FAST)
    reports = []

    async def run() -> None:
        reports.append(await SessionRunner(far, a, runtime()).run())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        try:
            for byte in data:
                await near.send(bytes([byte]))
        except LinkClosedError:
            pass
        with trio.move_on_after(10):
            while await near.receive(100):
                pass
        await near.aclose()
    assert reports[0].code not in (CloseCode.NORMAL, CloseCode.INTERNAL)
    assert a.handles == []


async def test_a_flood_of_frames_that_is_never_answered_is_bounded(
    autojump_clock: MockClock,
) -> None:
    """A peer that sends for ever and never reads is stopped by its own full buffers."""
    a, b = hosts()
    b.put(texts(20))
    near, far = memory_link_pair(FAST)
    reports = []

    async def run() -> None:
        reports.append(await SessionRunner(far, b, runtime()).run())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        ping = b"\x30\x00\x08" + bytes(8)
        with trio.move_on_after(300) as limit:
            try:
                while True:
                    await near.send(ping * 1_000)
                    await trio.sleep(0.01)
            except LinkClosedError:
                pass
        assert not limit.cancelled_caught
    assert reports
    assert a.handles == []
