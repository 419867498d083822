"""`meshnode send`, `inbox`, `outbox`, `message`: writing, reading, and what became of it.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from meshnode.cli.delivery import Which
from meshnode.cli.language import say
from meshnode.cli.options import AsJson
from meshnode.cli.relays import is_relay, say_nothing

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["register"]

Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Show at most this many, the newest.")]


class Priority(StrEnum):
    """How urgent a text is, in the words people type."""

    NORMAL = "normal"
    LOW = "low"


def register(parent: typer.Typer) -> None:
    """Put these commands into the program."""
    for command in (send, inbox, outbox, message):
        parent.command()(command)


# --- writing -----------------------------------------------------------------------------------


def send(
    ctx: typer.Context,
    to: Annotated[
        str, typer.Argument(metavar="TO", help="codt, squad:NAME, or a device's name or id.")
    ],
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="What people shall read, or - for stdin.")
    ] = None,
    sos: Annotated[bool, typer.Option("--sos", help="An alarm: before everything else.")] = False,
    priority: Annotated[Priority, typer.Option(help="low: behind other texts.")] = Priority.NORMAL,
    lifetime: Annotated[
        str | None, typer.Option(help="Given up after this time, such as 90s, 30min, 2h or 3d.")
    ] = None,
    attach: Annotated[
        str, typer.Option("--attach", metavar="FILE", help="A photo or document that goes with it.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Write a message to a device, a squad or the CODT.

    It leaves with the next contact, or at once where there is one. A file follows in pieces,
    behind everything else; a photo goes without the place where it was taken.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import message_text, parse_duration_s

    if text is None and not attach:
        raise typer.BadParameter(say("write a text, or name a file with --attach"))
    words = message_text(Path(attach).name if text is None else text)
    lifetime_s = parse_duration_s(lifetime) if lifetime is not None else None

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.send(
            to,
            words,
            sos=sos,
            priority=priority.value,
            lifetime_s=lifetime_s,
            attach=attach,
        )

    sent = with_node(ctx, action, needs_keys=True, leaves=True)
    if as_json:
        print_json(**sent)
        return
    if sent["is_held_back"]:
        typer.echo(
            say(
                "Kept: others take no more alarms of this device in this hour."
                " It leaves in the next one, while meshnode runs unlocked."
            )
        )
    elif sent["state"] == "waiting":
        typer.echo(say("Waits for the key of a recipient; it leaves as soon as that is here."))
    else:
        typer.echo(
            say("Queued for {to}; recipients: {count}.", to=sent["to"], count=sent["recipients"])
        )
    typer.echo(say("See what becomes of it: meshnode message {key}", key=sent["key"]))
    if attach:
        typer.echo(say("The file follows in pieces; how far it is: meshnode files"))
    typer.echo(sent["message"])


# --- reading -----------------------------------------------------------------------------------


def inbox(
    ctx: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", help="Keep showing what arrives, until Ctrl-C.")
    ] = False,
    unread: Annotated[bool, typer.Option("--unread", help="Only what nobody has read.")] = False,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """Show the messages for this device.

    What a person is shown counts as read. With --follow --json there is one JSON object on each
    line.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.mail import newest, show_inbox
    from meshnode.cli.show import print_json

    if follow:
        _follow(ctx, limit, is_unread_only=unread, as_json=as_json)

    async def action(api: NodeApi) -> tuple[list[dict[str, Any]], bool]:
        found = await newest(api.inbox, limit, is_unread_only=unread)
        if not as_json:
            for each in found:
                await api.mark_read(each["key"])
        return found, not found and await is_relay(api)

    found, reads_nothing = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(messages=found)
    elif found:
        show_inbox(found)
    else:
        say_nothing(say("No messages."), reads_nothing=reads_nothing)


def _follow(ctx: typer.Context, limit: int, *, is_unread_only: bool, as_json: bool) -> NoReturn:
    """Show what is there and what arrives. Raises: ControlError where no node runs."""
    import trio

    from meshnode.cli.mail import follow_inbox
    from meshnode.cli.texts import home_of
    from meshnode.runtime import system_runtime

    follow = partial(follow_inbox, is_unread_only=is_unread_only, as_json=as_json)
    trio.run(follow, home_of(ctx), system_runtime(), limit)
    raise AssertionError("following ends by an error alone")


def outbox(ctx: typer.Context, limit: Limit = 100, as_json: AsJson = False) -> None:
    """Show the messages written here, and where each is."""
    from meshnode.cli.access import with_node
    from meshnode.cli.mail import newest, show_outbox
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> list[dict[str, Any]]:
        return await newest(api.outgoing, limit)

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(messages=found)
    else:
        show_outbox(found)


def message(ctx: typer.Context, which: Which, as_json: AsJson = False) -> None:
    """Tell the whole story of one message.

    Who it is for, who carries it, who has it, who has read it, who is out of reach since when, and
    when each was known here.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json
    from meshnode.cli.story import show_story
    from meshnode.cli.which import find_message

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.message(await find_message(api, which))

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
    else:
        show_story(found)
