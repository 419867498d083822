"""Each of the thirty security cases has a test that bears its number and opens its homes again."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

CASES = 30
_NAME = re.compile(r"test_s(\d\d)_\w+")
_AGAIN = {"holds", "restarted", "restart", "_restart", "start", "_start", "each_way"}
"""What tests call a restart: a parameter, a loop over starts, or the helper that makes both."""
_OPENERS = {"alive", "leased", "locked", "open_home", "opened", "running", "small_box", "watched"}
"""What opens a home; a test that does it twice opens the same one again."""


def cases(source: str) -> dict[int, list[ast.AST]]:
    """Return the tests of a module by the number of their case."""
    found: dict[int, list[ast.AST]] = defaultdict(list)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            match = _NAME.fullmatch(node.name)
            if match:
                found[int(match[1])].append(node)
    return found


def is_restarted(test: ast.AST) -> bool:
    """True if a test looks again after its homes were closed."""
    named = [each.id for each in ast.walk(test) if isinstance(each, ast.Name)]
    named += [each.attr for each in ast.walk(test) if isinstance(each, ast.Attribute)]
    named += [each.arg for each in ast.walk(test) if isinstance(each, ast.arg)]
    opened = sum(
        isinstance(each, ast.Call) and getattr(each.func, "id", "") in _OPENERS
        for each in ast.walk(test)
    )
    return bool(_AGAIN & {*named}) or opened > 1


def all_cases() -> dict[int, list[ast.AST]]:
    """Return the tests below this folder by the number of their case."""
    found: dict[int, list[ast.AST]] = defaultdict(list)
    for path in sorted(Path(__file__).parent.rglob("test_*.py")):
        for number, tests in cases(path.read_text(encoding="utf-8")).items():
            found[number] += tests
    return found


def test_every_case_has_a_test() -> None:
    missing = sorted(set(range(1, CASES + 1)) - all_cases().keys())
    assert missing == [], "no test is named " + ", ".join(
        f"test_s{each:02}_..." for each in missing
    )


def test_no_test_has_a_number_that_is_no_case() -> None:
    assert all_cases().keys() <= set(range(1, CASES + 1))


def test_every_case_is_looked_at_again_after_a_restart() -> None:
    found = all_cases()
    missing = [number for number, tests in found.items() if not any(map(is_restarted, tests))]
    assert missing == []


def test_a_case_that_opens_its_home_once_is_found() -> None:
    once = "async def test_s01_once():\n    async with running(home) as node:\n        pass\n"
    again = "async def test_s01_again():\n    for _start in range(2):\n        await look()\n"
    assert [is_restarted(*cases(source)[1]) for source in (once, again)] == [False, True]
