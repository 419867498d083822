"""A backup becomes a home again: a new author to its peers, up to the clock, whole or nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode import restoring as module
from meshnode.backup_entries import END, Label, encode_entry
from meshnode.errors import BackupError, HomeError, SchemaTooNewError
from meshnode.home import Home
from meshnode.restoring import restore_backup
from meshnode.running import open_home
from meshnode.store.audit import audit_recent
from meshnode.store.engine import open_store
from meshnode.store.evidence import evidence_count
from meshnode.vault.sealed_stream import StreamWriter
from protocol.guards import BACKUP_DEPTH_MAX, BACKUP_FILES_MAX
from protocol.identity import Role
from tests.meshnode.backups import (
    PASSPHRASE,
    backed_up,
    files_below,
    names,
    outgoing_of,
    read_at,
    restored,
    running,
    sends,
    syncs,
)
from tests.meshnode.enrolling import CHEAP, NOW_MS
from tests.meshnode.homes import ALONE, enrolled_home, runtime, vault_at

pytestmark = [pytest.mark.slow, pytest.mark.real]

_DAY_MS = 86_400_000


@pytest.fixture
async def gateway(tmp_path: Path) -> Path:
    """The home of a gateway that starts alone, and knows an agent."""
    await enrolled_home(tmp_path, "anna")
    home, _accepted = await enrolled_home(tmp_path, "centre", Role.GATEWAY)
    return home


def column(home: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(home / "store.sqlite")) as connection:
        return [row[0] for row in connection.execute(query)]


async def test_a_restored_node_goes_on_under_new_numbers_and_its_peer_takes_them(
    gateway: Path, tmp_path: Path
) -> None:
    """What was written after the backup, and what is written after the restoring, both arrive."""
    anna = tmp_path / "anna"
    async with running(anna) as peer:
        await syncs(gateway, peer)
        await sends(gateway, "squad:Queyras", "un")
        await sends(anna, "centre", "pour le centre")
        await syncs(gateway, peer)
        backed_up(gateway, tmp_path / "b")
        await sends(gateway, "squad:Queyras", "deux, après la sauvegarde")
        await syncs(gateway, peer)
        # The machine is lost here.
        found = await restored(tmp_path / "b", tmp_path / "again")
        assert await read_at(tmp_path / "again") == ["pour le centre"]
        assert [each["text"] for each in await outgoing_of(tmp_path / "again")] == ["un"]
        sent = await sends(tmp_path / "again", "squad:Queyras", "trois, restauré")
        await syncs(tmp_path / "again", peer)
        assert await peer.store.read(evidence_count) == 0
    assert await read_at(anna) == ["un", "deux, après la sauvegarde", "trois, restauré"]
    (first,) = column(gateway, "SELECT incarnation FROM node")
    (again,) = column(tmp_path / "again", "SELECT incarnation FROM node")
    assert first != again == int(sent.split(".")[1])
    assert found.node.hex() == sent.split(".")[0]
    stories = {each["text"]: each["state"] for each in await outgoing_of(tmp_path / "again")}
    assert set(stories.values()) == {"delivered"}


async def test_a_mere_copy_gives_one_number_twice(gateway: Path, tmp_path: Path) -> None:
    """What the renewal is for."""
    shutil.copytree(gateway, tmp_path / "copy", ignore=shutil.ignore_patterns("*.sock"))
    backed_up(gateway, tmp_path / "b")
    await restored(tmp_path / "b", tmp_path / "again")
    sent = await sends(gateway, "squad:Queyras", "deux")
    assert await sends(tmp_path / "copy", "squad:Queyras", "trois") == sent
    assert await sends(tmp_path / "again", "squad:Queyras", "trois") != sent


async def test_no_chain_goes_on_and_an_open_shift_has_ended(gateway: Path, tmp_path: Path) -> None:
    async with open_home(gateway, ALONE, runtime()) as node:
        await node.positions.open_shift(12)
        assert await node.positions.current() is not None
    await sends(gateway, "squad:Queyras", "un")
    assert 0 in column(gateway, "SELECT is_closed FROM sending_chain")
    backed_up(gateway, tmp_path / "b")
    await restored(tmp_path / "b", tmp_path / "again")
    assert set(column(tmp_path / "again", "SELECT is_closed FROM sending_chain")) <= {1}
    assert column(tmp_path / "again", "SELECT author FROM shift_end") == []
    async with open_home(tmp_path / "again", ALONE, runtime()) as node:
        assert await node.positions.current() is None
        await node.positions.open_shift(6)
        assert await node.positions.current() is not None
    # And in the home that nothing was restored into it goes on.
    async with open_home(gateway, ALONE, runtime()) as node:
        assert await node.positions.current() is not None


async def test_what_is_over_is_gone_before_any_node_opens_it(gateway: Path, tmp_path: Path) -> None:
    await sends(gateway, "squad:Queyras", "un")
    backed_up(gateway, tmp_path / "b")
    later = await restored(tmp_path / "b", tmp_path / "later", now_ms=NOW_MS + 400 * _DAY_MS)
    assert later.purged > 0
    for table in ("own_prekey", "sending_chain", "message", "bundle"):
        assert column(tmp_path / "later", f"SELECT count(*) FROM {table}") == [0], table
    soon = await restored(tmp_path / "b", tmp_path / "soon", now_ms=NOW_MS + 1)
    assert soon.purged == 0
    assert column(tmp_path / "soon", "SELECT count(*) FROM message") == [1]


async def test_the_log_of_the_device_says_it(gateway: Path, tmp_path: Path) -> None:
    backed_up(gateway, tmp_path / "b")
    await restored(tmp_path / "b", tmp_path / "again")
    vault = vault_at(tmp_path / "again")
    async with open_store(Home(tmp_path / "again").store, runtime(), vault=vault) as store:
        entries = await store.read(lambda conn: audit_recent(conn, 1))
    assert [each.event for each in entries] == ["restored"]


async def test_a_home_that_holds_something_is_not_touched(gateway: Path, tmp_path: Path) -> None:
    backed_up(gateway, tmp_path / "b")
    before = files_below(gateway)
    with pytest.raises(HomeError, match="in use already"):
        await restored(tmp_path / "b", gateway)
    assert files_below(gateway) == before
    (tmp_path / "empty").mkdir()
    await restored(tmp_path / "b", tmp_path / "empty")
    assert (tmp_path / "empty" / "identity" / "root").exists()


async def test_every_cut_and_every_changed_byte_is_refused(gateway: Path, tmp_path: Path) -> None:
    """At the begin and the end byte by byte, between them at steps; nothing is left of any."""
    backed_up(gateway, tmp_path / "b")
    raw = (tmp_path / "b").read_bytes()
    edges = [*range(90), *range(len(raw) - 20, len(raw))]
    places = sorted({*edges, *range(0, len(raw), max(1, len(raw) // 20))})
    for place in places:
        changed = bytearray(raw)
        changed[place] ^= 1 << place % 8
        for bad in (raw[:place], bytes(changed)):
            (tmp_path / "bad").write_bytes(bad)
            with pytest.raises(BackupError):
                await restored(tmp_path / "bad", tmp_path / "again")
    (tmp_path / "bad").write_bytes(raw + b"\0")
    with pytest.raises(BackupError):
        await restored(tmp_path / "bad", tmp_path / "again")
    assert names(tmp_path, "again") == []


async def test_a_wrong_passphrase_is_told(gateway: Path, tmp_path: Path) -> None:
    backed_up(gateway, tmp_path / "b")
    with pytest.raises(BackupError, match="does not open the backup") as refused:
        await restore_backup(tmp_path / "b", tmp_path / "again", PASSPHRASE + "x", runtime())
    assert refused.value.reason == "passphrase"
    assert not (tmp_path / "again").exists()


def forged(path: Path, *entries: tuple[str, bytes], count: int | None = None) -> None:
    """Write a stream that a person with the passphrase made by hand."""
    with path.open("wb") as file:
        writer = StreamWriter(file, PASSPHRASE, os.urandom, CHEAP)
        writer.write(Label(bytes(16), NOW_MS).encode())
        for place, data in entries:
            writer.write(_entry(place, len(data)) + data)
        writer.write(encode_entry(END, len(entries) if count is None else count))
        writer.finish()


def _entry(place: str, size: int) -> bytes:
    from protocol.canonical import encode

    raw = encode([place.encode(), size])
    return len(raw).to_bytes(4, "big") + raw


@pytest.mark.parametrize(
    "place",
    ["../x", "/etc/x", "a/../../x", "a//b", "./x", "a/.", "..", "x\0y", "/".join("a" * 9)],
)
async def test_no_place_leads_out_of_the_home(tmp_path: Path, place: str) -> None:
    assert BACKUP_DEPTH_MAX == 8
    forged(tmp_path / "b", (place, b"x"))
    with pytest.raises(BackupError, match="what no home has"):
        await restored(tmp_path / "b", tmp_path / "deep" / "home")
    with pytest.raises(BackupError, match="what no home has"):
        encode_entry(place, 1)
    assert files_below(tmp_path) == ["b"]


async def test_a_second_file_of_a_name_and_a_wrong_count_are_refused(tmp_path: Path) -> None:
    forged(tmp_path / "b", ("a", b"1"), ("a", b"2"))
    with pytest.raises(BackupError, match="cannot be made"):
        await restored(tmp_path / "b", tmp_path / "home")
    forged(tmp_path / "c", ("a", b"1"), count=2)
    with pytest.raises(BackupError, match="lacks files"):
        await restored(tmp_path / "c", tmp_path / "home")
    assert names(tmp_path) == ["b", "c"]


async def test_bounds_hold_before_the_disk_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert BACKUP_FILES_MAX > 1_000
    monkeypatch.setattr(module, "BACKUP_FILES_MAX", 2)
    forged(tmp_path / "b", ("a", b""), ("b", b""), ("c", b""))
    with pytest.raises(BackupError, match="more than one backup can hold"):
        await restored(tmp_path / "b", tmp_path / "home")
    monkeypatch.setattr(module, "BACKUP_BYTES_MAX", 3)
    forged(tmp_path / "b", ("a", b"12"), ("b", b"34"))
    with pytest.raises(BackupError, match="more than one backup can hold"):
        await restored(tmp_path / "b", tmp_path / "home")


async def test_a_backup_of_another_device_or_of_an_agent_is_refused(
    gateway: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [
        (place, (gateway / place).read_bytes()) for place in files_below(gateway) if place != "lock"
    ]
    forged(tmp_path / "b", *files)
    with pytest.raises(BackupError, match="another device than it says"):
        await restored(tmp_path / "b", tmp_path / "again")
    agent = tmp_path / "anna"
    monkeypatch.setattr("meshnode.backup._CARRIED_BY_AGENTS", frozenset())
    backed_up(agent, tmp_path / "a")
    monkeypatch.undo()
    with pytest.raises(BackupError, match="an agent's device has no backup"):
        await restored(tmp_path / "a", tmp_path / "again")
    assert names(tmp_path, "again") == []


async def test_a_full_disk_leaves_no_half_of_a_home(
    gateway: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at each file in turn."""
    files = backed_up(gateway, tmp_path / "b").files
    unpack = module._unpack_file

    for full_at in range(files):
        left = full_at

        def fail(*arguments: Any) -> None:
            nonlocal left
            if left == 0:
                raise OSError(28, os.strerror(28))
            left -= 1
            unpack(*arguments)

        monkeypatch.setattr(module, "_unpack_file", fail)
        with pytest.raises(BackupError, match="No space left"):
            await restored(tmp_path / "b", tmp_path / "again")
        assert names(tmp_path, "again") == [], full_at


async def test_what_a_power_cut_left_is_taken_away(gateway: Path, tmp_path: Path) -> None:
    backed_up(gateway, tmp_path / "b")
    half = tmp_path / ".again.restoring" / "keys"
    half.mkdir(parents=True)
    (half / "device").write_bytes(b"half a secret")
    (half / "large").write_bytes(bytes(module._ERASED_BYTES_MAX + 1))
    await restored(tmp_path / "b", tmp_path / "again")
    assert not half.exists()


async def test_a_stopped_restoring_leaves_nothing(
    gateway: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backed_up(gateway, tmp_path / "b")

    async def stopped(*_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_renewed", stopped)
    with pytest.raises(KeyboardInterrupt):
        await restored(tmp_path / "b", tmp_path / "again")
    assert names(tmp_path, "again") == []


async def test_the_backup_of_a_newer_program_is_refused(gateway: Path, tmp_path: Path) -> None:
    """A downgrade goes by a backup of the older program, and says so."""
    with closing(sqlite3.connect(gateway / "store.sqlite")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    backed_up(gateway, tmp_path / "b")
    with pytest.raises(SchemaTooNewError):
        await restored(tmp_path / "b", tmp_path / "again")
    assert names(tmp_path, "again") == []


async def test_a_device_with_a_secret_is_restored_locked_and_opens_with_it(
    tmp_path: Path,
) -> None:
    secret = "five quite ordinary words here"
    home, _accepted = await enrolled_home(tmp_path, "op", Role.OPERATOR, secret=secret)
    async with open_home(home, ALONE, runtime(), secret=secret) as node:
        assert node.desk is not None
    backed_up(home, tmp_path / "b")
    await restored(tmp_path / "b", tmp_path / "again")
    async with open_home(tmp_path / "again", ALONE, runtime()) as node:
        assert node.desk is None
    async with open_home(tmp_path / "again", ALONE, runtime(), secret=secret) as node:
        assert node.desk is not None
    await trio.lowlevel.checkpoint()
