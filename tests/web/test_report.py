"""The report on a screen: plots with their tables, fit for every size and everybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from playwright.sync_api import Page, Route, expect

from meshnode.gateway.archive.archive import open_archive
from meshnode.gateway.report.making import Plan, make
from tests.meshnode.gateway.parts import MASTER, NOW_MS, TODAY, node, runtime
from tests.meshnode.gateway.report_rows import FIRST_DAY, SIZES, month
from tests.web.browser import PHONE, WIDE
from tests.web.conftest import Opens
from tests.web.pages import coloured, opened
from tests.web.test_pages import AXE, RUNS_OVER, SMALLEST_PX, TOO_SMALL, serious
from tests.web.town import CENTRE

pytestmark = [pytest.mark.real, pytest.mark.slow]


async def _made(path: Path) -> dict[str, Any]:
    async with open_archive("", path, runtime(), node(90), MASTER) as archive:
        await archive.put(month(1).taken)
        plan = Plan(FIRST_DAY, TODAY, NOW_MS, SIZES, lambda _node: True)
        return await make(archive, plan)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a made-up month comes to: a town of three devices has nothing that may be shown."""
    return trio.run(_made, tmp_path_factory.mktemp("report") / "archive.sqlite")


def _answered(page: Page, report: dict[str, Any]) -> None:
    def answer(route: Route) -> None:
        route.fulfill(
            status=200, content_type="application/json", body=json.dumps({"schema": 1, **report})
        )

    page.route("**/api/archive/report*", answer)


def test_three_devices_are_too_few_to_be_shown(opens: Opens) -> None:
    page = opens(CENTRE, WIDE).page
    opened(page, "more")
    page.get_by_role("link", name="Rapport").click()
    expect(page.get_by_text("Trop peu d’appareils")).to_be_visible()
    expect(page.locator("figure")).to_have_count(0)


def test_plots_stand_beside_their_tables(opens: Opens, report: dict[str, Any]) -> None:
    page = opens(CENTRE, WIDE).page
    _answered(page, report)
    opened(page, "report")
    days = report["delivery"]["by_day"]
    bars = page.locator("section.card", has=page.get_by_role("heading", name="Messages"))
    expect(bars.locator(".plot-row")).to_have_count(len(days))
    expect(bars.locator(".plot-row rect")).to_have_count(4 * len(days))
    bars.get_by_text("En tableau").click()
    rows = bars.locator("tbody tr")
    expect(rows).to_have_count(len(days))
    expect(rows.last).to_contain_text(str(days[-1]["messages"]))
    page.locator(".map-filters select").last.select_option("by_zone")
    expect(page.get_by_text("zone 1").first).to_be_visible()
    expect(page.get_by_text("autres ensemble").first).to_be_attached()
    squares = page.locator(".plot-squares rect.none")
    expect(squares.first).to_be_visible()
    expect(page.get_by_text("ni prise en charge ni fin connue")).to_be_visible()


def test_the_report_is_fit_for_everybody(opens: Opens, report: dict[str, Any]) -> None:
    page = opens(CENTRE, PHONE, bypass_csp=True, reduced_motion="reduce").page
    _answered(page, report)
    page.add_script_tag(path=str(AXE))
    opened(page, "report")
    expect(page.locator("figure").first).to_be_visible()
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    wrong: dict[str, Any] = {"small": page.evaluate(TOO_SMALL, SMALLEST_PX)}
    for colours in ("light", "dark"):
        coloured(page, colours)
        wrong[colours] = serious(page)
    for width in (320, 768, 3840):
        page.set_viewport_size({"width": width, "height": 900})
        over = page.evaluate("document.documentElement.scrollWidth") - width
        wrong[f"{width}"] = [*page.evaluate(RUNS_OVER), *([over] if over > 0 else [])]
    found = {place: what for place, what in wrong.items() if what}
    assert found == {}, json.dumps(found, indent=1, ensure_ascii=False)
