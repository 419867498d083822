"""Homes of a small network, made by the commands that people type."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshnode import authority_keys
from meshnode.cli.language import speak
from meshnode.vault import wrapping
from tests.meshnode.cli.people import People
from tests.meshnode.enrolling import CHEAP


def set_up(patch: pytest.MonkeyPatch) -> None:
    """Give the secrets and the language of everybody, and make guesses cheap."""
    patch.setenv("MESHNODE_PASSPHRASE", "five quite ordinary words here")
    patch.setenv("MESHNODE_SECRET", "five other ordinary words here")
    patch.setenv("LC_ALL", "C")
    patch.setenv("TERM", "dumb")
    # A guess at the passphrase costs nothing in tests.
    patch.setattr(authority_keys, "SCRYPT_COST", 2)
    patch.setattr(wrapping, "AGENT_COST", CHEAP)


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Whatever language a test spoke, the next one begins in English."""
    speak("en")
    yield
    speak("en")


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> People:
    """People and their empty homes."""
    set_up(monkeypatch)
    return People(tmp_path)


@pytest.fixture(scope="session")
def squad_homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An authority, two agents of a squad, and a gateway that know each other; to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        set_up(patch)
        people = People(tmp_path_factory.mktemp("squad"))
        people.reads("hq", "authority", "init", "--network", "Alpes", "--zone", "7")
        people.enrol("centre", "gateway")
        people.enrol("bob", "agent", "Queyras")
        people.enrol("alice", "agent", "Queyras")
        yield people.folder


@pytest.fixture
def squad(people: People, squad_homes: Path) -> People:
    """People with the homes of a small network."""
    shutil.copytree(squad_homes, people.folder, dirs_exist_ok=True)
    return people
