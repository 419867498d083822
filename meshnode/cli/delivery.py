"""`meshnode resend`, `cancel`, `matrix`: who has a message, and sending it again or taking it back.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["OUTCOMES", "WHYS", "Which", "outcome_words", "register", "show_recipients"]

Which = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="Its id, the start or end of it, its local number, or 'last' sent."
    ),
]

OUTCOMES: Final[Mapping[str, str]] = {
    "waiting": "not sealed yet: a key is missing",
    "held back": "leaves in the next hour: others take no more of this device in this one",
    "turned down": "nobody took it yet: whoever was met refused it, see below",
    "on its way": "on its way",
    "delivered": "delivered",
    "read": "read by everybody",
    "expired": "expired before everybody had it",
    "cancelled": "cancelled: nobody has read it",
    "cancelling": "cancelled; not known yet whether it was read",
    "too late": "cancelled too late: it was read before",
}
"""How a message ends, in words for people."""
_NAMES_HAVE_IT: Final = frozenset({"waiting", "held back", "turned down", "on its way", "expired"})
"""Outcomes that say of somebody that it is missing there, and name those who have it."""

WHYS: Final[Mapping[str, str]] = {
    "revoked": "its device was revoked",
    "no key": "no key of it is known here yet",
    "expired": "the lifetime ended without a word from it",
    "cancelling": "the cancellation is on its way",
    "cancelled": "cancelled before it was read",
    "turned down": "whoever was met did not take it",
}
"""Why somebody has no copy, in words for people."""


def register(parent: typer.Typer) -> None:
    """Put these commands into the program."""
    for command in (cancel, resend, matrix):
        parent.command()(command)


def cancel(ctx: typer.Context, which: Which, as_json: AsJson = False) -> None:
    """Take a message back from all who have not seen it.

    Carriers drop it. Who has read it keeps it, and you are told.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json
    from meshnode.cli.which import find_message

    async def action(api: NodeApi) -> tuple[str, bool, dict[str, Any]]:
        found = await find_message(api, which)
        is_cancelled = await api.cancel(found)
        return found, is_cancelled, await api.message(found)

    found, is_cancelled, story = with_node(ctx, action, needs_keys=True, leaves=True)
    if as_json:
        told = {name: story[name] for name in ("outcome", "outcome_names")}
        print_json(message=found, is_cancelled=is_cancelled, **told)
    elif is_cancelled:
        typer.echo(say("Cancelled: {id}", id=found))
        typer.echo(outcome_words(story))
    else:
        typer.echo(say("Too late: it has ended, or everybody has read it."), err=True)
    if not is_cancelled:
        from meshnode.cli.exits import EXIT_FINDINGS

        raise typer.Exit(EXIT_FINDINGS)


def resend(
    ctx: typer.Context,
    which: Which,
    to: Annotated[
        str, typer.Option(metavar="NAME", help="Only to this device; else to all that lack it.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Send a message again to those that lack it.

    Nobody is shown it twice.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json
    from meshnode.cli.which import find_message

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.resend(await find_message(api, which), to)

    sent = with_node(ctx, action, needs_keys=True, leaves=True)
    if as_json:
        print_json(**sent)
        return
    typer.echo(say("Sent again; recipients: {count}.", count=sent["recipients"]))
    if sent.get("brings_file"):
        typer.echo(say("Its file goes along; what is there of it already is not sent twice."))
    if sent.get("leaves_file_out"):
        typer.echo(say("Its text alone: send the file anew with 'meshnode files send'."))
    typer.echo(say("See what becomes of it: meshnode message {key}", key=sent["key"]))


def matrix(
    ctx: typer.Context,
    to: Annotated[
        str, typer.Argument(metavar="TO", help="codt, squad:NAME, or a device's name or id.")
    ],
    last: Annotated[int, typer.Option(min=1, max=20, help="So many messages, the newest.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Show who has your last messages and read them.

    And who is out of reach since when.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.matrix(to, last)

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
    else:
        _show_matrix(found)


# --- screens -----------------------------------------------------------------------------------


def outcome_words(message: Mapping[str, Any]) -> str:
    """Return how a message stands, with the names that it is about, and what they are named for."""
    words = say(OUTCOMES[message["outcome"]])
    names = ", ".join(message["outcome_names"])
    if not names:
        return words
    if message["outcome"] in _NAMES_HAVE_IT:
        return say("{words}; those who have it: {names}", words=words, names=names)
    return f"{words} ({names})"


def show_recipients(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one message at all of its recipients."""
    from meshnode.cli.show import local_time, print_table, state_words

    if not rows:
        return
    typer.echo()
    columns = (say("recipient"), say("state"), say("since"), say("last heard"), say("note"))
    lines = [
        (
            each["name"],
            state_words(each["state"]),
            local_time(each["at_ms"]),
            _heard(each),
            say(WHYS[each["why"]]) if each["why"] else "",
        )
        for each in rows
    ]
    print_table(columns, lines)


def _heard(row: Mapping[str, Any]) -> str:
    from meshnode.cli.show import local_time

    if not row["last_heard_ms"]:
        return say("never")
    if row["is_out_of_reach"]:
        return say("out of reach since {time}", time=local_time(row["out_of_reach_since_ms"]))
    return local_time(row["last_heard_ms"])


def _show_matrix(found: Mapping[str, Any]) -> None:
    from meshnode.cli.show import print_table, state_words

    messages = found["messages"]
    if not messages:
        typer.echo(say("No messages."))
        return
    by_name: dict[str, dict[int, str]] = {}
    heard: dict[str, str] = {}
    for message in messages:
        for row in message["matrix"]:
            by_name.setdefault(row["name"], {})[message["key"]] = state_words(row["state"])
            heard[row["name"]] = _heard(row)
    keys = [message["key"] for message in messages]
    lines = [
        (name, heard[name], *(states.get(key, "") for key in keys))
        for name, states in sorted(by_name.items())
    ]
    print_table((say("recipient"), say("last heard"), *(f"#{key}" for key in keys)), lines)
    typer.echo()
    for message in messages:
        typer.echo(f"#{message['key']}  {outcome_words(message)}")
