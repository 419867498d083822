"""The files of keys in a home: made, opened, changed, destroyed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from meshnode.errors import (
    KeystoreError,
    LockedError,
    SecretDelayedError,
    WipedError,
    WrongSecretError,
)
from meshnode.files import write_private
from meshnode.vault.keystore import KeyStore
from meshnode.vault.kinds import DataKind, Tier
from protocol.guards import SECRET_TRIES_FREE
from tests.meshnode.vault.parts import CHEAP, OTHER, SECRET, Clock, make


def reopened(home: Path, clock: Clock | None = None) -> KeyStore:
    return KeyStore.open(home, (clock or Clock()).runtime)


def test_a_device_with_a_secret_starts_locked(tmp_path: Path) -> None:
    make(tmp_path)
    keys = reopened(tmp_path)
    assert not keys.is_unattended
    assert not keys.is_hardware_bound
    vault = keys.open_vault()
    assert vault.is_locked
    with pytest.raises(LockedError):
        vault.make_key(DataKind.MESSAGE, 1)
    vault.unlock(keys.agent_master(SECRET))
    assert vault.make_key(DataKind.MESSAGE, 1)


def test_an_unattended_device_starts_open(tmp_path: Path) -> None:
    make(tmp_path, None)
    keys = reopened(tmp_path)
    assert keys.is_unattended
    assert not keys.open_vault().is_locked
    assert keys.agent_master(None) == keys.agent_master("anything")


def test_the_keys_are_the_same_after_a_restart(tmp_path: Path) -> None:
    vault = make(tmp_path).open_vault()
    assert reopened(tmp_path).open_vault().derive(Tier.DEVICE, b"x") == vault.derive(
        Tier.DEVICE, b"x"
    )
    assert reopened(tmp_path).agent_master(SECRET) == reopened(tmp_path).agent_master(SECRET)


def test_two_devices_have_different_keys(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one"), make(tmp_path / "two")
    assert one.agent_master(SECRET) != two.agent_master(SECRET)
    assert one.open_vault().derive(Tier.DEVICE, b"x") != two.open_vault().derive(Tier.DEVICE, b"x")


def test_every_file_is_private(tmp_path: Path) -> None:
    with pytest.raises(WrongSecretError):
        make(tmp_path).agent_master(OTHER)
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {
        "device",
        "tier0",
        "tier1",
        "tries",
    }
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_keys_are_made_once_and_with_a_good_secret(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match="12 characters"):
        make(tmp_path, "too short")
    assert not KeyStore.exists(tmp_path)
    with pytest.raises(KeystoreError, match="enrol"):
        reopened(tmp_path)
    make(tmp_path)
    with pytest.raises(KeystoreError, match="already"):
        make(tmp_path)


def test_wrong_secrets_are_counted_over_restarts(tmp_path: Path) -> None:
    clock = Clock()
    make(tmp_path, clock=clock)
    for count in range(SECRET_TRIES_FREE):
        assert reopened(tmp_path, clock).failed_tries == count
        with pytest.raises(WrongSecretError):
            reopened(tmp_path, clock).agent_master(OTHER)
    with pytest.raises(SecretDelayedError):
        reopened(tmp_path, clock).agent_master(SECRET)
    clock.now_ms += 1_000
    assert reopened(tmp_path, clock).agent_master(SECRET)
    assert reopened(tmp_path, clock).failed_tries == 0


def test_changing_the_secret_keeps_the_key(tmp_path: Path) -> None:
    keys = make(tmp_path)
    before = keys.agent_master(SECRET)
    keys.change_secret(SECRET, OTHER, cost=CHEAP)
    assert reopened(tmp_path).agent_master(OTHER) == before
    with pytest.raises(WrongSecretError):
        reopened(tmp_path).agent_master(SECRET)
    with pytest.raises(WrongSecretError):
        keys.change_secret(SECRET, "another good secret", cost=CHEAP)
    with pytest.raises(KeystoreError):
        keys.change_secret(OTHER, "short", cost=CHEAP)
    assert reopened(tmp_path).agent_master(OTHER) == before


def test_a_device_may_become_unattended_and_back(tmp_path: Path) -> None:
    keys = make(tmp_path)
    before = keys.agent_master(SECRET)
    keys.change_secret(SECRET, None)
    assert reopened(tmp_path).is_unattended
    assert reopened(tmp_path).agent_master(None) == before
    keys.change_secret(None, OTHER, cost=CHEAP)
    assert not reopened(tmp_path).is_unattended
    assert reopened(tmp_path).agent_master(OTHER) == before


def test_the_old_file_is_overwritten(tmp_path: Path) -> None:
    keys = make(tmp_path)
    old = tmp_path / "keys" / "tier1"
    kept = tmp_path / "same blocks"
    kept.hardlink_to(old)
    before = kept.read_bytes()
    keys.change_secret(SECRET, OTHER, cost=CHEAP)
    assert kept.read_bytes() == bytes(len(before))
    assert old.read_bytes() != before


def test_destroying_the_agents_tier_leaves_the_device(tmp_path: Path) -> None:
    keys = make(tmp_path)
    same_blocks = tmp_path / "same blocks"
    same_blocks.hardlink_to(tmp_path / "keys" / "tier1")
    assert not keys.is_wiped
    for each in (keys, reopened(tmp_path), reopened(tmp_path)):
        each.destroy(Tier.AGENT)
        assert each.is_wiped
        assert not each.is_destroyed(Tier.DEVICE)
        assert each.open_vault().is_locked
        with pytest.raises(WipedError):
            each.agent_master(SECRET)
        with pytest.raises(WipedError):
            each.change_secret(SECRET, OTHER)
    assert set(same_blocks.read_bytes()) == {0}
    assert not KeyStore.exists(tmp_path)


@pytest.mark.parametrize("secret", [SECRET, None])
def test_destroying_the_devices_tier_leaves_nothing(tmp_path: Path, secret: str | None) -> None:
    make(tmp_path, secret).destroy(Tier.DEVICE)
    keys = reopened(tmp_path)
    assert keys.is_wiped
    assert keys.is_destroyed(Tier.DEVICE)
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["wiped"]
    with pytest.raises(WipedError):
        keys.open_vault()
    with pytest.raises(WipedError):
        keys.agent_master(secret)
    with pytest.raises(WipedError):
        make(tmp_path, secret)


@pytest.mark.parametrize("name", ["tier0", "tier1", "device"])
def test_a_damaged_or_missing_file_is_told(tmp_path: Path, name: str) -> None:
    make(tmp_path)
    path = tmp_path / "keys" / name
    path.write_bytes(b"damaged")

    def use() -> None:
        keys = reopened(tmp_path)
        keys.open_vault()
        keys.agent_master(SECRET)

    with pytest.raises(KeystoreError, match="damaged"):
        use()
    path.unlink()
    with pytest.raises(KeystoreError):
        use()


def test_a_damaged_note_of_destruction_is_no_way_back(tmp_path: Path) -> None:
    keys = make(tmp_path)
    keys.destroy(Tier.AGENT)
    (tmp_path / "keys" / "wiped").write_bytes(b"damaged")
    with pytest.raises(KeystoreError, match="new home"):
        reopened(tmp_path)


def test_a_copy_of_the_files_without_the_device_value_is_worth_nothing(tmp_path: Path) -> None:
    make(tmp_path / "one")
    make(tmp_path / "two")
    for name in ("tier0", "tier1"):
        raw = (tmp_path / "one" / "keys" / name).read_bytes()
        (tmp_path / "two" / "keys" / name).write_bytes(raw)
    with pytest.raises(KeystoreError, match="another device"):
        reopened(tmp_path / "two").open_vault()
    with pytest.raises(WrongSecretError):
        reopened(tmp_path / "two").agent_master(SECRET)


# --- where nothing can be written ----------------------------------------------------------------


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A disk without room for a new file; undone by `undo`."""

    def write(_path: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("meshnode.vault.keystore.write_private", write)
    return monkeypatch


@pytest.mark.parametrize("tier", Tier)
def test_a_full_disk_keeps_no_key(tmp_path: Path, full: pytest.MonkeyPatch, tier: Tier) -> None:
    with pytest.MonkeyPatch.context() as roomy:
        roomy.setattr("meshnode.vault.keystore.write_private", write_private)
        keys = make(tmp_path / "home")
    folder = tmp_path / "home" / "keys"
    for name in ("tier0", "tier1"):
        (tmp_path / name).hardlink_to(folder / name)
    for each in (keys, reopened(tmp_path / "home"), reopened(tmp_path / "home")):
        each.destroy(tier)
        assert each.is_wiped
        assert each.is_destroyed(Tier.DEVICE) is (tier is Tier.DEVICE)
        with pytest.raises(WipedError):
            each.agent_master(SECRET)
    gone = {"tier1.gone"} if tier is Tier.AGENT else {"tier1.gone", "tier0.gone"}
    kept = {"tier0", "device"} if tier is Tier.AGENT else set()
    assert {path.name for path in folder.iterdir()} == gone | kept
    assert (tmp_path / "tier1").read_bytes() == b"", "overwritten, and cut to nothing"
    full.undo()
    assert reopened(tmp_path / "home").is_destroyed(tier)
    assert {path.name for path in folder.iterdir()} == {"wiped"} | kept, "there is room now"


def test_a_power_cut_after_the_new_name_is_finished_at_the_start(tmp_path: Path) -> None:
    make(tmp_path)
    folder = tmp_path / "keys"
    (folder / "tier1").rename(folder / "tier1.gone")
    keys = reopened(tmp_path)
    assert keys.is_wiped
    assert {path.name for path in folder.iterdir()} == {"wiped", "tier0", "device"}


def test_what_can_be_erased_is_erased_whatever_fails(
    tmp_path: Path, full: pytest.MonkeyPatch
) -> None:
    full.undo()
    keys = make(tmp_path)
    kept = tmp_path / "same blocks"
    kept.hardlink_to(tmp_path / "keys" / "tier0")

    class Stuck:
        is_hardware = True

        def destroy(self) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    full.setattr(keys, "_source", Stuck())
    with pytest.raises(OSError, match="Input/output"):
        keys.destroy(Tier.DEVICE)
    assert set(kept.read_bytes()) == {0}
    assert keys.is_destroyed(Tier.DEVICE)


# --- lost ----------------------------------------------------------------------------------------


def test_a_lost_file_of_the_agents_keys_is_no_wipe(tmp_path: Path) -> None:
    make(tmp_path)
    path = tmp_path / "keys" / "tier1"
    copy = path.read_bytes()
    path.unlink()
    with pytest.raises(KeystoreError, match="holds no keys"):
        reopened(tmp_path)
    keys = KeyStore.open(tmp_path, Clock().runtime, may_lack_agent=True)
    assert keys.has_lost_agent
    assert not keys.is_wiped
    assert keys.open_vault().is_locked
    with pytest.raises(KeystoreError, match="put it back"):
        keys.agent_master(SECRET)
    path.write_bytes(copy)
    assert reopened(tmp_path).agent_master(SECRET)
    path.unlink()
    keys.destroy(Tier.AGENT)
    destroyed = reopened(tmp_path)
    assert destroyed.is_wiped
    assert not destroyed.has_lost_agent
