"""`meshnode run`: a node until it is told to stop, with one line for each important thing."""

from __future__ import annotations

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
) -> None:
    """Run the node until Ctrl-C or SIGTERM.

    It finds others, exchanges, keeps and delivers. Each important thing is one line on stderr.
    """
    from pathlib import Path

    from meshnode.cli.serving import run_until_told
    from meshnode.cli.texts import home_of

    # What was typed is relative to where it was typed.
    target = trace if trace in (None, "-") else str(Path(trace).absolute())
    run_until_told(home_of(ctx), target)
