"""How long a browser takes to show a new batch of 2,000 live positions on the operator's map.

Run as `python -m tests.benchmarks.live_markers`; needs the built screens and Chromium. Each batch
comes by the page's own way: an event of the node, a fetch, the map and the list beside it. It is
timed from the arrival of the answer to the second frame after it, which was drawn with it. The
floor is the same with no position in the answer: parsing and two frames. All of them move in every
batch.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route

from tests.web.browser import WIDE, browser_at, screen_of
from tests.web.pages import opened
from tests.web.town import CENTRE, town_at

POSITIONS = 2_000
ROUNDS = 6
VIEWS = {
    "a region": (3.0, 5.0, 0),
    "a valley": (0.6, 1.0, 0),
    "one camp": (0.006, 0.012, 0),
    "one camp, as near as can be": (0.006, 0.012, 6),
}
"""Height and width in degrees over which they are spread, and steps nearer than to see all."""
TIMED = """() => {
  window.took = [];
  const fetched = window.fetch;
  window.fetch = async (...asked) => {
    const answer = await fetched(...asked);
    if (String(asked[0]).includes('api/positions')) {
      const text = await answer.text();
      const began = performance.now();
      answer.json = async () => {
        const found = JSON.parse(text);
        requestAnimationFrame(() => requestAnimationFrame(() => {
          window.took.push(performance.now() - began);
        }));
        return found;
      };
    }
    return answer;
  };
}"""


class Crowd:
    """Answers with so many positions, each a little further every time."""

    def __init__(self, height: float, width: float, now_ms: int) -> None:
        self._size = height, width
        self._now_ms = now_ms
        self.count = POSITIONS
        self._batch = 0

    def answer(self, route: Route) -> None:
        """Answer the question for all positions."""
        self._batch += 1
        positions = [self._one(number) for number in range(self.count)]
        body = json.dumps({"schema": 1, "positions": positions})
        route.fulfill(status=200, content_type="application/json", body=body)

    def _one(self, number: int) -> dict[str, Any]:
        height, width = self._size
        moved = self._batch * 1e-5
        chance = random.Random(number)
        return {
            "node": f"{number:032x}",
            "name": f"agent {number}",
            "to": f"squad:{number // 9}",
            "latitude": 44.5 + height * chance.random() + moved,
            "longitude": 5.5 + width * chance.random() + moved,
            "accuracy_m": 10,
            "taken_ms": self._now_ms + self._batch,
            "age_s": 1,
            "is_stale": False,
            "is_author_revoked": False,
        }


def main() -> None:
    """Print milliseconds for each view."""
    with tempfile.TemporaryDirectory() as folder, town_at(Path(folder), ["alice"]) as town:
        town.json("alice", "shift", "open")

        def tell(number: int) -> None:
            town.json("alice", "position", "44.6", f"6.{number:04}")

        with browser_at() as browser:
            for name, (height, width, nearer) in VIEWS.items():
                with screen_of(browser, town.url(CENTRE), WIDE) as screen:
                    page = screen.page
                    page.wait_for_selector("nav.menu")
                    crowd = Crowd(height, width, page.evaluate("Date.now()"))
                    page.route("**/api/positions", crowd.answer)
                    page.evaluate(TIMED)
                    print(f"{name}: {_measured(page, crowd, tell, nearer)}")


def _measured(page: Page, crowd: Crowd, tell: Any, nearer: int) -> str:
    opened(page, "map")
    crowd.count = 0
    floor = _rounds(page, tell)
    crowd.count = POSITIONS
    first = _rounds(page, tell, 1)[0]
    page.locator(".map-all").click()
    page.wait_for_timeout(1_000)
    for _step in range(nearer):
        page.locator(".leaflet-control-zoom-in").click()
        page.wait_for_timeout(1_000)
    took = _rounds(page, tell)
    markers = page.locator(".spot-frame").count()
    return (
        f"{POSITIONS} positions, {markers} markers: median {statistics.median(took):.0f} ms, "
        f"most {max(took):.0f} ms; first {first:.0f} ms; floor {statistics.median(floor):.0f} ms"
    )


def _rounds(page: Page, tell: Any, rounds: int = ROUNDS) -> list[float]:
    found: list[float] = []
    for number in range(rounds):
        page.evaluate("window.took.length = 0")
        tell(number)
        page.wait_for_function("() => window.took.length > 0", timeout=60_000)
        found += page.evaluate("window.took.splice(0)")
    return found


if __name__ == "__main__":
    main()
