"""Our policy beside those of the books on small regions of the generators, with tight stores."""

from __future__ import annotations

import pytest

from sims.abstract.engine import simulate
from sims.abstract.records import Options, PolicyName
from sims.oracle import Deliveries, best_arrivals, sum_up
from sims.region import Region
from sims.region_reading import load_region

pytestmark = pytest.mark.slow

MOUNTAINS = """
about = "Two squads in two days."
days = 2

[mountains]
squads = 2
agents_per_squad = 5

[workload]
urgent_per_day = 1
normal_per_day = 6
bulk_per_day = 3
"""
BOATS = """
about = "A few boats in two days."
days = 2

[boats]

[workload]
urgent_per_day = 1
normal_per_day = 4
bulk_per_day = 2
"""
BUFFER_BYTES = 1_500_000


@pytest.fixture(scope="module", params=[MOUNTAINS, BOATS], ids=["mountains", "boats"])
def region(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Region:
    path = tmp_path_factory.mktemp("region") / "region.toml"
    path.write_text(request.param)
    return load_region(str(path), 1).region


def _run(region: Region, policy: PolicyName) -> tuple[Deliveries, float]:
    found = simulate(region, Options(policy, BUFFER_BYTES))
    deliveries = sum_up(region.workload, found.delivered_s)
    return deliveries, found.transfers / deliveries.delivered


def test_delivers_at_least_what_others_do_with_less(region: Region) -> None:
    best = sum_up(region.workload, best_arrivals(region.plan, region.workload))
    ours, ours_transfers = _run(region, PolicyName.GAIN)
    epidemic, epidemic_transfers = _run(region, PolicyName.EPIDEMIC)
    spray, _ = _run(region, PolicyName.SPRAY)
    # Stores are tight: giving everything to everybody comes off badly.
    assert epidemic.delivered < best.delivered
    assert max(epidemic.delivered, spray.delivered) <= ours.delivered <= best.delivered
    assert ours_transfers < epidemic_transfers


def test_urgent_messages_come_as_if_nothing_were_scarce(region: Region) -> None:
    best = sum_up(region.workload, best_arrivals(region.plan, region.workload))
    ours, _ = _run(region, PolicyName.GAIN)
    assert ours.share_of[0] == best.share_of[0] > 0
