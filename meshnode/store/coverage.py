"""The coverage map at rest: what each shift met, sealed, under ids that name nobody.

Relaying code cannot import this room. Source: wire-format 4.43, security 2.10.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, exists, func, insert, select

from meshnode.store.engine import Transaction
from meshnode.store.schema import AuthorRow, BundleRow, CoverageRow, UnopenedRow, table
from meshnode.store.sealing import Seals, Seat, coverage_seat
from meshnode.store.statements import signed64
from meshnode.vault.kinds import DAY_MS
from protocol import canonical, hlc
from protocol.coverage import (
    CONTRIBUTIONS_MAX,
    WINDOW_DAYS,
    Contribution,
    contribution_fields,
    is_above,
    read_contribution_untrusted,
)
from protocol.errors import MalformedError
from protocol.ids import NodeId
from protocol.limits import Kind

__all__ = [
    "Untold",
    "contributions",
    "drop",
    "erase_old",
    "put_shared",
    "put_untold",
    "taken_of",
    "untold",
]

_AUTHOR: Final = table(AuthorRow)
_BUNDLE: Final = table(BundleRow)
_COVERAGE: Final = table(CoverageRow)
_UNOPENED: Final = table(UnopenedRow)
_BODY_BYTES_MAX: Final = 8_192
_FIRST: Final = select(func.min(_COVERAGE.c.ends_ms))
_OLD: Final = delete(_COVERAGE).where(_COVERAGE.c.ends_ms <= bindparam("now_ms"))
_IS_SHARED: Final = _COVERAGE.c.shift_id == b""


@dataclass(frozen=True, slots=True)
class Untold:
    """What a shift of this device met, and nobody was told of yet."""

    name: bytes
    """16 random bytes; the contribution's name once it is told."""
    shift_id: bytes
    """8 bytes."""
    ends_ms: int
    """When it is erased though nobody was told, Unix milliseconds."""
    contribution: Contribution = field(repr=False)
    """What was met, cells with few looks as well."""


def put_untold(tx: Transaction, record: Untold) -> None:
    """Keep what the open shift met so far, in the place of what was kept before."""
    drop(tx, record.name)
    _insert(tx, record.name, record.shift_id, record.ends_ms, record.contribution)


def untold(conn: Connection) -> list[Untold]:
    """Return the shifts of this device that nobody was told of, and are whole.

    Raises: LockedError.
    """
    query = select(_COVERAGE).where(~_IS_SHARED).order_by(_COVERAGE.c.id)
    return [
        Untold(row.id, row.shift_id, row.ends_ms, _contribution(body))
        for row, body in Seals(conn).whole(conn.execute(query), _seat, "body")
    ]


def put_shared(tx: Transaction, key: bytes, contribution: Contribution) -> bool:
    """Keep a contribution that was told; False where nothing of it is new.

    Of two with one id the greater stays, and of too many the newest, as `protocol.coverage.join`
    has it. Raises: LockedError.
    """
    here = _COVERAGE.c.id == key
    found = tx.connection.execute(select(_COVERAGE).where(here))
    for _row, body in Seals(tx.connection).whole(found, _seat, "body"):
        if not is_above(contribution, _contribution(body)):
            return False
    drop(tx, key)
    _insert(tx, key, b"", (contribution.day + WINDOW_DAYS) * DAY_MS, contribution)
    beyond = (
        select(_COVERAGE.c.id)
        .where(_IS_SHARED)
        .order_by(_COVERAGE.c.day_ms.desc(), _COVERAGE.c.id.desc())
        .offset(CONTRIBUTIONS_MAX)
    )
    gone = list(tx.connection.execute(beyond).scalars())
    if gone:
        tx.connection.execute(delete(_COVERAGE).where(_COVERAGE.c.id.in_(gone)))
    return key not in gone


def drop(tx: Transaction, key: bytes) -> None:
    """Erase one row, if it is there."""
    tx.connection.execute(delete(_COVERAGE).where(_COVERAGE.c.id == key))


def taken_of(conn: Connection, author: NodeId, scope: bytes, day: int) -> int:
    """Return how many bundles of coverage are held that were opened already.

    Those to `scope` that `author` stamped on `day`, days since 1970. Cost: a pass over what is
    held of the author, about 1 ms for each thousand.
    """
    day_ms = day * DAY_MS
    stamps = (hlc.pack(each, 0) for each in (day_ms, day_ms + DAY_MS))
    first, last = map(signed64, stamps)
    waits = exists().where(_UNOPENED.c.short_id == _BUNDLE.c.short_id)
    query = (
        select(func.count())
        .select_from(_BUNDLE)
        .join(_AUTHOR, _AUTHOR.c.key == _BUNDLE.c.author)
        .where(_AUTHOR.c.node == author, _BUNDLE.c.kind == int(Kind.COVERAGE))
        .where(_BUNDLE.c.scope == scope, _BUNDLE.c.hlc >= first, _BUNDLE.c.hlc < last, ~waits)
    )
    return int(conn.execute(query).scalar_one())


def contributions(conn: Connection, now_ms: int) -> list[Contribution]:
    """Return all that is kept and whole, our own open shift too. Raises: LockedError.

    Cost: up to 0.2 s with `CONTRIBUTIONS_MAX` of the longest.
    """
    query = select(_COVERAGE).where(_COVERAGE.c.ends_ms > now_ms).order_by(_COVERAGE.c.id)
    found = Seals(conn).whole(conn.execute(query), _seat, "body")
    return [_contribution(body) for _row, body in found]


def erase_old(tx: Transaction, now_ms: int) -> int:
    """Erase what is over; return how many rows went."""
    ends_ms = tx.connection.execute(_FIRST).scalar()
    if ends_ms is None or ends_ms > now_ms:
        return 0
    return tx.connection.execute(_OLD, {"now_ms": now_ms}).rowcount


def _insert(
    tx: Transaction, key: bytes, shift_id: bytes, ends_ms: int, contribution: Contribution
) -> None:
    body = canonical.encode(contribution_fields(contribution))
    values = {
        "id": key,
        "shift_id": shift_id,
        "day_ms": contribution.day * DAY_MS,
        "ends_ms": ends_ms,
        "body": Seals(tx.connection).seal(coverage_seat(key, ends_ms), body),
    }
    tx.connection.execute(insert(_COVERAGE).values(values))


def _seat(row: Row[Any]) -> Seat:
    return coverage_seat(row.id, row.ends_ms)


def _contribution(body: bytes) -> Contribution:
    value = canonical.decode_untrusted(body, max_bytes=_BODY_BYTES_MAX)
    if type(value) is not tuple or len(value) != 2:
        raise MalformedError("a row of the coverage map is none")
    return read_contribution_untrusted(*value, 1)
