"""What finding the difference costs: bytes, round trips, CPU, and that the set's size is no part.

The figures are those of the design; every contact comes from a seed. Source: DESIGN D2.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import mean

import pytest

from meshnode.bench.reconcile import Contact, make_pairs, measure, meet

_ROOT = Path(__file__).parents[2]
_PROGRAM = """
import json, sys, time
from meshnode.bench.reconcile import measure

def floor_ms():
    began_s = time.process_time()
    sum(each * each for each in range(100_000))
    return 1000 * (time.process_time() - began_s)

sizes = [int(each) for each in sys.argv[1:]]
rounds = [[floor_ms(), *(measure(ids, 1_000)["contact_cpu_ms"] for ids in sizes)] for _ in range(3)]
print(json.dumps(rounds))
"""
"""A bare loop and the sizes take turns: a machine that is slow for a while is so for each."""
_FLOORS_MAX = 6.0
"""So many loops of 100,000 steps a contact may cost; 2.1 were measured, 8.6 ms beside 4.1 ms. Where
that was measured the bound so is 25 ms."""


def contacts(ids: int, differences: int, count: int, seed: int = 1) -> list[Contact]:
    """Return `count` contacts; each has found what there was to find."""
    found = []
    for first, second in make_pairs(ids, differences, seed, count):
        contact = meet(first, second)
        assert len(contact.have) + len(contact.need) == differences
        assert contact.have == set(first.ids) - set(second.ids)
        assert contact.need == set(second.ids) - set(first.ids)
        found.append(contact)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("ids", [1_000, 20_000])
@pytest.mark.parametrize(("differences", "count"), [(100, 80), (300, 60), (1_000, 100)])
def test_a_difference_costs_26_bytes_and_two_round_trips(
    ids: int, differences: int, count: int
) -> None:
    found = contacts(ids, differences, count)
    assert mean(each.bytes for each in found) <= 26 * differences
    assert sum(each.round_trips <= 2 for each in found) >= 0.9 * count
    assert max(each.round_trips for each in found) <= 5


@pytest.mark.slow
@pytest.mark.parametrize("ids", [500, 20_000])
@pytest.mark.parametrize("differences", [1, 5, 20])
def test_few_differences_cost_a_kilobyte_and_one_round_trip(ids: int, differences: int) -> None:
    found = contacts(ids, differences, 25)
    assert max(each.bytes for each in found) <= 1_000
    assert sum(each.round_trips == 1 for each in found) >= 24


@pytest.mark.slow
def test_thirty_differences_take_one_round_trip_in_97_of_100_contacts() -> None:
    found = contacts(2_000, 30, 200)
    assert sum(each.round_trips == 1 for each in found) >= 194


@pytest.mark.parametrize("ids", [0, 1, 200, 20_000])
def test_equal_sets_cost_less_than_100_bytes(ids: int) -> None:
    (found,) = contacts(ids, 0, 1)
    assert found.bytes <= 100
    assert found.round_trips == 1


@pytest.mark.slow
def test_the_size_of_the_sets_costs_no_bytes() -> None:
    for differences in (0, 20, 300):
        small, large = (measure(ids, differences) for ids in (2_000, 100_000))
        # A larger number of ids takes up to four bytes more in each head.
        assert abs(small["bytes"] - large["bytes"]) <= max(20, 0.15 * small["bytes"])


@pytest.mark.slow
@pytest.mark.real
def test_the_size_of_the_sets_costs_no_cpu() -> None:
    """Measured in a process of its own, as measuring coverage triples the cost of each line."""
    environment = {key: each for key, each in os.environ.items() if "COVERAGE" not in key}
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM, "10000", "100000"],
        stdout=subprocess.PIPE,
        cwd=_ROOT,
        env=environment,
        check=True,
    )
    rounds = json.loads(run.stdout)
    print(rounds)
    assert min(large_ms / floor_ms for floor_ms, _small_ms, large_ms in rounds) <= _FLOORS_MAX
    assert min(large_ms / small_ms for _floor_ms, small_ms, large_ms in rounds) <= 1.6


def test_a_measurement_says_what_was_asked() -> None:
    found = measure(2_000, 40, seed=3)
    assert (found["schema"], found["ids"], found["differences"]) == (1, 2_000, 40)
    assert found["bytes_per_difference"] == round(found["bytes"] / 40, 2)
    assert found["bytes"] <= found["bytes_max"]
    assert 1 <= found["round_trips"] <= found["round_trips_max"]
    again = measure(2_000, 40, seed=3)
    del found["contact_cpu_ms"], again["contact_cpu_ms"]
    assert found == again
    assert measure(0, 0)["bytes_per_difference"] == measure(0, 0)["bytes"]


@pytest.mark.parametrize(("ids", "differences"), [(10, 11), (10, -1), (-1, 0), (10**9, 0)])
def test_numbers_that_do_not_fit_are_refused(ids: int, differences: int) -> None:
    with pytest.raises(ValueError, match="must hold"):
        measure(ids, differences)
