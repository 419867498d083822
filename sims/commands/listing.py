"""`meshnode-sim list`: the scenarios that come with the program."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import typer

from sims.commands.options import AsJson

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Put this command into the program."""
    app.command("list")(list_scenarios)


def list_scenarios(as_json: AsJson = False) -> None:
    """Show the scenarios that come with the program."""
    from meshnode.cli.show import print_json, print_table
    from sims.scenario_files import included_scenarios

    found = [_scenario(name) for name in included_scenarios()]
    if as_json:
        print_json(scenarios=found)
        return
    rows = [
        (each["name"], each["kind"], str(each["devices"] or "-"), each["about"]) for each in found
    ]
    print_table(("Name", "Kind", "Devices", "About"), rows)


def _scenario(name: str) -> dict[str, Any]:
    """Return what is told of a scenario; what needs an extra that is missing is None."""
    from sims.reading import load_scenario
    from sims.scenario_files import about_of, kind_of

    kind = kind_of(name)
    told = {"name": name, "kind": kind, "about": about_of(name)}
    if kind == "real":
        scenario = load_scenario(name)
        return {
            **told,
            "devices": len(scenario.devices),
            "messages": len(scenario.messages),
            "duration_s": scenario.duration_s,
        }
    if find_spec("numpy") is None:
        # Who has not installed the simulator still sees that there is one.
        return {**told, "devices": None, "messages": None, "duration_s": None}
    from sims.region_reading import measure_region

    devices, duration_s = measure_region(name)
    # How many messages there are is drawn from the seed.
    return {**told, "devices": devices, "messages": None, "duration_s": duration_s}
