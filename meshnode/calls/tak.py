"""The call about the bridge to a TAK server, in plain values."""

from __future__ import annotations

from collections.abc import Callable

from meshnode.calls.base import Calls, Json
from meshnode.errors import SendError

__all__ = ["TakCalls"]


class TakCalls(Calls):
    """What people may ask of the bridge."""

    tak_view: Callable[[], Json] | None = None
    """Set by what runs the bridge."""

    def foreign_marks(self) -> Json:
        """Return the units of partners for a map, also where no bridge runs; works while locked."""
        view = None if self.tak_view is None else self.tak_view()
        return {
            "has_bridge": view is not None,
            "is_connected": view is not None and view["is_connected"],
            "marks": [] if view is None else view["marks"],
        }

    async def tak(self) -> Json:
        """Return how the connection to the TAK server stands, and the units of partners.

        Works while locked. Raises: SendError (`no_tak`) where no bridge runs.
        """
        if self.tak_view is None:
            raise SendError(
                "no_tak", "no TAK server is set: name one as tak.server in meshnode.toml, then run"
            )
        return self.tak_view()
