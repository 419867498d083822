"""Routes of positions in open formats: files for maps, and OGC API Features."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from meshnode.lines import Json
from meshnode.web import features
from meshnode.web.answers import RefusedError, bare
from meshnode.web.exports import FORMATS, feature
from meshnode.web.features import COLLECTION, Box, Span
from meshnode.web.gate import Asked
from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import Caller, Limit, Route

__all__ = ["ROUTES"]

_BASE: Final = "/api/ogc"
_Ending = Annotated[Literal["geojson", "gpx", "kml", "csv"], Path()]
_Offset = Annotated[int, Query(ge=0, lt=2**31)]
_Bbox = Annotated[str, Query(max_length=200)]
_Datetime = Annotated[str, Query(alias="datetime", max_length=100)]
_OPEN: Final = ("", "..")
_MOMENTS: Final = "datetime=2026-05-01T00:00:00Z, or two with a stroke between, one of them '..'"
_Collection = Annotated[str, Path(max_length=40)]
_Item = Annotated[str, Path(max_length=200)]


async def _export(asked: Caller, ending: _Ending) -> Response:
    form = FORMATS[ending]
    positions = await asked.api.positions()
    raw = await asked.parts.runtime.run_blocking(form.write, positions)
    headers = {"content-disposition": f'attachment; filename="positions.{ending}"'}
    return Response(raw, media_type=form.media, headers=headers)


async def _landing(request: Request, asked: Caller) -> Response:
    return bare(features.landing(_base(request)))


async def _conformance(asked: Caller) -> Response:
    return bare(features.conformance())


async def _collections(request: Request, asked: Caller) -> Response:
    return bare(features.collections(_base(request)))


async def _collection(request: Request, asked: Caller, collection: _Collection) -> Response:
    _check(collection)
    return bare(features.collection(_base(request)))


async def _items(
    request: Request,
    asked: Caller,
    collection: _Collection,
    limit: Limit = 1_000,
    offset: _Offset = 0,
    bbox: _Bbox = "",
    moment: _Datetime = "",
) -> Response:
    _check(collection)
    narrowed = [(name, text) for name, text in (("bbox", bbox), ("datetime", moment)) if text]
    address = f"{_base(request)}/collections/{COLLECTION}/items"
    page = features.items(
        f"{address}?{urlencode(narrowed)}" if narrowed else address,
        await asked.api.positions(),
        limit=limit,
        offset=offset,
        box=_box(bbox) if bbox else None,
        span=_span(moment) if moment else None,
        stamp=_stamp(asked),
    )
    return bare(page, "application/geo+json")


async def _item(asked: Caller, collection: _Collection, item: _Item) -> Response:
    _check(collection)
    found: list[Json] = [feature(each) for each in await asked.api.positions()]
    wanted = [each for each in found if each["id"] == item]
    if not wanted:
        raise RefusedError("unknown_route")
    return bare(wanted[0], "application/geo+json")


def _check(collection: str) -> None:
    if collection != COLLECTION:
        raise RefusedError("unknown_route")


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers['host']}{_BASE}"


def _stamp(asked: Asked) -> str:
    moment = datetime.fromtimestamp(asked.parts.runtime.now_ms() // 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _box(text: str) -> Box:
    """Read `west,south,east,north`, or the six numbers of a box with heights."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 6:
        numbers = [*numbers[:2], *numbers[3:5]]
    if len(numbers) != 4 or not all(abs(each) <= 360 for each in numbers):
        raise RefusedError("body", "bbox=WEST,SOUTH,EAST,NORTH in degrees")
    west, south, east, north = numbers
    return west, south, east, north


def _span(text: str) -> Span:
    """Read a moment, or two with a stroke between, of which one may be open.

    Source: OGC 17-069r4, 7.15.4.
    """
    first, stroke, last = text.partition("/")
    if not stroke:
        return _moment_ms(first), _moment_ms(first)
    from_ms = -inf if first in _OPEN else _moment_ms(first)
    to_ms = inf if last in _OPEN else _moment_ms(last)
    if from_ms > to_ms or (first in _OPEN and last in _OPEN):
        raise RefusedError("body", _MOMENTS)
    return from_ms, to_ms


def _moment_ms(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
        if "T" not in text.upper() or found.tzinfo is None:
            raise ValueError(text)
        return 1000 * found.timestamp()
    except (ValueError, OverflowError) as error:
        raise RefusedError("body", _MOMENTS) from error


_READER = WebRole.READER
ROUTES: Final = (
    Route(
        "GET",
        "/api/export/positions.{ending}",
        _READER,
        "The newest positions as a file: geojson, gpx, kml or csv.",
        _export,
        media="application/octet-stream",
    ),
    Route(
        "GET",
        _BASE,
        _READER,
        "OGC API Features: where everything is.",
        _landing,
        is_bare=True,
    ),
    Route(
        "GET",
        f"{_BASE}/conformance",
        _READER,
        "OGC API Features: what of the standard is kept.",
        _conformance,
        is_bare=True,
    ),
    Route(
        "GET",
        f"{_BASE}/collections",
        _READER,
        "OGC API Features: the collections.",
        _collections,
        is_bare=True,
    ),
    Route(
        "GET",
        f"{_BASE}/collections/{{collection}}",
        _READER,
        "OGC API Features: the collection `positions`.",
        _collection,
        is_bare=True,
    ),
    Route(
        "GET",
        f"{_BASE}/collections/{{collection}}/items",
        _READER,
        "OGC API Features: the newest positions, page by page.",
        _items,
        is_bare=True,
        media="application/geo+json",
    ),
    Route(
        "GET",
        f"{_BASE}/collections/{{collection}}/items/{{item}}",
        _READER,
        "OGC API Features: one position.",
        _item,
        is_bare=True,
        media="application/geo+json",
    ),
)
