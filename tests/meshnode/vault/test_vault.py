"""The seal over rows: opens at its place, in its tier, and nowhere else."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.errors import KeystoreError, LockedError, SealBrokenError
from meshnode.vault.kinds import DataKind, Tier
from meshnode.vault.vault import SEAL_BYTES, DataKey, Vault

DEVICE, AGENT = b"d" * 32, b"a" * 32
KINDS = st.sampled_from(DataKind)
DAYS = st.integers(0, 2**40)


def vault(agent: bytes | None = AGENT) -> Vault:
    return Vault(DEVICE, os.urandom, agent)


@given(KINDS, DAYS, st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=500))
def test_what_was_sealed_opens_at_its_place(
    kind: DataKind, day: int, table: bytes, place: bytes, plain: bytes
) -> None:
    first = vault()
    key = first.make_key(kind, day)
    sealed = first.seal(key, table, place, plain)
    assert len(sealed) == len(plain) + SEAL_BYTES
    assert vault().open(key, table, place, sealed) == plain
    assert len(plain) < 8 or plain not in sealed


@given(st.binary(max_size=60), st.data())
def test_any_changed_bit_is_refused(plain: bytes, data: st.DataObject) -> None:
    own = vault()
    key = own.make_key(DataKind.MESSAGE, 7)
    sealed = bytearray(own.seal(key, b"message", b"1", plain))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBrokenError):
        own.open(key, b"message", b"1", bytes(sealed))


@given(st.binary(max_size=60), st.data())
def test_any_cut_is_refused(plain: bytes, data: st.DataObject) -> None:
    own = vault()
    key = own.make_key(DataKind.MESSAGE, 7)
    sealed = own.seal(key, b"message", b"1", plain)
    with pytest.raises(SealBrokenError):
        own.open(key, b"message", b"1", sealed[: data.draw(st.integers(0, len(sealed) - 1))])


_PLACES = st.tuples(st.binary(max_size=9), st.binary(max_size=9))


@given(_PLACES, _PLACES)
def test_another_place_is_refused(here: tuple[bytes, bytes], there: tuple[bytes, bytes]) -> None:
    own = vault()
    key = own.make_key(DataKind.BUNDLE, 7)
    sealed = own.seal(key, *here, b"text")
    if here == there:
        assert own.open(key, *there, sealed) == b"text"
    else:
        with pytest.raises(SealBrokenError):
            own.open(key, *there, sealed)


@given(st.tuples(KINDS, DAYS), st.tuples(KINDS, DAYS))
def test_a_key_of_another_kind_or_day_is_refused(
    own: tuple[DataKind, int], other: tuple[DataKind, int]
) -> None:
    one = vault()
    key = one.make_key(*own)
    sealed = one.seal(key, b"t", b"1", b"text")
    passed_off = DataKey(*other, key.wrapped)
    if own == other:
        assert one.open(passed_off, b"t", b"1", sealed) == b"text"
    else:
        with pytest.raises(SealBrokenError):
            one.open(passed_off, b"t", b"1", sealed)
        with pytest.raises(SealBrokenError):
            vault().open(passed_off, b"t", b"1", sealed)


def test_a_broken_seal_is_told() -> None:
    own, told = vault(), list[DataKind]()
    own.on_broken = told.append
    key = own.make_key(DataKind.EVIDENCE, 1)
    with pytest.raises(SealBrokenError, match="EVIDENCE"):
        own.open(key, b"t", b"1", b"")
    assert told == [DataKind.EVIDENCE]


@pytest.mark.parametrize("kind", DataKind)
def test_a_locked_vault_serves_the_device_alone(kind: DataKind) -> None:
    own = vault()
    key = own.make_key(kind, 7)
    sealed = own.seal(key, b"t", b"1", b"text")
    own.lock()
    assert own.is_locked
    if kind.tier is Tier.DEVICE:
        assert own.open(key, b"t", b"1", sealed) == b"text"
        assert own.make_key(kind, 8)
    else:
        with pytest.raises(LockedError):
            own.open(key, b"t", b"1", sealed)
        with pytest.raises(LockedError):
            own.seal(key, b"t", b"1", b"text")
        with pytest.raises(LockedError):
            own.make_key(kind, 8)
    own.unlock(AGENT)
    assert own.open(key, b"t", b"1", sealed) == b"text"


def test_locking_leaves_no_key_of_the_agent_in_the_vault() -> None:
    own = vault()
    own.seal(own.make_key(DataKind.MESSAGE, 1), b"t", b"1", b"text")
    own.lock()
    assert AGENT not in own._masters.values()
    assert not own._ciphers


def test_another_vault_opens_for_its_holder_and_leaves_this_one_shut() -> None:
    own = vault(None)
    lent, told = own.opened(AGENT), list[DataKind]()
    key = lent.make_key(DataKind.ALARM, 7)
    sealed = lent.seal(key, b"t", b"1", b"text")
    with pytest.raises(LockedError):
        own.open(key, b"t", b"1", sealed)
    lent.lock()
    with pytest.raises(LockedError):
        lent.open(key, b"t", b"1", sealed)
    own.on_broken = told.append
    own.unlock(AGENT)
    assert own.open(key, b"t", b"1", sealed) == b"text"
    with pytest.raises(SealBrokenError):
        own.opened(AGENT).open(key, b"t", b"2", sealed)
    assert told == [DataKind.ALARM]


def test_a_wrong_master_key_opens_nothing() -> None:
    key = vault().make_key(DataKind.MESSAGE, 1)
    with pytest.raises(SealBrokenError):
        vault(b"b" * 32).seal(key, b"t", b"1", b"text")
    with pytest.raises(KeystoreError):
        vault(None).unlock(b"short")


def test_a_forgotten_key_is_unwrapped_anew() -> None:
    own = vault()
    key = own.make_key(DataKind.BUNDLE, 1)
    sealed = own.seal(key, b"t", b"1", b"text")
    own.forget([key.wrapped, b"unknown"])
    assert not own._ciphers
    assert own.open(key, b"t", b"1", sealed) == b"text"


def test_the_keys_kept_ready_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshnode.vault.vault.DATA_KEYS_CACHED_MAX", 3)
    own = vault()
    keys = [own.make_key(DataKind.BUNDLE, day) for day in range(5)]
    sealed = [own.seal(key, b"t", b"1", b"text") for key in keys]
    assert len(own._ciphers) == 3
    assert all(
        own.open(key, b"t", b"1", each) == b"text" for key, each in zip(keys, sealed, strict=True)
    )


def test_no_repr_holds_a_key() -> None:
    own = vault()
    assert repr(own) == "<Vault unlocked>"
    own.lock()
    assert repr(own) == "<Vault locked>"


@pytest.mark.parametrize("tier", Tier)
def test_files_open_under_their_name_and_tier(tier: Tier) -> None:
    own = vault()
    sealed = own.seal_file(tier, b"badge", b"key")
    assert vault().open_file(tier, b"badge", sealed) == b"key"
    for refused in (sealed[:-1], b"", sealed[:1] + bytes(len(sealed) - 1)):
        with pytest.raises(KeystoreError):
            own.open_file(tier, b"badge", refused)
    with pytest.raises(KeystoreError):
        own.open_file(tier, b"other", sealed)
    with pytest.raises(KeystoreError):
        own.open_file(Tier(1 - tier), b"badge", sealed)
    assert own.derive(tier, b"a") != own.derive(tier, b"b")
    assert own.derive(Tier.AGENT, b"a") != own.derive(Tier.DEVICE, b"a")


def test_a_locked_vault_opens_no_file_of_the_agent() -> None:
    own = vault()
    sealed = own.seal_file(Tier.AGENT, b"badge", b"key")
    own.lock()
    with pytest.raises(LockedError):
        own.open_file(Tier.AGENT, b"badge", sealed)
