"""A node that meets nobody hardly wakes and stays small, measured in a process of its own."""

from __future__ import annotations

import pytest

from tests.benchmarks.idle import measure
from tests.real.netns import require_namespaces

_SECONDS = 45
_WAKEUPS_PER_HOUR_MAX = 120
_RESIDENT_MIB_MAX = 120


@pytest.mark.slow
@pytest.mark.real
def test_an_idle_node_hardly_wakes_and_stays_small() -> None:
    require_namespaces()
    found = measure(_SECONDS)
    print(found)
    assert found["wakeups_per_hour"] <= _WAKEUPS_PER_HOUR_MAX, found
    assert 20 < found["resident_mib"] < _RESIDENT_MIB_MAX, found
