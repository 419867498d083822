"""The front end's files and maps: who gets them, in which pieces, what there is without a build."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshnode.web.roles import WebRole
from tests.meshnode.web.screens import Screens, open_screens

pytestmark = pytest.mark.real
TILES = (
    b"PMTiles\x03"
    + bytes(92)
    + struct.pack("<BB4i", 0, 14, 6 * 10**7, 44 * 10**7, 7 * 10**7, 45 * 10**7)
).ljust(300, b"t")


@pytest.fixture
async def screens(tmp_path: Path) -> AsyncIterator[Screens]:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "alps.pmtiles").write_bytes(TILES)
    (tmp_path / "maps" / "broken.pmtiles").write_bytes(b"?")
    (tmp_path / "secret.pmtiles").write_bytes(b"secret")
    async with open_screens(tmp_path) as found:
        yield found


def build(screens: Screens) -> None:
    """Put a front end where the build puts it."""
    folder = screens.parts.statics
    assert folder is not None
    for name, text in {
        "index.html": "<title>built</title>",
        "sw.js": "worker",
        "manifest.webmanifest": "{}",
        "assets/a1.js": "script",
        "map/base.json": "{}",
        "private.txt": "not listed",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


async def test_without_a_build_a_page_says_so(screens: Screens) -> None:
    async with screens.client() as client:
        french = await client.get("/")
        assert (french.status_code, french.headers["content-type"]) == (
            200,
            "text/html; charset=utf-8",
        )
        assert "make app" in french.text
        assert 'lang="fr"' in french.text
        english = await client.get("/", headers={"accept-language": "en"})
        assert "have not been built" in english.text
        assert (await client.get("/sw.js")).status_code == 404


async def test_a_build_is_served_to_everybody_and_nothing_beside_it(screens: Screens) -> None:
    build(screens)
    async with screens.client() as client:
        page = await client.get("/")
        assert (page.text, page.headers["cache-control"]) == ("<title>built</title>", "no-cache")
        script = await client.get("/assets/a1.js")
        assert script.headers["cache-control"].endswith("immutable")
        worker = await client.get("/sw.js")
        assert worker.headers["content-type"].startswith("text/javascript")
        manifest = await client.get("/manifest.webmanifest")
        assert manifest.headers["content-type"] == "application/manifest+json"
        assert (await client.get("/map/base.json")).text == "{}"
        for path in (
            "/private.txt",
            "/assets/../private.txt",
            "/assets/%2e%2e/private.txt",
            "/assets/..%2fprivate.txt",
            "/map/../../secret.pmtiles",
            "/index.html",
        ):
            assert (await client.get(path)).status_code == 404, path


async def test_maps_of_the_home_are_named_with_what_they_show(screens: Screens) -> None:
    async with screens.signed_in(WebRole.READER) as client:
        found = (await client.get("/api/map")).json()
        assert found["has_base"] is False
        assert found["broken"] == ["broken.pmtiles"]
        (region,) = found["regions"]
        assert (region["name"], region["url"]) == ("alps", "/map/tiles/alps.pmtiles")
        assert (region["west"], region["north"], region["zoom_max"]) == (6.0, 45.0, 14)
        build(screens)
        assert (await client.get("/api/map")).json()["has_base"] is True


async def test_a_map_is_given_in_pieces(screens: Screens) -> None:
    async with screens.signed_in(WebRole.READER) as client:
        piece = await client.get("/map/tiles/alps.pmtiles", headers={"range": "bytes=0-6"})
        assert (piece.status_code, piece.content) == (206, b"PMTiles")
        assert piece.headers["content-range"] == "bytes 0-6/300"
        whole = await client.get("/map/tiles/alps.pmtiles")
        assert whole.content == TILES
        beyond = await client.get("/map/tiles/alps.pmtiles", headers={"range": "bytes=300-"})
        assert beyond.status_code == 416
        many = ",".join(f"{n}-{n}" for n in range(0, 300, 2))
        answer = await client.get("/map/tiles/alps.pmtiles", headers={"range": f"bytes={many}"})
        assert answer.status_code in (200, 206, 400, 416)


async def test_no_name_leads_out_of_the_folder_of_maps(screens: Screens) -> None:
    async with screens.signed_in(WebRole.READER) as client:
        for name in ("nothing", "..%2fsecret", "%2e%2e%2fsecret", ".", "a%00b"):
            answer = await client.get(f"/map/tiles/{name}.pmtiles")
            assert answer.status_code in (400, 404), name
