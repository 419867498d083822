"""Publishing, finding, reading and retracting sheets: the commands that people type."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.meshnode.cli.people import People
from tests.meshnode.viewer.odf_files import PROCEDURE, content, odt, pack
from tests.meshnode.viewer.picture_files import frame, png
from tests.meshnode.viewer.strict_page import inert

pytestmark = pytest.mark.slow


def _stick(squad: People, source: str, target: str, path: Path) -> None:
    squad.reads(source, "export", str(path), "--to", target)
    squad.reads(target, "import", str(path))


def test_sheets_from_the_centre_to_an_agent(squad: People, tmp_path: Path) -> None:
    squad.enrol("ops", "operator")
    squad.enrol("carla", "agent", "Queyras")
    _stick(squad, "carla", "ops", tmp_path / "first")
    folder = tmp_path / "fiches"
    folder.mkdir()
    (folder / "Contrôle d'un navire.odt").write_bytes(odt("Contrôle d'un navire", PROCEDURE))
    (folder / "mer.md").write_text("# Homme à la mer\n\nJeter une bouée.\n")
    assert "operator" in squad.fails(7, "carla", "sheets", "publish", str(folder))
    assert "No sheets" in squad.reads("carla", "sheets")
    done = squad.reads("ops", "sheets", "publish", str(folder))
    assert done == "Pack version 1: 2 new, 0 newer, 0 unchanged.\n"
    _stick(squad, "ops", "carla", tmp_path / "one")
    table = squad.reads("carla", "sheets")
    assert "Reflex sheets, pack version 1" in table
    assert "controle-d-un-navire" in table
    found = squad.json("carla", "sheets", "search", "bouees")["found"]
    assert [each["name"] for each in found] == ["mer"]
    assert "Homme à la mer" in squad.reads("carla", "sheets", "search", "BOUÉE")
    assert squad.types("carla", "sheets", "search", "rien").code == 1
    shown = squad.reads("carla", "sheets", "show", "controle-d-un-navire")
    assert "1. Relever le pavillon" in shown
    page = tmp_path / "page.html"
    squad.reads("carla", "sheets", "show", "mer", "--html", str(page))
    assert "<h1>Homme à la mer</h1>" in page.read_text()
    assert "no sheet" in squad.fails(7, "carla", "sheets", "show", "fouille")
    assert "retracted up to version 1" in squad.reads("ops", "sheets", "retract", "mer")
    _stick(squad, "ops", "carla", tmp_path / "two")
    assert "retirée" in squad.fails(7, "carla", "--lang", "fr", "sheets", "show", "mer")
    assert squad.json("carla", "sheets")["version"] == 2


def test_a_document_that_came_with_a_message_is_shown(squad: People, tmp_path: Path) -> None:
    document = tmp_path / "ordre.odt"
    pictures = frame("Pictures/1.png", words="Pavillon") + frame("http://192.0.2.1/x.png")
    members: dict[str, str | bytes] = {"Basic/x.xml": "Sub Main", "Pictures/1.png": png()}
    document.write_bytes(pack(content(PROCEDURE + pictures), members))
    squad.reads("alice", "send", "bob", "--attach", str(document), "the order")
    _stick(squad, "alice", "bob", tmp_path / "stick")
    (got,) = squad.json("bob", "files")["files"]
    shown = squad.reads("bob", "files", "view", got["file"])
    assert "Macros: neither run nor shown." in shown
    assert "Pictures: 1 not shown." in shown
    assert "2. Demander les manifestes" in shown
    assert "[▣ Pavillon]" in shown
    told = squad.json("bob", "files", "view", got["file"])
    assert told["left_out"] == {"macros": 1, "pictures": 1}
    page = tmp_path / "ordre.html"
    squad.reads("bob", "files", "view", got["file"], "--html", str(page))
    assert "<strong>montée à bord</strong>" in page.read_text()
    assert [words for words, _raw in inert(page.read_text())] == ["Pavillon"]
    assert "no file" in squad.fails(7, "bob", "files", "view", "99")
