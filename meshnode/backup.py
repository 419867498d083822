"""Writes a whole home into one sealed file, beside a running node or without one.

Databases are copied by themselves (`meshnode.store.snapshot`); other files are as before or wholly
new at any moment, so that reading them one by one is enough. Left out are sockets, locks, traces,
maps and halves of files. Agents have no backup: it would outlive a wipe. Source: decision 58.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshnode.backup_entries import END, Label, encode_entry
from meshnode.config import Settings
from meshnode.enrol import load_identity, open_keys
from meshnode.erasing import HomeState, is_agent_destroyed, state_of
from meshnode.errors import BackupError, HomeBusyError
from meshnode.files import make_private_folder, writing_private
from meshnode.home import Home
from meshnode.map_files import MAPS
from meshnode.remnant import RemnantFiles
from meshnode.runtime import Runtime
from meshnode.store.snapshot import take_snapshot
from meshnode.vault.keystore import KeyStore
from meshnode.vault.sealed_stream import MAGIC, StreamWriter, check_backup_passphrase
from meshnode.vault.vault import Vault
from meshnode.vault.wrapping import AgentCost
from protocol.identity import Role, rights_untrusted
from protocol.ids import NodeId

__all__ = ["DATABASES", "BackedUp", "may_be_backed_up", "write_backup"]

DATABASES: Final = ("store.sqlite", "archive.sqlite")
"""What is copied by the database itself; the second only where a gateway keeps it."""
_HEADS: Final = ("archive.head",)
"""What says how far a database had come: taken before it, or the copy would seem cut off."""
_WORK: Final = ".backup"
_BESIDE: Final = ("", "-wal", "-shm", "-journal")
_READ_BYTES: Final = 1 << 18
_CARRIED_BY_AGENTS: Final = frozenset({Role.AGENT, Role.LEADER})


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a backup came to."""

    node: NodeId
    """16 bytes."""
    made_ms: int
    """Unix milliseconds: what came later is not in it."""
    files: int
    """How many files of the home are in it."""
    bytes: int
    """Size of the sealed file."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """One file that goes in."""

    place: str
    """Path below the home, with forward slashes."""
    path: Path
    """Where it lies."""


def may_be_backed_up(keys: KeyStore, role: Role) -> None:
    """Refuse a device that is to be enrolled anew instead. Raises: BackupError."""
    if role in _CARRIED_BY_AGENTS:
        raise BackupError(
            "agent",
            "an agent's device has no backup, which would outlive a wipe: "
            "it is enrolled anew in two minutes",
        )
    if keys.is_hardware_bound:
        raise BackupError(
            "hardware", "the keys of this device never leave it: enrol another one in its place"
        )


def write_backup(
    home: Path,
    target: Path,
    passphrase: str,
    settings: Settings,
    runtime: Runtime,
    cost: AgentCost,
    on_progress: Callable[[int, int], None] = lambda _done, _whole: None,
) -> BackedUp:
    """Write the home into the sealed file `target`, which is as before or wholly new.

    `on_progress` hears bytes done and bytes in all. An older backup at `target` is replaced, any
    other file is not. Blocks; 30 MB/s on a small board.
    Raises: BackupError, HomeBusyError, EnrolmentError, KeystoreError, StoreError.
    """
    check_backup_passphrase(passphrase)
    vault = _checked(home, runtime)
    _refuse_target(home, target)
    node = load_identity(home, vault).node
    label = Label(node, runtime.now_ms())
    try:
        with _working(home) as work, writing_private(target) as file:
            pieces = [*_heads(home, work), *_snapshots(home, work), *_plain(home, settings)]
            writer = StreamWriter(file, passphrase, runtime.entropy, cost)
            writer.write(label.encode())
            count = _write_all(writer, pieces, on_progress)
            writer.write(encode_entry(END, count))
            writer.finish()
            # An order may have come meanwhile: nothing of the device is to outlive it.
            _checked(home, runtime)
            size_bytes = file.tell()
    except OSError as error:
        raise BackupError("write", f"{target} cannot be written: {error.strerror}") from error
    return BackedUp(node, label.made_ms, count, size_bytes)


def _checked(home: Path, runtime: Runtime) -> Vault:
    """Return the vault of a home that may be backed up. Raises: BackupError, KeystoreError."""
    is_wiped = state_of(home, runtime) is not HomeState.UNTOUCHED
    if is_wiped or is_agent_destroyed(home, runtime):
        raise BackupError("wiped", "this device was wiped: enrol it anew, nothing of it is kept")
    keys = open_keys(home, runtime)
    vault = keys.open_vault()
    vault.lock()
    identity = load_identity(home, vault)
    may_be_backed_up(keys, rights_untrusted(identity.badge_chain[0]).role)
    return vault


def _refuse_target(home: Path, target: Path) -> None:
    if home.resolve() in target.absolute().parent.resolve().joinpath(target.name).parents:
        raise BackupError("inside", "a backup inside the home is lost with it: write it elsewhere")
    try:
        if target.exists() and not (target.is_file() and _is_backup(target)):
            raise BackupError(
                "there", f"{target} is there already and no backup: take another name"
            )
    except OSError as error:
        raise BackupError("write", f"{target} cannot be written: {error.strerror}") from error


def _is_backup(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


@contextmanager
def _working(home: Path) -> Iterator[Path]:
    """Give an empty folder inside the home for copies; one backup at a time.

    What a power cut left there is taken away, and a wipe takes all of it.
    """
    folder = home / _WORK
    make_private_folder(folder)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _empty(folder)
        yield folder
        _empty(folder)
        folder.rmdir()
    except BlockingIOError as error:
        raise HomeBusyError(f"another backup of {home} is being written: wait for it") from error
    except BaseException:
        with suppress(OSError):
            _empty(folder)
            folder.rmdir()
        raise
    finally:
        os.close(descriptor)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def _heads(home: Path, work: Path) -> Iterator[_Piece]:
    for name in _HEADS:
        if (home / name).exists():
            (work / name).write_bytes((home / name).read_bytes())
            yield _Piece(name, work / name)


def _snapshots(home: Path, work: Path) -> Iterator[_Piece]:
    # The store first: what it gives to the archive meanwhile is in both copies, never in none.
    for name in DATABASES:
        if (home / name).exists():
            take_snapshot(home / name, work / name)
            yield _Piece(name, work / name)


def _plain(home: Path, settings: Settings) -> Iterator[_Piece]:
    left_out = {home / (name + end) for name in DATABASES for end in _BESIDE}
    left_out |= {home / name for name in _HEADS}
    left_out |= {home / MAPS, home / _WORK, Home(home).lock, RemnantFiles(home).folder}
    if settings.trace.file:
        trace = home / settings.trace.file
        left_out |= {trace, trace.with_name(f"{trace.name}.1")}
    for path in _files_below(home, left_out):
        yield _Piece(path.relative_to(home).as_posix(), path)


def _files_below(folder: Path, left_out: set[Path]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        is_half = path.name.startswith(".") and path.name.endswith((".new", ".old"))
        if path in left_out or is_half or path.is_symlink():
            continue
        if path.is_dir():
            yield from _files_below(path, left_out)
        elif path.is_file():
            yield path


def _write_all(
    writer: StreamWriter, pieces: list[_Piece], on_progress: Callable[[int, int], None]
) -> int:
    """Write every file that is still there; return how many were."""
    whole, done, count = sum(_size_of(each.path) for each in pieces), 0, 0
    for each in pieces:
        try:
            descriptor = os.open(each.path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            # A running node takes away what it needs no more.
            continue
        with open(descriptor, "rb") as file:
            left = os.fstat(descriptor).st_size
            writer.write(encode_entry(each.place, left))
            while left:
                # What a node appends meanwhile stays out: the size is told already.
                data = file.read(min(left, _READ_BYTES))
                if not data:
                    raise BackupError("changed", f"{each.place} was cut meanwhile: try again")
                writer.write(data)
                left -= len(data)
                done += len(data)
                on_progress(done, whole)
        count += 1
    return count


def _size_of(path: Path) -> int:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
