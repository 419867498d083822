"""Every page at every size and in both colours: nothing runs over, nothing hinders anybody."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.architecture.tree import ROOT
from tests.web.browser import PHONE
from tests.web.conftest import Opens
from tests.web.pages import AGENT, CENTRAL, coloured, opened
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
TOO_SMALL = """least => [...document.querySelectorAll('button, a[href], select, input, summary')]
    .filter(each => !each.closest('.hidden, .skip, .leaflet-control-attribution, p, td, th, dd'))
    .map(each => (each.matches('[type=checkbox], [type=radio]') ? each.closest('label') : each))
    .map(each => [each, each.getBoundingClientRect()])
    .filter(([, box]) => box.width > 1 && (box.height < least - 0.5 || box.width < least - 0.5))
    .map(([each, box]) => `${box.width}x${box.height} ${each.outerHTML.slice(0, 100)}`)"""

BROKEN = """() => {
  const found = [];
  for (const each of document.querySelectorAll('h1, .menu a, button, .button, legend, th')) {
    if (!each.checkVisibility() || each.closest('.leaflet-container')) continue;
    const walker = document.createTreeWalker(each, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const text = walker.currentNode;
      if (text.parentElement.closest('.hidden')) continue;
      for (const word of text.data.matchAll(/[^ \u00a0\u202f-]{1,16}/g)) {
        const range = document.createRange();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        const tops = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
        if (tops.size > 1) found.push(word[0]);
      }
    }
  }
  return found;
}"""
"""Words of headings and buttons that are cut in two."""


@pytest.fixture
def lively(town: Town) -> Town:
    """A squad on duty that has written, and an alarm that was answered."""
    town.json("alice", "shift", "open")
    town.json("alice", "position", "44.6895", "6.8362")
    town.json("alice", "state", "--battery", "14", "--network", "4G", "--signal", "40")
    town.json("bruno", "send", "squad:Queyras", "Un très long mot : " + "a" * 90)
    town.json("alice", "send", "codt", "Arrivée prévue 16 h")
    alarm = town.json("bruno", "sos", "jambe cassée au col")["alarm"]
    town.until(
        lambda: any(each["alarm"] == alarm for each in town.json("alice", "alarms")["alarms"]), 30
    )
    town.json("alice", "alarm", "take", alarm)
    return town


@pytest.mark.parametrize(("name", "pages"), [("alice", AGENT), (CENTRE, CENTRAL)])
def test_every_page_is_fit_for_everybody(
    lively: Town, opens: Opens, name: str, pages: dict[str, str]
) -> None:
    page = opens(name, PHONE, bypass_csp=True, reduced_motion="reduce").page
    alarm = lively.json("bruno", "alarms")["alarms"][0]["alarm"]
    page.add_script_tag(path=str(AXE))
    wrong: dict[str, Any] = {}
    for title, address in (pages | {"alarm": f"sos/{alarm}"}).items():
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        opened(page, address)
        wrong[f"{title}: too small"] = page.evaluate(TOO_SMALL, SMALLEST_PX)
        for colours in ("light", "dark"):
            coloured(page, colours)
            wrong[f"{title}: axe, {colours}"] = serious(page)
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            over = page.evaluate("document.documentElement.scrollWidth") - width
            wrong[f"{title}: over by {over} at {width}"] = page.evaluate(RUNS_OVER)
            wrong[f"{title}: broken words at {width}"] = page.evaluate(BROKEN)
            if over > 0:
                wrong[f"{title}: scrolls at {width}"] = [over]
    page.evaluate("localStorage.setItem('meshnode.language', 'en')")
    page.set_viewport_size({"width": 320, "height": 640})
    page.reload()
    for title, address in pages.items():
        opened(page, address)
        over = page.evaluate("document.documentElement.scrollWidth") - 320
        wrong[f"{title}: in English, at 320"] = [*page.evaluate(BROKEN), *([over] if over else [])]
    found = {place: what for place, what in wrong.items() if what}
    assert found == {}, json.dumps(found, indent=1, ensure_ascii=False)


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
