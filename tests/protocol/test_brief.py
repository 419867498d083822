"""Brief positions and alarms: the same comes out, in few bytes, judged by a slow coder."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import hlc, payloads
from protocol.brief import (
    PLACE_BYTES,
    open_position_untrusted,
    open_sos_untrusted,
    seal_position,
    seal_sos,
)
from protocol.bundle import Header, Scope, Suite
from protocol.envelope import pad
from protocol.errors import LimitExceededError, MalformedError, TamperedError
from protocol.limits import KINDS, Kind
from protocol.payloads import Position, Sos, SosPlace
from tests.reference import briefs
from tests.strategies import alarm_steps, mutated, positions

STAMP_MS = 1_800_000_000_000
NODE, SQUAD = bytes(range(16)), bytes(8)
OTHER = (Scope.for_squad(7, SQUAD), bytes(16))
HERE = SosPlace(STAMP_MS - 1_234, 448_900_000, -66_400_000, 125)
REFUSED = (MalformedError, LimitExceededError)


def header(author: bytes = NODE, scope: bytes = b"\x04\x00\x07", kind: Kind = Kind.SOS) -> Header:
    """Return a header as the author of a payload would write it."""
    stamp, life_s = hlc.pack(STAMP_MS, 0), KINDS[kind].lifetime_s
    whom = Scope.decode_untrusted(scope)
    return Header(Suite.ZONE, kind, author, 1, 1, stamp, life_s, whom, bytes(8))


def rounded(place: SosPlace | None) -> SosPlace | None:
    """Return a place as it is read: its age in whole seconds from 66 s on."""
    if place is None:
        return None
    age_ms = STAMP_MS - place.taken_ms
    if 65_536 <= age_ms < 66_000:
        age_ms = 65_535
    elif 66_000 <= age_ms < 65_536_000:
        age_ms -= age_ms % 1000
    return replace(place, taken_ms=STAMP_MS - age_ms)


AGES = (
    st.integers(65_530, 66_010)
    | st.integers(-10, 70_000)
    | st.integers(-10, 70_000_000)
    | st.just(STAMP_MS)
)


@given(alarm_steps(), AGES)
def test_every_step_of_an_alarm_is_read_as_it_was_written(sos: Sos, age_ms: int) -> None:
    if sos.place is not None:
        sos = replace(sos, place=replace(sos.place, taken_ms=STAMP_MS - age_ms))
    under = header(sos.author, sos.scope)
    plaintext = seal_sos(sos, under)
    assert open_sos_untrusted(plaintext, under) == replace(sos, place=rounded(sos.place))
    assert len(plaintext) < len(payloads.encode(sos)) or plaintext == payloads.encode(sos)


@given(positions(), AGES)
def test_every_position_is_read_as_it_was_written(position: Position, age_ms: int) -> None:
    position = replace(position, taken_ms=STAMP_MS - age_ms)
    under = header(position.author, position.scope, Kind.POSITION)
    numbers = (position.latitude_e7, position.longitude_e7, position.accuracy_dm)
    place = SosPlace(position.taken_ms, *numbers)
    plaintext = seal_position(position, under)
    assert plaintext == (briefs.encode_place(place, STAMP_MS) or pad(payloads.encode(position)))
    read = rounded(place)
    assert read is not None
    assert open_position_untrusted(plaintext, under) == replace(position, taken_ms=read.taken_ms)
    assert read.taken_ms >= position.taken_ms, "nobody is shown as in a shift before it began"


def test_the_figures_of_the_wire_format() -> None:
    position = Position(NODE, OTHER[0].encode(), HERE.taken_ms, 1, 2, 3)
    under = header(NODE, position.scope, Kind.POSITION)
    assert len(seal_position(position, under)) == PLACE_BYTES
    alarm = Sos(NODE, header().scope.encode(), "blessé", b"alarm-id", 0, place=HERE)
    assert len(seal_sos(alarm, header())) == 10 + PLACE_BYTES + len("blessé".encode())
    closed = Sos(NODE, alarm.scope, "", b"alarm-id", 4, raiser=NODE, basis=1, outcome=1)
    assert len(seal_sos(closed, header())) == 26


def test_the_long_form_is_read_for_its_own_header_alone() -> None:
    position = Position(NODE, OTHER[0].encode(), HERE.taken_ms, 1, 2, 3)
    long_form = pad(payloads.encode(position))
    assert open_position_untrusted(long_form, header(NODE, position.scope)) == position
    with pytest.raises(TamperedError):
        open_position_untrusted(long_form, header(OTHER[1], position.scope))


SEEDS = [
    seal_sos(Sos(NODE, b"\x04\x00\x07", "à", b"alarm-id", 0, number=2, place=HERE), header()),
    seal_sos(Sos(NODE, b"\x04\x00\x07", "", b"alarm-id", 3, raiser=NODE), header()),
]


@given(mutated(SEEDS) | st.binary(max_size=40))
@settings(max_examples=300)
def test_there_is_one_brief_form_of_what_is_read(raw: bytes) -> None:
    try:
        found = open_sos_untrusted(raw, header())
    except (*REFUSED, TamperedError):
        return
    assert isinstance(found, Sos)
    assert raw[0] >= 0x80 or seal_sos(found, header()) == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        SEEDS[0][:2],
        b"\x30" + SEEDS[0][1:],
        b"\x20\x04" + bytes(8),
        b"\x20\x02" + bytes(9),
        b"\x24\x03" + bytes(24),
        b"\x20\x00" + bytes(8) + b"\xff",
    ],
    ids=["empty", "cut", "version", "flag", "number 0", "outcome", "text"],
)
def test_what_is_no_alarm_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        open_sos_untrusted(raw, header())


@pytest.mark.parametrize(
    "bits",
    [
        {"version": 2},
        {"seconds": 1, "age": 65},
        {"accuracy": 1_000_001},
        {"latitude": 1_800_000_001},
        {"longitude": 3_600_000_001},
    ],
)
def test_what_is_no_place_is_refused(bits: dict[str, int]) -> None:
    values = {"version": 1} | bits
    raw = 0
    for name, width in briefs.WIDTHS.items():
        raw = raw << width | values.get(name, 0)
    with pytest.raises(MalformedError):
        open_position_untrusted(raw.to_bytes(PLACE_BYTES, "big"), header(kind=Kind.POSITION))
    with pytest.raises(MalformedError):
        open_position_untrusted(bytes([16]) + bytes(11), header(kind=Kind.POSITION))


def test_what_is_beyond_its_bounds_is_not_written() -> None:
    scope = header().scope.encode()
    with pytest.raises(ValueError, match="bounds"):
        seal_sos(Sos(NODE, scope, "", b"alarm-id", 0, round=16), header())
    with pytest.raises(ValueError, match="bounds"):
        seal_position(
            Position(NODE, scope, STAMP_MS, 900_000_001, 0, 0), header(kind=Kind.POSITION)
        )
    with pytest.raises(LimitExceededError):
        open_sos_untrusted(b"\x20\x00" + bytes(8) + b"a" * 16_385, header())
