"""A bar that is there for people and not for pipes."""

from __future__ import annotations

import pytest

from meshnode.cli.progress import progress_bar


def test_a_pipe_sees_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("connecting") as draw:
        draw("moving", 1)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("connecting", 4) as draw:
        draw("3 bundles sent, 1 received", 4)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "3 bundles sent, 1 received" in shown.err
