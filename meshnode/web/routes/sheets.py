"""Routes of reflex sheets: a list, a search, the text, and a page that runs nothing."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path, Query
from starlette.responses import HTMLResponse, Response

from meshnode.web.answers import told
from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import Caller, Route

__all__ = ["ROUTES"]

_Sheet = Annotated[str, Path(max_length=200)]
_Words = Annotated[str, Query(max_length=200)]
_PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
"""The page itself names the one style that it has; this is for the frame that shows it."""


async def _sheets(asked: Caller) -> Response:
    return told(**await asked.api.sheets())


async def _search(asked: Caller, q: _Words) -> Response:
    return told(sheets=await asked.api.sheets_search(q))


async def _sheet(asked: Caller, name: _Sheet) -> Response:
    return told(**await asked.api.sheet(name))


async def _page(asked: Caller, name: _Sheet) -> Response:
    page = await asked.api.sheet_page(name, asked.language)
    headers = {"content-security-policy": _PAGE_POLICY, "x-frame-options": "SAMEORIGIN"}
    return HTMLResponse(page.encode("utf-8", "replace"), headers=headers)


_AGENT = WebRole.AGENT
_ERRORS = ("unknown_sheet", "retracted", "not_whole", "unreadable")
ROUTES: Final = (
    Route(
        "GET",
        "/api/sheets",
        _AGENT,
        "The sheets that may be opened here, by name.",
        _sheets,
        {"version": "whole", "sheets": "list"},
    ),
    Route(
        "GET",
        "/api/sheets/search",
        _AGENT,
        "The sheets that hold every word of `q`, the nearest first.",
        _search,
        {"sheets": "list"},
        is_personal=True,
    ),
    Route(
        "GET",
        "/api/sheets/{name}",
        _AGENT,
        "A sheet with its text.",
        _sheet,
        {"name": "text", "version": "whole", "title": "text", "text": "text"},
        _ERRORS,
        is_personal=True,
    ),
    Route(
        "GET",
        "/api/sheets/{name}/page",
        _AGENT,
        "A sheet as one page, for a frame that runs nothing.",
        _page,
        errors=_ERRORS,
        is_personal=True,
        media="text/html",
    ),
)
