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
) -> None:
    """Run the node until Ctrl-C or SIGTERM.

    It finds others, exchanges, keeps and delivers. Each important thing is one line on stderr.
    """
    from meshnode.cli.running import run_until_told
    from meshnode.cli.texts import home_of

    run_until_told(home_of(ctx), _trace_path(trace))


def _trace_path(text: str | None) -> Path | None:
    return Path(text) if text is not None else None
