"""The folder of a node: where its files are, and the lock that one process holds on it.

Whoever opens the store holds the lock, a running node or a single command. Source: decision 7.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from meshnode.errors import HomeBusyError, HomeError
from meshnode.files import make_private_folder

__all__ = ["BUSY_STEP_S", "BUSY_S_MAX", "Home", "locked"]

BUSY_S_MAX = 10.0
"""A home is waited for this long: a command may hold it for a moment, or a node be starting."""
BUSY_STEP_S = 0.1
"""Between two tries to take it."""


@dataclass(frozen=True, slots=True)
class Home:
    """Names of the files of one node."""

    folder: Path
    """The option --home, or ~/.meshnode."""

    @property
    def store(self) -> Path:
        """The database."""
        return self.folder / "store.sqlite"

    @property
    def lock(self) -> Path:
        """Held by whoever has the store open; holds the number of that process."""
        return self.folder / "lock"

    @property
    def knocks(self) -> Path:
        """Which knocks were let through: none opens a second time, after a restart either."""
        return self.folder / "knocks"

    @property
    def lease(self) -> Path:
        """What time it is at least, for the lease."""
        return self.folder / "lease"

    @property
    def tak(self) -> Path:
        """What the bridge to a TAK server has told; identifiers alone."""
        return self.folder / "tak.json"

    @property
    def archive_key(self) -> Path:
        """The key of the archive that this node keeps; there is an archive where it is."""
        return self.folder / "archive.key"

    @property
    def archive_head(self) -> Path:
        """Where the purge log of the archive ended when this node saw it last."""
        return self.folder / "archive.head"

    @property
    def archive(self) -> Path:
        """The archive, where it lies in SQLite."""
        return self.folder / "archive.sqlite"

    @property
    def control_socket(self) -> Path:
        """Where a running node takes commands."""
        return self.folder / "control.sock"


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Hold the home alone until the block is left. Raises: HomeBusyError, HomeError."""
    try:
        make_private_folder(home.folder)
        descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise HomeError(f"{home.folder} cannot be used: {error.strerror}") from error
    with open(descriptor, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = file.read(32).decode("ascii", "replace").strip() or "unknown"
            raise HomeBusyError(
                f"{home.folder} is in use by process {holder}: stop it, or take another --home"
            ) from error
        with suppress(OSError):
            # For people alone: a disk that is full must not keep a wipe from the home.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
