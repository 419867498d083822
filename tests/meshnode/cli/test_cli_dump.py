"""What `dump` says of files that other commands wrote."""

from __future__ import annotations

import pytest

from tests.meshnode.cli.people import People

pytestmark = pytest.mark.slow


def test_files_of_every_step_are_recognised(squad: People) -> None:
    stick = squad.folder / "carry.mesh"
    squad.reads("alice", "send", "codt", "un secret")
    squad.reads("alice", "export", str(stick))
    invitation = squad.folder / "invitation.txt"
    asked = ["--name", "zoé", "--role", "relay", "--device", "box"]
    invitation.write_text(squad.reads("hq", "authority", "invite", *asked))
    store = squad.home("alice") / "store.sqlite"
    for path in (stick, invitation, store):
        found = squad.json("alice", "dump", str(path))
        assert found["what"]
        shown = squad.reads("alice", "dump", str(path))
        assert f"what: {found['what']}" in shown.splitlines()
        assert "un secret" not in shown


def test_inner_parts_are_moved_to_the_right(squad: People) -> None:
    shown = squad.reads("alice", "dump", str(squad.home("alice") / "store.sqlite"))
    assert any(line.startswith("  ") for line in shown.splitlines())
    assert not any(line.strip() == "" for line in shown.splitlines())


def test_what_is_no_file_of_ours_is_refused(squad: People) -> None:
    other = squad.folder / "other"
    other.write_text("hello")
    assert "nothing of this program" in squad.fails(2, "alice", "dump", str(other))
    assert "other" in squad.fails(2, "alice", "dump", str(squad.folder / "other" / "none"))
