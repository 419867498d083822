"""Numbers, size classes and lists of any length."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from meshnode.errors import StoreError
from meshnode.store.engine import Connection, Store, open_store
from meshnode.store.schema import BundleRow, table
from meshnode.store.statements import (
    BUNDLE_COLUMNS,
    SELECT_HELD,
    SELECT_SLOT,
    SIZE_CLASSES,
    delete_many,
    select_many,
    signed64,
    size_class_of,
    unsigned64,
)
from protocol.limits import BUNDLE_BYTES_MAX, Kind
from protocol.reports import Reception
from tests.meshnode.store.parts import add, held, record, rows, runtime


@given(st.integers(0, 2**64 - 1))
def test_signed_numbers_keep_their_64_bits(number: int) -> None:
    assert -(2**63) <= signed64(number) < 2**63
    assert unsigned64(signed64(number)) == number
    assert signed64(number) % 2**64 == number


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(1, 0), (1_024, 0), (1_025, 1), (4_096, 1), (4_097, 2), (16_384, 2), (16_385, 3), (65_000, 3)],
)
def test_size_classes_at_their_edges(size_bytes: int, expected: int) -> None:
    assert size_class_of(size_bytes) == expected


@given(st.integers(1, BUNDLE_BYTES_MAX), st.integers(1, BUNDLE_BYTES_MAX))
def test_a_larger_bundle_never_goes_first(one: int, other: int) -> None:
    small, large = sorted((one, other))
    assert size_class_of(small) <= size_class_of(large)
    assert size_class_of(large) in SIZE_CLASSES


def test_the_container_comes_last() -> None:
    assert BUNDLE_COLUMNS[-1] == "raw"
    assert [column.name for column in table(BundleRow).columns] == ["key", *BUNDLE_COLUMNS]


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 127, 128, 129, 511, 512, 513, 1_025])
async def test_lists_of_any_length(store: Store, count: int) -> None:
    await add(store, *(record(seq) for seq in range(1, 300)))
    keys = [signed64(record(seq).short_id) for seq in range(1, count + 1)]
    found = await store.read(lambda conn: [row[0] for row in select_many(conn, SELECT_HELD, keys)])
    assert sorted(found) == sorted(keys[:299])


@pytest.mark.parametrize("count", [1, 16, 17, 129, 513])
async def test_lists_of_rows(store: Store, count: int) -> None:
    await add(store, *(record(seq, Kind.POSITION, slot=seq) for seq in range(1, count + 1)))
    wanted = [(int(Kind.POSITION), b"\x01\x00\x01", seq, 1) for seq in range(count + 2)]
    found = await store.read(lambda conn: list(select_many(conn, SELECT_SLOT, wanted)))
    assert {row[2] for row in found} == set(range(1, count + 1))


@pytest.mark.parametrize("count", [0, 1, 17, 513])
async def test_deleting_says_how_many_went(store: Store, count: int) -> None:
    keys = [(number,) for number in range(count)]

    def fill_and_delete(tx: object) -> tuple[int, int]:
        connection = tx.connection  # type: ignore[attr-defined]
        for key in keys:
            connection.exec_driver_sql("INSERT INTO tombstone VALUES (?, 1, 5)", key)
        wanted = [*(key[0] for key in keys), 9_999]
        first = delete_many(connection, "tombstone", wanted)
        return first, delete_many(connection, "tombstone", wanted)

    assert await store.write(fill_and_delete) == (count, 0)
    assert await rows(store, "SELECT * FROM tombstone") == []


async def test_lists_looked_up_in_one_read_see_one_commit(tmp_path: Path) -> None:
    keys = [signed64(record(seq).short_id) for seq in (1, 2)]
    async with open_store(tmp_path / "store.sqlite", runtime()) as store:
        await add(store, record(1))

        def look_twice(conn: Connection) -> list[list[int]]:
            before = [row[0] for row in select_many(conn, SELECT_HELD, keys)]
            trio.from_thread.run(add, store, record(2))
            return [before, [row[0] for row in select_many(conn, SELECT_HELD, keys)]]

        assert await store.read(look_twice) == [keys[:1], keys[:1]]
        assert await held(store) == {record(1).short_id, record(2).short_id}


async def test_a_list_that_the_database_refuses_is_an_error_of_the_store(store: Store) -> None:
    wrong = "SELECT short_id FROM nowhere WHERE short_id IN (%s)"
    with pytest.raises(StoreError):
        await store.read(lambda conn: list(select_many(conn, wrong, [1])))
    with pytest.raises(StoreError):
        await store.write(lambda tx: list(select_many(tx.connection, wrong, [1])))
    assert await add(store, record(1)) == [Reception.STORED]
