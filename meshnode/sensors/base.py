"""What every sensor gives: readings, or one sentence why there are none.

A sensor is told by its surroundings, which may lie, hang, flood or vanish. It hands everything to
its sink, which believes nothing, counts what it refuses and never makes the sensor wait.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import trio

from meshnode.errors import SensorError
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.sensors.bounds import SENSOR_BYTES_PER_S_MAX
from meshnode.sensors.plausible import ChargingGuard, MotionGuard
from meshnode.sensors.readings import (
    BatteryReading,
    PositionReading,
    Reading,
    SensorKind,
)

__all__ = ["Sensor", "SensorSink"]


class SensorSink:
    """Takes what one source says, and remembers what became of it."""

    def __init__(
        self, name: str, runtime: Runtime, metrics: Metrics, deliver: Callable[[Reading], None]
    ) -> None:
        """`deliver` gets each reading that passed; it must be quick and not raise."""
        self.name = name
        self.runtime = runtime
        self.accepted = 0
        """Readings that passed."""
        self.refused = 0
        """Readings and sentences that did not."""
        self.trouble: SensorError | None = None
        """Why nothing comes, or what was wrong with the newest thing that came; None if nothing."""
        self.stretch: Callable[[], float] = lambda: 1.0
        """How much longer than set this source is left in peace, at least 1."""
        self._metrics = metrics
        self._deliver = deliver
        self._motion = MotionGuard()
        self._charging = ChargingGuard()

    def take(self, build: Callable[[], Reading | None]) -> bool:
        """Build a reading and hand it on; False where it is refused, repeated or None.

        A SensorError while building is the source's fault: it is counted, and nothing else.
        """
        try:
            built = build()
            reading = None if built is None else self._judged(built)
        except SensorError as error:
            self.refuse(error)
            return False
        if reading is None:
            return False
        self.accepted += 1
        self.trouble = None
        self._metrics.count("sensor_readings")
        self._deliver(reading)
        return True

    def _judged(self, reading: Reading) -> Reading | None:
        if isinstance(reading, PositionReading):
            return self._motion.judge(reading, trio.current_time())
        if isinstance(reading, BatteryReading):
            return self._charging.judge(reading, trio.current_time())
        return reading

    def refuse(self, error: SensorError) -> None:
        """Count something that is no reading, and remember why."""
        self.refused += 1
        self._metrics.count("sensor_refusals")
        self.explain(error)

    def explain(self, error: SensorError) -> None:
        """Remember why nothing comes; the trace hears of it once, however often it is said."""
        if self.trouble is None or self.trouble.reason != error.reason:
            self.runtime.trace("sensor_trouble", sensor=self.name, reason=error.reason)
        self.trouble = error

    def rest_s(self, interval_s: float) -> float:
        """Return how long until the next look at a source that has to be asked.

        All sources wait for the same moments, so that they wake the device together.
        """
        step_s, now_s = interval_s * self.stretch(), trio.current_time()
        return (now_s // step_s + 1) * step_s - now_s

    async def pace(self, count_bytes: int) -> None:
        """Wait as long as that many bytes may take: a flood must not take the whole processor."""
        await trio.sleep(count_bytes / SENSOR_BYTES_PER_S_MAX)


class Sensor(ABC):
    """One source of readings. Making one touches nothing; `run` does."""

    name: str
    """As it is written in the settings."""
    kinds: frozenset[SensorKind]
    """What it may give readings of."""
    fresh_s: float
    """A reading of it is to be gone by this long, seconds."""

    @abstractmethod
    async def run(self, sink: SensorSink) -> None:
        """Hand readings to `sink` until cancelled; returns only where the source has an end.

        What it opens is closed, and what it started is dead, when it leaves. Raises: SensorError
        where the source is missing or broken; whoever runs it runs it again later.
        """
