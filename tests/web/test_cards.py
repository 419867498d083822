"""QR codes between two screens: the card of a mate, and the request of a new device, by camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from tests.web.browser import WIDE, camera_at, screen_of
from tests.web.conftest import Opens
from tests.web.pages import opened, until
from tests.web.test_conversations import reach
from tests.web.test_pages import AXE, RUNS_OVER, serious
from tests.web.town import CENTRE, SECRET, Town

pytestmark = [pytest.mark.real, pytest.mark.slow]

SIDE = 720
"""Height and width of what the camera sees, pixels."""


def pictured(page: Page, path: Path) -> Path:
    """Take a picture of the code that a page shows."""
    page.locator(".qr svg").screenshot(path=path)
    return path


def filmed(pictures: list[Path], path: Path) -> Path:
    """Write what a camera sees that is held before these pictures in turn, as Y4M."""
    with path.open("wb") as film:
        film.write(f"YUV4MPEG2 W{SIDE} H{SIDE} F4:1 Ip A1:1 C420jpeg\n".encode())
        for each in pictures:
            with Image.open(each) as picture:
                grey = picture.convert("L").resize((SIDE, SIDE))
            film.write(b"FRAME\n" + grey.tobytes() + b"\x80" * (SIDE * SIDE // 2))
    return path


def test_a_card_is_checked_from_a_picture(opens: Opens, tmp_path: Path, town: Town) -> None:
    alice, bruno = opens("alice", WIDE).page, opens("bruno", WIDE).page
    opened(alice, "card")
    expect(alice.get_by_role("img", name="Code QR de alice")).to_be_visible()
    code = alice.locator(".digits").inner_text()
    opened(bruno, "card")
    bruno.get_by_text("Sans caméra").click()
    bruno.get_by_label("Photos du code").set_input_files(pictured(alice, tmp_path / "alice.png"))
    expect(bruno.get_by_text("Connu de l’effectif.")).to_be_visible()
    expect(bruno.get_by_role("status").get_by_text(code)).to_be_visible()
    # A code of anybody else is called what it is.
    blank = tmp_path / "blank.png"
    Image.new("L", (300, 300), 255).save(blank)
    bruno.get_by_label("Photos du code").set_input_files(blank)
    expect(bruno.get_by_text("Aucun code QR lisible sur cette image.")).to_be_visible()


def test_a_request_goes_from_screen_to_camera_in_several_codes(
    opens: Opens, town: Town, browser: Browser, tmp_path: Path
) -> None:
    code, request = town.request("nina")
    page = opens("alice", WIDE, reduced_motion="reduce").page
    opened(page, "enrol")
    page.get_by_text("Sans caméra").click()
    page.get_by_label("Ou collez son texte").fill(request)
    page.get_by_role("button", name="Remettre").click()
    expect(page.get_by_text("La demande d’un nouvel appareil")).to_be_visible()
    page.get_by_role("button", name="Montrer en QR").click()
    count = int(page.locator(".qr figcaption").inner_text().split("sur ")[1].split()[0])
    assert count > 1
    pictures = []
    for at in range(count):
        expect(page.locator(".qr")).to_contain_text(f"Code {at + 1} sur {count}")
        pictures.append(pictured(page, tmp_path / f"{at}.png"))
        page.get_by_role("button", name="Suivant").click()
    film = filmed(pictures, tmp_path / "film.y4m")
    with camera_at(browser, film) as other, screen_of(other, town.url(CENTRE), WIDE) as screen:
        seen = screen.page
        seen.wait_for_selector("nav.menu")
        opened(seen, "enrol")
        seen.get_by_role("button", name="Lire un code").click()
        # Each code must be met by a look; how many looks there are is up to the machine.
        expect(seen.get_by_text("La demande d’un nouvel appareil")).to_be_visible(timeout=120_000)
        assert seen.locator(".digits").inner_text().replace(" ", "") == code
        assert seen.locator("video").count() == 0
        with seen.expect_download() as download:
            seen.get_by_role("button", name="Enregistrer en fichier").click()
        download.value.save_as(tmp_path / "request.txt")
    assert (tmp_path / "request.txt").read_text().strip() == request


def test_what_is_pasted_while_another_paper_is_read_is_kept(opens: Opens) -> None:
    page = opens("alice", WIDE).page
    handed: list[Route] = []
    page.route("**/api/enrolment/read", lambda route: handed.append(route))
    opened(page, "enrol")
    page.get_by_text("Sans caméra").click()
    field = page.get_by_label("Ou collez son texte")
    field.fill("le premier papier")
    page.get_by_role("button", name="Remettre").click()
    until(page, lambda: bool(handed))
    field.fill("le second")
    handed.pop().fulfill(json={"schema": 1, "paper": "request", "code": "123456"})
    expect(page.get_by_text("La demande d’un nouvel appareil")).to_be_visible()
    expect(page.get_by_role("button", name="Remettre")).to_have_attribute("aria-busy", "false")
    expect(field).to_have_value("le second")


def test_a_new_device_is_enrolled_in_its_own_browser(
    town: Town, browser: Browser, tmp_path: Path
) -> None:
    words = ("--name", "olga", "--role", "relay", "--device", "box")
    invitation = town.json("hq", "authority", "invite", *words)["invitation"]
    options: dict[str, Any] = {"reduced_motion": "reduce", "bypass_csp": True}
    with town.enrolling("olga") as url, screen_of(browser, url, **options) as screen:
        page = screen.page
        page.get_by_label("Secret à venir de cet appareil").fill(SECRET)
        page.get_by_text("Sans caméra").click()
        page.get_by_label("Ou collez son texte").fill(invitation)
        page.get_by_role("button", name="Remettre").click()
        expect(
            page.get_by_role("heading", name="2. La demande de «\u00a0olga\u00a0»")
        ).to_be_visible()
        page.add_script_tag(path=str(AXE))
        assert serious(page) == []
        page.set_viewport_size({"width": 320, "height": 640})
        assert page.evaluate(RUNS_OVER) == []
        with page.expect_download() as download:
            page.get_by_role("button", name="Enregistrer en fichier").click()
        request = tmp_path / "request.txt"
        download.value.save_as(request)
        issued = town.json("hq", "authority", "issue", str(request), "--yes")
        page.get_by_text("Sans caméra").click()
        page.get_by_label("Ou collez son texte").fill(issued["answer"])
        # The command ends with the enrolment, while the page looks for it now and then.
        screen.is_node_gone = True
        page.get_by_role("button", name="Remettre").click()
        expect(
            page.get_by_role("heading", name="Cet appareil est «\u00a0olga\u00a0»")
        ).to_be_visible()


def test_a_new_device_is_enrolled_by_keys_alone(
    town: Town, browser: Browser, tmp_path: Path
) -> None:
    words = ("--name", "paul", "--role", "relay", "--device", "box")
    invitation = town.json("hq", "authority", "invite", *words)["invitation"]

    def hand_over(page: Page, text: str) -> None:
        reach(page, "summary", "Sans caméra")
        page.keyboard.press("Enter")
        reach(page, "textarea", "")
        page.keyboard.insert_text(text)
        reach(page, "button", "Remettre")
        page.keyboard.press("Enter")

    options: dict[str, Any] = {"reduced_motion": "reduce"}
    with town.enrolling("paul") as url, screen_of(browser, url, **options) as screen:
        page = screen.page
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        reach(page, "input[type=password]", "")
        page.keyboard.type(SECRET)
        # A camera that is missing is told, and the focus stays beside it.
        reach(page, ".scanner > button", "")
        page.keyboard.press("Enter")
        expect(page.locator(".toast")).to_be_visible()
        expect(page.get_by_role("heading", level=2)).to_be_focused()
        hand_over(page, invitation)
        asked = page.get_by_role("heading", name="2. La demande de «\u00a0paul\u00a0»")
        expect(asked).to_be_visible()
        # What was filled in is gone: the focus is where the page begins, and all of it lies ahead.
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        with page.expect_download() as download:
            reach(page, "button", "Enregistrer en fichier")
            page.keyboard.press("Enter")
        download.value.save_as(tmp_path / "request.txt")
        issued = town.json("hq", "authority", "issue", str(tmp_path / "request.txt"), "--yes")
        screen.is_node_gone = True
        hand_over(page, issued["answer"])
        done = page.get_by_role("heading", name="Cet appareil est «\u00a0paul\u00a0»")
        expect(done).to_be_visible()
        expect(page.get_by_role("heading", level=1)).to_be_focused()
