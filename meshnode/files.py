"""Files that are either as before or wholly new, readable by their owner alone.

A power cut at any moment leaves one of the two. Nothing here knows what the files hold.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = [
    "do_all",
    "empty",
    "erase",
    "finish_replacing",
    "make_private_folder",
    "replace_erasing",
    "sync_folder",
    "write_carried",
    "write_private",
    "writing_private",
]

_ERASED_BYTES = 1 << 20
"""Overwritten at a time."""


def write_private(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, mode 0600; on return it is on the disk. Raises: OSError."""
    _replace(path, data, is_carried=False)


def write_carried(path: Path, data: bytes) -> None:
    """As `write_private`, on a stick that may know no modes; `data` protects itself."""
    _replace(path, data, is_carried=True)


def _replace(path: Path, data: bytes, *, is_carried: bool) -> None:
    fresh = path.with_name(f".{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    descriptor = os.open(fresh, flags, 0o600)
    with open(descriptor, "wb") as file:
        if not is_carried:
            os.fchmod(descriptor, 0o600)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    os.replace(fresh, path)
    sync_folder(path.parent)


@contextmanager
def writing_private(path: Path) -> Iterator[BinaryIO]:
    """Give a file, mode 0600, that becomes `path` once the block is left without an error.

    It is on the disk then; else `path` is as before, and nothing else is left. Raises: OSError.
    """
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.absolute().parent)


def make_private_folder(path: Path) -> None:
    """Make `path`, mode 0700, if it is not there. Raises: OSError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk. Raises: OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def do_all(works: Iterable[Callable[[], object]]) -> None:
    """Do every one of `works`, whatever fails on the way. Raises: OSError, the first that came."""
    failures: list[OSError] = []
    for work in works:
        try:
            work()
        except OSError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def erase(path: Path) -> None:
    """Overwrite what `path` holds, then take its name away; nothing to do if it is not there.

    Flash memory may keep the old blocks all the same: what is erased so must be worth nothing
    without a further key. What cannot be overwritten loses its name all the same, and is told.
    It needs no room on the disk. Raises: OSError.
    """

    def forget() -> None:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)

    if os.path.lexists(path):
        do_all([lambda: _overwrite(path), forget])


def empty(path: Path) -> None:
    """Overwrite what `path` holds and leave an empty file of its name. Raises: OSError."""
    do_all([lambda: _overwrite(path), lambda: os.truncate(path, 0)])


def _overwrite(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    with open(descriptor, "wb", buffering=0) as file:
        size_bytes = os.fstat(descriptor).st_size
        file.writelines(
            bytes(min(_ERASED_BYTES, size_bytes - start))
            for start in range(0, size_bytes, _ERASED_BYTES)
        )
        os.fsync(descriptor)


def replace_erasing(path: Path, data: bytes) -> None:
    """Replace `path` by `data` as `write_private` does, and overwrite what it held before.

    A power cut at any moment leaves the old or the new content under `path`; `finish_replacing`
    then does what was left to do. Raises: OSError.
    """
    finish_replacing(path)
    old = _old_name(path)
    if path.exists():
        os.link(path, old)
        sync_folder(path.parent)
    write_private(path, data)
    erase(old)


def finish_replacing(path: Path) -> None:
    """Finish a `replace_erasing` that a power cut ended. Raises: OSError."""
    old = _old_name(path)
    if old.exists():
        if path.exists() and old.samefile(path):
            # The new content never came: the second name goes, what it names stays.
            old.unlink()
            sync_folder(path.parent)
        else:
            erase(old)
    erase(path.with_name(f".{path.name}.new"))


def _old_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")
