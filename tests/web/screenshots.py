"""Pictures of every page, of a squad of real nodes: `python -m tests.web.screenshots FOLDER`.

With `--pages map,sos` only these; with `--colours night` in night colours. Two positions are
aged on their way into the page: nobody waits an hour for a picture of old ones.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, Route

from tests.web.browser import PHONE, WIDE, browser_at, screen_of
from tests.web.pages import AGENT, CENTRAL, opened
from tests.web.town import CENTRE, Town, town_at

SQUAD = ("alice", "bruno", "chloe", "david")
PLACES = {
    "alice": ("44.7380", "6.8200"),
    "bruno": ("44.7010", "6.8560"),
    "chloe": ("44.6830", "6.9270"),
    "david": ("44.7570", "6.7680"),
}
STATES = {
    "alice": ("64", "4G", "55"),
    "bruno": ("17", "2G", "20"),
    "chloe": ("88", "none", "0"),
    "david": ("41", "4G", "70"),
}
AGED = {"david": 52 * 60_000}
"""Whose values are shown as older than they are, milliseconds."""
SHEET = """# Chute en montagne

Ce qu'il faut faire, dans l'ordre.

## Protéger

- Se mettre à l'abri des pierres et des avalanches.
- Baliser l'accès.

## Alerter

- Maintenir le bouton SOS une seconde et demie.
- Dire : qui, où, combien, quoi.

## Secourir

- Couvrir, isoler du sol, ne pas déplacer.
- Noter l'heure de chaque geste.
"""


def enliven(town: Town, folder: Path) -> None:
    """Have a morning of a squad: a shift, words, a sheet, an alarm."""
    sheets = folder / "sheets"
    sheets.mkdir()
    (sheets / "chute.md").write_text(SHEET)
    (sheets / "controle-navire.md").write_text(
        "# Contrôle d'un navire\n\nPapiers, équipage, prise.\n"
    )
    town.json(CENTRE, "sheets", "publish", str(sheets))
    for name in SQUAD:
        battery, network, signal = STATES[name]
        town.json(name, "shift", "open")
        town.json(name, "position", *PLACES[name])
        town.json(name, "state", "--battery", battery, "--network", network, "--signal", signal)
    town.json("alice", "send", "squad:Queyras", "On monte au refuge Agnel, tout va bien.")
    town.json(
        "bruno", "send", "squad:Queyras", "Col gardé, deux véhicules. Neige à partir de 2 300 m."
    )
    time.sleep(4)
    town.json("david", "send", "squad:Queyras", "Je garde le parking, radio faible.")
    town.json("alice", "send", "squad:Queyras", "Reçu. Point à 16 h.")
    town.json("alice", "send", "codt", "Arrivée au refuge prévue 16 h.")
    town.json("bruno", "send", "codt", "Besoin d'un deuxième véhicule au col.")
    time.sleep(6)


def alarm_of(town: Town) -> str:
    """Have one raised, and seen and taken by others; return its id."""
    alarm = str(town.json("chloe", "sos", "jambe cassée sous le pain de sucre")["alarm"])
    town.until(lambda: bool(town.json("alice", "alarms")["alarms"]), 30)
    town.json("bruno", "alarm", "seen", alarm)
    time.sleep(4)
    return alarm


def age(route: Route) -> None:
    """Make what some people told older than it is."""
    answer = route.fetch()
    found = answer.json()
    for each in [*found.get("mates", []), *found.get("positions", [])]:
        back_ms = AGED.get(each["name"], 0)
        for part in (
            each,
            *(each.get(key) or {} for key in ("position", "battery", "coverage", "heard")),
        ):
            for key in ("taken_ms", "at_ms"):
                if key in part:
                    part[key] -= back_ms
        if back_ms and "is_in_contact" in each:
            each["is_in_contact"] = False
    route.fulfill(response=answer, body=json.dumps(found))


def take(browser: Browser, town: Town, folder: Path, wanted: set[str], colours: str) -> None:
    """Take pictures of all pages at both sizes."""
    alarm = alarm_of(town) if not wanted or wanted & {"sos", "alarm"} else ""
    scheme = "dark" if colours == "night" else "light"
    for name, size, kind in (
        ("alice", PHONE, "phone"),
        ("alice", WIDE, "wide"),
        (CENTRE, WIDE, "centre"),
    ):
        pages = CENTRAL if name == CENTRE else AGENT
        pages = pages | {"sheet": "sheets/chute"}
        pages = pages | {"alarm": f"sos/{alarm}"} if alarm else pages
        with screen_of(browser, town.url(name), size, color_scheme=scheme) as screen:
            page = screen.page
            page.route("**/api/board", age)
            page.route("**/api/positions", age)
            page.reload()
            page.wait_for_selector("nav.menu")
            if alarm and kind == "phone":
                page.get_by_role("button", name="J’ai vu").click()
            for title, address in pages.items():
                if not wanted or title in wanted:
                    picture(page, address, folder / f"{kind}-{title}-{colours}.png")


def picture(page: Page, address: str, path: Path) -> None:
    """Take one picture of a page that has come to rest."""
    opened(page, address)
    page.wait_for_timeout(900)
    page.screenshot(path=str(path))
    print(path)


def main(arguments: list[str]) -> int:
    """Take the pictures that `arguments` ask for; return the exit code."""
    parser = argparse.ArgumentParser(description="Take pictures of the screens.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", default="", help="comma-separated; all by default")
    parser.add_argument("--colours", choices=("day", "night"), default="day")
    asked = parser.parse_args(arguments)
    asked.folder.mkdir(parents=True, exist_ok=True)
    wanted = {each for each in asked.pages.split(",") if each}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        with town_at(place, SQUAD) as town, browser_at() as browser:
            enliven(town, place)
            take(browser, town, asked.folder, wanted, asked.colours)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
