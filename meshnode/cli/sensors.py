"""`meshnode sensors`: what this device knows of itself, from where, and why something is missing.

Arguments and screens only. Imports of the node stand inside the command, so that help appears at
once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from meshnode.cli.language import say, translate_error
from meshnode.cli.options import AsJson

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put this command into the program."""
    parent.command()(sensors)


def sensors(
    ctx: typer.Context,
    show_position: Annotated[
        bool, typer.Option("--show-position", help="Tell also where this device is.")
    ] = False,
    wait: Annotated[
        int, typer.Option(min=1, max=120, help="Seconds to try for, where no node runs.")
    ] = 8,
    as_json: AsJson = False,
) -> None:
    """Show what this device knows of itself, and from where.

    Each source of position, battery and coverage with its newest reading, or what is wrong with it.
    """
    import trio

    from meshnode.cli.show import print_json
    from meshnode.cli.texts import home_of

    is_running, found = trio.run(_ask, home_of(ctx), show_position, wait)
    if as_json:
        print_json(is_running=is_running, sources=found)
    elif not found:
        typer.echo(say("No sensor is configured: see the section [sensors] of meshnode.toml."))
    else:
        _show(found)


async def _ask(home: Path, show_position: bool, wait_s: int) -> tuple[bool, list[dict[str, Any]]]:
    """Return whether a node runs, and what it says; without one, what the sensors say."""
    from meshnode.calls.sensor import told
    from meshnode.cli.progress import progress_bar
    from meshnode.client import RemoteApi
    from meshnode.config import load_settings
    from meshnode.home import Home
    from meshnode.lines import connect
    from meshnode.runtime import system_runtime
    from meshnode.sensors.trying import try_sensors

    lines = await connect(Home(home).control_socket)
    if lines is not None:
        try:
            return True, await RemoteApi(lines).sensors(show_position=show_position)
        finally:
            await lines.aclose()
    wanted = load_settings(home).sensors.sensors(home)
    with progress_bar(say("Trying the sensors"), len(wanted)) as draw:

        def progress(answered: int, all_of_them: int) -> None:
            draw(say("{count} of {all} answered", count=answered, all=all_of_them), answered)

        reports = await try_sensors(wanted, system_runtime(), wait_s, progress)
    return False, [told(each, show_position=show_position) for each in reports]


def _show(found: list[dict[str, Any]]) -> None:
    from meshnode.cli.show import print_table

    kinds = {"position": say("position"), "battery": say("battery"), "coverage": say("coverage")}
    rows = [
        (kinds[each["kind"]], each["source"], _age(each), _words(each), _trouble(each))
        for each in found
    ]
    columns = (say("reading"), say("source"), say("age"), say("value"), say("remark"))
    print_table(columns, rows, say("Sensors"))


def _age(found: dict[str, Any]) -> str:
    from meshnode.cli.show import duration

    return "" if found["age_s"] is None else duration(found["age_s"])


def _words(found: dict[str, Any]) -> str:
    """Return a reading in words; of a position only how exact it is, unless more was asked for."""
    reading = found["reading"]
    if reading is None:
        return say("nothing")
    match found["kind"]:
        case "position":
            return _place(reading)
        case "battery":
            return _battery(reading)
        case _:
            return _coverage(reading)


def _place(reading: dict[str, Any]) -> str:
    accuracy = reading["accuracy_m"]
    words = [f"± {accuracy:.0f} m" if accuracy else say("accuracy unknown")]
    if "latitude" in reading:
        words.insert(0, f"{reading['latitude']:.5f} {reading['longitude']:.5f}")
    return ", ".join(words)


def _battery(reading: dict[str, Any]) -> str:
    words = [f"{reading['level_pct']:.0f} %"]
    if reading["is_charging"]:
        words.append(say("charging"))
    if reading["power_w"] is not None:
        words.append(f"{reading['power_w']:.1f} W")
    return ", ".join(words)


def _coverage(reading: dict[str, Any]) -> str:
    if not reading["is_registered"]:
        return say("no network")
    words = [reading["bearer"], reading["operator"]]
    if reading["signal_pct"] is not None:
        words.append(f"{reading['signal_pct']:.0f} %")
    return ", ".join(word for word in words if word)


def _trouble(found: dict[str, Any]) -> str:
    words = [translate_error(found["trouble"])] if found["trouble"] else []
    if found["refused"]:
        words.append(say("{count} refused", count=found["refused"]))
    if found["reading"] is not None and not found["is_chosen"]:
        words.append(say("another source is preferred"))
    return "; ".join(words)
