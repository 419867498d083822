"""Settings of what an operations centre has beside a node: archive, retention, a TAK server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from meshnode.errors import ConfigError, LinkError
from meshnode.links.base import Address, parse_address
from meshnode.retention import RETENTION, DataClass, Terms
from meshnode.setting_fields import setting as _setting

__all__ = ["GatewaySettings", "RetentionSettings", "TakSettings"]

_TAK_PORT: Final = 8_089
"""Where TAK servers take mutual TLS."""


@dataclass(frozen=True, slots=True)
class TakSettings:
    """Section `[tak]`. Raises: ConfigError for a server, a file or a word that cannot be."""

    server: str = _setting(
        "",
        "The TAK server to share with: tls://HOST:PORT, or tcp://127.0.0.1:PORT on this machine; "
        "whoever is on that server reads what is sent there.",
    )
    """Empty for none."""
    authority: str = _setting(
        "", "File with the certificate of the server's authority, PEM, relative to the home."
    )
    """Path."""
    certificate: str = _setting(
        "", "File with the certificate of this gateway on that server, PEM, relative to the home."
    )
    """Path."""
    key: str = _setting("", "File with the key of that certificate, PEM, relative to the home.")
    """Path."""
    server_name: str = _setting(
        "", "Name in the certificate of the server; empty for the host in its address."
    )
    """Name or IP address."""
    callsign: str = _setting("CODT", "What this gateway is called on the server.")
    """Text."""
    send: tuple[str, ...] = _setting(
        ("position", "battery", "sos"),
        "What leaves for the server: position, battery, chat, sos, receipt.",
    )
    """Words."""
    squads: tuple[str, ...] = _setting(
        (), "Squads of which something may leave, by name; empty for all that this gateway reads."
    )
    """Names."""
    accept: tuple[str, ...] = _setting(
        (), "What is taken from the server into the mesh: chat, position, sos."
    )
    """Words."""
    chat_to: str = _setting(
        "", "To whom lines of the server's common chat room go, such as codt; empty for nobody."
    )
    """As `meshnode send` takes it."""
    interval_s: int = _setting(
        10, "Seconds between two looks at the board for what moved.", minimum=2, maximum=300
    )
    """Seconds."""

    def __post_init__(self) -> None:
        _known_words("tak.send", self.send, ("position", "battery", "chat", "sos", "receipt"))
        _known_words("tak.accept", self.accept, ("chat", "position", "sos"))
        if not self.callsign.strip() or not self.callsign.isprintable():
            raise ConfigError("tak.callsign", "is a name on one line")
        if self.server:
            self._check_server()

    @property
    def is_tls(self) -> bool:
        """True where the server must prove itself."""
        return self.server.startswith("tls://")

    @property
    def place(self) -> Address:
        """Where the server is. Raises: LinkError."""
        return parse_address(self.server.partition("://")[2], _TAK_PORT)

    def _check_server(self) -> None:
        if not self.server.startswith(("tls://", "tcp://")):
            raise ConfigError("tak.server", "begins with tls:// or tcp://")
        try:
            host = self.place.host
        except LinkError as error:
            raise ConfigError("tak.server", "is written as tls://tak.example:8089") from error
        if self.is_tls:
            for name in ("authority", "certificate", "key"):
                if not getattr(self, name):
                    raise ConfigError(f"tak.{name}", "is needed for a server that is on tls://")
        elif host not in {"127.0.0.1", "::1", "localhost"}:
            raise ConfigError(
                "tak.server", "is on another machine: nothing goes there unencrypted, use tls://"
            )


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Section `[gateway]`. Raises: ConfigError for a database that is none of the two."""

    database: str = _setting(
        "",
        "Where the archive of this gateway lies, as postgresql+psycopg://USER@HOST/NAME; "
        "empty for a file of SQLite in the home.",
        is_telling=True,
    )
    """A URL, which may hold a password."""
    spool_bytes_max: int = _setting(
        2_000_000_000,
        "Bytes that may wait for an archive that does not answer; from 70 % on files are not "
        "taken, from 85 % positions, from 100 % messages, an SOS always.",
        minimum=1_000_000,
        maximum=1_000_000_000_000,
    )
    """Bytes."""
    auto_lock_s: int = _setting(
        0,
        "Seconds without a command after which a device that keeps an archive locks, whatever "
        "[security] says; 0 for never: a locked one neither archives nor purges.",
        minimum=0,
        maximum=86_400,
    )
    """Seconds."""

    def __post_init__(self) -> None:
        if self.database and not self.database.startswith("postgresql+psycopg://"):
            raise ConfigError("gateway.database", "begins with postgresql+psycopg://, or is empty")


def _days(data_class: DataClass) -> Any:
    rule = RETENTION[data_class]
    sentence = f"Days that the archive keeps {data_class}: {rule.reason}."
    return _setting(rule.days, sentence, minimum=rule.days_min, maximum=rule.days_max)


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """Section `[retention]`: how long a gateway's archive keeps what, in days."""

    positions: int = _days(DataClass.POSITIONS)
    """Places, states and tracks."""
    shifts: int = _days(DataClass.SHIFTS)
    """Who opened and closed a shift when."""
    texts: int = _days(DataClass.TEXTS)
    """Messages, notes, and what was taken back."""
    sos: int = _days(DataClass.SOS)
    """Alarms with their steps."""
    files: int = _days(DataClass.FILES)
    """Pieces of attached files."""
    receipts: int = _days(DataClass.RECEIPTS)
    """What arrived and what was read."""
    audit: int = _days(DataClass.AUDIT)
    """Heads of audit logs."""

    @property
    def terms(self) -> Terms:
        """Days by class."""
        return {each: getattr(self, each.value) for each in DataClass}


def _known_words(key: str, words: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Raises: ConfigError for a word that is none of `known`."""
    for word in words:
        if word not in known:
            raise ConfigError(key, f"knows {', '.join(known)}, not '{word[:40]}'")
