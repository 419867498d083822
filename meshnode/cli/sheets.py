"""`meshnode sheets`: reflex sheets, found and read offline; published and retracted by operators.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson, ToHtml
from meshnode.cli.relays import is_relay, say_nothing

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["register"]

Name = Annotated[str, typer.Argument(metavar="ID", help="Its id, as the list shows it.")]

_app = typer.Typer(
    help="Reflex sheets: what to do, found and read offline.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


def register(parent: typer.Typer) -> None:
    """Put these commands into the program."""
    parent.add_typer(_app, name="sheets")


@_app.callback()
def sheets(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the sheets of your zone, and which have come whole."""
    if ctx.invoked_subcommand is not None:
        return
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> tuple[dict[str, Any], bool]:
        found = await api.sheets()
        return found, not found["sheets"] and await is_relay(api)

    found, reads_nothing = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
    elif found["sheets"]:
        title = say("Reflex sheets, pack version {version}", version=found["version"])
        _show_table(found["sheets"], title)
    else:
        say_nothing(say("No sheets have come yet."), reads_nothing=reads_nothing)


@_app.command("search")
def search(
    ctx: typer.Context,
    words: Annotated[
        list[str], typer.Argument(metavar="WORDS", help="All of them must be in the sheet.")
    ],
    as_json: AsJson = False,
) -> None:
    """Find sheets by words; accents, capitals and plurals make no difference."""
    from meshnode.cli.access import with_node
    from meshnode.cli.exits import EXIT_FINDINGS
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> list[dict[str, Any]]:
        return await api.sheets_search(" ".join(words))

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(found=found)
    elif found:
        _show_table(found, say("Found"))
    else:
        typer.echo(say("No sheet holds these words."))
    if not found:
        raise typer.Exit(EXIT_FINDINGS)


def _show_table(found: list[dict[str, Any]], title: str) -> None:
    from meshnode.cli.show import print_table, size

    rows = [
        (
            each["name"],
            each["title"],
            str(each["version"]),
            each["language"],
            size(each["size_bytes"]),
            "" if each["is_whole"] else _share(each),
        )
        for each in found
    ]
    columns = (say("id"), say("title"), say("version"), say("language"), say("size"), say("state"))
    print_table(columns, rows, title)


def _share(found: dict[str, Any]) -> str:
    pct = int(100 * found["have_bytes"] // found["size_bytes"])
    return say("arriving, {pct} %", pct=pct)


@_app.command("show")
def show(
    ctx: typer.Context,
    name: Name,
    html: ToHtml = "",
    as_json: AsJson = False,
) -> None:
    """Show a sheet as text, or write it as one page of HTML that loads and runs nothing."""
    from meshnode.cli.access import with_node
    from meshnode.cli.language import current_language
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        if html:
            return await api.sheet_html(name, html, current_language())
        return await api.sheet(name)

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
    elif html:
        show_written(found["path"])
    else:
        version = found["version"]
        words = say("Sheet {name}, version {version}.", name=found["name"], version=version)
        show_document(found, words)


def show_written(path: str) -> None:
    """Say where a page is, and that it lies open there."""
    typer.echo(say("Written: {path}", path=path))
    typer.echo(say("This page lies open on the disk: delete it when you have read it."), err=True)


def show_document(found: dict[str, Any], words: str) -> None:
    """Show a document as text, below what it is; what is left out is said, not shown."""
    from meshnode.cli.show import safe
    from meshnode.viewer.document import LEFT_OUT

    typer.echo(words)
    for each, count in found["left_out"].items():
        typer.echo(say(LEFT_OUT[each], count=count))
    for line in found["text"].split("\n"):
        typer.echo(safe(line))


@_app.command("publish")
def publish(
    ctx: typer.Context,
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="With ODT, ODS, MD and TXT files.")
    ],
    as_json: AsJson = False,
) -> None:
    """Send the documents of a folder to everybody of your zone; operators only.

    A file whose content changed becomes a newer version; nothing is taken away.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.sheets_publish(folder)

    done = with_node(ctx, action, needs_keys=True, leaves=True)
    if as_json:
        print_json(**done)
        return
    counts = {each: len(done[each]) for each in ("added", "replaced", "unchanged")}
    typer.echo(
        say(
            "Pack version {version}: {added} new, {replaced} newer, {unchanged} unchanged.",
            version=done["version"],
            **counts,
        )
    )


@_app.command("retract")
def retract(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Take a sheet back for good: each device destroys it as soon as it hears of it."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.sheet_retract(name)

    done = with_node(ctx, action, needs_keys=True, leaves=True)
    if as_json:
        print_json(**done)
    else:
        typer.echo(
            say(
                "Sheet {name} is retracted up to version {version}.",
                name=done["name"],
                version=done["version"],
            )
        )
