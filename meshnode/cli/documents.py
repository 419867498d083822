"""`meshnode documents export` and `import`: signed papers of the authority, as text.

Arguments and screens only; what a document is worth is judged by the node.
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


app = typer.Typer(
    name="documents",
    help="Carry signed documents of the authority, such as revocations.",
    no_args_is_help=True,
)


def register(parent: typer.Typer) -> None:
    """Put these commands under `meshnode documents`."""
    app.command("export")(export_documents)
    app.command("import")(import_documents)
    parent.add_typer(app, name="documents")


def export_documents(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    as_json: AsJson = False,
) -> None:
    """Write the documents that hold here into a file of text."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    path = str(file.absolute())

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.export_documents(path)

    written = with_node(ctx, action)
    if as_json:
        print_json(**written)
    else:
        typer.echo(say("{path}: {documents} documents.", path=file, documents=written["documents"]))


def import_documents(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file with the documents.")],
    as_json: AsJson = False,
) -> None:
    """Take signed documents from a file; the mesh carries them on.

    Each is judged as if a peer had brought it, so a forged or half-signed one has no effect.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    path = str(file.absolute())

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.import_documents(path)

    found = with_node(ctx, action)
    if as_json:
        print_json(**found)
    else:
        typer.echo(
            say(
                "{path}: {taken} of {documents} documents took effect.",
                path=file,
                taken=found["taken"],
                documents=found["documents"],
            )
        )
