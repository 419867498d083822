"""The tutorial on simulating a region, done: every command is typed and must show what it says."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from tests.architecture import tree
from tests.architecture.test_tutorial import blocks, pattern, shell, steps

PAGE = tree.ROOT / "docs" / "tutorials" / "simulate-a-region.md"
PAGES = ("queyras_squads-report.html", "both.html", "compared.html", "small-report.html")


def kept_folder() -> Path:
    """Return where compiled code is kept already: the person of this test has compiled before."""
    top = os.environ.get("XDG_CACHE_HOME", "")
    return Path(top) if Path(top).is_absolute() else Path.home() / ".cache"


def test_the_page_has_nothing_that_is_not_run_but_the_installation() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert blocks(text, "sh") == ["pip install '.[sims]'\n"]
    assert text.count("\n```") == 2 * (1 + len(blocks(text, "console")))
    assert len(steps(text)) > 15


@pytest.mark.slow
@pytest.mark.real
def test_every_step_does_what_it_says(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with shell(home) as person:
        person.type(f"export XDG_CACHE_HOME={shlex.quote(str(kept_folder()))}")
        for step in steps(PAGE.read_text(encoding="utf-8")):
            code, printed = person.type(step.command)
            assert code == 0, f"{step.command}\n{printed}"
            if step.shown:
                expected = "\n".join(step.shown)
                found = pattern(step.shown).search(printed)
                assert found, f"{step.command}\nexpected:\n{expected}\ngot:\n{printed}"
        assert {each for each in PAGES if not (home / each).is_file()} == set()
