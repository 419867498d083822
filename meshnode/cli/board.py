"""`meshnode board`, `state` and `track`: how a squad is, and where somebody was.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson
from meshnode.cli.relays import say_nothing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meshnode.client import NodeApi
    from meshnode.runtime import Runtime

__all__ = ["battery_words", "register"]

_REDRAW_S: Final = 30.0
"""Ages grow although nothing arrives."""
_SETTLE_S: Final = 1.0
"""What arrives together is shown together."""


def register(parent: typer.Typer) -> None:
    """Put these commands into the program."""
    parent.command()(board)
    parent.command(context_settings={"ignore_unknown_options": True})(state)
    parent.command()(track)


class NetworkName(StrEnum):
    """What `--network` takes."""

    NONE = "none"
    TWO_G = "2G"
    THREE_G = "3G"
    FOUR_G = "4G"
    FIVE_G = "5G"
    LAN = "LAN"


def board(
    ctx: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show it anew when it changes, until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show your squad: places, battery, coverage, and their age."""
    from meshnode.cli.access import with_node

    if follow:
        _follow(ctx, as_json=as_json)

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.board()

    _show(with_node(ctx, action), as_json=as_json)


def _follow(ctx: typer.Context, *, as_json: bool) -> NoReturn:
    """Show the board again and again. Raises: ControlError where no node runs."""
    from functools import partial

    import trio

    from meshnode.cli.texts import home_of
    from meshnode.runtime import system_runtime

    trio.run(partial(_follow_board, as_json=as_json), home_of(ctx), system_runtime())
    raise AssertionError("following ends by an error alone")


async def _follow_board(home: Path, runtime: Runtime, *, as_json: bool) -> NoReturn:
    """Show the board, again after whatever arrives, and when its ages grew.

    Raises: ControlError at the end, or at once where no node runs.
    """
    import trio

    from meshnode.client import open_api
    from meshnode.errors import ControlError

    changed = trio.Event()

    async def redraw(api: NodeApi) -> None:
        nonlocal changed
        while True:
            changed = trio.Event()
            _show(await api.board(), as_json=as_json)
            with trio.move_on_after(_REDRAW_S):
                await changed.wait()
            await trio.sleep(_SETTLE_S)

    async with open_api(home, runtime) as watch:
        events = watch.follow()
        # Where no node runs this says so, before anything is drawn.
        await anext(events)
        async with open_api(home, runtime) as api, trio.open_nursery() as nursery:
            nursery.start_soon(redraw, api)
            async for _event in events:
                changed.set()
            nursery.cancel_scope.cancel()
    raise ControlError("ended", "the node has stopped: start it with 'meshnode run'")


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    from meshnode.cli.show import local_time, print_json, print_table

    if as_json:
        print_json(**found)
        return
    if found["is_relay"] or not found["mates"]:
        words = say("No board." if found["is_relay"] else "No squad is known here.")
        say_nothing(words, reads_nothing=found["is_relay"])
        return
    columns = (
        say("name"),
        say("shift"),
        say("position"),
        say("battery"),
        say("coverage"),
        say("gateway"),
        say("last contact"),
    )
    rows = [_row(each, found["now_ms"]) for each in found["mates"]]
    title = say("Squad board, {time}", time=local_time(found["now_ms"]))
    print_table(columns, rows, title)


def _row(mate: dict[str, Any], now_ms: int) -> tuple[str, ...]:
    from meshnode.cli.show import ago

    name = str(mate["name"])
    if mate["is_self"]:
        name = say("{name} (you)", name=name)
    if mate["is_revoked"] or mate["is_author_revoked"]:
        name = f"{name}  {say('REVOKED AUTHOR')}"
    contact = say("in contact") if mate["is_in_contact"] else ago(mate["met_ms"], now_ms)
    return (
        name,
        _shift(mate),
        _with_age(mate["position"], _place),
        _with_age(mate["battery"], battery_words),
        _with_age(mate["coverage"], _coverage),
        # Off duty a device tells nothing of it, and what it told is gone: that is not "never".
        ago(mate["gateway_ms"], now_ms) if mate["gateway_ms"] or mate["is_on_shift"] else "",
        "" if mate["is_self"] else contact,
    )


def _shift(mate: dict[str, Any]) -> str:
    from meshnode.cli.show import aged

    heard = mate["heard"]
    if mate["is_on_shift"]:
        return aged(say("on duty"), heard) if heard["is_stale"] else say("on duty")
    if not mate["shift_over_ms"]:
        return say("unknown")
    return say("off duty")


def _with_age(value: dict[str, Any] | None, words: Callable[[dict[str, Any]], str]) -> str:
    """Return a value with its age; a stale one is marked first."""
    from meshnode.cli.show import aged

    return "" if value is None else aged(words(value), value)


def _place(value: dict[str, Any]) -> str:
    accuracy = f" ±{value['accuracy_m']:.0f} m" if value["accuracy_m"] else ""
    return f"{value['latitude']:.5f} {value['longitude']:.5f}{accuracy}"


def battery_words(value: dict[str, Any]) -> str:
    """Return how full a battery was, how fast it empties, and when it will be empty."""
    words = f"{value['level_pct']} %"
    if value["is_charging"]:
        return f"{words} {say('charging')}"
    if value["drain_pct_per_h"]:
        words += f" −{value['drain_pct_per_h']:.1f} %/h"
    if value["empty_ms"]:
        words += " " + say("empty at {time}", time=_when_empty(value))
    return words


def _when_empty(value: dict[str, Any]) -> str:
    """Return the time of the day, with its date where that is not today."""
    from meshnode.cli.show import local_time

    today = local_time(value["at_ms"] + 1000 * value["age_s"])[:10]
    day, time = local_time(value["empty_ms"])[:16].split(" ")
    return time if day == today else f"{day} {time}"


def _coverage(value: dict[str, Any]) -> str:
    if value["network"] == "none":
        return say("no network")
    words = str(value["network"])
    if value["signal_dbm"] is not None:
        words += f" {value['signal_dbm']} dBm"
    elif value["signal_pct"] is not None:
        words += f" {value['signal_pct']} %"
    return f"{words} {value['operator']}".strip()


def state(
    ctx: typer.Context,
    battery: Annotated[
        float | None, typer.Option(help="Charge of the battery, 0 to 100 percent.")
    ] = None,
    charging: Annotated[
        bool, typer.Option("--charging", help="The battery is being charged.")
    ] = False,
    network: Annotated[NetworkName | None, typer.Option(help="What network there is.")] = None,
    signal: Annotated[
        float | None, typer.Option(help="Strength of the signal, 0 to 100 percent.")
    ] = None,
    dbm: Annotated[
        int | None, typer.Option(help="Strength of the signal in dBm, -150 to 0.")
    ] = None,
    operator: Annotated[str, typer.Option(help="Name of the network.")] = "",
    as_json: AsJson = False,
) -> None:
    """Tell your squad how this device is, while your shift is open."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.state(
            battery_pct=battery,
            is_charging=charging,
            network=None if network is None else network.value,
            signal_pct=signal,
            signal_dbm=dbm,
            operator=operator,
        )

    told = with_node(ctx, action, leaves=True)
    if as_json:
        print_json(**told)
    else:
        typer.echo(say("The state is on its way to the squad."))


def track(
    ctx: typer.Context,
    who: Annotated[str, typer.Argument(metavar="WHO", help="Name or id of a device.")],
    as_json: AsJson = False,
) -> None:
    """Show where a device was; the operations centre knows it."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import local_time, print_json, print_table

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.track(who)

    found = with_node(ctx, action)
    if as_json:
        print_json(**found)
        return
    rows = [
        (local_time(at_ms), f"{north:.5f}", f"{east:.5f}")
        for each in found["segments"]
        for at_ms, north, east in each["points"]
    ]
    if rows:
        print_table([say(each) for each in ("taken", "latitude", "longitude")], rows)
    else:
        typer.echo(say("No track of {name} is kept here.", name=found["name"]))
