"""Narrow forms: the identical bundle comes out, judged by a slow coder; and their sizes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import bundle as bundles
from protocol import hlc
from protocol.brief import seal_position, seal_sos
from protocol.bundle import Bundle, Header, Scope, Suite, build
from protocol.envelope import seal_message
from protocol.errors import LimitExceededError, MalformedError, RemoteProtocolError
from protocol.limits import CLOCK_HOLD_MS_MAX, KINDS, Kind
from protocol.narrow.bounds import NARROW_FORM_BYTES_MAX
from protocol.narrow.form import (
    Background,
    Form,
    Short,
    Whole,
    background_of,
    decode_form_untrusted,
    encode_short,
    encode_whole,
    restored,
)
from protocol.narrow.kiss import encode_kiss
from protocol.narrow.radio import wrap
from protocol.payloads import Position, Sos, SosPlace
from tests.reference import narrow as reference
from tests.strategies import headers, mutated

NOW_MS = 1_800_000_000_000
NODE = bytes(range(16))
SQUAD = Scope.for_squad(7, b"squad-id")
ZONE = Scope.for_zone(7)
POSITION_BYTES_MAX, SOS_BYTES_MAX = 125, 140
"""On the air, framing and escapes included; what is asked of narrow links."""


def sign(_data: bytes) -> bytes:
    """Return bytes where the signature stands."""
    return bytes(range(64))


def header(kind: Kind, seq: int = 70_000, index: int = 2_047) -> Header:
    """Return a header that is as long as they get in a year of service."""
    suite, scope = (Suite.CHAIN, SQUAD) if kind is Kind.POSITION else (Suite.ZONE, ZONE)
    number = index if suite is Suite.CHAIN else 0
    stamp, life_s = hlc.pack(NOW_MS, 3), KINDS[kind].lifetime_s
    return Header(suite, kind, NODE, 2**32 - 1, seq, stamp, life_s, scope, b"\xff" * 8, number)


def position(seq: int = 70_000) -> Bundle:
    """Return a sealed position."""
    under = header(Kind.POSITION, seq)
    told = Position(NODE, SQUAD.encode(), NOW_MS - 40_000_000, 900_000_000, -1_800_000_000, 125)
    return build(under, seal_message(bytes(32), under.encode(), seal_position(told, under)), sign)


def alarm(text: str, *, has_place: bool = True) -> Bundle:
    """Return a sealed alarm."""
    under = header(Kind.SOS)
    place = SosPlace(NOW_MS - 5_000, 448_900_000, 66_400_000, 125) if has_place else None
    told = Sos(NODE, ZONE.encode(), text, b"alarm-id", 0, place=place)
    return build(under, seal_message(bytes(32), under.encode(), seal_sos(told, under)), sign)


usual = st.builds(
    lambda each, is_usual, seq, count: replace(
        each,
        lifetime_s=KINDS[each.kind].lifetime_s if is_usual else each.lifetime_s,
        seq=seq or each.seq,
        hlc=hlc.pack(hlc.wall_ms(each.hlc), count),
    ),
    headers(),
    st.booleans(),
    st.integers(0, 2**24),
    st.integers(0, 4),
)
"""Headers of all sorts, of which many have a short form."""
narrow_kinds = st.builds(
    lambda each, is_position: replace(
        each,
        kind=Kind.POSITION if is_position else Kind.SOS,
        suite=Suite.CHAIN if is_position else Suite.ZONE,
        lifetime_s=KINDS[Kind.POSITION if is_position else Kind.SOS].lifetime_s,
        keyref=each.keyref.ljust(8, b"k"),
        index=each.index % 2_048 if is_position else 0,
    ),
    usual,
    st.booleans(),
)


@given(usual | narrow_kinds, st.binary(min_size=16, max_size=200))
@settings(max_examples=300)
def test_the_slow_coder_writes_the_same(each: Header, body: bytes) -> None:
    found = build(each, body, sign)
    assert encode_short(found) == reference.encode_short(found)


@given(narrow_kinds, st.binary(min_size=16, max_size=150), st.data())
@settings(max_examples=300)
def test_the_identical_bundle_comes_out_all_its_life(
    each: Header, body: bytes, data: st.DataObject
) -> None:
    found = build(each, body, sign)
    raw = encode_short(found)
    if raw is None:
        assert each.seq >= 2**24 or hlc.counter(each.hlc) > 3 or len(body) > 140
        return
    short = decode_form_untrusted(raw)
    assert isinstance(short, Short)
    known = background_of(each)
    assert known.name(short.form) == short.name
    stamp_ms = hlc.wall_ms(each.hlc)
    earliest_ms = max(0, stamp_ms - CLOCK_HOLD_MS_MAX)
    now_ms = data.draw(st.integers(earliest_ms, stamp_ms + 1000 * each.lifetime_s))
    assert restored(short, known, now_ms) == found.raw


@pytest.mark.parametrize("seq", [1, 70_000, 2**24 - 1])
def test_a_position_has_at_most_125_bytes_on_the_air(seq: int) -> None:
    form = encode_short(position(seq))
    assert form is not None
    sizes = {len(encode_kiss(wrap(bytes([n]) * 64, form, n))) for n in range(100)}
    print(f"position: bundle {len(position(seq).raw)} B, form {len(form)} B, on the air {sizes} B")
    assert max(sizes) <= POSITION_BYTES_MAX


def test_an_alarm_has_at_most_140_bytes_on_the_air() -> None:
    cases = {"place and 6 bytes": alarm("à moi"), "19 bytes": alarm("a" * 19, has_place=False)}
    for what, bundle in cases.items():
        form = encode_short(bundle)
        assert form is not None
        sizes = {len(encode_kiss(wrap(bytes([n]) * 64, form, n))) for n in range(100)}
        print(
            f"SOS with {what}: bundle {len(bundle.raw)} B, form {len(form)} B, on the air {sizes} B"
        )
        assert max(sizes) <= SOS_BYTES_MAX


def test_what_has_no_short_form_goes_whole_if_it_fits() -> None:
    text = replace(header(Kind.POSITION), kind=Kind.TEXT, lifetime_s=600)
    bundle = build(text, bytes(32), sign)
    assert encode_short(bundle) is None
    whole = encode_whole(bundle)
    assert whole is not None
    assert decode_form_untrusted(whole) == Whole(bundle.raw)
    assert encode_whole(build(text, bytes(200), sign)) is None
    assert encode_short(alarm("a" * 140)) is None, "it would be longer than a frame"


@given(mutated([encode_short(position()) or b"", encode_short(alarm("help")) or b""]))
@settings(max_examples=300)
def test_what_is_read_of_noise_is_a_bundle_or_refused(raw: bytes) -> None:
    known = Background(NODE, 1, SQUAD, bytes(8))
    try:
        heard = decode_form_untrusted(raw)
        container = heard.raw if isinstance(heard, Whole) else restored(heard, known, NOW_MS)
        bundles.decode_untrusted(container)
    except RemoteProtocolError:
        pass


def test_what_is_no_form_is_refused() -> None:
    form = encode_short(position())
    assert form is not None
    for raw in (b"", b"\x00" + form[1:], form[:92], form[:5] + bytes(3) + form[8:]):
        with pytest.raises(MalformedError):
            decode_form_untrusted(raw)
    with pytest.raises(LimitExceededError):
        decode_form_untrusted(form + bytes(NARROW_FORM_BYTES_MAX))
    short = decode_form_untrusted(form)
    assert isinstance(short, Short)
    with pytest.raises(MalformedError):
        restored(replace(short, time=2**27 - 1), background_of(position().header), 0)


def test_names_tell_backgrounds_apart() -> None:
    known = background_of(position().header)
    others = [
        replace(known, incarnation=1),
        replace(known, scope=ZONE),
        replace(known, keyref=bytes(8)),
        replace(known, author=bytes(16)),
    ]
    names = {each.name(Form.POSITION) for each in (known, *others)} | {known.name(Form.SOS)}
    assert len(names) == 6
