"""The bearers of a node in the field: TCP, and the serial ports that its settings name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from meshnode.errors import LinkError
from meshnode.links.base import Address
from meshnode.links.joined import JoinedBearer, Way
from meshnode.links.meter import Meter
from meshnode.links.serial_bearer import PortSettings, SerialBearer
from meshnode.links.tcp import TCPBearer
from meshnode.links.tolls import Tolls
from meshnode.metrics import Metrics
from meshnode.runtime import Runtime
from meshnode.serial_line import RATES_BPS

__all__ = ["NodeBearers", "parse_port"]


class NodeBearers(JoinedBearer):
    """All bearers of one node, joined."""

    def __init__(self, tcp: TCPBearer, ports: Sequence[PortSettings], runtime: Runtime) -> None:
        self.tcp = tcp
        """Dials every address that is no station."""
        self.serial = SerialBearer(ports, lambda: tcp.contexts, runtime, knocks=tcp.knocks)
        """Has no port where none is named."""
        super().__init__([Way(self.serial, self.serial.has), Way(tcp, _is_any)])

    def count_in(self, metrics: Metrics) -> None:
        """Count in the counters of the node from now on."""
        self.tcp.metrics = self.serial.metrics = metrics

    def pay_from(
        self, meter_of: Callable[[str], Meter | None], interface_of: Callable[[str], Awaitable[str]]
    ) -> None:
        """Pay for what crosses ports and interfaces that `meter_of` has a meter for."""
        self.serial.meters = meter_of
        self.tcp.tolls = Tolls(meter_of, interface_of)


def _is_any(_address: Address) -> bool:
    return True


def parse_port(text: str) -> PortSettings:
    """Read `/dev/ttyUSB0` or `/dev/ttyUSB0@19200`. Raises: LinkError."""
    path, _, rate = text.partition("@")
    rate = rate or "9600"
    if not path.startswith("/") or not rate.isdecimal() or int(rate) not in RATES_BPS:
        rates = ", ".join(str(each) for each in RATES_BPS)
        raise LinkError(f"'{text}' is no serial port: write /dev/NAME@RATE, RATE one of {rates}")
    return PortSettings(path, int(rate))
