"""Sending a photo, following it, saving it: the commands that people type."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.meshnode.cli.people import People
from tests.meshnode.test_photos import PLACE, photo

pytestmark = pytest.mark.slow


def test_a_photo_goes_with_a_message_and_is_saved_by_its_reader(
    squad: People, tmp_path: Path
) -> None:
    picture = tmp_path / "IMG_0001.jpg"
    picture.write_bytes(photo(comment=PLACE))
    shown = squad.reads("alice", "send", "bob", "--attach", str(picture), "the van")
    assert "meshnode files" in shown
    picture.unlink()
    (sent,) = squad.json("alice", "files")["files"]
    assert (sent["name"], sent["media"], sent["state"]) == ("IMG_0001.jpg", "jpeg", "queued")
    assert sent["has_thumbnail"]
    assert "Its file goes along" in squad.reads("alice", "resend", "last")
    table = squad.reads("alice", "files")
    assert "IMG_0001.jpg" in table
    assert "queued here" in table
    stick = tmp_path / "stick"
    squad.reads("alice", "export", str(stick), "--to", "bob")
    squad.reads("bob", "import", str(stick))
    assert squad.json("bob", "inbox")["messages"][0]["text"] == "the van"
    (got,) = squad.json("bob", "files")["files"]
    assert (got["state"], got["have_bytes"]) == ("complete", got["size_bytes"])
    assert "100 %" in squad.reads("bob", "files")
    target = tmp_path / "saved.jpg"
    short = got["file"][:5].upper()
    start = got["file"][:3]
    # Once in 4,096 times the start of its id is its number too.
    assert start == f"{got['key']:03}" or "no file" in squad.fails(
        7, "bob", "files", "save", start, "--to", "x"
    )
    saved = squad.json("bob", "files", "save", short, "--to", str(target))
    assert saved["path"] == str(target)
    assert PLACE not in target.read_bytes()
    assert "File exists" in squad.fails(7, "bob", "files", "save", got["file"], "--to", str(target))
    assert "Erased" in squad.reads("bob", "files", "remove", str(got["key"]))
    assert "not whole" in squad.fails(7, "bob", "files", "save", got["file"], "--to", str(tmp_path))


def test_what_cannot_go_is_explained(squad: People, tmp_path: Path) -> None:
    assert "No files." in squad.reads("alice", "files")
    assert "cannot read" in squad.fails(7, "alice", "send", "bob", "--attach", str(tmp_path / "no"))
    empty = tmp_path / "empty.pdf"
    empty.touch()
    assert "empty" in squad.fails(7, "alice", "send", "bob", "--attach", str(empty))
    heic = tmp_path / "a.heic"
    heic.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    assert "JPEG" in squad.fails(7, "alice", "send", "bob", "--attach", str(heic))
    kept = ("files", "send", "bob", str(heic), "--keep-place")
    assert "shift" in squad.fails(7, "alice", *kept)
    squad.reads("alice", "shift", "open")
    squad.reads("alice", *kept)
    squad.fails(2, "alice", "send", "bob")
    assert "SOS" in squad.fails(7, "alice", "send", "bob", "x", "--sos", "--attach", str(heic))
    assert "no file" in squad.fails(7, "alice", "files", "save", "99")
    (sent,) = squad.json("alice", "files")["files"]
    assert "Cancelled" in squad.reads("alice", "files", "cancel", sent["file"])
    assert squad.json("alice", "files")["files"][0]["state"] == "cancelled"
