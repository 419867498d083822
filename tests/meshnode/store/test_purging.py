"""A purge takes what is over by its rule, the key of its day, and every trace in the files."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshnode.store import bundles, messages, peers, purging, retention
from meshnode.store.engine import Store, Transaction, open_store
from meshnode.store.purging import RULES, Holding
from meshnode.vault.kinds import DataKind
from protocol.limits import Kind
from tests.meshnode.store.parts import DAY_MS, NOW_MS, node
from tests.meshnode.store.vaults import (
    ADDRESS,
    RUNTIME,
    fill_agent,
    fill_device,
    message,
    vault,
)

MONTH_MS, YEAR_MS = 30 * DAY_MS, 365 * DAY_MS


async def purge(store: Store, now_ms: int) -> purging.Purged:
    return await store.write(lambda tx: purging.purge(tx, now_ms, 500))


async def held(store: Store, now_ms: int = NOW_MS) -> dict[DataKind, Holding]:
    found = await store.read(lambda conn: purging.holdings(conn, now_ms))
    return {each.kind: each for each in found}


def keys(path: Path) -> set[tuple[DataKind, int]]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT kind, day FROM data_key").fetchall()
    return {(DataKind(kind), day) for kind, day in rows}


def sealed_values(path: Path) -> list[bytes]:
    """Return the ciphertexts of texts and the wrapped keys, as they lie in the file."""
    with closing(sqlite3.connect(path)) as connection:
        texts = [row[0] for row in connection.execute("SELECT text FROM message")]
        wrapped = [
            row[0]
            for row in connection.execute(
                "SELECT wrapped FROM data_key WHERE kind IN (?, ?)",
                (int(DataKind.MESSAGE), int(DataKind.ALARM)),
            )
        ]
    return texts + wrapped


def in_files(path: Path, values: list[bytes]) -> list[bytes]:
    raw = b"".join(each.read_bytes() for each in path.parent.iterdir())
    return [each for each in values if each in raw]


def test_every_kind_has_its_rule() -> None:
    assert RULES.keys() == set(DataKind)
    assert RULES[DataKind.POSITION].keep_ms == 60 * DAY_MS


async def test_nothing_goes_before_its_time(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(path, RUNTIME, vault=vault()) as store:
        await store.write(fill_device)
        await store.write(fill_agent)
        before = keys(path)
        found = await purge(store, NOW_MS)
        assert (found.row_count, found.keys, found.has_more) == (0, (), False)
        assert keys(path) == before


async def test_a_month_after_its_end_a_text_is_in_no_file_and_its_key_gone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.sqlite"
    own = vault()

    def end(tx: Transaction) -> None:
        messages.expire_messages(tx, NOW_MS + DAY_MS, 9)
        retention.expire(tx, NOW_MS + 3 * DAY_MS, 500)

    async with open_store(path, RUNTIME, vault=own) as store:
        await store.write(fill_device)
        await store.write(fill_agent)
        await store.write(end)
        values = sealed_values(path)
        assert set(in_files(path, values)) == set(values)
        first = await purge(store, NOW_MS + MONTH_MS + 2 * DAY_MS)
        assert first.rows[DataKind.MESSAGE] == 1
        assert first.rows[DataKind.ALARM] == 0
        assert DataKind.MESSAGE in {key.kind for key in first.keys}
        assert await store.read(lambda conn: messages.ledger(conn, 1)) == []
        assert await store.read(lambda conn: messages.recipients(conn, 1)) == []
        last = await purge(store, NOW_MS + YEAR_MS)
        assert last.rows[DataKind.ALARM] == 2, "its text and a step of it"
        assert await store.compact()
        assert in_files(path, values) == []
        assert {kind for kind, _day in keys(path)}.isdisjoint({DataKind.MESSAGE, DataKind.ALARM})
        report = await held(store, NOW_MS + YEAR_MS)
        assert report[DataKind.MESSAGE].count == 0
        assert report[DataKind.MESSAGE].purged_rows == 1
        assert report[DataKind.MESSAGE].dropped_keys > 0
        assert report[DataKind.MESSAGE].last_purge_ms == NOW_MS + YEAR_MS
    assert in_files(path, values) == []


async def test_a_purge_needs_no_agent(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(path, RUNTIME, vault=vault()) as store:
        await store.write(fill_device)
        await store.write(fill_agent)
    async with open_store(path, RUNTIME, vault=vault(is_locked=True)) as store:
        await store.write(lambda tx: messages.expire_messages(tx, NOW_MS + DAY_MS, 9))
        found = await purge(store, NOW_MS + YEAR_MS)
        assert (found.rows[DataKind.MESSAGE], found.rows[DataKind.ALARM]) == (1, 2)
        assert (await held(store))[DataKind.MESSAGE].count == 0


async def test_an_open_message_stays(tmp_path: Path) -> None:
    async with open_store(None, RUNTIME, vault=vault()) as store:
        await store.write(fill_agent)
        assert (await purge(store, NOW_MS + YEAR_MS)).rows[DataKind.MESSAGE] == 0
        assert await store.read(lambda conn: messages.get(conn, 1)) is not None


async def test_a_key_stays_as_long_as_one_row_needs_it(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(path, RUNTIME, vault=vault()) as store:
        for seq, kind in ((1, Kind.TEXT), (2, Kind.SOS)):
            await store.write(
                lambda tx, s=seq, k=kind: messages.add_incoming(  # type: ignore[misc]
                    tx, message(s, "text", k), s, b"d" * 32, NOW_MS
                )
            )
        await purge(store, NOW_MS + MONTH_MS + 2 * DAY_MS)
        assert {kind for kind, _day in keys(path)} == {DataKind.ALARM, DataKind.LEDGER}
        assert len(await store.read(lambda conn: messages.list_inbox(conn, 0, 9))) == 1
        await purge(store, NOW_MS + YEAR_MS)
        assert keys(path) == set()


async def test_bundles_that_expired_leave_no_key(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(path, RUNTIME, vault=vault()) as store:
        await store.write(fill_device)
        assert any(kind is DataKind.BUNDLE for kind, _day in keys(path))
        await store.write(lambda tx: retention.expire(tx, NOW_MS + 3 * DAY_MS, 500))
        await purge(store, NOW_MS + 3 * DAY_MS)
        assert not any(kind is DataKind.BUNDLE for kind, _day in keys(path))
        found = await store.read(lambda conn: bundles.raws_of_kind(conn, Kind.TEXT))
        assert found == []


async def test_contacts_and_proofs_end_too(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    async with open_store(path, RUNTIME, vault=vault()) as store:
        await store.write(fill_device)
        later_ms = NOW_MS + 59 * DAY_MS
        # Met again, without an address: where it was two months ago is forgotten all the same.
        await store.write(lambda tx: peers.contact_up(tx, node(4), "", later_ms))
        await purge(store, NOW_MS + 62 * DAY_MS)
        (peer,) = await store.read(peers.list_peers)
        assert (peer.address, peer.contacts) == ("", 2)
        await store.write(lambda tx: peers.contact_down(tx, node(4), later_ms, 0, 0))
        found = await purge(store, NOW_MS + YEAR_MS + 2 * DAY_MS)
        assert (found.rows[DataKind.CONTACT], found.rows[DataKind.EVIDENCE]) == (1, 1)
        assert await store.read(peers.list_peers) == []
        assert {kind for kind, _day in keys(path)} == {
            DataKind.BUNDLE,
            DataKind.DOCUMENT,
            DataKind.NETWORK_KEY,
        }
    assert ADDRESS


async def test_a_purge_goes_slice_by_slice() -> None:
    async with open_store(None, RUNTIME, vault=vault()) as store:
        for seq in range(5):
            await store.write(
                lambda tx, s=seq: messages.add_incoming(  # type: ignore[misc]
                    tx, message(s, "text"), s, b"d" * 32, NOW_MS
                )
            )
        counts: list[purging.Purged] = []
        while not counts or counts[-1].has_more:
            counts.append(await store.write(lambda tx: purging.purge(tx, NOW_MS + YEAR_MS, 2)))
        assert [each.row_count for each in counts] == [2, 2, 1]
        assert (await held(store))[DataKind.MESSAGE].purged_rows == 5


async def test_the_report_dates_what_is_held() -> None:
    async with open_store(None, RUNTIME, vault=vault()) as store:
        await store.write(fill_agent)
        found = await held(store)
        assert found[DataKind.MESSAGE].count == 3, "a text and two lines that name people"
        assert found[DataKind.MESSAGE].oldest_ms == NOW_MS
        assert found[DataKind.CHAIN].count == 2, "a chain has two states and is one"
        day_ends_ms = (NOW_MS // DAY_MS + 1) * DAY_MS
        assert found[DataKind.MESSAGE].next_purge_ms == day_ends_ms + MONTH_MS
        assert found[DataKind.SOS_KEY].next_purge_ms == 0
        assert found[DataKind.POSITION].count == 4, "a position, a state, a point and a track"
        assert found[DataKind.AUDIT] == Holding(DataKind.AUDIT, 0, 0, 0, 0, 0, 0)


_ENDS = st.integers(0, 400)


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(st.tuples(_ENDS, st.booleans()), max_size=8), st.lists(_ENDS, max_size=4))
async def test_any_purges_leave_exactly_what_the_rules_say(
    ends: list[tuple[int, bool]], days: list[int]
) -> None:
    """The slow judge: a text lives until `end + 1 + keep` days, whatever was purged before."""
    async with open_store(None, RUNTIME, vault=vault()) as store:
        for seq, (end, is_sos) in enumerate(ends):
            kind = Kind.SOS if is_sos else Kind.TEXT
            new = message(seq, f"text {seq}", kind, end * DAY_MS)
            await store.write(
                lambda tx, n=new, s=seq: messages.add_incoming(tx, n, s, b"d" * 32, 0)  # type: ignore[misc]
            )
        for day in days:
            await purge(store, day * DAY_MS)
        latest = max(days, default=-1)
        expected = {
            f"text {seq}"
            for seq, (end, is_sos) in enumerate(ends)
            if end + (180 if is_sos else 30) >= latest
        }
        found = await store.read(lambda conn: messages.list_inbox(conn, 0, 99))
        assert {each.text for each in found} == expected
