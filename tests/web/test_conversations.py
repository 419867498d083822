"""Written on one screen and received on another, with what is honestly known of it."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.web.conftest import Opens
from tests.web.pages import opened, until
from tests.web.town import CENTRE, Town

pytestmark = [pytest.mark.real, pytest.mark.slow]

SQUAD = "#/messages/squad%3AQueyras"
TO_SQUAD = "Message pour Queyras"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63b8b5e10c0004460209b1a9b41a0000000049454e44ae426082"
)
"""A picture of one point, PNG."""


def bubble(page: Page, text: str) -> object:
    return page.locator(".bubble", has_text=text)


def has_all_to_squad(town: Town) -> bool:
    """Tell whether Bruno has all that Alice wrote to their squad."""
    sent = town.json("alice", "outbox")["messages"]
    came = {each["message"] for each in town.json("bruno", "inbox")["messages"]}
    return came >= {each["message"] for each in sent if each["to"] == "squad:Queyras"}


def test_what_one_writes_another_reads_and_the_first_learns_it(opens: Opens, town: Town) -> None:
    # What other tests wrote is counted, too, once it is here.
    town.until(lambda: has_all_to_squad(town), 60)
    alice, bruno = opens("alice").page, opens("bruno").page
    row = bruno.locator(".split-list .row", has_text="Queyras")
    # What came before is read.
    opened(bruno, SQUAD.removeprefix("#/"))
    expect(bruno.get_by_label(TO_SQUAD)).to_be_visible()
    opened(bruno, "messages")
    expect(row.locator(".badge")).to_have_count(0)
    alice.goto(alice.url.split("#")[0] + SQUAD)
    alice.get_by_label(TO_SQUAD).fill("Col gardé, <b>deux</b> véhicules\nRAS")
    alice.get_by_role("button", name="Envoyer").click()
    mine = alice.locator(".bubble.out", has_text="Col gardé")
    expect(mine).to_contain_text("<b>deux</b>")
    expect(alice.get_by_label(TO_SQUAD)).to_have_value("")
    # It stands in the list as unread, then is read, and its author is told so.
    expect(row.locator(".badge")).to_contain_text("1")
    row.click()
    expect(bruno.locator(".bubble.in", has_text="Col gardé")).to_contain_text("alice")
    # By all of the squad, or by one of more where another test enrolled somebody.
    expect(mine.locator(".mark")).to_contain_text(re.compile("Lu|lu 1/"), timeout=40_000)


def test_the_story_of_a_message_names_who_has_it_and_takes_it_back(
    opens: Opens, town: Town
) -> None:
    page = opens("alice").page
    town.json("alice", "send", "bruno", "À annuler")
    page.goto(page.url.split("#")[0] + "#/messages/bruno")
    page.locator(".bubble", has_text="À annuler").locator("a.mark").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ce qu’est devenu le message")
    expect(page.get_by_role("table")).to_contain_text("bruno")
    expect(page.locator(".steps")).to_contain_text("écrit ici")
    page.get_by_role("button", name="Annuler le message").click()
    expect(page.locator(".toast")).to_contain_text("Annulation")
    expect(page.locator("p.mark")).to_contain_text("nul", timeout=30_000)


def test_a_photo_goes_along_and_opens_at_the_other(opens: Opens) -> None:
    alice, bruno = opens("alice").page, opens("bruno").page
    alice.goto(alice.url.split("#")[0] + "#/messages/bruno")
    alice.get_by_label("Fichier à joindre").set_input_files(
        {"name": "refuge.png", "mimeType": "image/png", "buffer": PIXEL}
    )
    alice.get_by_label("Message pour bruno").fill("le refuge")
    alice.get_by_role("button", name="Envoyer").click()
    expect(alice.locator(".attachment")).to_contain_text("refuge")
    bruno.goto(bruno.url.split("#")[0] + "#/messages/alice")
    file = bruno.locator(".attachment a", has_text="refuge")
    expect(file).to_be_visible(timeout=30_000)
    with bruno.expect_download() as download:
        file.click()
    assert download.value.path().read_bytes().startswith(PIXEL[:8])


def test_a_refusal_is_told_in_words_and_keeps_what_was_written(opens: Opens) -> None:
    screen = opens("alice")
    screen.is_refused = True
    page = screen.page
    page.goto(page.url.split("#")[0] + "#/messages/personne")
    page.get_by_label("Message pour personne").fill("y a quelqu’un ?")
    page.get_by_role("button", name="Envoyer").click()
    expect(page.locator(".toast.bad")).to_contain_text("personne")
    expect(page.get_by_label("Message pour personne")).to_have_value("y a quelqu’un ?")


def test_the_centre_answers_whoever_wrote_to_it(opens: Opens, town: Town) -> None:
    town.json("bruno", "send", "codt", "Arrivée prévue 16 h")
    page = opens(CENTRE).page
    page.get_by_role("link", name=re.compile("^Messages")).click()
    page.locator(".row", has_text="bruno").click()
    expect(page.locator(".bubble.in", has_text="16 h")).to_be_visible()
    page.get_by_label("Message pour bruno").fill("Bien reçu")
    page.keyboard.press("Enter")
    expect(page.locator(".bubble.out", has_text="Bien reçu")).to_be_visible()


def test_a_conversation_is_held_by_keyboard_alone(opens: Opens) -> None:
    page = opens("alice").page
    expect(page.locator(".row", has_text="Queyras")).to_be_visible()
    reach(page, "a.row", "Queyras")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Queyras")
    reach(page, "textarea", "")
    page.keyboard.type("Par le clavier")
    page.keyboard.press("Enter")
    expect(page.locator(".bubble.out", has_text="Par le clavier")).to_be_visible()
    expect(page.locator("textarea")).to_be_focused()


def test_what_is_typed_while_a_message_leaves_is_kept(opens: Opens) -> None:
    page = opens("alice").page
    leaving: list[Route] = []
    page.route("**/api/messages", lambda route: leaving.append(route))
    page.goto(page.url.split("#")[0] + "#/messages/bruno")
    field = page.get_by_label("Message pour bruno")
    field.fill("le premier mot")
    page.keyboard.press("Enter")
    until(page, lambda: bool(leaving))
    field.fill("et la suite")
    leaving.pop().continue_()
    expect(page.locator(".bubble.out", has_text="le premier mot")).to_be_visible()
    expect(page.get_by_role("button", name="Envoyer")).to_have_attribute("aria-busy", "false")
    expect(field).to_have_value("et la suite")


def reach(page: Page, selector: str, text: str) -> None:
    """Press Tab until what is meant has the focus."""
    wanted = """([selector, text]) => {
      const focused = document.activeElement ?? document.body;
      return focused.matches(selector) && focused.textContent.includes(text);
    }"""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(wanted, [selector, text]):
            return
    raise AssertionError(f"no Tab leads to {selector} {text}")


def test_a_file_tells_how_far_it_is(opens: Opens, town: Town) -> None:
    """A slow link is stood in for: what the node tells of its files is drawn as it is told."""
    town.json("alice", "send", "bruno", "voici le col")
    page = opens("bruno").page
    page.goto(page.url.split("#")[0] + "#/messages/alice")
    expect(page.locator(".bubble.in", has_text="voici le col")).to_be_visible()
    key = page.evaluate(
        "fetch('/api/messages/inbox?after=0&limit=500').then(answer => answer.json())"
        ".then(found => found.messages.find(each => each.text === 'voici le col').key)"
    )
    file = {"file": "0" * 32, "message": key, "name": "col.jpg", "is_own": False}
    have = [0.4, 0.8]

    def tell(route: Route) -> None:
        told = {"size_bytes": 1_000_000, "have_bytes": 1_000_000 * have[0], "state": "arriving"}
        body = json.dumps({"schema": 1, "files": [{**file, **told, "has_thumbnail": False}]})
        route.fulfill(status=200, content_type="application/json", body=body)

    page.route("**/api/files", tell)
    page.reload()
    page.wait_for_selector("nav.menu")
    shown = page.get_by_role("progressbar", name="col.jpg")
    expect(shown).to_have_attribute("value", "40")
    have.pop(0)
    # Whatever arrives may be a piece of it.
    town.json("alice", "send", "bruno", "il en vient encore")
    expect(shown).to_have_attribute("value", "80")


def test_what_is_not_shown_is_asked_no_more_and_nobody_is_said_to_be_there(
    opens: Opens, town: Town
) -> None:
    """Else each container would have every story ever shown fetched."""
    key = town.json("alice", "send", "bruno", "le dernier mot")["key"]
    page = opens("alice").page
    page.clock.install()
    page.reload()
    page.get_by_role("heading", level=1).click()
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))

    def stories() -> list[Request]:
        return [each for each in asked if each.url.endswith(f"/api/messages/{key}")]

    page.goto(page.url.split("#")[0] + "#/messages/bruno")
    expect(page.locator(".bubble.out", has_text="le dernier mot")).to_be_visible()
    page.wait_for_function("() => document.querySelector('.bubble.out .mark')")
    until(page, lambda: bool(stories()))
    assert stories()[-1].headers["x-meshnode-presence"] == "1"
    page.clock.fast_forward(61_000)
    before = len(stories())
    town.json("bruno", "send", "alice", "un mot qui arrive")
    expect(page.locator(".bubble.in", has_text="un mot qui arrive")).to_be_visible()
    until(page, lambda: len(stories()) > before)
    assert "x-meshnode-presence" not in stories()[-1].headers
    page.goto(page.url.split("#")[0] + "#/squad")
    expect(page.get_by_role("heading", level=1)).to_have_text("Escouade")
    # One that is on its way may be followed by one more, which was wanted meanwhile.
    for _ in range(2):
        stories()[-1].response()
        page.wait_for_timeout(500)
    before = len(stories())
    town.json("bruno", "send", "alice", "et encore un")
    expect(page.locator("nav.menu .badge").first).to_be_visible()
    page.wait_for_timeout(1_000)
    assert len(stories()) == before
