"""Every page at every size and in both colours: nothing runs over, nothing hinders anybody."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.architecture.tree import ROOT
from tests.web.browser import PHONE, WIDE
from tests.web.conftest import Opens
from tests.web.pages import AGENT, OPERATOR, opened
from tests.web.town import CENTRE, Town

pytestmark = [pytest.mark.real, pytest.mark.slow]

SIZES = [(320, 640), (390, 844), (768, 1024), (1440, 900), (3840, 2160)]
AXE = ROOT / "meshnode/web/app/node_modules/axe-core/axe.min.js"
SMALLEST_PX = 44

RUNS_OVER = """() => {
  const wide = document.documentElement.clientWidth;
  return [...document.querySelectorAll('body *')]
    .filter(each => !each.closest('.table, .leaflet-container, .hidden, .skip'))
    .filter(each => each.getBoundingClientRect().right > wide + 1)
    .map(each => each.outerHTML.slice(0, 120));
}"""
TOO_SMALL = """least => [...document.querySelectorAll('button, a[href], select, input, textarea, summary')]
    .filter(each => !each.closest('.hidden, .skip, .leaflet-control-attribution, p, td, th, dd'))
    .map(each => (each.matches('input[type=checkbox], input[type=radio]') ? each.closest('label') : each))
    .map(each => [each, each.getBoundingClientRect()])
    .filter(([, box]) => box.width > 1 && (box.height < least - 0.5 || box.width < least - 0.5))
    .map(([each, box]) => `${box.width}x${box.height} ${each.outerHTML.slice(0, 100)}`)"""


@pytest.fixture(scope="module")
def lively(town: Town) -> Town:
    """A squad on duty that has written, and an alarm that was answered."""
    town.json("alice", "shift", "open")
    town.json("alice", "position", "44.6895", "6.8362")
    town.json("alice", "state", "--battery", "14", "--network", "4G", "--signal", "40")
    town.json("bruno", "send", "squad:Queyras", "Un très long mot : " + "a" * 90)
    town.json("alice", "send", "codt", "Arrivée prévue 16 h")
    town.json("bruno", "sos", "jambe cassée au col")
    alarm = town.json("bruno", "alarms")["alarms"][0]["alarm"]
    town.until(lambda: bool(town.json("alice", "alarms")["alarms"]), 30)
    town.json("alice", "alarm", "take", alarm)
    return town


@pytest.mark.parametrize("name", ["alice", CENTRE])
def test_nothing_runs_over_the_side_at_any_size(lively: Town, opens: Opens, name: str) -> None:
    page = opens(name).page
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for title, address in (AGENT if name == "alice" else OPERATOR).items():
            opened(page, address)
            over = page.evaluate("document.documentElement.scrollWidth")
            assert over <= width, (title, width, page.evaluate(RUNS_OVER))
            assert page.evaluate(RUNS_OVER) == [], (title, width)


def test_whatever_is_pressed_is_large_enough_for_a_glove(lively: Town, opens: Opens) -> None:
    page = opens("alice", PHONE).page
    small = {}
    for title, address in AGENT.items():
        opened(page, address)
        if found := page.evaluate(TOO_SMALL, SMALLEST_PX):
            small[title] = found
    assert small == {}


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize(("name", "size"), [("alice", PHONE), (CENTRE, WIDE)])
def test_axe_finds_nothing_serious(
    lively: Town, opens: Opens, name: str, size: dict[str, int], colours: str
) -> None:
    page = opens(name, size, color_scheme=colours, bypass_csp=True, reduced_motion="reduce").page
    alarm = lively.json("bruno", "alarms")["alarms"][0]["alarm"]
    page.add_script_tag(path=str(AXE))
    pages = (AGENT if name == "alice" else OPERATOR) | {"alarm": f"sos/{alarm}"}
    wrong = {}
    for title, address in pages.items():
        opened(page, address)
        if found := serious(page):
            wrong[title] = found
    assert wrong == {}, json.dumps(wrong, indent=1, ensure_ascii=False)


def serious(page: Page) -> list[Any]:
    """Return what axe calls serious or critical, with where it is."""
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        [each["id"], each["help"], [node["html"][:160] for node in each["nodes"]][:4]]
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


def test_the_language_and_the_colours_are_chosen_and_kept(opens: Opens) -> None:
    page = opens("alice").page
    opened(page, "settings")
    page.get_by_label("English").check()
    expect(page.get_by_role("heading", level=1)).to_have_text("Settings")
    page.get_by_label("Night").check()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("html")).to_have_attribute("data-theme", "night")
    expect(page.get_by_role("heading", level=1)).to_have_text("Settings")
