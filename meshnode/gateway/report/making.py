"""Reads an archive for a report, a class and a day at a time. Source: decision 61."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from meshnode.errors import ArchiveError
from meshnode.gateway.archive.archive import Archive
from meshnode.gateway.archive.facts import SHARE_WHOLE
from meshnode.gateway.report.alarms import Alarms
from meshnode.gateway.report.counting import Counting, Devices, Receipts
from meshnode.gateway.report.coverage import Coverages
from meshnode.gateway.report.figures import Found, figures
from meshnode.retention import DataClass
from meshnode.vault.kinds import DAY_MS, day_of
from protocol.ids import NodeId

__all__ = ["CONTENTS_MAX", "DAYS_MAX", "Plan", "make"]

DAYS_MAX: Final = 400
"""Days of one report."""
CONTENTS_MAX: Final = 20_000
"""Places and states of one day that are opened: some 20 s for a month at most."""
_ALARM_DAYS: Final = 7
"""A step of an alarm that was raised in the period is looked for so long after it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a report is about."""

    first_day: int
    """Since 1970, UTC."""
    last_day: int
    """The last one that counts."""
    now_ms: int
    """Unix milliseconds."""
    squad_devices: Mapping[bytes, int]
    """Members of each squad that is known here, by its encoded scope."""
    is_helper: Callable[[NodeId], bool]
    """Whether a device may take an alarm."""
    contents_max: int = CONTENTS_MAX
    """Places and states of one day that are opened."""


async def make(archive: Archive, plan: Plan) -> dict[str, Any]:
    """Return the report of a period, without anything that few devices could be told by.

    Raises: ArchiveError for more than DAYS_MAX days, ArchiveDownError, ArchiveKeyError.
    Cost: about 10 µs for each bundle of the period and 40 µs for each receipt since its beginning.
    """
    if not 0 <= plan.last_day - plan.first_day < DAYS_MAX:
        raise ArchiveError(f"a report is about 1 to {DAYS_MAX} days")
    devices, receipts = Devices(), Receipts()
    counting = Counting(devices, receipts, plan.squad_devices, plan.now_ms)
    alarms, coverage = Alarms(devices, plan.is_helper), Coverages(devices)
    looked_at = 1.0
    # What is receipted, or ends an alarm, may have come after the period.
    today = max(day_of(plan.now_ms), plan.last_day)
    days = await archive.days(plan.first_day, today)
    for data_class, day in days:
        if data_class is DataClass.RECEIPTS:
            await archive.fold_receipts(day, receipts.take)
    for data_class, day in days:
        if data_class is DataClass.SOS and day <= plan.last_day + _ALARM_DAYS:
            await archive.fold_contents(data_class, day, alarms.take)
        if day > plan.last_day:
            continue
        await archive.fold_arrivals(data_class, day, counting.take)
        if data_class is DataClass.POSITIONS:
            count = await archive.count_contents(data_class, day)
            share = min(SHARE_WHOLE, SHARE_WHOLE * plan.contents_max // max(count, 1))
            looked_at = min(looked_at, share / SHARE_WHOLE)
            await archive.fold_contents(data_class, day, coverage.take, share)
    end_ms = (plan.last_day + 1) * DAY_MS
    found = Found(
        plan.first_day,
        plan.last_day,
        plan.now_ms,
        counting,
        alarms.figures(end_ms),
        coverage,
        looked_at,
        receipts.unreadable,
    )
    return figures(found)
