"""`meshnode run`: a node until it is told to stop, with one line for each important thing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put this command into the program."""
    parent.command()(run)


def run(
    ctx: typer.Context,
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
    web: Annotated[
        bool | None,
        typer.Option("--web/--no-web", help="Serve the screens, whatever the settings say."),
    ] = None,
) -> None:
    """Run the node until Ctrl-C or SIGTERM.

    It finds others, exchanges, keeps and delivers. Each important thing is one line on stderr.

    A device with a secret starts locked unless it is given: by a file, MESHNODE_SECRET, or the
    keyboard.
    """
    from functools import partial

    from meshnode.cli.serving import run_until_told
    from meshnode.cli.texts import home_of, offered_secret
    from meshnode.running import Access

    # What was typed is relative to where it was typed.
    target = trace if trace in (None, "-") else str(Path(trace).absolute())
    access = Access(partial(offered_secret, secret_file, is_asked=True), is_held=locked)
    run_until_told(home_of(ctx), target, access, has_web=web)
