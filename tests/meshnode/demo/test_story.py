"""What the tables say of devices, from what their nodes told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from meshnode.demo.stage import NodeProcess
from meshnode.demo.story import knowledge, notes
from meshnode.demo.witness import Witness, summary


def message(state: str, carriers: list[str], recipients: dict[str, str]) -> dict[str, Any]:
    """Return a message as the node's interface gives it."""
    return {
        "message": "1",
        "to": "squad:Q",
        "kind": "text",
        "text": "hello",
        "state": state,
        "carriers": [{"name": name} for name in carriers],
        "recipients": [{"name": name, "state": each} for name, each in recipients.items()],
    }


def test_an_author_is_never_said_to_know_more_than_its_node_told() -> None:
    nobody = {"b": "no receipt"}
    assert summary(message("queued", [], nobody)) == "queued"
    assert summary(message("waiting", [], nobody)) == "waits for a key"
    assert summary(message("carried", ["c", "b"], nobody)) == "carried by b, c"
    assert summary(message("carried", ["c"], {"b": "on device", "d": "pending"})) == "with b"
    assert summary(message("carried", [], {"z": "at gateway"})) == "with z"
    for state in ("delivered", "expired", "refused"):
        assert summary(message(state, ["c"], {"b": "on device"})) == state


def witness(name: str) -> Witness:
    """Return a witness of a node that never started."""
    return Witness(NodeProcess(name, Path(name), []), lambda _change: None, lambda: None)


def test_the_table_has_a_row_for_each_message_and_one_for_a_backlog() -> None:
    alice, bruno = witness("alice"), witness("bruno")
    alice.written[1] = message("carried", ["bruno"], {"bruno": "pending"})
    for number, state in enumerate(("carried", "carried", "delivered"), 10):
        alice.written[number] = {"kind": "note", "state": state, "message": f"n{number}"}
    assert knowledge([alice, bruno])[0][-1] == "nobody"
    bruno.shown += [{"message": "1"}, {"message": "n12"}, {"message": "other"}]
    assert knowledge([alice, bruno]) == [
        ("hello", "alice → squad:Q", "carried by bruno", "bruno"),
        ("backlog of 3 notes", "alice → codt", "2 carried, 1 delivered", "1 on bruno"),
    ]


def test_no_two_notes_say_the_same() -> None:
    assert len(set(notes(500))) == 500
    assert all(len(note.encode()) > 40 for note in notes(500))
