"""The pages that each kind of person sees, by address; what walks over all of them takes this."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from playwright.sync_api import Page, Route, expect

from tests.patience import HANGS_S

__all__ = ["AGENT", "CENTRAL", "coloured", "opened", "stand_in_for", "standing_still", "until"]

AGENT = {
    "messages": "messages",
    "conversation": "messages/squad%3AQueyras",
    "squad": "squad",
    "map": "map",
    "sos": "sos",
    "more": "more",
    "sheets": "sheets",
    "check": "check",
    "node": "node",
    "card": "card",
    "enrol": "enrol",
    "settings": "settings",
}
CENTRAL = {
    each: AGENT.get(each, each)
    for each in (
        "overview",
        "messages",
        "map",
        "sos",
        "node",
        "archive",
        "report",
        "retention",
        "rosters",
        "orders",
    )
}
"""What the operations centre sees otherwise than an agent."""


def opened(page: Page, address: str) -> None:
    """Go to a page and wait until nothing on it is fetched any more."""
    page.goto(page.url.split("#")[0] + f"#/{address}")
    page.wait_for_selector(".page-head h1 >> visible=true")
    page.wait_for_function(
        "() => !document.querySelector('.page > .muted.pad, .card > .muted.pad')"
    )
    page.wait_for_timeout(150)


def coloured(page: Page, scheme: Literal["light", "dark"]) -> None:
    """Have the system of a page be light or dark, and wait until the page is so."""
    page.emulate_media(color_scheme=scheme)
    theme = {"light": "day", "dark": "night"}[scheme]
    expect(page.locator("html")).to_have_attribute("data-theme", theme)


def until(page: Page, holds: Callable[[], bool]) -> None:
    """Wait until something holds that the page brings about by what it asks for."""
    until_s = time.monotonic() + HANGS_S
    while not holds():
        assert time.monotonic() < until_s, "it did not come about"
        page.wait_for_timeout(50)


@contextmanager
def standing_still(page: Page) -> Iterator[None]:
    """Let no time pass on a page but what `page.clock` is told, however slow the machine is.

    The page's clock must have been installed.
    """
    page.clock.pause_at(page.evaluate("Date.now()") / 1_000 + 10)
    yield
    page.clock.resume()


def stand_in_for(page: Page, answers: Mapping[str, Any]) -> None:
    """Let the node answer these, by the addresses behind `/api/`, each as it is when asked."""
    for address, answer in answers.items():
        _give(page, address, answer)


def _give(page: Page, address: str, answer: Any) -> None:
    def give(route: Route) -> None:
        route.fulfill(json=answer)

    page.route(f"**/api/{address}", give)
