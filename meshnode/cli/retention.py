"""`meshnode retention`: how long the archive keeps what, and the log of what was destroyed."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["app", "register"]

_NEVER_MS: Final = 2**47
"""An export without an end names a moment beyond this one."""

app = typer.Typer(
    name="retention",
    help="Show and enforce how long the archive keeps what.",
    no_args_is_help=True,
)


def register(parent: typer.Typer) -> None:
    """Put these commands under `meshnode retention`."""
    parent.add_typer(app, name="retention")


@app.command()
def show(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show how long each class of data is kept, within which bounds, and why."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json, print_table

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.retention()

    found = with_node(ctx, action)
    if as_json:
        print_json(**found)
        return
    rows = [
        (
            say(each["class"]),
            say("{count} days", count=each["days"]),
            f"{each['days_min']}-{each['days_max']}",
            say(each["reason"]),
        )
        for each in found["terms"]
    ]
    print_table((say("class"), say("kept"), say("bounds"), say("reason")), rows)


@app.command()
def log(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Entries at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show what was destroyed, exported and answered; the newest entries, checked as a whole."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import local_time, print_json, print_table

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.retention_log(limit)

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
        return
    if not found["entries"]:
        typer.echo(say("Nothing was destroyed yet."))
        return
    rows = [
        (
            str(each["number"]),
            local_time(each["at_ms"]),
            each["gateway"]["name"],
            say(each["action"]),
            _details(each),
        )
        for each in found["entries"]
    ]
    print_table((say("no."), say("when"), say("gateway"), say("what"), say("details")), rows)


def _details(entry: dict[str, Any]) -> str:
    """Return what an entry says, with days as dates."""
    from meshnode.cli.show import local_time

    late, words = entry.get("late_days", 0), []
    for name, value in entry["details"].items():
        if name in ("first_day", "last_day"):
            shown = (date(1970, 1, 1) + timedelta(days=int(value))).isoformat()
        elif name in ("from_ms", "to_ms"):
            # The whole of time is no answer to "from when".
            shown = local_time(int(value)) if 0 < int(value) < _NEVER_MS else ""
        else:
            shown = say(value) if name == "class" else value
        if shown:
            words.append(f"{_word(name)} {shown}")
    if late:
        words.append(say("up to {count} days late", count=late))
    return ", ".join(words)


def _word(name: str) -> str:
    """Return what people call a detail; a class of data has its own word."""
    words = {
        "keys": say("keys"),
        "first_day": say("first day"),
        "last_day": say("last day"),
        "bundles": say("bundles"),
        "contents": say("contents"),
        "reason": say("reason"),
        "author": say("author"),
        "device": say("device"),
        "from_ms": say("from"),
        "to_ms": say("to"),
        "sha256": "SHA-256",
    }
    return words.get(name) or say(name)


@app.command()
def verify(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Check that no entry of the purge log was changed, left out or cut off."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.retention_verify()

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
        return
    typer.echo(
        say(
            "The purge log is whole: {entries} entries, each signed by its gateway.",
            entries=found["entries"],
        )
    )
    if found["unnamed"]:
        typer.echo(
            say(
                "{count} of them are by gateways that no roster names any more: those that follow "
                "stand for them.",
                count=found["unnamed"],
            )
        )


@app.command("apply")
def apply_now(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Destroy now what is over; a running gateway does so every hour by itself."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.retention_apply()

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
        return
    if not found["rows"] and not found["keys"]:
        typer.echo(say("Nothing is over."))
        return
    typer.echo(
        say(
            "{keys} keys destroyed and {rows} rows deleted; no. {number} of the purge log.",
            keys=found["keys"],
            rows=found["rows"],
            number=found["last"],
        )
    )
