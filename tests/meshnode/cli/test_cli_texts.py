"""Texts, files and passphrases that commands are given."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import typer

from meshnode.cli.texts import (
    TextError,
    draw_qr,
    home_of,
    passphrase,
    read_text,
    write_qr,
    write_text,
)
from protocol.armour import TextForm
from protocol.errors import LimitExceededError

FORM = TextForm.INVITATION


class Terminal(io.StringIO):
    """Standard input of somebody who sits there."""

    def isatty(self) -> bool:
        return True


def test_a_text_is_given_itself_or_by_file_or_by_stdin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "invitation.txt"
    path.write_text("MESHI1:abc~defghi\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("MESHI1:xyz"))
    assert read_text(" MESHI1:abc", FORM) == " MESHI1:abc"
    assert read_text(str(path), FORM) == "MESHI1:abc~defghi\n"
    assert read_text("-", FORM) == "MESHI1:xyz"


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for argument in ("nothing", str(tmp_path / "binary"), str(tmp_path), "MESHA1:" + "x" * 300):
        with pytest.raises(TextError):
            read_text(argument, FORM)
    (tmp_path / "huge").write_text("x" * (2 * FORM.bytes_max + 1))
    with pytest.raises(LimitExceededError):
        read_text(str(tmp_path / "huge"), FORM)


def test_a_passphrase_is_found_in_this_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "passphrase"
    path.write_text("from the file\n")
    monkeypatch.setattr(sys, "stdin", Terminal("from the keyboard\nfrom the keyboard\n"))
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "from the keyboard")
    monkeypatch.delenv("MESHNODE_PASSPHRASE", raising=False)
    assert passphrase(None, is_new=True) == "from the keyboard"
    monkeypatch.setenv("MESHNODE_PASSPHRASE", "from the environment")
    assert passphrase(None, is_new=False) == "from the environment"
    assert passphrase(path, is_new=False) == "from the file"


def test_there_is_no_default_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("not a person"))
    monkeypatch.delenv("MESHNODE_PASSPHRASE", raising=False)
    with pytest.raises(TextError, match="no passphrase"):
        passphrase(None, is_new=False)
    monkeypatch.setenv("MESHNODE_PASSPHRASE", "")
    with pytest.raises(TextError, match="empty"):
        passphrase(None, is_new=False)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "long").write_text("x" * 1_025)
    (tmp_path / "binary").write_bytes(b"\xff")
    for name in ("empty", "long", "binary", "nothing"):
        with pytest.raises(TextError):
            passphrase(tmp_path / name, is_new=False)


def test_the_home_is_that_of_the_program(tmp_path: Path) -> None:
    command = typer.main.get_command(typer.Typer(callback=lambda: None))
    context = typer.Context(command)
    assert home_of(context) == Path.home() / ".meshnode"
    context.params["home"] = tmp_path
    assert home_of(context) == tmp_path


def test_qr_codes_are_drawn_and_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    draw_qr("MESHI1:" + "a" * 220)
    assert len(capsys.readouterr().out.splitlines()) > 20
    draw_qr("MESHR1:" + "a" * 2_600)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "columns" in shown.err
    write_qr("MESHI1:abc", tmp_path / "qr")
    assert (tmp_path / "qr").read_bytes().startswith(b"\x89PNG")


def test_texts_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    write_text(tmp_path / "answer.txt", "MESHA1:é")
    assert (tmp_path / "answer.txt").read_text(encoding="utf-8") == "MESHA1:é\n"
    with pytest.raises(TextError, match="cannot be written"):
        write_text(tmp_path / "nowhere" / "answer.txt", "x")
