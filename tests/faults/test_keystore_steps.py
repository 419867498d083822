"""Kill -9 at every change of the disk while keys are made, changed or destroyed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from meshnode.errors import WipedError, WrongSecretError
from meshnode.vault.keystore import KeyStore
from meshnode.vault.kinds import Tier
from tests.faults.dying import is_finished
from tests.meshnode.vault.parts import CHEAP, OTHER, SECRET, Clock, make

pytestmark = pytest.mark.slow


def _homes(tmp_path: Path, base: Path | None) -> Iterator[tuple[int, Path]]:
    """Yield steps from 1 on, each with a home of its own."""
    for step in count(1):
        home = tmp_path / f"step {step}"
        if base is not None:
            shutil.copytree(base, home)
        yield step, home


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
    for step, home in _homes(tmp_path, None):
        is_done = is_finished(step, partial(make, home))
        if not KeyStore.exists(home):
            assert not is_done
            make(home)
        assert _open(home).open_vault().is_locked
        assert _master(home, SECRET)
        if is_done:
            break
    assert step > 12


def test_changing_the_secret_leaves_the_old_or_the_new_never_neither(tmp_path: Path) -> None:
    base = tmp_path / "base"
    make(base)
    master = _open(base).agent_master(SECRET)
    seen = set()
    for step, home in _homes(tmp_path, base):
        is_done = is_finished(step, partial(_change, home))
        opens = [_master(home, each) for each in (SECRET, OTHER)]
        assert sorted(opens, key=bool) == [None, master]
        seen.add(opens[0] is None)
        left = {path.name for path in (home / "keys").iterdir()}
        assert left == {"device", "tier0", "tier1"} | ({"tries"} & left)
        if opens[0] is not None:
            _change(home)
        assert _master(home, OTHER) == master
        if is_done:
            break
    assert seen == {False, True}
    assert step > 8


@pytest.mark.parametrize("tier", Tier)
@pytest.mark.parametrize("secret", [SECRET, None])
def test_a_destruction_that_was_begun_is_finished_at_the_next_start(
    tmp_path: Path, tier: Tier, secret: str | None
) -> None:
    base = tmp_path / "base"
    make(base, secret)
    for step, home in _homes(tmp_path, base):
        is_done = is_finished(step, partial(_destroy, home, tier))
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
        if is_done:
            break
    assert step > 6


def test_a_destruction_after_a_change_that_was_cut_off_leaves_no_wrapped_key(
    tmp_path: Path,
) -> None:
    base = tmp_path / "base"
    make(base)
    for step, home in _homes(tmp_path, base):
        is_done = is_finished(step, partial(_change, home))
        KeyStore(home, Clock().runtime).destroy(Tier.AGENT)
        left = {path.name for path in (home / "keys").iterdir()}
        assert left - {".tries.new"} == {"wiped", "device", "tier0"}
        if is_done:
            break
