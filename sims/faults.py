"""What may go wrong in a world, as rates and counts; everything is off by default.

Which device fails when follows from these, the scenario and the seed: see `sims.fault_plan`.
Source: DESIGN D11.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

from protocol.errors import MeshError

if TYPE_CHECKING:
    from sims.tables import Table

__all__ = ["NO_FAULTS", "FaultError", "Faults", "describe_faults", "parse_faults", "read_faults"]

_COUNT_MAX: Final = 1_000
_DRIFT_PPM_MAX: Final = 1_000.0
"""A minute and a half a day: worse than any clock that is sold."""
_JITTER_S_MAX: Final = 60.0
_MTU_BYTES_MIN: Final = 64
_MTU_BYTES_MAX: Final = 65_536


class FaultError(MeshError):
    """A fault was asked for that cannot be."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How much goes wrong in one run."""

    crashes: int = 0
    """Losses of power at any await, each followed by a restart; count."""
    torn_writes: int = 0
    """Losses of power in the middle of a commit, whose last pages are torn; count."""
    full_disks: int = 0
    """Spans of some minutes in which the disk of a device takes nothing more; count."""
    clock_jumps: int = 0
    """Steps of a wall clock, minutes forth or back; count."""
    drift_ppm: float = 0.0
    """Every wall clock gains or loses up to this, parts per million; 0 to 1,000."""
    partitions: int = 0
    """Spans in which one device does not reach another that reaches it; count."""
    hostile_devices: int = 0
    """Enrolled devices that misbehave from begin to end, each in another way; count."""
    lost_devices: int = 0
    """Devices that go away for good; count."""
    loss: float = 0.0
    """Share of pieces lost on links and sent again later; 0 to 0.9."""
    corruption: float = 0.0
    """Share of pieces on links in which a bit is turned; 0 to 1."""
    slow_links: float = 0.0
    """Share of links made that are a hundred times slower than the others; 0 to 1."""
    jitter_s: float = 0.0
    """Every link made has up to this much more latency, seconds."""
    mtu_bytes: int = 0
    """Largest piece that links carry at once, bytes; 0 leaves that to the link."""

    def __post_init__(self) -> None:
        """Refuse what cannot be. Raises: FaultError."""
        for name in _COUNTS:
            if not 0 <= getattr(self, name) <= _COUNT_MAX:
                raise FaultError(f"faults: {name} is between 0 and {_COUNT_MAX}")
        for name, most in _BOUNDS.items():
            if not 0 <= getattr(self, name) <= most:
                raise FaultError(f"faults: {name} is between 0 and {most:g}")
        if self.mtu_bytes and not _MTU_BYTES_MIN <= self.mtu_bytes <= _MTU_BYTES_MAX:
            raise FaultError(
                f"faults: mtu_bytes is 0, or between {_MTU_BYTES_MIN} and {_MTU_BYTES_MAX}"
            )


_COUNTS: Final = (
    "crashes",
    "torn_writes",
    "full_disks",
    "clock_jumps",
    "partitions",
    "hostile_devices",
    "lost_devices",
)
_BOUNDS: Final = {
    "drift_ppm": _DRIFT_PPM_MAX,
    "loss": 0.9,
    "corruption": 1.0,
    "slow_links": 1.0,
    "jitter_s": _JITTER_S_MAX,
}
_WHOLE: Final = frozenset({*_COUNTS, "mtu_bytes"})

NO_FAULTS: Final = Faults()
"""Nothing goes wrong."""


def read_faults(table: Table) -> Faults:
    """Return the faults in a table of a scenario, `[faults]`; what is missing is off.

    Raises: ScenarioError for a wrong key or value, FaultError for one out of bounds.
    """
    found: dict[str, int | float] = {
        name: table.whole(name, 0, low=0, high=_COUNT_MAX) for name in _COUNTS
    }
    for name, most in _BOUNDS.items():
        found[name] = table.number(name, 0.0, low=0.0, high=most)
    found["mtu_bytes"] = table.whole("mtu_bytes", 0, low=0, high=_MTU_BYTES_MAX)
    table.end()
    return _made(found)


def describe_faults(faults: Faults) -> str:
    """Return the text that `parse_faults` reads: `crashes=2,loss=0.01`; empty for none."""
    return ",".join(
        f"{each.name}={getattr(faults, each.name)!r}"
        for each in fields(Faults)
        if getattr(faults, each.name)
    )


def parse_faults(text: str) -> Faults:
    """Return the faults of a text such as `crashes=2,loss=0.01`. Raises: FaultError."""
    found: dict[str, int | float] = {}
    known = {each.name for each in fields(Faults)}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _equals, value = (each.strip() for each in part.partition("="))
        if name not in known:
            raise FaultError(f"faults: '{name}' is unknown; known are {', '.join(sorted(known))}")
        try:
            found[name] = int(value) if name in _WHOLE else float(value)
        except ValueError as error:
            raise FaultError(f"faults: '{part}' is not NAME=NUMBER") from error
    return _made(found)


def _made(found: dict[str, int | float]) -> Faults:
    return replace(NO_FAULTS, **found)  # type: ignore[arg-type]
