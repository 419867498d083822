"""One suite for every sealer: what outbox, inbox and enrolment rely on, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.envelope import (
    HYBRID_OVERHEAD_BYTES,
    SUITES_HYBRID,
    HpkeSealer,
    PrekeySecret,
    Sealer,
    check_prekey,
    decode_prekey_secret,
    decode_prekey_untrusted,
    encode_prekey,
    encode_prekey_secret,
    prekey_id_of,
)
from protocol.errors import TamperedError, WeakKeyError
from protocol.limits import PREKEY_END_MS
from sims.sealer import StandInSealer

NOW_MS = 1_800_000_000_000
INFO = b"meshnode seal 1\0header"


def entropy_from(seed: bytes) -> Callable[[int], bytes]:
    """Return a source that gives the same bytes for the same seed and the same calls."""
    state = [hashlib.sha256(seed).digest()]

    def draw(count: int) -> bytes:
        state[0] = hashlib.sha256(state[0]).digest()
        return hashlib.shake_256(state[0]).digest(count)

    return draw


SEALERS: list[Sealer] = [HpkeSealer(), StandInSealer(entropy_from(b"suite"))]
everywhere = pytest.mark.parametrize("sealer", SEALERS, ids=lambda sealer: type(sealer).__name__)


@everywhere
@given(info=st.binary(max_size=120), plaintext=st.binary(max_size=2_000))
def test_what_was_sealed_is_opened_by_the_holder(
    sealer: Sealer, info: bytes, plaintext: bytes
) -> None:
    secret, record = sealer.make_prekey(NOW_MS)
    sealed = sealer.seal_hybrid(record.public, info, plaintext)
    assert len(sealed) == len(plaintext) + HYBRID_OVERHEAD_BYTES
    assert sealer.open_hybrid(secret, info, sealed) == plaintext


@everywhere
def test_a_prekey_is_as_the_mesh_expects_it(sealer: Sealer) -> None:
    secret, record = sealer.make_prekey(NOW_MS)
    assert (record.issued_ms, record.ends_ms) == (NOW_MS, NOW_MS + PREKEY_END_MS)
    assert record.suites == SUITES_HYBRID
    assert record.prekey_id == secret.prekey_id == prekey_id_of(record.public)
    assert secret.ends_ms == record.ends_ms
    assert decode_prekey_untrusted(encode_prekey(record)) == record
    assert decode_prekey_secret(encode_prekey_secret(secret)) == secret
    check_prekey(record)
    assert secret.private.hex() not in repr(secret)
    assert repr(secret.private) not in repr(secret)


@everywhere
def test_prekeys_differ_and_so_does_each_sealing(sealer: Sealer) -> None:
    (first, record), (second, other) = sealer.make_prekey(NOW_MS), sealer.make_prekey(NOW_MS)
    assert first.private != second.private
    assert record.public != other.public
    sealings = {sealer.seal_hybrid(record.public, INFO, b"text") for _ in range(4)}
    assert len(sealings) == 4
    assert all(b"text" not in sealed for sealed in sealings)


@everywhere
def test_nothing_else_opens_it(sealer: Sealer) -> None:
    secret, record = sealer.make_prekey(NOW_MS)
    other, _ = sealer.make_prekey(NOW_MS)
    sealed = sealer.seal_hybrid(record.public, INFO, b"text")
    mixed = PrekeySecret(secret.prekey_id, secret.ends_ms, secret.private[:64] + other.private[64:])
    for key, info in ((other, INFO), (secret, INFO + b"x"), (secret, b""), (mixed, INFO)):
        with pytest.raises(TamperedError):
            sealer.open_hybrid(key, info, sealed)


@everywhere
def test_a_flipped_bit_is_noticed_wherever_it_is(sealer: Sealer) -> None:
    # The highest bit of each byte: X25519 itself does not look at that of its last byte.
    secret, record = sealer.make_prekey(NOW_MS)
    sealed = sealer.seal_hybrid(record.public, INFO, b"text")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 0x80
        with pytest.raises(TamperedError):
            sealer.open_hybrid(secret, INFO, bytes(changed))


@everywhere
@given(sealed=st.binary(max_size=1_300) | st.integers(0, 1_300).map(bytes))
def test_any_bytes_are_refused_by_name(sealer: Sealer, sealed: bytes) -> None:
    secret, _ = sealer.make_prekey(NOW_MS)
    with pytest.raises(TamperedError):
        sealer.open_hybrid(secret, INFO, sealed)


@everywhere
def test_keys_that_cannot_be_sealed_to_are_refused(sealer: Sealer) -> None:
    _, record = sealer.make_prekey(NOW_MS)
    lattice, curve = record.public[:1_184], record.public[1_184:]
    for public in (
        b"",
        bytes(1_216),
        lattice,
        curve,
        lattice + curve[:31],
        lattice + curve + b"\0",
        lattice + bytes(32),
        lattice + b"\1" + bytes(31),
        b"\xff" * 1_184 + curve,
    ):
        with pytest.raises(WeakKeyError):
            sealer.seal_hybrid(public, INFO, b"text")


def test_the_stand_in_repeats_itself_from_the_same_entropy() -> None:
    def run(seed: bytes) -> tuple[bytes, bytes]:
        sealer = StandInSealer(entropy_from(seed))
        _, record = sealer.make_prekey(NOW_MS)
        return record.public, sealer.seal_hybrid(record.public, INFO, b"text")

    assert run(b"seed 1") == run(b"seed 1")
    assert run(b"seed 1") != run(b"seed 2")
