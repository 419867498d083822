"""`meshnode gateway report`: how the network does, without anybody's name in it.

Arguments and screens only. Imports of the node stand inside the command.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put the command under `meshnode gateway`."""
    parent.command()(report)


def report(
    ctx: typer.Context,
    since: Annotated[
        str,
        typer.Option(metavar="DAY", help="First day, 2026-05-01; else the thirtieth before."),
    ] = "",
    until: Annotated[
        str, typer.Option(metavar="DAY", help="Day after the last one; else today counts.")
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it here: .html with plots, .csv or .json."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show arrivals, delays, deliveries, alarms and networks by place; nothing names anybody.

    Days are whole and UTC. Groups of fewer than five devices stand together as others.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.report_page import notes, period
    from meshnode.cli.report_tables import sections
    from meshnode.cli.show import print_json, print_table

    form = None if output is None else _form_of(output)
    from_ms, to_ms = (_day_ms(text) if text else None for text in (since, until))

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.archive_report(from_ms, to_ms)

    found = with_node(ctx, action, needs_keys=True)
    if output is not None and form is not None:
        _write(output, form, found)
    if as_json:
        print_json(**found)
        return
    if output is not None:
        typer.echo(say("The report is in {path}.", path=output))
        return
    typer.echo(period(found))
    tables = sections(found)
    if not tables:
        typer.echo(say("Too few devices: nothing is shown."))
    for each in tables:
        typer.echo(f"\n{each.title}")
        print_table(each.columns, each.rows)
    typer.echo("")
    for line in notes(found):
        typer.echo(line)


def _form_of(path: Path) -> str:
    from meshnode.cli.texts import TextError

    form = path.suffix.lower().removeprefix(".")
    if form not in ("html", "csv", "json"):
        raise TextError("the report is written as .html, .csv or .json: end the name so")
    return form


def _day_ms(text: str) -> int:
    """Return the beginning of a UTC day, Unix milliseconds. Raises: TextError."""
    from datetime import UTC, date, datetime

    from meshnode.cli.texts import TextError

    try:
        found = date.fromisoformat(text.strip())
        return round(datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp() * 1000)
    except ValueError as error:
        raise TextError(f"'{text[:40]}' is no day: write it like 2026-05-01") from error


def _write(path: Path, form: str, found: dict[str, Any]) -> None:
    import json

    from meshnode.cli.report_page import page
    from meshnode.cli.report_tables import as_csv
    from meshnode.cli.show import SCHEMA_VERSION
    from meshnode.cli.texts import TextError
    from meshnode.files import write_private

    if form == "html":
        text = page(found)
    elif form == "csv":
        text = as_csv(found)
    else:
        text = json.dumps({"schema": SCHEMA_VERSION, **found}, indent=1, sort_keys=True) + "\n"
    try:
        write_private(path, text.encode())
    except OSError as error:
        raise TextError(f"{path}: the report cannot be written: {error.strerror}") from error
