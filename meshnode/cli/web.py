"""`meshnode web`: who may use the screens of the running node.

Arguments and screens only; `meshnode.web.door` decides.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["register"]


class TokenRole(StrEnum):
    """What a program may do."""

    READER = "reader"
    """Figures of health, positions and their exports."""
    AGENT = "agent"
    """All that the owner of this device does."""
    OPERATOR = "operator"
    """The work of the centre as well."""


def register(parent: typer.Typer) -> None:
    """Put these commands into the program."""
    group = typer.Typer(no_args_is_help=True, help="Who may use the screens of the running node.")
    tokens = typer.Typer(no_args_is_help=True, help="Named tokens for programs.")
    group.command("open")(open_screens)
    group.command("close")(close_screens)
    group.command("enrol")(enrol_on_screens)
    tokens.command("add")(add_token)
    tokens.command("list")(list_tokens)
    tokens.command("revoke")(revoke_token)
    group.add_typer(tokens, name="token")
    parent.add_typer(group, name="web")


def open_screens(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Print the address of the screens, which signs one browser in within five minutes."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.web_open()

    found = with_node(ctx, action)
    if as_json:
        print_json(**found)
    else:
        typer.echo(found["url"])


def close_screens(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Sign every browser out; tokens of programs go on."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> int:
        return await api.web_close()

    count = with_node(ctx, action)
    if as_json:
        print_json(sessions=count)
    else:
        typer.echo(say("Browsers signed out: {count}.", count=count))


def enrol_on_screens(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Enrol this device in a browser on it, with its camera for QR codes.

    Prints an address, and ends when the device has its identity. It is what 'meshnode enrol' does.
    """
    import trio

    from meshnode.cli.enrol import show_enrolled
    from meshnode.cli.exits import EXIT_INTERRUPTED
    from meshnode.cli.texts import home_of
    from meshnode.config import WEB_ADDRESS, load_settings
    from meshnode.erasing import refuse_wiped
    from meshnode.runtime import system_runtime
    from meshnode.web.newcomer import serve_newcomer

    def tell(url: str) -> None:
        typer.echo(say("Open this in a browser on this machine: {url}", url=url), err=True)

    home, runtime = home_of(ctx), system_runtime()
    refuse_wiped(home, runtime)
    address = load_settings(home).web.address
    # For the browser of this machine alone, whoever else is served once it is enrolled.
    listen = WEB_ADDRESS if address is None else f"127.0.0.1:{address.port}"
    accepted = trio.run(serve_newcomer, home, listen, runtime, tell)
    if accepted is None:
        raise typer.Exit(EXIT_INTERRUPTED)
    show_enrolled(accepted, as_json)


def add_token(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What you call it: radio-room.")],
    role: Annotated[TokenRole, typer.Option(help="What it may do.")] = TokenRole.READER,
    days: Annotated[int, typer.Option(help="How long it holds, 1 to 400 days.")] = 365,
    as_json: AsJson = False,
) -> None:
    """Make a token for a program and print it, once.

    The program shows it as 'Authorization: Bearer TOKEN'. Only its hash is kept here.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.web_token_add(name, role.value, days)

    found = with_node(ctx, action)
    if as_json:
        print_json(**found)
    else:
        typer.echo(found["token"])


def list_tokens(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the tokens and until when they hold; never what they are."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import local_time, print_json, safe

    async def action(api: NodeApi) -> list[dict[str, Any]]:
        return await api.web_tokens()

    found = with_node(ctx, action)
    if as_json:
        print_json(tokens=found)
        return
    if not found:
        typer.echo(say("There are no tokens."))
    for each in found:
        words = (
            say("has ended")
            if each["has_ended"]
            else say("until {time}", time=local_time(each["ends_ms"]))
        )
        typer.echo(f"{safe(each['name'])}  {each['role']}  {words}")


def revoke_token(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The token's name.")],
    as_json: AsJson = False,
) -> None:
    """End a token now, and the browsers that signed in by it."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> bool:
        return await api.web_token_revoke(name)

    was_there = with_node(ctx, action)
    if as_json:
        print_json(was_there=was_there)
    elif was_there:
        typer.echo(say("Token {name} has ended.", name=name))
    else:
        typer.echo(say("There is no token {name}.", name=name))
