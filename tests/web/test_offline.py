"""Without the node: the screens open, say so, and what they show grows old before one's eyes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from meshnode.web.statics import STATIC_FOLDER
from tests.real.daemons import free_port
from tests.web.browser import screen_of
from tests.web.town import CENTRE, SECRET, Town, town_at

pytestmark = [pytest.mark.real, pytest.mark.slow]
TRIES = 5


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Town]:
    """An operations centre by itself, which a test may stop."""
    if not (STATIC_FOLDER / "index.html").is_file():
        pytest.skip("the screens are not built: run make app, which needs Node.js")
    # A locked node starts anew, and the page looks for it where it was.
    with town_at(tmp_path, [], web_port=free_port()) as town:
        yield town


def wait_until_kept(page: Page) -> None:
    """Wait until this browser has the screens for itself: before, they go with the node."""
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.wait_for_function("() => caches.keys().then(names => names.length === 1)")


def test_the_screens_open_without_the_node_and_keep_nothing(alone: Town, browser: Browser) -> None:
    with screen_of(browser, alone.url(CENTRE)) as screen:
        page = screen.page
        page.wait_for_selector("nav.menu")
        wait_until_kept(page)
        kept = page.evaluate(
            "caches.keys().then(([name]) => caches.open(name)).then(c => c.keys())"
            ".then(keys => keys.map(each => new URL(each.url).pathname))"
        )
        assert "/" in kept
        assert "/map/base.json" in kept
        assert not [path for path in kept if path.startswith("/api")]
        screen.is_node_gone = True
        alone.stop(CENTRE)
        banner = page.locator(".banner")
        expect(banner).to_contain_text("Le nœud ne répond pas", timeout=20_000)
        page.reload()
        expect(page.get_by_role("heading", name="Le nœud ne répond pas")).to_be_visible()
        stored = page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
        assert "csrf" not in stored


def give(page: Page, secret: str, answer: Locator) -> None:
    """Type a secret until it is answered: while the node starts, nobody hears it."""
    for _ in range(TRIES):
        page.get_by_role("textbox", name="Secret de l’appareil").fill(secret)
        page.get_by_role("button", name="Déverrouiller").click()
        try:
            expect(answer).to_be_visible(timeout=20_000)
        except AssertionError:
            continue
        return
    expect(answer).to_be_visible()


def test_locked_on_the_screen_and_opened_by_the_secret(alone: Town, browser: Browser) -> None:
    with screen_of(browser, alone.url(CENTRE)) as screen:
        page = screen.page
        page.wait_for_selector("nav.menu")
        wait_until_kept(page)
        page.goto(page.url.split("#")[0] + "#/more")
        # The node starts anew: for a moment nobody answers, then nobody is signed in.
        screen.is_node_gone = screen.is_refused = True
        page.get_by_role("button", name="Verrouiller").click()
        page.get_by_role("dialog").get_by_role("button", name="Verrouiller").click()
        locked = page.get_by_role("heading", name="Appareil verrouillé")
        expect(locked).to_be_visible(timeout=60_000)
        # Whoever sits down at it later is not asked for a code that opens nothing.
        page.reload()
        expect(locked).to_be_visible(timeout=60_000)
        expect(page.get_by_text("une passerelle n’archive ni n’efface rien")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
        told = {"schema": 1, "is_alive": True, "is_locked": True, "alarms": 1}
        page.route("**/healthz", lambda route: route.fulfill(json=told))
        expect(page.get_by_role("alert")).to_contain_text("personne ne peut le lire ici")
        page.wait_for_function("() => document.title.startsWith('SOS (1)')")
        page.unroute("**/healthz")
        refused = page.locator("form .notice.bad", has_text="n'est pas le secret")
        give(page, "not the secret at all", refused)
        give(page, SECRET, page.locator("nav.menu"))
        assert alone.json(CENTRE, "status")["lock"]["is_locked"] is False
