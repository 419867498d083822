"""Sealed columns: nothing in clear in any file, each value at its own place, each in its tier."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text

from meshnode.errors import LockedError, SealBrokenError, StoreError
from meshnode.store import bundles, keyring, messages, peers
from meshnode.store.engine import Transaction, open_store
from meshnode.store.keyring import KeyPurpose
from meshnode.store.records import LedgerEvent, MessageState, RecipientState
from meshnode.store.schema import METADATA
from meshnode.store.sealed_columns import SEALED, SealedColumn
from meshnode.store.sealing import Seals, bundle_seat, peer_seat
from meshnode.vault.kinds import DataKind
from protocol.chains import new_chain
from protocol.limits import Kind
from tests.meshnode.store.parts import DAY_MS, NOW_MS, node, record
from tests.meshnode.store.vaults import (
    ADDRESS,
    RUNTIME,
    SECRETS,
    SEED,
    TEXT,
    fill_agent,
    fill_device,
    fill_spool,
    message,
    read_agent,
    read_device,
    vault,
)


def files(path: Path) -> bytes:
    """Return every byte of every file beside the database."""
    return b"".join(each.read_bytes() for each in sorted(path.parent.iterdir()))


def in_clear(path: Path) -> list[bytes]:
    found = files(path)
    return [each for each in SECRETS if each[:16] in found]


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for each in statements:
            connection.execute(each)
        connection.commit()


async def fill(path: Path, *, is_sealed: bool = True) -> None:
    async with open_store(path, RUNTIME, vault=vault() if is_sealed else None) as store:
        await store.write(fill_device)
        await store.write(fill_agent)
        await store.write(fill_spool)


async def test_nothing_lies_in_clear_and_everything_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(path, RUNTIME, vault=vault()) as store:
        await store.write(fill_device)
        await store.write(fill_agent)
        await store.write(fill_spool)
        device, agent = await read_device(store), await read_agent(store)
        assert in_clear(path) == []
    assert in_clear(path) == []
    async with open_store(None, RUNTIME) as plain:
        await plain.write(fill_device)
        await plain.write(fill_agent)
        await plain.write(fill_spool)
        assert (device, agent) == (await read_device(plain), await read_agent(plain))
    async with open_store(path, RUNTIME, vault=vault()) as store:
        assert (device, agent) == (await read_device(store), await read_agent(store))


async def test_an_unsealed_store_shows_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    await fill(path, is_sealed=False)
    assert set(in_clear(path)) == set(SECRETS)


async def test_every_sealed_column_has_a_value_here_and_is_sealed(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    await fill(path)
    with closing(sqlite3.connect(path)) as connection:
        for each in SEALED:
            values = connection.execute(f"SELECT {each.column} FROM {each.table}").fetchall()
            assert values
            assert all(value[:1] == b"\x01" for (value,) in values)


async def test_an_unsealed_store_is_sealed_when_it_is_opened_with_a_vault(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    await fill(path, is_sealed=False)
    with pytest.raises(LockedError):
        async with open_store(path, RUNTIME, vault=vault(is_locked=True)):
            pass
    async with open_store(path, RUNTIME) as store:
        before = await read_device(store), await read_agent(store)
    async with open_store(path, RUNTIME, vault=vault()) as store:
        assert in_clear(path) == []
        assert before == (await read_device(store), await read_agent(store))
    assert in_clear(path) == []


async def test_a_sealed_store_does_not_open_without_its_vault(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    await fill(path)
    with pytest.raises(StoreError, match="sealed"):
        async with open_store(path, RUNTIME):
            pass


async def test_a_locked_store_serves_the_device_and_refuses_the_agent(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    await fill(path)
    own = vault(is_locked=True)
    async with open_store(path, RUNTIME, vault=own) as store:
        await store.write(fill_device)
        assert await read_device(store)
        reads: Sequence[Callable[[Transaction], object]] = (
            lambda tx: messages.list_outgoing(tx.connection, 0, 9),
            lambda tx: messages.list_inbox(tx.connection, 0, 9),
            lambda tx: messages.ledger(tx.connection, 1),
            lambda tx: messages.waiting(tx.connection, 9),
            lambda tx: keyring.network_keys(tx.connection, KeyPurpose.ZONE_SOS),
            lambda tx: keyring.own_prekey(tx.connection, b"prekeyid"),
            lambda tx: keyring.sending_chain(tx.connection, new_chain(SEED).chain_id),
            lambda tx: keyring.secret_at(tx.connection, new_chain(SEED).chain_id, 0),
            lambda tx: messages.add_incoming(tx, message(9, "new"), 9, b"d" * 32, NOW_MS),
        )
        for each in reads:
            with pytest.raises(LockedError):
                await store.write(each)
        own.unlock(b"a" * 32)
        assert len(await read_agent(store)) == 19


async def test_a_locked_device_writes_down_what_becomes_of_messages(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    await fill(path)
    own = vault(is_locked=True)
    async with open_store(path, RUNTIME, vault=own) as store:

        def live(tx: Transaction) -> None:
            messages.set_bundle(tx, 1, 1234, b"d" * 32, 1, NOW_MS)
            assert messages.note_handed(tx, node(5), [1234], NOW_MS) == [1]
            state = RecipientState.ON_DEVICE
            assert messages.note_receipt(tx, node(5), 7, [1], state, NOW_MS) == [1]
            assert keyring.erase_ended(tx, NOW_MS + 90 * DAY_MS)

        await store.write(live)
        assert await store.write(lambda tx: messages.expire_messages(tx, NOW_MS, 9)) == []
        own.unlock(b"a" * 32)
        lines = await store.read(lambda conn: messages.ledger(conn, 1))
        assert [each.event for each in lines][-4:] == [
            LedgerEvent.QUEUED,
            LedgerEvent.HANDED,
            LedgerEvent.RECEIPT,
            LedgerEvent.DELIVERED,
        ]
        found = await store.read(lambda conn: messages.get(conn, 1))
        assert found is not None
        assert (found.text, found.state) == (TEXT, MessageState.DELIVERED)


HIDDEN = {
    "bundle.raw": {0, 1},
    "document.raw": {2},
    "evidence.raw": {3},
    "network_key.key": {4, 10},
    "peer.address": {5, 6},
    "message.text": {7, 8},
    "ledger.detail": {9},
    "own_prekey.secret": {11},
    "sending_chain.first": {12, 13},
    "sending_chain.state": {12},
    "receiving_chain.state": {14},
    "position.body": {15},
    "state.body": {16},
    "track_point.body": {17},
    "track.body": {18},
    "alarm_step.body": {19},
    "attachment.manifest": {20, 21},
    "piece.body": {21},
    "sheet.entry": {22},
    "sheet_piece.body": {23},
    "spool.raw": {24},
    "coverage.body": {25},
}
"""Which answers of `read_device` and `read_agent`, in their order, a damaged column empties."""


def hidden(before: Sequence[object], after: Sequence[object]) -> set[int]:
    """Return which answers changed; each of them shows nothing of what was sealed."""
    changed = {n for n, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]}
    assert all(not after[n] or n in HIDDEN["peer.address"] for n in changed)
    assert ADDRESS not in repr([after[n] for n in changed])
    return changed


@pytest.mark.parametrize("column", SEALED, ids=lambda each: f"{each.table}.{each.column}")
async def test_a_changed_value_is_not_shown_and_told(tmp_path: Path, column: SealedColumn) -> None:
    path = tmp_path / "store.sqlite"
    await fill(path)
    name, told = column.column, list[DataKind]()
    async with open_store(path, RUNTIME, vault=vault()) as store:
        before = [*await read_device(store), *await read_agent(store)]
    execute(path, f"UPDATE {column.table} SET {name} = substr({name}, 1, length({name}) - 1)")
    own = vault()
    own.on_broken = told.append
    async with open_store(path, RUNTIME, vault=own) as store:
        after = [*await read_device(store), *await read_agent(store)]
        assert hidden(before, after) == HIDDEN[f"{column.table}.{name}"]
        assert told, "one broken row keeps no other from being carried, and is told"
        if column.table == "message":
            # Whoever asks for this one alone is told as well.
            with pytest.raises(SealBrokenError):
                await store.read(lambda conn: messages.get(conn, 1))


@pytest.mark.parametrize("column", SEALED, ids=lambda each: f"{each.table}.{each.column}")
async def test_a_new_value_is_kept_where_the_days_key_is_damaged(
    tmp_path: Path, column: SealedColumn
) -> None:
    """Else one damaged row would stop every write of its day."""
    path = tmp_path / "store.sqlite"
    await fill(path)
    execute(path, "UPDATE data_key SET wrapped = substr(wrapped, 1, length(wrapped) - 1)")
    execute(path, *(f"DELETE FROM {each.table}" for each in SEALED), "DELETE FROM recipient")
    async with open_store(path, RUNTIME, vault=vault()) as store:
        await store.write(fill_device)
        await store.write(fill_agent)
        await store.write(fill_spool)
        rows = METADATA.tables[column.table]
        query = select(*(rows.c[each] for each in column.named_by), rows.c[column.column])

        def read(conn: Connection) -> list[bytes]:
            found = conn.execute(query).all()
            return [Seals(conn).open(column.seat(*row[:-1]), row[-1]) for row in found]

        assert await store.read(read)


async def test_two_rows_that_changed_places_are_both_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    one, two = record(1), record(2)
    async with open_store(path, RUNTIME, vault=vault()) as store:
        await store.write(lambda tx: bundles.add_many(tx, [one, two]))
        for seq in (1, 2):
            await store.write(
                lambda tx, seq=seq: messages.add_incoming(  # type: ignore[misc]
                    tx, message(seq, f"text {seq}"), seq, b"d" * 32, NOW_MS
                )
            )
    for name, column in (("bundle", "raw"), ("message", "text")):
        execute(
            path,
            f"CREATE TABLE swap AS SELECT key, {column} AS value FROM {name}",
            f"UPDATE {name} SET {column} = (SELECT value FROM swap WHERE swap.key <> {name}.key)",
            "DROP TABLE swap",
        )
    told, own = list[DataKind](), vault()
    own.on_broken = told.append
    async with open_store(path, RUNTIME, vault=own) as store:
        ids = [one.short_id, two.short_id]
        assert await store.read(lambda conn: bundles.raw_many(conn, ids)) == {}
        assert told == [DataKind.BUNDLE] * 2
        assert await store.read(lambda conn: messages.list_inbox(conn, 0, 9)) == []
        assert told == [DataKind.BUNDLE] * 2 + [DataKind.MESSAGE] * 2
        for key in (1, 2):
            with pytest.raises(SealBrokenError, match="MESSAGE"):
                await store.read(lambda conn, key=key: messages.get(conn, key))  # type: ignore[misc]


async def test_a_value_whose_key_is_gone_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    await fill(path)
    async with open_store(path, RUNTIME, vault=vault()) as store:
        before = [*await read_device(store), *await read_agent(store)]
    execute(path, "DELETE FROM data_key")
    told, own = list[DataKind](), vault()
    own.on_broken = told.append
    async with open_store(path, RUNTIME, vault=own) as store:
        after = [*await read_device(store), *await read_agent(store)]
        assert hidden(before, after) == set(range(len(before)))
        assert set(told) == set(DataKind) - {DataKind.AUDIT, DataKind.LEDGER}
        own.lock()
        with pytest.raises(LockedError):
            await read_agent(store)


async def test_a_key_is_kept_with_its_first_row_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    later = record(2, expires_ms=NOW_MS + 5 * DAY_MS)

    def fail(tx: Transaction) -> None:
        bundles.add_many(tx, [later])
        raise ValueError("undone")

    async with open_store(path, RUNTIME, vault=vault()) as store:
        with pytest.raises(ValueError, match="undone"):
            await store.write(fail)
        count = text("SELECT count(*) FROM data_key")
        assert await store.read(lambda conn: conn.execute(count).scalar()) == 0
        await store.write(lambda tx: bundles.add_many(tx, [later]))
        await store.write(lambda tx: bundles.add_many(tx, [record(1), record(3)]))
        assert await store.read(lambda conn: conn.execute(count).scalar()) == 2
        found = await store.read(lambda conn: bundles.raw_many(conn, [later.short_id]))
        assert found[later.short_id][0] == later.raw


async def test_an_address_keeps_its_seal_through_contacts_without_one(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.sqlite", RUNTIME, vault=vault()) as store:
        for days, address in enumerate((ADDRESS, "", "192.0.2.78:1", "")):
            at_ms = NOW_MS + days * DAY_MS
            await store.write(
                lambda tx, a=address, t=at_ms: peers.contact_up(tx, node(4), a, t)  # type: ignore[misc]
            )
            await store.write(
                lambda tx, t=at_ms: peers.contact_down(tx, node(4), t + 9, 1, 2)  # type: ignore[misc]
            )
        (found,) = await store.read(peers.list_peers)
        assert (found.address, found.contacts) == ("192.0.2.78:1", 4)


def test_a_seat_says_kind_day_and_place() -> None:
    seat = bundle_seat(-1, 3 * DAY_MS)
    assert (seat.kind, seat.day, seat.table, seat.place) == (
        DataKind.BUNDLE,
        3,
        b"bundle",
        b"\xff" * 8,
    )
    assert peer_seat(node(1), 0) != peer_seat(node(2), 0)


@pytest.mark.parametrize("column", SEALED, ids=lambda each: f"{each.table}.{each.column}")
def test_the_time_of_a_column_names_its_seat(column: SealedColumn) -> None:
    rows = METADATA.tables[column.table].c
    assert column.column in rows
    assert column.time in column.named_by
    assert all(name in rows for name in column.named_by)


async def test_a_connection_without_a_vault_keeps_what_it_is_given() -> None:
    async with open_store(None, RUNTIME) as store:
        assert await store.read(lambda conn: Seals(conn).seal(bundle_seat(1, 1), b"raw")) == b"raw"
        assert await store.read(lambda conn: Seals(conn).open(bundle_seat(1, 1), b"raw")) == b"raw"


async def test_kinds_of_a_tier_are_told_apart_by_what_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    await fill(path)
    with closing(sqlite3.connect(path)) as connection:
        kinds = {DataKind(kind) for (kind,) in connection.execute("SELECT kind FROM data_key")}
    assert kinds == set(DataKind) - {DataKind.AUDIT}
    assert Kind.SOS
