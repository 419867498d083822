"""S28 and the second half of S26: what lies on the disk, and what is left of it."""

from __future__ import annotations

import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.client import open_api
from meshnode.enrol import load_identity, open_keys
from meshnode.errors import LockedError, SealBrokenError, WipedError, WrongSecretError
from meshnode.holdings import read_signed_untrusted
from meshnode.node import Node
from meshnode.purging import purge
from meshnode.running import open_home
from meshnode.runtime import Runtime
from meshnode.store import bundles, documents, messages
from meshnode.store.engine import Store
from meshnode.trace import trace_to_file
from meshnode.vault.kinds import DAY_MS, Tier
from protocol.certificates import badge_key_untrusted
from protocol.limits import Kind
from tests.meshnode.enrolling import NOW_MS, SECRET
from tests.meshnode.homes import ALONE, enrolled_home, runtime

pytestmark = [pytest.mark.slow, pytest.mark.real]

TEXTS = tuple(f"le guide {number:03} attend au col de la Croix" for number in range(200))
HELP = "une jambe cassee au refuge du Viso"
NAMES = ("giuliana", "marcantonio", "Queyras", "Alpes", "Briançon")
OTHER_SECRET = "five other ordinary words here"


def contents(home: Path) -> dict[str, bytes]:
    """Return every file of a home with its bytes."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if stat.S_ISREG(path.lstat().st_mode)
    }


def found_in(home: Path, values: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a home that hold one of `values`."""
    for name, raw in contents(home).items():
        yield from ((name, each) for each in values if each in raw)


def clear(home: Path) -> list[tuple[str, bytes]]:
    """Return which known text or name stands where."""
    return list(found_in(home, [each.encode() for each in (*TEXTS, HELP, *NAMES)]))


def later(days: int) -> Runtime:
    return replace(runtime(), now_ms=lambda: NOW_MS + days * DAY_MS)


async def carried(store: Store) -> list[bytes]:
    """Return all bundles of a store."""
    found = await store.read(lambda conn: [bundles.raws_of_kind(conn, kind) for kind in Kind])
    return [raw for raws in found for raw in raws]


async def hand_over(source: Node, target: Node) -> None:
    for start in range(0, len(raws := await carried(source.store)), 100):
        await target.relay.receive(None, [(0, raw) for raw in raws[start : start + 100]])
    await target.settle()


@pytest.fixture
async def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two phones of one squad that know each other; one wrote everything, the other read it."""
    marco, _ = await enrolled_home(tmp_path, "marcantonio", secret=SECRET)
    giulia, _ = await enrolled_home(tmp_path, "giuliana", secret=SECRET)
    with trace_to_file(giulia / "trace.jsonl", lambda: NOW_MS) as trace:
        traced = replace(runtime(), trace=trace)
        async with (
            open_home(giulia, ALONE, traced, secret=SECRET) as writer,
            open_home(marco, ALONE, runtime(), secret=SECRET) as reader,
        ):
            await reader.membership.accept(await writer.store.read(documents.all_raw))
            await hand_over(reader, writer)
            await hand_over(writer, reader)
            assert clear(giulia) == clear(marco) == []
    for hour in range(3):
        # More than an hour's quota: it took her three.
        then = replace(runtime(), now_ms=lambda: NOW_MS + hour * 3_600_000)  # noqa: B023
        async with open_api(giulia, then, ALONE, lambda: SECRET) as api:
            for number, text in enumerate(TEXTS):
                if number % 3 == hour:
                    await api.send(("marcantonio", "squad:Queyras")[number % 2], text)
            if hour == 0:
                await api.send("zone", HELP, sos=True)
    async with (
        open_home(giulia, ALONE, then, secret=SECRET) as writer,
        open_home(marco, ALONE, then, secret=SECRET) as reader,
    ):
        await hand_over(writer, reader)
        # While both are open the log of the database holds the newest pages.
        assert (giulia / "store.sqlite-wal").stat().st_size > 0
        assert clear(giulia) == clear(marco) == []
    return giulia, marco


async def test_s28_nothing_is_found_in_any_file(pair: tuple[Path, Path]) -> None:
    giulia, marco = pair
    for _restart in range(2):
        assert clear(giulia) == clear(marco) == []
        async with open_api(giulia, runtime(), ALONE, lambda: SECRET) as api:
            written = {each["text"] for each in await api.outgoing(0, 1_000)}
            assert written == {*TEXTS, HELP}, "the very search would find nothing in an empty store"
            assert clear(giulia) == []
        async with open_api(marco, runtime(), ALONE, lambda: SECRET) as api:
            read = {each["text"] for each in await api.inbox(0, 1_000)}
            assert read == {*TEXTS, HELP}
            assert clear(marco) == []


async def test_s28_the_search_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text(f"{TEXTS[7]}, {NAMES[0]}")
    assert clear(tmp_path) == [("notes", TEXTS[7].encode()), ("notes", NAMES[0].encode())]


async def test_s28_a_locked_phone_shows_nothing(pair: tuple[Path, Path]) -> None:
    giulia, marco = pair
    with pytest.raises(WrongSecretError):
        async with open_home(giulia, ALONE, runtime(), secret=OTHER_SECRET):
            pass
    for _restart in range(2):
        async with open_home(giulia, ALONE, runtime()) as node:
            assert node.store.vault is not None
            assert node.store.vault.is_locked
            assert len(await carried(node.store)) > 200, "it still carries"
            with pytest.raises(LockedError):
                await node.store.read(lambda conn: messages.list_outgoing(conn, 0, 9))
            with pytest.raises(LockedError):
                node.require_desk()
        async with open_home(marco, ALONE, runtime()) as node:
            with pytest.raises(LockedError):
                await node.store.read(lambda conn: messages.list_inbox(conn, 0, 9))


async def test_s28_rows_that_changed_places_are_both_refused(pair: tuple[Path, Path]) -> None:
    giulia, _marco = pair
    with closing(sqlite3.connect(giulia / "store.sqlite")) as connection:
        for table, column in (("message", "text"), ("bundle", "raw")):
            keys = "SELECT key FROM {} ORDER BY key LIMIT 2"
            (one,), (two,) = connection.execute(keys.format(table)).fetchall()
            value = f"SELECT {column} FROM {table} WHERE key = ?"
            first, second = (connection.execute(value, (key,)).fetchone()[0] for key in (one, two))
            change = f"UPDATE {table} SET {column} = ? WHERE key = ?"
            connection.executemany(change, [(second, one), (first, two)])
        connection.commit()
    for _restart in range(2):
        async with open_home(giulia, ALONE, runtime(), secret=SECRET) as node:
            for key in (1, 2):
                with pytest.raises(SealBrokenError):
                    await node.store.read(lambda conn, key=key: messages.get(conn, key))  # type: ignore[misc]
            assert node.metrics.value("seals_broken") == 2
            listed = await node.store.read(lambda conn: messages.list_outgoing(conn, 0, 1_000))
            assert len(listed) == len(TEXTS) + 1 - 2, "all others are shown"
            held = sum(node.store.class_counts.values())
            assert len(await carried(node.store)) == held - 2, "all others are carried"


async def test_s28_a_purge_leaves_nothing_and_the_report_says_so(pair: tuple[Path, Path]) -> None:
    giulia, _marco = pair
    with closing(sqlite3.connect(giulia / "store.sqlite")) as connection:
        ciphertexts = [row[0] for row in connection.execute("SELECT text FROM message")]
        wrapped = [row[0] for row in connection.execute("SELECT wrapped FROM data_key")]
    assert len(ciphertexts) == 201
    assert len({each for _name, each in found_in(giulia, ciphertexts)}) == 201
    days = 400
    async with open_home(giulia, ALONE, later(days), secret=SECRET) as node:
        await node.housekeeping.look()
        assert await node.store.read(messages.counts), "a clock that leapt is not believed"
        await purge(node.store, NOW_MS + days * DAY_MS)
        assert await node.store.compact()
        assert list(found_in(giulia, ciphertexts)) == []
    for _restart in range(2):
        assert list(found_in(giulia, ciphertexts)) == []
        with closing(sqlite3.connect(giulia / "store.sqlite")) as connection:
            left = {row[0] for row in connection.execute("SELECT wrapped FROM data_key")}
        gone = [each for each in wrapped if each not in left]
        assert len(gone) >= 3, "keys of texts, of the SOS and of their ledger"
        assert list(found_in(giulia, gone)) == []
        # Today: after so long without the centre nobody signs anything any more.
        async with open_api(giulia, runtime(), ALONE, lambda: SECRET) as api:
            report = await api.holdings(signed=True)
        vault = open_keys(giulia, runtime()).open_vault()
        badge = badge_key_untrusted(load_identity(giulia, vault).badge_chain[0])
        signed = read_signed_untrusted(bytes.fromhex(report["signed"]), badge)
        lines = {line.kind.name: line for line in signed.lines}
        assert lines["MESSAGE"].count == lines["ALARM"].count == 0
        assert lines["MESSAGE"].purged_rows == 200
        assert lines["ALARM"].purged_rows == 2, "the message, and the step of its alarm"
        assert lines["MESSAGE"].dropped_keys > 0
        assert lines["MESSAGE"].last_purge_ms == NOW_MS + days * DAY_MS
        assert signed.as_json() == {k: v for k, v in report.items() if k != "signed"}


async def test_s26_a_destroyed_tier_does_not_come_back_with_the_right_secret(
    pair: tuple[Path, Path],
) -> None:
    giulia, _marco = pair
    keys = open_keys(giulia, runtime())
    wrapped = (giulia / "keys" / "tier1").read_bytes()[-48:]
    started_s = time.process_time()
    keys.destroy(Tier.AGENT)
    # The processor's own time: of the wall clock the neighbours take their part.
    assert time.process_time() - started_s < 5
    assert list(found_in(giulia, [wrapped])) == []
    for _restart in range(2):
        with pytest.raises(WipedError):
            open_keys(giulia, runtime()).agent_master(SECRET)
        async with open_home(giulia, ALONE, runtime(), secret=SECRET) as node:
            with pytest.raises(WipedError):
                node.require_desk()
            assert len(await carried(node.store)) > 200, "it still carries, and can tell its proof"
    open_keys(giulia, runtime()).destroy(Tier.DEVICE)
    for _restart in range(2):
        with pytest.raises(WipedError):
            async with open_home(giulia, ALONE, runtime(), secret=SECRET):
                pass
        assert set(contents(giulia)) & {"keys/device", "keys/tier0", "keys/tier1"} == set()
    assert clear(giulia) == []
