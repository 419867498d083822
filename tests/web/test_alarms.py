"""An SOS raised on one screen rings on another until somebody says that they saw it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.web.browser import WIDE
from tests.web.conftest import Opens
from tests.web.pages import stand_in_for, standing_still, until
from tests.web.test_conversations import reach
from tests.web.town import CENTRE, Town

pytestmark = [pytest.mark.real, pytest.mark.slow]


NOT_HELD_MS = 1_400
"""A button that is let go after so long was not held."""


@contextmanager
def held(page: Page) -> Iterator[None]:
    """Hold the button down for as long as it takes."""
    button = page.locator("button.hold")
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    yield
    page.mouse.up()


def go(page: Page, name: str) -> None:
    page.goto(page.url.split("#")[0] + f"#/{name}")


def close_all(town: Town) -> None:
    """Close whatever alarm there is, also one that is still on its way, until all know it."""

    def is_over() -> bool:
        for alarm in town.json(CENTRE, "alarms")["alarms"]:
            if alarm["state"] != "closed":
                # That somebody else closes it at this moment is as good.
                town.tries(CENTRE, "alarm", "close", alarm["alarm"])
        return all(is_quiet(town, name) for name in town.running)

    town.until(is_over, 60)


def is_quiet(town: Town, name: str) -> bool:
    return all(each["state"] == "closed" for each in town.json(name, "alarms")["alarms"])


@pytest.fixture(autouse=True)
def silence(town: Town) -> None:
    """Begin without an alarm of another test."""
    close_all(town)


def test_raised_by_holding_taken_elsewhere_and_closed(opens: Opens, town: Town) -> None:
    alice, centre = opens("alice").page, opens(CENTRE, WIDE).page
    go(alice, "sos")
    alice.get_by_label("Ce qui se passe").fill("jambe cassée au col")
    # Whoever looks at the map in between finds the words again.
    go(alice, "map")
    expect(alice.locator(".live-map")).to_be_visible()
    go(alice, "sos")
    expect(alice.get_by_label("Ce qui se passe")).to_have_value("jambe cassée au col")
    alice.clock.install()
    with standing_still(alice), held(alice):
        alice.clock.run_for(NOT_HELD_MS)
        expect(alice.locator("button.hold")).to_contain_text("Encore")
    assert is_quiet(town, "alice")
    with held(alice):
        expect(alice.get_by_role("heading", level=1, name="Votre SOS")).to_be_visible()
    # Before anybody answers: the device of another has it.
    expect(alice.locator(".alarm-card")).to_contain_text("Il est parti")
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
    centre.locator(".alarm-row.seen", has_text="alice").click()
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
    page.clock.install()
    with standing_still(page):
        page.keyboard.down("Space")
        page.clock.run_for(NOT_HELD_MS)
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


TONES = """(() => {
  window.tones = 0;
  const make = AudioContext.prototype.createOscillator;
  AudioContext.prototype.createOscillator = function () {
    window.tones++;
    return make.call(this);
  };
  // What drives the browser counts as a hand for it; here a press alone does.
  let pressed = false;
  addEventListener('pointerdown', () => (pressed = true), true);
  Object.defineProperty(navigator, 'userActivation', {
    value: { get hasBeenActive() { return pressed; }, get isActive() { return pressed; } },
  });
})()"""


def test_it_sounds_again_and_again_until_somebody_saw_it(opens: Opens, town: Town) -> None:
    touched, untouched = opens(CENTRE, WIDE).page, opens(CENTRE, WIDE).page
    for page in (touched, untouched):
        page.add_init_script(TONES)
        page.reload()
        page.wait_for_selector("nav.menu")
    # A browser lets no page sound that nobody has touched; the page says so itself.
    touched.locator("h1").click()
    alarm = town.json("alice", "sos", "par le son")["alarm"]
    touched.wait_for_function("() => window.tones >= 6", timeout=30_000)
    button = untouched.get_by_role("button", name="Activer le son")
    expect(button).to_be_visible()
    assert untouched.evaluate("window.tones") == 0
    button.click()
    untouched.wait_for_function("() => window.tones >= 3")
    town.json(CENTRE, "alarm", "seen", alarm)
    expect(touched.get_by_role("alert")).to_have_text("")
    heard = touched.evaluate("window.tones")
    touched.wait_for_timeout(3_000)
    assert touched.evaluate("window.tones") == heard


def test_a_gateway_offers_no_answer_and_says_where_one_is_given(opens: Opens, town: Town) -> None:
    """What a gateway signs of an alarm counts for nothing: each button would be refused."""
    alarm = town.json("alice", "sos", "devant la passerelle")["alarm"]
    town.until(lambda: not is_quiet(town, CENTRE), 60)
    page = opens(CENTRE, WIDE).page
    found = town.json(CENTRE, "alarms")["alarms"]
    stand_in_for(page, {"alarms": {"schema": 1, "alarms": _machine(found)}})
    story = town.json(CENTRE, "alarm", "show", alarm)
    stand_in_for(page, {f"alarms/{alarm}": {"schema": 1, **_machine([story])[0]}})
    page.reload()
    bar = page.get_by_role("alert")
    expect(bar).to_contain_text("Cet appareil est une passerelle")
    expect(bar.get_by_role("button", name="J’ai vu")).to_have_count(0)
    bar.get_by_role("link", name="Ouvrir").click()
    expect(page.locator("main .notice")).to_contain_text("l’appareil d’un opérateur")
    for words in ("J’ai vu", "J’y vais", "Sur place", "Clore l’alerte"):
        expect(page.get_by_role("button", name=words)).to_have_count(0)
    # Once somebody goes it is quiet here too.
    goes = [
        {**each, "state": "taken", "taken": [SOMEBODY], "is_pressing": False}
        for each in _machine(found)
    ]
    stand_in_for(page, {"alarms": {"schema": 1, "alarms": goes}})
    page.reload()
    page.wait_for_selector(".alarm-row")
    expect(page.get_by_role("alert")).to_have_text("")


SOMEBODY = {"name": "bruno", "node": "abcd", "at_ms": 1_780_000_000_000, "text": ""}


def _machine(alarms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the alarms as a gateway tells them."""
    return [{**each, "can_answer": False} for each in alarms]


def test_raised_by_a_thumb_that_moves_while_it_holds(opens: Opens, town: Town) -> None:
    page = opens("alice", has_touch=True, is_mobile=True).page
    go(page, "sos")
    button = page.locator("button.hold")
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box is not None
    finger = page.context.new_cdp_session(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": left, "y": top} for left, top in points]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    # A short tap raises nothing.
    page.clock.install()
    with standing_still(page):
        touch("touchStart", (x, y))
        touch("touchEnd")
    expect(button).to_contain_text("Maintenir")
    touch("touchStart", (x, y))
    for step in range(8):
        page.wait_for_timeout(150)
        touch("touchMove", (x + 3 * step, y - 5 * step))
    expect(page.get_by_role("heading", level=1, name="Votre SOS")).to_be_visible()
    touch("touchEnd")
    assert [each["state"] for each in town.json("alice", "alarms")["alarms"]].count("raised") == 1


def test_one_that_failed_is_told_over_every_page_until_it_is_tried_again(opens: Opens) -> None:
    screen = opens("alice")
    page = screen.page
    bar = page.get_by_role("alert").filter(has_text="n’est pas parti")
    screen.is_node_gone = True
    kept: list[Route] = []
    page.route("**/api/sos", lambda route: kept.append(route), times=1)
    go(page, "sos")
    page.get_by_label("Ce qui se passe").fill("chute dans l’éboulis")
    with held(page):
        expect(page.locator("button.hold")).to_be_disabled()
    # The answer comes when another page is looked at.
    go(page, "map")
    expect(page.locator(".live-map")).to_be_visible()
    expect(bar).to_have_count(0)
    until(page, lambda: bool(kept))
    kept.pop().abort("connectionrefused")
    expect(bar).to_contain_text("Le SOS n’est pas parti.")
    for address in ("messages", "squad", "settings"):
        go(page, address)
        expect(bar).to_be_visible()
    bar.get_by_role("link", name="Réessayer").click()
    expect(page.locator(".raise").get_by_role("alert")).to_contain_text("Maintenez encore")
    expect(page.get_by_label("Ce qui se passe")).to_have_value("chute dans l’éboulis")
    go(page, "map")
    bar.get_by_role("button", name="Fermer").click()
    expect(bar).to_have_count(0)
    go(page, "sos")
    with held(page):
        expect(page.get_by_role("heading", level=1, name="Votre SOS")).to_be_visible()
    expect(page.get_by_text("Le SOS n’est pas parti.")).to_have_count(0)
