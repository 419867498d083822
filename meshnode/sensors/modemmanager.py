"""Coverage as ModemManager tells it over D-Bus, by events: nothing is asked while nothing changes.

Source: ModemManager's D-Bus reference, interfaces Modem and Modem3gpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from meshnode.errors import SensorError
from meshnode.sensors.base import Sensor, SensorSink
from meshnode.sensors.bounds import MODEMS_MAX
from meshnode.sensors.readings import (
    CoverageBearer,
    CoverageReading,
    SensorKind,
    number,
    printable,
)

if TYPE_CHECKING:
    from meshnode.sensors.bus import Bus, Interfaces

__all__ = ["ModemManagerCoverage"]

_SERVICE: Final = "org.freedesktop.ModemManager1"
_PATH: Final = "/org/freedesktop/ModemManager1"
_MODEM: Final = "org.freedesktop.ModemManager1.Modem"
_NETWORK: Final = "org.freedesktop.ModemManager1.Modem.Modem3gpp"
_REGISTERED: Final = frozenset({1, 5})
"""Home and roaming. Source: MMModem3gppRegistrationState."""
_STATE_REGISTERED: Final = 8
"""This and later states mean that the network took the modem in. Source: MMModemState."""
_TECHNOLOGIES: Final = (
    (CoverageBearer.FIVE_G, 1 << 15),
    (CoverageBearer.FOUR_G, 1 << 14 | 1 << 16 | 1 << 17),
    (CoverageBearer.THREE_G, 0b1111 << 5 | 1 << 9 | 0b111 << 11),
    (CoverageBearer.TWO_G, 0b1111 << 1 | 1 << 10),
)
"""Bits of what is in use, the best first. Source: MMModemAccessTechnology."""
_RANKED: Final = tuple(CoverageBearer)


class ModemManagerCoverage(Sensor):
    """The best modem of this machine."""

    kinds = frozenset({SensorKind.COVERAGE})

    def __init__(self, name: str, interval_s: float, address: str = "SYSTEM") -> None:
        self.name = name
        self.fresh_s = 3 * interval_s
        self._interval_s = interval_s
        self._address = address

    async def run(self, sink: SensorSink) -> None:
        """See `Sensor.run`."""
        # Imported here: a device without this source needs no library for D-Bus.
        from meshnode.sensors.bus import on_bus

        async def follow(bus: Bus) -> None:
            await bus.greet()
            await bus.watch(_SERVICE, _PATH)
            while True:
                self._tell(await bus.objects(_SERVICE, _PATH), sink)
                await bus.changed(sink.rest_s(self._interval_s))

        await on_bus(self._address, follow)

    def _tell(self, objects: Mapping[str, Interfaces], sink: SensorSink) -> None:
        modems = [each for each in objects.values() if _MODEM in each][:MODEMS_MAX]
        if not modems:
            sink.explain(SensorError("missing", "ModemManager knows no modem: is it plugged in?"))
            return
        # A reading is made of each, so that one that tells nonsense hides no other.
        found: list[CoverageReading] = []
        for modem in modems:
            try:
                found.append(self._reading(modem, sink))
            except SensorError as error:
                sink.refuse(error)
        if found:
            best = max(found, key=lambda each: (each.is_registered, _RANKED.index(each.bearer)))
            sink.take(lambda: best)

    def _reading(self, modem: Interfaces, sink: SensorSink) -> CoverageReading:
        radio, network = modem[_MODEM], modem.get(_NETWORK, {})
        if _NETWORK in modem:
            state = network.get("RegistrationState")
            is_registered = isinstance(state, int) and state in _REGISTERED
        else:
            state = radio.get("State")
            is_registered = isinstance(state, int) and state >= _STATE_REGISTERED
        bearer = _bearer(radio.get("AccessTechnologies")) if is_registered else CoverageBearer.NONE
        return CoverageReading(
            bearer=bearer,
            signal_pct=_signal(radio.get("SignalQuality")) if is_registered else None,
            operator=printable(str(network.get("OperatorName", ""))) if is_registered else "",
            is_registered=is_registered,
            taken_ms=sink.runtime.now_ms(),
            source=self.name,
        )


def _bearer(technologies: Any) -> CoverageBearer:
    if not isinstance(technologies, int):
        raise SensorError("technology", "the modem tells no technology")
    for bearer, bits in _TECHNOLOGIES:
        if technologies & bits:
            return bearer
    return CoverageBearer.NONE


def _signal(quality: Any) -> float | None:
    """Return the strength, percent; None where the modem tells none."""
    if not isinstance(quality, tuple | list) or not quality:
        return None
    return number(quality[0], "signal")
