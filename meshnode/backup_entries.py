"""What is inside a backup: the files of a home, one after another.

The stream begins with `[1, node 16, made_ms]`, behind its length in 4 bytes; then for each
file `[place, size]` behind its length, and the file; at the end `["", count]`. A place is a path
below the home with forward slashes. Nothing here seals, and nothing knows what the files hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from meshnode.errors import BackupError
from protocol.canonical import Value, as_array, as_bytes, as_uint, decode_untrusted, encode
from protocol.errors import RemoteProtocolError
from protocol.guards import (
    BACKUP_BYTES_MAX,
    BACKUP_DEPTH_MAX,
    BACKUP_FILES_MAX,
    BACKUP_NAME_BYTES_MAX,
)
from protocol.ids import NodeId

__all__ = ["END", "Label", "encode_entry", "read_entry", "read_label"]

END: Final = ""
"""The place of the entry that ends a backup; its size is the number of files."""
_VERSION: Final = 1
_LENGTH_BYTES: Final = 4
_RECORD_BYTES_MAX: Final = BACKUP_NAME_BYTES_MAX + 64
_EVER_MS: Final = 1 << 48
_NODE_BYTES: Final = 16

_Read = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Label:
    """Whose home it is, and of when."""

    node: NodeId
    """16 bytes."""
    made_ms: int
    """Unix milliseconds, by the clock of the device."""

    def encode(self) -> bytes:
        """Return the first record of the stream."""
        return _framed([_VERSION, self.node, self.made_ms])


def read_label(read: _Read) -> Label:
    """Read the first record; `read` gives exactly as many bytes as asked. Raises: BackupError."""
    try:
        record = as_array(_record(read), "label", 3)
        as_uint(record[0], "version of the label", _VERSION, _VERSION)
        node = as_bytes(record[1], "device", _NODE_BYTES)
        return Label(node, as_uint(record[2], "time", _EVER_MS))
    except RemoteProtocolError as error:
        raise _unfit() from error


def encode_entry(place: str, size_bytes: int) -> bytes:
    """Return the record before a file. Raises: BackupError for a place that nobody would take."""
    if place != END:
        _check_place(place)
    return _framed([place.encode(), size_bytes])


def read_entry(read: _Read) -> tuple[str, int]:
    """Read the next record: place below the home and bytes; or `END` and the number of files.

    A place leads nowhere but below the home: no part of it is empty, `.` or `..`.
    Raises: BackupError.
    """
    try:
        record = as_array(_record(read), "entry", 2)
        place = as_bytes(record[0], "place", BACKUP_NAME_BYTES_MAX, 0).decode()
        bound = BACKUP_FILES_MAX if place == END else BACKUP_BYTES_MAX
        size = as_uint(record[1], "size", bound)
    except (RemoteProtocolError, UnicodeDecodeError) as error:
        raise _unfit() from error
    if place != END:
        _check_place(place)
    return place, size


def _check_place(place: str) -> None:
    parts = place.split("/")
    is_bad = any(part in ("", ".", "..") or "\0" in part for part in parts)
    if is_bad or len(parts) > BACKUP_DEPTH_MAX or PurePosixPath(place).is_absolute():
        raise _unfit()


def _framed(record: list[Value]) -> bytes:
    raw = encode(record)
    if len(raw) > _RECORD_BYTES_MAX:
        raise _unfit()
    return len(raw).to_bytes(_LENGTH_BYTES, "big") + raw


def _record(read: _Read) -> Value:
    length = int.from_bytes(read(_LENGTH_BYTES), "big")
    if length > _RECORD_BYTES_MAX:
        raise _unfit()
    return decode_untrusted(read(length), max_bytes=_RECORD_BYTES_MAX)


def _unfit() -> BackupError:
    return BackupError(
        "unfit", "the backup holds what no home has: it was written by another program"
    )
