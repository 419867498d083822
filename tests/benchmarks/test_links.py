"""A link is cheap enough to set up at every contact, and an outsider far cheaper to refuse."""

from __future__ import annotations

import pytest

from meshnode.bench.links import STEPS, measure

_PER_CPU_SECOND_MIN = 60
_REFUSED_SHARE_MAX = 0.1


@pytest.mark.slow
@pytest.mark.real
def test_set_ups_and_refusals_cost_what_was_promised() -> None:
    steps: list[int] = []
    figures = measure(64, steps.append)
    assert steps == list(range(1, STEPS + 1))
    assert figures["links"] == 64
    assert figures["known_per_cpu_second"] >= _PER_CPU_SECOND_MIN
    assert figures["new_per_cpu_second"] >= _PER_CPU_SECOND_MIN
    assert figures["floor_per_cpu_second"] > figures["known_per_cpu_second"]
    assert figures["refused_us"] > 0
    assert figures["refused_share"] < _REFUSED_SHARE_MAX
