"""What it would cost to send by satellite, in euros, and by LoRa, in airtime.

Both are bearers of last resort: a run tells which urgent messages the mesh did not bring in time,
and this what the satellite would take for them; and how much of the airtime that the law allows
the small messages would need. Figures and their basis stand with each field.
Source: Semtech AN1200.13 (airtime), Meshtastic documentation (presets and limits), pages of
Iridium resellers (billing).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

import numpy as np

from sims.tables import read_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sims.abstract.records import Outcome
    from sims.region import Region
    from sims.tables import Table

__all__ = [
    "PRESETS",
    "CostAccount",
    "LoraFigures",
    "LoraPreset",
    "SatelliteFigures",
    "account_costs",
    "airtime_s",
    "message_airtime_s",
    "read_lora",
    "read_satellite",
    "satellite_units",
]

_HOUR_S: Final = 3_600.0
_SATELLITE_BOUNDS: Final = {
    "unit_bytes": (1, 1_000_000),
    "unit_euros": (0.0, 1_000.0),
    "up_bytes": (1, 1_000_000),
    "down_bytes": (1, 1_000_000),
    "session_s": (0.0, 86_400.0),
    "urgent_within_s": (1.0, 366 * 86_400.0),
}
_LORA_BOUNDS: Final = {
    "payload_bytes": (1, 255),
    "header_bytes": (0, 64),
    "preamble_symbols": (1, 1_000),
    "duty_share": (0.0001, 1.0),
    "small_bytes": (1, 1_000_000),
}


@dataclass(frozen=True, slots=True)
class SatelliteFigures:
    """Short bursts as Iridium SBD has them; settable in `[satellite]`."""

    unit_bytes: int = 50
    """Billed by steps of this, at least one for each session, even an empty one."""
    unit_euros: float = 0.15
    """Of one step. 0.16 US dollars on older price lists; contracts of today ask for more."""
    up_bytes: int = 340
    """Most that one session takes up."""
    down_bytes: int = 270
    """Most that one session brings down."""
    session_s: float = 40.0
    """From one session to the next at best."""
    urgent_within_s: float = 366 * 86_400.0
    """An urgent message that takes longer than this came too late, even within its lifetime."""


@dataclass(frozen=True, slots=True)
class LoraPreset:
    """How a channel is modulated."""

    spreading_factor: int
    """7 to 12: bits in a symbol."""
    bandwidth_hz: float
    """Of the channel."""
    coding_rate: int
    """5 to 8: so many bits are sent for 4."""

    @property
    def symbol_s(self) -> float:
        """Length of a symbol, seconds."""
        return float(2**self.spreading_factor / self.bandwidth_hz)


PRESETS: Final = {
    "ShortFast": LoraPreset(7, 250_000.0, 5),
    "ShortSlow": LoraPreset(8, 250_000.0, 5),
    "MediumFast": LoraPreset(9, 250_000.0, 5),
    "MediumSlow": LoraPreset(10, 250_000.0, 5),
    "LongFast": LoraPreset(11, 250_000.0, 5),
    "LongModerate": LoraPreset(11, 125_000.0, 8),
}
"""Names and figures of Meshtastic, from 10.94 to 0.34 kbit/s."""


@dataclass(frozen=True, slots=True)
class LoraFigures:
    """A LoRa channel and what may be sent on it; settable in `[lora]`."""

    preset: str = "LongFast"
    """One of `PRESETS`."""
    payload_bytes: int = 237
    """Most that one packet carries; longer messages take several."""
    header_bytes: int = 16
    """Of every packet."""
    preamble_symbols: int = 16
    """Of every packet."""
    duty_share: float = 0.1
    """Share of each hour that a node may send: 10 % in Europe at 869.40 to 869.65 MHz."""
    small_bytes: int = 4_000
    """Messages up to this size are sent; photos take hours."""


@dataclass(frozen=True, slots=True)
class CostAccount:
    """What a run would have cost beside the mesh."""

    urgent: int
    """Urgent messages written."""
    urgent_missed: int
    """Those that the mesh did not deliver within their lifetime, or not within
    `urgent_within_s`."""
    satellite_units: int
    """Billed steps for sending these by satellite, once each."""
    satellite_euros: float
    """Their price."""
    satellite_session_s: float
    """Time that their sessions take at best, one after the other."""
    lora_messages: int
    """Messages up to `small_bytes`, of all priorities."""
    lora_airtime_s: float
    """Airtime of sending each once, over one hop."""
    lora_worst_share: float
    """Airtime of the busiest node in its busiest hour, as a share of what it may send; above 1
    it cannot send all of it."""
    lora_worst_node: int
    """Which node that is; -1 without messages."""
    lora_hours_over: int
    """Hours of single nodes in which more than allowed would be sent."""


def read_satellite(table: Table) -> SatelliteFigures:
    """Return the figures in `[satellite]`. Raises: ScenarioError."""
    return read_record(table, SatelliteFigures(), _SATELLITE_BOUNDS)


def read_lora(table: Table) -> LoraFigures:
    """Return the figures in `[lora]`. Raises: ScenarioError."""
    preset = table.text("preset", LoraFigures().preset, among=sorted(PRESETS))
    return read_record(table, LoraFigures(preset), _LORA_BOUNDS)


def satellite_units(
    size_bytes: NDArray[np.int64], most_bytes: int, unit_bytes: int
) -> NDArray[np.int64]:
    """Return the billed steps of messages that are cut into sessions of `most_bytes` each.

    Every session is billed by whole steps; a message of 0 bytes takes one. Shape as `size_bytes`.
    """
    whole, rest = np.divmod(size_bytes, most_bytes)
    units = whole * ceil(most_bytes / unit_bytes) + -(-rest // unit_bytes)
    return np.asarray(np.maximum(units, 1))


def airtime_s(preset: LoraPreset, sent_bytes: int, preamble_symbols: int) -> float:
    """Return how long a packet of `sent_bytes`, header and all, is on the air.

    With explicit header and checksum. Symbols above 16 ms make the receiver's clock drift: then
    fewer bits go into each. Source: Semtech AN1200.13, section 4.
    """
    slow = 1 if preset.symbol_s > 0.016 else 0
    bits = 8 * sent_bytes - 4 * preset.spreading_factor + 28 + 16
    blocks = ceil(bits / (4 * (preset.spreading_factor - 2 * slow)))
    symbols = 8 + max(blocks * preset.coding_rate, 0)
    return (preamble_symbols + 4.25 + symbols) * preset.symbol_s


def message_airtime_s(size_bytes: NDArray[np.int64], figures: LoraFigures) -> NDArray[np.float64]:
    """Return the airtime of each message, in as few packets as it takes; shape as `size_bytes`."""
    preset = PRESETS[figures.preset]
    by_rest = np.array(
        [0.0]
        + [
            airtime_s(preset, rest + figures.header_bytes, figures.preamble_symbols)
            for rest in range(1, figures.payload_bytes + 1)
        ]
    )
    whole, rest = np.divmod(size_bytes, figures.payload_bytes)
    return np.asarray(whole * by_rest[-1] + by_rest[rest])


def account_costs(
    outcome: Outcome, region: Region, satellite: SatelliteFigures, lora: LoraFigures
) -> CostAccount:
    """Return what satellite and LoRa would have taken for the messages of a run.

    A message from a gateway goes down to its destination, one to a gateway goes up; between two
    carriers it goes up and down, and both are billed.
    """
    messages = region.workload
    is_urgent = messages.priority == 0
    took_s = outcome.delivered_s - messages.created_s
    is_missed = is_urgent & ~(took_s <= satellite.urgent_within_s)
    units, sessions = _satellite(region, is_missed, satellite)
    is_small = messages.size_bytes <= lora.small_bytes
    airtimes_s = message_airtime_s(messages.size_bytes[is_small], lora)
    source = messages.source[is_small].astype(np.int64)
    hour = (messages.created_s[is_small] // _HOUR_S).astype(np.int64)
    hours = int(hour.max(initial=0)) + 1
    places, which = np.unique(source * hours + hour, return_inverse=True)
    shares = np.bincount(which, airtimes_s, len(places)) / (_HOUR_S * lora.duty_share)
    return CostAccount(
        urgent=int(is_urgent.sum()),
        urgent_missed=int(is_missed.sum()),
        satellite_units=units,
        satellite_euros=units * satellite.unit_euros,
        satellite_session_s=sessions * satellite.session_s,
        lora_messages=int(is_small.sum()),
        lora_airtime_s=float(airtimes_s.sum()),
        lora_worst_share=float(shares.max(initial=0.0)),
        lora_worst_node=int(places[np.argmax(shares)]) // hours if len(places) else -1,
        lora_hours_over=int((shares > 1.0).sum()),
    )


def _satellite(
    region: Region, is_sent: NDArray[np.bool_], figures: SatelliteFigures
) -> tuple[int, int]:
    """Return billed steps and sessions of sending the chosen messages."""
    messages = region.workload
    sizes = messages.size_bytes[is_sent]
    is_up = ~np.isin(messages.source[is_sent], region.gateways)
    is_down = ~np.isin(messages.destination[is_sent], region.gateways)
    units = sessions = 0
    for is_way, most_bytes in ((is_up, figures.up_bytes), (is_down, figures.down_bytes)):
        units += int(satellite_units(sizes[is_way], most_bytes, figures.unit_bytes).sum())
        sessions += int(np.maximum(-(-sizes[is_way] // most_bytes), 1).sum())
    return units, sessions
