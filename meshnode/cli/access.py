"""How commands reach their node: the running one if it answers, else the store itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["with_node"]

T = TypeVar("T")


def with_node(ctx: typer.Context, action: Callable[[NodeApi], Awaitable[T]]) -> T:
    """Return what `action` gives over the node of `--home`. Raises: MeshError."""
    import trio

    from meshnode.cli.texts import asking, home_of
    from meshnode.client import open_api
    from meshnode.runtime import system_runtime

    home, runtime = home_of(ctx), system_runtime()

    async def reach() -> T:
        async with open_api(home, runtime, ask=asking) as api:
            return await action(api)

    return trio.run(reach)
