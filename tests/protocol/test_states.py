"""Battery and coverage as they stand in a payload: bounds, and what a reader refuses."""

from __future__ import annotations

import pytest
from hypothesis import given

from protocol.errors import LimitExceededError, MalformedError
from protocol.states import (
    OPERATOR_BYTES_MAX,
    Battery,
    Bearer,
    Coverage,
    battery_fields,
    coverage_fields,
    is_plain,
    read_battery_untrusted,
    read_coverage_untrusted,
)
from tests.strategies import batteries, coverages


@given(batteries())
def test_a_battery_is_read_as_it_was_written(battery: Battery) -> None:
    assert read_battery_untrusted(battery_fields(battery)) == battery


@given(coverages())
def test_coverage_is_read_as_it_was_written(coverage: Coverage) -> None:
    assert read_coverage_untrusted(coverage_fields(coverage)) == coverage


def test_what_is_not_known_is_an_empty_array() -> None:
    assert battery_fields(None) == coverage_fields(None) == ()
    assert read_battery_untrusted(()) is None
    assert read_coverage_untrusted(()) is None


@pytest.mark.parametrize("size", [OPERATOR_BYTES_MAX, OPERATOR_BYTES_MAX + 1])
def test_an_operator_at_the_limit_and_above(size: int) -> None:
    fields = (0, 3, 0, 0, b"x" * size)
    if size == OPERATOR_BYTES_MAX:
        found = read_coverage_untrusted(fields)
        assert found is not None
        assert len(found.operator) == size
    else:
        with pytest.raises(LimitExceededError):
            read_coverage_untrusted(fields)


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", " x", "\u202e", "a\x07"])
def test_a_name_that_moves_the_cursor_is_refused(name: str) -> None:
    assert not is_plain(name)
    with pytest.raises(MalformedError):
        read_coverage_untrusted((0, 3, 0, 0, name.encode()))


def test_an_operator_is_not_printed() -> None:
    """It tells in which country somebody is."""
    assert "Orange" not in repr(Coverage(0, Bearer.G4, operator="Orange F"))
