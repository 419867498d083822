"""Who is signed in sees what is theirs: not what the last one saw, nor more than their role."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, Route, expect

from tests.web.browser import Screen
from tests.web.conftest import Opens
from tests.web.crowd import stand_in
from tests.web.pages import opened, standing_still, until
from tests.web.test_alarms import close_all
from tests.web.test_disk import CATCH, EVENT
from tests.web.town import Town

pytestmark = [pytest.mark.real, pytest.mark.slow]

TO_SQUAD = "Message pour Queyras"


def sign_out(screen: Screen) -> None:
    page = screen.page
    opened(page, "settings")
    # What is on its way at that moment is refused.
    screen.is_refused = True
    page.get_by_role("button", name="Fermer la session").click()
    expect(page.get_by_role("heading", name="Ouvrir les écrans")).to_be_visible()


def raise_without_holding(page: Page) -> None:
    page.get_by_role("button", name="Lancer sans maintenir").click()
    page.get_by_role("dialog").get_by_role("button", name="Lancer un SOS").click()


def handed_over(opens: Opens, town: Town) -> tuple[Page, list[Route]]:
    """Give a page that somebody else signed in to, and what is asked of the board, held back.

    The last of it was asked by whoever has left.
    """
    screen = opens("alice")
    page = screen.page
    held: list[Route] = []
    page.route("**/api/board", lambda route: held.append(route))
    page.reload()
    page.wait_for_selector("nav.menu")
    until(page, lambda: bool(held))
    sign_out(screen)
    page.goto(town.url("alice"))
    page.wait_for_selector("nav.menu")
    return page, held


def test_an_answer_that_comes_late_is_not_shown_to_the_next_one(opens: Opens, town: Town) -> None:
    page, held = handed_over(opens, town)
    mate = {"node": "0" * 32, "name": "fantome", "squad": "squad:Queyras", "role": "agent"}
    answer = {"schema": 1, "now_ms": 0, "stale_s": {}, "is_relay": False, "mates": [mate]}
    first = held[-1]
    before = len(held)
    first.fulfill(status=200, content_type="application/json", body=json.dumps(answer))
    opened(page, "settings")
    page.goto(page.url.split("#")[0] + "#/squad")
    expect(page.get_by_text("Chargement").first).to_be_visible()
    # Asked anew for whoever is signed in now; and the one before is nobody here.
    until(page, lambda: len(held) > before)
    expect(page.locator(".mate", has_text="fantome")).to_have_count(0)


def test_a_refusal_that_comes_late_does_not_sign_out_the_next_one(opens: Opens, town: Town) -> None:
    page, held = handed_over(opens, town)
    page.evaluate("window.menu = document.querySelector('nav.menu')")
    before = len(held)
    error = {"kind": "signed_out", "message": "personne"}
    held[-1].fulfill(status=401, json={"schema": 1, "error": error})
    until(page, lambda: len(held) > before)
    assert page.evaluate("window.menu.isConnected")


def test_nothing_is_asked_for_whoever_has_left(opens: Opens) -> None:
    screen = opens("alice")
    page = screen.page
    page.add_init_script(CATCH)
    page.clock.install()
    page.reload()
    opened(page, "settings")
    expect(page.locator(".banner")).to_have_count(0)
    with standing_still(page):
        # Many events in a row come to one question, a moment later.
        page.evaluate(EVENT, {"event": "bundles_stored"})
        sign_out(screen)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.clock.run_for(1_000)
    page.wait_for_timeout(200)
    assert [url for url in asked if "/api/" in url] == []


def test_what_was_begun_is_gone_for_whoever_comes_after(opens: Opens, town: Town) -> None:
    screen = opens("alice")
    page = screen.page
    opened(page, "messages/squad%3AQueyras")
    page.get_by_label(TO_SQUAD).fill("pas pour les autres")
    opened(page, "map")
    opened(page, "messages/squad%3AQueyras")
    expect(page.get_by_label(TO_SQUAD)).to_have_value("pas pour les autres")
    sign_out(screen)
    page.evaluate("url => { location.hash = new URL(url).hash }", town.url("alice"))
    page.wait_for_selector("nav.menu")
    opened(page, "messages/squad%3AQueyras")
    expect(page.get_by_label(TO_SQUAD)).to_have_value("")


def test_a_reader_sees_the_map_and_is_offered_nothing_else(opens: Opens, town: Town) -> None:
    token = town.json("alice", "web", "token", "add", "wall", "--role", "reader")["token"]
    screen = opens("alice")
    page = screen.page
    stand_in(page, devices=1, on_duty=1)
    opened(page, "messages/squad%3AQueyras")
    sign_out(screen)
    page.get_by_label("Jeton nommé").first.check()
    page.get_by_role("textbox").fill(token)
    page.get_by_role("button", name="Entrer").click()
    opened(page, "messages")
    expect(page.get_by_role("heading", level=1)).to_have_text("Carte")
    expect(page.locator("nav.menu li")).to_have_count(2)
    row = page.locator(".map-list .row", has_text="agent 0")
    expect(row).to_be_visible()
    expect(page.locator(".map-list .row.stale")).to_have_count(0)
    row.click()
    opened(page, "more")
    expect(page.locator(".page .row")).to_have_count(1)


def test_the_screens_come_back_by_themselves_after_a_refusal(opens: Opens) -> None:
    """A node that sheds load refuses for a moment; nobody has to reload for its alarms."""
    screen = opens("alice")
    page = screen.page
    screen.is_node_gone = True
    screen.is_said = "status of 503"
    busy = json.dumps({"schema": 1, "error": {"kind": "busy", "message": "trop de demandes"}})

    def refuse(route: Route) -> None:
        route.fulfill(status=503, content_type="application/json", body=busy)

    page.route("**/api/events", lambda route: route.abort("connectionrefused"), times=1)
    page.route("**/api/session", refuse, times=1)
    page.reload()
    page.wait_for_selector("nav.menu")
    expect(page.locator(".banner")).to_have_count(0)


def test_an_sos_that_was_not_sent_says_so_until_it_is(opens: Opens, town: Town) -> None:
    screen = opens("bruno")
    page = screen.page
    opened(page, "sos")
    screen.is_node_gone = True
    page.route("**/api/sos", lambda route: route.abort("connectionrefused"), times=1)
    page.get_by_label("Ce qui se passe").fill("essai manqué")
    raise_without_holding(page)
    expect(page.locator(".raise [role=alert]")).to_contain_text("n’est pas parti")
    raise_without_holding(page)
    expect(page.get_by_role("heading", level=1, name="Votre SOS")).to_be_visible()
    close_all(town)
