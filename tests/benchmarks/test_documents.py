"""A new revocation list costs one contact less than 8 kB, and current documents next to nothing."""

from __future__ import annotations

import pytest

from meshnode.bench.documents import measure

_NEW_LIST_BYTES_MAX = 8_000
_CURRENT_BYTES_MAX = 200
_SIGNATURES_BYTES = 64 + 3_309


def test_fifty_revocations_cost_a_contact_less_than_8_kilobytes() -> None:
    steps: list[int] = []
    figures = measure(500, 50, 2, steps.append)
    assert steps == [1, 2, 3, 4]
    assert (figures["identities"], figures["revocations"], figures["lists"]) == (500, 50, 2)
    assert 500 / 60 <= figures["rosters"] <= 500 / 40
    assert figures["current_bytes"] <= _CURRENT_BYTES_MAX
    assert _SIGNATURES_BYTES < figures["list_bytes"] < figures["new_list_bytes"]
    assert figures["new_list_bytes"] <= _NEW_LIST_BYTES_MAX
    assert 0 < figures["merge_ms"] <= figures["merge_ms_max"]
    assert figures["merge_cpu_ms"] > 0


@pytest.mark.slow
def test_what_comes_beside_the_list_hardly_grows_with_the_fleet() -> None:
    """Only the bucket that differs is listed: a sixty-fourth of all documents."""
    beside = [
        figures["new_list_bytes"] - figures["list_bytes"]
        for figures in (measure(identities, 1, 1) for identities in (100, 3_000))
    ]
    assert beside[1] - beside[0] <= 300


@pytest.mark.parametrize(
    ("identities", "revocations", "lists"), [(10, 11, 1), (10, 0, 1), (2_000, 1_001, 1), (10, 1, 0)]
)
def test_numbers_that_do_not_fit_are_refused(identities: int, revocations: int, lists: int) -> None:
    with pytest.raises(ValueError, match="must hold"):
        measure(identities, revocations, lists)
