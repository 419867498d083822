"""Makes a home out of a backup: unpacked beside it, looked through whole, then renamed.

A restored device is a new author under its old name: another incarnation, no chain that was used,
no open shift. What is over by now is purged before any node has opened the store. The backup stays,
so that a wrong clock costs another try and nothing else. Source: decision 58.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from meshnode.audit import Audit
from meshnode.backup import DATABASES, may_be_backed_up
from meshnode.backup_entries import END, Label, read_entry, read_label
from meshnode.enrol import load_identity, open_keys
from meshnode.errors import BackupError, HomeError
from meshnode.files import erase, make_private_folder, sync_folder
from meshnode.home import Home
from meshnode.metrics import Metrics
from meshnode.outside_files import open_picked
from meshnode.purging import purge
from meshnode.runtime import Runtime
from meshnode.shift_ends import ShiftEnds
from meshnode.store import chunks, keyring, messages, network_keys, renewal, retention
from meshnode.store.engine import Store, Transaction, open_store
from meshnode.vault.sealed_stream import StreamReader
from meshnode.vault.vault import Vault
from protocol.guards import BACKUP_BYTES_MAX, BACKUP_FILES_MAX
from protocol.identity import rights_untrusted
from protocol.ids import NodeId

__all__ = ["Restored", "restore_backup"]

_SLICE: Final = 500
_READ_BYTES: Final = 1 << 18
_ERASED_BYTES_MAX: Final = 1 << 20
"""A larger file of a home that was given up holds sealed rows only, and just loses its name."""

_Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a backup brought back."""

    node: NodeId
    """16 bytes."""
    made_ms: int
    """When the backup was made, Unix milliseconds; what came later is lost."""
    files: int
    """How many files the home has."""
    purged: int
    """Rows and bundles whose time was over, and which nobody will read."""


async def restore_backup(
    source: Path,
    home: Path,
    passphrase: str,
    runtime: Runtime,
    on_progress: _Progress = lambda _done, _whole: None,
) -> Restored:
    """Make the home, which must not exist or be empty, from the backup `source`.

    `on_progress` hears bytes read and bytes in all. Nothing is left of what fails.
    Raises: BackupError, HomeError, EnrolmentError, KeystoreError, StoreError.
    """
    _refuse_used(home)
    stage = _stage_of(home)
    try:
        _discard(stage)
        make_private_folder(stage)
        unpack = partial(_unpack, source, stage, passphrase, on_progress)
        label, count = await runtime.run_blocking(unpack)
        purged = await _renewed(stage, label, runtime)
        await runtime.run_blocking(_move, stage, home)
    except OSError as error:
        _discard(stage)
        raise BackupError("write", f"{home} cannot be made: {error.strerror}") from error
    except BaseException:
        _discard(stage)
        raise
    return Restored(label.node, label.made_ms, count, purged)


def _refuse_used(home: Path) -> None:
    if os.path.lexists(home) and not (home.is_dir() and not any(home.iterdir())):
        raise HomeError(f"{home} is in use already: restore into another --home")


def _stage_of(home: Path) -> Path:
    return home.absolute().with_name(f".{home.name}.restoring")


def _discard(stage: Path) -> None:
    """Take away a home that did not become one; what tells keys is overwritten. Raises: OSError."""
    if not stage.exists():
        return
    for folder, folders, names in os.walk(stage, topdown=False):
        for name in names:
            path = Path(folder, name)
            if path.lstat().st_size <= _ERASED_BYTES_MAX:
                erase(path)
            else:
                path.unlink()
        for name in folders:
            Path(folder, name).rmdir()
    stage.rmdir()


# --- files -----------------------------------------------------------------------------------


def _unpack(
    source: Path, stage: Path, passphrase: str, on_progress: _Progress
) -> tuple[Label, int]:
    try:
        file = open_picked(source)
    except OSError as error:
        raise BackupError("read", f"{source} cannot be read: {error.strerror}") from error
    with file:
        whole = os.fstat(file.fileno()).st_size
        reader = StreamReader(file, passphrase)
        label, count, left = read_label(reader.read), 0, BACKUP_BYTES_MAX
        while True:
            place, size = read_entry(reader.read)
            if place == END:
                break
            count, left = count + 1, left - size
            if count > BACKUP_FILES_MAX or left < 0:
                raise BackupError("size", "this is more than one backup can hold")
            _unpack_file(reader, stage / place, size, lambda: on_progress(file.tell(), whole))
        reader.expect_end()
    if size != count:
        raise BackupError("damaged", "the backup lacks files: take another copy of it")
    for folder, _folders, _names in os.walk(stage, topdown=False):
        sync_folder(Path(folder))
    return label, count


def _unpack_file(
    reader: StreamReader, path: Path, size_bytes: int, on_progress: Callable[[], None]
) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A second file of one name would be a trick: each is made anew.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o600), "wb") as file:
        while size_bytes:
            data = reader.read(min(size_bytes, _READ_BYTES))
            file.write(data)
            size_bytes -= len(data)
            on_progress()
        file.flush()
        os.fsync(file.fileno())


def _move(stage: Path, home: Path) -> None:
    for name in DATABASES:
        path = stage / name
        if path.exists():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    sync_folder(stage)
    # Over an empty folder this is one step, too; over one that was filled meanwhile it fails.
    os.rename(stage, home)
    sync_folder(home.absolute().parent)


# --- what is inside --------------------------------------------------------------------------


async def _renewed(stage: Path, label: Label, runtime: Runtime) -> int:
    """Look the home through and make it a new author; return how many rows were over."""
    keys = open_keys(stage, runtime)
    vault = keys.open_vault()
    vault.lock()
    identity = load_identity(stage, vault)
    may_be_backed_up(keys, rights_untrusted(identity.badge_chain[0]).role)
    place = Home(stage)
    if identity.node != label.node or not place.store.exists():
        raise BackupError("damaged", "the backup holds another device than it says")
    return await _renew_store(place.store, identity.node, vault, runtime)


async def _renew_store(path: Path, own: NodeId, vault: Vault, runtime: Runtime) -> int:
    async with open_store(path, runtime, vault=vault) as store:
        await store.write(lambda tx: renewal.renew(tx, own, runtime.entropy))
        count = await _tidy(store, own, runtime)
        audit = Audit(store, runtime)
        audit.note("restored")
        await audit.flush()
        await store.compact()
        return count


async def _tidy(store: Store, own: NodeId, runtime: Runtime) -> int:
    """Drop what is over at this moment, keys and positions first; return how many rows went."""
    now_ms, ends = runtime.now_ms(), ShiftEnds(own, store, runtime, Metrics())

    def erase_keys(tx: Transaction) -> int:
        count = keyring.erase_ended(tx, now_ms) + network_keys.erase_old(tx, now_ms)
        ends.tidy(tx, now_ms)
        return count

    def drop(tx: Transaction) -> tuple[int, int]:
        chunks.expire(tx, now_ms)
        return (
            len(messages.expire_messages(tx, now_ms, _SLICE)),
            len(retention.expire(tx, now_ms, _SLICE)),
        )

    count = await store.write(erase_keys)
    while True:
        ended, dropped = await store.write(drop)
        count += dropped
        if _SLICE not in (ended, dropped):
            break
    return count + sum(each.row_count for each in await purge(store, now_ms))
