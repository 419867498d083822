"""Files outside the home that somebody named: read if they are files, written if they are new.

Nothing is overwritten, nothing but a plain file is opened, no last link is followed when writing.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

__all__ = ["open_picked", "write_new"]


def open_picked(path: Path) -> BinaryIO:
    """Return a file to read. Raises: OSError, also for a folder, a pipe or a device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def write_new(target: Path, name: str) -> tuple[Path, BinaryIO]:
    """Make a new file at `target`, or by `name` where that is a folder; only its owner reads it.

    `name` is a safe base name. Raises: OSError, FileExistsError where something is there.
    """
    path = target / name if target.is_dir() else target
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return path, open(os.open(path, flags, 0o600), "wb")
