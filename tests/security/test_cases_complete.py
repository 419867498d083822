"""Each of the thirty security cases has a test that bears its number."""

from __future__ import annotations

import ast
import re
from pathlib import Path

CASES = 30
_NAME = re.compile(r"test_s(\d\d)_\w+")


def numbers() -> set[int]:
    """Return the numbers in the names of the tests below this folder."""
    found = set()
    for path in sorted(Path(__file__).parent.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                match = _NAME.fullmatch(node.name)
                found |= {int(match[1])} if match else set()
    return found


def test_every_case_has_a_test() -> None:
    missing = sorted(set(range(1, CASES + 1)) - numbers())
    assert missing == [], "no test is named " + ", ".join(
        f"test_s{each:02}_..." for each in missing
    )


def test_no_test_has_a_number_that_is_no_case() -> None:
    assert numbers() <= set(range(1, CASES + 1))
