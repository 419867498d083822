"""`import`: what others recorded becomes the files of a trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sims.commands.parts import CONTACTS, MESSAGES, NODES, Person

EVENTS = """0 CONN 0 1 up
10 C M1 0 1 500
20 CONN 0 1 down
30 S M1 0 1
"""


def walk(person: Person, name: str, east: float) -> str:
    """Write a track of a minute that stays where it is."""
    points = "".join(
        f'<trkpt lat="45.0" lon="{6.0 + east}"><time>2024-06-01T08:00:{second:02d}Z</time></trkpt>'
        for second in range(0, 60, 10)
    )
    head = '<gpx version="1.1" creator="t" xmlns="http://www.topografix.com/GPX/1/1">'
    return person.file(name, f"{head}<trk><trkseg>{points}</trkseg></trk></gpx>")


@pytest.mark.slow
def test_tracks_become_contacts(person: Person) -> None:
    # At 45 degrees north a thousandth of a degree is 79 m.
    files = [walk(person, "a.gpx", 0.0), walk(person, "b.gpx", 0.001)]
    found = person.gives("import", *files, "--output", "out", "--name", "pair", "--json").json
    assert (found["kind"], found["name"]) == ("gpx", "pair")
    assert (found["nodes"], found["contacts"], found["messages"]) == (2, 1, 0)
    assert found["begin_s"] == 1_717_228_800
    assert found["files"] == ["out/pair.csv", "out/pair_nodes.csv"]
    near = ["import", *files, "--range", "50", "--step", "5", "--gap", "60", "--output", "near"]
    assert person.gives(*near, "--json").json["contacts"] == 0


@pytest.mark.slow
def test_what_was_skipped_is_counted(person: Person) -> None:
    events = person.file("events.txt", EVENTS)
    said = person.gives("import", events, "--output", "out")
    assert said.code == 0, said.err
    assert "region    events, from the-one" in said.out
    assert "skipped   1 lines" in said.out
    assert (person.folder / "out" / "events_msgs.csv").is_file()


@pytest.mark.slow
def test_what_it_writes_can_be_run(person: Person) -> None:
    person.trace()
    nodes = person.file("nodes.csv", NODES)
    words = ["import", "contacts.csv", "--messages", "messages.csv", "--nodes", nodes]
    assert person.gives(*words, "--output", "out", "--kind", "contacts").code == 0
    names = ("contacts.csv", "contacts_msgs.csv", "contacts_nodes.csv")
    contacts, messages, list_of_nodes = (str(Path("out") / name) for name in names)
    run = ["run", "--contacts", contacts, "--messages", messages, "--nodes", list_of_nodes]
    assert person.gives(*run, "--json").json["delivered"] == pytest.approx(2 / 3)


def test_nothing_is_written_over_unasked(person: Person) -> None:
    contacts = person.file("contacts.csv", CONTACTS)
    assert "is there already" in person.is_refused("import", contacts)
    assert person.gives("import", contacts, "--replace", "--json").json["contacts"] == 3
    assert (person.folder / "contacts.csv").read_text().startswith("t_start,t_end,a,b")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "Missing argument"),
        (["nowhere.gpx"], "nowhere.gpx: cannot be read"),
        (["messages.csv", "--kind", "contacts"], "messages.csv"),
        (["contacts.csv", "--kind", "maps"], "see 'meshnode-sim import --help'"),
        (["a.gpx", "--range", "0"], "range: is between"),
        (["a.gpx", "contacts.csv"], "of different kinds"),
    ],
)
def test_what_is_wrong_is_told(person: Person, words: list[str], reason: str) -> None:
    person.file("contacts.csv", CONTACTS)
    person.file("messages.csv", MESSAGES)
    walk(person, "a.gpx", 0.0)
    assert reason in person.is_refused("import", *words)
