"""Makes sensors from what stands in the settings: `gpsd:HOST:PORT` and its like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshnode.errors import ConfigError
from meshnode.sensors.base import Sensor
from meshnode.sensors.bounds import SENSORS_OF_KIND_MAX
from meshnode.sensors.gpsd import GPSD_PORT, Gpsd
from meshnode.sensors.modemmanager import ModemManagerCoverage
from meshnode.sensors.readings import SensorKind
from meshnode.sensors.replay import Replay
from meshnode.sensors.sysfs import SysfsBattery
from meshnode.sensors.termux import TermuxBattery, TermuxCoverage, TermuxPosition
from meshnode.sensors.upower import UPowerBattery

__all__ = ["make_sensors"]

_NMEA_PORT: Final = 10_110
"""Port on which boats send NMEA 0183, registered as nmea-0183."""
_BAUD: Final = 4800
"""Speed of NMEA 0183 when nothing else is configured."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """One source as it is written in the settings."""

    setting: str
    """Its full name."""
    source: str
    """The whole."""
    rest: str
    """What stands behind the first colon."""
    kind: SensorKind
    """What it is to give."""
    interval_s: float
    """Between two looks."""
    folder: Path
    """What relative paths are relative to."""

    @property
    def shown(self) -> str:
        """Its beginning, as an error names it."""
        return self.source[:80]

    @property
    def plain(self) -> str:
        """The text of a source that takes no argument. Raises: ConfigError."""
        if self.rest:
            raise ConfigError(self.setting, f"'{self.shown}' takes nothing behind its name")
        return self.source

    def place(self, host: str, port: int) -> tuple[str, int]:
        """Return `HOST:PORT` behind the name, with these where one is missing.

        Raises: ConfigError.
        """
        before, _, after = self.rest.rpartition(":")
        words = (before, after) if before else (self.rest, "")
        if not before and self.rest.isdecimal():
            words = ("", self.rest)
        port_text = words[1] or str(port)
        if not (port_text.isdecimal() and len(port_text) < 6 and 0 < int(port_text) < 65_536):
            raise ConfigError(
                self.setting, f"'{self.shown}' has no port that exists: write HOST:PORT"
            )
        return words[0].strip("[]") or host, int(port_text)


def _gpsd(wish: _Wish) -> Sensor:
    return Gpsd(wish.source, *wish.place("127.0.0.1", GPSD_PORT))


def _nmea_udp(wish: _Wish) -> Sensor:
    # Imported here: the next one needs a terminal line, which Windows has not.
    from meshnode.sensors.nmea_lines import UdpNmea

    return UdpNmea(wish.source, *wish.place("127.0.0.1", _NMEA_PORT))


def _nmea_serial(wish: _Wish) -> Sensor:
    from meshnode.sensors.nmea_lines import BAUD_RATES, SerialNmea

    path, _, speed = wish.rest.partition(":")
    if not path.startswith("/"):
        raise ConfigError(
            wish.setting, f"'{wish.shown}' names no device: write nmea-serial:/dev/ttyUSB0"
        )
    if speed and (not speed.isdecimal() or len(speed) > 6 or int(speed) not in BAUD_RATES):
        known = ", ".join(map(str, BAUD_RATES))
        raise ConfigError(wish.setting, f"'{wish.shown}' has another speed than {known}")
    return SerialNmea(wish.source, path, int(speed or _BAUD))


def _replay(wish: _Wish) -> Sensor:
    if not wish.rest or "\0" in wish.rest:
        raise ConfigError(wish.setting, f"'{wish.shown}' names no file: write replay:FILE")
    return Replay(wish.source, wish.folder / wish.rest, wish.kind)


_MAKERS: Final[Mapping[SensorKind, Mapping[str, Callable[[_Wish], Sensor]]]] = {
    SensorKind.POSITION: {
        "gpsd": _gpsd,
        "nmea-udp": _nmea_udp,
        "nmea-serial": _nmea_serial,
        "termux": lambda wish: TermuxPosition(wish.plain, wish.interval_s),
        "replay": _replay,
    },
    SensorKind.BATTERY: {
        "sysfs": lambda wish: SysfsBattery(wish.plain, wish.interval_s),
        "upower": lambda wish: UPowerBattery(wish.plain, wish.interval_s),
        "termux": lambda wish: TermuxBattery(wish.plain, wish.interval_s),
        "replay": _replay,
    },
    SensorKind.COVERAGE: {
        "modemmanager": lambda wish: ModemManagerCoverage(wish.plain, wish.interval_s),
        "termux": lambda wish: TermuxCoverage(wish.plain, wish.interval_s),
        "replay": _replay,
    },
}


def make_sensors(
    wanted: Mapping[SensorKind, Sequence[str]], interval_s: float, folder: Path
) -> list[Sensor]:
    """Return the sensors that the settings name, those of a kind in their order.

    Paths of files are relative to `folder`. Touches nothing. Raises: ConfigError.
    """
    found: list[Sensor] = []
    for kind, texts in wanted.items():
        key = f"sensors.{kind.value}"
        if len(texts) > SENSORS_OF_KIND_MAX:
            raise ConfigError(key, f"has at most {SENSORS_OF_KIND_MAX} items")
        if len(set(texts)) < len(texts):
            raise ConfigError(key, "names a source twice")
        for text in texts:
            word, _, rest = text.partition(":")
            maker = _MAKERS[kind].get(word)
            wish = _Wish(key, text, rest, kind, interval_s, folder)
            if maker is None:
                known = ", ".join(_MAKERS[kind])
                raise ConfigError(key, f"'{wish.shown}' is unknown; sources are {known}")
            found.append(maker(wish))
    return found
