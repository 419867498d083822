"""What must hold of every bearer that costs money: it never costs more than its budget.

Judged by what the other side of the radio billed, and by what the database of the device says it
had booked, read as SQLite sees it. Source: decision 33.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from protocol.budgets import Tariff, period_start_ms
from sims.record import WorldRecord
from sims.store_checkers import databases_of
from sims.tariffs import tariff_of

__all__ = ["BUDGET_CHECKERS", "billed_of", "no_bearer_over_its_budget"]

_Found = Iterator[tuple[str, str]]
"""Device and sentence of each breach."""


def billed_of(world: WorldRecord, name: str, tariff: Tariff) -> dict[int, int]:
    """Return the bytes that were billed to a device in each period, by its begin."""
    found: dict[int, int] = defaultdict(int)
    for line in world.lines:
        if line.node == name and line.event == "air_billed":
            fields = dict(line.fields)
            start_ms = period_start_ms(tariff.period, int(str(fields["now_ms"])))
            found[start_ms] += int(str(fields["bytes"]))
    return dict(found)


def no_bearer_over_its_budget(world: WorldRecord) -> _Found:
    """No period was billed, or booked, beyond its bytes; and nothing was billed unbooked."""
    plans = {device.name: device.radio_budget for device in world.scenario.devices}
    for device, database in databases_of(world):
        tariff = tariff_of(plans[device.name])
        if tariff is None:
            continue
        rows = database.execute("SELECT start_ms, billed_bytes FROM spent")
        booked: dict[int, int] = dict(rows.fetchall())
        billed = billed_of(world, device.name, tariff)
        for start_ms in booked.keys() | billed.keys():
            got, paid = billed.get(start_ms, 0), booked.get(start_ms, 0)
            if max(got, paid) > tariff.bytes_max:
                yield device.name, f"cost {max(got, paid)} of {tariff.bytes_max} bytes"
            if got > paid:
                yield device.name, f"was billed {got} bytes, and had booked {paid}"


BUDGET_CHECKERS: Final[dict[str, Callable[[WorldRecord], _Found]]] = {
    checker.__name__: checker for checker in (no_bearer_over_its_budget,)
}
"""Every promise of a budget by its name."""
