"""How-to pages about enrolment and loss, done in one shell: one goes on where the other ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture import tree
from tests.architecture.test_tutorial import blocks, pattern, shell, steps

PAGES = ("enrol-a-device.md", "add-a-zone.md", "lose-a-phone.md")


def text_of(page: str) -> str:
    return (tree.ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_the_page_has_nothing_that_is_not_run(page: str) -> None:
    text = text_of(page)
    assert text.count("\n```") == 2 * len(blocks(text, "console"))
    assert len(steps(text)) > 5


@pytest.mark.slow
@pytest.mark.real
def test_every_step_of_the_pages_does_what_it_says(tmp_path: Path) -> None:
    with shell(tmp_path) as person:
        for step in [step for page in PAGES for step in steps(text_of(page))]:
            code, printed = person.type(step.command)
            assert code == 0, f"{step.command}\n{printed}"
            if step.shown:
                shown = "\n".join(step.shown)
                assert pattern(step.shown).search(printed), f"{step.command}\n{shown}\n{printed}"
