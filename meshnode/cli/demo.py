"""`meshnode demo`: messages leave a white zone, on real processes of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put this command into the program."""
    parent.command()(demo)


def demo(
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one JSON object on stdout.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the nodes running, and say how to look around.")
    ] = False,
) -> None:
    """Show how messages leave a white zone.

    A squad, a boat and the operations centre run as real nodes on this machine.
    """
    from meshnode.demo import run_demo

    raise typer.Exit(run_demo(as_json, keep))
