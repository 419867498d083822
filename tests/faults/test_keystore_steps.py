"""Kill -9 at every change of the disk while keys are made, changed or destroyed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from meshnode.errors import WipedError, WrongSecretError
from meshnode.vault.keystore import KeyStore
from meshnode.vault.kinds import Tier
from tests.faults.dying import deaths
from tests.meshnode.vault.parts import CHEAP, OTHER, SECRET, Clock, make

pytestmark = pytest.mark.slow


def _open(home: Path) -> KeyStore:
    return KeyStore.open(home, Clock().runtime)


def _change(home: Path) -> None:
    _open(home).change_secret(SECRET, OTHER, cost=CHEAP)


def _destroy(home: Path, tier: Tier) -> None:
    _open(home).destroy(tier)


def _master(home: Path, secret: str) -> bytes | None:
    try:
        return _open(home).agent_master(secret)
    except WrongSecretError:
        return None


def test_keys_are_made_wholly_or_can_be_made_again(tmp_path: Path) -> None:
    for home, is_done in deaths(tmp_path, None, make, 12):
        if not KeyStore.exists(home):
            assert not is_done
            make(home)
        assert _open(home).open_vault().is_locked
        assert _master(home, SECRET)


def test_changing_the_secret_leaves_the_old_or_the_new_never_neither(tmp_path: Path) -> None:
    base = tmp_path / "base"
    make(base)
    master = _open(base).agent_master(SECRET)
    seen = set()
    for home, _is_done in deaths(tmp_path, base, _change, 8):
        opens = [_master(home, each) for each in (SECRET, OTHER)]
        assert sorted(opens, key=bool) == [None, master]
        seen.add(opens[0] is None)
        left = {path.name for path in (home / "keys").iterdir()}
        assert left == {"device", "tier0", "tier1"} | ({"tries"} & left)
        if opens[0] is not None:
            _change(home)
        assert _master(home, OTHER) == master
    assert seen == {False, True}


@pytest.mark.parametrize("tier", Tier)
@pytest.mark.parametrize("secret", [SECRET, None])
def test_a_destruction_that_was_begun_is_finished_at_the_next_start(
    tmp_path: Path, tier: Tier, secret: str | None
) -> None:
    base = tmp_path / "base"
    make(base, secret)
    for home, _is_done in deaths(tmp_path, base, partial(_destroy, tier=tier), 6):
        is_begun = (home / "keys" / "wiped").exists()
        keys = _open(home)
        assert keys.is_wiped is is_begun
        if not is_begun:
            assert keys.agent_master(secret)
            keys.destroy(tier)
        left = {path.name for path in (home / "keys").iterdir()}
        assert left - {".wiped.new"} == (
            {"wiped"} if tier is Tier.DEVICE else {"wiped", "device", "tier0"}
        )
        with pytest.raises(WipedError):
            _open(home).agent_master(secret)


def test_a_destruction_after_a_change_that_was_cut_off_leaves_no_wrapped_key(
    tmp_path: Path,
) -> None:
    base = tmp_path / "base"
    make(base)
    for home, _is_done in deaths(tmp_path, base, _change, 8):
        KeyStore(home, Clock().runtime).destroy(Tier.AGENT)
        left = {path.name for path in (home / "keys").iterdir()}
        assert left - {".tries.new"} == {"wiped", "device", "tier0"}
