"""The body of a track: in clear the shift in which it was made, and what is sealed of its places.

A track travels for days, and the bundle that told its shift is replaced by the next one meanwhile.
So each track declares its own shift, under its author's signature, and carriers judge by that.
Source: wire-format 4.33.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from protocol import canonical
from protocol.errors import MalformedError
from protocol.guards import SHIFT_MS_MAX
from protocol.ids import SquadId
from protocol.limits import BODY_BYTES_MAX

__all__ = ["TrackBody", "decode_track_body_untrusted", "encode_track_body"]

_VERSION: Final = 1
_MS_MAX: Final = 2**48 - 1
_SQUAD_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class TrackBody:
    """What carriers see of a track, and the sealed rest."""

    squad: SquadId
    """8 bytes; the squad that the shift was told to, of the zone in the bundle's scope."""
    opened_ms: int
    """When the shift was opened, Unix milliseconds."""
    over_ms: int
    """Its end as far as it was known, exclusive, at most 12 h later, Unix milliseconds."""
    sealed: bytes = field(repr=False)
    """The payload under the chain of tracks."""

    def has_stamp(self, stamp_ms: int) -> bool:
        """True for a time in the shift; its last track may be made in the moment that ends it."""
        return self.opened_ms <= stamp_ms <= self.over_ms


def encode_track_body(body: TrackBody) -> bytes:
    """Return the canonical bytes, about 30 more than the sealed ones."""
    length_ms = body.over_ms - body.opened_ms
    return canonical.encode((_VERSION, body.squad, body.opened_ms, length_ms, body.sealed))


def decode_track_body_untrusted(raw: bytes) -> TrackBody:
    """Read the body of a track; what is sealed stays so.

    Raises: MalformedError, LimitExceededError. Cost: about 2 µs.
    """
    value = canonical.decode_untrusted(raw, max_bytes=BODY_BYTES_MAX)
    version, squad, opened, length, sealed = canonical.as_array(value, "track", 5)
    if version != _VERSION:
        raise MalformedError("the track has an unknown version")
    opened_ms = canonical.as_uint(opened, "opened_ms", _MS_MAX)
    length_ms = canonical.as_uint(length, "length_ms", SHIFT_MS_MAX, 1)
    return TrackBody(
        canonical.as_bytes(squad, "squad", _SQUAD_BYTES),
        opened_ms,
        opened_ms + length_ms,
        canonical.as_bytes(sealed, "sealed points", BODY_BYTES_MAX, 1),
    )
