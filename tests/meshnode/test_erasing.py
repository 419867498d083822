"""What a wipe takes away from a home, and what it finds again after a power cut."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from meshnode.erasing import (
    HomeState,
    destroy_agent,
    destroy_device,
    finish,
    is_agent_destroyed,
    refuse_wiped,
    state_of,
    sweep,
)
from meshnode.errors import WipedError
from meshnode.files import erase, write_private
from meshnode.home import Home, locked
from meshnode.remnant import RemnantFiles
from meshnode.vault.keystore import KeyStore
from tests.meshnode.vault.parts import SECRET, Clock, make

RUNTIME = Clock().runtime
AGENT_FILES = ("keys/badge.pem", "keys/badge.sealed", "keys/tier1", "enrolment/pending")
DEVICE_FILES = ("keys/link.pem", "keys/tier0", "keys/device", "identity/root", "identity/binding")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with keys, an identity, a store, and what else may lie there."""
    folder = tmp_path / "home"
    make(folder)
    for name in (*AGENT_FILES, *DEVICE_FILES, "store.sqlite", "store.sqlite-wal", "meshnode.toml"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            write_private(path, name.encode() * 50)
    return folder


def present(home: Path, names: tuple[str, ...]) -> set[str]:
    """Return which of these files are there."""
    return {name for name in names if (home / name).exists()}


def test_the_agents_files_go_alone(home: Path) -> None:
    destroy_agent(home, RUNTIME)
    destroy_agent(home, RUNTIME)
    assert present(home, AGENT_FILES) == set()
    assert present(home, DEVICE_FILES) == set(DEVICE_FILES)
    assert is_agent_destroyed(home, RUNTIME)
    assert state_of(home, RUNTIME) is HomeState.UNTOUCHED
    with pytest.raises(WipedError):
        KeyStore.open(home, RUNTIME).agent_master(SECRET)


def test_the_devices_files_take_the_agents_along(home: Path) -> None:
    destroy_device(home, RUNTIME)
    destroy_device(home, RUNTIME)
    assert present(home, (*AGENT_FILES, *DEVICE_FILES)) == set()
    assert state_of(home, RUNTIME) is HomeState.OVER


def test_a_home_that_is_untouched_stays_so(home: Path) -> None:
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    refuse_wiped(home, RUNTIME)
    assert finish(home, RUNTIME) is HomeState.UNTOUCHED
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_everything_else_goes_whatever_it_is(home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("not of this home")
    (home / "link").symlink_to(outside)
    (home / "folder").mkdir()
    (home / "folder" / "also").symlink_to(tmp_path)
    (home / "folder" / "dry").write_text("x")
    (home / "folder" / "dry").chmod(0o400)
    os.mkfifo(home / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "control.sock"))
        with locked(Home(home)):
            destroy_device(home, RUNTIME)
            sweep(home)
    left = {str(path.relative_to(home)) for path in home.rglob("*")}
    assert left == {"keys", "keys/wiped", "lock"}
    assert outside.read_text() == "not of this home"


def test_the_remnant_stays_while_its_record_is_there(home: Path) -> None:
    files = RemnantFiles(home)
    files.folder.mkdir()
    for path in (files.link_key, files.link_chain, files.folder / ".record.new"):
        path.write_bytes(b"x")
    assert state_of(home, RUNTIME) is HomeState.UNTOUCHED, "half a remnant is none"
    files.record.write_bytes(b"x")
    assert state_of(home, RUNTIME) is HomeState.BEGUN
    with pytest.raises(WipedError):
        refuse_wiped(home, RUNTIME)
    assert state_of(home, RUNTIME) is HomeState.REMNANT
    left = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    kept = {"remnant/record", "remnant/link.pem", "remnant/link-chain.pem"}
    assert left == {"keys/wiped", "lock", *kept}
    files.erase()
    assert finish(home, RUNTIME) is HomeState.OVER
    assert not files.folder.exists()


def test_whoever_holds_the_home_finishes_it(home: Path) -> None:
    destroy_device(home, RUNTIME)
    with locked(Home(home)):
        with pytest.raises(WipedError):
            refuse_wiped(home, RUNTIME)
        assert (home / "store.sqlite").exists()
    with pytest.raises(WipedError):
        refuse_wiped(home, RUNTIME)
    assert not (home / "store.sqlite").exists()


def test_a_large_file_is_overwritten_in_parts(tmp_path: Path) -> None:
    path, other = tmp_path / "large", tmp_path / "other name"
    path.write_bytes(b"secret" * 400_000)
    other.hardlink_to(path)
    erase(path)
    assert not path.exists()
    assert other.read_bytes() == bytes(2_400_000)
