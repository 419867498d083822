"""Inputs of the vectors of the narrow form: brief bodies, short forms, and their seal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from protocol import brief, hlc
from protocol.bundle import Bundle, Header, Scope, Suite, build
from protocol.envelope import seal_message
from protocol.limits import KINDS, Kind
from protocol.narrow.form import background_of, encode_short, encode_whole
from protocol.narrow.radio import radio_key, wrap
from protocol.payloads import Position, Sos, SosPlace
from tests.vectors.seeds import HEADER, KEY, NODE, NOW_MS, SEED, SQUAD, Case, accepted, refused

__all__ = ["brief_cases", "narrow_cases", "radio_cases"]

ZONE = Scope.for_zone(7)
_AT = replace(HEADER, hlc=hlc.pack(NOW_MS, 0))
PLACED = replace(
    _AT,
    kind=Kind.POSITION,
    lifetime_s=KINDS[Kind.POSITION].lifetime_s,
    seq=70_000,
    index=2_047,
    hlc=hlc.pack(NOW_MS, 3),
)
ALARMED = replace(
    _AT,
    suite=Suite.ZONE,
    kind=Kind.SOS,
    lifetime_s=KINDS[Kind.SOS].lifetime_s,
    scope=ZONE,
    index=0,
)
HERE = SosPlace(NOW_MS - 1_234, 448_900_000, -66_400_000, 125)
RAISED = Sos(NODE, ZONE.encode(), "À l'aide", b"alarm-id", 0, place=HERE)
CLOSED = Sos(NODE, ZONE.encode(), "vu", b"alarm-id", 4, raiser=bytes(16), basis=3, outcome=2)


def _position(taken_ms: int, *place: int) -> bytes:
    return brief.seal_position(Position(NODE, SQUAD.encode(), taken_ms, *place), PLACED)


def _sealed(header: Header, plaintext: bytes) -> Bundle:
    return build(header, seal_message(SEED, header.encode(), plaintext), KEY.sign)


def brief_cases() -> Iterator[Case]:
    """Places at their bounds, every sort of step, and each just beyond."""
    good = {
        "now, at the north pole": _position(NOW_MS, 900_000_000, -1_800_000_000, 0),
        "in milliseconds": _position(NOW_MS - 65_535, -900_000_000, 1_800_000_000, 1_000_000),
        "between the two": _position(NOW_MS - 65_999, 1, -1, 1),
        "in seconds": _position(NOW_MS - 66_999, 1, -1, 1),
        "as old as they get": _position(NOW_MS - 65_535_999, 1, -1, 1),
    }
    place = {"kind": int(Kind.POSITION), "stamp_ms": NOW_MS}
    for what, raw in good.items():
        yield accepted("12.2", what, place | {"plaintext": raw.hex()})
    raw = good["in seconds"]
    for what, odd in {
        "version 2": bytes([raw[0] ^ 0x30]) + raw[1:],
        "seconds for a minute": raw[:1] + b"\0\x20" + raw[3:],
        "too far off": raw[:2] + b"\x1f\xff\xff" + raw[5:],
        "a byte too many": raw + b"\0",
        "beyond the date line": raw[:9] + b"\xff" * 4,
    }.items():
        yield refused("12.1", what, place | {"plaintext": odd.hex()})
    alarm = {"kind": int(Kind.SOS), "stamp_ms": NOW_MS}
    steps = {
        "raised with a place": RAISED,
        "raised without one": replace(RAISED, place=None),
        "repeated in another round": replace(RAISED, number=255, round=15),
        "closed by a witness": CLOSED,
        "seen": replace(CLOSED, step=1, basis=0, outcome=0, text=""),
    }
    for what, sos in steps.items():
        raw = brief.seal_sos(sos, ALARMED)
        yield accepted("12.3", what, alarm | {"plaintext": raw.hex()})
    raw = brief.seal_sos(replace(RAISED, number=1), ALARMED)
    for what, odd in {
        "version 3": b"\x30" + raw[1:],
        "an unknown flag": raw[:1] + b"\x07" + raw[2:],
        "number 0": raw[:10] + b"\0" + raw[11:],
        "no whole place": raw[:20],
        "a text that is none": raw + b"\xff",
        "outcome 3": b"\x24\x03" + bytes(24),
        "no whole raiser": b"\x24\x01" + bytes(23),
    }.items():
        yield refused("12.3", what, alarm | {"plaintext": odd.hex()})


def narrow_cases() -> Iterator[Case]:
    """A position, an alarm, a whole bundle, at both ends of their lives; and what is no form."""
    alarm = replace(ALARMED, seq=2**24 - 1)
    position = _sealed(PLACED, _position(NOW_MS - 5_000, 448_900_000, 66_400_000, 125))
    raised = _sealed(alarm, brief.seal_sos(RAISED, alarm))
    week_ms, day_ms = 7 * 86_400_000, 86_400_000
    for what, bundle, now_ms in (
        ("a position", position, NOW_MS),
        ("a position of half a day ago", position, NOW_MS + day_ms // 2),
        ("a position of tomorrow", position, NOW_MS - day_ms),
        ("an alarm", raised, NOW_MS),
        ("an alarm of last week", raised, NOW_MS + week_ms),
    ):
        yield accepted("12.4", what, _item(encode_short(bundle), bundle, now_ms))
    yield accepted("12.4", "whole", _item(encode_whole(position), position, NOW_MS))
    form = encode_short(position)
    assert form is not None
    for what, raw in {
        "nothing": b"",
        "form 0": b"\0" + form[1:],
        "no whole seal": form[: 13 + 16 + 63],
        "number 0": form[:5] + bytes(3) + form[8:],
        "longer than a frame": form + bytes(240),
    }.items():
        yield refused("12.4", what, _item(raw, position, NOW_MS))
    yield refused("12.6", "before 1970", _item(form[:8] + b"\xff" * 5 + form[13:], position, 0))


def _item(form: bytes | None, bundle: Bundle, now_ms: int) -> dict[str, object]:
    assert form is not None
    known = background_of(bundle.header)
    return {
        "form": form.hex(),
        "author": known.author.hex(),
        "incarnation": known.incarnation,
        "scope": known.scope.encode().hex(),
        "keyref": known.keyref.hex(),
        "now_ms": now_ms,
    }


def radio_cases() -> Iterator[Case]:
    """Frames of several lengths, and each that no radio key of the week sealed."""
    key = radio_key(SEED)
    for length in (1, 15, 16, 17, 106, 240):
        form = (b"\x40" + bytes(range(240)))[:length]
        item = {"key": SEED.hex(), "frame": wrap(key, form, length % 64).hex()}
        yield accepted("12.7", f"{length} bytes", item)
    frame = wrap(key, b"\x40" + bytes(105), 0)
    for what, raw in {
        "another key": wrap(radio_key(bytes(32)), b"\x40" + bytes(105), 0),
        "a changed bit": frame[:-1] + bytes([frame[-1] ^ 1]),
        "a tag alone": frame[:16],
        "a byte too many": frame + b"\0",
        "longer than a frame": bytes(257),
    }.items():
        yield refused("12.7", what, {"key": SEED.hex(), "frame": raw.hex()})
