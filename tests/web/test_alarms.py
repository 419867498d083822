"""An SOS raised on one screen rings on another until somebody says that they saw it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser import WIDE
from tests.web.conftest import Opens
from tests.web.test_conversations import reach
from tests.web.town import CENTRE, Town

pytestmark = [pytest.mark.real, pytest.mark.slow]


def hold(page: Page, ms: int) -> None:
    button = page.locator("button.hold")
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.wait_for_timeout(ms)
    page.mouse.up()


def go(page: Page, name: str) -> None:
    page.goto(page.url.split("#")[0] + f"#/{name}")


def close_all(town: Town) -> None:
    for alarm in town.json(CENTRE, "alarms")["alarms"]:
        if alarm["state"] != "closed":
            town.json(CENTRE, "alarm", "close", alarm["alarm"])


@pytest.fixture(autouse=True)
def silence(town: Town) -> None:
    """Begin without an alarm of another test."""
    close_all(town)


def test_raised_by_holding_taken_elsewhere_and_closed(opens: Opens, town: Town) -> None:
    alice, centre = opens("alice").page, opens(CENTRE, WIDE).page
    go(alice, "sos")
    alice.get_by_label("Ce qui se passe").fill("jambe cassée au col")
    hold(alice, 700)
    assert not [
        each for each in town.json("alice", "alarms")["alarms"] if each["state"] != "closed"
    ]
    hold(alice, 1_900)
    expect(alice.get_by_role("heading", level=1, name="Votre SOS")).to_be_visible()
    bar = centre.get_by_role("alert")
    expect(bar).to_contain_text("SOS de alice", timeout=30_000)
    expect(bar).to_contain_text("jambe cassée")
    expect(centre).to_have_title(re.compile(r"SOS \(1\)"))
    # Seen: it rings no more here, and the agent learns it.
    bar.get_by_role("button", name="J’ai vu").click()
    expect(bar).to_have_text("")
    expect(centre).not_to_have_title(re.compile("SOS \\("))
    expect(alice.locator(".alarm-card")).to_contain_text("Vu par 1 personne", timeout=30_000)
    go(centre, "sos")
    centre.locator(".alarm-row", has_text="alice").click()
    centre.get_by_role("button", name="J’y vais").click()
    expect(alice.locator(".alarm-card")).to_contain_text("codt-gap y va", timeout=30_000)
    centre.get_by_role("button", name="Je suis sur place").click()
    expect(alice.locator(".alarm-card")).to_contain_text("codt-gap sur place", timeout=30_000)
    centre.get_by_role("button", name="Clore l’alerte").click()
    dialog = centre.get_by_role("dialog")
    dialog.get_by_role("button", name="Clore l’alerte").click()
    expect(alice.locator(".alarm-card")).to_contain_text("Terminé", timeout=30_000)


def test_raised_by_keyboard_alone_out_of_a_shift(opens: Opens, town: Town) -> None:
    page = opens("bruno").page
    go(page, "sos")
    expect(page.locator("button.hold")).to_be_visible()
    reach(page, "textarea", "")
    page.keyboard.type("par le clavier")
    reach(page, "button.hold", "")
    page.keyboard.down("Space")
    expect(page.locator("button.hold")).to_contain_text("Encore")
    expect(page.get_by_role("heading", level=1, name="Votre SOS")).to_be_visible()
    page.keyboard.up("Space")
    (alarm,) = (
        each for each in town.json("bruno", "alarms")["alarms"] if each["state"] != "closed"
    )
    assert (alarm["text"], alarm["is_own"], alarm["place"]) == ("par le clavier", True, None)


def test_raised_without_holding_by_two_presses(opens: Opens) -> None:
    page = opens("bruno").page
    go(page, "sos")
    page.get_by_role("button", name="Lancer sans maintenir").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Lancer sans maintenir").click()
    page.get_by_role("dialog").get_by_role("button", name="Lancer un SOS").click()
    expect(page.get_by_role("heading", level=1, name="Votre SOS")).to_be_visible()


def test_what_presses_without_holding_is_asked(opens: Opens) -> None:
    page = opens("bruno").page
    go(page, "sos")
    # As a screen reader or a switch does it: a click without a finger or a key.
    page.locator("button.hold").evaluate("button => button.click()")
    expect(page.get_by_role("dialog")).to_contain_text("Lancer un SOS ?")
