"""`meshnode files`: photos and documents that go with messages, how far each has come, saving them.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson, ToHtml
from meshnode.cli.relays import is_relay, say_nothing

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["STATES", "register"]

Which = Annotated[
    str, typer.Argument(metavar="ID", help="Its id, the start of it, or its local number.")
]
_BAR: Final = 10
"""Characters of a progress bar in a table."""

STATES: Final = {
    "queued": "queued here",
    "carried": "carried {pct} %",
    "gave_up_budget": "gave up but for free links: it cost its budget",
    "arriving": "arriving",
    "complete": "complete",
    "damaged": "damaged: ask for it again",
    "expired": "expired",
    "cancelled": "cancelled",
    "removed": "erased here",
}
"""What people read for each state of a file."""

_app = typer.Typer(
    help="Photos and documents: how far each has come, saving them.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


def register(parent: typer.Typer) -> None:
    """Put these commands into the program."""
    parent.add_typer(_app, name="files")


@_app.callback()
def files(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the files of this device, both ways, with how far each has come."""
    if ctx.invoked_subcommand is not None:
        return
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json, print_table

    async def action(api: NodeApi) -> tuple[list[dict[str, Any]], bool]:
        found = await api.files()
        return found, not found and await is_relay(api)

    found, reads_nothing = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(files=found)
        return
    if not found:
        say_nothing(say("No files."), reads_nothing=reads_nothing)
        return
    columns = (say("id"), say("name"), say("size"), say("with"), say("progress"), say("state"))
    print_table(columns, [_line(each) for each in found], say("Files"))


def _line(found: dict[str, Any]) -> tuple[str, ...]:
    other = found["to"] if found["is_own"] else found["from_name"]
    state = say(STATES[found["state"]], pct=found.get("carried_pct", 0))
    from meshnode.cli.show import bar, size

    pct = _share(found)
    return (
        found["file"],
        found["name"],
        size(found["size_bytes"]),
        other,
        f"{bar(pct, _BAR)} {pct:3d} %",
        state,
    )


def _share(found: dict[str, Any]) -> int:
    """Return how much of a file is where it is for, %: of a group, at the one who has most."""
    if not found["is_own"]:
        return int(100 * found["have_bytes"] // found["size_bytes"])
    if found["state"] == "complete":
        return 100
    return max((int(each["pct"]) for each in found["recipients"]), default=0)


@_app.command("send")
def send(
    ctx: typer.Context,
    to: Annotated[
        str, typer.Argument(metavar="TO", help="codt, squad:NAME, or a device's name or id.")
    ],
    file: Annotated[str, typer.Argument(metavar="FILE", help="A photo or document.")],
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="What people shall read beside it.")
    ] = "",
    keep_place: Annotated[
        bool, typer.Option("--keep-place", help="Leave in a photo where it was taken.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send a file as 'meshnode send --attach' does; with --keep-place as it is."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        words = text or Path(file).name
        return await api.send(to, words, attach=file, keep_place=keep_place)

    sent = with_node(ctx, action, needs_keys=True, leaves=True)
    if as_json:
        print_json(**sent)
    else:
        typer.echo(
            say("Queued for {to}; recipients: {count}.", to=sent["to"], count=sent["recipients"])
        )


@_app.command("save")
def save(
    ctx: typer.Context,
    which: Which,
    to: Annotated[
        str, typer.Option("--to", metavar="PATH", help="A new file, or a folder to put it into.")
    ] = ".",
    as_json: AsJson = False,
) -> None:
    """Write a file that came whole to a new file; nothing is overwritten."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.file_save(which, to)

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
    else:
        typer.echo(say("Saved: {path}", path=found["path"]))


@_app.command("view")
def view(
    ctx: typer.Context,
    which: Which,
    html: ToHtml = "",
    as_json: AsJson = False,
) -> None:
    """Show an ODT or ODS file that came whole, without any office program."""
    from meshnode.cli.access import with_node
    from meshnode.cli.language import current_language
    from meshnode.cli.sheets import show_document, show_written
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.file_view(which, html, current_language())

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
    elif html:
        show_written(found["path"])
    else:
        show_document(found, found["name"])


@_app.command("cancel")
def cancel(ctx: typer.Context, which: Which, as_json: AsJson = False) -> None:
    """Give up a file of yours; carriers drop its pieces when they hear of it."""

    async def action(api: NodeApi) -> bool:
        return await api.file_cancel(which)

    _end(ctx, action, which, say("Cancelled: {id}", id=which), as_json=as_json)


@_app.command("remove")
def remove(ctx: typer.Context, which: Which, as_json: AsJson = False) -> None:
    """Erase a file of somebody else on this device."""

    async def action(api: NodeApi) -> bool:
        return await api.file_remove(which)

    _end(ctx, action, which, say("Erased here: {id}", id=which), as_json=as_json)


def _end(ctx: typer.Context, action: Any, which: str, words: str, *, as_json: bool) -> None:
    from meshnode.cli.access import with_node
    from meshnode.cli.exits import EXIT_FINDINGS
    from meshnode.cli.show import print_json

    is_done = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(file=which, is_done=is_done)
    elif is_done:
        typer.echo(words)
    else:
        typer.echo(say("Nothing to do: it has ended, or is not yours to end."), err=True)
    if not is_done:
        raise typer.Exit(EXIT_FINDINGS)
