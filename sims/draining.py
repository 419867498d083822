"""What runs on a battery drains it, and an empty one takes the power of its device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from meshnode.node import Node
from sims.place import Place
from sims.power import Battery

__all__ = ["run_down"]

_STEP_S: Final = 60.0
_TOLD: Final = ("positions_made", "states_made")


async def run_down(
    place: Place, battery: Battery, cut_power: Callable[[Place, float], None]
) -> None:
    """Drain a battery by what its device does, and take the power once it is empty."""
    seen: Node | None = None
    before = 0
    while True:
        await trio.sleep(_STEP_S)
        node, told = place.node, 0
        if node is not None:
            now = sum(node.metrics.value(name) for name in _TOLD)
            told, before, seen = now - (before if node is seen else 0), now, node
        is_on = place.machine.is_on
        battery.pass_time(trio.current_time(), told, is_on=is_on)
        place.machine.trace("battery", level_pct=round(battery.level_pct), told=told)
        if is_on and battery.level_pct <= 0:
            place.machine.trace("battery_empty")
            cut_power(place, battery.starts_after_s())
