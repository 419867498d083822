"""Erases from the store what needs the agent's secret, for a device that shall carry and no more.

The keys of these rows are destroyed elsewhere; here the rows go as well, with everything that says
whom the agent wrote to. Source: security 2.9, 2.10.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import and_, delete, exists, literal_column, select

from meshnode.store.engine import Transaction
from meshnode.store.schema import (
    METADATA,
    BundleRow,
    ChunkReachRow,
    ChunkRow,
    DataKeyRow,
    GivenRow,
    LedgerRow,
    OwnBundleRow,
    ReceiptDueRow,
    ReceivedRow,
    RecipientRow,
    SheetChunkRow,
    SheetPackRow,
    SheetRetractedRow,
    ShiftEndRow,
    UnopenedRow,
    table,
)
from meshnode.store.sealed_columns import SEALED, SealedColumn
from meshnode.vault.kinds import DataKind, Tier

__all__ = ["erase_agent_rows"]

_DATA_KEY: Final = table(DataKeyRow)
_BESIDE: Final = (
    ChunkReachRow,
    ChunkRow,
    GivenRow,
    LedgerRow,
    ReceiptDueRow,
    ReceivedRow,
    RecipientRow,
    SheetChunkRow,
    SheetPackRow,
    SheetRetractedRow,
    ShiftEndRow,
    UnopenedRow,
)
"""Rows in clear, or of the device, that tell what the agent did."""

_OWN: Final = table(OwnBundleRow)
_BUNDLE: Final = table(BundleRow)
_FORGET_OWN: Final = delete(_OWN).where(
    ~exists().where(
        _BUNDLE.c.is_own == literal_column("1"),
        _BUNDLE.c.incarnation == _OWN.c.incarnation,
        _BUNDLE.c.seq == _OWN.c.seq,
    )
)
"""Digests of own bundles, but of those held: number and digest stand in these anyway, and without
them no receipt would be believed, and the device would carry what has long arrived."""


def erase_agent_rows(tx: Transaction) -> int:
    """Delete every row that only the agent could open, and its keys; return how many went.

    Cost: about 20 µs per row.
    """
    gone = sum(_erase_column(tx, column) for column in SEALED)
    for row in _BESIDE:
        gone += tx.connection.execute(delete(table(row))).rowcount
    gone += tx.connection.execute(_FORGET_OWN).rowcount
    kinds = [int(kind) for kind in DataKind if kind.tier is Tier.AGENT]
    gone += tx.connection.execute(delete(_DATA_KEY).where(_DATA_KEY.c.kind.in_(kinds))).rowcount
    return gone


def _erase_column(tx: Transaction, column: SealedColumn) -> int:
    """Delete the rows whose value in this column is sealed for the agent."""
    rows = METADATA.tables[column.table]
    keys = list(rows.primary_key.columns)
    found = tx.connection.execute(
        select(*keys, *(rows.c[each] for each in column.named_by))
    ).fetchall()
    gone = [
        row[: len(keys)] for row in found if column.seat(*row[len(keys) :]).kind.tier is Tier.AGENT
    ]
    for key in gone:
        conditions = (name == value for name, value in zip(keys, key, strict=True))
        tx.connection.execute(delete(rows).where(and_(*conditions)))
    return len(gone)
