"""One run of real nodes with its checks; an error that ends it counts as a promise not kept."""

from __future__ import annotations

from typing import Final

from sims import world as worlds
from sims.checkers import Breach, check_world
from sims.record import WorldRecord
from sims.scenario import Scenario
from sims.world import Links, Sealing

__all__ = ["run_checked"]

_CRASHED: Final = "no_crash"
"""Stands for a checker where the run itself ended by an error."""


def run_checked(
    scenario: Scenario, seed: int, *, sealing: Sealing, links: Links
) -> tuple[WorldRecord | None, tuple[Breach, ...]]:
    """Return what is left of a run, None where an error ended it, and what it did not keep.

    Raises: ScenarioError.
    """
    try:
        world = worlds.run_world(scenario, seed, sealing=sealing, links=links)
    except ExceptionGroup as group:
        # Whatever goes wrong in a node comes through the nursery of the world.
        error: Exception = group
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        words = f"ended the run: {type(error).__name__}: {error}"
        return None, (Breach(_CRASHED, "", words),)
    return world, tuple(check_world(world))
