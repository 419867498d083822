"""What nobody tells anew greys by the passing of time alone, on the map and beside it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Opens
from tests.web.crowd import stand_in
from tests.web.pages import opened

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_a_position_greys_without_another_word_of_the_node(opens: Opens) -> None:
    screen = opens("alice")
    page = screen.page
    page.clock.install()
    stand_in(page, devices=1, on_duty=1)
    page.reload()
    opened(page, "map")
    row = page.locator(".map-list .row", has_text="agent 0")
    expect(page.locator(".spot")).to_have_count(1)
    expect(row).to_contain_text("à l’instant")
    limit_s = page.evaluate("fetch('/api/board').then(a => a.json()).then(b => b.stale_s.position)")
    # From here on the node says nothing any more.
    screen.is_node_gone = True
    page.route("**/api/**", lambda route: route.abort("connectionrefused"))
    page.clock.fast_forward(1000 * (limit_s - 60))
    expect(row).not_to_contain_text("à l’instant")
    expect(page.locator(".spot.stale")).to_have_count(0)
    page.clock.fast_forward(1000 * 90)
    expect(page.locator(".spot.stale")).to_be_visible()
    expect(row).to_contain_text("position ancienne")
    opened(page, "squad")
    expect(page.locator(".mate", has_text="agent 0").locator(".value.stale").first).to_be_visible()
