"""The battery as UPower tells it over D-Bus: the one that it shows on a desktop's panel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from meshnode.errors import SensorError
from meshnode.sensors.base import Sensor, SensorSink
from meshnode.sensors.readings import BatteryReading, SensorKind, number

__all__ = ["UPowerBattery"]

_SERVICE: Final = "org.freedesktop.UPower"
_PATH: Final = "/org/freedesktop/UPower/devices/DisplayDevice"
_INTERFACE: Final = "org.freedesktop.UPower.Device"
_CHARGING: Final = 1
_FED: Final = frozenset({_CHARGING, 4, 5})
"""States of a battery: charging, fully charged, about to charge. Source: UPower's Device.State."""


class UPowerBattery(Sensor):
    """Follows the battery by events, and looks at it now and then all the same."""

    kinds = frozenset({SensorKind.BATTERY})

    def __init__(self, name: str, interval_s: float, address: str = "SYSTEM") -> None:
        self.name = name
        self.fresh_s = 3 * interval_s
        self._interval_s = interval_s
        self._address = address

    async def run(self, sink: SensorSink) -> None:
        """See `Sensor.run`."""
        # Imported here: a device without this source needs no library for D-Bus.
        from meshnode.sensors.bus import Bus, on_bus

        async def follow(bus: Bus) -> None:
            await bus.greet()
            await bus.watch(_SERVICE, _PATH)
            while True:
                found = await bus.properties(_SERVICE, _PATH, _INTERFACE)
                if found.get("IsPresent"):
                    sink.take(lambda found=found: self._reading(found, sink))  # type: ignore[misc]
                else:
                    sink.explain(SensorError("missing", "this device has no battery"))
                await bus.changed(sink.rest_s(self._interval_s))

        await on_bus(self._address, follow)

    def _reading(self, found: Mapping[str, Any], sink: SensorSink) -> BatteryReading:
        state = found.get("State")
        power = found.get("EnergyRate")
        # The rate has no sign of its own in some releases; the state tells the direction.
        watts = None if power is None else abs(number(power, "battery power"))
        return BatteryReading(
            level_pct=number(found.get("Percentage"), "battery level"),
            is_charging=isinstance(state, int) and state in _FED,
            taken_ms=sink.runtime.now_ms(),
            source=self.name,
            power_w=-watts if watts and state == _CHARGING else watts,
        )
