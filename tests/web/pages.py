"""The pages that each kind of person sees, by address; what walks over all of them takes this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Page, Route

__all__ = ["AGENT", "CENTRAL", "opened", "stand_in_for"]

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


def stand_in_for(page: Page, answers: Mapping[str, Any]) -> None:
    """Let the node answer these, by the addresses behind `/api/`, each as it is when asked."""
    for address, answer in answers.items():
        _give(page, address, answer)


def _give(page: Page, address: str, answer: Any) -> None:
    def give(route: Route) -> None:
        route.fulfill(json=answer)

    page.route(f"**/api/{address}", give)
