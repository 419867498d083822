"""One writer, many callers: who shares a commit, who sees what when, and who can fail whom."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
import trio
import trio.testing
from sqlalchemy import Connection, insert, text

from meshnode.errors import StoreError
from meshnode.runtime import Runtime
from meshnode.store import bundles
from meshnode.store.engine import Store, Transaction, open_store
from meshnode.store.schema import AuthorRow, table
from protocol.limits import WRITES_PER_COMMIT_MAX, Kind, TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reports import Reception
from tests.meshnode.store.parts import (
    add,
    all_tables,
    check,
    drop,
    fail,
    held,
    inline_runtime,
    record,
    rows,
    runtime,
)
from tests.patience import HANGS_S

T = TypeVar("T")

_TEXTS = Interest(1, TrafficClass.MESSAGE)


class _Hops:
    """Counts hops to a worker thread and calls `after` behind each, before the caller goes on."""

    def __init__(self) -> None:
        self.count = 0
        self.after: Callable[[], None] = lambda: None

    def runtime(self, inner: Runtime) -> Runtime:
        async def run(
            function: Callable[..., T],
            *args: object,
            limiter: trio.CapacityLimiter | None = None,
        ) -> T:
            self.count += 1
            value = await inner.run_blocking(function, *args, limiter=limiter)
            self.after()
            return value

        return replace(inner, run_blocking=run)


class _Gate:
    """A write that stops in its worker thread until it is let go."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self._may_go = threading.Event()

    def work(self, tx: Transaction) -> list[Reception]:
        done = bundles.add_many(tx, [record(1)])
        self.has_begun.set()
        assert self._may_go.wait(10)
        return done

    async def begun(self) -> None:
        await trio.to_thread.run_sync(self.has_begun.wait, 10)

    def open(self) -> None:
        self._may_go.set()


async def _together(store: Store, works: list[Callable[[Transaction], T]]) -> list[T | Exception]:
    """Run all `works` at the same moment; return outcomes in their order."""
    found: dict[int, T | Exception] = {}

    async def one(position: int) -> None:
        try:
            found[position] = await store.write(works[position])
        except (ValueError, StoreError) as error:
            found[position] = error

    async with trio.open_nursery() as nursery:
        for position in range(len(works)):
            nursery.start_soon(one, position)
    return [found[position] for position in range(len(works))]


def _adds(seq: int) -> Callable[[Transaction], list[Reception]]:
    return lambda tx: bundles.add_many(tx, [record(seq)])


@pytest.mark.parametrize("is_file", [False, True])
async def test_waiting_writes_share_one_commit(is_file: bool, tmp_path: Path) -> None:
    hops = _Hops()
    path = tmp_path / "store.sqlite" if is_file else None
    async with open_store(path, hops.runtime(runtime())) as store:
        before = hops.count
        outcomes = await _together(store, [_adds(seq) for seq in range(1, 101)])
        assert outcomes == [[Reception.STORED]] * 100
        # Whoever comes first commits; all that came meanwhile go together.
        assert hops.count - before <= 2
        await check(store)


async def test_one_commit_serves_a_bounded_number_of_writes() -> None:
    hops = _Hops()
    async with open_store(None, hops.runtime(inline_runtime())) as store:
        before = hops.count
        await _together(store, [_adds(seq) for seq in range(1, 2 * WRITES_PER_COMMIT_MAX + 2)])
        assert hops.count - before == 3
        assert len(await held(store)) == 2 * WRITES_PER_COMMIT_MAX + 1


async def test_a_failing_write_harms_nobody_in_its_commit(store: Store) -> None:
    errors = {seq: ValueError(str(seq)) for seq in range(1, 31, 3)}
    works: list[Callable[[Transaction], object]] = [
        fail(errors[seq]) if seq in errors else _adds(seq) for seq in range(1, 31)
    ]
    outcomes = await _together(store, works)
    for seq, outcome in enumerate(outcomes, 1):
        assert outcome == errors.get(seq, [Reception.STORED])
    assert await held(store) == {record(seq).short_id for seq in range(1, 31) if seq not in errors}


async def test_a_write_that_fails_alone_leaves_nothing(store: Store) -> None:
    with pytest.raises(ValueError, match="no"):
        await store.write(fail(ValueError("no")))
    assert await held(store) == set()
    assert store.sketches == {}


async def test_a_later_write_of_a_commit_sees_the_earlier(store: Store) -> None:
    outcomes = await _together(store, [_adds(1), _adds(1), _adds(1)])
    assert outcomes.count([Reception.STORED]) == 1
    assert outcomes.count([Reception.DUPLICATE]) == 2
    assert store.sketches[_TEXTS].n == 1


async def test_sketches_change_after_the_commit_and_before_the_return(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    hops = _Hops()
    seen: list[tuple[int, int]] = []
    async with open_store(path, hops.runtime(runtime())) as store:

        def look() -> None:
            judge = sqlite3.connect(path)
            on_disk = judge.execute("SELECT count(*) FROM bundle").fetchone()[0]
            judge.close()
            sketch = store.sketches.get(_TEXTS)
            seen.append((on_disk, 0 if sketch is None else sketch.n))

        hops.after = look
        await add(store, record(1))
        assert store.sketches[_TEXTS].n == 1
        hops.after = lambda: None
    assert seen == [(1, 0)]


async def test_a_caller_cancelled_in_the_middle_is_done_all_the_same(store: Store) -> None:
    gate = _Gate()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.write, gate.work)
        await gate.begun()
        nursery.cancel_scope.cancel()
        gate.open()
    await check(store)
    assert await held(store) == {record(1).short_id}


async def test_a_caller_cancelled_before_has_done_nothing(store: Store) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await add(store, record(1))
    assert scope.cancelled_caught
    assert await held(store) == set()


async def test_a_caller_cancelled_while_waiting_its_turn_is_done_all_the_same(
    store: Store,
) -> None:
    gate = _Gate()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.write, gate.work)
        await gate.begun()
        async with trio.open_nursery() as waiting:
            waiting.start_soon(add, store, record(2))
            await trio.testing.wait_all_tasks_blocked()
            waiting.cancel_scope.cancel()
            gate.open()
    assert await held(store) == {record(1).short_id, record(2).short_id}


async def test_reads_see_the_last_commit_while_a_write_goes_on(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.sqlite", runtime()) as store:
        gate = _Gate()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.write, gate.work)
            await gate.begun()
            with trio.fail_after(HANGS_S):
                assert await held(store) == set()
            gate.open()
        assert await held(store) == {record(1).short_id}


async def test_a_read_sees_one_moment_however_long_it_takes(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.sqlite", runtime()) as store:
        has_begun, may_go = threading.Event(), threading.Event()

        def count_twice(conn: Connection) -> tuple[int, int]:
            count = text("SELECT count(*) FROM bundle")
            first = conn.execute(count).scalar_one()
            has_begun.set()
            assert may_go.wait(10)
            return first, conn.execute(count).scalar_one()

        async with trio.open_nursery() as nursery:

            async def read() -> None:
                assert await store.read(count_twice) == (0, 0)

            nursery.start_soon(read)
            await trio.to_thread.run_sync(has_begun.wait, 10)
            await add(store, record(1))
            may_go.set()


async def test_a_read_cannot_write(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.sqlite", runtime()) as store:
        with pytest.raises(StoreError, match="readonly"):
            await rows(store, "DELETE FROM bundle RETURNING key")


async def test_a_closed_store_says_so() -> None:
    async with open_store(None, runtime()) as store:
        pass
    with pytest.raises(StoreError, match="closed"):
        await add(store, record(1))
    with pytest.raises(StoreError, match="closed"):
        await held(store)


async def test_errors_of_the_database_come_as_ours_and_hide_what_was_written(
    store: Store,
) -> None:
    secret = b"0123456789abcdef"

    def twice(tx: Transaction) -> None:
        for _time in range(2):
            tx.connection.execute(insert(table(AuthorRow)).values(node=secret))

    with pytest.raises(StoreError) as caught:
        await store.write(twice)
    told = f"{caught.value!s} {caught.value.__cause__!s} {caught.value.__cause__!r}"
    assert "UNIQUE" in told
    assert "0123456789abcdef" not in told
    assert await rows(store, "SELECT * FROM author") == []


async def test_numbers_of_own_bundles_rise_and_are_used_once(store: Store) -> None:
    def take_and_fail(tx: Transaction) -> None:
        assert tx.take_seq() == 2
        raise KeyError

    assert await store.write(Transaction.take_seq) == 1
    with pytest.raises(KeyError):
        await store.write(take_and_fail)
    assert await store.write(lambda tx: (tx.take_seq(), tx.take_seq())) == (2, 3)


async def test_a_store_keeps_its_identity_and_clock(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"

    def set_clock(tx: Transaction) -> None:
        tx.hlc = 2**64 - 5

    async with open_store(path, runtime()) as store:
        incarnation = store.incarnation
        assert 0 < incarnation < 2**32
        await store.write(set_clock)
        await store.write(Transaction.take_seq)
    other = replace(runtime(), entropy=bytes)
    async with open_store(path, other) as store:
        assert store.incarnation == incarnation
        assert await store.write(lambda tx: (tx.hlc, tx.take_seq())) == (2**64 - 5, 2)


async def test_a_store_opens_again_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(path, runtime()) as store:
        await add(store, *(record(seq) for seq in range(1, 40)))
        await drop(store, record(3).short_id, record(4).short_id)
        totals = {key: (each.count, each.set_hash) for key, each in store.index.totals.items()}
        snapshots = {key: sketch.snapshot() for key, sketch in store.sketches.items()}
    before = all_tables(path)
    async with open_store(path, runtime()) as store:
        await check(store)
        assert store.rebuilt_count == 0
        assert totals == {
            key: (each.count, each.set_hash) for key, each in store.index.totals.items()
        }
        assert snapshots == {key: sketch.snapshot() for key, sketch in store.sketches.items()}
    assert all_tables(path) == before


async def test_counts_by_class(store: Store) -> None:
    await add(store, record(1), record(2), record(3, kind=Kind.SOS, zone=2))
    assert store.class_counts == {
        TrafficClass.AUTHORITY: 0,
        TrafficClass.SOS: 1,
        TrafficClass.MESSAGE: 2,
        TrafficClass.STATE: 0,
        TrafficClass.BULK: 0,
    }


@pytest.mark.slow
async def test_compacting_gives_pages_back(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(path, runtime()) as store:
        await store.compact()
        empty_bytes = path.stat().st_size
        for first in range(0, 1_000, 250):
            await add(store, *(record(first + each + 1, size_bytes=4_000) for each in range(250)))
        await drop(store, *(record(each + 1, size_bytes=4_000).short_id for each in range(1_000)))
        await store.compact()
        # Of four megabytes the tombstones are left, and what the index keeps.
        assert path.stat().st_size < empty_bytes + 150_000
        assert not path.with_name("store.sqlite-wal").stat().st_size
