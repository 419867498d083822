"""`meshnode audit` as people type it: an empty log, a refusal, a file for the centre."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.meshnode.cli.people import People

pytestmark = pytest.mark.slow


def test_a_refusal_is_shown_checked_and_sealed_away(squad: People, tmp_path: Path) -> None:
    assert "Nothing was refused yet." in squad.reads("alice", "audit", "show")
    found = squad.json("alice", "audit", "verify")
    assert (found["entries"], found["known_last"]) == (0, 0)
    stick = tmp_path / "stick"
    stick.write_bytes(b"MESHSTK1" + bytes(400))
    screen = squad.types("alice", "import", str(stick))
    assert screen.code != 0
    shown = squad.json("alice", "audit", "show")
    assert [each["event"] for each in shown["entries"]] == ["files_refused"]
    assert "files_refused" in squad.reads("alice", "audit", "show")
    assert "is whole: 1 entries" in squad.reads("alice", "audit", "verify")
    assert squad.json("alice", "status")["evidence"] == 0
    log = tmp_path / "log"
    assert "2 entries" in squad.reads("alice", "audit", "export", "--to", str(log))
    found = squad.json("centre", "audit", "verify", str(log))
    assert (found["node"], found["entries"]) == (squad.json("alice", "status")["node"], 2)
    assert squad.types("bob", "audit", "verify", str(log)).code == 7, "it is not for bob"


def test_a_file_that_is_no_log_is_refused(squad: People, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"nothing of the kind")
    screen = squad.types("alice", "audit", "verify", str(tmp_path / "log"))
    assert screen.code == 2
    assert "meshnode:" in screen.err
