"""Positions in the open formats of maps: GeoJSON, GPX, KML and CSV, by the standard library.

Source: RFC 7946, GPX 1.1, OGC KML 2.2, RFC 4180. A name is text of others: it is escaped for XML,
cleaned of what XML cannot hold, and in CSV no cell of text begins a formula.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final
from xml.etree import ElementTree as xml

from meshnode.lines import Json

__all__ = ["FORMATS", "Format", "as_csv", "as_geojson", "as_gpx", "as_kml", "feature"]

_GPX: Final = "http://www.topografix.com/GPX/1/1"
_KML: Final = "http://www.opengis.net/kml/2.2"
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML 1.0 document holds, however they are written."""
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_FORMULA: Final = ("=", "+", "-", "@", "|", "%")
"""What a spreadsheet takes for the start of a formula."""
_COLUMNS: Final = (
    "name",
    "node",
    "to",
    "taken",
    "latitude",
    "longitude",
    "accuracy_m",
    "is_author_revoked",
)


def feature(position: Json) -> Json:
    """Return one position as a feature of GeoJSON; its id is that of device and readers."""
    return {
        "type": "Feature",
        "id": f"{position['node']}-{hashlib.sha256(position['to'].encode()).hexdigest()[:8]}",
        "geometry": {
            "type": "Point",
            "coordinates": [position["longitude"], position["latitude"]],
        },
        "properties": {
            "name": position["name"],
            "node": position["node"],
            "to": position["to"],
            "taken": _time(position),
            "taken_ms": position["taken_ms"],
            "accuracy_m": position["accuracy_m"],
            "is_author_revoked": position["is_author_revoked"],
        },
    }


def as_geojson(positions: Sequence[Json]) -> bytes:
    """Return positions as a collection of points (RFC 7946)."""
    found = {"type": "FeatureCollection", "features": [feature(each) for each in positions]}
    return json.dumps(found, ensure_ascii=True, allow_nan=False).encode()


def as_gpx(positions: Sequence[Json]) -> bytes:
    """Return positions as waypoints of GPX 1.1."""
    root = xml.Element("gpx", {"xmlns": _GPX, "version": "1.1", "creator": "meshnode"})
    for each in positions:
        place = {"lat": _degrees(each["latitude"]), "lon": _degrees(each["longitude"])}
        point = xml.SubElement(root, "wpt", place)
        _texts(point, {"time": _time(each), "name": each["name"], "desc": each["to"]})
    return _written(root)


def as_kml(positions: Sequence[Json]) -> bytes:
    """Return positions as placemarks of KML 2.2."""
    root = xml.Element("kml", {"xmlns": _KML})
    document = xml.SubElement(root, "Document")
    _texts(document, {"name": "meshnode"})
    for each in positions:
        mark = xml.SubElement(document, "Placemark")
        _texts(mark, {"name": each["name"], "description": each["to"]})
        _texts(xml.SubElement(mark, "TimeStamp"), {"when": _time(each)})
        where = f"{_degrees(each['longitude'])},{_degrees(each['latitude'])}"
        _texts(xml.SubElement(mark, "Point"), {"coordinates": where})
    return _written(root)


def as_csv(positions: Iterable[Json]) -> bytes:
    """Return positions as a table with one heading line, UTF-8, lines ended by CRLF."""
    made = io.StringIO()
    writer = csv.writer(made)
    writer.writerow(_COLUMNS)
    for each in positions:
        row = {**each, "taken": _time(each)}
        writer.writerow([_cell(row[name]) for name in _COLUMNS])
    return made.getvalue().encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write positions."""

    media: str
    """Type of the answer."""
    write: Callable[[Sequence[Json]], bytes]
    """Makes it."""


FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        "geojson": Format("application/geo+json", as_geojson),
        "gpx": Format("application/gpx+xml", as_gpx),
        "kml": Format("application/vnd.google-earth.kml+xml", as_kml),
        "csv": Format("text/csv", as_csv),
    }
)
"""By the ending of a file's name."""


def _time(position: Json) -> str:
    moment = datetime.fromtimestamp(position["taken_ms"] // 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _degrees(value: float) -> str:
    """Return degrees without an exponent, to the precision that a position has."""
    return f"{value:.7f}"


def _texts(parent: xml.Element, texts: Mapping[str, str]) -> None:
    for tag, text in texts.items():
        xml.SubElement(parent, tag).text = _NOT_XML.sub("\ufffd", text)


def _written(root: xml.Element) -> bytes:
    written: bytes = xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _cell(value: Any) -> Any:
    """Return a value for a table; a text that a spreadsheet would run stands behind a quote."""
    if not isinstance(value, str):
        return value
    # A line break or a NUL inside a cell is more than many readers take.
    text = _CONTROL.sub("\ufffd", value)
    return f"'{text}" if text.startswith(_FORMULA) else text
