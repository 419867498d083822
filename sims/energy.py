"""Energy of a run by the duty cycle of each device: scans, hosting, being a client, bytes.

E = n_scan · e_scan + T_host · p_host + T_client · p_client + bytes · e_byte, for each node. The
time that a node is in contact is split between hosting and being a client. Looking for others and
hosting cost far more than bytes do, so overhead is no measure of battery.
Source: figures and their basis stand with each field; all are orders of magnitude, to be measured
on the fleet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sims.tables import read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sims.abstract.records import Outcome
    from sims.region import Region
    from sims.tables import Table

__all__ = ["EnergyFigures", "EnergyUse", "account_energy", "read_energy"]

_DAY_S: Final = 86_400.0
_BOUNDS: Final = {
    "scan_j": (0.0, 100.0),
    "scan_every_s": (1.0, 86_400.0),
    "host_w": (0.0, 100.0),
    "client_w": (0.0, 100.0),
    "host_share": (0.0, 1.0),
    "byte_j": (0.0, 1.0),
    "battery_j": (1.0, 1e9),
}


@dataclass(frozen=True, slots=True)
class EnergyFigures:
    """What each part of the duty cycle costs; settable in `[energy]`."""

    scan_j: float = 0.9
    """One Wi-Fi scan, joules. Middle of 0.3 to 1.5 J, recalled."""
    scan_every_s: float = 60.0
    """Seconds between scans, all day; 0.4 to 2.2 kJ a day at 60 s."""
    host_w: float = 0.3
    """Watts while a device is the hotspot. Three times its client: 2 to 5 times is reported
    (Trifunovic et al.); the level is an assumption."""
    client_w: float = 0.1
    """Watts while a device is the client of a hotspot, idle; an assumption."""
    host_share: float = 0.5
    """Share of its contact time in which a person's device is the host: the role rotates. Boxes
    (`relay`) and gateways always are."""
    byte_j: float = 4e-7
    """One byte sent or received, joules at that end: 0.8 J per MB for both ends together, at
    20 Mbit/s and 1 W each."""
    battery_j: float = 62_000.0
    """A full battery of a phone, joules: 4,500 mAh at 3.85 V."""


@dataclass(frozen=True, slots=True)
class EnergyUse:
    """What a run took. Arrays have shape (n_nodes,), joules per day of 24 hours."""

    per_day_j: NDArray[np.float64]
    """All parts together, for each node."""
    scan_j: NDArray[np.float64]
    """Looking for others."""
    host_j: NDArray[np.float64]
    """Being a hotspot."""
    client_j: NDArray[np.float64]
    """Being the client of one."""
    byte_j: NDArray[np.float64]
    """Sending and receiving."""
    mean_j: float
    """Mean over those who carry a phone: agents and leaders, or all nodes where there are none."""
    worst_j: float
    """Of the one among them that needs most."""
    worst_node: int
    """Which that is."""
    worst_battery_share: float
    """Part of a full battery that it needs a day."""


def read_energy(table: Table) -> EnergyFigures:
    """Return the figures in `[energy]`. Raises: ScenarioError."""
    return read_record(table, EnergyFigures(), _BOUNDS)


def account_energy(outcome: Outcome, region: Region, figures: EnergyFigures) -> EnergyUse:
    """Return what each node needed per day.

    Time under network coverage counts as contact, so it is an upper bound where the radio of the
    phone network is cheaper than a hotspot. Scans go on all the time, also off duty.
    """
    per_day = _DAY_S / region.duration_s
    contact_s = outcome.contact_s * per_day
    roles = np.array(region.roles)
    is_person = np.isin(roles, ("agent", "leader"))
    hosting = np.where(is_person, figures.host_share, 1.0)
    scan_j = np.full(len(roles), _DAY_S / figures.scan_every_s * figures.scan_j)
    host_j = contact_s * hosting * figures.host_w
    client_j = contact_s * (1.0 - hosting) * figures.client_w
    moved_bytes = (outcome.sent_bytes + outcome.received_bytes).astype(np.float64)
    byte_j = moved_bytes * (per_day * figures.byte_j)
    total_j = scan_j + host_j + client_j + byte_j
    counted = np.flatnonzero(is_person) if is_person.any() else np.arange(len(roles))
    worst = int(counted[np.argmax(total_j[counted])])
    return EnergyUse(
        per_day_j=total_j,
        scan_j=scan_j,
        host_j=host_j,
        client_j=client_j,
        byte_j=byte_j,
        mean_j=float(total_j[counted].mean()),
        worst_j=float(total_j[worst]),
        worst_node=worst,
        worst_battery_share=float(total_j[worst]) / figures.battery_j,
    )
