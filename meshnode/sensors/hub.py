"""Keeps the newest reading of each kind, from the best source that is fresh, and wakes who waits.

Sensors fail and are started again by the supervisor; none can stop another, or the node. Readings
are kept in memory alone: a restart forgets where the device was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import trio

from meshnode.errors import SensorError
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.sensors.base import Sensor, SensorSink
from meshnode.sensors.readings import (
    BatteryReading,
    CoverageReading,
    PositionReading,
    Reading,
    SensorKind,
    kind_of,
)
from meshnode.supervisor import keep_running

__all__ = ["SensorHub", "SourceReport"]


Saving: TypeAlias = Callable[[BatteryReading | None], float]


@dataclass(frozen=True, slots=True)
class SourceReport:
    """How one source stands with one kind of reading."""

    source: str
    """Its name."""
    kind: SensorKind
    """What it gives readings of."""
    is_running: bool
    """False while it waits to be tried again, and after its end."""
    is_chosen: bool
    """True for the source that the hub goes by now."""
    reading: Reading | None
    """The newest that passed; None if none did."""
    age_s: float | None
    """How long ago that was; None without one."""
    accepted: int
    """Readings that passed since the start."""
    refused: int
    """Readings and sentences that did not."""
    trouble: SensorError | None
    """Why nothing comes, or what was wrong with the newest thing that came."""


@dataclass(frozen=True, slots=True)
class _Held:
    """The newest reading of a source, and when it came by the monotonic clock, seconds."""

    reading: Reading
    at_s: float


class _Source:
    """One sensor with its sink and its newest readings."""

    def __init__(self, sensor: Sensor, sink: SensorSink) -> None:
        self.sensor = sensor
        self.sink = sink
        self.is_running = False
        self.held: dict[SensorKind, _Held] = {}


class SensorHub:
    """The sensors of one node; without any, it runs and has nothing to say."""

    def __init__(self, sensors: Sequence[Sensor], runtime: Runtime, metrics: Metrics) -> None:
        """`sensors` stand in the order in which they are preferred, for every kind."""
        self.saving: Saving = lambda _battery: 1.0
        """How much longer than set sources are left in peace, by the battery."""
        self._stretch = 1.0
        self._runtime = runtime
        self._metrics = metrics
        self._generations = dict.fromkeys(SensorKind, 0)
        self._changed = trio.Event()
        self._sources: list[_Source] = []
        for sensor in sensors:
            deliver = partial(self._deliver, len(self._sources))
            sink = SensorSink(sensor.name, runtime, metrics, deliver)
            if SensorKind.POSITION not in sensor.kinds:
                # A place is told often in an SOS, whatever the battery.
                sink.stretch = lambda: self._stretch
            self._sources.append(_Source(sensor, sink))

    # --- reading ----------------------------------------------------------------------------

    @property
    def position(self) -> PositionReading | None:
        """Where this device is, or was at its `taken_ms`; None if no source ever said."""
        held = self._chosen(SensorKind.POSITION)[1]
        return held.reading if held and isinstance(held.reading, PositionReading) else None

    @property
    def battery(self) -> BatteryReading | None:
        """How the battery is, or was at its `taken_ms`; None if no source ever said."""
        held = self._chosen(SensorKind.BATTERY)[1]
        return held.reading if held and isinstance(held.reading, BatteryReading) else None

    @property
    def coverage(self) -> CoverageReading | None:
        """What network there is, or was at its `taken_ms`; None if no source ever said."""
        held = self._chosen(SensorKind.COVERAGE)[1]
        return held.reading if held and isinstance(held.reading, CoverageReading) else None

    def age_s(self, kind: SensorKind) -> float | None:
        """Return how long ago the reading of a kind came, whatever the wall clock did since."""
        held = self._chosen(kind)[1]
        return None if held is None else trio.current_time() - held.at_s

    def is_fresh(self, kind: SensorKind) -> bool:
        """Tell whether the reading of a kind is one to go by; False without one."""
        source, held = self._chosen(kind)
        return source is not None and held is not None and _is_fresh(source, held)

    def reports(self) -> list[SourceReport]:
        """Return how every source stands, the preferred ones first."""
        now_s, found = trio.current_time(), []
        for kind in SensorKind:
            chosen = self._chosen(kind)[0]
            for source in (each for each in self._sources if kind in each.sensor.kinds):
                held = source.held.get(kind)
                found.append(
                    SourceReport(
                        source=source.sensor.name,
                        kind=kind,
                        is_running=source.is_running,
                        is_chosen=source is chosen,
                        reading=None if held is None else held.reading,
                        age_s=None if held is None else now_s - held.at_s,
                        accepted=source.sink.accepted,
                        refused=source.sink.refused,
                        trouble=source.sink.trouble,
                    )
                )
        return found

    def _chosen(self, kind: SensorKind) -> tuple[_Source | None, _Held | None]:
        """Return the first source that is fresh, else the one whose reading came last."""
        found = [(each, each.held[kind]) for each in self._sources if kind in each.held]
        for source, held in found:
            if _is_fresh(source, held):
                return source, held
        return max(found, key=lambda pair: pair[1].at_s, default=(None, None))

    # --- waiting ----------------------------------------------------------------------------

    def generation(self, kind: SensorKind) -> int:
        """Return a number that rises whenever what a source says of `kind` is something new."""
        return self._generations[kind]

    async def wait(self, kind: SensorKind, seen: int) -> int:
        """Return the generation of `kind` once it is not `seen`; 0 is before the first reading."""
        while self._generations[kind] == seen:
            await self._changed.wait()
        return self._generations[kind]

    def _deliver(self, index: int, reading: Reading) -> None:
        source, kind = self._sources[index], kind_of(reading)
        before = source.held.get(kind)
        source.held[kind] = _Held(reading, trio.current_time())
        if kind is SensorKind.BATTERY:
            self._stretch = self.saving(self.battery)
        # What says the same again is younger, and wakes nobody.
        if before is None or replace(before.reading, taken_ms=reading.taken_ms) != reading:
            self._generations[kind] += 1
            changed, self._changed = self._changed, trio.Event()
            changed.set()

    # --- life -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run every sensor until cancelled; returns only where all of them have an end."""
        async with trio.open_nursery() as nursery:
            for source in self._sources:
                room = partial(self._run_once, source)
                name = f"sensor {source.sensor.name}"
                nursery.start_soon(keep_running, name, room, self._runtime, self._metrics)

    async def _run_once(self, source: _Source) -> None:
        source.is_running = True
        try:
            await source.sensor.run(source.sink)
        except SensorError as error:
            self._metrics.count("sensor_failures")
            source.sink.explain(error)
            raise
        finally:
            source.is_running = False


def _is_fresh(source: _Source, held: _Held) -> bool:
    return trio.current_time() - held.at_s <= source.sensor.fresh_s * source.sink.stretch()
