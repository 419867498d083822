"""Who has a message, who has read it, who is out of reach since when; and how it ended, honestly.

One row per recipient over all copies of the message. Nothing is said that is not known: silence is
called no news, and a copy that travels is not called refused. Source: decision 27.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from meshnode.directory import Directory
from meshnode.services.recalling import family, states
from meshnode.store import keyring
from meshnode.store.engine import Connection
from meshnode.store.ledger import ledger
from meshnode.store.reach import last_heard
from meshnode.store.records import LedgerEvent, MessageRecord, MessageState, RecipientState
from protocol.bundle import Scope, ScopeKind
from protocol.guards import OUT_OF_REACH_MS
from protocol.ids import NodeId

__all__ = ["Matrix", "MatrixRow", "Outcome", "Why", "matrix_of"]

_HAVE: Final = (RecipientState.AT_GATEWAY, RecipientState.ON_DEVICE, RecipientState.READ)


class Why(StrEnum):
    """Why a recipient has no copy, or will get none; the one table of reasons for a recipient."""

    NONE = ""
    """It has it, or nothing stands in its way."""
    REVOKED = "revoked"
    """The device was revoked: it can read nothing any more."""
    NO_KEY = "no key"
    """No key of the device is known here, so nothing can be sealed for it yet."""
    EXPIRED = "expired"
    """The lifetime of every copy ended without a word from the device."""
    CANCELLING = "cancelling"
    """The author took the message back; whether this device has shown it is not known."""
    CANCELLED = "cancelled"
    """The message was taken back before it left, or this device withdrew it unread."""
    TURNED_DOWN = "turned down"
    """Whoever was met did not take the bundle; the ledger says who and why."""


class Outcome(StrEnum):
    """How a message stands; the one table of ends and reasons for a message."""

    WAITING = "waiting"
    """Not sealed: a key is missing."""
    HELD_BACK = "held back"
    """Not sealed: others take no more of this device in this hour."""
    TURNED_DOWN = "turned down"
    """Nobody holds a copy, and whoever was met refused it."""
    ON_ITS_WAY = "on its way"
    """Sealed; somebody lacks it still."""
    DELIVERED = "delivered"
    """Everybody whom it needs to reach has it."""
    READ = "read"
    """Every recipient has shown it to a person."""
    EXPIRED = "expired"
    """Its lifetime ended; the names are those who had it."""
    CANCELLED = "cancelled"
    """Taken back; nobody has read it, and everybody says so."""
    CANCELLING = "cancelling"
    """Taken back; the names are those of whom nothing is known yet."""
    TOO_LATE = "too late"
    """Taken back; the names are those who had read it before."""


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One message at one recipient."""

    node: NodeId
    """16 bytes."""
    state: RecipientState
    """The most that is known over all copies."""
    at_ms: int
    """When it became known here, Unix milliseconds."""
    heard_ms: int
    """When anything was last heard of the device, Unix milliseconds; 0 for never."""
    out_since_ms: int
    """Out of reach since then, Unix milliseconds; 0 for one that is in reach or was never heard."""
    is_out: bool
    """Nothing was heard of it for a quarter of an hour, or never."""
    why: Why
    """Why it has no copy, where something is known of that."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """One message at all of its recipients."""

    first: MessageRecord
    """The message that people wrote; its copies count as it."""
    copies: tuple[MessageRecord, ...]
    """Those that were sent again."""
    rows: tuple[MatrixRow, ...]
    """By name of the device."""
    outcome: Outcome
    """How it stands."""
    who: tuple[NodeId, ...]
    """Whom the outcome is about, where it is about somebody."""


def matrix_of(conn: Connection, key: int, directory: Directory, now_ms: int) -> Matrix:
    """Return the matrix of an outgoing message, or of the one that it repeats.

    Raises: LockedError, SealBrokenError.
    """
    group = family(conn, key)
    known = states(conn, group)
    heard = last_heard(conn, known, now_ms)
    has_key = keyring.peer_prekeys(conn, known, now_ms).keys()
    events = {line.event for each in group for line in ledger(conn, each.key)}
    rows = []
    for node, (state, at_ms) in known.items():
        heard_ms = heard.get(node, 0)
        is_out = now_ms - heard_ms > OUT_OF_REACH_MS
        why = _why(state, node in directory.revoked, node in has_key, group, events, now_ms)
        out_since_ms = heard_ms if is_out else 0
        rows.append(MatrixRow(node, state, at_ms, heard_ms, out_since_ms, is_out, why))
    rows.sort(key=lambda row: directory.name_of(row.node))
    outcome, who = _outcome(group, rows, events, now_ms)
    return Matrix(group[0], tuple(group[1:]), tuple(rows), outcome, who)


def _why(
    state: RecipientState,
    is_revoked: bool,
    has_key: bool,
    group: Sequence[MessageRecord],
    events: set[LedgerEvent],
    now_ms: int,
) -> Why:
    if state in _HAVE:
        return Why.NONE
    if state is RecipientState.WITHDRAWN or (
        state is RecipientState.REFUSED and LedgerEvent.CANCELLED in events
    ):
        return Why.CANCELLED
    if LedgerEvent.CANCELLED in events:
        return Why.CANCELLING
    if is_revoked:
        return Why.REVOKED
    if all(each.expires_ms <= now_ms for each in group):
        return Why.EXPIRED
    if not has_key and group[-1].alarm_id == b"":
        return Why.NO_KEY
    if LedgerEvent.TURNED_DOWN in events and LedgerEvent.HANDED not in events:
        return Why.TURNED_DOWN
    return Why.NONE


def _outcome(
    group: Sequence[MessageRecord],
    rows: Sequence[MatrixRow],
    events: set[LedgerEvent],
    now_ms: int,
) -> tuple[Outcome, tuple[NodeId, ...]]:
    read = _nodes(rows, RecipientState.READ)
    have = _nodes(rows, *_HAVE)
    if LedgerEvent.CANCELLED in events:
        if read:
            return Outcome.TOO_LATE, read
        open_ones = tuple(row.node for row in rows if row.why is not Why.CANCELLED)
        return (Outcome.CANCELLING, open_ones) if open_ones else (Outcome.CANCELLED, ())
    if rows and len(read) == len(rows):
        return Outcome.READ, ()
    is_any_enough = Scope.decode_untrusted(group[0].scope).kind is ScopeKind.CODT
    if have and (is_any_enough or len(have) == len(rows)):
        return Outcome.DELIVERED, ()
    return _unfinished(group, have, events, now_ms)


def _unfinished(
    group: Sequence[MessageRecord],
    have: tuple[NodeId, ...],
    events: set[LedgerEvent],
    now_ms: int,
) -> tuple[Outcome, tuple[NodeId, ...]]:
    newest = group[-1]
    if all(each.expires_ms <= now_ms or each.state is MessageState.EXPIRED for each in group):
        return Outcome.EXPIRED, have
    if newest.state is MessageState.WAITING:
        held_back = LedgerEvent.HELD_BACK in events and LedgerEvent.SEALED not in events
        return (Outcome.HELD_BACK if held_back else Outcome.WAITING), have
    if newest.state is MessageState.QUEUED and LedgerEvent.TURNED_DOWN in events:
        return Outcome.TURNED_DOWN, have
    return Outcome.ON_ITS_WAY, have


def _nodes(rows: Iterable[MatrixRow], *wanted: RecipientState) -> tuple[NodeId, ...]:
    return tuple(row.node for row in rows if row.state in wanted)
