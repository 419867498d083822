"""The reference pages say what the code says, name everything, and every link leads somewhere."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

from meshnode.cli.exits import EXIT_CODES
from meshnode.config import Settings
from meshnode.metrics import METRICS
from protocol import limits
from protocol.errors import CloseCode
from tests.architecture import generate, tree
from tests.architecture.generate import FOLDER, PAGES


def page(name: str) -> str:
    """Return a page of the reference."""
    return (FOLDER / name).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PAGES))
def test_a_page_is_what_the_code_says(name: str) -> None:
    assert page(name) == PAGES[name](), "run `make docs`"


def test_every_limit_is_named() -> None:
    numbers = [name for name in limits.__all__ if isinstance(getattr(limits, name), int)]
    assert len(numbers) > 100
    assert [name for name in numbers if f"| `{name}` |" not in page("limits.md")] == []


def test_every_counter_is_named() -> None:
    assert [name for name in METRICS if f"| `{name}` |" not in page("metrics.md")] == []


def test_every_setting_is_named_with_its_meaning() -> None:
    text = page("configuration.md")
    for section in dataclasses.fields(Settings):
        part = text.split(f"## [{section.name}]")[1].split("\n## ")[0]
        for field in dataclasses.fields(getattr(Settings(), section.name)):
            row = next(line for line in part.splitlines() if line.startswith(f"| `{field.name}` |"))
            assert field.metadata["sentence"] in row


def test_every_command_and_option_is_named() -> None:
    text = page("command-line.md")
    assert len(generate.commands()) > 20
    for words, command in generate.commands().items():
        part = text.split(f"\n## {words}\n")[1].split("\n## ")[0]
        assert command.help, f"{words} does not say what it does"
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.hidden:
                assert all(f"`{each}`" in part for each in parameter.opts if each != "--help")


@pytest.mark.slow
def test_every_error_and_code_is_named() -> None:
    text = page("errors.md")
    for kind in generate.error_classes():
        assert f"| `{kind.__name__}` |" in text
        assert kind.__doc__, f"{kind.__name__} does not say what it means"
    for kind, each in EXIT_CODES.items():
        assert f"| {each.code} | {kind.__name__} | " in text
    assert all(f"| {each.value} | {each.name} |" in text for each in CloseCode)


def test_a_text_belongs_to_the_name_above_it() -> None:
    source = "a: int = 1\n'''One\n  two.'''\nb: int\nc: int = 2\n'''C.'''\nd = 3\n'''D.'''\n"
    assert generate.texts_below(ast.parse(source).body) == {"a": "One two.", "c": "C."}


def test_every_link_leads_to_a_file() -> None:
    paths = [tree.ROOT / "README.md", *(tree.ROOT / "docs").rglob("*.md")]
    assert tree.dead_links({path: path.read_text(encoding="utf-8") for path in paths}) == []


def test_every_page_can_be_reached_from_the_index() -> None:
    start = (tree.ROOT / "docs" / "index.md").resolve()
    seen, todo = {start}, [start]
    while todo:
        here = todo.pop()
        for target in tree.links_of(here.read_text(encoding="utf-8")):
            there = (here.parent / target).resolve()
            if there.suffix == ".md" and there not in seen and there.is_file():
                seen.add(there)
                todo.append(there)
    fragments = tree.ROOT / "docs" / "changes"
    pages = {path for path in (tree.ROOT / "docs").rglob("*.md") if fragments not in path.parents}
    assert lost(pages, seen) == []


def lost(pages: set[Path], seen: set[Path]) -> list[str]:
    """Return the pages that no link leads to."""
    return sorted(str(path.relative_to(tree.ROOT)) for path in pages - seen)
