"""Settings of a node: frozen records from `meshnode.toml`; an unknown key is an error.

A setting is one record field with its default, its unit, its bounds and its sentence, from which
the reference page is made. Every default works: the file may be empty. Source: STYLE 42.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from meshnode.centre_settings import GatewaySettings, RetentionSettings, TakSettings
from meshnode.discovery.base import DEFAULT_PORT
from meshnode.errors import ConfigError, LinkError
from meshnode.links.base import Address, parse_address
from meshnode.sensors.base import Sensor
from meshnode.sensors.catalogue import make_sensors
from meshnode.sensors.readings import SensorKind
from meshnode.setting_fields import setting as _setting
from protocol.budgets import Tariff, read_tariff
from protocol.routing import ROUTERS

__all__ = [
    "WEB_ADDRESS",
    "BudgetSettings",
    "DiscoverySettings",
    "GatewaySettings",
    "LinkSettings",
    "PlotterSettings",
    "RetentionSettings",
    "SecuritySettings",
    "SensorSettings",
    "Setting",
    "Settings",
    "StoreSettings",
    "TakSettings",
    "TraceSettings",
    "WebSettings",
    "is_loopback",
    "load_settings",
    "read_settings",
    "settings_table",
]

_FILE_BYTES_MAX: Final = 65_536
_ITEMS_MAX: Final = 64
_PLOTTERS_MAX: Final = 4
"""A boat has a plotter or two, and each gets every sentence."""
_AIS_PORT: Final = 10_110
"""Where boats send NMEA sentences round."""
WEB_ADDRESS: Final = "127.0.0.1:8480"
"""Where the screens are, if nothing else is set."""
_WEB_AUTO: Final = "auto"


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Section `[links]`."""

    listen: tuple[str, ...] = _setting(
        (f"[::]:{DEFAULT_PORT}", f"0.0.0.0:{DEFAULT_PORT}"),
        "Addresses on which other nodes may dial this one; empty to be dialled by nobody.",
    )
    """`HOST:PORT` each; port 0 takes any free one."""
    static: tuple[str, ...] = _setting(
        (), "Addresses that are dialled again and again: the gateway, the box on the boat."
    )
    """`HOST` or `HOST:PORT` each."""
    serial: tuple[str, ...] = _setting(
        (),
        "Serial ports with a cable to another node, or a radio controller that speaks KISS.",
    )
    """`/dev/NAME` for 9,600 bit/s, or `/dev/NAME@RATE`; of a radio the rate on the air."""
    known_as: tuple[str, ...] = _setting(
        (),
        "Addresses at which others dial this node through a forwarder that translates them.",
    )
    """`HOST:PORT` each, the host as an IP address."""


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """Section `[discovery]`."""

    mdns: bool = _setting(
        True, "Announce this node on local networks under a random name, and look for others."
    )
    """On or off."""
    probe: bool = _setting(
        True, "Try the addresses where peers answered before, and the routers of local networks."
    )
    """On or off."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Section `[store]`."""

    bytes_max: int = _setting(
        2_000_000_000,
        "Bytes that bundles may take on the disk, 5 % of them kept for SOS.",
        minimum=1_000_000,
        maximum=1_000_000_000_000,
    )
    """Bytes."""


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """Section `[routing]`."""

    policy: str = _setting(
        "gain",
        f"In which order a peer gets what it lacks: {', '.join(ROUTERS)}; "
        "direct gives a peer only what is for it.",
        choices=tuple(ROUTERS),
    )
    """Name of a policy."""


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Section `[trace]`."""

    file: str = _setting(
        "", "Write structured events to this file, relative to the home; empty writes none."
    )
    """Path."""


@dataclass(frozen=True, slots=True)
class SecuritySettings:
    """Section `[security]`."""

    auto_lock_s: int = _setting(
        900,
        "Seconds without a command after which a device with a secret locks; 0 for never. "
        "An unattended device does not lock by this, and one that keeps an archive has its own.",
        minimum=0,
        maximum=86_400,
    )
    """Seconds."""


@dataclass(frozen=True, slots=True)
class SensorSettings:
    """Section `[sensors]`. Raises: ConfigError for a source that is unknown or written wrong."""

    position: tuple[str, ...] = _setting(
        (),
        "Sources of this device's position, the best first: gpsd:HOST:PORT, nmea-udp:HOST:PORT, "
        "nmea-serial:PATH:BAUD, termux, replay:FILE.",
    )
    """A name each, and what it needs behind colons."""
    battery: tuple[str, ...] = _setting(
        ("sysfs",),
        "Sources of the state of the battery, the best first: sysfs, upower, termux, replay:FILE.",
    )
    """A name each."""
    coverage: tuple[str, ...] = _setting(
        (), "Sources of mobile coverage, the best first: modemmanager, termux, replay:FILE."
    )
    """A name each."""
    interval_s: int = _setting(
        60,
        "Seconds between two looks at a source that has to be asked.",
        minimum=5,
        maximum=3_600,
    )
    """Seconds."""

    def __post_init__(self) -> None:
        self.sensors(Path())

    def sensors(self, folder: Path) -> list[Sensor]:
        """Make the sensors; paths of files are relative to `folder`."""
        wanted = {kind: getattr(self, kind.value) for kind in SensorKind}
        return make_sensors(wanted, self.interval_s, folder)


@dataclass(frozen=True, slots=True)
class PlotterSettings:
    """Section `[plotter]`. Raises: ConfigError for an address that is none of a boat's network."""

    send_to: tuple[str, ...] = _setting(
        (),
        "Addresses to which AIS sentences go by UDP that show mates on duty on the boat's plotter; "
        "they are not encrypted.",
    )
    """`HOST` or `HOST:PORT` each, the host as an IP address of the boat's own network."""
    interval_s: int = _setting(
        10, "Seconds between two rounds of these sentences.", minimum=2, maximum=60
    )
    """Seconds."""
    mid: int = _setting(
        227,
        "Digits of the country in the numbers that mates have on a plotter (98, these, four more).",
        minimum=201,
        maximum=775,
    )
    """Maritime identification digits of ITU; 226 to 228 are French."""

    def __post_init__(self) -> None:
        if len(self.send_to) > _PLOTTERS_MAX:
            raise ConfigError("plotter.send_to", f"has at most {_PLOTTERS_MAX} items")
        _ = self.addresses

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses, read."""
        return tuple(_plotter(text) for text in self.send_to)


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """Section `[budgets]`. Raises: ConfigError for a budget that is written wrong."""

    bearers: tuple[str, ...] = _setting(
        (),
        "What ports and interfaces may cost: NAME per=month (or week, day) bytes=N euros=N, and "
        "step=N price=N for billing in steps, sos=N for bytes kept for SOS; price is euros a step.",
    )
    """One line each; a name may end in a star."""

    def __post_init__(self) -> None:
        self.tariffs()

    def tariffs(self) -> list[Tariff]:
        """Return the budgets."""
        try:
            return [read_tariff(each) for each in self.bearers]
        except ValueError as error:
            raise ConfigError("budgets.bearers", str(error)) from error


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Section `[web]`. Raises: ConfigError for an address that cannot be served as it is set."""

    listen: str = _setting(
        _WEB_AUTO,
        f"Address of the screens and the web interface: auto is {WEB_ADDRESS}, and none on a "
        "relay; empty for none.",
    )
    """`HOST:PORT`, the host as an IP address or localhost; port 0 takes any free one."""
    certificate: str = _setting(
        "",
        "File of the certificate chain for HTTPS, relative to the home; an address that others "
        "reach needs it.",
    )
    """Path of a PEM file."""
    key: str = _setting("", "File of the key that belongs to it, relative to the home.")
    """Path of a PEM file without a passphrase."""
    names: tuple[str, ...] = _setting(
        (), "Names, beside its IP addresses, by which browsers reach the screens."
    )
    """A host name each, without a port."""
    insecure_lan: bool = _setting(
        False,
        "Serve others without HTTPS: whoever listens on that network reads all and can act.",
    )
    """On or off."""

    def __post_init__(self) -> None:
        if bool(self.certificate) != bool(self.key):
            raise ConfigError("web.certificate", "goes with web.key: write both or none")
        if any(not name or "/" in name or ":" in name for name in self.names):
            raise ConfigError("web.names", "are names of hosts, without a port: gateway.example")
        address = self.address
        if address is None or self.certificate or self.insecure_lan:
            return
        if not is_loopback(address.host):
            raise ConfigError(
                "web.listen",
                "others reach this address: set web.certificate and web.key, "
                "or web.insecure_lan = true on a network that you trust",
            )

    @property
    def is_auto(self) -> bool:
        """True where the role of the device decides whether there are screens."""
        return self.listen == _WEB_AUTO

    @property
    def address(self) -> Address | None:
        """Where to listen, None for nowhere; for auto what a device of people has."""
        if not self.listen:
            return None
        text = WEB_ADDRESS if self.is_auto else self.listen
        host, _, port = text.rpartition(":")
        host = "127.0.0.1" if host == "localhost" else host.strip("[]")
        try:
            ipaddress.ip_address(host)
        except ValueError as error:
            raise ConfigError(
                "web.listen", f"'{text[:80]}' is no address: write {WEB_ADDRESS}"
            ) from error
        if not port.isdecimal() or int(port) > 65_535:
            raise ConfigError("web.listen", f"'{text[:80]}' has no port: write {WEB_ADDRESS}")
        return Address(host, int(port))


def is_loopback(host: str) -> bool:
    """True for an IP address that only this machine reaches."""
    return ipaddress.ip_address(host).is_loopback


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a node."""

    links: LinkSettings = field(default_factory=LinkSettings)
    """How other nodes are reached."""
    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)
    """How other nodes are found."""
    store: StoreSettings = field(default_factory=StoreSettings)
    """What is kept."""
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    """Who gets what first."""
    sensors: SensorSettings = field(default_factory=SensorSettings)
    """What this device knows of itself."""
    plotter: PlotterSettings = field(default_factory=PlotterSettings)
    """What a boat's plotter is told."""
    budgets: BudgetSettings = field(default_factory=BudgetSettings)
    """What bearers may cost."""
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    """Where a gateway's archive lies."""
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    """How long the archive keeps what."""
    security: SecuritySettings = field(default_factory=SecuritySettings)
    """When the agent's keys lock."""
    tak: TakSettings = field(default_factory=TakSettings)
    """What a gateway shares with a TAK server."""
    trace: TraceSettings = field(default_factory=TraceSettings)
    """What is written down for those who look for a fault."""
    web: WebSettings = field(default_factory=WebSettings)
    """Where the screens are."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the reference page."""

    key: str
    """`section.name`."""
    default: object
    """What holds if nothing is written."""
    minimum: int | None
    """Least number allowed."""
    maximum: int | None
    """Greatest number allowed."""
    sentence: str
    """What it does, for people."""


def settings_table() -> Iterator[Setting]:
    """Yield every setting in the order of the records."""
    for section in fields(Settings):
        record = getattr(Settings(), section.name)
        for each in fields(record):
            yield Setting(
                f"{section.name}.{each.name}",
                getattr(record, each.name),
                each.metadata["minimum"],
                each.metadata["maximum"],
                each.metadata["sentence"],
            )


def load_settings(home: Path) -> Settings:
    """Read `meshnode.toml` of a home; without the file every default holds. Raises: ConfigError."""
    path = home / "meshnode.toml"
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise ConfigError("meshnode.toml", f"cannot be read: {error.strerror}") from error
    return read_settings(raw)


def read_settings(raw: bytes) -> Settings:
    """Return the settings in a TOML text. Raises: ConfigError that names the key."""
    if len(raw) > _FILE_BYTES_MAX:
        raise ConfigError("meshnode.toml", f"has more than {_FILE_BYTES_MAX} bytes")
    try:
        found = tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError("meshnode.toml", f"is not TOML: {error}") from error
    sections: dict[str, Any] = {
        each.name: type(getattr(Settings(), each.name)) for each in fields(Settings)
    }
    read: dict[str, Any] = {}
    for name, content in found.items():
        if name not in sections:
            raise ConfigError(name, f"is unknown; sections are {', '.join(sections)}")
        if not isinstance(content, Mapping):
            raise ConfigError(name, "is a section: write [" + name + "] and its settings below")
        read[name] = _section(name, sections[name], content)
    return Settings(**read)


def _section(name: str, record: Any, content: Mapping[str, object]) -> Any:
    known = {each.name: each for each in fields(record)}
    values: dict[str, object] = {}
    for key, value in content.items():
        if key not in known:
            raise ConfigError(f"{name}.{key}", f"is unknown; known are {', '.join(known)}")
        default = getattr(record(), key)
        values[key] = _checked(f"{name}.{key}", value, default, known[key].metadata)
    return record(**values)


def _plotter(text: str) -> Address:
    """Read where sentences go. Raises: ConfigError.

    Positions go there unencrypted, so an address out in the internet is refused.
    """
    try:
        address = parse_address(text, _AIS_PORT)
        host = ipaddress.ip_address(address.host)
    except (LinkError, ValueError) as error:
        raise ConfigError(
            "plotter.send_to", f"'{text[:80]}' is no IP address: write 192.168.4.20:10110"
        ) from error
    if host.is_unspecified or not (host.is_private or host.is_multicast):
        raise ConfigError(
            "plotter.send_to",
            f"'{text[:80]}' is no address of a boat's own network, and nothing is encrypted",
        )
    return address


def _text(key: str, value: object, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        raise ConfigError(key, "is a text in quotes")
    if choices and value not in choices:
        raise ConfigError(key, f"is one of {', '.join(choices)}")
    return value


def _checked(key: str, value: object, default: object, bounds: Mapping[str, Any]) -> object:
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ConfigError(key, "is true or false")
        return value
    if isinstance(default, int):
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConfigError(key, "is a whole number")
        if not bounds["minimum"] <= value <= bounds["maximum"]:
            raise ConfigError(key, f"is between {bounds['minimum']} and {bounds['maximum']}")
        return value
    if isinstance(default, str):
        return _text(key, value, bounds["choices"])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ConfigError(key, "is a list of texts")
    if len(value) > _ITEMS_MAX:
        raise ConfigError(key, f"has at most {_ITEMS_MAX} items")
    return tuple(value)
