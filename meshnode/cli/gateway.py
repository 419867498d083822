"""`meshnode gateway`: run a gateway with its archive, look into it, and hand its key on.

Arguments and screens only. Imports of the node stand inside the commands, so that help appears at
once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshnode.cli.language import say, translate_error
from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["app", "register"]

app = typer.Typer(
    name="gateway",
    help="Run a gateway, and look into its archive.",
    no_args_is_help=True,
)


def register(parent: typer.Typer) -> None:
    """Put these commands under `meshnode gateway`."""
    from meshnode.cli import gateway_report

    gateway_report.register(app)
    parent.add_typer(app, name="gateway")


@app.command()
def run(
    ctx: typer.Context,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Archive in this PostgreSQL, postgresql+psycopg://USER@HOST/NAME, instead of the "
            "one that the settings name.",
        ),
    ] = None,
    trace: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Also write JSON lines of what happens here, or - for stderr."
        ),
    ] = None,
    secret_file: Annotated[
        Path | None, typer.Option(help="Read the agent's secret from this file.")
    ] = None,
    locked: Annotated[
        bool, typer.Option("--locked", help="Start locked and ask for no secret.")
    ] = False,
) -> None:
    """Run the node with an archive until Ctrl-C or SIGTERM.

    It is the node of 'meshnode run' that also archives what it takes in. The first time it makes
    the key of a new archive; a further gateway of the same archive takes that key from the first
    before.
    """
    from dataclasses import replace
    from functools import cache, partial

    from meshnode.cli.serving import run_until_told
    from meshnode.cli.texts import home_of, offered_secret
    from meshnode.config import load_settings
    from meshnode.home import Home
    from meshnode.running import Access

    home = home_of(ctx)
    settings = load_settings(home)
    if database is not None:
        settings = replace(settings, gateway=replace(settings.gateway, database=database))
    # Remembered, because it is asked for once more where the archive is begun.
    secret = cache(partial(offered_secret, secret_file, is_asked=True))
    if not (locked or Home(home).archive_key.exists()):
        _found(home, settings, secret)
    target = trace if trace in (None, "-") else str(Path(trace).absolute())
    run_until_told(home, target, Access(secret, is_held=locked), settings)


def _found(home: Path, settings: Any, secret: Any) -> None:
    """Begin the archive of a home that has none, before its node runs."""
    import trio

    from meshnode.client import open_api
    from meshnode.runtime import system_runtime

    async def reach() -> None:
        async with open_api(home, system_runtime(), settings, secret) as api:
            await api.archive_found()

    trio.run(reach)


@app.command()
def status(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show what waits for the archive, and what it holds."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import local_time, print_facts, print_json, print_table, size

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.archive_status()

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
        return
    if not found["is_archiving"]:
        typer.echo(say("There is no archive here yet: 'meshnode gateway run' begins one."))
        return
    facts = {
        say("archive in"): "PostgreSQL" if found["database"] == "postgresql" else "SQLite",
        say("waiting"): say(
            "{count} ({size} of {bound})",
            count=found["waiting"],
            size=size(found["waiting_bytes"]),
            bound=size(found["waiting_bytes_max"]),
        ),
        say("not taken"): str(found["shed"]),
    }
    if found["purged_ms"]:
        facts[say("terms kept")] = local_time(found["purged_ms"])
    if found["faults"]:
        facts[say("fault")] = "; ".join(translate_error(each) for each in found["faults"])
    print_facts(facts)
    rows = [
        (
            say(each["class"]),
            str(each["bundles"]),
            str(each["contents"]),
            local_time(each["oldest_ms"]),
        )
        for each in found["held"]
    ]
    if rows:
        print_table((say("class"), say("bundles"), say("contents"), say("oldest")), rows)


_Author = Annotated[str, typer.Option(help="Device that wrote it, by name or id.")]
_For = Annotated[str, typer.Option("--for", help="For whom it was: codt, squad:NAME, or a device.")]
_Class = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        help="positions, shifts, texts, sos, files, receipts or audit; may be given several times.",
    ),
]
_From = Annotated[
    str, typer.Option("--from", metavar="TIME", help="Written then or later, 2026-05-01T08:00.")
]
_To = Annotated[str, typer.Option("--to", metavar="TIME", help="Written before.")]
_FOUND_MAX: Final = 200
"""Answers that one search shows: who finds more asks for less time."""


@app.command()
def search(
    ctx: typer.Context,
    words: Annotated[
        str,
        typer.Argument(
            help="Words, or beginnings of words from three letters on, that must all be there. "
            'Accents and case do not matter; "quoted" words are whole.'
        ),
    ] = "",
    author: _Author = "",
    to: _For = "",
    data_class: _Class = None,
    since: _From = "",
    until: _To = "",
    as_json: AsJson = False,
) -> None:
    """Find what the centre could read, the newest first."""
    asked = {"author": author, "to": to, "classes": list(data_class or ()), "text": words}
    _search(ctx, asked | _period(since, until), as_json=as_json)


@app.command()
def carried(
    ctx: typer.Context,
    author: _Author = "",
    to: _For = "",
    data_class: _Class = None,
    since: _From = "",
    until: _To = "",
    as_json: AsJson = False,
) -> None:
    """Find what passed here, opened or not, the newest first."""
    asked = {"author": author, "to": to, "classes": list(data_class or ()), "bundles": True}
    _search(ctx, asked | _period(since, until), as_json=as_json)


def _period(since: str, until: str) -> dict[str, Any]:
    from meshnode.cli.moments import moment_ms

    return {
        "from_ms": moment_ms(since) if since else None,
        "to_ms": moment_ms(until) if until else None,
    }


def _search(ctx: typer.Context, asked: dict[str, Any], *, as_json: bool) -> None:
    from meshnode.cli.access import with_node
    from meshnode.cli.show import local_time, print_json, print_table

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.archive_search(limit=_FOUND_MAX, **asked)

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
        return
    if not found["found"]:
        typer.echo(say("The archive holds nothing like that."))
        return
    rows = [
        (
            local_time(each["created_ms"]),
            each["author"]["name"],
            each["to"],
            say(each["class"]),
            _content(each),
        )
        for each in found["found"]
    ]
    print_table((say("written"), say("from"), say("to"), say("class"), say("content")), rows)


def _content(each: dict[str, Any]) -> str:
    from meshnode.cli.show import size

    if "bytes" in each:
        return size(each["bytes"])
    if not each["is_readable"]:
        return say("cannot be opened")
    if "points" in each:
        return say("{count} places", count=len(each["points"]))
    place = each.get("place")
    where = f"{place['latitude']:.5f} {place['longitude']:.5f}" if place else ""
    return " ".join(part for part in (each.get("text", ""), where) if part)


@app.command()
def export(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, a ZIP.")],
    reason: Annotated[
        str, typer.Option(help="Who asks for it, and by which right; it stands in the purge log.")
    ],
    author: Annotated[
        str, typer.Option(help="Device whose messages and places are wanted; else all.")
    ] = "",
    since: Annotated[
        str, typer.Option("--from", metavar="TIME", help="Written then or later, 2026-05-01T08:00.")
    ] = "",
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="Written before.")] = "",
    as_json: AsJson = False,
) -> None:
    """Write what is held of a device and a period for a judge, signed and with all hashes.

    The file lies open. That it was written, and why, is noted in the audit log and the purge log.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.moments import moment_ms
    from meshnode.cli.show import print_json

    path = str(file.absolute())
    from_ms = moment_ms(since) if since else 0
    to_ms = moment_ms(until) if until else 0

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.archive_export(path, reason, author, from_ms, to_ms)

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
        return
    typer.echo(
        say(
            "{path}: {contents} contents and {bundles} bundles, no. {number} of the purge log.",
            path=file,
            contents=found["contents"],
            bundles=found["bundles"],
            number=found["log_number"],
        )
    )


@app.command()
def verify(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What 'export' or 'held' of a gateway wrote.")
    ],
    as_json: AsJson = False,
) -> None:
    """Check an export or an answer: signature, and the hash of every file in it."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    path = str(file.absolute())

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.archive_verify(path)

    found = with_node(ctx, action)
    if as_json:
        print_json(**found)
        return
    typer.echo(
        say(
            "The signature holds: {name} ({node}) wrote this.",
            name=found["gateway"]["name"],
            node=found["gateway"]["node"],
        )
    )
    if found["is_revoked"]:
        typer.echo(say("This device is revoked: others may have signed with its key since."))
    if found["kind"] == "answer":
        _print_held(found)
    else:
        typer.echo(say("Reason: {reason}", reason=found["reason"]))


@app.command()
def held(
    ctx: typer.Context,
    device: Annotated[str, typer.Argument(help="Device, by name or id.")],
    certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the answer here, signed by this gateway."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what the archive holds about a device, and until when; no text, no place."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    path = "" if certificate is None else str(certificate.absolute())

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.archive_held(device, path)

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
        return
    _print_held(found)
    typer.echo(
        say(
            "Counted is what it wrote. What others wrote to it alone: "
            "meshnode gateway carried --for {device}",
            device=device,
        ),
        err=True,
    )
    if certificate is not None:
        typer.echo(say("The signed answer is in {path}.", path=certificate), err=True)


def _print_held(found: dict[str, Any]) -> None:
    from meshnode.cli.show import local_time, print_table

    rows = [
        (
            say(each["class"]),
            str(each["bundles"]),
            str(each["contents"]),
            local_time(each["oldest_ms"]) or "-",
            local_time(each["next_purge_ms"]) or "-",
            say("{count} days", count=each["days"]),
        )
        for each in found["held"]
    ]
    columns = ("class", "bundles", "contents", "oldest", "next purge", "kept")
    print_table(tuple(say(each) for each in columns), rows)


# --- the key -----------------------------------------------------------------------------------

key = typer.Typer(
    name="key",
    help="Hand the key of an archive to another gateway that shares it.",
    no_args_is_help=True,
)
app.add_typer(key, name="key")


@key.command("export")
def key_export(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    to: Annotated[str, typer.Option(help="The gateway that may open it, by name or id.")],
    as_json: AsJson = False,
) -> None:
    """Write the key of this archive into a file that one other gateway can open."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    path = str(file.absolute())

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.archive_key_export(path, to)

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
        return
    typer.echo(say("{path}: the key of this archive, for {name}.", path=file, name=found["name"]))


@key.command("import")
def key_import(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What 'gateway key export' wrote elsewhere.")
    ],
    as_json: AsJson = False,
) -> None:
    """Take the key of another gateway's archive, to archive there, too."""
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    path = str(file.absolute())

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.archive_key_import(path)

    found = with_node(ctx, action, needs_keys=True)
    if as_json:
        print_json(**found)
        return
    typer.echo(say("This gateway has the key of {name}'s archive now.", name=found["name"]))
