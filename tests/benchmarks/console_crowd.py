"""How the console of an operator stands a zone of 18,000 devices, 2,000 of them on duty.

Run as `python -m tests.benchmarks.console_crowd`; needs the built screens and Chromium. The rosters
and the board are answered in the browser, so that what is measured is the work of the browser:
seconds until each page is drawn, and the longest time it leaves nobody else a turn while it stands
there for a quarter of a minute, in which every age on it grows.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page

from tests.web.browser import WIDE, browser_at, screen_of
from tests.web.crowd import stand_in
from tests.web.pages import opened
from tests.web.town import CENTRE, town_at

STANDS_MS = 15_000
LONG = """() => {
  window.long = [];
  new PerformanceObserver(list => {
    for (const each of list.getEntries()) window.long.push(each.duration);
  }).observe({entryTypes: ['longtask']});
}"""


def measured(page: Page, title: str, address: str, wanted: str) -> None:
    """Print how soon a page is drawn, and how long it hinders others while it stands there."""
    opened(page, "settings")
    page.evaluate("window.long.length = 0")
    began_s = time.monotonic()
    opened(page, address)
    page.wait_for_selector(wanted)
    drawn_s = time.monotonic() - began_s
    page.evaluate("window.long.length = 0")
    page.wait_for_timeout(STANDS_MS)
    long: list[float] = page.evaluate("window.long")
    print(f"{title}: {drawn_s:.2f} s; then long tasks of {[round(each) for each in long]} ms")


def main() -> None:
    """Open the pages that show everybody."""
    with (
        tempfile.TemporaryDirectory() as folder,
        town_at(Path(folder), []) as town,
        browser_at() as browser,
        screen_of(browser, town.url(CENTRE), WIDE) as screen,
    ):
        page = screen.page
        page.wait_for_selector("nav.menu")
        stand_in(page)
        for _round in range(2):
            began_s = time.monotonic()
            page.reload()
            page.wait_for_selector("tbody tr")
            print(f"first view, the overview: {time.monotonic() - began_s:.2f} s")
        page.evaluate(LONG)
        measured(page, "overview", "overview", "tbody tr")
        measured(page, "rosters", "rosters", "tbody tr")
        began_s = time.monotonic()
        page.get_by_role("searchbox").fill("agent 17999")
        page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 1")
        print(f"a name is found: {time.monotonic() - began_s:.2f} s")
        measured(page, "messages", "messages", ".rows .row")
        began_s = time.monotonic()
        page.get_by_role("button", name="Écrire à").click()
        page.wait_for_selector("dialog .row")
        page.evaluate("() => new Promise(requestAnimationFrame)")
        print(f"whom to write to: {time.monotonic() - began_s:.2f} s")


if __name__ == "__main__":
    main()
