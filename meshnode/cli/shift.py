"""`meshnode shift` and `position`: when an agent may be followed, and where it is then.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson
from meshnode.cli.relays import is_relay, say_nothing

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["register", "show_places"]


_app = typer.Typer(
    help="Open and close your shift: positions exist in it alone.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(parent: typer.Typer) -> None:
    """Put these commands into the program."""
    parent.add_typer(_app, name="shift")
    # A longitude west of Greenwich is a number, not an option.
    parent.command(context_settings={"ignore_unknown_options": True})(position)


@_app.command("open")
def open_shift(
    ctx: typer.Context,
    hours: Annotated[int, typer.Option(min=1, max=12, help="It ends by itself after these.")] = 12,
    as_json: AsJson = False,
) -> None:
    """Open your shift: from now on this device may tell your squad where it is."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import local_time, print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.shift_open(hours)

    found = with_node(ctx, action, leaves=True)
    if as_json:
        print_json(**found)
    else:
        typer.echo(say("The shift is open until {time}.", time=local_time(found["ends_ms"])))
        _warn_of_track(found)


def _warn_of_track(found: dict[str, Any]) -> None:
    """Say so where the track of an open shift cannot be sealed to anybody."""
    if found["track_has_reader"] is False:
        typer.echo(
            say(
                "No key of the operations centre is known here: unless one comes in time, the "
                "track of this shift is erased when it ends."
            )
        )


@_app.command("close")
def close_shift(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Close your shift: its positions are erased here, and at your squad when it hears of it."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.shift_close()

    found = with_node(ctx, action, leaves=True)
    if as_json:
        print_json(**found)
    else:
        typer.echo(say("The shift is closed; its positions are erased here."))


@_app.command("show")
def show(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show your shift, who of your squads is on duty, and the newest positions."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import local_time, print_json

    async def action(api: NodeApi) -> tuple[dict[str, Any], list[dict[str, Any]], bool]:
        return await api.shift(), await api.positions(), await is_relay(api)

    found, places, reads_nothing = with_node(ctx, action)
    if as_json:
        print_json(**found, positions=places)
        return
    if found["is_open"]:
        typer.echo(say("The shift is open until {time}.", time=local_time(found["ends_ms"])))
        _warn_of_track(found)
    else:
        say_nothing(say("No shift is open."), reads_nothing=reads_nothing)
    _show_on_shift(found["on_shift"])
    show_places(places)


def _show_on_shift(found: list[dict[str, Any]]) -> None:
    from meshnode.cli.show import local_time, print_table

    if found:
        rows = [(each["name"], each["to"], local_time(each["ends_ms"])) for each in found]
        print_table((say("name"), say("to"), say("ends")), rows, say("On duty"))


def _marked(found: dict[str, Any]) -> str:
    """Return whose a position is, with a word of warning where its author is revoked."""
    name = str(found["name"])
    return f"{name}  {say('REVOKED AUTHOR')}" if found["is_author_revoked"] else name


def show_places(found: list[dict[str, Any]]) -> None:
    """Show positions as the node gives them; nothing where there are none."""
    from meshnode.cli.show import aged, local_time, print_table

    if not found:
        return
    rows = [
        (
            _marked(each),
            aged(local_time(each["taken_ms"]), each),
            f"{each['latitude']:.5f}",
            f"{each['longitude']:.5f}",
            f"{each['accuracy_m']:.0f} m" if each["accuracy_m"] else "",
        )
        for each in found
    ]
    columns = (say("name"), say("taken"), say("latitude"), say("longitude"), say("accuracy"))
    print_table(columns, rows, say("Positions"))


def position(
    ctx: typer.Context,
    latitude: Annotated[float, typer.Argument(metavar="LAT", help="Degrees, north positive.")],
    longitude: Annotated[float, typer.Argument(metavar="LON", help="Degrees, east positive.")],
    accuracy: Annotated[
        float, typer.Option(help="Radius in metres within which this is right; 0 if unknown.")
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Tell your squad where you are, while your shift is open."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.position(latitude, longitude, accuracy_m=accuracy)

    told = with_node(ctx, action, leaves=True)
    if as_json:
        print_json(**told)
    else:
        typer.echo(say("The position is on its way to the squad."))
