"""By keyboard alone: on every page all is reached, the focus is seen, and it is never lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser import WIDE
from tests.web.conftest import Opens
from tests.web.pages import AGENT, CENTRAL, opened
from tests.web.test_alarms import close_all
from tests.web.test_conversations import reach
from tests.web.town import CENTRE, Town

pytestmark = [pytest.mark.real, pytest.mark.slow]

WALK_MAX = 160
MARK = """() => {
  const list = [...document.querySelectorAll(
    'a[href], button, input, select, textarea, summary, iframe, [tabindex="0"]')];
  // Of a group of radio buttons Tab reaches one, and arrows the others.
  const isFirst = each => each.type !== 'radio' || each.checked;
  window.wanted = new Set(list.filter(each => each.checkVisibility({visibilityProperty: true})
    && !each.disabled && each.tabIndex >= 0 && isFirst(each)));
  const skip = document.querySelector('.skip');
  skip.focus();
  window.wanted.delete(skip);
}"""
STEP = """() => {
  const at = document.activeElement;
  const gone = at === document.body || !at;
  const box = gone ? null : at.getBoundingClientRect();
  const style = gone ? null : getComputedStyle(at);
  const outer = at && at.matches('[type=checkbox], [type=radio]') ? at.closest('label') : at;
  const seen = gone || at.tagName === 'IFRAME' || (box.width > 1 && box.height > 1
    && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth
    && (style.outlineStyle !== 'none' || style.boxShadow !== 'none'
        || getComputedStyle(outer).outlineStyle !== 'none'));
  window.wanted.delete(at);
  return {gone, seen, at: gone ? '' : at.outerHTML.slice(0, 120)};
}"""
MISSED = """() => [...window.wanted].filter(each => each.isConnected)
  .map(each => each.outerHTML.slice(0, 120))"""
"""What went away meanwhile, because other devices told something, is missed by nobody."""


def walked(page: Page) -> dict[str, list[str]]:
    """Press Tab until the page is left; return what was not reached, and what was not seen."""
    page.evaluate(MARK)
    unseen: list[str] = []
    for _ in range(WALK_MAX):
        page.keyboard.press("Tab")
        found = page.evaluate(STEP)
        if found["gone"]:
            break
        if not found["seen"]:
            unseen.append(found["at"])
    else:
        unseen.append("a trap: no Tab leads out of the page")
    return {"not reached": page.evaluate(MISSED), "not seen": unseen}


@pytest.fixture
def lively(town: Town) -> Town:
    """A squad on duty that has written, and no alarm of another test."""
    close_all(town)
    town.json("alice", "shift", "open")
    town.json("alice", "position", "44.6895", "6.8362")
    sent = town.json("bruno", "send", "squad:Queyras", "un mot")["message"]

    def has_come() -> bool:
        found = town.json("alice", "inbox")["messages"]
        return any(each["message"] == sent for each in found)

    town.until(has_come, 60)
    return town


@pytest.mark.parametrize(("name", "pages"), [("alice", AGENT), (CENTRE, CENTRAL)])
def test_tab_reaches_everything_on_every_page_and_is_seen(
    opens: Opens, lively: Town, name: str, pages: dict[str, str]
) -> None:
    page = opens(name, WIDE, reduced_motion="reduce").page
    wrong: dict[str, Any] = {}
    for title, address in pages.items():
        opened(page, address)
        for what, found in walked(page).items():
            if found:
                wrong[f"{title}: {what}"] = found
    assert wrong == {}, json.dumps(wrong, indent=1, ensure_ascii=False)


def test_the_focus_goes_along_with_what_one_does(opens: Opens, lively: Town) -> None:
    page = opens("alice", WIDE).page
    heading = page.get_by_role("heading", level=1)
    opened(page, "more")
    reach(page, "a.row", "Langue")
    page.keyboard.press("Enter")
    expect(heading).to_be_focused()
    # Back: on the link that led away.
    reach(page, "a.square", "")
    page.keyboard.press("Enter")
    expect(page.locator("a.row", has_text="Langue")).to_be_focused()
    # By the menu: at the heading of the page that was opened, which the tab is named after.
    page.locator("nav.menu a", has_text="Messages").focus()
    page.keyboard.press("Enter")
    expect(heading).to_be_focused()
    page.locator("a.row", has_text="Queyras").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Queyras")).to_be_focused()
    expect(page).to_have_title("Queyras · meshnode")
    page.go_back()
    expect(page).to_have_title("Messages · meshnode")
    # A dialog keeps the focus, and gives it back where it was.
    asking = page.locator(".page-actions button").first
    asking.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Tab")
        # Or in the browser's own bars.
        assert page.evaluate("[document.body, null].includes(document.activeElement)") or (
            page.evaluate("!!document.activeElement.closest('dialog')")
        )
    page.keyboard.press("Escape")
    expect(asking).to_be_focused()
    # What is pressed goes away: the focus stays beside it.
    opened(page, "squad")
    reach(page, ".shift .buttons button", "Finir mon service")
    page.keyboard.press("Enter")
    # No key goes past a dialog that was asked for, however soon it is pressed.
    reach(page, "dialog .buttons button", "Finir mon service")
    page.keyboard.press("Enter")
    title = page.locator(".shift > h2")
    expect(title).to_contain_text("hors service")
    expect(title).to_be_focused()
    reach(page, ".shift .buttons button", "Prendre mon service")
    page.keyboard.press("Space")
    expect(title).to_contain_text("jusqu’à")
    expect(title).to_be_focused()


def test_an_sos_is_answered_by_keys_also_over_a_dialog(opens: Opens, lively: Town) -> None:
    screen = opens(CENTRE, WIDE)
    page = screen.page
    opened(page, "messages")
    reach(page, ".page-actions button", "")
    page.keyboard.press("Enter")
    alarm = lively.json("bruno", "sos", "pendant une question")["alarm"]
    # What stands outside of a modal dialog is neither heard nor pressed.
    bar = page.get_by_role("dialog").get_by_role("alert")
    expect(bar).to_contain_text("pendant une question")
    reach(page, "dialog [role=alert] button", "J’ai vu")
    page.keyboard.press("Enter")
    expect(bar).to_have_text("")
    assert page.evaluate("!!document.activeElement.closest('dialog')")
    page.keyboard.press("Escape")
    opened(page, f"sos/{alarm}")
    title = page.get_by_role("heading", level=1, name="SOS de bruno")
    for words in ("J’y vais", "Je suis sur place"):
        reach(page, ".alarm-card button", words)
        page.keyboard.press("Enter")
        expect(page.locator(".alarm-card button", has_text=words)).to_have_count(0)
        expect(title).to_be_focused()
    reach(page, ".alarm-card button", "Clore")
    page.keyboard.press("Enter")
    # A refusal is told in the dialog.
    screen.is_node_gone = True
    page.route("**/close", lambda route: route.abort("connectionrefused"), times=1)
    reach(page, "dialog button.primary", "Clore")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("status")).to_contain_text("ne répond pas")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(title).to_be_focused()


def test_an_sos_that_failed_is_tried_again_where_one_is(opens: Opens, lively: Town) -> None:
    screen = opens("bruno")
    page = screen.page
    opened(page, "sos")
    screen.is_node_gone = True
    page.route("**/api/sos", lambda route: route.abort("connectionrefused"), times=1)
    reach(page, "button.hold", "")
    page.keyboard.down("Space")
    expect(page.locator(".raise [role=alert]")).to_contain_text("n’est pas parti")
    page.keyboard.up("Space")
    expect(page.locator("button.hold")).to_be_focused()
    page.keyboard.down("Enter")
    expect(page.get_by_role("heading", level=1, name="Votre SOS")).to_be_focused()
    page.keyboard.up("Enter")
    close_all(lively)


def test_the_map_is_moved_and_asked_by_keys(opens: Opens, lively: Town) -> None:
    page = opens("bruno", WIDE, reduced_motion="reduce").page
    opened(page, "map")
    spot = page.locator(".spot-frame")
    row = page.locator(".map-list .row", has_text="alice")
    for key in ("Enter", "Space"):
        expect(spot).to_have_count(1)
        reach(page, ".spot-frame", "alice")
        expect(row).to_have_attribute("aria-pressed", "false")
        page.keyboard.press(key)
        expect(row).to_have_attribute("aria-pressed", "true")
        expect(spot).to_be_focused()
        opened(page, "squad")
        opened(page, "map")
    place = page.locator(".leaflet-map-pane")
    moved = page.locator(".map").evaluate_handle("map => map.querySelector('.leaflet-map-pane')")
    reach(page, ".map", "")
    at = place.evaluate("pane => pane.style.transform")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("([pane, at]) => pane.style.transform !== at", arg=[moved, at])
    # Moved away, whoever had the focus is drawn no more: the map has it.
    reach(page, ".spot-frame", "alice")
    page.keyboard.press("-")
    page.keyboard.press("+")
    assert page.evaluate("document.activeElement !== document.body")
