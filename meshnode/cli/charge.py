"""`meshnode charge`: who charges next from the one battery of a vehicle.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson
from meshnode.cli.relays import say_nothing

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put this command into the program."""
    parent.command()(charge)


def charge(
    ctx: typer.Context,
    wh: Annotated[float, typer.Option(help="What the vehicle's battery may give, Wh.")],
    sockets: Annotated[int, typer.Option(help="How many devices charge at once, 1 to 8.")] = 1,
    watts: Annotated[
        float, typer.Option(help="What a socket in use takes from the battery, W.")
    ] = 15.0,
    efficiency: Annotated[
        int, typer.Option(help="How much of that ends in a device, percent.")
    ] = 80,
    turn: Annotated[
        int, typer.Option(help="How long a device stays plugged in at least, 10 to 120 minutes.")
    ] = 20,
    capacity: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=WH", help="What a device holds when full; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Plan who charges next from the one battery of a vehicle."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json
    from meshnode.services.charge_sheet import charge_sheet, supply_of

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.board()

    supply = supply_of(wh, sockets, watts, efficiency, turn)
    known = dict(_capacity(each) for each in capacity or ())
    seen = with_node(ctx, action)
    if seen["is_relay"] and not as_json:
        say_nothing(say("No board."), reads_nothing=True)
        return
    found = charge_sheet(seen, supply, known)
    if as_json:
        print_json(**found)
    else:
        _show(found)


def _capacity(text: str) -> tuple[str, float]:
    """Return name and watt-hours of `NAME=WH`. Raises: ChargeError."""
    from meshnode.errors import ChargeError

    name, _equals, number = text.rpartition("=")
    try:
        found = float(number)
    except ValueError as error:
        raise ChargeError(f"'{text}' is no capacity: write it like alice=17") from error
    if not name:
        raise ChargeError(f"'{text}' is no capacity: write it like alice=17")
    return name, found


def _show(found: dict[str, Any]) -> None:
    from meshnode.cli.show import local_time, print_table

    turns = [
        (
            each["name"],
            say("now")
            if each["start_ms"] == found["now_ms"]
            else local_time(each["start_ms"])[:16],
            local_time(each["end_ms"])[:16],
            say("{minutes} min", minutes=(each["end_ms"] - each["start_ms"]) // 60_000),
        )
        for each in found["turns"]
    ]
    if turns:
        columns = (say("name"), say("plug in"), say("unplug"), say("for"))
        print_table(columns, turns, say("Who charges next"))
    elif found["devices"]:
        typer.echo(say("No turn at a socket makes a device last longer."))
    _show_devices(found)
    _show_outcome(found)
    _show_doubts(found)


def _show_devices(found: dict[str, Any]) -> None:
    from meshnode.cli.show import print_table

    rows = [
        (
            each["name"],
            f"{each['level_pct']} %",
            f"{each['capacity_wh']:.0f} Wh",
            f"{each['drain_w']:.1f} W",
            _empty(each["empty_uncharged_ms"]),
            _empty(each["empty_ms"]),
        )
        for each in found["devices"]
    ]
    if not rows:
        typer.echo(say("No battery of the squad can be planned for."))
        return
    columns = (
        say("name"),
        say("battery"),
        say("holds"),
        say("uses"),
        say("empty without"),
        say("empty with"),
    )
    print_table(columns, rows, say("Batteries"))


def _empty(time_ms: int) -> str:
    from meshnode.cli.show import local_time

    return local_time(time_ms)[:16] if time_ms else say("in 2 days or later")


def _show_outcome(found: dict[str, Any]) -> None:
    if not found["devices"]:
        return
    typer.echo(
        say(
            "First device empty: {with_plan}; without charging: {without}.",
            with_plan=_empty(found["first_empty_ms"]),
            without=_empty(found["first_empty_uncharged_ms"]),
        )
    )
    typer.echo(
        say(
            "The vehicle gives {spent} of {budget} Wh.",
            spent=f"{found['spent_wh']:.1f}",
            budget=f"{found['budget_wh']:.1f}",
        )
    )


def _show_doubts(found: dict[str, Any]) -> None:
    """Say what is not known, and what was taken instead."""
    from meshnode.cli.show import duration, safe

    for each in found["left_out"]:
        name = each["name"]
        if each["reason"] == "unknown":
            words = say("{name}: no battery value is known here; not planned for.", name=name)
        elif each["reason"] == "charging":
            words = say("{name}: charging when it last told; not planned for.", name=name)
        else:
            words = say("{name}: its badge is revoked; not planned for.", name=name)
        typer.echo(safe(words))
    for each in found["devices"]:
        if each["is_stale"]:
            words = say(
                "STALE {name}: told {level} % {duration} ago; what it has now is a guess.",
                name=each["name"],
                level=each["told_pct"],
                duration=duration(each["age_s"]),
            )
            typer.echo(safe(words))
    charged = {each["node"] for each in found["turns"]}
    unhelped = [
        each["name"]
        for each in found["devices"]
        if each["empty_ms"] and each["node"] not in charged
    ]
    if unhelped:
        words = say(
            "No turn for {names}: no energy, room or socket is left in time.",
            names=", ".join(unhelped),
        )
        typer.echo(safe(words))
    capacities = [each["name"] for each in found["devices"] if each["is_capacity_assumed"]]
    drains = [each["name"] for each in found["devices"] if each["is_drain_assumed"]]
    if capacities:
        names = ", ".join(capacities)
        words = say("Capacity of its kind taken, or give --capacity NAME=WH: {names}.", names=names)
        typer.echo(safe(words))
    if drains:
        words = say("Drain unknown yet, that of its kind taken: {names}.", names=", ".join(drains))
        typer.echo(safe(words))
