"""Maps of the home made of vectors, and the names on the built-in one."""

from __future__ import annotations

import base64
import gzip
import math
import struct
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser import WIDE
from tests.web.conftest import Opens
from tests.web.pages import coloured, opened
from tests.web.tiles import VECTORS, Shape, one_tile, vector_tile
from tests.web.town import CENTRE

pytestmark = [pytest.mark.real, pytest.mark.slow]

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SEEN = """() => {
  const scratch = document.createElement('canvas');
  scratch.width = scratch.height = 256;
  const onto = scratch.getContext('2d', {willReadFrequently: true});
  const seen = {};
  for (const canvas of document.querySelectorAll('.pane-tiles canvas')) {
    if (!canvas.width) continue;
    onto.clearRect(0, 0, 256, 256);
    onto.drawImage(canvas, 0, 0, 256, 256);
    const data = onto.getImageData(0, 0, 256, 256).data;
    for (let at = 0; at < data.length; at += 4) {
      if (data[at + 3] < 255) continue;
      const colour = '#' + [0, 1, 2].map(i => data[at + i].toString(16).padStart(2, '0')).join('');
      seen[colour] = (seen[colour] ?? 0) + 1;
    }
  }
  return seen;
}"""
ARE_DRAWN = (
    f"colours => {{ const seen = ({SEEN})(); return colours.every(([c, n]) => seen[c] > n); }}"
)
COLOUR = "name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"


def at(latitude: float, longitude: float) -> tuple[int, int]:
    """Return where a place is in the tile east of Greenwich and north of the equator."""
    y = 1 - math.asinh(math.tan(math.radians(latitude))) / math.pi
    return round(4096 * longitude / 180), round(4096 * y)


def area(south: float, north: float) -> tuple[tuple[int, int], ...]:
    return at(north, 0), at(north, 40), at(south, 40), at(south, 0)


def test_a_map_of_vectors_is_drawn_in_the_colours_of_the_theme(
    opens: Opens, maps_of_alice: Path
) -> None:
    coast, name = (46, 10), (46.04, 10)
    tile = vector_tile(
        [
            Shape("earth", area(30, 60), {}),
            Shape("water", area(30, coast[0]), {"kind": "ocean"}),
            Shape("places", (at(*name),), {"name": "Villeneuve", "kind": "locality"}),
        ]
    )
    (maps_of_alice / "region.pmtiles").write_bytes(one_tile(4, 1, tile, VECTORS))
    page = opens("alice", WIDE, color_scheme="light").page
    # At a place of its own: by itself the map shows wherever the squad is known to be.
    opened(page, "map/at/{}/{}".format(*coast))
    for scheme in ("light", "dark"):
        coloured(page, scheme)
        names = ("--map-land", "--map-sea", "--text")
        land, sea, ink = (page.evaluate(COLOUR, name) for name in names)
        # Not at every frame: looking takes as long as drawing where a machine is busy. One tile is
        # drawn after the other, and only one of them has the name.
        page.wait_for_function(ARE_DRAWN, arg=[[land, 1_000], [sea, 1_000], [ink, 10]], polling=500)
        # The name is written once, and its letters are not the ground.
        assert page.evaluate(SEEN).get(ink, 0) < 3_000, scheme


def test_a_tile_that_is_none_leaves_the_built_in_map(opens: Opens, maps_of_alice: Path) -> None:
    (maps_of_alice / "broken.pmtiles").write_bytes(one_tile(4, 1, b"\xff" * 40, VECTORS))
    screen = opens("alice", WIDE)
    # A tile that does not read is told of in the console and hinders nothing.
    screen.is_said = "varint"
    opened(screen.page, "map")
    screen.page.wait_for_selector(".pane-tiles canvas", state="attached")
    screen.page.wait_for_timeout(500)
    expect(screen.page.locator(".pane-base canvas").first).to_be_visible()


def test_maps_that_are_not_shown_are_named(opens: Opens, maps_of_alice: Path) -> None:
    """A copy that was cut short, one that lies, one that unpacks for ever, and a good one.

    The good one has a name as people write it.
    """
    whole = one_tile(4, 1, PIXEL)
    (maps_of_alice / "cut.pmtiles").write_bytes(whole[:-1])
    (maps_of_alice / "bomb.pmtiles").write_bytes(_with_root(gzip.compress(bytes(12_000_000), 9)))
    (maps_of_alice / "liar.pmtiles").write_bytes(_with_root(b"no gzip at all"))
    (maps_of_alice / "Hautes Alpes n° 1.pmtiles").write_bytes(whole)
    page = opens("alice", WIDE).page
    opened(page, "map")
    told = page.locator(".notice.warn")
    expect(told).to_have_count(3)
    expect(told.filter(has_text="« cut.pmtiles » est incomplet ou abîmé")).to_be_visible()
    expect(told.filter(has_text="« bomb »")).to_be_visible()
    expect(told.filter(has_text="« liar »")).to_be_visible()
    expect(page.locator(".pane-tiles img").first).to_be_attached()


def _with_root(directory: bytes) -> bytes:
    """Return a map of pictures whose root directory is this."""
    whole = bytearray(one_tile(4, 1, PIXEL) + directory)
    struct.pack_into("<2Q", whole, 8, len(whole) - len(directory), len(directory))
    return bytes(whole)


RECORDED = """(() => {
  window.written = [];
  const fill = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (words, x, y) {
    const half = Number(/([0-9]+)px/.exec(this.font)[1]) / 2;
    const box = [x, y - half, x + this.measureText(words).width, y + half];
    if (this.canvas.closest('.pane-names')) window.written.push([words, ...box]);
    return fill.call(this, words, x, y);
  };
})()"""


def _names(page: Page) -> dict[str, list[float]]:
    page.wait_for_function("() => window.written.length > 0")
    page.wait_for_timeout(300)
    return {words: box for words, *box in page.evaluate("window.written.splice(0)")}


def _further_out(page: Page, steps: int) -> dict[str, list[float]]:
    """Return the names of the map so many steps further out."""
    for _step in range(steps):
        page.evaluate("window.written.length = 0")
        page.locator(".leaflet-control-zoom-out").click()
        page.wait_for_function("() => window.written.length > 0")
    return _names(page)


def test_towns_are_named_the_smaller_ones_from_near_and_none_over_another(opens: Opens) -> None:
    # While a map moves it takes no press of its buttons.
    page = opens(CENTRE, WIDE, reduced_motion="reduce").page
    page.evaluate(RECORDED)
    opened(page, "map/at/44.56/6.08")
    assert "Gap" in _names(page)
    near = _further_out(page, 3)
    assert {"Gap", "Embrun", "Briançon"} <= {*near}
    far = _further_out(page, 4)
    assert "Paris" in far
    assert "Embrun" not in far
    assert 5 < len(far) < 200
    for boxes in (near, far):
        placed = list(boxes.values())
        for at, one in enumerate(placed):
            for other in placed[at + 1 :]:
                apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1]
                assert apart or other[3] <= one[1], (one, other)
