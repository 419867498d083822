"""A phone whose lease has ended: its secret raises an SOS on the first page, and opens nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from meshnode.lease import BoundFile
from protocol.guards import LEASE_MS
from tests.web.browser import PHONE, Screen, screen_of
from tests.web.test_alarms import held
from tests.web.town import SECRET, Town

pytestmark = [pytest.mark.real, pytest.mark.slow]

NAME = "carla"
SECRET_LABEL = "Secret de l’appareil"


@pytest.fixture(scope="module")
def shut(town: Town) -> Iterator[str]:
    """One more agent of the town, whose phone has heard nothing of the centre for too long."""
    town.enrol(NAME, "agent", "Queyras")
    home = town.people.home(NAME)
    BoundFile(home / "lease").write(int(1_000 * time.time()) + LEASE_MS + 60_000)
    town.start(NAME)
    # What came since the lock rings here as well, above all that these tests look for.
    unread = town.json("alice", "sos", "quelque chose avant")["alarm"]
    town.until(lambda: town.json(NAME, "status")["alarms_unread"] > 0, 60)
    yield town.url(NAME).split("#")[0]
    town.stop(NAME)
    town.json("alice", "alarm", "close", unread, "--reason", "vu")


@pytest.fixture
def screen(shut: str, browser: Browser) -> Iterator[Screen]:
    # The node refuses to unlock, and knows nobody who has not signed in.
    with screen_of(browser, shut, is_refused=True) as screen:
        yield screen


def is_heard(town: Town, text: str) -> bool:
    """Tell whether Bruno has one alarm of hers with this text; others may have said the same."""
    found = town.json("bruno", "alarms")["alarms"]
    return sum((each["from"], each["text"]) == (NAME, text) for each in found) == 1


def told(page: Page) -> None:
    """Wait until the page says that another device has the alarm."""
    expect(page.locator(".raise [role=status]")).to_contain_text("un autre appareil l’a")


def test_whoever_cannot_unlock_is_shown_how_to_call_for_help(screen: Screen, town: Town) -> None:
    page = screen.page
    page.get_by_label(SECRET_LABEL).first.check()
    field = page.get_by_label(SECRET_LABEL, exact=True).last
    field.fill(SECRET)
    page.get_by_role("button", name="Déverrouiller").click()
    refusal = page.get_by_role("alert").filter(has_text="son secret lance un SOS")
    expect(refusal).to_be_visible()
    panel = page.get_by_role("region", name="Lancer un SOS")
    expect(panel).to_be_visible()
    # What was typed stays: nobody in need types it twice. A wrong one raises nothing.
    expect(field).to_have_value(SECRET)
    field.fill("ce ne sont pas les bons mots")
    with held(page):
        expect(panel.get_by_role("alert")).to_contain_text("n’est pas parti")
    with held(page):
        expect(panel.get_by_role("alert")).to_contain_text("Tapez d’abord le secret")
    field.fill(SECRET)
    panel.get_by_label("Ce qui se passe").fill("jambe cassée au col")
    with held(page):
        told(page)
    town.until(lambda: is_heard(town, "jambe cassée au col"), 60)
    assert town.json(NAME, "status")["lock"]["is_locked"]
    assert page.locator("nav.menu").count() == 0
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"]


def test_by_the_keyboard_alone(screen: Screen, town: Town) -> None:
    page = screen.page

    def tab_to(selector: str) -> None:
        for _ in range(12):
            if page.locator(selector).first.evaluate("x => x === document.activeElement"):
                return
            page.keyboard.press("Tab")
        raise AssertionError(selector)

    page.get_by_label(SECRET_LABEL).first.check()
    tab_to("input[type=password]")
    page.keyboard.type(SECRET)
    tab_to("button.alarm")
    page.keyboard.press("Enter")
    tab_to(".raise textarea")
    page.keyboard.type("par le clavier")
    tab_to(".hold")
    page.keyboard.down(" ")
    told(page)
    page.keyboard.up(" ")
    town.until(lambda: is_heard(town, "par le clavier"), 60)


def test_a_node_that_does_not_answer_takes_nothing_from_whoever_calls_for_help(
    screen: Screen,
) -> None:
    page = screen.page
    page.get_by_label(SECRET_LABEL).first.check()
    page.locator("input[type=password]").first.fill(SECRET)
    page.locator("button.alarm").click()
    page.locator(".raise textarea").focus()
    page.keyboard.type("je suis ")
    screen.is_node_gone = True
    page.route("**/healthz", lambda route: route.abort("connectionrefused"))
    expect(page.get_by_role("heading", name="Le nœud ne répond pas")).to_be_visible()
    page.keyboard.type("au col")
    expect(page.locator(".raise textarea")).to_have_value("je suis au col")
    page.unroute("**/healthz")
    expect(page.get_by_role("heading", name="Le nœud ne répond pas")).to_have_count(0)
    expect(page.locator("input[type=password]").first).to_have_value(SECRET)


def test_signed_in_by_a_code_the_page_of_the_sos_asks_for_the_secret(
    town: Town, shut: str, browser: Browser
) -> None:
    with screen_of(browser, town.url(NAME), is_refused=True) as screen:
        page = screen.page
        page.wait_for_selector("nav.menu")
        page.goto(f"{shut}#/sos")
        panel = page.get_by_role("region", name="Lancer un SOS")
        panel.get_by_label(SECRET_LABEL).fill(SECRET)
        panel.get_by_label("Ce qui se passe").fill("par le code")
        panel.get_by_role("button", name="Lancer sans maintenir").click()
        page.get_by_role("dialog").get_by_role("button", name="Lancer un SOS").click()
        told(page)
    town.until(lambda: is_heard(town, "par le code"), 60)
