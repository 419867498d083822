"""What is in the tree: its files, who imports whom, and which test stands for which module."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.architecture.rules import PACKAGES, Source, imported_names

ROOT = Path(__file__).resolve().parent.parent.parent

TOP_LEVEL = {
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "docs",
    "meshnode",
    "protocol",
    "pyproject.toml",
    "requirements.lock",
    "sims",
    "tests",
}
"""Everything that may lie at the top, beside names that begin with a dot and built folders."""

BUILT = {"build", "dist", "htmlcov"}
"""Folders that tools make and git ignores."""

TEXT_SUFFIXES = {
    *("", ".cfg", ".json", ".lock", ".mako", ".md", ".py", ".toml", ".txt", ".yml"),
    *(".css", ".html", ".js", ".mjs", ".ts", ".tsx", ".webmanifest"),
}
MADE = ("meshnode/web/app/node_modules", "meshnode/web/app/public/map", "meshnode/web/static")
"""Folders that a build of the screens makes, and git ignores."""

ENTRY_POINTS = {
    "meshnode.cli.main",
    "meshnode.web.app.build_hook",
    "sims.cli",
    "meshnode.gateway.archive.migrations.env",
    "meshnode.store.migrations.env",
}
"""Modules that something outside the tree calls: the installed commands, hatch and alembic."""
MIGRATIONS = (
    "meshnode.gateway.archive.migrations.versions.",
    "meshnode.store.migrations.versions.",
)
"""What stands below is found by alembic by itself."""


def python_files(root: Path = ROOT) -> list[Path]:
    """Return every file of Python of the product and its tests."""
    folders = [root / name for name in (*PACKAGES, "tests")]
    found = (path for folder in folders for path in folder.rglob("*.py"))
    return sorted(path for path in found if not is_made(path, root))


def is_made(path: Path, root: Path = ROOT) -> bool:
    """Return whether a tool made the file at `path`."""
    return path.relative_to(root).as_posix().startswith(MADE)


def text_files(root: Path = ROOT) -> list[Path]:
    """Return every file that a person may read, at any depth; nothing that a tool made."""
    folders = [root / name for name in (*PACKAGES, "tests", "docs", ".ci")]
    found = [path for path in root.iterdir() if path.name in TOP_LEVEL | {".gitignore"}]
    found += [path for folder in folders for path in folder.rglob("*")]
    return sorted(
        path
        for path in found
        if path.is_file() and path.suffix in TEXT_SUFFIXES and "__pycache__" not in path.parts
        if not is_made(path, root)
    )


def strangers_at_the_top(names: Iterable[str]) -> set[str]:
    """Return the names that do not belong at the top, and those that are missing there."""
    seen = {name for name in names if name[0] != "." and name not in BUILT}
    return {name for name in seen if not name.endswith(".egg-info")} ^ TOP_LEVEL


@cache
def sources(root: Path = ROOT) -> tuple[Source, ...]:
    """Return every file of Python, parsed; once in a process."""
    return tuple(
        Source.read(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
        for path in python_files(root)
    )


def module_of(path: str) -> str:
    """Return the name under which the file at `path` is imported."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def unused_modules(product: Iterable[Source]) -> set[str]:
    """Return the modules that no other one imports and that nobody starts.

    A command that is loaded on demand is named in a text; such a text counts as an import.
    """
    files = list(product)
    used = set(ENTRY_POINTS)
    for each in files:
        named = set(imported_names(each)) | set(_texts(each.tree))
        used |= named - {module_of(each.path)}
    return {
        module_of(each.path)
        for each in files
        if not each.path.endswith(("__init__.py", "__main__.py"))
        and module_of(each.path) not in used
        and not module_of(each.path).startswith(MIGRATIONS)
    }


def _texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.split(":")[0]


def untested_modules(modules: Iterable[str], tests: Iterable[str]) -> set[str]:
    """Return the modules of the protocol without a test file of their own name.

    `protocol/routing/base.py` has `tests/protocol/routing/test_base.py` or
    `tests/protocol/test_routing_base.py`; both say which module they stand for.
    """
    have = set(tests)
    return {module for module in modules if not have & _test_files(module)}


def _test_files(module: str) -> set[str]:
    *folders, name = module.removesuffix(".py").split("/")
    flat = "_".join([*folders[1:], name])
    return {f"tests/{'/'.join(folders)}/test_{name}.py", f"tests/{folders[0]}/test_{flat}.py"}


def links_of(text: str) -> Iterator[str]:
    """Yield the target of each link in a page that leads to another file, without its anchor."""
    for piece in text.split("](")[1:]:
        target = piece.split(")")[0].split(" ")[0].split("#")[0]
        if target and "://" not in target and not target.startswith("mailto:"):
            yield target


def dead_links(pages: Mapping[Path, str]) -> list[str]:
    """Return each link of `pages` whose file is not there."""
    return [
        f"{page}: {target}"
        for page, text in pages.items()
        for target in links_of(text)
        if not (page.parent / target).exists()
    ]
