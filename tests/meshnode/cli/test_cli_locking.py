"""What people see of lock, unlock and keys, and how they give their secret."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from meshnode.cli.language import speak
from meshnode.cli.locking import lease_words, lock_words
from meshnode.cli.texts import SECRET_VARIABLE, TextError, needed_secret, offered_secret
from tests.meshnode.cli.people import People

HOUR_MS = 3_600_000


@pytest.mark.slow
@pytest.mark.parametrize("command", ["lock", "unlock"])
def test_without_a_running_node_there_is_nothing_to_lock(squad: People, command: str) -> None:
    assert "meshnode run" in squad.fails(8, "alice", command)


@pytest.mark.slow
def test_keys_tells_of_keys_and_shows_none(squad: People) -> None:
    found = squad.json("alice", "keys")
    assert found["lock"]["is_locked"] is False
    assert found["lock"]["protection"] == "words"
    assert found["chains"] == 0
    assert {each["purpose"] for each in found["network"]} >= {"network", "zone_sos"}
    shown = squad.reads("alice", "keys")
    assert "unlocked (a secret)" in shown
    assert "zone sos" in shown
    squad.reads("alice", "send", "squad:Queyras", "hello")
    assert squad.json("alice", "keys")["chains"] == 1


@pytest.mark.slow
def test_status_says_how_the_keys_are(squad: People) -> None:
    assert "unlocked (a secret)" in squad.reads("alice", "status")
    assert squad.json("alice", "status")["lock"]["lease"] == "valid"


# --- words ---------------------------------------------------------------------------------------


def state(**changes: Any) -> dict[str, Any]:
    """Return the state of a lock in plain values."""
    usual = {
        "is_locked": False,
        "protection": "words",
        "lease": "valid",
        "has_beacon": True,
        "beacon_age_ms": 5 * HOUR_MS,
        "lease_left_ms": 100 * HOUR_MS,
    }
    return usual | changes


def test_words_for_the_lock() -> None:
    speak("en")
    assert lock_words(state()) == "unlocked (a secret)"
    assert lock_words(state(is_locked=True, protection="hardware")) == (
        "locked (a secret bound to this machine)"
    )
    assert lock_words(state(protection="unattended")) == "unlocked (opens by itself)"


def test_words_for_the_lease() -> None:
    speak("en")
    assert lease_words(state(lease="none")) == ""
    assert lease_words({"is_locked": False}) == ""
    assert lease_words(state()).startswith("beacon 5 h")
    assert "the lease ends in" in lease_words(state(lease="amber"))
    assert lease_words(state(lease="ended")).endswith("the lease has ended")
    assert lease_words(state(has_beacon=False)).startswith("no beacon since the enrolment")


# --- the secret ----------------------------------------------------------------------------------


@pytest.fixture
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody types."""
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))


@pytest.mark.usefixtures("no_terminal")
def test_a_secret_comes_from_a_file_then_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_text("five plain words\n")
    assert offered_secret(None, is_asked=True) is None
    assert offered_secret(file, is_asked=False) == "five plain words"
    monkeypatch.setenv(SECRET_VARIABLE, "from the environment")
    assert offered_secret(None, is_asked=False) == "from the environment"
    assert offered_secret(file, is_asked=False) == "five plain words"
    assert needed_secret(None) == "from the environment"


@pytest.mark.usefixtures("no_terminal")
def test_what_is_no_secret_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TextError, match="no secret: use --secret-file or MESHNODE_SECRET"):
        needed_secret(None)
    with pytest.raises(TextError, match="cannot be read"):
        offered_secret(tmp_path / "nothing", is_asked=False)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(TextError, match="cannot be read"):
        offered_secret(tmp_path / "binary", is_asked=False)
    for unfit in ("", "x" * 1_025):
        monkeypatch.setenv(SECRET_VARIABLE, unfit)
        with pytest.raises(TextError, match="empty or longer") as caught:
            offered_secret(None, is_asked=False)
        assert "xx" not in str(caught.value)


@pytest.mark.parametrize(("typed", "expected"), [("", None), ("five words", "five words")])
def test_nothing_typed_stays_locked(
    monkeypatch: pytest.MonkeyPatch, typed: str, expected: str | None
) -> None:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    terminal = io.StringIO("")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("typer.prompt", lambda *_words, **_options: typed)
    assert offered_secret(None, is_asked=True) == expected
    assert offered_secret(None, is_asked=False) is None
