"""What must hold of reflex sheets at the end of a world: what was retracted is nowhere.

What a device may open, and what lies in its store, are two things; both are looked at. Source:
wire-format 13.3, decision 35.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from protocol.sheets import sheet_id_of
from sims.record import WorldRecord

__all__ = ["SHEET_CHECKERS", "retracted_destroyed"]

_Found = Iterator[tuple[str, str]]
"""Device and sentence of each breach."""


def retracted_destroyed(world: WorldRecord) -> _Found:
    """Nobody can open what it knows to be retracted, nor keeps content that it cannot open."""
    for device in world.devices:
        held = device.sheets
        for name, version in held.whole.items():
            if version <= held.retracted.get(sheet_id_of(name), 0):
                yield device.name, f"opens {name} of version {version}, which was retracted"
        if held.stray_pieces:
            yield device.name, f"keeps {held.stray_pieces} pieces of sheets that are no more"


SHEET_CHECKERS: Final[dict[str, Callable[[WorldRecord], _Found]]] = {
    checker.__name__: checker for checker in (retracted_destroyed,)
}
"""Every promise about sheets by its name."""
