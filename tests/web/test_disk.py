"""A device whose disk takes nothing says so over every page, until it takes what comes again."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.web.browser import WIDE
from tests.web.conftest import Opens
from tests.web.pages import opened, stand_in_for
from tests.web.town import CENTRE

pytestmark = [pytest.mark.real, pytest.mark.slow]

WORDS = "Le disque de cet appareil ne prend plus rien"
FAULT = "the disk is full: database or disk is full"
SOON_MS = 20_000
"""Much less than the time after which the page asks by itself."""
# What the node would send by the stream that the page has open.
CATCH = """
    const Real = window.EventSource;
    window.EventSource = class extends Real {
        constructor(...all) { super(...all); window.stream = this; }
    };
"""
EVENT = """told => window.stream.onmessage(new MessageEvent("message", {
    data: JSON.stringify(told),
}))"""


def test_a_full_disk_of_an_agent_comes_and_goes_over_every_page_by_its_event(
    opens: Opens,
) -> None:
    page = opens("alice").page
    page.add_init_script(CATCH)
    page.reload()
    page.wait_for_selector("nav.menu")
    bar = page.get_by_role("status").filter(has_text=WORDS)
    expect(page.locator(".banner")).to_have_count(0)
    expect(bar).to_have_count(0)
    status = page.evaluate("fetch('/api/status').then(answer => answer.json())")
    assert status["disk_fault"] == ""
    stand_in_for(page, {"status": status})
    status["disk_fault"] = FAULT
    page.evaluate(EVENT, {"event": "disk_changed", "fault": FAULT})
    expect(bar).to_be_visible(timeout=SOON_MS)
    for address in ("messages", "squad", "map", "sos", "node", "settings"):
        opened(page, address)
        expect(bar).to_be_visible()
        expect(bar).to_contain_text("aucun message n’arrive. Libérez de la place.")
        expect(bar.locator("q")).to_have_text(FAULT)
    # It stands above the page and covers nothing of it: an SOS can be raised all the same.
    opened(page, "sos")
    expect(page.locator(".page-head h1")).to_be_visible()
    above, below = bar.bounding_box(), page.locator("#main").bounding_box()
    assert above is not None
    assert below is not None
    assert above["y"] + above["height"] <= below["y"] + 1
    status["disk_fault"] = ""
    page.evaluate(EVENT, {"event": "disk_changed", "fault": ""})
    expect(bar).to_have_count(0, timeout=SOON_MS)


def test_a_gateway_says_it_once_on_a_page(opens: Opens) -> None:
    page = opens(CENTRE, WIDE).page
    status = page.evaluate("fetch('/api/status').then(answer => answer.json())")
    trouble = {"part": "store", "reason": "disk", "words": f"nothing can be taken in: {FAULT}"}
    standing = {**status["archive"], "troubles": [trouble]}
    archive = page.evaluate("fetch('/api/archive').then(answer => answer.json())")
    status.update(disk_fault=FAULT, archive=standing)
    stand_in_for(page, {"status": status, "archive": {**archive, "troubles": [trouble]}})
    page.reload()
    page.wait_for_selector("nav.menu")
    for address in ("overview", "node", "archive"):
        opened(page, address)
        expect(page.locator(".page-head h1")).to_be_visible()
        expect(page.get_by_role("status").filter(has_text=WORDS)).to_be_visible()
        expect(page.locator(".page").get_by_text("Le disque de cet appareil")).to_have_count(0)
