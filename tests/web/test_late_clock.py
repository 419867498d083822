"""A device whose clock is late by more than a day says so where one looks before one leaves."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Opens
from tests.web.pages import opened, stand_in_for

pytestmark = [pytest.mark.real, pytest.mark.slow]

LATE = "Presque tout ce qui arrive est refusé"
FIX = "Réglez l’horloge si elle retarde"


def test_a_late_clock_is_told_by_the_check_and_by_the_page_of_the_device(opens: Opens) -> None:
    page = opens("alice").page
    status = page.evaluate("fetch('/api/status').then(answer => answer.json())")
    assert status["is_clock_late"] is False
    stand_in_for(page, {"status": {**status, "is_clock_late": True}})
    for address in ("check", "node"):
        opened(page, address)
        expect(page.locator("#main")).to_contain_text(LATE)
        expect(page.locator("#main")).to_contain_text(FIX)
    stand_in_for(page, {"status": status})
    for address in ("check", "node"):
        opened(page, address)
        expect(page.locator(".page-head h1")).to_be_visible()
        expect(page.locator("#main")).not_to_contain_text(LATE)
