"""The network goes away under an open page, and comes back: nothing is lost, nothing is made up."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.web.browser import WIDE
from tests.web.conftest import Opens
from tests.web.pages import opened, until
from tests.web.test_alarms import close_all, is_quiet
from tests.web.town import Town

pytestmark = [pytest.mark.real, pytest.mark.slow]

TO_BRUNO = "Message pour bruno"
STORY = re.compile(r"/api/messages/\d+$")
LISTEN = """() => {
  window.told = [];
  const note = () => window.told.push(document.querySelector('.banner')?.textContent ?? '');
  new MutationObserver(note).observe(
    document.querySelector('.body'), {subtree: true, childList: true, characterData: true});
}"""
"""Notes all that the banner says, however short."""


def have_in_contact(page: Page) -> None:
    """Have the node say that everybody is in contact."""
    found = page.evaluate("fetch('/api/board').then(answer => answer.json())")
    for each in found["mates"]:
        each["is_in_contact"] = True
    body = json.dumps(found)

    def tell(route: Route) -> None:
        route.fulfill(status=200, content_type="application/json", body=body)

    page.route("**/api/board", tell)


def has_come(town: Town) -> bool:
    """Tell whether Alice's node has what was written while her page was cut off."""
    found = town.json("alice", "inbox")["messages"]
    return any(each["text"] == "écrit pendant la coupure" for each in found)


def test_a_page_says_that_it_is_cut_off_and_catches_up_by_itself(opens: Opens, town: Town) -> None:
    close_all(town)
    screen = opens("alice", WIDE)
    page = screen.page
    have_in_contact(page)
    page.reload()
    opened(page, "messages/bruno")
    field = page.get_by_label(TO_BRUNO)
    field.fill("parti avant")
    page.keyboard.press("Enter")
    mark = page.locator(".bubble.out", has_text="parti avant").locator(".mark")
    expect(mark).to_be_visible()
    screen.is_node_gone = True
    screen.context.set_offline(True)
    expect(page.locator(".banner")).to_contain_text("Le nœud ne répond pas")
    expect(page.locator(".menu-head")).to_contain_text("Le nœud ne répond pas")
    # What cannot leave is not shown as sent, and stays in its field.
    field.fill("pas encore parti")
    page.keyboard.press("Enter")
    expect(page.locator(".toast.bad")).to_contain_text("ne répond pas")
    expect(field).to_have_value("pas encore parti")
    expect(page.locator(".bubble", has_text="pas encore parti")).to_have_count(0)
    page.evaluate("location.hash = '#/squad'")
    expect(page.locator(".mate", has_text="bruno")).to_be_visible()
    expect(page.locator(".mate", has_text="bruno")).not_to_contain_text("en contact")
    town.json("bruno", "sos", "pendant la coupure")
    town.json("bruno", "send", "alice", "écrit pendant la coupure")
    town.until(lambda: not is_quiet(town, "alice") and has_come(town), 60)
    screen.context.set_offline(False)
    expect(page.get_by_role("alert").first).to_contain_text("pendant la coupure")
    expect(page.locator(".banner")).to_have_count(0)
    expect(page.locator(".mate", has_text="bruno")).to_contain_text("en contact")
    page.evaluate("location.hash = '#/messages/bruno'")
    expect(page.locator(".bubble.in", has_text="écrit pendant la coupure")).to_be_visible()
    expect(field).to_have_value("pas encore parti")
    field.press("Enter")
    expect(page.locator(".bubble.out", has_text="pas encore parti")).to_have_count(1)
    # The stream lives again.
    town.json("bruno", "send", "alice", "et après")
    expect(page.locator(".bubble.in", has_text="et après")).to_be_visible()
    close_all(town)


def test_what_comes_between_a_look_and_the_stream_is_shown(opens: Opens, town: Town) -> None:
    page = opens("alice").page
    held: list[Route] = []
    page.route("**/api/events", lambda route: held.append(route))
    page.goto(page.url.split("#")[0] + "#/messages/bruno")
    page.reload()
    until(page, lambda: bool(held))
    sent = town.json("bruno", "send", "alice", "entre deux regards")["message"]

    def has_arrived() -> bool:
        found = town.json("alice", "inbox")["messages"]
        return any(each["message"] == sent for each in found)

    town.until(has_arrived, 60)
    held.pop().continue_()
    expect(page.locator(".bubble.in", has_text="entre deux regards")).to_be_visible()


def test_a_page_that_is_given_no_stream_shows_what_is_now(opens: Opens) -> None:
    screen = opens("alice")
    page = screen.page
    screen.is_said = "status of 503"
    busy = {"schema": 1, "error": {"kind": "busy", "message": "trop de demandes"}}
    page.route("**/api/events", lambda route: route.fulfill(status=503, json=busy))
    page.reload()
    page.goto(page.url.split("#")[0] + "#/squad")
    expect(page.locator(".mate", has_text="bruno")).to_be_visible()


def test_a_stream_that_died_without_a_word_is_asked_for_anew(opens: Opens) -> None:
    page = opens("alice").page
    streams: list[Request] = []
    page.on("request", lambda each: streams.append(each) if "/api/events" in each.url else None)
    page.clock.install()
    page.reload()
    page.wait_for_selector("nav.menu")
    expect(page.locator(".banner")).to_have_count(0)
    assert len(streams) == 1
    # The clock of the page runs ahead: as if no sign of life had come for a minute.
    page.clock.fast_forward(61_000)
    until(page, lambda: len(streams) > 1)
    assert len(streams) == 2
    expect(page.locator(".banner")).to_have_count(0)


def test_a_page_that_knows_nobody_any_more_says_that_it_shows_nothing(
    opens: Opens, town: Town
) -> None:
    screen = opens("alice", WIDE)
    page = screen.page
    opened(page, "messages/bruno")
    screen.is_node_gone = screen.is_refused = True
    town.json("alice", "web", "close")
    expect(page.locator(".gate .notice")).to_contain_text("cet écran ne montre rien")
    expect(page).to_have_title("meshnode")
    page.evaluate("url => { location.hash = new URL(url).hash }", town.url("alice"))
    page.wait_for_selector("nav.menu")


def test_a_node_that_hangs_keeps_nobody_from_the_screens(opens: Opens, town: Town) -> None:
    screen = opens("alice")
    page = screen.page
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.wait_for_function("() => navigator.serviceWorker.controller")
    screen.is_node_gone = True
    node = town.running["alice"].pid
    os.kill(node, signal.SIGSTOP)
    try:
        page.reload(wait_until="commit", timeout=30_000)
        expect(page.get_by_text("Appel du nœud")).to_be_visible()
    finally:
        os.kill(node, signal.SIGCONT)
    page.wait_for_selector("nav.menu")


def test_an_answer_that_is_cut_off_is_none(opens: Opens, town: Town) -> None:
    """Half an answer with a good status would else be taken for one that says nothing."""
    page = opens("alice", WIDE).page
    town.json("alice", "send", "bruno", "à moitié raconté")

    def cut(route: Route) -> None:
        route.fulfill(status=200, content_type="application/json", body='{"matrix": [')

    page.route(STORY, cut)
    page.evaluate(LISTEN)
    opened(page, "messages/bruno")
    expect(page.locator(".bubble.out", has_text="à moitié raconté")).to_be_visible()
    # Other answers come whole, and the next of them takes the banner away again.
    page.wait_for_function("() => window.told.some(each => each.includes('Le nœud ne répond pas'))")
    page.unroute(STORY)
    expect(
        page.locator(".bubble.out", has_text="à moitié raconté").locator(".mark")
    ).to_be_visible()
