"""The tables: which there are, and what they refuse."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import text

from meshnode.errors import StoreError
from meshnode.store import schema
from meshnode.store.engine import Store
from meshnode.store.schema import METADATA, BundleRow, table
from tests.meshnode.store.parts import add, record


def test_every_row_class_is_a_table_and_the_other_way_round() -> None:
    classes = {getattr(schema, name) for name in schema.__all__ if name.endswith("Row")}
    assert {table(each).name for each in classes} == METADATA.tables.keys()
    assert len(classes) == len(METADATA.tables)


def test_the_container_is_read_last() -> None:
    assert list(table(BundleRow).columns)[-1].name == "raw"


@pytest.mark.parametrize("column", [each.name for each in table(BundleRow).columns])
async def test_no_column_of_a_bundle_is_ever_empty(store: Store, column: str) -> None:
    await add(store, record(1))
    with pytest.raises(StoreError) as caught:
        await store.write(
            lambda tx: tx.connection.execute(text(f"UPDATE bundle SET {column} = NULL"))
        )
    cause = caught.value.__cause__
    assert isinstance(getattr(cause, "orig", None), sqlite3.IntegrityError)


@pytest.mark.parametrize("unique", ["short_id", "seq"])
async def test_ids_and_names_are_unique(store: Store, unique: str) -> None:
    await add(store, record(1), record(2))
    with pytest.raises(StoreError, match="UNIQUE"):
        await store.write(lambda tx: tx.connection.execute(text(f"UPDATE bundle SET {unique} = 1")))
