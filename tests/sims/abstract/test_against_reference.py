"""The simulator against the slow, obvious one: everything that both tell is equal."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sims.abstract.engine import simulate
from sims.abstract.records import Options, PolicyName
from sims.region import Region
from tests.reference.gain_simulator import GainSimulator
from tests.reference.simulator import Simulator
from tests.sims.abstract.regions import REGIONS, options_of, some_region, told_by, told_by_reference

# The first run compiles the simulator.
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("policy", PolicyName)
@given(data=st.data(), region=REGIONS)
def test_is_what_the_obvious_simulator_says(
    policy: PolicyName, data: st.DataObject, region: Region
) -> None:
    _compare(region, data.draw(options_of(policy)))


@pytest.mark.parametrize("policy", PolicyName)
@given(
    seed=st.integers(0, 2**32 - 1),
    buffer_bytes=st.sampled_from([40_960, 60_000, 100_000]),
    rate_bytes_s=st.sampled_from([1_024.0, 8_192.0]),
)
@settings(max_examples=10)
def test_is_the_same_where_stores_are_full(
    policy: PolicyName, seed: int, buffer_bytes: int, rate_bytes_s: float
) -> None:
    _compare(some_region(seed), Options(policy, buffer_bytes, rate_bytes_s))


def _compare(region: Region, options: Options) -> None:
    kind = GainSimulator if options.policy is PolicyName.GAIN else Simulator
    reference = kind(region, options)
    reference.run()
    assert told_by(simulate(region, options)) == told_by_reference(reference)
