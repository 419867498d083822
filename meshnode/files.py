"""Files that are either as before or wholly new, readable by their owner alone.

A power cut at any moment leaves one of the two. Nothing here knows what the files hold.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["make_private_folder", "sync_folder", "write_carried", "write_private"]


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
