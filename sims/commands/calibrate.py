"""`meshnode-sim calibrate`: one scenario with real nodes and in the abstract simulator."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from sims.commands.options import AsJson, Seed

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Put this command into the program."""
    app.command()(calibrate)


def calibrate(
    scenario: Annotated[str, typer.Argument(help="A scenario for real nodes, or FILE.toml.")],
    seed: Seed = 1,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Runs, from --seed on.")] = 1,
    as_json: AsJson = False,
) -> int:
    """Tell how near the abstract simulator comes to real nodes.

    Its messages are to devices or to the operations centre.
    """
    from meshnode.cli.show import print_facts, print_json
    from sims.calibrate import calibrate as run_both
    from sims.reading import load_scenario

    loaded = load_scenario(scenario)
    found = run_both(loaded.name, [(loaded, each) for each in range(seed, seed + seeds)])
    figures = {
        "messages": found.messages,
        "real_share": found.real_share,
        "abstract_share": found.abstract_share,
        "real_median_s": _or_none(found.real_median_s),
        "abstract_median_s": _or_none(found.abstract_median_s),
        "differences": len(found.differences),
    }
    if as_json:
        print_json(scenario=loaded.name, seed=seed, seeds=seeds, **figures)
    else:
        print_facts({key.replace("_", " "): _words(value) for key, value in figures.items()})
    return 0


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _words(value: float | None) -> str:
    if value is None:
        return "nothing arrived"
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"
