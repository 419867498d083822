"""Any bytes of a peer give a value or a named error, in every function that reads them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import protocol
from tests.properties.parsers import PARSERS
from tests.properties.table import Parser
from tests.strategies import mutated, mutated_records

EXAMPLES = max(25, settings.default.max_examples // 4) if settings.default else 25
"""Per function; there are a hundred functions, and `make fuzz` goes on where this ends."""


def _modules() -> Iterator[ModuleType]:
    for info in pkgutil.walk_packages(protocol.__path__, "protocol."):
        yield importlib.import_module(info.name)


def _untrusted(module: ModuleType) -> Iterator[str]:
    """Yield the names of all functions and methods of a module that end in `_untrusted`."""
    holders = [(module.__name__.removeprefix("protocol."), vars(module))]
    holders += [
        (f"{module.__name__.removeprefix('protocol.')}.{name}", dict(vars(value)))
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    for prefix, members in holders:
        for name, value in members.items():
            function = getattr(value, "__func__", value)
            is_own = getattr(function, "__module__", None) == module.__name__
            if name.endswith("_untrusted") and callable(function) and is_own:
                yield f"{prefix}.{name}"


FOUND = sorted({name for module in _modules() for name in _untrusted(module)})


def test_the_table_names_every_function_that_reads_bytes_of_a_peer() -> None:
    listed = {parser.name for parser in PARSERS}
    assert [name for name in FOUND if name not in listed] == []
    assert [name for name in listed if name.endswith("_untrusted") and name not in FOUND] == []


def test_the_search_finds_functions_methods_and_class_methods() -> None:
    assert {
        "bundle.decode_untrusted",
        "bundle.Scope.decode_untrusted",
        "bundle._header_untrusted",
        "session.frames.FrameReader.next_untrusted",
    } <= set(FOUND)


each = pytest.mark.parametrize(
    "parser",
    [pytest.param(parser, id=f"{place}-{parser.name}") for place, parser in enumerate(PARSERS)],
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
