"""The environment for processes that tests start, where a measurement would spoil the figure."""

from __future__ import annotations

import os

__all__ = ["unmeasured"]


def unmeasured(**changes: str) -> dict[str, str]:
    """Return this environment with `changes`, and without what makes coverage trace a process.

    For a test of speed or memory, which tracing would make three times worse, and for a process
    that runs files which are not those of the tree.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return kept | changes
