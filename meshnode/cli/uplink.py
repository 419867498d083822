"""`meshnode uplink` and `budget`: who speaks to the gateway for the squad, and what that costs.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["register"]

_LAN: Final = 6
"""What a local network counts as among the generations of mobile ones."""


def register(parent: typer.Typer) -> None:
    """Put these commands into the program."""
    parent.command()(uplink)
    parent.command()(budget)


def uplink(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show who speaks to the gateway for the squad, and why."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.uplink()

    found = with_node(ctx, action)
    if as_json:
        print_json(**found)
    else:
        _show_uplink(found)


def _show_uplink(found: dict[str, Any]) -> None:
    from meshnode.cli.show import local_time, print_table, safe

    name = safe(found["uplink"]["name"]) if found["uplink"] else ""
    since = local_time(found["since_ms"]) if found["since_ms"] else ""
    if found["role"] == "own":
        typer.echo(
            say("This device speaks to the gateway for the squad, since {time}.", time=since)
        )
    elif found["role"] == "mate":
        typer.echo(say("{name} speaks to the gateway for us, since {time}.", name=name, time=since))
    elif found["role"] == "vacant":
        typer.echo(say("The squad is choosing who speaks to the gateway."))
    else:
        typer.echo(say("No mate is in reach who could: this device speaks to the gateway itself."))
    if found["is_sos_pressing"]:
        typer.echo(say("An SOS waits for a gateway: this device dials by itself."))
    typer.echo(_why(found))
    rows = [
        (
            safe(each["name"]),
            str(each["score"]),
            say("yes") if each["is_near"] else say("no"),
            safe(each["uplink"]["name"]) if each["uplink"] else "",
        )
        for each in found["mates"]
    ]
    if rows:
        columns = (say("name"), say("fitness"), say("in reach"), say("sends through"))
        print_table(columns, rows, say("Squad"))


def _net(generation: int) -> str:
    if not generation:
        return say("no network")
    return "LAN" if generation == _LAN else f"{generation}G"


def _why(found: dict[str, Any]) -> str:
    """Return what this device's own fitness is made of."""
    parts = []
    if found["is_charging"]:
        parts.append(say("charging"))
    elif found["battery_pct"] is not None:
        parts.append(say("battery {percent} %", percent=round(found["battery_pct"])))
    if found["generation"] is not None:
        parts.append(_net(found["generation"]))
    costs = {
        "free": say("free way"),
        "metered": say("metered way"),
        "costly": say("costly way"),
    }
    parts.append(costs[found["cost"]])
    parts.append(say("gateway reached") if found["has_gateway"] else say("no gateway reached"))
    return say("Fitness here: {score} ({why}).", score=found["score"], why=", ".join(parts))


def budget(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show what bearers with a budget have cost, and what is left."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> list[dict[str, Any]]:
        return await api.budget()

    found = with_node(ctx, action)
    if as_json:
        print_json(bearers=found)
    elif not found:
        typer.echo(say("No bearer has a budget: see the section [budgets] of meshnode.toml."))
    else:
        _show_budgets(found)


def _show_budgets(found: list[dict[str, Any]]) -> None:
    from meshnode.cli.show import local_time, print_table, safe, size

    rows = [
        (
            safe(each["bearer"]),
            local_time(each["started_ms"]),
            say("{spent} of {all}", spent=size(each["spent_bytes"]), all=size(each["bytes_max"])),
            _euros(each),
            size(each["left_bytes"]),
            size(each["left_sos_bytes"]),
        )
        for each in found
    ]
    columns = (
        say("bearer"),
        say("since"),
        say("billed"),
        say("cost"),
        say("left"),
        say("left for SOS"),
    )
    print_table(columns, rows, say("Budgets"))


def _euros(found: dict[str, Any]) -> str:
    if found["euros_max"] is None:
        return ""
    spent, most = f"{found['spent_euros']:.2f}", f"{found['euros_max']:.2f}"
    return say("{spent} of {all} euros", spent=spent, all=most)
