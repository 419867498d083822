"""The value that stands in for a hardware keystore."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshnode.errors import KeystoreError
from meshnode.vault.device import DeviceFile


def test_the_value_is_kept_private_and_gone_when_destroyed(tmp_path: Path) -> None:
    path = tmp_path / "device"
    source = DeviceFile(path)
    assert not source.is_hardware
    source.create(b"v" * 32)
    assert source.read() == b"v" * 32
    assert path.stat().st_mode & 0o777 == 0o600
    for _ in range(2):
        source.destroy()
        with pytest.raises(KeystoreError, match="missing"):
            source.read()


@pytest.mark.parametrize("raw", [b"", b"\x92\x01\xc4\x01a", b"\x92\x02\xc4\x20" + b"v" * 32])
def test_a_damaged_value_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "device").write_bytes(raw)
    with pytest.raises(KeystoreError, match="damaged"):
        DeviceFile(tmp_path / "device").read()
