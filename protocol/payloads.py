"""What people and programs read after a bundle was opened.

Author and scope of the header are repeated inside, so a ciphertext that was lifted under another
header never opens as the thief's. Source: wire-format 4.10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from protocol import canonical
from protocol.attachments import Manifest, manifest_fields, read_manifest_untrusted
from protocol.canonical import Value
from protocol.coverage import (
    LOOKS_MIN,
    NAME_BYTES,
    SQUARES_MAX,
    Contribution,
    contribution_fields,
    read_contribution_untrusted,
)
from protocol.errors import MalformedError, TamperedError
from protocol.guards import MANIFEST_BYTES_MAX, NETWORK_KEYS_PER_EPOCH_MAX
from protocol.ids import NodeId
from protocol.limits import TEXT_BYTES_MAX
from protocol.network_keys import KEY_BYTES, OLD_EPOCHS_MAX, KeyPurpose, WeeklyKey
from protocol.pages import READ_PAGES_MAX, ReadPage, as_read_pages
from protocol.states import (
    Battery,
    Coverage,
    battery_fields,
    coverage_fields,
    read_battery_untrusted,
    read_coverage_untrusted,
)
from protocol.tracks import TRACK_BYTES_MAX, TrackPoint, decode_points_untrusted, encode_points

__all__ = [
    "ACCURACY_DM_MAX",
    "LATITUDE_E7_MAX",
    "LONGITUDE_E7_MAX",
    "READ_PAGES_MAX",
    "SOS_NUMBER_MAX",
    "SOS_OUTCOME_MAX",
    "SOS_ROUND_MAX",
    "Attached",
    "CoverageMap",
    "NetworkKeys",
    "Origin",
    "Payload",
    "Position",
    "Read",
    "ReadPage",
    "Sos",
    "SosPlace",
    "State",
    "Text",
    "Track",
    "decode_untrusted",
    "encode",
]

LATITUDE_E7_MAX: Final = 900_000_000
"""The poles, in ten-millionths of a degree."""
LONGITUDE_E7_MAX: Final = 1_800_000_000
"""The date line, in ten-millionths of a degree."""
ACCURACY_DM_MAX: Final = 1_000_000
"""A position that may be off by more than 100 km is none, decimetres."""
SOS_ROUND_MAX: Final = 15
"""An alarm is raised anew at most so often after it was closed."""
SOS_NUMBER_MAX: Final = 255
"""An alarm that nobody takes is repeated at most so often."""
_VERSION = 1
_TEXT, _SOS, _NETWORK_KEYS, _POSITION, _STATE, _TRACK = 1, 2, 3, 4, 5, 6
_ATTACHED: Final = 7
_READ, _COVERAGE = 9, 10
_TEXT_AGAIN: Final = 6
"""Fields of a text that was sent again: five more than its words."""
_STEP_MAX = 15
_BASIS_MAX = 3
SOS_OUTCOME_MAX: Final = 2
"""How an alarm ended: 1 over, 2 false alarm."""
_WEEKS_MAX = 4
"""Weeks that one payload tells keys of: the present one and the next, with room."""
_KEYS_MAX = len(OLD_EPOCHS_MAX) * NETWORK_KEYS_PER_EPOCH_MAX * _WEEKS_MAX


@dataclass(frozen=True, slots=True)
class Origin:
    """Which earlier message of the same author a text repeats. Source: wire-format 4.31."""

    incarnation: int
    """Of the author's store."""
    seq: int
    """Number of the bundle that carried it first."""
    scope: bytes
    """Whom it was for, encoded."""
    created_ms: int
    """When it was written, Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class Text:
    """A message that somebody wrote."""

    author: NodeId
    """As in the header."""
    scope: bytes
    """As in the header, encoded."""
    text: str = field(repr=False)
    """Up to 16 kB of UTF-8."""
    origin: Origin | None = None
    """The message that this one repeats; None for a message of its own."""


@dataclass(frozen=True, slots=True)
class SosPlace:
    """Where the agent in need was when the alarm was written."""

    taken_ms: int
    """When it was there, Unix milliseconds."""
    latitude_e7: int = field(repr=False)
    """Ten-millionths of a degree, north positive."""
    longitude_e7: int = field(repr=False)
    """Ten-millionths of a degree, east positive."""
    accuracy_dm: int
    """Radius within which it was, decimetres; 0 where that is not known."""


@dataclass(frozen=True, slots=True)
class Sos:
    """One step of an alarm. Source: wire-format 4.19."""

    author: NodeId
    """As in the header: who took this step."""
    scope: bytes
    """As in the header, encoded."""
    text: str = field(repr=False)
    """Up to 16 kB of UTF-8; empty where a later step says nothing."""
    alarm_id: bytes
    """8 bytes that bind the steps of one alarm of one agent."""
    step: int
    """0 raised; later steps answer it; see `protocol.alarms`."""
    raiser: NodeId = b""
    """Whose alarm a later step is about; empty at step 0, whose author raises it."""
    round: int = 0
    """How often the alarm had been raised anew after a closing."""
    number: int = 0
    """At step 0: how often this round of it had been repeated."""
    basis: int = 0
    """At step 4: by which right it is closed, 1 agent, 2 operator, 3 witness; else 0."""
    outcome: int = 0
    """At step 4: 1 over, 2 false alarm; else 0."""
    place: SosPlace | None = field(default=None, repr=False)
    """At step 0: where the agent was, if it is told."""

    @property
    def alarm(self) -> tuple[NodeId, bytes]:
        """Whose alarm this is about, and which: nobody else's can have the same name."""
        return self.raiser or self.author, self.alarm_id


@dataclass(frozen=True, slots=True)
class NetworkKeys:
    """Keys of the present and the coming week, from an operator."""

    author: NodeId
    """As in the header."""
    scope: bytes
    """As in the header, encoded."""
    keys: tuple[WeeklyKey, ...] = field(repr=False)
    """1 to 32 of them."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a device was during the shift of its agent."""

    author: NodeId
    """As in the header."""
    scope: bytes
    """As in the header, encoded."""
    taken_ms: int
    """When it was there, Unix milliseconds."""
    latitude_e7: int = field(repr=False)
    """Ten-millionths of a degree, north positive."""
    longitude_e7: int = field(repr=False)
    """Ten-millionths of a degree, east positive."""
    accuracy_dm: int
    """Radius within which it was, decimetres; 0 where that is not known."""


@dataclass(frozen=True, slots=True)
class State:
    """What a device tells of itself beside its place. Source: wire-format 4.22."""

    author: NodeId
    """As in the header."""
    scope: bytes
    """As in the header, encoded."""
    battery: Battery | None
    """None where nothing is known of one."""
    coverage: Coverage | None
    """None where nothing is known of it."""
    gateway_ms: int
    """Last contact with a gateway, Unix milliseconds; 0 for none."""


@dataclass(frozen=True, slots=True)
class Track:
    """Where a device was, point by point. Source: wire-format 4.21."""

    author: NodeId
    """As in the header."""
    scope: bytes
    """As in the header, encoded."""
    points: tuple[TrackPoint, ...] = field(repr=False)
    """1 to 512, the oldest first."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a person read, of all that still lives. Source: wire-format 4.32."""

    author: NodeId
    """As in the header: who read."""
    scope: bytes
    """As in the header, encoded."""
    pages: tuple[ReadPage, ...] = field(repr=False)
    """1 to 64, ascending by author, incarnation and page."""


@dataclass(frozen=True, slots=True)
class CoverageMap:
    """What networks a device met in one shift, where. Source: wire-format 4.41."""

    author: NodeId
    """As in the header."""
    scope: bytes
    """As in the header, encoded."""
    name: bytes
    """16 bytes, random; the same in each bundle that carries this contribution."""
    contribution: Contribution = field(repr=False)
    """What was met."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A message that somebody wrote, with a file that follows in chunks."""

    author: NodeId
    """As in the header."""
    scope: bytes
    """As in the header, encoded."""
    text: str = field(repr=False)
    """Up to 16 kB of UTF-8."""
    manifest: Manifest
    """What the file is, and the key of its chunks."""
    origin: Origin | None = None
    """The message that this one repeats, whose file it is; None for a message of its own."""


Payload: TypeAlias = (
    Text | Sos | NetworkKeys | Position | State | Track | Read | CoverageMap | Attached
)


def encode(payload: Payload) -> bytes:
    """Return the canonical bytes. Raises: ValueError if the content is beyond its bounds."""
    kind, *rest = _fields(payload)
    return canonical.encode((_VERSION, kind, payload.author, payload.scope, *rest))


def _fields(payload: Payload) -> tuple[Value, ...]:
    match payload:
        case Text():
            return (_TEXT, _text_bytes(payload.text), *_origin_fields(payload.origin))
        case Read():
            pages = [(e.author, e.incarnation, e.page, e.read, e.withdrawn) for e in payload.pages]
            return (_READ, pages)
        case Sos():
            usual = (_SOS, _text_bytes(payload.text), payload.alarm_id, payload.step)
            more = _sos_fields(payload)
            return (*usual, more) if more else usual
        case Attached():
            told = (_text_bytes(payload.text), manifest_fields(payload.manifest))
            return (_ATTACHED, *told, *_origin_fields(payload.origin))
        case NetworkKeys():
            keys = [(int(each.purpose), each.epoch, each.key) for each in payload.keys]
            return (_NETWORK_KEYS, keys)
        case Position():
            return (_POSITION, *_place_fields(payload))
        case State():
            battery = battery_fields(payload.battery)
            return (_STATE, battery, coverage_fields(payload.coverage), payload.gateway_ms)
        case Track():
            return (_TRACK, encode_points(payload.points))
        case CoverageMap():
            return (_COVERAGE, payload.name, *contribution_fields(payload.contribution))


def _sos_fields(sos: Sos) -> tuple[Value, ...]:
    """Return what a step says beside its text; nothing for an alarm raised first, without place."""
    if sos.step:
        return (sos.raiser, sos.round, sos.basis, sos.outcome)
    if not (sos.round or sos.number or sos.place):
        return ()
    return (sos.round, sos.number, () if sos.place is None else _place_fields(sos.place))


def _place_fields(place: Position | SosPlace) -> tuple[Value, ...]:
    return (
        place.taken_ms,
        place.latitude_e7 + LATITUDE_E7_MAX,
        place.longitude_e7 + LONGITUDE_E7_MAX,
        place.accuracy_dm,
    )


def _origin_fields(origin: Origin | None) -> tuple[Value, ...]:
    if origin is None:
        return ()
    return (origin.incarnation, origin.seq, origin.scope, origin.created_ms)


def _text_bytes(text: str) -> bytes:
    encoded = text.encode("utf-8")
    if len(encoded) > TEXT_BYTES_MAX:
        raise ValueError(f"a text has at most {TEXT_BYTES_MAX} bytes")
    return encoded


def decode_untrusted(raw: bytes, header_author: NodeId, header_scope: bytes) -> Payload:
    """Return the payload of an opened body.

    Raises: MalformedError, LimitExceededError; TamperedError if author or scope are not those of
    the header.
    """
    value = canonical.decode_untrusted(raw, max_bytes=TEXT_BYTES_MAX + MANIFEST_BYTES_MAX + 256)
    fields = canonical.as_array(value, "payload", 10, 5)
    if fields[0] != _VERSION:
        raise MalformedError("the payload has an unknown version")
    author = canonical.as_bytes(fields[2], "author", 16)
    scope = canonical.as_bytes(fields[3], "scope", 19, 3)
    if author != header_author or scope != header_scope:
        raise TamperedError("the content was written for another header")
    # Asked for by type first: True would find the entry of 1.
    known = _READERS.get(fields[1]) if type(fields[1]) is int else None
    if fields[1] == _TEXT and len(fields) == 3 + _TEXT_AGAIN:
        known = (_TEXT_AGAIN - 1,), _read_text_again
    if known is None or len(fields) - 4 not in known[0]:
        raise MalformedError("the payload has an unknown type")
    return known[1](author, scope, fields[4:])


def _read_text(author: NodeId, scope: bytes, rest: tuple[Value, ...]) -> Text:
    return Text(author, scope, canonical.as_text(rest[0], "text", TEXT_BYTES_MAX))


def _read_text_again(author: NodeId, scope: bytes, rest: tuple[Value, ...]) -> Text:
    return replace(_read_text(author, scope, rest), origin=_read_origin(rest[1:]))


def _read_origin(rest: tuple[Value, ...]) -> Origin:
    incarnation, seq, first_scope, created_ms = rest
    return Origin(
        canonical.as_uint(incarnation, "incarnation", 2**32 - 1),
        canonical.as_uint(seq, "seq", minimum=1),
        canonical.as_bytes(first_scope, "scope", 19, 3),
        canonical.as_uint(created_ms, "created_ms", 2**48 - 1),
    )


def _read_pages(author: NodeId, scope: bytes, rest: tuple[Value, ...]) -> Read:
    return Read(author, scope, as_read_pages(rest[0]))


def _read_attached(author: NodeId, scope: bytes, rest: tuple[Value, ...]) -> Attached:
    text = canonical.as_text(rest[0], "text", TEXT_BYTES_MAX)
    origin = _read_origin(rest[2:]) if rest[2:] else None
    return Attached(author, scope, text, read_manifest_untrusted(rest[1]), origin)


def _read_sos(author: NodeId, scope: bytes, rest: tuple[Value, ...]) -> Sos:
    text = canonical.as_text(rest[0], "text", TEXT_BYTES_MAX)
    alarm_id = canonical.as_bytes(rest[1], "alarm id", 8)
    step = canonical.as_uint(rest[2], "step", _STEP_MAX)
    if len(rest) == 3:
        if step:
            raise MalformedError("a step after the first names the alarm that it is about")
        return Sos(author, scope, text, alarm_id, step)
    if not step:
        return _read_raised(Sos(author, scope, text, alarm_id, step), rest[3])
    raiser, round_, basis, outcome = canonical.as_array(rest[3], "step of an alarm", 4)
    return Sos(
        author,
        scope,
        text,
        alarm_id,
        step,
        raiser=canonical.as_bytes(raiser, "raiser", 16),
        round=canonical.as_uint(round_, "round", SOS_ROUND_MAX),
        basis=canonical.as_uint(basis, "basis", _BASIS_MAX),
        outcome=canonical.as_uint(outcome, "outcome", SOS_OUTCOME_MAX),
    )


def _read_raised(plain: Sos, more: Value) -> Sos:
    round_, number, place = canonical.as_array(more, "raised alarm", 3)
    found = canonical.as_array(place, "place", 4, 0)
    if len(found) not in (0, 4):
        raise MalformedError("a place has four numbers")
    sos = replace(
        plain,
        round=canonical.as_uint(round_, "round", SOS_ROUND_MAX),
        number=canonical.as_uint(number, "number", SOS_NUMBER_MAX),
        place=SosPlace(*_read_place(found)) if found else None,
    )
    if not _sos_fields(sos):
        raise MalformedError("an alarm without a round, a number and a place has the short form")
    return sos


def _read_keys(author: NodeId, scope: bytes, rest: tuple[Value, ...]) -> NetworkKeys:
    keys = []
    for item in canonical.as_array(rest[0], "network keys", _KEYS_MAX, 1):
        purpose, epoch, key = canonical.as_array(item, "network key", 3)
        known = next((each for each in OLD_EPOCHS_MAX if each == purpose), None)
        if known is None:
            raise MalformedError("this purpose of a network key is not known")
        keys.append(
            WeeklyKey(
                KeyPurpose(known),
                canonical.as_uint(epoch, "epoch", 2**32 - 1),
                canonical.as_bytes(key, "key", KEY_BYTES),
            )
        )
    return NetworkKeys(author, scope, tuple(keys))


def _read_position(author: NodeId, scope: bytes, rest: tuple[Value, ...]) -> Position:
    return Position(author, scope, *_read_place(rest))


def _read_place(rest: tuple[Value, ...]) -> tuple[int, int, int, int]:
    taken_ms, latitude, longitude, accuracy = rest
    return (
        canonical.as_uint(taken_ms, "taken_ms", 2**48 - 1),
        canonical.as_uint(latitude, "latitude", 2 * LATITUDE_E7_MAX) - LATITUDE_E7_MAX,
        canonical.as_uint(longitude, "longitude", 2 * LONGITUDE_E7_MAX) - LONGITUDE_E7_MAX,
        canonical.as_uint(accuracy, "accuracy", ACCURACY_DM_MAX),
    )


def _read_state(author: NodeId, scope: bytes, rest: tuple[Value, ...]) -> State:
    battery, coverage, gateway_ms = rest
    return State(
        author,
        scope,
        read_battery_untrusted(battery),
        read_coverage_untrusted(coverage),
        canonical.as_uint(gateway_ms, "gateway_ms", 2**48 - 1),
    )


def _read_track(author: NodeId, scope: bytes, rest: tuple[Value, ...]) -> Track:
    points = canonical.as_bytes(rest[0], "points", TRACK_BYTES_MAX, 0)
    return Track(author, scope, decode_points_untrusted(points))


def _read_coverage(author: NodeId, scope: bytes, rest: tuple[Value, ...]) -> CoverageMap:
    name = canonical.as_bytes(rest[0], "name", NAME_BYTES)
    canonical.as_array(rest[2], "squares", SQUARES_MAX, 1)
    found = read_contribution_untrusted(rest[1], rest[2], LOOKS_MIN)
    return CoverageMap(author, scope, name, found)


_Read: TypeAlias = Callable[[NodeId, bytes, tuple[Value, ...]], Payload]
_READERS: Final[Mapping[object, tuple[tuple[int, ...], _Read]]] = {
    _TEXT: ((1,), _read_text),
    _SOS: ((3, 4), _read_sos),
    _NETWORK_KEYS: ((1,), _read_keys),
    _POSITION: ((4,), _read_position),
    _STATE: ((3,), _read_state),
    _TRACK: ((1,), _read_track),
    _READ: ((1,), _read_pages),
    _COVERAGE: ((3,), _read_coverage),
    _ATTACHED: ((2, 6), _read_attached),
}
"""Numbers of fields after author and scope of each type, and who reads them."""
