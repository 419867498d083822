"""`meshnode gateway`: run a gateway with its archive, look into it, and hand its key on.

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

__all__ = ["app", "register"]

app = typer.Typer(
    name="gateway",
    help="Run the gateway of an operations centre, and look into its archive.",
    no_args_is_help=True,
)


def register(parent: typer.Typer) -> None:
    """Put these commands under `meshnode gateway`."""
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
    if found["error"]:
        facts[say("fault")] = found["error"]
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
