"""Counts wrong secrets, and makes the next one wait; the count survives a restart.

It slows down whoever sits in front of the device. Whoever has copied its files is slowed down by
the cost of each guess alone. Source: security 2.10.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshnode.errors import SecretDelayedError
from meshnode.files import erase, write_private
from protocol.canonical import as_array, as_uint, decode_untrusted, encode
from protocol.errors import RemoteProtocolError
from protocol.guards import SECRET_DELAY_MS, SECRET_DELAY_MS_MAX, SECRET_TRIES_FREE

__all__ = ["Tries", "delay_ms"]

_VERSION: Final = 1
_COUNT_MAX: Final = 1_000_000
_BYTES_MAX: Final = 64


def delay_ms(failed: int) -> int:
    """Return how long to wait after `failed` wrong secrets in a row, milliseconds."""
    beyond = failed - SECRET_TRIES_FREE
    if beyond < 0:
        return 0
    return int(min(SECRET_DELAY_MS_MAX, SECRET_DELAY_MS << min(beyond, 40)))


@dataclass(frozen=True, slots=True)
class Tries:
    """The file that counts."""

    path: Path
    """Gone while nothing is counted."""

    @property
    def failed(self) -> int:
        """Wrong secrets since the last right one."""
        return self._read()[0]

    def wait_ms(self, now_ms: int) -> int:
        """Return how long the next secret has to wait, milliseconds."""
        failed, last_ms = self._read()
        # A clock that was set back must not make anybody wait longer than the delay itself.
        return min(delay_ms(failed), max(0, last_ms + delay_ms(failed) - now_ms))

    def begin(self, now_ms: int) -> None:
        """Count a try before it is made: a process killed meanwhile has made it.

        Raises: SecretDelayedError if it comes too soon; OSError.
        """
        failed, last_ms = self._read()
        wait = self.wait_ms(now_ms)
        if wait:
            if now_ms < last_ms:
                self._write(failed, now_ms)
            raise SecretDelayedError(wait)
        self._write(failed + 1, now_ms)

    def succeeded(self) -> None:
        """Forget what was counted. Raises: OSError."""
        erase(self.path)

    def _write(self, failed: int, at_ms: int) -> None:
        write_private(self.path, encode([_VERSION, min(failed, _COUNT_MAX), at_ms]))

    def _read(self) -> tuple[int, int]:
        try:
            record = as_array(
                decode_untrusted(self.path.read_bytes(), max_bytes=_BYTES_MAX), "tries", 3
            )
            as_uint(record[0], "version of the tries", _VERSION, _VERSION)
            return as_uint(record[1], "tries", _COUNT_MAX), as_uint(record[2], "time of a try")
        except FileNotFoundError:
            return 0, 0
        except RemoteProtocolError:
            # Whoever can damage the file can also take it away: nothing is won by refusing.
            return 0, 0
