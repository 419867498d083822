"""How commands reach their node: the running one if it answers, else the store itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["with_node"]

T = TypeVar("T")


def with_node(
    ctx: typer.Context,
    action: Callable[[NodeApi], Awaitable[T]],
    *,
    needs_keys: bool = False,
    leaves: bool = False,
    secret: Callable[[], str | None] | None = None,
) -> T:
    """Return what `action` gives over the node of `--home`; `needs_keys` asks for the secret.

    It is asked only where no node runs and the device has one; `secret`, where it is there, says
    how. `leaves` says that others are to get what was made: where no node runs nothing leaves, and
    whoever typed this is told so, on stderr. Raises: MeshError.
    """
    from functools import cache, partial

    import trio

    from meshnode.cli.language import say
    from meshnode.cli.texts import home_of, offered_secret
    from meshnode.client import open_api
    from meshnode.runtime import system_runtime

    home, runtime = home_of(ctx), system_runtime()
    # Remembered, because a home that is busy is tried again.
    offered = secret or cache(partial(offered_secret, None, is_asked=needs_keys))

    async def reach() -> tuple[T, bool]:
        async with open_api(home, runtime, secret=offered) as api:
            return await action(api), api.is_running

    found, is_running = trio.run(reach)
    if leaves and not is_running:
        words = say("No node runs here: nothing leaves before you start it with 'meshnode run'.")
        typer.echo(words, err=True)
    return found
