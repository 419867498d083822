"""What is on the disk of a machine at the moment at which its power goes, to the byte.

A commit that was reported is on the disk. Of one that was under way any part may be: then SQLite
finds a wrong checksum in its log, and goes back to the commit before. Source: SQLite, "Write-Ahead
Log Format" (file format section 4).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sims.draws import Draw

__all__ = ["DiskImage", "committed_end", "freeze", "scratch", "thaw", "torn"]

_LOG_HEAD_BYTES: Final = 32
_FRAME_HEAD_BYTES: Final = 24
_TEARS_MAX: Final = 8
"""Sectors that are turned to noise in a torn commit, at most."""
_SECTOR_BYTES: Final = 512
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - every use makes a folder of its own
_SCRATCH_BYTES: Final = 1 << 30
"""Free memory from which on a run keeps the stores of its nodes there."""


@dataclass(frozen=True, slots=True)
class DiskImage:
    """The files of one store."""

    database: bytes
    """Pages up to the last checkpoint."""
    log: bytes
    """Commits since then; empty if there is none."""


def scratch(free_bytes: int = _SCRATCH_BYTES) -> Path | None:
    """Return where to put files that need not outlive this machine; None for the usual place.

    Memory where Linux lends it, and so much is free: a simulated crash ends a process, never the
    machine, so waiting for a disk at every commit would tell nothing.
    """
    try:
        is_roomy = shutil.disk_usage(_MEMORY).free >= free_bytes
    except OSError:
        return None
    return _MEMORY if is_roomy and os.access(_MEMORY, os.W_OK | os.X_OK) else None


def freeze(path: Path) -> DiskImage:
    """Return what the files of the store at `path` hold now."""
    log = _log_of(path)
    return DiskImage(path.read_bytes(), log.read_bytes() if log.exists() else b"")


def thaw(path: Path, image: DiskImage) -> None:
    """Put the files of a store back, as a machine finds them when it starts."""
    for old in (_log_of(path), path.with_name(path.name + "-shm")):
        old.unlink(missing_ok=True)
    path.write_bytes(image.database)
    if image.log:
        _log_of(path).write_bytes(image.log)


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def committed_end(log: bytes) -> tuple[bytes, int]:
    """Return the salts of a log and where its last commit ends, bytes from its begin.

    Frames of earlier rounds behind it have other salts. A log without commit ends after its head.
    """
    if len(log) < _LOG_HEAD_BYTES:
        return b"", 0
    page_bytes = int.from_bytes(log[8:12], "big")
    salts, end = log[16:24], _LOG_HEAD_BYTES
    step = _FRAME_HEAD_BYTES + page_bytes
    for start in range(_LOG_HEAD_BYTES, len(log) - step + 1, step):
        head = log[start : start + _FRAME_HEAD_BYTES]
        if head[8:16] != salts:
            break
        if any(head[4:8]):
            end = start + step
    return salts, end


def torn(before: DiskImage, after: DiskImage, draw: Draw) -> DiskImage | None:
    """Return `after` with the commits since `before` torn; None if nothing can be torn.

    The log is cut short, or some of its sectors are noise. Where the commit was already copied
    into the database its log had reached the disk before, so there is nothing to tear.
    """
    salts_before, end_before = committed_end(before.log)
    salts, end = committed_end(after.log)
    if after.database != before.database:
        return None
    start = end_before if salts == salts_before else _LOG_HEAD_BYTES
    if end <= start:
        return None
    if draw.chance(0.5):
        return DiskImage(after.database, after.log[: draw.whole(start, end - 1)])
    log = bytearray(after.log)
    for _ in range(draw.whole(1, _TEARS_MAX)):
        at = draw.whole(start, end - 1)
        size = min(_SECTOR_BYTES, end - at)
        noise = draw.data(size)
        # At least one bit differs, whatever was drawn.
        log[at : at + size] = bytes(((noise[0] | 1) ^ log[at], *noise[1:]))
    return DiskImage(after.database, bytes(log))
