"""The knocks that were let through, in a file: a knock recorded on the air opens nothing after a
restart either.

A record is 4 bytes of epoch and 16 of the knock; the highest bit of the epoch says instead that
everything up to it was forgotten. Records go to the kernel, not to the disk: they outlive the
process, and a power cut may lose the last ones. Nothing here is secret. Source: wire-format 6.13.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

from meshnode.files import write_private
from protocol.guards import KNOCKS_KEPT_MAX
from protocol.knock import NONCE_BYTES, KnocksTaken

__all__ = ["KnockJournal"]

_RECORD_BYTES: Final = 4 + NONCE_BYTES
_RECORDS_MAX: Final = 2 * KNOCKS_KEPT_MAX
_FORGOTTEN: Final = 1 << 31


class KnockJournal:
    """One file; its calls block for some microseconds, `load` and `rewrite` for milliseconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records = 0
        # Appending and rewriting happen in worker threads.
        self._lock = threading.Lock()

    def load(self) -> KnocksTaken:
        """Return what the file holds; what is cut off at its end is left out. Raises: OSError."""
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            raw = b""
        self._records = len(raw) // _RECORD_BYTES
        taken, forgotten_upto = list[tuple[int, bytes]](), -1
        for start in range(0, self._records * _RECORD_BYTES, _RECORD_BYTES):
            epoch = int.from_bytes(raw[start : start + 4], "big")
            if epoch & _FORGOTTEN:
                forgotten_upto = max(forgotten_upto, epoch ^ _FORGOTTEN)
            else:
                taken.append((epoch, raw[start + 4 : start + _RECORD_BYTES]))
        if len(raw) % _RECORD_BYTES:
            self.rewrite(KnocksTaken(forgotten_upto, tuple(taken)))
        return KnocksTaken(forgotten_upto, tuple(taken))

    @property
    def is_long(self) -> bool:
        """True if the file holds far more than is remembered: `rewrite` it."""
        return self._records >= _RECORDS_MAX

    def append(self, epoch: int, nonce: bytes) -> None:
        """Note one knock. Raises: OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        with self._lock:
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.write(descriptor, epoch.to_bytes(4, "big") + nonce)
            finally:
                os.close(descriptor)
            self._records += 1

    def rewrite(self, taken: KnocksTaken) -> None:
        """Hold exactly this. Raises: OSError."""
        records = [epoch.to_bytes(4, "big") + nonce for epoch, nonce in taken.knocks]
        if taken.forgotten_upto >= 0:
            marker = (taken.forgotten_upto | _FORGOTTEN).to_bytes(4, "big")
            records.insert(0, marker + bytes(NONCE_BYTES))
        with self._lock:
            write_private(self._path, b"".join(records))
            self._records = len(records)
