"""The folder of a node: private, and held by one process at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from meshnode.errors import HomeBusyError, HomeError
from meshnode.home import Home, locked


def test_the_names_of_its_files(tmp_path: Path) -> None:
    home = Home(tmp_path)
    names = {home.store.name, home.lock.name, home.control_socket.name}
    assert names == {"store.sqlite", "lock", "control.sock"}


def test_a_home_is_held_by_one_and_says_by_whom(tmp_path: Path) -> None:
    home = Home(tmp_path / "new" / "home")
    with locked(home):
        assert home.folder.stat().st_mode & 0o777 == 0o700
        assert home.lock.stat().st_mode & 0o777 == 0o600
        assert home.lock.read_text().strip() == str(os.getpid())
        with pytest.raises(HomeBusyError, match=f"in use by process {os.getpid()}"), locked(home):
            pass
        # The refused one has not taken the name of the holder away.
        assert home.lock.read_text().strip() == str(os.getpid())
    with locked(home):
        pass


def test_a_lock_that_a_dead_process_left_is_taken(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.lock.write_text("999999999 and a longer name than ours\n")
    with locked(home):
        assert home.lock.read_text() == f"{os.getpid()}\n"


def test_an_unreadable_holder_is_unknown(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with locked(home):
        home.lock.write_bytes(b"")
        with pytest.raises(HomeBusyError, match="unknown"), locked(home):
            pass


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "home"):
        with pytest.raises(HomeError, match="cannot be used"), locked(Home(folder)):
            pass
