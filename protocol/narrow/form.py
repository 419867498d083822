"""The narrow form of a bundle: the same bundle, bit by bit, without what its hearers know.

Author, incarnation, scope and key of a position or an alarm are told by four bytes, which only
those can read who know such an author, and its stamp by what tells it from others of its time.
Body and signature go as they are, so whoever restores the bundle checks the very signature that
its author made, and passes it on as any other. A bundle that has no short form goes whole.
Source: wire-format 12.4-12.6, security 2.4.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from protocol import canonical, hlc
from protocol.bundle import Bundle, Header, Scope, Suite
from protocol.errors import LimitExceededError, MalformedError
from protocol.ids import NodeId
from protocol.limits import CLOCK_HOLD_MS_MAX, KINDS, Kind
from protocol.narrow.bounds import NARROW_FORM_BYTES_MAX

__all__ = [
    "AUTHOR_BYTES",
    "Background",
    "Form",
    "Short",
    "Whole",
    "background_of",
    "decode_form_untrusted",
    "encode_short",
    "encode_whole",
    "restored",
]


class Form(IntEnum):
    """The upper two bits of the first byte; the others are free. Source: wire-format 12.4."""

    POSITION = 1
    """A position under a chain."""
    SOS = 2
    """A step of an alarm under the zone's key."""
    WHOLE = 3
    """Any bundle, as its container."""


class _Layout(NamedTuple):
    """What a short form says in numbers after name and seq: bits of each, 40 or 32 in all."""

    kind: Kind
    suite: Suite
    time_bits: int
    index_bits: int


_LAYOUTS: Final = {
    Form.POSITION: _Layout(Kind.POSITION, Suite.CHAIN, 27, 11),
    Form.SOS: _Layout(Kind.SOS, Suite.ZONE, 30, 0),
}
_FORM_SHIFT: Final = 6
AUTHOR_BYTES: Final = 2
"""So much of an author's id stands in a name."""
_NAME_BYTES: Final = 4
_SEQ_BYTES: Final = 3
_COUNTER_BITS: Final = 2
_SIGNATURE_BYTES: Final = 64
_TAG_BYTES: Final = 16
_DOMAIN: Final = b"meshnode narrow name 1\0"


@dataclass(frozen=True, slots=True)
class Background:
    """What a header says that its hearers know already."""

    author: NodeId
    """16 bytes."""
    incarnation: int
    """32 bits."""
    scope: Scope
    """Whom it is for."""
    keyref: bytes = field(repr=False)
    """8 bytes: the chain, or the zone's key."""

    def name(self, form: Form) -> bytes:
        """Return the 4 bytes that stand for it: two of the author, two of a hash."""
        known = self.author + self.incarnation.to_bytes(4, "big") + self.scope.encode()
        found = hashlib.sha256(_DOMAIN + bytes([form]) + known + self.keyref).digest()
        return self.author[:AUTHOR_BYTES] + found[: _NAME_BYTES - AUTHOR_BYTES]


@dataclass(frozen=True, slots=True)
class Short:
    """A short form as it was heard."""

    form: Form
    """Which of the two that are short."""
    name: bytes
    """4 bytes: of which background."""
    seq: int
    """Number of the bundle, 24 bits."""
    time: int
    """The low bits of its time in milliseconds."""
    counter: int
    """Of its stamp, 0-3."""
    index: int
    """Number in its chain; 0 in an alarm."""
    body: bytes
    """As sealed."""
    signature: bytes
    """64 bytes."""


class Whole(NamedTuple):
    """A bundle that was sent whole."""

    raw: bytes
    """Its container, not looked at yet."""


Heard: TypeAlias = Short | Whole


def background_of(header: Header) -> Background:
    """Return what those know who have had a bundle with this header."""
    return Background(header.author, header.incarnation, header.scope, header.keyref)


def encode_short(bundle: Bundle) -> bytes | None:
    """Return the short form of a position or an alarm; None for a bundle that has none."""
    header = bundle.header
    form = _form_of(header)
    if form is None:
        return None
    layout = _LAYOUTS[form]
    counter, is_usual = hlc.counter(header.hlc), header.lifetime_s == KINDS[header.kind].lifetime_s
    if header.seq >> 8 * _SEQ_BYTES or counter >> _COUNTER_BITS or not is_usual:
        return None
    numbers = hlc.wall_ms(header.hlc) & (1 << layout.time_bits) - 1
    numbers = (numbers << _COUNTER_BITS | counter) << layout.index_bits | header.index
    raw = (
        bytes([form << _FORM_SHIFT])
        + background_of(header).name(form)
        + header.seq.to_bytes(_SEQ_BYTES, "big")
        + numbers.to_bytes(_number_bytes(layout), "big")
        + bundle.body
        + bundle.signature
    )
    return raw if len(raw) <= NARROW_FORM_BYTES_MAX else None


def encode_whole(bundle: Bundle) -> bytes | None:
    """Return a bundle as it is; None where it is longer than a frame holds."""
    raw = bytes([Form.WHOLE << _FORM_SHIFT]) + bundle.raw
    return raw if len(raw) <= NARROW_FORM_BYTES_MAX else None


def decode_form_untrusted(raw: bytes) -> Heard:
    """Read a form. Raises: MalformedError, LimitExceededError."""
    if len(raw) > NARROW_FORM_BYTES_MAX:
        raise LimitExceededError("narrow form bytes", NARROW_FORM_BYTES_MAX, len(raw))
    kind = raw[0] >> _FORM_SHIFT if raw else 0
    if kind == Form.WHOLE:
        return Whole(raw[1:])
    if not kind:
        raise MalformedError("the narrow form is of an unknown kind")
    form = Form(kind)
    layout = _LAYOUTS[form]
    seq_at = 1 + _NAME_BYTES
    numbers_at = seq_at + _SEQ_BYTES
    body_at = numbers_at + _number_bytes(layout)
    if len(raw) < body_at + _TAG_BYTES + _SIGNATURE_BYTES:
        raise MalformedError("the narrow form is cut short")
    seq = int.from_bytes(raw[seq_at:numbers_at], "big")
    if not seq:
        raise MalformedError("bundles are numbered from 1")
    numbers = int.from_bytes(raw[numbers_at:body_at], "big")
    return Short(
        form,
        raw[1:seq_at],
        seq,
        numbers >> layout.index_bits + _COUNTER_BITS,
        numbers >> layout.index_bits & (1 << _COUNTER_BITS) - 1,
        numbers & (1 << layout.index_bits) - 1,
        raw[body_at:-_SIGNATURE_BYTES],
        raw[-_SIGNATURE_BYTES:],
    )


def restored(short: Short, known: Background, now_ms: int) -> bytes:
    """Return the container of a short form, if `known` is its background.

    The time is the latest with its low bits that is at most a day ahead of `now_ms` (Unix
    milliseconds). Whether all that is right shows the signature. Raises: MalformedError.
    """
    layout = _LAYOUTS[short.form]
    newest_ms = now_ms + CLOCK_HOLD_MS_MAX
    wall_ms = newest_ms - (newest_ms - short.time) % (1 << layout.time_bits)
    if wall_ms < 0:
        raise MalformedError("the narrow form is dated before 1970")
    header = Header(
        suite=layout.suite,
        kind=layout.kind,
        author=known.author,
        incarnation=known.incarnation,
        seq=short.seq,
        hlc=hlc.pack(wall_ms, short.counter),
        lifetime_s=KINDS[layout.kind].lifetime_s,
        scope=known.scope,
        keyref=known.keyref,
        index=short.index,
    )
    sealed = canonical.encode(header.encode()) + canonical.encode(short.body)
    return sealed + short.signature


def _form_of(header: Header) -> Form | None:
    for form, layout in _LAYOUTS.items():
        if header.kind is layout.kind and header.suite is layout.suite:
            return form
    return None


def _number_bytes(layout: _Layout) -> int:
    bits = layout.time_bits + _COUNTER_BITS + layout.index_bits
    assert not bits % 8, "the numbers fill whole bytes"
    return bits // 8
