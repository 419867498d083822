"""The calls over a node that one command opens for itself, where none runs in the home."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from meshnode.api import Api
from meshnode.errors import ControlError
from meshnode.lines import Json

__all__ = ["LocalApi"]


class LocalApi(Api):
    """The calls, over a node that this command opened itself; it has no links."""

    is_running: bool = False

    async def lock(self) -> bool:
        """Nothing stays open behind a command. Raises: ControlError."""
        raise _not_running()

    async def unlock(self, secret: str) -> bool:
        """Nothing would stay open behind a command. Raises: ControlError."""
        raise _not_running()

    async def follow(self) -> AsyncGenerator[Json, None]:
        """Nothing happens in a node that does not run. Raises: ControlError."""
        if not self.is_running:
            raise _not_running()
        async for event in super().follow():
            yield event


def _not_running() -> ControlError:
    return ControlError("not_running", "no node runs in this home: start it by 'meshnode run'")
