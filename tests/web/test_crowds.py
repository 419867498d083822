"""A zone of 18,000 devices: what is shown is bounded, and nobody is out of reach."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Route, expect

from tests.web.browser import WIDE
from tests.web.conftest import Opens
from tests.web.crowd import DEVICES, ON_DUTY, stand_in
from tests.web.pages import opened, stand_in_for, until
from tests.web.town import CENTRE

pytestmark = [pytest.mark.real, pytest.mark.slow]

ROWS = 100
OLDER = 130
"""Messages of one conversation."""


def test_the_console_shows_the_beginning_and_finds_the_rest(opens: Opens) -> None:
    page = opens(CENTRE, WIDE).page
    stand_in(page)
    page.reload()
    opened(page, "overview")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(ROWS)
    expect(page.locator(".figures")).to_contain_text(str(ON_DUTY))
    page.get_by_role("button", name=f"Montrer la suite ({ON_DUTY - ROWS})").click()
    expect(rows).to_have_count(2 * ROWS)
    quiet = page.locator(".card", has_text=f"({DEVICES - ON_DUTY})")
    expect(quiet).to_contain_text("agent 2000")
    assert len(quiet.inner_text()) < 2_000
    opened(page, "rosters")
    expect(rows).to_have_count(ROWS)
    page.get_by_role("searchbox").fill("agent 17999")
    expect(rows).to_have_count(1)


def test_one_of_thousands_is_found_to_write_to(opens: Opens) -> None:
    page = opens(CENTRE, WIDE).page
    stand_in(page)
    page.reload()
    opened(page, "messages")
    assert page.locator(".split-list .row").count() <= ROWS
    page.get_by_role("button", name="Écrire à").click()
    found = page.get_by_role("dialog").locator(".row")
    expect(found.first).to_be_visible()
    assert found.count() <= ROWS
    page.get_by_role("dialog").get_by_label("Chercher un nom").fill("AGENT 17999")
    expect(found).to_have_count(1)
    found.click()
    expect(page.get_by_role("heading", level=1, name="agent 17999")).to_be_visible()


def _inbox(now_ms: int) -> list[dict[str, Any]]:
    return [
        {
            "key": 1_000 + number,
            "message": f"{number:032x}",
            "kind": "text",
            "from": "bruno",
            "to": "squad:Queyras",
            "text": f"mot {number}.",
            "created_ms": now_ms - 1_000 * (OLDER - number),
            "received_ms": now_ms - 1_000 * (OLDER - number),
            "is_read": False,
            "is_author_revoked": False,
        }
        for number in range(OLDER)
    ]


def test_older_messages_are_shown_when_asked_for_and_only_then_told_as_read(opens: Opens) -> None:
    page = opens("alice").page
    told: list[str] = []

    def take(route: Route) -> None:
        told.append(route.request.url)
        route.fulfill(status=200, content_type="application/json", body='{"schema": 1}')

    inbox = _inbox(page.evaluate("Date.now()"))

    def give(route: Route) -> None:
        # What is known is not given again: whatever comes from other tests has it asked anew.
        after = int(parse_qs(urlsplit(route.request.url).query)["after"][0])
        route.fulfill(
            json={"schema": 1, "messages": [each for each in inbox if each["key"] > after]}
        )

    page.route("**/api/messages/inbox?*", give)
    # What other tests wrote to the squad would be counted, too.
    stand_in_for(page, {"messages/outgoing?*": {"schema": 1, "messages": []}})
    page.route("**/api/messages/*/read", take)
    page.reload()
    opened(page, "messages/squad%3AQueyras")
    received = page.locator(".bubble.in")
    expect(received).to_have_count(ROWS)
    until(page, lambda: len(set(told)) >= ROWS)
    assert len(set(told)) == ROWS
    assert not [url for url in told if url.endswith("/1000/read")]
    page.get_by_role("button", name=f"plus anciens ({OLDER - ROWS})").click()
    expect(received).to_have_count(OLDER)
    expect(page.locator(".bubble", has_text="mot 0.")).to_have_count(1)
    until(page, lambda: len(set(told)) >= OLDER)
    assert len(set(told)) == OLDER
