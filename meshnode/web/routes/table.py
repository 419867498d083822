"""The whole table of routes."""

from __future__ import annotations

from typing import Final

from meshnode.web.routes import (
    account,
    archive,
    cards,
    coverage,
    exporting,
    files,
    maps,
    messages,
    orders,
    sheets,
    squad,
    state,
    watching,
)
from meshnode.web.routes.spec import Route

__all__ = ["ROUTES"]

ROUTES: Final[tuple[Route, ...]] = (
    *account.ROUTES,
    *state.ROUTES,
    *messages.ROUTES,
    *squad.ROUTES,
    *files.ROUTES,
    *sheets.ROUTES,
    *archive.ROUTES,
    *orders.ROUTES,
    *cards.ROUTES,
    *maps.ROUTES,
    *coverage.ROUTES,
    *exporting.ROUTES,
    *watching.ROUTES,
)
"""In the order of the reference page; of two paths that fit, the first one answers."""
