"""Where the value comes from that binds the keys to one device.

`DeviceSource` is what the keystore needs of it; `DeviceFile` keeps the value beside the keys,
which binds them to the disk and to nothing else. A platform with a hardware keystore brings a
source of its own. Source: security 2.10.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from meshnode.errors import KeystoreError
from meshnode.files import erase, write_private
from protocol.canonical import as_array, as_bytes, as_uint, decode_untrusted, encode
from protocol.errors import RemoteProtocolError

__all__ = ["DEVICE_VALUE_BYTES", "DeviceFile", "DeviceSource"]

DEVICE_VALUE_BYTES: Final = 32
_VERSION: Final = 1
_BYTES_MAX: Final = 64


class DeviceSource(Protocol):
    """Gives 32 bytes that another device does not have."""

    @property
    def is_hardware(self) -> bool:
        """True if the value cannot be copied with the files."""
        ...

    def create(self, fresh: bytes) -> None:
        """Keep a value, `fresh` or one of its own. Raises: OSError."""
        ...

    def read(self) -> bytes:
        """Return the value. Raises: KeystoreError."""
        ...

    def destroy(self) -> None:
        """Make the value unreadable for ever; again is nothing. Raises: OSError."""
        ...


class DeviceFile:
    """A value in a file that its owner alone can read."""

    is_hardware: Final = False
    """Whoever copies the disk has it: the agent's secret is the only wall then."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self, fresh: bytes) -> None:
        """Keep `fresh`. Raises: OSError."""
        write_private(self._path, encode([_VERSION, fresh]))

    def read(self) -> bytes:
        """Return the value. Raises: KeystoreError."""
        try:
            raw = self._path.read_bytes()
            record = as_array(decode_untrusted(raw, max_bytes=_BYTES_MAX), "device value", 2)
            as_uint(record[0], "version of the device value", _VERSION, _VERSION)
            return as_bytes(record[1], "device value", DEVICE_VALUE_BYTES)
        except (OSError, RemoteProtocolError) as error:
            raise KeystoreError(
                f"{self._path} is missing or damaged: enrol this device again"
            ) from error

    def destroy(self) -> None:
        """Erase the file. Raises: OSError."""
        erase(self._path)
