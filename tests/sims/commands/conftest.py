"""Somebody who gives commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sims.commands.parts import Person


@pytest.fixture
def person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Person:
    """Somebody in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Person(tmp_path, capsys)
