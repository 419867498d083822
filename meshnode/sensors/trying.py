"""Tries sensors for some seconds where no node runs: what each gives, and why one gives nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import trio

from meshnode.errors import SensorError
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.sensors.base import Sensor
from meshnode.sensors.hub import SensorHub, SourceReport

__all__ = ["try_sensors"]

_STEP_S = 0.1


async def try_sensors(
    sensors: Sequence[Sensor],
    runtime: Runtime,
    within_s: float,
    progress: Callable[[int, int], None] = lambda _answered, _all: None,
) -> list[SourceReport]:
    """Return how each source stands once all gave a reading or are missing, or after `within_s`.

    `progress` hears how many of how many have answered, with a reading or with why there is none.
    """
    hub = SensorHub(sensors, runtime, Metrics())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.run)
        with trio.move_on_after(within_s):
            while True:
                found = hub.reports()
                answered = sum(
                    each.reading is not None or each.trouble is not None for each in found
                )
                progress(answered, len(found))
                if all(_has_answered(each) for each in found):
                    break
                await trio.sleep(_STEP_S)
        found = hub.reports()
        nursery.cancel_scope.cancel()
    silence = SensorError("silent", f"nothing came within {within_s:g} s")
    return [
        replace(each, trouble=silence) if each.reading is None and each.trouble is None else each
        for each in found
    ]


def _has_answered(report: SourceReport) -> bool:
    """Tell whether waiting longer changes nothing that a person would wait for."""
    is_missing = report.trouble is not None and report.trouble.reason == "missing"
    return report.reading is not None or is_missing
