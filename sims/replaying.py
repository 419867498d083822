"""The one command that repeats a run.

Source: STYLE 35.
"""

from __future__ import annotations

import shlex

from sims.faults import Faults, describe_faults
from sims.world import Links, Sealing

__all__ = ["replay_command"]


def replay_command(
    name: str,
    seed: int,
    *,
    faults: Faults | None = None,
    sealing: Sealing = Sealing.STAND_IN,
    links: Links = Links.PLAIN,
) -> str:
    """Return the command that runs a scenario again and checks it.

    `name`: an included scenario, a file, or that of a random day. `faults`: those that were given
    in place of the scenario's own; None where the scenario's own were used.
    """
    words = ["meshnode-sim", "replay", name, "--seed", str(seed)]
    if faults is not None:
        # An empty text stands for no faults at all, which differs from those of the scenario.
        words += ["--faults", describe_faults(faults)]
    if sealing is not Sealing.STAND_IN:
        words += ["--sealer", sealing.value]
    if links is not Links.PLAIN:
        words += ["--links", links.value]
    return shlex.join(words)
