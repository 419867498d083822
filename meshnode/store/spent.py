"""What bearers have cost, by period: booked before the bytes leave, in one transaction each.

Not sealed: a locked device carries, and pays, like any other. Source: decision 33.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from meshnode.store.engine import Transaction
from meshnode.store.schema import SpentRow, table
from protocol.budgets import (
    NOTHING_SPENT,
    Spent,
    Tariff,
    period_start_ms,
    steps_left,
    with_steps,
)

__all__ = ["PERIODS_KEPT", "book", "give_back", "spent_in"]

_SPENT: Final = table(SpentRow)
PERIODS_KEPT: Final = 400
"""Periods of one bearer that are remembered: a year of days and some. Counted and not timed, since
a clock that jumps ahead and back would make them old, and what was spent in them unspent."""


def spent_in(conn: Connection, tariff: Tariff, start_ms: int) -> Spent:
    """Return what a bearer has cost in the period that began at `start_ms`."""
    query = select(_SPENT.c.billed_bytes, _SPENT.c.microeuros).where(*_of(tariff, start_ms))
    row = conn.execute(query).first()
    return NOTHING_SPENT if row is None else Spent(row.billed_bytes, row.microeuros)


def book(
    tx: Transaction, tariff: Tariff, now_ms: int, needed: int, wanted: int, *, is_sos: bool
) -> tuple[int, int]:
    """Book up to `wanted` steps, at least `needed`; return when the period began, and how many.

    None at all, where fewer than `needed` are left: 0 then. What is kept for SOS is only touched
    by what SOS needs at once.
    """
    start_ms = period_start_ms(tariff.period, now_ms)
    before = spent_in(tx.connection, tariff, start_ms)
    steps = min(wanted, steps_left(tariff, before, is_sos=False))
    if steps < needed:
        steps = needed if is_sos and steps_left(tariff, before, is_sos=True) >= needed else 0
    if steps:
        _put(tx, tariff, start_ms, with_steps(tariff, before, steps))
    return start_ms, steps


def give_back(tx: Transaction, tariff: Tariff, start_ms: int, steps: int) -> None:
    """Take steps off that were booked in the period of `start_ms` and never used."""
    before = spent_in(tx.connection, tariff, start_ms)
    _put(tx, tariff, start_ms, with_steps(tariff, before, -steps))


def _put(tx: Transaction, tariff: Tariff, start_ms: int, spent: Spent) -> None:
    values = {"billed_bytes": spent.billed_bytes, "microeuros": spent.microeuros}
    query = update(_SPENT).where(*_of(tariff, start_ms)).values(values)
    if tx.connection.execute(query).rowcount:
        return
    key = {"bearer": tariff.name, "period": tariff.period.value, "start_ms": start_ms}
    tx.connection.execute(insert(_SPENT).values(key | values))
    bearer = (_SPENT.c.bearer == tariff.name, _SPENT.c.period == tariff.period.value)
    starts = select(_SPENT.c.start_ms).where(*bearer).order_by(_SPENT.c.start_ms.desc())
    oldest = starts.offset(PERIODS_KEPT - 1).limit(1).scalar_subquery()
    # Not the one that was put, or a clock that stands in the past would spend without an end.
    is_other = _SPENT.c.start_ms != start_ms
    tx.connection.execute(delete(_SPENT).where(*bearer, _SPENT.c.start_ms < oldest, is_other))


def _of(tariff: Tariff, start_ms: int) -> tuple[ColumnElement[Any], ...]:
    return (
        _SPENT.c.bearer == tariff.name,
        _SPENT.c.period == tariff.period.value,
        _SPENT.c.start_ms == start_ms,
    )
