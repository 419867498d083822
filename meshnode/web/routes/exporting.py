"""Routes of positions in open formats: files for maps, and OGC API Features."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from meshnode.lines import Json
from meshnode.web import features
from meshnode.web.answers import RefusedError, bare
from meshnode.web.exports import FORMATS, feature
from meshnode.web.features import COLLECTION, Box
from meshnode.web.gate import Asked
from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import Caller, Limit, Route

__all__ = ["ROUTES"]

_BASE: Final = "/api/ogc"
_Ending = Annotated[Literal["geojson", "gpx", "kml", "csv"], Path()]
_Offset = Annotated[int, Query(ge=0, lt=2**31)]
_Bbox = Annotated[str, Query(max_length=200)]
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
) -> Response:
    _check(collection)
    page = features.items(
        _base(request),
        await asked.api.positions(),
        limit=limit,
        offset=offset,
        box=_box(bbox) if bbox else None,
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
