"""`meshnode audit`: what this device refused and what was done to it; checked, and sealed away.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
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
    """Put these commands into the program."""
    group = typer.Typer(
        help="Show, check and export the audit log.", no_args_is_help=True, rich_markup_mode=None
    )
    group.command("show")(show)
    group.command("verify")(verify)
    group.command("export")(export)
    parent.add_typer(group, name="audit")


def show(
    ctx: typer.Context,
    limit: Annotated[
        int, typer.Option(min=1, max=20_000, help="So many of the newest entries.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the newest entries: what was refused, and what was done to this device."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import local_time, print_json, print_table

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.audit(limit)

    found = with_node(ctx, action)
    if as_json:
        print_json(**found)
        return
    for each in found["evidence"]:
        typer.echo(
            say(
                "ALARM since {when}: two things were signed as {subject}.",
                when=local_time(each["at_ms"]),
                subject=each["subject"],
            )
        )
    if not found["entries"]:
        typer.echo(say("Nothing was refused yet."))
        return
    rows = [
        (
            str(each["number"]),
            local_time(each["at_ms"]),
            each["event"],
            each["name"],
            str(each["count"]),
        )
        for each in found["entries"]
    ]
    print_table((say("no."), say("since"), say("event"), say("device"), say("times")), rows)


def verify(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A log that another device exported.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that no entry was changed or cut off, here or in an exported log."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    path = "" if file is None else str(file.absolute())

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.audit_verify(path)

    found = with_node(ctx, action)
    if as_json:
        print_json(**found)
        return
    typer.echo(
        say(
            "The log of {name} is whole: {entries} entries up to no. {last}.",
            name=found["name"],
            entries=found["entries"],
            last=found["last"],
        )
    )
    if found["known_last"]:
        typer.echo(say("It agrees with the head sent at no. {last}.", last=found["known_last"]))
    else:
        typer.echo(say("No head of it is held here: whether its end was cut off is not known."))


def export(
    ctx: typer.Context,
    file: Annotated[Path, typer.Option("--to", metavar="FILE", help="The file to write.")],
    reader: Annotated[
        list[str] | None,
        typer.Option(
            help="Device that may open it; may be given several times. Else the gateways."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the log into a file that only the devices named can open."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    path = str(file.absolute())

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.audit_export(path, list(reader or ()))

    written = with_node(ctx, action)
    if as_json:
        print_json(**written)
        return
    typer.echo(
        say(
            "{path}: {entries} entries of the audit log, for {recipients}.",
            path=file,
            entries=written["entries"],
            recipients=", ".join(written["recipients"]),
        )
    )
