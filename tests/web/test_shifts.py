"""A shift opened and closed on the screen, and the map that follows whoever moves in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser import WIDE
from tests.web.conftest import Opens
from tests.web.test_conversations import PIXEL
from tests.web.tiles import one_tile
from tests.web.town import CENTRE, Town

pytestmark = [pytest.mark.real, pytest.mark.slow]


def go(page: Page, name: str) -> None:
    page.goto(page.url.split("#")[0] + f"#/{name}")


def place_of(page: Page, name: str) -> tuple[float, float]:
    box = page.locator(f".leaflet-marker-icon:has([title^='{name}'])").bounding_box()
    assert box is not None
    return box["x"], box["y"]


def test_a_shift_is_opened_seen_by_a_mate_and_closed(opens: Opens, town: Town) -> None:
    alice, bruno = opens("alice").page, opens("bruno").page
    go(alice, "squad")
    go(bruno, "squad")
    alice.get_by_role("button", name="Prendre mon service").click()
    expect(alice.locator(".shift")).to_contain_text("En service jusqu’à")
    assert town.json("alice", "shift", "show")["is_open"] is True
    mate = bruno.locator(".mate", has=bruno.get_by_role("heading", name="alice"))
    expect(mate).to_contain_text("en service", timeout=30_000)
    alice.get_by_role("button", name="Dire où je suis").click()
    alice.get_by_label("Latitude").fill("44,68")
    alice.get_by_label("Longitude").fill("6.9")
    alice.get_by_role("button", name="Dire cette position").click()
    expect(mate).to_contain_text("44,68", timeout=30_000)
    alice.get_by_role("button", name="Finir mon service").click()
    alice.get_by_role("dialog").get_by_role("button", name="Finir mon service").click()
    expect(alice.locator(".shift")).to_contain_text("Vous êtes hors service")
    expect(mate).to_contain_text("Position : rien de dit", timeout=30_000)


def test_a_map_file_of_the_home_is_drawn_tile_by_tile(opens: Opens, maps_of_alice: Path) -> None:
    # The fourth tile of the first zoom after the world: east of Greenwich, north of the equator.
    (maps_of_alice / "relief.pmtiles").write_bytes(one_tile(4, 1, PIXEL))
    page = opens("alice", WIDE).page
    go(page, "map")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.pane-tiles img')]"
        ".some(each => each.naturalWidth === 1)"
    )
    assert page.locator(".pane-tiles img[src^=blob]").count() >= 1


def test_a_marker_moves_when_its_agent_does(opens: Opens, town: Town) -> None:
    town.json("bruno", "shift", "open")
    town.json("bruno", "position", "44.70", "6.80")
    page = opens(CENTRE, WIDE, reduced_motion="reduce").page
    go(page, "map")
    marker = page.locator(".leaflet-marker-icon:has([title^='bruno'])")
    expect(marker).to_be_visible(timeout=30_000)
    before = place_of(page, "bruno")
    town.json("bruno", "position", "44.72", "6.86")
    page.wait_for_function(
        "([x]) => document.querySelector(\".leaflet-marker-icon:has([title^='bruno'])\")"
        "?.getBoundingClientRect().x > x + 20",
        arg=[before[0]],
        timeout=30_000,
    )
    assert place_of(page, "bruno")[1] < before[1]
    # The list beside the map is the same people, for whoever does not see it.
    page.locator(".map-list .row", has_text="bruno").click()
    expect(page.locator(".map-list")).to_contain_text("44,72")
    # The centre keeps where a shift was, and never shows it as of now.
    town.json("bruno", "shift", "close")
    expect(page.locator(".map-list .row", has_text="bruno")).to_contain_text(
        "service terminé", timeout=30_000
    )
    expect(marker.locator(".spot")).to_have_class(re.compile("stale"))
