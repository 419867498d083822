"""`meshnode unload`: how far a boat is with handing over to the centre, and how long it takes.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from pathlib import Path

    from meshnode.cli.progress import Draw
    from meshnode.client import NodeApi
    from meshnode.runtime import Runtime

__all__ = ["register", "show", "words_of"]

_LOOK_S: Final = 1.0
"""From one look at the node to the next."""
_PARTS: Final = 1_000
"""Steps of the bar: how many bundles there are changes while they are counted."""
_CELLS: Final = 20


def register(parent: typer.Typer) -> None:
    """Put this command into the program."""
    parent.command()(unload)


def unload(
    ctx: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show a bar until all is ashore, or until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what still has to go ashore, and how long it takes."""
    from functools import partial

    import trio

    from meshnode.cli.access import with_node
    from meshnode.cli.progress import progress_bar
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import home_of
    from meshnode.runtime import system_runtime

    if follow:
        with progress_bar(say("waiting for a gateway"), _PARTS) as draw:
            room = partial(_follow, draw, as_json=as_json)
            found = trio.run(room, home_of(ctx), system_runtime())
    else:
        found = with_node(ctx, _looked)
    if not as_json:
        show(found)
    elif not follow:
        print_json(**found)


async def _looked(api: NodeApi) -> dict[str, Any]:
    """Look once, or twice where a rate needs it."""
    import trio

    found = await api.unloading()
    if any(each["left"] for each in found["gateways"]):
        await trio.sleep(_LOOK_S)
        found = await api.unloading()
    return found


async def _follow(draw: Draw, home: Path, runtime: Runtime, *, as_json: bool) -> dict[str, Any]:
    """Look until nothing is left for a gateway. Raises: ControlError where no node runs."""
    import trio

    from meshnode.cli.show import print_json
    from meshnode.client import open_api
    from meshnode.errors import ControlError

    async with open_api(home, runtime) as api:
        if not api.is_running:
            raise ControlError("ended", "no node runs here: start it with 'meshnode run'")
        while True:
            found = await api.unloading()
            if as_json:
                print_json(**found)
            for each in found["gateways"][:1]:
                draw(words_of(each), _PARTS * each["done"] // max(1, each["done"] + each["left"]))
            if _is_done(found):
                return found
            if not found["gateways"]:
                draw(say("waiting for a gateway"), 0)
            await trio.sleep(_LOOK_S)


def _is_done(found: dict[str, Any]) -> bool:
    """True once a gateway is in reach and each has all that it lacked."""
    gateways = found["gateways"]
    return bool(gateways) and all(each["is_counted"] and not each["left"] for each in gateways)


def words_of(port: dict[str, Any]) -> str:
    """Return what stands beside the bar of one gateway."""
    from meshnode.cli.show import safe, size

    if not port["is_counted"]:
        return say("{name}: comparing what both hold", name=safe(port["name"]))
    return say(
        "{name}: {done} of {total} bundles, {size} left, {time}",
        name=safe(port["name"]),
        done=port["done"],
        total=port["done"] + port["left"],
        size=size(port["left_bytes"]),
        time=_time(port),
    )


def _time(port: dict[str, Any]) -> str:
    from meshnode.cli.show import duration

    seconds = port["seconds_left"]
    if seconds is None:
        return say("nobody knows how long")
    # Rounded up: nobody leaves the quay a second early.
    return duration(seconds + 0.999)


def show(found: dict[str, Any]) -> None:
    """Print how far the handing over to each gateway is."""
    from meshnode.cli.show import print_table, size

    if not found["gateways"]:
        typer.echo(
            say(
                "No gateway is in reach. {count} bundles lie here ({size}).",
                count=found["bundles"],
                size=size(found["bytes"]),
            )
        )
        return
    rows = [
        (
            each["name"],
            _bar(each),
            str(each["done"]),
            str(each["left"]) if each["is_counted"] else say("not counted yet"),
            size(each["left_bytes"]),
            "" if each["bytes_s"] is None else f"{size(round(each['bytes_s']))}/s",
            _time(each),
        )
        for each in found["gateways"]
    ]
    columns = (
        say("gateway"),
        say("progress"),
        say("ashore"),
        say("left"),
        say("size"),
        say("rate"),
        say("takes"),
    )
    print_table(columns, rows)


def _bar(port: dict[str, Any]) -> str:
    from meshnode.cli.show import bar

    if not port["is_counted"]:
        return ""
    total = port["done"] + port["left"]
    pct = 100 if not total else 100 * port["done"] // total
    return f"{bar(pct, _CELLS)} {pct} %"
