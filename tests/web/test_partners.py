"""Units of partners on the map: told apart from mates by shape and words, with their age."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Route, expect

from tests.web.browser import WIDE
from tests.web.conftest import Opens
from tests.web.pages import opened
from tests.web.town import CENTRE, Town

pytestmark = [pytest.mark.real, pytest.mark.slow]


def _mark(number: int, at_ms: int, *, is_stale: bool) -> dict[str, object]:
    return {
        "uid": f"ANDROID-{number}",
        "callsign": f"DELTA {number}",
        "type": "a-f-G-U-C",
        "latitude": 44.70 + number / 10,
        "longitude": 6.83,
        "at_ms": at_ms,
        "stale_ms": at_ms + (0 if is_stale else 3_600_000),
        "is_stale": is_stale,
    }


def test_partners_stand_on_the_map_with_their_age_and_can_be_hidden(
    town: Town, opens: Opens
) -> None:
    page = opens(CENTRE, WIDE).page
    now_ms = page.evaluate("Date.now()")
    marks = [
        _mark(1, now_ms - 60_000, is_stale=False),
        _mark(2, now_ms - 7_200_000, is_stale=True),
    ]
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        body = {"schema": 1, "has_bridge": True, "is_connected": True, "marks": marks}
        route.fulfill(status=200, content_type="application/json", body=json.dumps(body))

    page.route("**/api/tak", answer)
    opened(page, "map")
    page.get_by_role("button", name="Tout voir").or_(page.locator(".map-all")).click()
    markers = page.locator(".spot.foreign")
    expect(markers).to_have_count(2)
    expect(page.locator(".spot.foreign.stale")).to_have_count(1)
    rows = page.locator(".map-list li")
    fresh, old = rows.filter(has_text="DELTA 1"), rows.filter(has_text="DELTA 2")
    expect(fresh).to_contain_text("unité d’un partenaire (TAK)")
    expect(old).to_contain_text("lieu ancien")
    fresh.click()
    # Nobody here can write to them, or has their track.
    expect(fresh.get_by_role("link")).to_have_count(0)
    expect(fresh.get_by_role("button", name="Trace")).to_have_count(0)
    page.get_by_label("Partenaires (TAK)").uncheck()
    expect(markers).to_have_count(0)
    assert asked


def test_a_node_without_a_bridge_shows_none(town: Town, opens: Opens) -> None:
    page = opens("alice", WIDE).page
    with page.expect_response("**/api/tak") as answered:
        opened(page, "map")
    assert answered.value.json()["has_bridge"] is False
    expect(page.get_by_label("Partenaires (TAK)")).to_have_count(0)
