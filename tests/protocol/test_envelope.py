"""Envelopes: what was sealed opens once, here, under its own header; anything else is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.bundle import Header, Scope, Suite
from protocol.canonical import Value, decode_untrusted, encode
from protocol.envelope import (
    SUITES_CLASSICAL,
    SUITES_HYBRID,
    HpkeSealer,
    PrekeyRecord,
    PrekeySecret,
    Slot,
    SlotSecret,
    check_prekey,
    decode_prekey_secret,
    decode_prekey_untrusted,
    decode_slot_secret_untrusted,
    decode_slots_untrusted,
    encode_prekey,
    encode_prekey_secret,
    encode_slot_secret,
    encode_slots,
    open_classical,
    open_message,
    pad,
    prekey_id_of,
    seal_classical,
    seal_info,
    seal_message,
    slot_info,
    sos_message_key,
    unpad_untrusted,
)
from protocol.errors import LimitExceededError, MalformedError, TamperedError, WeakKeyError
from protocol.ids import BundleId
from protocol.limits import (
    BODY_BYTES_MAX,
    CHAIN_MESSAGES_MAX,
    PREKEY_BUNDLE_BYTES_MAX,
    PREKEY_END_MS,
    Kind,
)
from tests.reference import derivations
from tests.reference.codec import (
    RefusedError,
    read_prekey,
    read_slot_secret,
    read_slots,
    unpad,
)
from tests.strategies import (
    NODES,
    mutated,
    mutated_records,
    prekey_records,
    slot_secrets,
    slots,
    uints,
)
from tests.strategies import SEEDS as KEYS

NOW_MS = 1_800_000_000_000
SEALER = HpkeSealer()
SECRET, RECORD = SEALER.make_prekey(NOW_MS)
NODE = bytes(range(16))
HEADER = Header(
    Suite.HYBRID, Kind.TEXT, NODE, 7, 1, 5 << 16, 600, Scope.for_codt(7), RECORD.prekey_id
)


# --- message keys ------------------------------------------------------------------------------


@given(KEYS, st.binary(max_size=100), st.binary(max_size=300))
def test_a_message_opens_under_its_key_and_header(key: bytes, header: bytes, text: bytes) -> None:
    sealed = seal_message(key, header, text)
    assert len(sealed) == len(text) + 16
    assert open_message(key, header, sealed) == text
    for place in {0, len(sealed) // 2, len(sealed) - 1}:
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(TamperedError):
            open_message(key, header, bytes(changed))
    for other_key, other_header in ((key, header + b"\0"), (bytes(32), header)):
        if (other_key, other_header) != (key, header):
            with pytest.raises(TamperedError):
                open_message(other_key, other_header, sealed)


@given(st.binary(max_size=40))
def test_any_bytes_are_refused_by_name(sealed: bytes) -> None:
    with pytest.raises(TamperedError):
        open_message(bytes(32), b"", sealed)
    with pytest.raises(TamperedError):
        SEALER.open_hybrid(SECRET, b"", sealed)
    with pytest.raises(TamperedError):
        open_classical(SECRET, b"", sealed)


@given(KEYS, NODES, uints(32), uints())
def test_sos_keys_are_those_of_the_wire_format(
    key: bytes, author: bytes, incarnation: int, seq: int
) -> None:
    name = BundleId(author, incarnation, seq)
    message_key = sos_message_key(key, name)
    assert message_key == derivations.sos_key(key, author, incarnation, seq)
    other = BundleId(author, incarnation, seq ^ 1)
    assert sos_message_key(key, other) != message_key


# --- headers -----------------------------------------------------------------------------------

CHANGES = [
    replace(HEADER, author=bytes(16)),
    replace(HEADER, seq=2),
    replace(HEADER, hlc=HEADER.hlc + 1),
    replace(HEADER, lifetime_s=601),
    replace(HEADER, scope=Scope.for_zone(7)),
    replace(HEADER, kind=Kind.CHUNK),
    replace(HEADER, keyref=b""),
]


@pytest.mark.parametrize("other", CHANGES, ids=range(len(CHANGES)))
def test_content_is_bound_to_every_field_of_its_header(other: Header) -> None:
    ours, theirs = seal_info(HEADER.encode()), seal_info(other.encode())
    hybrid = SEALER.seal_hybrid(RECORD.public, ours, b"text")
    classical = seal_classical(RECORD.public, ours, b"text")
    assert SEALER.open_hybrid(SECRET, ours, hybrid) == b"text"
    assert open_classical(SECRET, ours, classical) == b"text"
    with pytest.raises(TamperedError):
        SEALER.open_hybrid(SECRET, theirs, hybrid)
    with pytest.raises(TamperedError):
        open_classical(SECRET, theirs, classical)


def test_a_slot_is_bound_to_its_member() -> None:
    header = HEADER.encode()
    sealed = SEALER.seal_hybrid(RECORD.public, slot_info(header, NODE), b"seed")
    assert SEALER.open_hybrid(SECRET, slot_info(header, NODE), sealed) == b"seed"
    for info in (slot_info(header, bytes(16)), seal_info(header), seal_info(header + NODE)):
        with pytest.raises(TamperedError):
            SEALER.open_hybrid(SECRET, info, sealed)


def test_hybrid_and_classical_do_not_mix() -> None:
    info = seal_info(HEADER.encode())
    classical = seal_classical(RECORD.public, info, b"text")
    assert len(classical) == len(b"text") + 48
    with pytest.raises(TamperedError):
        SEALER.open_hybrid(SECRET, info, classical)
    with pytest.raises(TamperedError):
        open_classical(SECRET, info, SEALER.seal_hybrid(RECORD.public, info, b"text"))
    other, _ = SEALER.make_prekey(NOW_MS)
    with pytest.raises(TamperedError):
        open_classical(other, info, classical)


# --- padding -----------------------------------------------------------------------------------

SIZES = [32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 12_288, 16_384, 20_480]


@pytest.mark.parametrize(("below", "size"), list(zip([0, *SIZES], SIZES, strict=False)), ids=str)
def test_size_classes_at_their_bound_and_above(below: int, size: int) -> None:
    # One byte goes to the marker.
    for length in (below, size - 1):
        assert len(pad(b"\x01" * length)) == size
        assert unpad_untrusted(pad(b"\x01" * length)) == b"\x01" * length


@given(st.binary(max_size=200), st.sampled_from([b"", b"\0", b"\x80", b"\x80\0\0", b"\0" * 40]))
def test_padding_comes_off_again(start: bytes, end: bytes) -> None:
    payload = start + end
    padded = pad(payload)
    assert len(padded) in SIZES
    assert unpad_untrusted(padded) == unpad(padded) == payload


@given(st.binary(max_size=70) | mutated([pad(b"text"), pad(bytes(40)), pad(bytes(4_096))]))
def test_both_readers_agree_on_any_padding(padded: bytes) -> None:
    try:
        expected = unpad(padded)
    except RefusedError:
        with pytest.raises(MalformedError):
            unpad_untrusted(padded)
        return
    assert unpad_untrusted(padded) == expected
    assert pad(expected) == padded


def test_odd_padding_is_refused() -> None:
    for padded in (
        b"",
        bytes(32),
        b"\x80",
        b"text\x80" + bytes(26),
        b"text\x80" + bytes(28),
        b"text\x80" + bytes(59),
        b"text\x80" + bytes(26) + b"\1",
        b"x" * 31 + b"\x81",
        pad(b"text")[:-1],
        pad(bytes(4_096))[:4_096],
    ):
        with pytest.raises(MalformedError):
            unpad_untrusted(padded)


# --- prekeys -----------------------------------------------------------------------------------


@given(prekey_records())
def test_a_prekey_is_read_as_it_was_written(record: PrekeyRecord) -> None:
    raw = encode_prekey(record)
    assert decode_prekey_untrusted(raw) == record
    read_prekey(raw)
    assert len(raw) + 85 + 80 < PREKEY_BUNDLE_BYTES_MAX


@given(mutated([encode_prekey(RECORD)]) | mutated_records([encode_prekey(RECORD)]))
def test_both_readers_agree_on_almost_a_prekey(raw: bytes) -> None:
    try:
        read_prekey(raw)
    except RefusedError:
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_prekey_untrusted(raw)
        return
    assert encode_prekey(decode_prekey_untrusted(raw)) == raw


def prekey_body(**changes: Value) -> bytes:
    fields: dict[str, Value] = {
        "version": 1,
        "prekey_id": RECORD.prekey_id,
        "issued_ms": NOW_MS,
        "ends_ms": NOW_MS + PREKEY_END_MS,
        "suites": SUITES_HYBRID,
        "public": RECORD.public,
    }
    return encode(tuple((fields | changes).values()))


def test_a_prekey_at_its_bounds() -> None:
    assert decode_prekey_untrusted(prekey_body()) == RECORD
    both = SUITES_HYBRID | SUITES_CLASSICAL
    assert decode_prekey_untrusted(prekey_body(suites=both)).suites == both
    assert decode_prekey_untrusted(prekey_body(ends_ms=NOW_MS + 1)).ends_ms == NOW_MS + 1


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 0},
        {"version": 2},
        {"prekey_id": bytes(8)},
        {"prekey_id": RECORD.prekey_id[:7]},
        {"issued_ms": NOW_MS + PREKEY_END_MS},
        {"issued_ms": 2**48 + 1},
        {"ends_ms": NOW_MS},
        {"ends_ms": NOW_MS + PREKEY_END_MS + 1},
        {"issued_ms": 2**48, "ends_ms": 2**48 + 1},
        {"suites": 0},
        {"suites": 4},
        {"public": RECORD.public[:-1]},
        {"public": bytes(1_216)},
        {"public": RECORD.public + b"\0"},
        {"more": 1},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_odd_prekeys_are_refused(changes: dict[str, Value]) -> None:
    raw = prekey_body(**changes)
    with pytest.raises(RefusedError):
        read_prekey(raw)
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_prekey_untrusted(raw)


def _renamed(public: bytes) -> PrekeyRecord:
    return replace(RECORD, prekey_id=prekey_id_of(public), public=public)


@pytest.mark.parametrize(
    "public",
    [
        bytes(1_216),
        bytes(1_184) + RECORD.public[1_184:],
        RECORD.public[:1_184] + bytes(32),
        RECORD.public[:1_184] + b"\1" + bytes(31),
        b"\xff" * 1_184 + RECORD.public[1_184:],
        b"\xff" * 1_216,
    ],
    ids=["zero", "lattice zero", "curve zero", "small order", "lattice out of range", "ones"],
)
def test_keys_that_give_nothing_away_to_seal_to_are_refused(public: bytes) -> None:
    record = _renamed(public)
    assert decode_prekey_untrusted(encode_prekey(record)) == record
    with pytest.raises(WeakKeyError):
        check_prekey(record)


def test_a_good_prekey_passes_and_a_classical_point_of_small_order_does_not() -> None:
    check_prekey(RECORD)
    for curve in (bytes(32), b"\1" + bytes(31)):
        with pytest.raises(WeakKeyError):
            seal_classical(RECORD.public[:1_184] + curve, b"", b"text")
    with pytest.raises(WeakKeyError):
        seal_classical(b"", b"", b"text")


def test_a_stored_secret_is_read_as_it_was_written() -> None:
    raw = encode_prekey_secret(SECRET)
    assert decode_prekey_secret(raw) == SECRET
    fields = decode_untrusted(raw, max_bytes=256)
    assert isinstance(fields, tuple)
    odd: list[Value] = [2, b"short", 2**48 + 1, SECRET.private[1:]]
    for place, value in enumerate(odd):
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_prekey_secret(encode([*fields[:place], value, *fields[place + 1 :]]))
    for raw in (encode([0, *fields[1:]]), encode(fields[:3]), encode([*fields, 0]), b""):
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_prekey_secret(raw)


# --- slots -------------------------------------------------------------------------------------


@given(st.lists(slots(), min_size=1, max_size=45))
def test_slots_are_read_as_they_were_written(given_slots: list[Slot]) -> None:
    raw = encode_slots(given_slots)
    assert decode_slots_untrusted(raw) == tuple(given_slots)
    read_slots(raw)


SLOT = Slot(NODE, b"prekeyid", b"sealed")
SLOT_SECRET = SlotSecret(NODE, b"chain-id", 3, Scope.for_codt(7).encode(), b"s" * 32)


@given(mutated([encode_slots([SLOT, SLOT])]) | mutated_records([encode_slots([SLOT])]))
def test_both_readers_agree_on_almost_slots(raw: bytes) -> None:
    try:
        read_slots(raw)
    except RefusedError:
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_slots_untrusted(raw)
        return
    assert encode_slots(decode_slots_untrusted(raw)) == raw


def test_slots_at_the_limit_and_above() -> None:
    sealed = SEALER.seal_hybrid(RECORD.public, b"", encode_slot_secret(SLOT_SECRET))
    full = [replace(SLOT, sealed=sealed)] * 45
    assert decode_slots_untrusted(encode_slots(full)) == tuple(full)
    assert len(encode_slots(full)) <= BODY_BYTES_MAX
    for odd in (
        [],
        [SLOT] * 46,
        [replace(SLOT, sealed=bytes(2_049))],
        [replace(SLOT, member=NODE[1:])],
        [replace(SLOT, prekey_id=b"")],
    ):
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_slots_untrusted(encode_slots(odd))
    with pytest.raises(LimitExceededError):
        decode_slots_untrusted(bytes(BODY_BYTES_MAX + 1))


@given(slot_secrets())
def test_a_slot_secret_is_read_as_it_was_written(secret: SlotSecret) -> None:
    raw = encode_slot_secret(secret)
    assert decode_slot_secret_untrusted(raw) == secret
    read_slot_secret(raw)


@given(mutated_records([encode_slot_secret(SLOT_SECRET)]))
def test_both_readers_agree_on_almost_a_slot_secret(raw: bytes) -> None:
    try:
        read_slot_secret(raw)
    except RefusedError:
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_slot_secret_untrusted(raw)
        return
    assert encode_slot_secret(decode_slot_secret_untrusted(raw)) == raw


def test_the_index_of_a_slot_at_the_limit_and_above() -> None:
    last = replace(SLOT_SECRET, index=CHAIN_MESSAGES_MAX - 1)
    assert decode_slot_secret_untrusted(encode_slot_secret(last)) == last
    for odd in (replace(last, index=CHAIN_MESSAGES_MAX), replace(last, seed=bytes(31))):
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_slot_secret_untrusted(encode_slot_secret(odd))
    version_2 = encode([2, NODE, b"chain-id", 3, b"s" * 32, b"\3\0\7"])
    with pytest.raises(MalformedError):
        decode_slot_secret_untrusted(version_2)


# --- silence -----------------------------------------------------------------------------------


def test_nothing_secret_is_printed() -> None:
    secret = PrekeySecret(b"prekeyid", NOW_MS, bytes(range(96)))
    for printed, hidden in ((repr(secret), secret.private), (repr(SLOT_SECRET), SLOT_SECRET.seed)):
        assert repr(hidden)[2:-1] not in printed
        assert hidden.hex() not in printed
        assert "private" not in printed
        assert "seed" not in printed
