"""Settings that fit a kind of device, as the file that `meshnode init --profile` writes.

A profile is a text that the owner goes on editing: nothing else in the program knows of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["PLAIN", "PROFILES"]

PLAIN: Final = """\
# Settings of this node. Every one has a default: docs/reference/configuration.md lists them.
"""
_BOAT: Final = """\
# A boat's box: it serves the crew for days, and hands all over at port.
# See docs/how-to/equip-a-boat.md; docs/reference/configuration.md lists every setting.

[links]
# Phones on board find the box by themselves. The gateway ashore is dialled again and again:
# static = ["gateway.example:7625"]
static = []

[store]
# Weeks of texts and photos of a crew.
bytes_max = 8_000_000_000

[sensors]
# Where the boat is: gpsd if it runs, else the sentences that its multiplexer sends round.
position = ["gpsd", "nmea-udp:0.0.0.0:10110"]
# A box hangs on the boat's supply.
battery = []

[plotter]
# Where the crew is, on the boat's plotter. It is not encrypted: write the plotter's own address.
# send_to = ["192.168.4.20:10110"]
send_to = []
"""
PROFILES: Final[Mapping[str, str]] = MappingProxyType({"plain": PLAIN, "boat": _BOAT})
"""By the name that people type."""
