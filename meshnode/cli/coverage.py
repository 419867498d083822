"""`meshnode coverage`: where the next network is, as squads learned it.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["register"]

_ROWS_MAX: Final = 12
"""Cells of the table; `--json` gives more."""
_KM: Final = 1_000


class PartWord(StrEnum):
    """What `--when` takes."""

    NOW = "now"
    NIGHT = "night"
    MORNING = "morning"
    AFTERNOON = "afternoon"
    EVENING = "evening"
    ALL = "all"


_At = Annotated[
    str,
    typer.Option("--at", metavar="LAT,LON", help="From there, instead of where this device is."),
]
_Course = Annotated[
    float | None,
    typer.Option("--course", metavar="DEGREES", help="Where you go: what lies ahead comes first."),
]
_When = Annotated[PartWord, typer.Option("--when", help="For which part of the day.")]
_Within = Annotated[
    float, typer.Option("--within", metavar="KM", min=0.5, max=200, help="How far cells are shown.")
]


def register(parent: typer.Typer) -> None:
    """Put this command into the program."""
    parent.command()(coverage)


def coverage(
    ctx: typer.Context,
    at: _At = "",
    course: _Course = None,
    when: _When = PartWord.NOW,
    within: _Within = 20.0,
    as_json: AsJson = False,
) -> None:
    """Show where the next network is, as squads learned it."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    part = "" if when is PartWord.NOW else when.value

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.coverage(at, course, part, within)

    found = with_node(ctx, action)
    if as_json:
        print_json(**found)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    from meshnode.cli.show import print_table

    typer.echo(_forecast(found))
    if found["here"] is not None and (found["next"] or {}).get("distance_m") != 0:
        here = found["here"]
        typer.echo(
            say("Here a network worked {n} of {all} times.", n=here["worked"], all=here["looks"])
        )
    shown = found["cells"][:_ROWS_MAX]
    if shown:
        columns = (say("distance"), say("direction"), say("network"), say("worked"), say("chance"))
        print_table(columns, [_row(each) for each in shown], _title(found))
    if any(each["is_other_part"] for each in shown):
        typer.echo(say("* nobody looked at this time of the day: of the whole day"))
    if any(not each["is_sure"] for each in shown):
        typer.echo(say("? hardly anybody looked"))


def _title(found: dict[str, Any]) -> str:
    parts = {
        "night": say("Coverage at night, from 0 to 6 h"),
        "morning": say("Coverage in the morning, from 6 to 12 h"),
        "afternoon": say("Coverage in the afternoon, from 12 to 18 h"),
        "evening": say("Coverage in the evening, from 18 to 24 h"),
        "all": say("Coverage, the whole day"),
    }
    return parts[found["part"]]


def _forecast(found: dict[str, Any]) -> str:
    if found["place"] is None:
        return say("Where this device is, is not known: give a place with --at LAT,LON.")
    if found["verdict"] == "unknown":
        return say("Unknown: hardly any squad has looked at the network around.")
    if found["verdict"] == "none":
        return say("None: squads looked around, and never found a network.")
    cell = found["next"]
    told = say(
        "{bearer} worked {n} of {all} times, {way} (chance {chance} %, at least {least} %)",
        bearer=_bearer(cell),
        n=cell["bearer_worked"],
        all=cell["looks"],
        way=_way(cell),
        chance=round(100 * cell["chance"]),
        least=round(100 * cell["at_least"]),
    )
    if found["verdict"] == "likely":
        return say("Next network: {told}.", told=told)
    return say("Perhaps: {told}.", told=told)


def _way(cell: dict[str, Any]) -> str:
    if not cell["distance_m"]:
        return say("here")
    return f"{_distance(cell['distance_m'])} {_direction(cell['direction'])}"


def _distance(metres: int) -> str:
    return f"{metres} m" if metres < _KM else f"{metres / _KM:.1f} km"


def _direction(word: str) -> str:
    words = {
        "N": say("N"),
        "NE": say("NE"),
        "E": say("E"),
        "SE": say("SE"),
        "S": say("S"),
        "SW": say("SW"),
        "W": say("W"),
        "NW": say("NW"),
    }
    return words[word]


def _bearer(cell: dict[str, Any]) -> str:
    return say("no network") if cell["bearer"] == "none" else str(cell["bearer"])


def _row(cell: dict[str, Any]) -> tuple[str, ...]:
    marks = ("" if cell["is_sure"] else "?") + ("*" if cell["is_other_part"] else "")
    return (
        _distance(cell["distance_m"]) if cell["distance_m"] else say("here"),
        _direction(cell["direction"]) if cell["distance_m"] else "",
        _bearer(cell),
        say("{n} of {all}", n=cell["worked"], all=cell["looks"]),
        f"{round(100 * cell['chance'])} %{marks}",
    )
