"""Any bytes of a peer give a value or a named error, in every function that reads them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.node_parsers import ALL_PARSERS
from tests.properties.table import Parser
from tests.strategies import mutated, mutated_records

EXAMPLES = max(25, settings.default.max_examples // 4) if settings.default else 25
"""Per function; there are a hundred functions, and `make fuzz` goes on where this ends."""
ROOT = Path(__file__).resolve().parents[2]


def _untrusted(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    """Yield the names of all functions and methods below `body` that end in `_untrusted`."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _untrusted(node.body, f"{prefix}.{node.name}")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.endswith("_untrusted"):
                yield f"{prefix}.{node.name}"
            yield from _untrusted(node.body, f"{prefix}.{node.name}")


def _found(package: str) -> Iterator[str]:
    """Yield those of a package; names of the protocol stand without the package's."""
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        prefix = ".".join(part for part in parts if part not in ("protocol", "__init__"))
        yield from _untrusted(ast.parse(path.read_text(encoding="utf-8")).body, prefix)


FOUND = sorted({name for package in ("protocol", "meshnode") for name in _found(package)})


def test_the_table_names_every_function_that_reads_bytes_of_a_peer() -> None:
    listed = {parser.name for parser in ALL_PARSERS}
    assert [name for name in FOUND if name not in listed] == []
    assert [name for name in listed if name.endswith("_untrusted") and name not in FOUND] == []


def test_the_search_finds_functions_methods_and_class_methods() -> None:
    assert {
        "bundle.decode_untrusted",
        "bundle.Scope.decode_untrusted",
        "bundle._header_untrusted",
        "session.frames.FrameReader.next_untrusted",
        "meshnode.stick.Stick._key_untrusted",
        "meshnode.links.inbound.is_urgent_untrusted",
    } <= set(FOUND)


each = pytest.mark.parametrize(
    "parser",
    [pytest.param(parser, id=f"{place}-{parser.name}") for place, parser in enumerate(ALL_PARSERS)],
)


@each
def test_the_first_seed_is_read(parser: Parser) -> None:
    """A table of seeds that are all refused at the door would prove nothing."""
    parser.read(parser.seeds[0])


@each
@pytest.mark.slow
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_any_bytes_give_a_value_or_a_named_error(parser: Parser, data: st.DataObject) -> None:
    raw = data.draw(st.binary(max_size=80) | mutated(parser.seeds) | mutated_records(parser.seeds))
    try:
        parser.read(raw)
    except parser.errors:
        return


@each
def test_every_cut_gives_a_value_or_a_named_error(parser: Parser) -> None:
    for seed in parser.seeds:
        step = max(1, len(seed) // 60)
        for length in range(0, len(seed), step):
            try:
                parser.read(seed[:length])
            except parser.errors:
                continue
