"""What a relay says where other devices show what they read: why there is nothing, and the cure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from meshnode.cli.language import say

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["RELAY", "is_relay", "say_nothing"]

RELAY = "relay"
"""The role, as a node tells it."""


async def is_relay(api: NodeApi) -> bool:
    """Tell whether this device was enrolled to carry alone. Raises: StoreError."""
    return str((await api.status())["role"]) == RELAY


def say_nothing(words: str, *, reads_nothing: bool) -> None:
    """Say that there is nothing to show, and on a relay why, and what to do."""
    typer.echo(words)
    if reads_nothing:
        typer.echo(
            say(
                "This device is a relay, which carries what others write and reads none of it:"
                " to read here, invite it anew with 'meshnode authority invite --role agent'."
            )
        )
