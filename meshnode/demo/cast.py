"""Who takes part in the demonstration: devices with their roles, and the network they belong to.

Knows no process and no file; the names are those that people use in messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meshnode.authority_home import Network
from protocol.identity import DeviceClass, Role

__all__ = [
    "BOAT",
    "BOATS_SQUAD",
    "CAR",
    "CAST",
    "CENTRE",
    "COL",
    "NETWORK",
    "PLACES",
    "SEA",
    "SQUAD",
    "Device",
    "device",
]

SQUAD: Final = "Queyras"
"""The squad at the pass."""
BOATS_SQUAD: Final = "Vedette"
"""The crew at sea."""
CENTRE: Final = "centre"
"""The gateway of the operations centre, the CODT."""
BOAT: Final = "vedette"
"""The box on the boat."""
COL: Final = "col"
"""The pass."""
CAR: Final = "parking"
"""Where the vehicle stands."""
SEA: Final = "bord"
"""Aboard the boat."""
PLACES: Final = (COL, CAR, SEA)
"""Where radios meet."""
NETWORK: Final = Network("Démonstration", 5, "CODT des Hautes-Alpes")


@dataclass(frozen=True, slots=True)
class Device:
    """One device of the story."""

    name: str
    """As people call it; also the name of its home."""
    role: Role
    """What its badge allows."""
    kind: DeviceClass
    """Kind of machine."""
    squads: tuple[str, ...] = ()
    """Squads it belongs to."""
    has_radio: bool = True
    """It meets others who are at the same place."""
    has_coverage: bool = False
    """It has a modem, or a cable, to the network of the centre."""


CAST: Final = (
    Device(CENTRE, Role.GATEWAY, DeviceClass.SERVER, has_radio=False, has_coverage=True),
    Device("vehicule", Role.RELAY, DeviceClass.BOX, has_coverage=True),
    Device("alice", Role.LEADER, DeviceClass.PHONE, (SQUAD,), has_coverage=True),
    Device("bruno", Role.AGENT, DeviceClass.PHONE, (SQUAD,)),
    Device("chloe", Role.AGENT, DeviceClass.PHONE, (SQUAD,), has_coverage=True),
    Device(BOAT, Role.RELAY, DeviceClass.BOX, has_coverage=True),
    Device("yann", Role.AGENT, DeviceClass.PHONE, (BOATS_SQUAD,)),
)
"""In the order in which tables show them."""


def device(name: str) -> Device:
    """Return the device of this name. Raises: KeyError."""
    return {each.name: each for each in CAST}[name]
