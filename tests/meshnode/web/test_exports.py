"""Positions in open formats: right for honest names, harmless for those that mean no good."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest
import trio
from trio.testing import MockClock

from meshnode.web.exports import FORMATS, as_csv, as_geojson, as_gpx, as_kml
from meshnode.web.features import items
from tests.meshnode.web.screens import open_screens
from tests.meshnode.web.test_gate import kind

EVIL = "=cmd|'/c calc'!A0 <b>&\"\x00\x1b\ufffe]]>"


def position(name: str = "anna", node: str = "aaaa", **more: Any) -> dict[str, Any]:
    """Return a position as `Api.positions` gives it."""
    return {
        "name": name,
        "node": node,
        "to": "squad:Queyras",
        "is_author_revoked": False,
        "taken_ms": 1_780_000_000_000,
        "latitude": 44.8912345,
        "longitude": 6.0000001,
        "accuracy_m": 12.5,
        **more,
    }


def test_geojson_has_the_order_of_the_standard() -> None:
    found = json.loads(as_geojson([position()]))
    (point,) = found["features"]
    assert point["geometry"] == {"type": "Point", "coordinates": [6.0000001, 44.8912345]}
    assert point["properties"]["taken"] == "2026-05-28T20:26:40Z"
    again = json.loads(as_geojson([position(), position(to="codt")]))["features"]
    assert len({each["id"] for each in again}) == 2


def test_xml_is_well_formed_whatever_a_name_holds() -> None:
    for write in (as_gpx, as_kml):
        root = xml.fromstring(write([position(EVIL), position(latitude=-0.0000001)]))
        names = [each.text for each in root.iter() if each.tag.endswith("}name")]
        assert "=cmd|'/c calc'!A0 <b>&\"\ufffd\ufffd\ufffd]]>" in names
    (point, second) = xml.fromstring(as_gpx([position(), position(latitude=-0.0000001)]))
    assert point.attrib == {"lat": "44.8912345", "lon": "6.0000001"}
    assert second.attrib["lat"] == "-0.0000001"


def test_a_cell_is_one_line() -> None:
    raw = as_csv([position("a\r\nb\tc\x00=1", to="\n=1")]).decode()
    assert "a\ufffd\ufffdb\ufffdc\ufffd=1" in raw.splitlines()[1]
    assert ",\ufffd=1," in raw
    assert len(raw.splitlines()) == 2


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "|", "%"])
def test_no_cell_of_text_begins_a_formula(start: str) -> None:
    raw = as_csv([position(f'{start}1+1"; drop', to=f"{start}x", latitude=-1.5)]).decode()
    heading, row = csv.reader(io.StringIO(raw, newline=""))
    cells = dict(zip(heading, row, strict=True))
    assert cells["name"] == f"'{start}1+1\"; drop"
    assert cells["to"] == f"'{start}x"
    # A number stays one: a table of degrees south of the equator is of use.
    assert cells["latitude"] == "-1.5"
    assert raw.endswith("\r\n")


def test_no_positions_are_an_empty_file_of_each_form() -> None:
    assert json.loads(as_geojson([]))["features"] == []
    assert len(as_csv([]).splitlines()) == 1
    for write in (as_gpx, as_kml):
        xml.fromstring(write([]))


def test_pages_and_boxes_of_features() -> None:
    found = [position(node=str(n), longitude=float(n)) for n in range(-2, 3)]

    def page(**more: Any) -> dict[str, Any]:
        options: dict[str, Any] = {"limit": 10, "offset": 0, "stamp": "t", **more}
        return items("http://h/items", found, **options)

    assert page()["numberMatched"] == page()["numberReturned"] == 5
    first = page(limit=2)
    (following,) = [each["href"] for each in first["links"] if each["rel"] == "next"]
    assert following.endswith("items?limit=2&offset=2")
    assert "next" not in [each["rel"] for each in page(limit=2, offset=4)["links"]]
    assert page(box=(-1.0, 40.0, 1.0, 50.0))["numberMatched"] == 3
    assert page(box=(-1.0, 0.0, 1.0, 1.0))["numberMatched"] == 0
    # Across the 180th meridian: west of -1, or east of 2.
    assert page(box=(2.0, 40.0, -1.0, 50.0))["numberMatched"] == 3


async def test_a_reader_gets_each_form(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with open_screens(tmp_path) as screens:
        await screens.api.shift_open(8)
        await screens.api.position(44.9, 6.6, accuracy_m=5)
        async with await screens.program("reader") as program:
            for ending, form in FORMATS.items():
                answer = await program.get(f"/api/export/positions.{ending}")
                assert answer.headers["content-type"].startswith(form.media)
                assert ending in answer.headers["content-disposition"]
                assert b"anna" in answer.content
            wrong = await program.get("/api/export/positions.exe")
            assert (wrong.status_code, kind(wrong)) == (400, "body")
            place = "/api/ogc/collections/positions"
            (found,) = (await program.get(f"{place}/items")).json()["features"]
            assert (await program.get(f"{place}/items/{found['id']}")).json() == found
            assert (await program.get(f"{place}/items/nobody")).status_code == 404
            assert (await program.get("/api/ogc/collections/other/items")).status_code == 404
            near = await program.get(f"{place}/items", params={"bbox": "6,44,0,7,45,9"})
            assert near.json()["numberMatched"] == 1
            until = datetime.fromtimestamp(screens.parts.runtime.now_ms() / 1000, UTC).isoformat()
            for moment, count in (
                (f"1970-01-01T00:00:00Z/{until}", 1),
                (f"../{until}", 1),
                ("1970-01-01T00:00:00Z/..", 1),
                ("../1970-01-01T00:00:00Z", 0),
                ("1970-01-01T00:00:00Z", 0),
            ):
                answer = await program.get(f"{place}/items", params={"datetime": moment})
                assert answer.json()["numberMatched"] == count, moment
                assert "datetime=" in answer.json()["links"][0]["href"]
            for moment in ("yesterday", "2026-01-01", "2026-01-01T00:00:00", "../..", f"{until}/a"):
                answer = await program.get(f"{place}/items", params={"datetime": moment})
                assert (answer.status_code, kind(answer)) == (400, "body"), moment
            for box in ("a", "1,2,3", "1,2,3,nan", "1,2,3,4000"):
                answer = await program.get(f"{place}/items", params={"bbox": box})
                assert (answer.status_code, kind(answer)) == (400, "body")


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="gdal-bin is not installed")
async def test_gdal_reads_each_form(tmp_path: Path) -> None:
    found = [position(EVIL), position("bruno", "bbbb", longitude=-1.5)]
    for ending, form in FORMATS.items():
        path = tmp_path / f"positions.{ending}"
        path.write_bytes(form.write(found))
        shown = await trio.to_thread.run_sync(_ogrinfo, str(path))
        assert "Feature Count: 2" in shown, ending
        assert "bruno" in shown


def _ogrinfo(source: str) -> str:
    argv = ["ogrinfo", "-ro", "-al", source]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
