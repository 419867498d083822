"""How soon an operator sees the console beside an archive of 30 days of 18,000 devices.

Run as `python -m tests.benchmarks.console_view [BUNDLES]`; needs the built screens and Chromium.
Prints seconds from the press to the page with all that it waits for: the overview after a reload,
the page of the archive, and a report of the last 30 days; and what the archive holds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import trio
from playwright.sync_api import Page

from meshnode.config import load_settings
from meshnode.gateway.archive.records import Taken
from meshnode.running import Access, open_guarded
from meshnode.runtime import system_runtime
from meshnode.vault.kinds import DAY_MS
from protocol.bundle import Scope
from protocol.ids import BundleId, NodeId, squad_id_of
from protocol.limits import Kind
from tests.web.browser import WIDE, browser_at, screen_of
from tests.web.pages import opened
from tests.web.town import CENTRE, SECRET, town_at

BUNDLES = 500_000
DEVICES = 18_000
DAYS = 30
_BATCH = 2_000
_KINDS = (*(Kind.POSITION,) * 6, Kind.STATE, Kind.TEXT, Kind.CHUNK, Kind.RECEIPT)
_BODY = bytes(200)


def _taken(number: int, bundles: int, now_ms: int) -> Taken:
    """Return a container of the month; a receipt among them says nothing that can be read."""
    device = number * 7919 % DEVICES
    created_ms = now_ms - (bundles - number) * DAYS * DAY_MS // bundles
    scope = Scope.for_squad(1, squad_id_of(1, f"squad {device // 9}")).encode()
    name = BundleId(NodeId(device.to_bytes(16, "big")), 1, number + 1)
    at_ms = created_ms + number * 104_729 % 600_000
    kind = _KINDS[number % len(_KINDS)]
    life_ms = created_ms + DAY_MS
    return Taken(False, name, bytes(32), kind, scope, created_ms, life_ms, at_ms, 2, _BODY)


async def _fill(home: Path, bundles: int) -> None:
    runtime = system_runtime()
    access = Access(lambda: SECRET)
    async with open_guarded(home, load_settings(home), runtime, access) as guard:
        assert guard.gateway is not None, "the home is the centre's"
        archive = await guard.gateway.archive()
        now_ms = runtime.now_ms()
        for start in range(0, bundles, _BATCH):
            stop = min(start + _BATCH, bundles)
            await archive.put([_taken(each, bundles, now_ms) for each in range(start, stop)])


def _seconds(page: Page, address: str) -> float:
    began_s = time.monotonic()
    opened(page, address)
    return time.monotonic() - began_s


def main() -> None:
    """Fill an archive, and open the console beside it."""
    bundles = int(sys.argv[1]) if len(sys.argv) > 1 else BUNDLES
    with tempfile.TemporaryDirectory() as folder, town_at(Path(folder), ["alice"]) as town:
        town.stop(CENTRE)
        home = town.people.home(CENTRE)
        began_s = time.monotonic()
        trio.run(partial(_fill, home, bundles))
        print(f"{bundles} bundles in {time.monotonic() - began_s:.0f} s")
        size = sum(each.stat().st_size for each in home.glob("archive*"))
        print(f"archive: {size / 2**20:.0f} MiB")
        town.start(CENTRE)
        with browser_at() as browser, screen_of(browser, town.url(CENTRE), WIDE) as screen:
            page = screen.page
            page.wait_for_selector("nav.menu")
            for _round in range(3):
                began_s = time.monotonic()
                page.reload()
                opened(page, "overview")
                print(f"first view: {time.monotonic() - began_s:.2f} s")
                print(f"archive page: {_seconds(page, 'archive'):.2f} s")
            began_s = time.monotonic()
            opened(page, "report")
            page.wait_for_selector("figure", timeout=300_000)
            print(f"report of 7 days: {time.monotonic() - began_s:.2f} s")


if __name__ == "__main__":
    main()
