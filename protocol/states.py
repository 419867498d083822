"""What a device tells of itself beside its place: battery, coverage, last contact with a gateway.

Values of one payload, bounded; where a device is stands in none of them. Source: wire-format 4.22.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from protocol import canonical
from protocol.canonical import Value
from protocol.errors import MalformedError

__all__ = [
    "DRAIN_DPCT_H_MAX",
    "EMPTY_AHEAD_MS_MAX",
    "OPERATOR_BYTES_MAX",
    "STRENGTH_MAX",
    "Battery",
    "Bearer",
    "Coverage",
    "Unit",
    "battery_fields",
    "coverage_fields",
    "is_plain",
    "read_battery_untrusted",
    "read_coverage_untrusted",
]

DRAIN_DPCT_H_MAX: Final = 60_000
"""A battery that is empty within a minute, tenths of a percent per hour."""
EMPTY_AHEAD_MS_MAX: Final = 30 * 86_400_000
"""No forecast reaches further than a month."""
OPERATOR_BYTES_MAX: Final = 32
"""The longest names that networks give themselves have some twenty letters."""
_MS_MAX: Final = 2**48 - 1
_LEVEL_MAX: Final = 100


class Bearer(IntEnum):
    """How a device reaches others beyond its squad."""

    NONE = 0
    G2 = 1
    G3 = 2
    G4 = 3
    G5 = 4
    LAN = 5


class Unit(IntEnum):
    """What a strength counts."""

    NONE = 0
    PERCENT = 1
    MINUS_DBM = 2


STRENGTH_MAX: Final[dict[Unit, int]] = {Unit.NONE: 0, Unit.PERCENT: 100, Unit.MINUS_DBM: 150}
"""The greatest strength of each unit; a weaker radio than -150 dBm hears nothing."""


@dataclass(frozen=True, slots=True)
class Battery:
    """One look at a battery."""

    read_ms: int
    """When, Unix milliseconds."""
    level_pct: int
    """Percent, 0 to 100."""
    is_charging: bool
    """True while it takes power."""
    drain_dpct_h: int = 0
    """Tenths of a percent per hour; 0 where unknown, not falling, or charging."""
    empty_ms: int = 0
    """When it will be empty, Unix milliseconds; 0 where unknown or charging."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """One look at the network of an operator, or at a LAN."""

    read_ms: int
    """When, Unix milliseconds."""
    bearer: Bearer
    """What was there."""
    unit: Unit = Unit.NONE
    """What the strength counts."""
    strength: int = 0
    """Percent, or decibels below one milliwatt; 0 without unit."""
    operator: str = field(default="", repr=False)
    """Name of the network, up to 32 bytes; empty where unknown."""


def is_plain(name: str) -> bool:
    """True for a name that prints on one line as it is, or is empty."""
    return name.isprintable() and name == name.strip()


def battery_fields(battery: Battery | None) -> Value:
    """Return the array of the wire; an empty one for None."""
    if battery is None:
        return ()
    return (
        battery.read_ms,
        battery.level_pct,
        int(battery.is_charging),
        battery.drain_dpct_h,
        battery.empty_ms,
    )


def coverage_fields(coverage: Coverage | None) -> Value:
    """Return the array of the wire; an empty one for None."""
    if coverage is None:
        return ()
    name = coverage.operator.encode("utf-8")
    return (coverage.read_ms, int(coverage.bearer), int(coverage.unit), coverage.strength, name)


def read_battery_untrusted(value: Value) -> Battery | None:
    """Return what an array says of a battery. Raises: MalformedError, LimitExceededError."""
    fields = canonical.as_array(value, "battery", 5, 0)
    if not fields:
        return None
    if len(fields) != 5:
        raise MalformedError("a battery has five numbers")
    read_ms = canonical.as_uint(fields[0], "read_ms", _MS_MAX)
    found = Battery(
        read_ms,
        canonical.as_uint(fields[1], "level", _LEVEL_MAX),
        bool(canonical.as_uint(fields[2], "charging", 1)),
        canonical.as_uint(fields[3], "drain", DRAIN_DPCT_H_MAX),
        canonical.as_uint(fields[4], "empty_ms", _MS_MAX),
    )
    if found.is_charging and (found.drain_dpct_h or found.empty_ms):
        raise MalformedError("a battery that charges has no forecast")
    if found.empty_ms and not read_ms <= found.empty_ms <= read_ms + EMPTY_AHEAD_MS_MAX:
        raise MalformedError("the battery is forecast to be empty before it was read, or too late")
    return found


def read_coverage_untrusted(value: Value) -> Coverage | None:
    """Return what an array says of coverage. Raises: MalformedError, LimitExceededError."""
    fields = canonical.as_array(value, "coverage", 5, 0)
    if not fields:
        return None
    if len(fields) != 5:
        raise MalformedError("coverage has five fields")
    unit = Unit(canonical.as_uint(fields[2], "unit", max(Unit)))
    found = Coverage(
        canonical.as_uint(fields[0], "read_ms", _MS_MAX),
        Bearer(canonical.as_uint(fields[1], "bearer", max(Bearer))),
        unit,
        canonical.as_uint(fields[3], "strength", STRENGTH_MAX[unit]),
        canonical.as_text(fields[4], "operator", OPERATOR_BYTES_MAX),
    )
    if not is_plain(found.operator):
        raise MalformedError("the name of an operator does not print")
    if found.bearer is Bearer.NONE and (found.unit or found.operator):
        raise MalformedError("where no network is there is neither strength nor operator")
    return found
