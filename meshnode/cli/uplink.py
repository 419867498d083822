"""`meshnode uplink` and `budget`: who speaks to the gateway for the squad, and what that costs.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put these commands into the program."""
    parent.command()(budget)


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
