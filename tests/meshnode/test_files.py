"""Private files: whole, or as they were."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from meshnode.files import (
    erase,
    finish_replacing,
    make_private_folder,
    replace_erasing,
    write_private,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "a" / "b")
    assert mode(tmp_path / "a" / "b") == 0o700
    path = tmp_path / "a" / "b" / "key"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert mode(path) == 0o600
    make_private_folder(tmp_path / "a" / "b")
    assert os.listdir(tmp_path / "a" / "b") == ["key"]


def test_a_leftover_of_a_power_cut_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / ".key.new").write_bytes(b"half a longer file")
    (tmp_path / ".key.new").chmod(0o644)
    write_private(tmp_path / "key", b"whole")
    assert (tmp_path / "key").read_bytes() == b"whole"
    assert mode(tmp_path / "key") == 0o600


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    write_private(path, b"old")
    for step in ("fsync", "replace"):

        def fail(*_: object) -> None:
            raise OSError("the disk is gone")

        with monkeypatch.context() as patch:
            patch.setattr(f"meshnode.files.os.{step}", fail)
            with pytest.raises(OSError, match="the disk is gone"):
                write_private(path, b"new")
        assert path.read_bytes() == b"old"


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"safe")
    (tmp_path / ".key.new").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError):
        write_private(tmp_path / "key", b"new")
    assert (tmp_path / "victim").read_bytes() == b"safe"


def test_what_is_erased_is_overwritten_first(tmp_path: Path) -> None:
    path, same_blocks = tmp_path / "key", tmp_path / "same blocks"
    path.write_bytes(b"secret")
    same_blocks.hardlink_to(path)
    erase(path)
    erase(path)
    assert not path.exists()
    assert same_blocks.read_bytes() == bytes(6)


def test_a_link_is_not_followed_to_erase_something_else(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    (tmp_path / "key").symlink_to(other)
    with pytest.raises(OSError, match="key"):
        erase(tmp_path / "key")
    assert other.read_bytes() == b"precious"


def test_what_is_replaced_is_overwritten(tmp_path: Path) -> None:
    path, same_blocks = tmp_path / "key", tmp_path / "same blocks"
    replace_erasing(path, b"old")
    same_blocks.hardlink_to(path)
    replace_erasing(path, b"new")
    finish_replacing(path)
    assert path.read_bytes() == b"new"
    assert same_blocks.read_bytes() == bytes(3)
    assert mode(path) == 0o600
    assert {each.name for each in tmp_path.iterdir()} == {"key", "same blocks"}


def test_a_replacement_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    path, old = tmp_path / "key", tmp_path / ".key.old"
    path.write_bytes(b"old")
    old.hardlink_to(path)
    finish_replacing(path)
    assert path.read_bytes() == b"old"
    assert not old.exists()
    old.write_bytes(b"older")
    (tmp_path / ".key.new").write_bytes(b"half")
    finish_replacing(path)
    assert [each.name for each in tmp_path.iterdir()] == ["key"]
