"""The archive on a screen: what an agent wrote is found by its words, and how long it stays."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.web.browser import WIDE
from tests.web.conftest import Opens
from tests.web.pages import opened, stand_in_for
from tests.web.town import CENTRE, Town

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_what_the_centre_received_is_found_by_words_without_their_accents(
    town: Town, opens: Opens
) -> None:
    town.json("alice", "send", "codt", "Deux véhicules arrêtés à la borne 12")
    sent = "Deux véhicules arrêtés à la borne 12"
    town.until(
        lambda: any(
            each.get("text") == sent
            for each in town.json(CENTRE, "gateway", "search", "vehicules")["found"]
        ),
        30,
    )
    page = opens(CENTRE, WIDE).page
    page.goto(page.url.split("#")[0] + "#/archive")
    page.get_by_label("Mots (tous, ou leurs débuts)").fill("BORNE vehicules")
    page.get_by_label("Écrit par").fill("alice")
    look = page.get_by_role("button", name="Chercher")
    look.click()
    expect(page.get_by_text(sent)).to_be_visible()
    expect(page.get_by_text("alice → codt")).to_be_visible()
    page.get_by_label("Mots (tous, ou leurs débuts)").fill("introuvable")
    look.click()
    expect(page.get_by_text("L’archive ne contient rien de tel.")).to_be_visible()

    page.goto(page.url.split("#")[0] + "#/retention")
    expect(page.locator("dd", has_text="61 jours")).to_be_visible()
    expect(page.locator(".row", has_text="durée changée")).to_contain_text("SOS 1827 jours")


def test_the_retention_page_says_what_was_destroyed_and_how_late(opens: Opens) -> None:
    """Whoever answers for the terms must see a gateway that was off and kept longer."""
    page = opens(CENTRE, WIDE).page
    day = {"keys": "40", "first_day": "20000", "last_day": "20039"}
    purge = {
        "number": 7,
        "at_ms": 1_735_000_000_000,
        "gateway": {"name": CENTRE},
        "action": "purge",
        "details": {"class": "positions", **day, "bundles": "1200", "contents": "1100"},
        "late_days": 30,
    }
    export = {**purge, "number": 8, "action": "export", "details": {"reason": "réquisition 12"}}
    entries = [purge, {**export, "late_days": 0}]
    stand_in_for(page, {"retention/log?limit=50": {"schema": 1, "entries": entries}})
    opened(page, "retention")
    destroyed = page.locator(".row", has_text="clés détruites")
    expect(destroyed).to_contain_text(
        "positions et états : 40 jours, du 4 oct. 2024 au 12 nov. 2024 ; "
        "1200 paquets, 1100 contenus"
    )
    expect(destroyed).to_contain_text("jusqu’à 30 jours de retard")
    expect(page.locator(".row", has_text="contenu exporté")).to_contain_text("réquisition 12")
    expect(page.locator(".tag.bad")).to_have_count(1)


def test_an_agent_is_not_shown_an_archive(town: Town, opens: Opens) -> None:
    page = opens("alice", WIDE).page
    page.goto(page.url.split("#")[0] + "#/more")
    expect(
        page.get_by_role("link", name="Vérifications").or_(page.locator(".rows a"))
    ).not_to_have_count(0)
    expect(page.get_by_role("link", name="Archives")).to_have_count(0)


def test_an_archive_that_takes_nothing_is_told_where_people_look(opens: Opens) -> None:
    page = opens(CENTRE, WIDE).page
    # An archive at work is not said to be late.
    for address in ("overview", "node", "archive"):
        opened(page, address)
        expect(page.locator(".page-head h1")).to_be_visible()
        expect(page.locator(".notice")).to_have_count(0)
    full = {"reason": "full", "words": "the archive does not answer: disk full"}
    standing = {
        "is_archiving": True,
        "is_shut": False,
        "waiting": 1_200,
        "waiting_bytes": 900_000,
        "waiting_bytes_max": 1_000_000,
        "waiting_since_ms": page.evaluate("Date.now() - 1_200_000"),
        "purged_ms": 0,
        "troubles": [{"part": "feed", **full}, {"part": "retention", **full}],
    }
    status = page.evaluate("fetch('/api/status').then(answer => answer.json())")
    more = {"database": "postgresql", "shed": 3, "error": "", "faults": [], "held": []}

    def tell() -> None:
        told = {"schema": 1, **standing, **more}
        stand_in_for(page, {"status": {**status, "archive": standing}, "archive": told})

    tell()
    page.reload()
    page.wait_for_selector("nav.menu")
    for address in ("overview", "node", "archive"):
        opened(page, address)
        health = page.locator(".card", has_text=re.compile(r"il y a 2[01] min et attend"))
        expect(health).to_contain_text("L’archive ne prend rien")
        expect(health).to_contain_text("Ce qui est échu n’est pas effacé")
        # Why, and what mends it, in the language of the screens; the program's own words beside.
        expect(health.get_by_text("Libérez de la place")).to_have_count(1)
        expect(health.locator("q")).to_have_text("the archive does not answer: disk full")
    expect(health).to_contain_text("3 paquets n’ont pas été archivés")
    standing.update(troubles=[], is_shut=True, waiting_since_ms=0)
    tell()
    page.reload()
    page.wait_for_selector("nav.menu")
    opened(page, "overview")
    shut = page.locator(".page [role=status]", has_text="Appareil verrouillé")
    expect(shut).to_contain_text("rien n’est archivé ni effacé")
    expect(shut).to_contain_text("meshnode unlock")
