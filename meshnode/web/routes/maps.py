"""Routes of maps: which there are, and the files themselves, of which a browser asks for pieces."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import quote

from fastapi import Path
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from meshnode.lines import Json
from meshnode.map_files import MAPS, MapRegion, map_regions
from meshnode.web.answers import RefusedError, told
from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import Caller, Route

__all__ = ["ROUTES"]

_Tiles = Annotated[str, Path(max_length=100, pattern=r"^[^./\\\x00][^/\\\x00]*$")]
_ENDING: Final = ".pmtiles"


async def _map(request: Request, asked: Caller) -> Response:
    parts = asked.parts
    regions, broken = await parts.runtime.run_blocking(map_regions, parts.home)
    statics = request.app.state.statics
    has_base = await parts.runtime.run_blocking((statics / "map" / "base.json").is_file)
    return told(has_base=has_base, regions=[_told(each) for each in regions], broken=broken)


def _told(region: MapRegion) -> Json:
    return {
        "name": region.name.removesuffix(_ENDING),
        "url": f"/map/tiles/{quote(region.name)}",
        "west": region.west,
        "south": region.south,
        "east": region.east,
        "north": region.north,
        "zoom_max": region.zoom_max,
    }


async def _tiles(asked: Caller, name: _Tiles) -> Response:
    path = asked.parts.home / MAPS / f"{name}{_ENDING}"
    if not await asked.parts.runtime.run_blocking(path.is_file):
        raise RefusedError("unknown_route")
    headers = {"cache-control": "private, max-age=3600"}
    return FileResponse(path, media_type="application/vnd.pmtiles", headers=headers)


ROUTES: Final = (
    Route(
        "GET",
        "/api/map",
        WebRole.READER,
        "Which maps there are, and what each shows.",
        _map,
        {"has_base": "bool", "regions": "list", "broken": "texts"},
        while_locked=True,
    ),
    Route(
        "GET",
        "/map/tiles/{name}.pmtiles",
        WebRole.READER,
        "A map file of the home, whole or in pieces by `Range`.",
        _tiles,
        while_locked=True,
        media="application/vnd.pmtiles",
    ),
)
