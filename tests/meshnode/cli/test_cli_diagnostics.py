"""The file for support: what it tells, and that no text, name, place or secret is in it."""

from __future__ import annotations

import json
import stat

import pytest

from tests.meshnode.cli.people import People

pytestmark = pytest.mark.slow

TEXT = "the van stands behind the chapel"
PLACE = ("44.7512345", "6.7912345")


def test_it_tells_figures_and_nothing_of_people(squad: People) -> None:
    settings = squad.home("alice") / "meshnode.toml"
    settings.write_text(
        settings.read_text() + '[trace]\nfile = "trace.jsonl"\n' + "[store]\nbytes_max = 5000000\n"
    )
    squad.reads("alice", "shift", "open")
    squad.reads("alice", "position", *PLACE)
    squad.reads("alice", "send", "bob", TEXT)
    event = '{"schema": 1, "at_ms": 7, "event": "unlocked", "remote": "127.0.0.1:9"}'
    (squad.home("alice") / "trace.jsonl").write_text(f'ut", "at_ms": 6}}\n{event}\n{{"at_')
    path = squad.folder / "support.json"
    squad.types("alice", "doctor", "--bundle", str(path))
    raw = path.read_text()
    told = json.loads(raw)
    assert told["format"] == "meshnode diagnostics 1"
    assert told["status"]["messages"] == {"queued": 1}
    assert told["settings"]["store"]["bytes_max"] == 5_000_000
    assert told["trace"] == [{"at_ms": 7, "event": "unlocked"}]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    digits = [place[:5] for place in PLACE] + [place.replace(".", "") for place in PLACE]
    hidden = [TEXT, "chapel", "alice", "bob", "Queyras", "127.0.0.1", str(squad.folder), *digits]
    assert [word for word in hidden if word in raw] == []


def test_no_address_or_name_of_the_settings_is_told(squad: People) -> None:
    settings = squad.home("alice") / "meshnode.toml"
    settings.write_text(
        '[links]\nlisten = []\nstatic = ["192.0.2.5:7625"]\n'
        '[sensors]\nposition = ["gpsd:192.0.2.6:2947"]\n'
        '[plotter]\nsend_to = ["192.0.2.7:10110"]\n'
        '[web]\nlisten = ""\nnames = ["tablet-dupont.local"]\n'
        '[tak]\nserver = "tls://tak.example.org:8089"\nauthority = "dupont.pem"\n'
        'certificate = "b.pem"\nkey = "c.pem"\nsquads = ["Queyras"]\ncallsign = "DUPONT"\n'
        '[gateway]\ndatabase = "postgresql+psycopg://dupont:word@192.0.2.8/archive"\n'
    )
    path = squad.folder / "support.json"
    squad.types("alice", "doctor", "--bundle", str(path))
    raw = path.read_text()
    hidden = ["192.0.2.", "dupont", "queyras", "example.org", ".pem", "psycopg"]
    assert [word for word in hidden if word in raw.lower()] == []
    told = json.loads(raw)["settings"]
    assert told["sensors"]["position"] == ["gpsd"]
    assert (told["plotter"]["send_to"], told["tak"]["server"]) == (1, True)


def test_it_is_written_where_little_works(squad: People) -> None:
    (squad.home("alice") / "meshnode.toml").write_text("[links]\nlisten = 3\n")
    path = squad.folder / "support.json"
    assert squad.types("alice", "doctor", "--bundle", str(path)).code == 1
    told = json.loads(path.read_text())
    assert told["settings"] == {"fault_in": "links.listen"}
    assert told["status"] == {}


def test_a_place_that_cannot_be_written_is_said(squad: People) -> None:
    screen = squad.types("alice", "doctor", "--bundle", str(squad.folder / "nowhere" / "x.json"))
    assert screen.code != 0
    assert screen.err.startswith("meshnode: ")
