"""`meshnode export` and `import`: messages on a USB stick, where no link exists at all.

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
    parent.command("export")(export_file)
    parent.command("import")(import_file)


def export_file(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    to: Annotated[
        list[str] | None,
        typer.Option(
            help="Device that may open it; may be given several times. Else the gateways."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write what is carried here into a sealed file."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json, size

    # A running node has a working folder of its own.
    path = str(file.absolute())

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.export_file(path, list(to or ()))

    written = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**written)
        return
    typer.echo(
        say(
            "{path}: {bundles} bundles and {documents} documents, {size}, for {recipients}.",
            path=file,
            bundles=written["bundles"],
            documents=written["documents"],
            size=size(written["bytes"]),
            recipients=", ".join(written["recipients"]),
        )
    )
    if written["left_out"]:
        typer.echo(say("Left out for want of room: {count} bundles.", count=written["left_out"]))


def import_file(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file that 'export' wrote.")],
    as_json: AsJson = False,
) -> None:
    """Take what a sealed file brings; twice is harmless."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    path = str(file.absolute())

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.import_file(path)

    taken = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**taken)
        return
    typer.echo(
        say(
            "{path}: {stored} bundles taken, {known} known before, {refused} refused, "
            "{documents} new documents.",
            path=file,
            stored=taken["bundles_stored"],
            known=taken["bundles_known"],
            refused=taken["bundles_refused"],
            documents=taken["documents"],
        )
    )
