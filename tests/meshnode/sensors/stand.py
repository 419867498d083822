"""What tests of sensors share: a hub that runs one, on a clock of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from meshnode.metrics import Metrics
from meshnode.runtime import Runtime, system_runtime
from meshnode.sensors.base import Sensor, SensorSink
from meshnode.sensors.hub import SensorHub
from meshnode.sensors.readings import (
    BatteryReading,
    CoverageBearer,
    CoverageReading,
    PositionReading,
    Reading,
    SensorKind,
)

__all__ = [
    "NOW_MS",
    "FakeSensor",
    "battery",
    "coverage",
    "position",
    "running",
    "sink",
    "virtual_runtime",
]

NOW_MS = 1_790_000_000_000


def virtual_runtime() -> Runtime:
    """Return seams whose wall clock follows trio's, from NOW_MS; blocking work runs inline."""
    started_s = trio.current_time()

    async def inline(function: Callable[..., object], *args: object, **_: object) -> object:
        await trio.lowlevel.checkpoint()
        return function(*args)

    return replace(
        system_runtime(),
        now_ms=lambda: NOW_MS + round((trio.current_time() - started_s) * 1000),
        run_blocking=inline,  # type: ignore[arg-type]
    )


def position(
    latitude: float = 44.9,
    longitude: float = 6.64,
    *,
    accuracy_m: float = 5.0,
    taken_ms: int = NOW_MS,
    told_ms: int = 0,
) -> PositionReading:
    return PositionReading(
        latitude, longitude, accuracy_m, taken_ms=taken_ms, source="test", told_ms=told_ms
    )


def battery(
    level_pct: float = 80.0, *, is_charging: bool = False, taken_ms: int = NOW_MS
) -> BatteryReading:
    return BatteryReading(level_pct, is_charging=is_charging, taken_ms=taken_ms, source="test")


def coverage(bearer: CoverageBearer = CoverageBearer.FOUR_G) -> CoverageReading:
    is_there = bearer is not CoverageBearer.NONE
    return CoverageReading(bearer, 60.0, "Test", is_there, taken_ms=NOW_MS, source="test")


class FakeSensor(Sensor):
    """A sensor that a test speaks for; held to the same contract as the real ones."""

    def __init__(
        self, name: str = "fake", kind: SensorKind = SensorKind.POSITION, fresh_s: float = 15.0
    ) -> None:
        self.name = name
        self.kinds = frozenset({kind})
        self.fresh_s = fresh_s
        self.runs = 0
        self.error: Exception | None = None
        """Raised at the start of each run while it is set."""
        self._say, self._said = trio.open_memory_channel[Callable[[], Reading]](100)

    def says(self, reading: Reading) -> None:
        self.builds(lambda: reading)

    def builds(self, build: Callable[[], Reading]) -> None:
        self._say.send_nowait(build)

    async def run(self, sink: SensorSink) -> None:
        self.runs += 1
        if self.error is not None:
            raise self.error
        async for build in self._said:
            sink.take(build)


def sink(metrics: Metrics | None = None) -> tuple[SensorSink, list[Reading]]:
    """Return a sink outside any hub, and what passes it."""
    passed: list[Reading] = []
    return SensorSink("test", virtual_runtime(), metrics or Metrics(), passed.append), passed


@asynccontextmanager
async def running(
    *sensors: Sensor, runtime: Runtime | None = None
) -> AsyncIterator[tuple[SensorHub, Metrics]]:
    """Run sensors in a hub as long as the block."""
    metrics = Metrics()
    hub = SensorHub(sensors, runtime or virtual_runtime(), metrics)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.run)
        yield hub, metrics
        nursery.cancel_scope.cancel()
