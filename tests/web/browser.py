"""Debian's Chromium, driven without a network, and what a page must not do while it is driven."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    sync_playwright,
)

__all__ = ["PHONE", "WIDE", "Screen", "browser_at", "camera_at", "screen_of"]

PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1440, "height": 900}
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
]
_EXPECTED = (
    "net::ERR_CONNECTION_REFUSED",
    "net::ERR_CONNECTION_RESET",
    "net::ERR_SOCKET_NOT_CONNECTED",
    "net::ERR_EMPTY_RESPONSE",
    "net::ERR_INCOMPLETE_CHUNKED_ENCODING",
    "net::ERR_INTERNET_DISCONNECTED",
)
"""What a browser says by itself of a node that a test stopped."""


@contextmanager
def browser_at() -> Iterator[Browser]:
    """Run one browser; skips where there is none."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def camera_at(browser: Browser, film: Path) -> Iterator[Browser]:
    """Run another browser beside `browser`, whose camera sees a film (Y4M) again and again."""
    camera = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]
    path = shutil.which("chromium")
    other = browser.browser_type.launch(executable_path=path, args=[*_ARGUMENTS, *camera])
    yield other
    other.close()


@dataclass
class Screen:
    """One person's browser, and all that it did which it should not."""

    page: Page
    """What is driven."""
    context: BrowserContext
    """Its cookies and workers."""
    troubles: list[str] = field(default_factory=list)
    """Errors of the console and of scripts, and requests to others."""
    is_node_gone: bool = False
    """The test stopped the node: that its requests fail is right."""
    is_refused: bool = False
    """The test asks for what the node refuses, which a browser notes by itself."""
    is_said: str = ""
    """What the page may say besides, whenever it does; empty for nothing."""

    def on_console(self, message: ConsoleMessage) -> None:
        """Take note of errors and warnings."""
        text = message.text
        is_gone = self.is_node_gone and any(each in text for each in _EXPECTED)
        is_refused = self.is_refused and "the server responded with a status of 4" in text
        is_said = self.is_said != "" and self.is_said in text
        if message.type in ("error", "warning") and not (is_gone or is_refused or is_said):
            self.troubles.append(f"console: {message.text}")

    def on_error(self, error: Any) -> None:
        """Take note of what a script threw."""
        self.troubles.append(f"script: {error}")

    def on_request(self, request: Request) -> None:
        """Take note of what goes to another host."""
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            self.troubles.append(f"request to {parts.hostname}")


@contextmanager
def screen_of(
    browser: Browser,
    url: str,
    size: dict[str, int] = PHONE,
    *,
    is_refused: bool = False,
    **options: Any,
) -> Iterator[Screen]:
    """Open `url` in a browser of its own; fails at the end for all that it should not have done.

    `is_refused` where the page is refused something as soon as it opens.
    """
    context = browser.new_context(viewport=size, locale="fr-FR", **options)  # type: ignore[arg-type]
    context.set_default_timeout(60_000)
    screen = Screen(context.new_page(), context, is_refused=is_refused)
    context.on("console", screen.on_console)
    context.on("weberror", lambda error: screen.on_error(error.error))
    context.on("request", screen.on_request)
    try:
        screen.page.goto(url)
        yield screen
    finally:
        context.close()
    assert screen.troubles == [], screen.troubles
