"""The positions as OGC API Features, which QGIS and GDAL read: what is at each of its addresses.

Source: OGC 17-069r4 (Features, part 1: Core), conformance classes core, geojson and oas30.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from meshnode.lines import Json
from meshnode.web.exports import feature

__all__ = [
    "COLLECTION",
    "Box",
    "Span",
    "collection",
    "collections",
    "conformance",
    "items",
    "landing",
]

COLLECTION: Final = "positions"
"""The one collection there is."""
_CORE: Final = "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf"
_CRS: Final = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_JSON: Final = "application/json"
_GEOJSON: Final = "application/geo+json"

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees; west is greater than east across the 180th meridian."""
Span = tuple[float, float]
"""From and until when something was taken, Unix milliseconds, both included."""


def landing(base: str) -> Json:
    """Return the first page; `base` is its own address without a slash at the end."""
    description = base.removesuffix("/ogc") + "/openapi.json"
    return {
        "title": "meshnode",
        "description": "Positions that this node holds.",
        "links": [
            _link(base, "self", _JSON),
            _link(description, "service-desc", "application/vnd.oai.openapi+json;version=3.0"),
            _link(f"{base}/conformance", "conformance", _JSON),
            _link(f"{base}/collections", "data", _JSON),
        ],
    }


def conformance() -> Json:
    """Return what of the standard is kept."""
    return {"conformsTo": [f"{_CORE}/{each}" for each in ("core", "geojson", "oas30")]}


def collections(base: str) -> Json:
    """Return the list of collections."""
    return {
        "links": [_link(f"{base}/collections", "self", _JSON)],
        "collections": [collection(base)],
    }


def collection(base: str) -> Json:
    """Return what the one collection is."""
    place = f"{base}/collections/{COLLECTION}"
    return {
        "id": COLLECTION,
        "title": "Positions",
        "itemType": "feature",
        "crs": [_CRS],
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]], "crs": _CRS}},
        "links": [_link(place, "self", _JSON), _link(f"{place}/items", "items", _GEOJSON)],
    }


def items(
    address: str,
    positions: Sequence[Json],
    *,
    limit: int,
    offset: int,
    stamp: str,
    box: Box | None = None,
    span: Span | None = None,
) -> Json:
    """Return one page of features, and the address of the next one where there is more.

    `address` is that of the items, with what narrows them; `stamp` is the time of the answer, ISO
    8601.
    """
    found = [
        each
        for each in positions
        if (box is None or _is_within(each, box))
        and (span is None or span[0] <= each["taken_ms"] <= span[1])
    ]
    page = found[offset : offset + limit]
    joined = f"{address}{'&' if '?' in address else '?'}limit={limit}"
    links = [_link(f"{joined}&offset={offset}", "self", _GEOJSON)]
    if offset + limit < len(found):
        links.append(_link(f"{joined}&offset={offset + limit}", "next", _GEOJSON))
    return {
        "type": "FeatureCollection",
        "features": [feature(each) for each in page],
        "links": links,
        "timeStamp": stamp,
        "numberMatched": len(found),
        "numberReturned": len(page),
    }


def _is_within(position: Json, box: Box) -> bool:
    west, south, east, north = box
    latitude, longitude = float(position["latitude"]), float(position["longitude"])
    is_in_width = (
        west <= longitude <= east if west <= east else longitude >= west or longitude <= east
    )
    return is_in_width and south <= latitude <= north


def _link(address: str, relation: str, media: str) -> Json:
    return {"href": address, "rel": relation, "type": media}
