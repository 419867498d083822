"""The coverage map on the screen: coloured cells, the same in words, unknown where nobody was."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from meshnode.calls.coverage import cell_told
from protocol.cells import Part, cell_of
from protocol.coverage import Totals
from protocol.forecast import outlooks, spots_near
from protocol.states import Bearer
from tests.web.browser import PHONE
from tests.web.conftest import Opens
from tests.web.pages import coloured, opened
from tests.web.test_pages import AXE, RUNS_OVER, SMALLEST_PX, TOO_SMALL, serious
from tests.web.town import Town

pytestmark = [pytest.mark.real, pytest.mark.slow]

HERE = 446_900_000, 68_300_000


def answer() -> dict[str, Any]:
    """Return what a node says that knows three cells: a white one, a good one, one hardly known."""
    cells = [cell_of(HERE[0] + north * 45_000, HERE[1]) for north in (0, 2, 4)]
    totals: Totals = {
        (cells[0], Part.NIGHT): {Bearer.NONE: (20, 0)},
        (cells[1], Part.NIGHT): {Bearer.G4: (14, 14)},
        (cells[2], Part.NIGHT): {Bearer.G2: (3, 3)},
    }
    told = [cell_told(each) for each in spots_near(outlooks(totals, None), *HERE, 9_000)]
    return {
        "schema": 1,
        "place": {"latitude": HERE[0] / 1e7, "longitude": HERE[1] / 1e7, "is_own": True},
        "part": "night",
        "verdict": "likely",
        "here": told[0],
        "next": told[1],
        "cells": told,
        "known_cells": 3,
        "reach_km": 20.0,
        "window_days": 60,
    }


def shown(page: Page) -> None:
    """Open the map with its coverage."""
    opened(page, "map")
    page.get_by_label("Couverture").check()


def test_cells_are_coloured_and_told_in_words(town: Town, opens: Opens) -> None:
    page = opens("alice", PHONE, bypass_csp=True).page
    page.route("**/api/coverage?*", lambda route: route.fulfill(json=answer()))
    shown(page)
    for level in ("bad", "high", "unsure"):
        expect(page.locator(f"path.cover.{level}")).to_have_count(1)
    cells = page.get_by_label("Cellules les plus proches")
    way = f"{answer()['next']['distance_m']} m N"
    expect(cells.get_by_role("status")).to_have_text(
        f"Prochain réseau\u00a0: 4G a fonctionné 14 fois sur 14, {way}."
    )
    expect(cells.locator("ol li")).to_have_count(3)
    expect(cells.locator("ol li").first).to_contain_text("ici aucun réseau, 20 fois sur 20")
    expect(cells.get_by_label("Chance qu’un réseau fonctionne").locator("li")).to_have_count(5)
    with page.expect_request(lambda request: "part=evening" in request.url):
        page.get_by_label("Moment").select_option("evening")
    expect(page.locator("path.cover")).to_have_count(3)
    page.add_script_tag(path=str(AXE))
    for colours in ("light", "dark"):
        coloured(page, colours)
        assert serious(page) == []
    assert page.evaluate(TOO_SMALL, SMALLEST_PX) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate(RUNS_OVER) == []
    opened(page, "squad")
    expect(page.locator(".next-network")).to_contain_text(way)


def test_where_nobody_looked_is_unknown(town: Town, opens: Opens) -> None:
    page = opens("bruno").page
    shown(page)
    cells = page.get_by_label("Cellules les plus proches")
    expect(cells.get_by_role("status")).to_contain_text("Inconnu")
    expect(page.locator("path.cover")).to_have_count(0)
