"""Data classes of the archive: what is in each, how long it is kept, and why.

The sentences are reasons, not legal advice: whoever runs a gateway states its own in its register
of processing and sets `[retention]` by it, within these bounds. Source: decision 55.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from meshnode.vault.kinds import DataKind
from protocol.limits import Kind

__all__ = ["CLASS_OF", "RETENTION", "DataClass", "RetentionRule", "Terms", "default_terms"]


class DataClass(StrEnum):
    """What is kept for the same time and sealed under the same key of a day."""

    POSITIONS = "positions"
    SHIFTS = "shifts"
    TEXTS = "texts"
    SOS = "sos"
    FILES = "files"
    RECEIPTS = "receipts"
    AUDIT = "audit"

    @property
    def kind(self) -> DataKind:
        """The kind of data key that seals it; no two classes share one."""
        return _KINDS[self]


_KINDS: Final[Mapping[DataClass, DataKind]] = MappingProxyType(
    {
        DataClass.POSITIONS: DataKind.POSITION,
        DataClass.SHIFTS: DataKind.CONTACT,
        DataClass.TEXTS: DataKind.MESSAGE,
        DataClass.SOS: DataKind.ALARM,
        DataClass.FILES: DataKind.ATTACHMENT,
        DataClass.RECEIPTS: DataKind.LEDGER,
        DataClass.AUDIT: DataKind.AUDIT,
    }
)

CLASS_OF: Final[Mapping[Kind, DataClass]] = MappingProxyType(
    {
        Kind.POSITION: DataClass.POSITIONS,
        Kind.STATE: DataClass.POSITIONS,
        Kind.TRACK: DataClass.POSITIONS,
        Kind.SHIFT: DataClass.SHIFTS,
        Kind.TEXT: DataClass.TEXTS,
        Kind.NOTE: DataClass.TEXTS,
        Kind.CANCEL: DataClass.TEXTS,
        Kind.SOS: DataClass.SOS,
        Kind.CHUNK: DataClass.FILES,
        Kind.RECEIPT: DataClass.RECEIPTS,
        Kind.READ: DataClass.RECEIPTS,
        Kind.AUDIT_HEAD: DataClass.AUDIT,
    }
)
"""The class of each kind of bundle that is archived."""


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """How long a class is kept when nothing else is set, within which bounds, and why."""

    days: int
    """Whole days after the day on which a thing was written or taken in, the earlier one."""
    days_min: int
    """Fewest days that can be set."""
    days_max: int
    """Most days that can be set."""
    reason: str
    """One sentence."""


RETENTION: Final[Mapping[DataClass, RetentionRule]] = MappingProxyType(
    {
        DataClass.POSITIONS: RetentionRule(
            61,
            1,
            365,
            "two months, after the French guidance on locating people at work; "
            "longer only where the law or a proof asks for it",
        ),
        DataClass.SHIFTS: RetentionRule(
            365, 1, 1_827, "one year, so that working time can be shown; at most five"
        ),
        DataClass.TEXTS: RetentionRule(
            365, 1, 1_827, "one year, so that an operation can be gone through again"
        ),
        DataClass.SOS: RetentionRule(
            1_827,
            30,
            3_653,
            "five years, as long as somebody may go to court over what was done or not done",
        ),
        DataClass.FILES: RetentionRule(
            92, 1, 1_827, "three months, so that what matters is taken into a file of its own"
        ),
        DataClass.RECEIPTS: RetentionRule(
            365, 1, 1_827, "one year, as long as the texts whose arrival they prove"
        ),
        DataClass.AUDIT: RetentionRule(
            365, 180, 1_097, "one year, so that an intrusion found late can be followed back"
        ),
    }
)
"""The rule of every class."""

Terms = Mapping[DataClass, int]
"""Days that each class is kept."""


def default_terms() -> Terms:
    """Return the days that hold where nothing is set."""
    return {each: rule.days for each, rule in RETENTION.items()}


assert set(_KINDS) == set(RETENTION) == set(DataClass) == set(CLASS_OF.values())
assert len(set(_KINDS.values())) == len(_KINDS)
