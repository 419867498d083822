"""The rules of the house, on the whole tree; and each rule on a sample that breaks it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.architecture import rules, tree
from tests.architecture.rules import RULES, Rule, Source, complaints

DEEP = "".join(f"{' ' * 4 * depth}if x:\n" for depth in range(1, 6)) + " " * 24 + "pass\n"
CHAIN = "    if x:\n        pass\n" + "    elif x:\n        pass\n" * 9
RECORD = "@dataclass(frozen=True)\nclass A:\n    '''D.'''\n    b: int\n"
MANY = ", ".join(f"p{number}" for number in range(9))

BROKEN: list[tuple[Rule, str, str]] = [
    (rules.long_files, "protocol/a.py", "x = 1\n" * 501),
    (rules.long_functions, "protocol/a.py", "def f():\n" + "    x = 1\n" * 70),
    (rules.long_functions, "tests/a.py", f"def f():\n{DEEP}"),
    (rules.long_functions, "protocol/a.py", f"async def f():\n{DEEP}"),
    (rules.long_functions, "protocol/a.py", f"class A:\n  def f():\n{DEEP}"),
    (rules.long_signatures, "protocol/a.py", f"def f({MANY}): pass"),
    (rules.long_signatures, "protocol/a.py", f"def f(self, *, {MANY}): pass"),
    (rules.long_signatures, "protocol/a.py", f"def f(*, {MANY.replace(',', '=1,')}=1): pass"),
    (rules.long_signatures, "tests/a.py", f"def f(self, *, {MANY}): pass"),
    (rules.stray_imports, "protocol/bundle.py", "import msgpack"),
    (rules.stray_imports, "protocol/bundle.py", "def f():\n    from msgpack import packb"),
    (rules.stray_imports, "meshnode/relay.py", "import sqlalchemy.orm"),
    (rules.stray_imports, "sims/world.py", "from sqlmodel import Field"),
    (rules.stray_imports, "meshnode/discovery/base.py", "import zeroconf"),
    (rules.stray_imports, "meshnode/node.py", "import ssl"),
    (rules.stray_imports, "meshnode/relay.py", "from cryptography import x509"),
    (rules.stray_imports, "meshnode/relay.py", "from . import outbox"),
    (rules.private_trio, "meshnode/relay.py", "from trio._core import x"),
    (rules.private_trio, "tests/a.py", "import trio\ntrio._core._run._r.seed(1)"),
    (rules.blind_handlers, "meshnode/relay.py", "try: pass\nexcept Exception: pass"),
    (rules.blind_handlers, "meshnode/relay.py", "try: pass\nexcept (OSError, Exception): pass"),
    (rules.blind_handlers, "meshnode/relay.py", "try: pass\nexcept: x = 1"),
    (rules.blind_handlers, "meshnode/relay.py", "try: pass\nexcept* Exception: pass"),
    (
        rules.blind_handlers,
        "protocol/a.py",
        "try: pass\nexcept BaseException as e: raise ValueError from e",
    ),
    (rules.missing_docstrings, "tests/a.py", "x = 1"),
    (rules.missing_docstrings, "protocol/a.py", "'''D.'''\ndef f(): pass"),
    (rules.missing_docstrings, "protocol/a.py", "'''D.'''\nclass A: pass"),
    (rules.missing_docstrings, "protocol/a.py", "class A:\n    '''D.'''\n    def f(self): pass"),
    (rules.missing_exports, "protocol/a.py", "x = 1"),
    (rules.missing_exports, "protocol/a.py", "__all__ = ['x', 'y']\nx = 1"),
    (rules.undocumented_fields, "protocol/a.py", RECORD),
    (rules.undocumented_fields, "protocol/a.py", "class A(NamedTuple):\n    b: int"),
    (rules.undocumented_fields, "protocol/a.py", f"{RECORD}    c: int\n    '''Seconds.'''\n"),
]

SOUND: list[tuple[Rule, str, str]] = [
    (rules.long_files, "protocol/a.py", "x = 1\n" * 500),
    (rules.long_functions, "protocol/a.py", "def f():\n" + "    x = 1\n" * 69),
    (rules.long_functions, "protocol/a.py", f"def f():\n{CHAIN}"),
    (rules.long_signatures, "protocol/a.py", f"def f(self, {MANY[:-4]}): pass"),
    (rules.long_signatures, "tests/a.py", f"def f(*, {MANY.replace(',', '=1,')}=1): pass"),
    (rules.stray_imports, "protocol/canonical.py", "import msgpack"),
    (rules.stray_imports, "meshnode/store/a.py", "import sqlalchemy.orm"),
    (rules.stray_imports, "tests/a.py", "import sqlalchemy"),
    (rules.private_trio, "sims/scheduler.py", "import trio\ntrio._core._run._r.seed(1)"),
    (rules.private_trio, "meshnode/relay.py", "import trio\ntrio.run(self._x)"),
    (rules.blind_handlers, "meshnode/supervisor.py", "try: pass\nexcept Exception: pass"),
    (rules.blind_handlers, "protocol/a.py", "try: pass\nexcept BaseException:\n  f()\n  raise"),
    (rules.missing_docstrings, "protocol/__init__.py", ""),
    (rules.missing_docstrings, "protocol/a.py", "'''D.'''\ndef _f(): pass"),
    (rules.missing_exports, "protocol/__init__.py", "x = 1"),
    (rules.missing_exports, "protocol/a.py", "__all__ = ['x']\nx = 1"),
    (rules.undocumented_fields, "protocol/a.py", f"{RECORD}    '''Seconds.'''\n"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps_the_rule(rule: Rule) -> None:
    assert complaints(tree.sources(), rule) == []


@pytest.mark.parametrize(("rule", "path", "text"), BROKEN)
def test_a_rule_bites(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source.read(path, text)))


@pytest.mark.parametrize(("rule", "path", "text"), SOUND)
def test_a_rule_lets_sound_code_by(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source.read(path, text))) == []


def test_every_rule_is_shown_to_bite_and_to_let_by() -> None:
    assert {rule for rule, _, _ in BROKEN} == {rule for rule, _, _ in SOUND} == set(RULES)


# --- words -------------------------------------------------------------------------------------


def test_no_file_says_that_it_is_unfinished() -> None:
    assert said(rules.unfinished_words) == []


def test_no_file_names_a_registry_or_a_place_on_one_machine() -> None:
    assert said(rules.tell_tales) == []


def test_the_lock_pins_and_hashes_everything_and_names_no_address() -> None:
    project = tomllib.loads((tree.ROOT / "pyproject.toml").read_text())["project"]
    lock = (tree.ROOT / "requirements.lock").read_text()
    extras = project["optional-dependencies"].values()
    direct = [*project["dependencies"], *(each for extra in extras for each in extra)]
    names = {re.split(r"[<>=;\[ ]", each, maxsplit=1)[0] for each in direct}
    blocks = re.split(r"^(?=\S)", lock, flags=re.MULTILINE)[1:]
    assert names <= {block.split("==")[0] for block in blocks}
    assert [block for block in blocks if "==" not in block or "--hash=sha256:" not in block] == []
    assert "://" not in lock


def test_every_dependency_is_imported() -> None:
    project = tomllib.loads((tree.ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=;\[ ]", each, maxsplit=1)[0] for each in project["dependencies"]}
    product = [each for each in tree.sources() if each.is_product]
    imported = {name.split(".")[0] for each in product for name in rules.imported_names(each)}
    # Starlette reads forms by it, and names it in no requirement of its own.
    assert names - imported == {"python-multipart"}


def said(rule: rules.TextRule) -> list[str]:
    """Return what a rule says of every text in the tree."""
    return [
        f"{path.relative_to(tree.ROOT)}: {each}"
        for path in tree.text_files()
        for each in rule(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(
    "word",
    ["TO" + "DO: x", "FIX" + "ME", "X" + "XX", "# HA" + "CK", "Place" + "holder", "for" + " now"],
)
def test_unfinished_words_are_seen(word: str) -> None:
    assert list(rules.unfinished_words(f"fine\nsay {word} here\n"))
    assert not list(rules.unfinished_words("a hacker forgot nowhere, todos os santos"))


@pytest.mark.parametrize(
    "text",
    ["https://pypi" + ".org/simple", "--index" + "-url x", "cd /ro" + "ot/x", "/wo" + "rk/main"],
)
def test_tell_tales_are_seen(text: str) -> None:
    assert list(rules.tell_tales(text))
    assert not list(rules.tell_tales("see docs/work and the root of it"))


# --- the tree ----------------------------------------------------------------------------------


def test_the_top_holds_the_mandated_names_and_no_other() -> None:
    assert tree.strangers_at_the_top(path.name for path in tree.ROOT.iterdir()) == set()
    assert (tree.ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_strangers_and_gaps_at_the_top_are_seen() -> None:
    assert tree.strangers_at_the_top([*tree.TOP_LEVEL, ".git", "dist"]) == set()
    assert tree.strangers_at_the_top([*tree.TOP_LEVEL, "setup.py"]) == {"setup.py"}
    assert tree.strangers_at_the_top(tree.TOP_LEVEL - {"LICENSE"}) == {"LICENSE"}


def test_every_module_is_used() -> None:
    assert tree.unused_modules(each for each in tree.sources() if each.is_product) == set()


def test_an_unused_module_is_seen() -> None:
    files = [
        Source.read("meshnode/a.py", "from meshnode import b\nload('meshnode.d:main')"),
        Source.read("meshnode/b.py", "import meshnode.b"),
        Source.read("meshnode/c.py", "import meshnode.c"),
        Source.read("meshnode/d.py", ""),
        Source.read("meshnode/__init__.py", ""),
        Source.read("sims/cli.py", "from meshnode.a import x"),
    ]
    assert tree.unused_modules(files) == {"meshnode.c"}


def test_every_module_of_the_protocol_has_its_test() -> None:
    names = [path.relative_to(tree.ROOT).as_posix() for path in tree.python_files()]
    modules = [each for each in names if each.startswith("protocol/") and "__init__" not in each]
    assert tree.untested_modules(modules, names) == set()


def test_a_module_without_its_test_is_seen() -> None:
    modules = ["protocol/a.py", "protocol/routing/b.py", "protocol/routing/c.py", "protocol/d.py"]
    tests = [
        "tests/protocol/test_a.py",
        "tests/protocol/test_routing_b.py",
        "tests/protocol/routing/test_c.py",
        "tests/protocol/routing/test_d.py",
    ]
    assert tree.untested_modules(modules, tests) == {"protocol/d.py"}


def test_dead_links_are_seen(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("x")
    text = '[a](a.md#top) [b](b.md) [c](https://example.org/c) ![d](sub/d.png "D") [e](#here)'
    assert dead(page, text) == ["b.md", "sub/d.png"]


def dead(page: Path, text: str) -> list[str]:
    """Return the targets of `text` that lead nowhere."""
    return [each.rsplit(": ", 1)[1] for each in tree.dead_links({page: text})]
