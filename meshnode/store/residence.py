"""How long bundles have been here by uptime, and what is agreed about the wall clock.

Row numbers rise with arrival; a mark says up to which number rows were here at some uptime. Where
the wall clock lost time against uptime, it was set back: what has been here for its whole lifetime
by uptime ends then, whatever the clock says. Exact to `CLOCK_MARK_MS`. Source: security 2.12.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select

from meshnode.store.engine import Transaction
from meshnode.store.removal import drop_many
from meshnode.store.schema import BundleRow, ClockRow, ResidenceRow, table
from meshnode.store.statements import run_many, unsigned64
from protocol.guards import CLOCK_LAG_MS_MAX, CLOCK_MARK_MS, CLOCK_MARKS_MAX
from protocol.reports import Reception

__all__ = ["ClockState", "Trust", "clock_state", "expire_resident", "mark", "put_clock_state"]

_CLOCK = table(ClockRow)
_MARK = table(ResidenceRow)
_BUNDLE = table(BundleRow)

_PUT_CLOCK: Final = (
    "INSERT INTO clock (key, uptime_ms, anchor_wall_ms, anchor_uptime_ms, is_doubted, "
    "doubt_wall_ms, doubt_uptime_ms) VALUES (1, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
    "uptime_ms = excluded.uptime_ms, anchor_wall_ms = excluded.anchor_wall_ms, "
    "anchor_uptime_ms = excluded.anchor_uptime_ms, is_doubted = excluded.is_doubted, "
    "doubt_wall_ms = excluded.doubt_wall_ms, doubt_uptime_ms = excluded.doubt_uptime_ms"
)
# Built once: each node runs these every few minutes, and building one costs more than running it.
_NEWEST: Final = select(func.max(_MARK.c.uptime_ms))
_BEHIND: Final = (
    select(_MARK)
    .where(bindparam("lead_ms") - (_MARK.c.uptime_ms - _MARK.c.wall_ms) > CLOCK_LAG_MS_MAX)
    .order_by(_MARK.c.uptime_ms)
)
"""Marks since which the clock lost time; `lead_ms` is by how much uptime is ahead of it now."""
_OUTLIVED: Final = (
    select(_BUNDLE.c.short_id)
    .where(
        _BUNDLE.c.key <= bindparam("last_key"),
        _BUNDLE.c.expires_ms - _BUNDLE.c.hlc.op(">>")(16) <= bindparam("here_ms"),
    )
    .limit(bindparam("rows_max"))
)
"""Bundles up to that of a mark that live no longer than they have been here."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What was last agreed about the wall clock, and what is doubted about it. All in ms."""

    anchor_wall_ms: int
    """Wall time that was agreed on."""
    anchor_uptime_ms: int
    """Uptime of this store at that moment."""
    is_doubted: bool = False
    """The clock leads its uptime by more than `CLOCK_JUMP_MS_MAX`."""
    doubt_wall_ms: int = 0
    """Wall time when that was first seen."""
    doubt_uptime_ms: int = 0
    """Uptime at that moment."""


@dataclass(frozen=True, slots=True)
class ClockState:
    """What is kept about the clock over a restart."""

    uptime_ms: int
    """How long nodes have run on this store in all."""
    trust: Trust
    """How far the wall clock is believed."""


def clock_state(conn: Connection) -> ClockState | None:
    """Return what was kept, None in a new store."""
    row = conn.execute(select(_CLOCK)).first()
    if row is None:
        return None
    trust = Trust(
        row.anchor_wall_ms,
        row.anchor_uptime_ms,
        bool(row.is_doubted),
        row.doubt_wall_ms,
        row.doubt_uptime_ms,
    )
    return ClockState(row.uptime_ms, trust)


def put_clock_state(tx: Transaction, state: ClockState, wall_ms: int) -> None:
    """Keep `state`, and now and then a mark of which bundles are here."""
    trust = state.trust
    fields = (
        state.uptime_ms,
        trust.anchor_wall_ms,
        trust.anchor_uptime_ms,
        int(trust.is_doubted),
        trust.doubt_wall_ms,
        trust.doubt_uptime_ms,
    )
    run_many(tx.connection, _PUT_CLOCK, [fields])
    mark(tx, state.uptime_ms, wall_ms)


def mark(tx: Transaction, uptime_ms: int, wall_ms: int) -> None:
    """Note which rows are here, if the last note is an hour old; forget the oldest notes."""
    conn = tx.connection
    newest = conn.execute(_NEWEST).scalar()
    if newest is not None and uptime_ms < newest + CLOCK_MARK_MS:
        return
    last_key = conn.execute(select(func.max(_BUNDLE.c.key))).scalar() or 0
    conn.execute(_MARK.insert().values(uptime_ms=uptime_ms, wall_ms=wall_ms, last_key=last_key))
    oldest = select(_MARK.c.uptime_ms).order_by(_MARK.c.uptime_ms.desc()).offset(CLOCK_MARKS_MAX)
    conn.execute(delete(_MARK).where(_MARK.c.uptime_ms.in_(oldest.limit(CLOCK_MARKS_MAX))))


def expire_resident(tx: Transaction, uptime_ms: int, wall_ms: int, limit: int) -> int:
    """Drop up to `limit` bundles that have been here for their lifetime; return how many.

    Looks only where the wall clock was set back. Cost: one look at the marks; a pass over the
    bundles of each mark behind which the clock lost time.
    """
    gone = 0
    for each in tx.connection.execute(_BEHIND, {"lead_ms": uptime_ms - wall_ms}).all():
        bounds = {
            "last_key": each.last_key,
            "here_ms": uptime_ms - each.uptime_ms,
            "rows_max": limit - gone,
        }
        over = tx.connection.execute(_OUTLIVED, bounds).scalars()
        ids = [unsigned64(key) for key in over]
        gone += len(drop_many(tx, ids, Reception.EXPIRED))
        if gone >= limit:
            break
    return gone
