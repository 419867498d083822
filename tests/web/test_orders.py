"""A wipe on the screens: one person asks, another confirms, two cards sign, the node spreads it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser import PHONE, WIDE
from tests.web.conftest import Opens
from tests.web.pages import opened
from tests.web.test_pages import AXE, RUNS_OVER, serious
from tests.web.town import CENTRE, Town

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def lost(town: Town) -> str:
    """A box that stands in the rosters and never ran: nobody else's test sees it."""
    town.enrol("perdue", "relay")
    documents = town.people.folder / "documents.txt"
    town.json("hq", "authority", "roster", "--export", str(documents))
    town.json(CENTRE, "documents", "import", str(documents))
    return "perdue"


def ask(page: Page, name: str, kind: str) -> None:
    """Choose a device in the rosters and ask for something."""
    opened(page, "rosters")
    page.get_by_label(f"Choisir {name}").check()
    page.get_by_role("button", name="Préparer un ordre").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(kind).check()
    dialog.get_by_label("Motif, pour la seconde personne").fill("tombée au col")
    button = dialog.get_by_role("button", name="Demander")
    expect(button).to_be_disabled()
    dialog.get_by_label(f"Saisissez «\u00a0{name}\u00a0»").fill(name)
    button.click()
    expect(page.get_by_text("attend une seconde personne")).to_be_visible()


def test_two_persons_and_two_cards_wipe_a_device(town: Town, opens: Opens, lost: str) -> None:
    tokens = {
        name: str(town.json(CENTRE, "web", "token", "add", name, "--role", "operator")["token"])
        for name in ("anne", "basile")
    }
    screen = opens(CENTRE, WIDE)
    page = screen.page
    page.evaluate(SIGN_IN, tokens["anne"])
    page.reload()
    ask(page, lost, "Tout effacer")
    page.get_by_role("button", name="Confirmer").click()
    dialog = page.get_by_role("dialog")
    for person in ("anne", "basile"):
        screen.is_refused = person == "anne"
        dialog.get_by_label(f"Saisissez «\u00a0{lost}\u00a0»").fill(lost)
        dialog.get_by_label("Votre jeton").fill(tokens[person])
        dialog.get_by_role("button", name="Confirmer").click()
        if person == "anne":
            told = dialog.locator("form").get_by_role("alert")
            expect(told).to_contain_text("une seconde personne")
    expect(page.get_by_text("attend les signatures")).to_be_visible()
    # Whoever signs sees that both tokens are as old as the test.
    expect(page.get_by_text("confirmé avec le jeton basile, créé")).to_be_visible()
    expect(page.get_by_text("créé moins d’un jour avant la demande")).to_be_visible()

    order = town.people.folder / "order.txt"
    cards = [str(town.people.home("hq") / "cards" / f"wipe-{each}.card") for each in (1, 2)]
    words = ("--level", "all", "--card", cards[0], "--out", str(order), "--yes")
    town.json("hq", "authority", "wipe", lost, *words)
    page.get_by_label("Fichier").set_input_files(str(order))
    page.get_by_role("button", name="Remettre").click()
    fetch = page.get_by_role("button", name="Prendre l’ordre à signer")
    with page.expect_download() as download:
        fetch.click()
    second = town.people.folder / "second.txt"
    download.value.save_as(second)
    town.json("hq", "authority", "cosign", str(second), "--card", cards[1], "--yes")
    page.get_by_label("Ou collez son texte").fill(second.read_text())
    page.get_by_role("button", name="Remettre").click()
    expect(page.get_by_text("en vigueur", exact=True)).to_be_visible()
    (found,) = town.json(CENTRE, "orders")["orders"]
    assert [each["name"] for each in found["devices"]] == [lost]
    opened(page, "rosters")
    row = page.get_by_role("row", name=lost)
    expect(row).to_contain_text("effacement ordonné")


SIGN_IN = """token => fetch('/api/session', {
  method: 'POST',
  headers: {'Content-Type': 'application/json'},
  body: JSON.stringify({token}),
})"""


def test_rosters_are_sorted_filtered_and_fit_a_phone_with_an_open_request(
    opens: Opens, lost: str
) -> None:
    page = opens(CENTRE, PHONE, bypass_csp=True, reduced_motion="reduce").page
    page.add_script_tag(path=str(AXE))
    opened(page, "rosters")
    names = page.locator("tbody th")
    before = names.all_inner_texts()
    # Other tests may have let somebody in.
    assert {"alice", "bruno", lost} <= set(before)
    page.get_by_role("button", name="Nom", exact=False).first.press("Enter")
    expect(page.locator("th[aria-sort=descending]")).to_have_count(1)
    assert names.all_inner_texts() == before[::-1]
    # It never told anything, so nobody knows whether it is on duty.
    expect(page.get_by_role("row", name=lost)).to_contain_text("rien de dit")
    page.get_by_label("Nom ou identifiant").fill("ALI")
    expect(names).to_have_count(1)
    page.get_by_label("Nom ou identifiant").fill("")
    ask(page, lost, "Révoquer")
    page.get_by_role("button", name="Confirmer").click()
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate(RUNS_OVER) == []
    page.get_by_role("button", name="Refuser").first.click()
    expect(page.get_by_text("refusée", exact=True)).to_be_visible()
    opened(page, "overview")
    label = page.locator(".field.inline", has_text="Montrer")
    one_line = label.evaluate(
        "each => each.offsetHeight <= each.querySelector('select').offsetHeight"
    )
    assert one_line, "no word is broken letter by letter"
