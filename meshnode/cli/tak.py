"""`meshnode tak`: how the exchange with a TAK server stands.

Arguments and screens only. Imports of the node stand inside the command, so that help appears at
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
    """Put this command into the program."""
    parent.command()(tak)


def tak(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show what is shared with a TAK server."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.tak()

    found = with_node(ctx, action)
    if as_json:
        print_json(**found)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    from meshnode.cli.show import local_time, print_table, safe

    server = safe(found["server"])
    if found["is_connected"]:
        since = local_time(found["since_ms"])
        typer.echo(say("Connected to {server} since {time}.", server=server, time=since))
    elif found["fault"]:
        fault = safe(say(found["fault"]))
        typer.echo(say("Not connected to {server}: {reason}.", server=server, reason=fault))
    else:
        typer.echo(say("Not connected to {server} yet.", server=server))
    nothing = say("nothing")
    sends = ", ".join(map(_kind, found["send"])) or nothing
    squads = safe(", ".join(found["squads"])) or say("all squads")
    typer.echo(say("Leaves: {kinds}, of {squads}.", kinds=sends, squads=squads))
    accepts = ", ".join(map(_kind, found["accept"])) or nothing
    typer.echo(say("Is taken in: {kinds}.", kinds=accepts))
    typer.echo(
        say(
            "Events sent {sent}, taken {taken}, refused {refused}.",
            sent=found["events_sent"],
            taken=found["events_taken"],
            refused=found["events_refused"],
        )
    )
    if found["marks"]:
        rows = [
            (
                safe(mark["callsign"]),
                f"{mark['latitude']:.5f} {mark['longitude']:.5f}",
                local_time(mark["at_ms"]),
                say("old") if mark["is_stale"] else "",
            )
            for mark in found["marks"]
        ]
        columns = (say("name"), say("place"), say("time"), "")
        print_table(columns, rows, say("Partners"))


def _kind(name: str) -> str:
    """Return what people call a sort of thing that is shared."""
    known = {
        "position": say("positions"),
        "battery": say("battery"),
        "chat": say("texts"),
        "sos": say("SOS"),
        "receipt": say("receipts"),
    }
    return known[name]
