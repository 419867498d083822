"""What people and programs read after a bundle was opened.

Author and scope of the header are repeated inside, so a ciphertext that was lifted under another
header never opens as the thief's. Source: wire-format 4.10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from protocol import canonical
from protocol.attachments import Manifest, manifest_fields, read_manifest_untrusted
from protocol.canonical import Value
from protocol.errors import MalformedError, TamperedError
from protocol.guards import MANIFEST_BYTES_MAX, NETWORK_KEYS_PER_EPOCH_MAX
from protocol.ids import NodeId
from protocol.limits import TEXT_BYTES_MAX
from protocol.network_keys import KEY_BYTES, OLD_EPOCHS_MAX, KeyPurpose, WeeklyKey

__all__ = [
    "ACCURACY_DM_MAX",
    "LATITUDE_E7_MAX",
    "LONGITUDE_E7_MAX",
    "Attached",
    "NetworkKeys",
    "Payload",
    "Position",
    "Sos",
    "Text",
    "decode_untrusted",
    "encode",
]

LATITUDE_E7_MAX: Final = 900_000_000
"""The poles, in ten-millionths of a degree."""
LONGITUDE_E7_MAX: Final = 1_800_000_000
"""The date line, in ten-millionths of a degree."""
ACCURACY_DM_MAX: Final = 1_000_000
"""A position that may be off by more than 100 km is none, decimetres."""
_VERSION = 1
_TEXT, _SOS, _NETWORK_KEYS, _POSITION = 1, 2, 3, 4
_ATTACHED: Final = 7
_STEP_MAX = 15
_WEEKS_MAX = 4
"""Weeks that one payload tells keys of: the present one and the next, with room."""
_KEYS_MAX = len(OLD_EPOCHS_MAX) * NETWORK_KEYS_PER_EPOCH_MAX * _WEEKS_MAX


@dataclass(frozen=True, slots=True)
class Text:
    """A message that somebody wrote."""

    author: NodeId
    """As in the header."""
    scope: bytes
    """As in the header, encoded."""
    text: str = field(repr=False)
    """Up to 16 kB of UTF-8."""


@dataclass(frozen=True, slots=True)
class Sos:
    """One step of an alarm."""

    author: NodeId
    """As in the header."""
    scope: bytes
    """As in the header, encoded."""
    text: str = field(repr=False)
    """Up to 16 kB of UTF-8."""
    alarm_id: bytes
    """8 bytes that bind the steps of one alarm."""
    step: int
    """0 raised; later steps answer it."""


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


Payload: TypeAlias = Text | Sos | NetworkKeys | Position | Attached


def encode(payload: Payload) -> bytes:
    """Return the canonical bytes. Raises: ValueError if the content is beyond its bounds."""
    kind, *rest = _fields(payload)
    return canonical.encode((_VERSION, kind, payload.author, payload.scope, *rest))


def _fields(payload: Payload) -> tuple[Value, ...]:
    match payload:
        case Text():
            return (_TEXT, _text_bytes(payload.text))
        case Sos():
            return (_SOS, _text_bytes(payload.text), payload.alarm_id, payload.step)
        case Attached():
            return (_ATTACHED, _text_bytes(payload.text), manifest_fields(payload.manifest))
        case NetworkKeys():
            keys = [(int(each.purpose), each.epoch, each.key) for each in payload.keys]
            return (_NETWORK_KEYS, keys)
        case Position():
            return (
                _POSITION,
                payload.taken_ms,
                payload.latitude_e7 + LATITUDE_E7_MAX,
                payload.longitude_e7 + LONGITUDE_E7_MAX,
                payload.accuracy_dm,
            )


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
    fields = canonical.as_array(value, "payload", 8, 5)
    if fields[0] != _VERSION:
        raise MalformedError("the payload has an unknown version")
    author = canonical.as_bytes(fields[2], "author", 16)
    scope = canonical.as_bytes(fields[3], "scope", 19, 3)
    if author != header_author or scope != header_scope:
        raise TamperedError("the content was written for another header")
    # Asked for by type first: True would find the entry of 1.
    known = _READERS.get(fields[1]) if type(fields[1]) is int else None
    if known is None or len(fields) != 4 + known[0]:
        raise MalformedError("the payload has an unknown type")
    return known[1](author, scope, fields[4:])


def _read_text(author: NodeId, scope: bytes, rest: tuple[Value, ...]) -> Text:
    return Text(author, scope, canonical.as_text(rest[0], "text", TEXT_BYTES_MAX))


def _read_attached(author: NodeId, scope: bytes, rest: tuple[Value, ...]) -> Attached:
    text = canonical.as_text(rest[0], "text", TEXT_BYTES_MAX)
    return Attached(author, scope, text, read_manifest_untrusted(rest[1]))


def _read_sos(author: NodeId, scope: bytes, rest: tuple[Value, ...]) -> Sos:
    text = canonical.as_text(rest[0], "text", TEXT_BYTES_MAX)
    alarm_id = canonical.as_bytes(rest[1], "alarm id", 8)
    return Sos(author, scope, text, alarm_id, canonical.as_uint(rest[2], "step", _STEP_MAX))


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
    taken_ms, latitude, longitude, accuracy = rest
    return Position(
        author,
        scope,
        canonical.as_uint(taken_ms, "taken_ms", 2**48 - 1),
        canonical.as_uint(latitude, "latitude", 2 * LATITUDE_E7_MAX) - LATITUDE_E7_MAX,
        canonical.as_uint(longitude, "longitude", 2 * LONGITUDE_E7_MAX) - LONGITUDE_E7_MAX,
        canonical.as_uint(accuracy, "accuracy", ACCURACY_DM_MAX),
    )


_Read: TypeAlias = Callable[[NodeId, bytes, tuple[Value, ...]], Payload]
_READERS: Final[Mapping[object, tuple[int, _Read]]] = {
    _TEXT: (1, _read_text),
    _SOS: (3, _read_sos),
    _NETWORK_KEYS: (1, _read_keys),
    _POSITION: (4, _read_position),
    _ATTACHED: (2, _read_attached),
}
"""Number of fields after author and scope of each type, and who reads them."""
