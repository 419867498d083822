"""A home goes into one sealed file, whole or not at all, and agents' homes do not."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode import backup as module
from meshnode.backup import may_be_backed_up, write_backup
from meshnode.config import read_settings
from meshnode.erasing import destroy_agent
from meshnode.errors import BackupError, HomeBusyError, StoreCorruptError
from meshnode.store.snapshot import take_snapshot
from meshnode.vault.keystore import KeyStore
from meshnode.vault.sealed_stream import StreamWriter
from protocol.identity import Role
from tests.meshnode.backups import (
    PASSPHRASE,
    at,
    backed_up,
    files_below,
    names,
    outgoing_of,
    restored,
    running,
    sends,
)
from tests.meshnode.enrolling import CHEAP, NOW_MS
from tests.meshnode.homes import ALONE, enrolled_home, runtime

pytestmark = [pytest.mark.slow, pytest.mark.real]


@pytest.fixture
async def gateway(tmp_path: Path) -> Path:
    """The home of a gateway that starts alone, and knows an agent."""
    await enrolled_home(tmp_path, "anna")
    home, _accepted = await enrolled_home(tmp_path, "centre", Role.GATEWAY)
    return home


async def test_what_is_in_it_and_what_is_not(gateway: Path, tmp_path: Path) -> None:
    for name in ("trace.jsonl", "trace.jsonl.1", "lock", "maps/alpes.pmtiles", ".knocks.new"):
        (gateway / name).parent.mkdir(exist_ok=True)
        (gateway / name).write_bytes(b"left out")
    (gateway / "meshnode.toml").write_text("[trace]\nfile = 'trace.jsonl'\n")
    (gateway / "files").mkdir()
    (gateway / "files" / "photo").write_bytes(b"in")
    (gateway / "elsewhere").symlink_to(tmp_path)
    with closing(sqlite3.connect(gateway / "archive.sqlite")) as archive:
        archive.execute("CREATE TABLE kept (text)")
        archive.execute("INSERT INTO kept VALUES ('for years')")
        archive.commit()
    settings = read_settings((gateway / "meshnode.toml").read_bytes())
    target, told = tmp_path / "centre.backup", list[tuple[int, int]]()
    before = names(gateway)
    written = write_backup(
        gateway, target, PASSPHRASE, settings, runtime(), CHEAP, lambda *each: told.append(each)
    )
    assert before == names(gateway)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert written.bytes == target.stat().st_size
    assert told[-1][0] == told[-1][1] > 0
    found = await restored(target, tmp_path / "again")
    assert found.files == written.files
    places = set(files_below(tmp_path / "again"))
    assert {"store.sqlite", "archive.sqlite", "meshnode.toml", "files/photo"} <= places
    assert {"keys/device", "keys/tier0", "keys/tier1", "identity/root"} <= places
    assert not [each for each in places if "trace" in each or "maps" in each or "new" in each]
    assert not {"elsewhere", "lock", "control.sock"} & places
    with closing(sqlite3.connect(tmp_path / "again" / "archive.sqlite")) as archive:
        assert archive.execute("SELECT text FROM kept").fetchall() == [("for years",)]


async def test_a_running_node_writes_while_the_backup_runs(
    gateway: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes come before, during and after the copy; the copy has exactly those before."""
    target, take, token = tmp_path / "b", take_snapshot, list[trio.lowlevel.TrioToken]()

    def take_slowly(source: Path, copy: Path) -> int:
        size = take(source, copy)
        # The copy is made: what the node writes from here on is not in it.
        trio.from_thread.run(sends, gateway, "squad:Queyras", "après", trio_token=token[0])
        return size

    monkeypatch.setattr(module, "take_snapshot", take_slowly)
    async with running(gateway) as node:
        token.append(trio.lowlevel.current_trio_token())
        await sends(gateway, "squad:Queyras", "avant")
        await trio.to_thread.run_sync(backed_up, gateway, target)
        assert node.store.incarnation
        await sends(gateway, "squad:Queyras", "encore")
    monkeypatch.undo()
    await restored(target, tmp_path / "again")
    assert [each["text"] for each in await outgoing_of(tmp_path / "again")] == ["avant"]
    assert len(await outgoing_of(gateway)) == 3


async def test_an_archive_is_copied_behind_its_head_and_behind_the_store(
    gateway: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A purge meanwhile must not make the copy look cut off, nor a batch on its way get lost."""
    for name in ("archive.sqlite", "archive.head"):
        (gateway / name).write_bytes(b"")
    (gateway / "archive.head").write_bytes(b"head 1")
    copied, take = list[str](), take_snapshot

    def purged_meanwhile(source: Path, copy: Path) -> int:
        (gateway / "archive.head").write_bytes(b"head 2")
        copied.append(source.name)
        return take(source, copy)

    monkeypatch.setattr(module, "take_snapshot", purged_meanwhile)
    backed_up(gateway, tmp_path / "b")
    await restored(tmp_path / "b", tmp_path / "again")
    assert copied == ["store.sqlite", "archive.sqlite"]
    assert (tmp_path / "again" / "archive.head").read_bytes() == b"head 1"


@pytest.mark.parametrize("role", [Role.AGENT, Role.LEADER])
async def test_an_agents_device_has_none(tmp_path: Path, role: Role) -> None:
    home, _accepted = await enrolled_home(tmp_path, "zoe", role)
    with pytest.raises(BackupError, match="enrolled anew in two minutes") as refused:
        backed_up(home, tmp_path / "b")
    assert refused.value.reason == "agent"
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("role", [Role.RELAY, Role.GATEWAY, Role.OPERATOR])
async def test_those_of_others_have(tmp_path: Path, role: Role) -> None:
    home, accepted = await enrolled_home(tmp_path, "x", role)
    assert backed_up(home, tmp_path / "b").node == accepted.enrolled.badge.node


async def test_keys_that_never_leave_their_device_are_not_backed_up(
    gateway: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeyStore, "is_hardware_bound", True)
    with pytest.raises(BackupError, match="never leave it"):
        may_be_backed_up(KeyStore.open(gateway), Role.GATEWAY)


async def test_a_wiped_home_is_refused_and_a_wipe_meanwhile_leaves_nothing(
    gateway: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, write_all = tmp_path / "b", module._write_all

    def wiped_meanwhile(*arguments: Any) -> int:
        count = write_all(*arguments)
        destroy_agent(gateway, runtime())
        return count

    monkeypatch.setattr(module, "_write_all", wiped_meanwhile)
    for _ in range(2):
        with pytest.raises(BackupError, match="was wiped"):
            backed_up(gateway, target)
        assert names(tmp_path, "b") == []
        assert not (gateway / ".backup").exists()


async def test_a_short_passphrase_and_a_bad_place_are_refused(
    gateway: Path, tmp_path: Path
) -> None:
    with pytest.raises(BackupError, match="at least 12 characters"):
        write_backup(gateway, tmp_path / "b", "eleven char", ALONE, runtime(), CHEAP)
    with pytest.raises(BackupError, match="inside the home"):
        backed_up(gateway, gateway / "b")
    (tmp_path / "letter").write_text("not a backup")
    with pytest.raises(BackupError, match="no backup: take another name"):
        backed_up(gateway, tmp_path / "letter")
    assert (tmp_path / "letter").read_text() == "not a backup"
    with pytest.raises(BackupError, match="cannot be written"):
        backed_up(gateway, tmp_path / "nowhere" / "b")


async def test_a_later_backup_replaces_an_earlier_one(gateway: Path, tmp_path: Path) -> None:
    backed_up(gateway, tmp_path / "b")
    backed_up(gateway, tmp_path / "b", now_ms=NOW_MS + 1_000)
    assert (await restored(tmp_path / "b", tmp_path / "again")).made_ms == NOW_MS + 1_000


async def test_a_full_disk_leaves_the_earlier_backup(
    gateway: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at every write in turn, then at the copying of the database."""
    target = tmp_path / "b"
    backed_up(gateway, target)
    kept = target.read_bytes()
    fills, seal = 0, StreamWriter._seal

    def full(self: Any, plaintext: bytes, *, is_last: bool) -> None:
        if is_last:
            raise OSError(28, os.strerror(28))
        seal(self, plaintext, is_last=is_last)

    monkeypatch.setattr(StreamWriter, "_seal", full)
    with pytest.raises(BackupError, match="No space left"):
        backed_up(gateway, target)
    monkeypatch.undo()
    copy = take_snapshot

    def full_copy(source: Path, work: Path) -> int:
        nonlocal fills
        fills += 1
        copy(source, work)
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(module, "take_snapshot", full_copy)
    with pytest.raises(BackupError, match="No space left"):
        backed_up(gateway, target)
    assert fills == 1
    assert target.read_bytes() == kept
    assert names(tmp_path, "b") == ["b"]
    assert not (gateway / ".backup").exists()


async def test_what_a_power_cut_left_is_taken_away(gateway: Path, tmp_path: Path) -> None:
    (gateway / ".backup").mkdir()
    (gateway / ".backup" / "store.sqlite").write_bytes(b"half")
    (tmp_path / ".b.new").write_bytes(b"half")
    backed_up(gateway, tmp_path / "b")
    assert not (gateway / ".backup").exists()
    assert names(tmp_path, "b") == ["b"]


async def test_two_at_a_time_are_one_too_many(gateway: Path, tmp_path: Path) -> None:
    (gateway / ".backup").mkdir()
    (gateway / ".backup" / "store.sqlite").write_bytes(b"of the other")
    descriptor = os.open(gateway / ".backup", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(HomeBusyError, match="another backup"):
        backed_up(gateway, tmp_path / "b")
    # What the other one works on is still there.
    assert (gateway / ".backup" / "store.sqlite").exists()
    os.close(descriptor)
    backed_up(gateway, tmp_path / "b")


async def test_a_damaged_store_is_found_before_the_last_good_backup_goes(
    gateway: Path, tmp_path: Path
) -> None:
    backed_up(gateway, tmp_path / "b")
    kept = (tmp_path / "b").read_bytes()
    store = gateway / "store.sqlite"
    raw = bytearray(store.read_bytes())
    raw[4096 * 3 : 4096 * 12] = bytes(4096 * 9)
    store.write_bytes(raw)
    with pytest.raises(StoreCorruptError):
        write_backup(gateway, tmp_path / "b", PASSPHRASE, ALONE, at(NOW_MS), CHEAP)
    assert (tmp_path / "b").read_bytes() == kept
