"""The shift of an agent, as its device tells everybody: the time in which positions may exist.

A shift is in clear to enrolled relays, because they refuse positions outside it. A newer shift
replaces the older one in every store, so each also tells the window of the one before it, whose
last position may still be on its way. Source: wire-format 4.14, security 2.6 and 2.10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol import canonical
from protocol.bundle import Scope, ScopeKind
from protocol.errors import MalformedError
from protocol.guards import SHIFT_MS_MAX
from protocol.limits import Kind

__all__ = [
    "SHIFT_ID_BYTES",
    "Shift",
    "carried_under",
    "chain_opens",
    "decode_shift_untrusted",
    "encode_shift",
    "is_track_subject",
    "position_subject",
    "split_subject",
    "track_subject",
]

SHIFT_ID_BYTES: Final = 8
_MS_MAX: Final = 2**48 - 1
_BODY_BYTES_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class Shift:
    """One shift of one agent. Source: wire-format 4.14."""

    shift_id: bytes
    """8 random bytes."""
    opened_ms: int
    """Unix milliseconds."""
    ends_ms: int
    """When it ends at the latest, at most 12 h after it was opened, Unix milliseconds."""
    closed_ms: int = 0
    """When the agent closed it, Unix milliseconds; 0 where it was not closed."""
    before: tuple[int, int] = (0, 0)
    """Start and end of the shift before this one, Unix milliseconds; zeros where none counts."""

    @property
    def over_ms(self) -> int:
        """Its end as far as it is known, exclusive, Unix milliseconds."""
        return self.closed_ms or self.ends_ms

    def is_open(self, now_ms: int) -> bool:
        """True between its opening and its end."""
        return self.opened_ms <= now_ms < self.over_ms

    def has(self, at_ms: int) -> bool:
        """True for a time in this shift or in the one before it."""
        return self.is_open(at_ms) or self.before[0] <= at_ms < self.before[1]


def encode_shift(shift: Shift) -> bytes:
    """Return the body of a shift bundle, about 60 bytes."""
    return canonical.encode(
        (
            1,
            shift.shift_id,
            shift.opened_ms,
            shift.ends_ms,
            shift.closed_ms,
            shift.before,
        )
    )


def decode_shift_untrusted(raw: bytes) -> Shift:
    """Read the body of a shift bundle. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(raw, max_bytes=_BODY_BYTES_MAX)
    version, shift_id, opened, ends, closed, before = canonical.as_array(value, "shift", 6)
    if version != 1:
        raise MalformedError("the shift has an unknown version")
    first, last = canonical.as_array(before, "shift before", 2)
    shift = Shift(
        canonical.as_bytes(shift_id, "shift id", SHIFT_ID_BYTES),
        canonical.as_uint(opened, "opened_ms", _MS_MAX),
        canonical.as_uint(ends, "ends_ms", _MS_MAX),
        canonical.as_uint(closed, "closed_ms", _MS_MAX),
        (canonical.as_uint(first, "start", _MS_MAX), canonical.as_uint(last, "end", _MS_MAX)),
    )
    if not shift.opened_ms < shift.ends_ms <= shift.opened_ms + SHIFT_MS_MAX:
        raise MalformedError("the shift claims to last longer than a shift may")
    if shift.closed_ms and not shift.opened_ms <= shift.closed_ms <= shift.ends_ms:
        raise MalformedError("the shift was closed outside itself")
    start_ms, end_ms = shift.before
    if not start_ms <= end_ms <= min(start_ms + SHIFT_MS_MAX, shift.opened_ms):
        raise MalformedError("the shift before this one lasts too long, or reaches into it")
    return shift


# --- what a chain is for -----------------------------------------------------------------------


def position_subject(scope: Scope, shift_id: bytes) -> bytes:
    """Return what a chain of positions is for: a squad, and one shift. Source: wire-format 4.7."""
    assert scope.kind is ScopeKind.SQUAD, "positions are for squads"
    return scope.encode() + shift_id


def track_subject(scope: Scope, shift_id: bytes) -> bytes:
    """Return what a chain of tracks is for: the places of one shift in a squad, for the centre.

    Source: wire-format 4.21.
    """
    return position_subject(scope, shift_id) + _TRACKS


def is_track_subject(subject: bytes) -> bool:
    """True for a chain of tracks."""
    return len(subject) == len(_SQUAD_SCOPE) + SHIFT_ID_BYTES + 1 and subject[-1:] == _TRACKS


def split_subject(subject: bytes) -> tuple[Scope, bytes]:
    """Return whom a chain is for, and the shift of its positions or tracks; else empty.

    Raises: MalformedError.
    """
    is_squad = subject[:1] == bytes([ScopeKind.SQUAD])
    if is_squad and is_track_subject(subject):
        subject = subject[:-1]
    if is_squad and len(subject) == len(_SQUAD_SCOPE) + SHIFT_ID_BYTES:
        return Scope.decode_untrusted(subject[:-SHIFT_ID_BYTES]), subject[-SHIFT_ID_BYTES:]
    return Scope.decode_untrusted(subject), b""


def carried_under(subject: bytes) -> tuple[Scope, bytes]:
    """Return the scope of a chain's bundles and of those with its keys, and the latters' keyref.

    Those of a track are for the operations centre and outlive the shift; keys of positions name
    theirs, so that readers erase them with it. Raises: MalformedError. Source: wire-format 4.7.
    """
    scope, shift_id = split_subject(subject)
    if is_track_subject(subject):
        return Scope.for_codt(scope.zone), b""
    return scope, shift_id


def chain_opens(subject: bytes, kind: Kind) -> bool:
    """True if a chain for `subject` may open bundles of `kind`. Source: wire-format 4.7."""
    if is_track_subject(subject):
        return kind is Kind.TRACK
    if split_subject(subject)[1]:
        return kind in (Kind.POSITION, Kind.STATE)
    return kind not in (Kind.POSITION, Kind.STATE, Kind.TRACK)


_TRACKS: Final = b"\1"
_SQUAD_SCOPE: Final = Scope.for_squad(1, bytes(8)).encode()
