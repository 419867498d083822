"""Homes of a small network, made by the commands that people type."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshnode import authority_keys
from meshnode.cli.language import speak
from tests.meshnode.cli.people import People


@pytest.fixture
def people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> People:
    """People and their empty homes."""
    monkeypatch.setenv("MESHNODE_PASSPHRASE", "five quite ordinary words here")
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("TERM", "dumb")
    # A guess at the passphrase costs nothing in tests.
    monkeypatch.setattr(authority_keys, "SCRYPT_COST", 2)
    speak("en")
    return People(tmp_path, capsys, monkeypatch)


@pytest.fixture
def squad(people: People) -> People:
    """The same with an authority, two agents of a squad, and a gateway that know each other."""
    people.reads("hq", "authority", "init", "--network", "Alpes", "--zone", "7")
    people.enrol("centre", "gateway")
    people.enrol("bob", "agent", "Queyras")
    people.enrol("alice", "agent", "Queyras")
    return people
