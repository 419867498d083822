"""Bundles: what a relay reads, what it refuses, and that nothing in one can be changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from protocol.bundle import (
    Bundle,
    Header,
    Scope,
    ScopeKind,
    Suite,
    build,
    decode_untrusted,
    load_public_key,
    signed_bytes,
    verify,
)
from protocol.canonical import Value, encode
from protocol.errors import (
    AuthenticationError,
    LimitExceededError,
    MalformedError,
    MeshError,
    WeakKeyError,
)
from protocol.ids import BundleId, node_id_of, squad_id_of
from protocol.limits import (
    BODY_BYTES_MAX,
    BUNDLE_BYTES_MAX,
    CHAIN_MESSAGES_MAX,
    CLASS_RULES,
    HEADER_BYTES_MAX,
    KINDS,
    Kind,
    TrafficClass,
)
from tests.reference import ed25519
from tests.reference.codec import RefusedError, read_bundle, read_scope, write_record
from tests.strategies import headers, mutated, mutated_records, scopes

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
NODE = node_id_of(PUBLIC)
HEADER = Header(
    suite=Suite.CHAIN,
    kind=Kind.TEXT,
    author=NODE,
    incarnation=7,
    seq=1,
    hlc=1_800_000_000_000 << 16 | 3,
    lifetime_s=600,
    scope=Scope.for_squad(7, squad_id_of(7, "Queyras")),
    keyref=b"chain-id",
    index=12,
)
BUNDLE = build(HEADER, b"sealed body", KEY.sign)
CLEAR = build(replace(HEADER, suite=Suite.CLEAR, keyref=b""), bytes(300), KEY.sign)


def container(header: bytes, body: bytes = b"body", signature: bytes = bytes(64)) -> bytes:
    return encode(header) + encode(body) + signature


def header_bytes(**changes: Value) -> bytes:
    fields: dict[str, Value] = {
        "suite": 1,
        "kind": 2,
        "author": NODE,
        "incarnation": 7,
        "seq": 1,
        "hlc": 5,
        "lifetime_s": 600,
        "scope": HEADER.scope.encode(),
        "keyref": b"chain-id",
        "index": 0,
    }
    assert set(changes) <= set(fields) | {"more"}
    return encode(tuple((fields | changes).values()))


def fields_of(bundle: Bundle) -> dict[str, object]:
    header = bundle.header
    return {
        "suite": header.suite,
        "kind": header.kind,
        "author": header.author,
        "incarnation": header.incarnation,
        "seq": header.seq,
        "hlc": header.hlc,
        "lifetime_s": header.lifetime_s,
        "scope": header.scope.encode(),
        "keyref": header.keyref,
        "index": header.index,
        "body": bundle.body,
        "signature": bundle.signature,
        "signed": signed_bytes(bundle.header_bytes, bundle.body),
        "digest": bundle.digest,
    }


# --- scope -------------------------------------------------------------------------------------


@given(scopes())
def test_a_scope_is_read_as_it_was_written(scope: Scope) -> None:
    raw = scope.encode()
    assert Scope.decode_untrusted(raw) == scope
    assert read_scope(raw) == {"type": scope.kind, "zone": scope.zone, "target": scope.target}


@given(st.binary(max_size=22) | mutated([scope.encode() for scope in (HEADER.scope,)]))
def test_both_readers_agree_on_any_scope(raw: bytes) -> None:
    try:
        expected = read_scope(raw)
    except RefusedError:
        with pytest.raises(MalformedError):
            Scope.decode_untrusted(raw)
        return
    scope = Scope.decode_untrusted(raw)
    assert {"type": scope.kind, "zone": scope.zone, "target": scope.target} == expected


def test_each_scope_has_its_length() -> None:
    lengths = {
        Scope.for_device(1, NODE): 19,
        Scope.for_squad(65_535, b"squad-id"): 11,
        Scope.for_codt(7): 3,
        Scope.for_zone(7): 3,
    }
    assert {scope.kind for scope in lengths} == set(ScopeKind)
    for scope, length in lengths.items():
        raw = scope.encode()
        assert len(raw) == length
        for odd in (raw[:-1], raw + b"\0", b"\0" + raw[1:], b"\5" + raw[1:], raw[:1] + b"\0\0"):
            with pytest.raises(MalformedError):
                Scope.decode_untrusted(odd)


# --- header ------------------------------------------------------------------------------------


@given(headers(), st.binary(max_size=600))
def test_a_bundle_is_read_as_it_was_written(header: Header, body: bytes) -> None:
    bundle = build(header, body, KEY.sign)
    again = decode_untrusted(bundle.raw)
    assert again == bundle
    assert again.header == header
    assert again.header.encode() == again.header_bytes
    assert again.raw == write_record(again.header_bytes) + write_record(body) + again.signature
    assert fields_of(again) == read_bundle(bundle.raw)
    verify(again, load_public_key(PUBLIC))


def test_what_a_header_says() -> None:
    assert BUNDLE.id == HEADER.id == BundleId(NODE, 7, 1)
    assert HEADER.expires_ms == 1_800_000_000_000 + 600_000
    assert HEADER.traffic_class is TrafficClass.MESSAGE
    assert replace(HEADER, kind=Kind.SOS).traffic_class is TrafficClass.SOS


ACCEPTED: list[dict[str, Value]] = [
    {"incarnation": 0},
    {"incarnation": 2**32 - 1},
    {"seq": 2**64 - 1},
    {"hlc": 0},
    {"hlc": 2**64 - 1},
    {"lifetime_s": 0},
    {"lifetime_s": 1},
    {"index": CHAIN_MESSAGES_MAX - 1},
    {"suite": 4, "keyref": b"", "index": 2**32 - 1},
    {"suite": 2, "keyref": b""},
    {"suite": 2},
    {"suite": 3},
    {"suite": 5},
    {"scope": b"\4\0\1"},
]
REFUSED: list[dict[str, Value]] = [
    {"suite": 0},
    {"suite": 6},
    {"suite": b""},
    {"suite": (1,)},
    {"suite": ()},
    {"kind": 0},
    {"kind": 31},
    {"kind": b"\2"},
    {"author": NODE[:15]},
    {"author": NODE + b"\0"},
    {"author": 1},
    {"incarnation": 2**32},
    {"incarnation": b""},
    {"seq": 0},
    {"seq": b"\1"},
    {"hlc": b""},
    {"lifetime_s": KINDS[Kind.TEXT].lifetime_s},
    {"lifetime_s": b""},
    {"scope": b""},
    {"scope": b"\4\0\0"},
    {"scope": bytes(20)},
    {"scope": 1},
    {"keyref": b""},
    {"keyref": b"seven.."},
    {"keyref": b"nine....."},
    {"keyref": 8},
    {"suite": 3, "keyref": b""},
    {"suite": 4},
    {"suite": 5, "keyref": b""},
    {"index": CHAIN_MESSAGES_MAX},
    {"index": b""},
    {"suite": 4, "keyref": b"", "index": 2**32},
    {"suite": 2, "index": 1},
    {"suite": 3, "index": 1},
    {"suite": 5, "index": 1},
    {"more": 1},
]


@pytest.mark.parametrize("changes", ACCEPTED, ids=str)
def test_fields_at_their_bound_are_read(changes: dict[str, Value]) -> None:
    raw = container(header_bytes(**changes))
    assert fields_of(decode_untrusted(raw)) == read_bundle(raw)


@pytest.mark.parametrize("changes", REFUSED, ids=str)
def test_odd_fields_are_refused(changes: dict[str, Value]) -> None:
    raw = container(header_bytes(**changes))
    with pytest.raises(RefusedError):
        read_bundle(raw)
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_untrusted(raw)


@pytest.mark.parametrize("kind", Kind)
def test_a_lifetime_is_bounded_by_class(kind: Kind) -> None:
    longest_s = CLASS_RULES[KINDS[kind].traffic_class].lifetime_s_max
    stated_s = 0 if longest_s == KINDS[kind].lifetime_s else longest_s
    bundle = decode_untrusted(container(header_bytes(kind=kind.value, lifetime_s=stated_s)))
    assert bundle.header.lifetime_s == longest_s
    with pytest.raises(LimitExceededError):
        decode_untrusted(container(header_bytes(kind=kind.value, lifetime_s=longest_s + 1)))


@pytest.mark.parametrize(
    "header", [b"", b"\x00", b"\x90", header_bytes()[:-1], header_bytes() + b"\0", b"\xc4\x00"]
)
def test_a_header_that_is_no_record_is_refused(header: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_untrusted(container(header))


def test_a_long_header_is_refused_before_it_is_read() -> None:
    with pytest.raises(LimitExceededError, match="encoded record bytes"):
        decode_untrusted(container(bytes(HEADER_BYTES_MAX + 1)))


# --- container ---------------------------------------------------------------------------------

LENGTHS = [0, 1, 254, 255, 256, 257, 4_096, BODY_BYTES_MAX]


@pytest.mark.parametrize("length", LENGTHS)
def test_a_body_of_any_length_is_cut_right(length: int) -> None:
    bundle = build(HEADER, bytes(length), KEY.sign)
    assert decode_untrusted(bundle.raw) == bundle


def test_sizes_above_their_limit_are_refused() -> None:
    with pytest.raises(LimitExceededError, match="body bytes"):
        build(HEADER, bytes(BODY_BYTES_MAX + 1), KEY.sign)
    with pytest.raises(LimitExceededError, match="body bytes"):
        decode_untrusted(container(header_bytes(), bytes(BODY_BYTES_MAX + 1)))
    with pytest.raises(LimitExceededError, match="bundle bytes"):
        decode_untrusted(bytes(BUNDLE_BYTES_MAX + 1))


def test_odd_containers_are_refused() -> None:
    header, body, signature = header_bytes(), b"body", bytes(64)
    head, sealed = encode(header), encode(body)
    tail = signature
    for raw in (
        b"",
        b"\xc4",
        b"\x93" + head + sealed + encode(tail),
        head + tail,
        head + sealed + sealed + tail,
        b"\xc5\x00" + head[1:] + sealed + tail,
        head + b"\xc5\x00\x04" + body + tail,
        head + b"\xc5\x00\xff" + bytes(255) + tail,
        head + b"\xc6\x00\x00\x01\x00" + bytes(256) + tail,
        head + b"\x90" + tail,
        head + b"\x00" + tail,
        head + sealed + bytes(63),
        head + sealed + bytes(65),
        head + sealed + encode(tail),
        head + sealed + tail + b"\0",
        b"\xc4\xff" + header + sealed + tail,
        head + b"\xc4\xff" + body + tail,
        head + b"\xc5\xff\xff" + body + tail,
        head + b"\xc4",
        head + b"\xc5\x01",
        b"\xc4\x00" + bytes(70),
    ):
        with pytest.raises(RefusedError):
            read_bundle(raw)
        with pytest.raises(MalformedError):
            decode_untrusted(raw)


@given(st.integers(0, 80), st.binary(max_size=80))
def test_short_bytes_never_reach_behind_the_start(length: int, noise: bytes) -> None:
    # A container shorter than a signature makes the place of the signature negative.
    ending = b"\xc4\x00" + bytes(64)
    for raw in ((b"\xc4" + noise)[:length], b"\xc4\x00" + ending[-min(length, 60) :]):
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_untrusted(raw)


@given(mutated([BUNDLE.raw, CLEAR.raw]) | mutated_records([BUNDLE.raw, CLEAR.raw]))
def test_both_readers_agree_on_almost_a_bundle(raw: bytes) -> None:
    _agree(raw)


@given(mutated_records([header_bytes()]) | mutated([header_bytes()]))
def test_both_readers_agree_on_almost_a_header(header: bytes) -> None:
    if len(header) < 256:
        _agree(container(header))


def _agree(raw: bytes) -> None:
    try:
        expected = read_bundle(raw)
    except RefusedError:
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_untrusted(raw)
        return
    assert fields_of(decode_untrusted(raw)) == expected


# --- signature ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_flipped_bit_is_noticed() -> None:
    key = load_public_key(PUBLIC)
    for bundle in (BUNDLE, CLEAR):
        for place in range(len(bundle.raw)):
            for bit in range(8):
                raw = bytearray(bundle.raw)
                raw[place] ^= 1 << bit
                with pytest.raises((MalformedError, LimitExceededError, AuthenticationError)):
                    verify(decode_untrusted(bytes(raw)), key)


def test_every_cut_is_noticed() -> None:
    key = load_public_key(PUBLIC)
    for bundle in (BUNDLE, CLEAR):
        for length in range(1, len(bundle.raw)):
            with pytest.raises((MalformedError, AuthenticationError)):
                verify(decode_untrusted(bundle.raw[:length]), key)
            with pytest.raises((MalformedError, AuthenticationError)):
                verify(decode_untrusted(bundle.raw[length:]), key)


def test_another_key_or_another_domain_does_not_verify() -> None:
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    with pytest.raises(AuthenticationError):
        verify(BUNDLE, load_public_key(other.public_key().public_bytes_raw()))
    signed = signed_bytes(BUNDLE.header_bytes, BUNDLE.body)
    for message in (signed[1:], b"meshnode bundle 2\0" + signed[18:], BUNDLE.raw, b""):
        forged = decode_untrusted(container(BUNDLE.header_bytes, BUNDLE.body, KEY.sign(message)))
        with pytest.raises(AuthenticationError):
            verify(forged, load_public_key(PUBLIC))


def test_a_signature_has_no_second_form() -> None:
    """The scalar plus the group's order proves the same equation; it must not pass."""
    scalar = int.from_bytes(BUNDLE.signature[32:], "little") + ed25519.ORDER
    twin = BUNDLE.signature[:32] + scalar.to_bytes(32, "little")
    with pytest.raises(AuthenticationError):
        verify(replace(BUNDLE, signature=twin), load_public_key(PUBLIC))


def test_the_signature_is_that_of_the_standard() -> None:
    signed = signed_bytes(BUNDLE.header_bytes, BUNDLE.body)
    assert ed25519.verify(PUBLIC, signed, BUNDLE.signature)
    assert not ed25519.verify(PUBLIC, signed + b"x", BUNDLE.signature)


def test_keys_of_small_order_are_refused() -> None:
    weak = ed25519.small_order_encodings()
    assert len(weak) == 14
    for raw in weak:
        with pytest.raises(WeakKeyError):
            load_public_key(raw)


def test_a_key_of_small_order_would_sign_anything() -> None:
    """The attack that the list stops: one signature that holds for any message."""
    weak = (1).to_bytes(32, "little")
    assert ed25519.verify(weak, b"any message", weak + bytes(32))


@given(st.binary(max_size=40) | st.binary(min_size=32, max_size=32))
def test_any_bytes_are_a_key_or_refused_by_name(raw: bytes) -> None:
    try:
        key = load_public_key(raw)
    except (MalformedError, WeakKeyError):
        return
    assert len(raw) == 32
    with pytest.raises(MeshError):
        verify(replace(BUNDLE, signature=bytes(64)), key)
