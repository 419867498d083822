"""What the stores say of the squad's day, once the nodes are stopped: alarm, file and positions.

Reads homes and nothing else, as `ledger` does for messages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from meshnode.client import NodeApi

__all__ = ["Day", "DaySheet", "Received", "day_of", "read_day"]

_CLOSED: Final = "closed"
_COMPLETE: Final = "complete"


@dataclass(frozen=True, slots=True)
class Received:
    """A file that came to a device."""

    name: str
    """As its author called it."""
    size_bytes: int
    """As the author said."""
    state: str
    """How far it is."""
    digest: str
    """SHA-256 of what was written out of the store, hexadecimal; empty while it is not whole."""


@dataclass(frozen=True, slots=True)
class DaySheet:
    """All that one store says of the day."""

    name: str
    """The device."""
    alarms: tuple[tuple[str, str], ...]
    """Id and state of each alarm known there."""
    received: tuple[Received, ...]
    """Files of others."""
    positions: int
    """Positions that it still holds, of anybody."""


@dataclass(frozen=True, slots=True)
class Day:
    """What the sheets of a squad and its centre come to."""

    squad: tuple[str, ...]
    """Whose shift it was."""
    alarms: int
    """Alarms known to any of them."""
    closed: int
    """Those that all of them know, and all as closed."""
    received: tuple[tuple[str, Received], ...]
    """Every file that came to somebody, with the device."""
    intact: int
    """Files that are whole and equal to what was sent."""
    positions: int
    """Positions that devices of the squad still hold."""
    archived: int
    """Positions that the centre holds, which keeps them for two months."""

    @property
    def is_good(self) -> bool:
        """True if each alarm is over for all, files are whole, and the squad keeps no place."""
        return (
            self.alarms == self.closed > 0
            and len(self.received) == self.intact > 0
            and self.positions == 0
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "alarms": self.alarms,
            "alarms_closed_everywhere": self.closed,
            "files": len(self.received),
            "files_intact": self.intact,
            "positions_after_the_shift": self.positions,
            "positions_at_the_centre": self.archived,
        }


async def read_day(name: str, api: NodeApi, folder: Path) -> DaySheet:
    """Read the store of a stopped, unlocked node; files are written below `folder` for a moment.

    Raises: StoreError, LockedError.
    """
    return DaySheet(
        name,
        tuple(sorted((each["alarm"], each["state"]) for each in await api.alarms())),
        tuple([await _received(api, each, folder / name) for each in await _others(api)]),
        len(await api.positions()),
    )


async def _others(api: NodeApi) -> list[dict[str, Any]]:
    return [each for each in await api.files() if not each["is_own"]]


async def _received(api: NodeApi, file: dict[str, Any], stem: Path) -> Received:
    digest = ""
    if file["state"] == _COMPLETE:
        target = stem.with_suffix(f".{file['file']}")
        await api.file_save(file["file"], str(target))
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        target.unlink()
    return Received(file["name"], file["size_bytes"], file["state"], digest)


def day_of(squad: Sequence[str], sheets: Sequence[DaySheet], sent_digests: set[str]) -> Day:
    """Return what sheets come to; `sent_digests` are those of the files before they were sent."""
    known = {alarm for sheet in sheets for alarm, _state in sheet.alarms}
    closed = [alarm for alarm in known if all((alarm, _CLOSED) in sheet.alarms for sheet in sheets)]
    received = tuple((sheet.name, each) for sheet in sheets for each in sheet.received)
    intact = sum(1 for _name, each in received if each.digest in sent_digests)
    positions = sum(sheet.positions for sheet in sheets if sheet.name in squad)
    archived = sum(sheet.positions for sheet in sheets) - positions
    return Day(tuple(squad), len(known), len(closed), received, intact, positions, archived)
