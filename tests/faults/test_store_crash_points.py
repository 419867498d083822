"""Break the store at step 1, 2, 3 … until the work passes; kill it; fill its disk.

Whatever happens, what was acknowledged is there, what failed is not, and sketches fit the rows.
Source: STYLE 34.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import SQLAlchemyError

from meshnode.errors import StoreError, StoreFullError
from meshnode.store import bundles, delivery, messages, retention
from meshnode.store.engine import Store, Transaction, open_store
from meshnode.store.records import BundleRecord, NewMessage
from protocol.ids import BundleId, ShortId
from protocol.limits import Kind
from protocol.reports import Reception
from tests.meshnode.store.parts import (
    NOW_MS,
    add,
    all_tables,
    check,
    held,
    node,
    record,
    runtime,
)

_ROOT = Path(__file__).parents[2]
_STEPS_MAX = 400


class _Breaker:
    """Fails the n-th thing that the database is asked to do."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.taken = 0

    def __call__(self, *_arguments: Any) -> None:
        self.taken += 1
        if self.taken == self.step:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
            raise error

    @property
    def has_struck(self) -> bool:
        return self.taken >= self.step


@contextmanager
def _broken(step: int, moment: str) -> Iterator[_Breaker]:
    """Break every engine of the process at its `step`-th statement or commit."""
    breaker = _Breaker(step)
    for name in (moment, "commit", "begin"):
        event.listen(Engine, name, breaker)
    try:
        yield breaker
    finally:
        for name in (moment, "commit", "begin"):
            event.remove(Engine, name, breaker)


def _message(seq: int) -> NewMessage:
    return NewMessage(BundleId(node(0), 7, seq), b"\x02", Kind.TEXT, "text", NOW_MS, NOW_MS + 10**6)


def _everything(tx: Transaction) -> None:
    """One write that touches rows, tombstones, slots, evidence, queue, message and clock."""
    outcomes = bundles.add_many(
        tx,
        [
            record(50),
            record(51, Kind.SOS),
            record(12, Kind.POSITION),
            record(2, version=1),
            record(3),
            record(60, zone=3, is_own=True),
        ],
    )
    assert outcomes == [
        Reception.STORED,
        Reception.STORED,
        Reception.STORED,
        Reception.EQUIVOCATION,
        Reception.DUPLICATE,
        Reception.STORED,
    ]
    bundles.drop_many(tx, [record(4).short_id, record(5, Kind.SOS).short_id], Reception.DELIVERED)
    retention.expire(tx, record(6).expires_ms, 1)
    delivery.queue_unopened(tx, [record(50).short_id], NOW_MS)
    tx.hlc = NOW_MS << 16
    key = messages.add_outgoing(tx, _message(tx.take_seq()), [node(1), node(2)], NOW_MS)
    messages.set_bundle(tx, key, record(60).short_id, b"d" * 32, 1, NOW_MS)


async def _prepare(path: Path) -> None:
    async with open_store(path, runtime()) as store:
        texts = [record(seq) for seq in (1, 2, 3, 4, 6)]
        await add(store, *texts, record(5, Kind.SOS), record(11, Kind.POSITION))


def _copied(base: Path, name: str) -> Path:
    return Path(shutil.copy(base, base.with_name(name)))


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before_cursor_execute", "after_cursor_execute"])
async def test_one_write_is_there_whole_or_not_at_all(tmp_path: Path, moment: str) -> None:
    base, whole = tmp_path / "base.sqlite", tmp_path / "whole.sqlite"
    await _prepare(base)
    before = all_tables(base)
    shutil.copy(base, whole)
    async with open_store(whole, runtime()) as store:
        await store.write(_everything)
    after = all_tables(whole)
    assert after != before

    for step in range(1, _STEPS_MAX):
        path = _copied(base, f"step {step}.sqlite")
        async with open_store(path, runtime()) as store:
            with _broken(step, moment) as breaker:
                try:
                    await store.write(_everything)
                    is_done = True
                except StoreError:
                    is_done = False
            assert is_done is not breaker.has_struck
            await check(store)
        assert all_tables(path) == (after if is_done else before)
        async with open_store(path, runtime()) as store:
            assert store.rebuilt_count == 0
            if not is_done:
                # What failed can be done once more.
                await store.write(_everything)
            await check(store)
        assert all_tables(path) == after
        if is_done:
            break
    assert is_done
    assert step > 20, "the work has many steps, and each was broken"


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before_cursor_execute", "after_cursor_execute"])
async def test_a_shared_commit_keeps_exactly_what_it_acknowledged(
    tmp_path: Path, moment: str
) -> None:
    base = tmp_path / "base.sqlite"
    await _prepare(base)
    old = {record(seq).short_id for seq in (1, 2, 3, 4, 6)}
    for step in range(1, _STEPS_MAX):
        path = _copied(base, f"step {step}.sqlite")
        acknowledged: set[ShortId] = set()
        failed: list[ShortId] = []

        async def write(
            store: Store,
            seq: int,
            acknowledged: set[ShortId] = acknowledged,
            failed: list[ShortId] = failed,
        ) -> None:
            made = [record(seq), record(seq, Kind.SOS, author=2)]
            ids = [each.short_id for each in made]
            try:
                await add(store, *made)
                acknowledged.update(ids)
            except StoreError:
                failed.extend(ids)

        async with open_store(path, runtime()) as store:
            with _broken(step, moment) as breaker:
                await _side_by_side(partial(write, store), range(100, 104))
            await check(store)
            now = await held(store)
            assert acknowledged <= now
            assert now.isdisjoint(failed)
            assert old <= now
            # The store goes on after any fault.
            assert await add(store, record(200)) == [Reception.STORED]
        async with open_store(path, runtime()) as store:
            assert store.rebuilt_count == 0
            await check(store)
            assert await held(store) == now | {record(200).short_id}
        if not breaker.has_struck:
            break
    assert not failed
    assert step > 10, "the work has many steps, and each was broken"


async def _side_by_side(write: Callable[[int], Awaitable[None]], seqs: Iterable[int]) -> None:
    """Run `write` for every number at the same time; return when all have ended."""
    async with trio.open_nursery() as nursery:
        for seq in seqs:
            nursery.start_soon(write, seq)


@pytest.mark.slow
async def test_opening_can_break_anywhere(tmp_path: Path) -> None:
    """An interrupted first start leaves a file that the next start makes a store of."""
    # Every third step: each start runs the migrations.
    for step in range(1, _STEPS_MAX, 3):
        path = tmp_path / f"step {step}.sqlite"
        with _broken(step, "before_cursor_execute") as breaker:
            try:
                async with open_store(path, runtime()):
                    pass
            except StoreError:
                assert breaker.has_struck
        async with open_store(path, runtime()) as store:
            assert await add(store, record(1)) == [Reception.STORED]
            await check(store)
        if not breaker.has_struck:
            break
    assert step > 20
    assert not breaker.has_struck


# --- real death ------------------------------------------------------------------------------


def _run_and_kill(path: Path, first_author: int, lines: int) -> list[str]:
    """Let a child write until it has said `lines` lines, kill it, and return all it said."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.writing_child", str(path), str(first_author)],
        stdout=subprocess.PIPE,
        cwd=_ROOT,
    ) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _line in range(lines)]
        child.kill()
        said.extend(child.stdout.readlines())
    assert child.returncode == -9
    # The last line may be half a line.
    return [each.decode().strip() for each in said if each.endswith(b"\n")]


@pytest.mark.slow
@pytest.mark.real
async def test_a_killed_process_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    chance = random.Random(20)
    durable: set[ShortId] = set()
    dropped: set[ShortId] = set()
    for round_number in range(20):
        said = await trio.to_thread.run_sync(
            _run_and_kill, path, 10 + 3 * round_number, chance.randint(1, 400)
        )
        stored = {int(each[1:]) for each in said if each[0] == "+"}
        doomed = {int(each[1:]) for each in said if each[0] == "?"}
        gone = {int(each[1:]) for each in said if each[0] == "-"}
        assert stored
        durable |= stored - doomed
        dropped |= gone
        async with open_store(path, runtime()) as store:
            now = await held(store)
            assert durable <= now
            assert now.isdisjoint(dropped)
            assert store.rebuilt_count == 0
            await check(store)


# --- a full disk -----------------------------------------------------------------------------


def _set_pages(pages: int) -> Callable[[Transaction], None]:
    """Return a write after which the file cannot grow beyond `pages`."""

    def work(tx: Transaction) -> None:
        tx.connection.execute(text(f"PRAGMA max_page_count = {pages}"))

    return work


async def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(path, runtime()) as store:
        await store.write(_set_pages(180))
        stored: set[ShortId] = set()
        for seq in range(1, 100):
            made = record(seq, size_bytes=20_000)
            try:
                await add(store, made)
            except StoreFullError:
                break
            stored.add(made.short_id)
        assert 5 < len(stored) < 50
        assert await held(store) == stored
        await check(store)
        # Room that is given back can be used, and the store goes on as before.
        await store.write(_set_pages(100_000))
        assert await add(store, made) == [Reception.STORED]
        stored.add(made.short_id)
    async with open_store(path, runtime()) as store:
        assert await held(store) == stored
        assert store.rebuilt_count == 0


async def test_a_commit_that_fills_the_disk_keeps_exactly_what_it_acknowledged(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.sqlite"
    stored: set[ShortId] = set()
    failed: set[ShortId] = set()

    async def write(store: Store, made: BundleRecord) -> None:
        try:
            await add(store, made)
            stored.add(made.short_id)
        except StoreFullError:
            failed.add(made.short_id)

    async with open_store(path, runtime()) as store:
        await store.write(_set_pages(110))
        async with trio.open_nursery() as nursery:
            for seq in range(1, 40):
                size_bytes = 20_000 if seq % 2 else 400
                nursery.start_soon(write, store, record(seq, size_bytes=size_bytes))
        await check(store)
        assert failed
        # A small one that comes by itself finds room.
        await write(store, record(50))
        assert record(50).short_id in stored
        assert await held(store) == stored
        await check(store)
    async with open_store(path, runtime()) as store:
        assert await held(store) == stored
        assert store.rebuilt_count == 0


async def test_nothing_of_a_write_that_hides_a_full_disk_stays(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"

    def hide(tx: Transaction) -> None:
        bundles.add_many(tx, [record(2)])
        for seq in range(3, 60):
            try:
                bundles.add_many(tx, [record(seq, size_bytes=20_000)])
            except SQLAlchemyError:
                break
        tx.hlc = 77

    async with open_store(path, runtime()) as store:
        await add(store, record(1))
        await store.write(_set_pages(110))
        with pytest.raises(StoreFullError):
            await store.write(hide)
        assert await held(store) == {record(1).short_id}
        await check(store)
        assert await add(store, record(90)) == [Reception.STORED]
