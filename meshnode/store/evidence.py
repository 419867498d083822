"""Proof that somebody signed two things under one name; kept for an operator to see.

The first proofs stay: a flood of later ones cannot push them out. Source: wire-format 4.5, 7.6.
"""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from meshnode.store.engine import Transaction
from meshnode.store.records import EvidenceRecord
from meshnode.store.schema import EvidenceRow, table
from meshnode.store.sealing import Seals, Seat, evidence_seat
from protocol.limits import EVIDENCE_MAX

__all__ = ["evidence_count", "list_evidence", "note_equivocation"]

_EVIDENCE = table(EvidenceRow)


def note_equivocation(tx: Transaction, found: EvidenceRecord) -> bool:
    """Keep a proof; False if it is held already or `EVIDENCE_MAX` are."""
    raw_hash = hashlib.sha256(found.raw).digest()
    held = select(_EVIDENCE.c.key).where(
        _EVIDENCE.c.subject == found.subject, _EVIDENCE.c.raw_hash == raw_hash
    )
    count = tx.connection.execute(select(func.count()).select_from(_EVIDENCE)).scalar_one()
    if count >= EVIDENCE_MAX or tx.connection.execute(held).first() is not None:
        return False
    seat = evidence_seat(found.subject, raw_hash, found.at_ms)
    tx.connection.execute(
        insert(_EVIDENCE).values(
            at_ms=found.at_ms,
            node=found.node,
            subject=found.subject,
            first_digest=found.first_digest,
            raw_hash=raw_hash,
            raw=Seals(tx.connection).seal(seat, found.raw),
        )
    )
    return True


def evidence_count(conn: Connection) -> int:
    """Return how many proofs are held."""
    return int(conn.execute(select(func.count()).select_from(_EVIDENCE)).scalar_one())


def list_evidence(conn: Connection, limit: int = EVIDENCE_MAX) -> list[EvidenceRecord]:
    """Return the proofs held that are whole, oldest first."""
    query = select(_EVIDENCE).order_by(_EVIDENCE.c.key).limit(limit)
    found = Seals(conn).whole(conn.execute(query), _seat, "raw")
    return [
        EvidenceRecord(row.at_ms, row.node, row.subject, row.first_digest, raw)
        for row, raw in found
    ]


def _seat(row: Row[Any]) -> Seat:
    return evidence_seat(row.subject, row.raw_hash, row.at_ms)
