"""`meshnode documents export` and `import`: signed papers of the authority, as text.

Arguments and screens only; what a document is worth is judged by the node.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["REASONS", "register"]

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "damaged": "it is damaged or cut off: bring the file again.",
        "signatures": "too few of those who may sign it did, or a signature does not hold: have "
        "another holder of a card sign it, or bring it again.",
        "stale": "a newer one is in force here, or its time is over: nothing is to be done.",
        "equivocal": "another one of the same version is in force here: tell the centre, the proof "
        "is in 'meshnode audit show'.",
        "root": "it belongs to a newer root: import the newest root document of the authority.",
        "jump": "its version is too far ahead: ask the authority for its newest documents.",
        "loosened": "it takes back what its signer had revoked: ask the signer for the whole list.",
        "early": "its date lies in the future: check the clocks here and where it was signed.",
        "certificate": "a certificate in it does not hold or gives too much: ask whoever made it "
        "for a new one.",
        "unordered": "no wipe order that is held here asks for this proof: import the order first.",
        "full": "this node holds as many of its kind as it takes: try again when some have ended.",
        "content": "its content breaks a rule: ask whoever made it for a new one.",
    }
)
"""What to tell people of each reason why a document was refused."""

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

    Each is judged as if a peer had brought it, so a forged or half-signed one has no effect. The
    exit code is 1 if something is to be done about one that was refused.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.exits import EXIT_FINDINGS
    from meshnode.cli.show import print_json

    path = str(file.absolute())

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.import_documents(path)

    found = with_node(ctx, action)
    if as_json:
        print_json(**found)
    else:
        _print_judged(found, file)
    if found["refused"].keys() - {"stale"}:
        raise typer.Exit(EXIT_FINDINGS)


def _print_judged(found: dict[str, Any], file: Path) -> None:
    typer.echo(
        say(
            "{path}: {taken} of {documents} documents took effect.",
            path=file,
            taken=found["taken"],
            documents=found["documents"],
        )
    )
    if found["known"]:
        typer.echo(say("Known here before: {count}.", count=found["known"]))
    for reason, count in sorted(found["refused"].items()):
        why = say(REASONS[reason])
        typer.echo(say("Refused ({reason}): {count}; {why}", reason=reason, count=count, why=why))
