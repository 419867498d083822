"""A job gives figures that can be counted by hand, and depends on nothing but its record."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from sims.abstract.records import Options, Outcome, Samples
from sims.campaign.grid import Job, jobs_of
from sims.campaign.job import Bench, failed_row, run_job
from sims.campaign.parameters import Parameters
from sims.campaign.sources import TraceSource, region_hash
from sims.contacts import make_plan, make_workload
from sims.region import Region, plain_region
from tests.sims.campaign import parts

pytestmark = pytest.mark.slow
"""The oracle is compiled at its first call."""


def by_hand(region: Region, options: Options) -> Outcome:
    """Return an outcome with figures that a person chose."""
    return Outcome(
        options=options,
        delivered_s=np.array([30.0, np.nan, 60.0, np.nan]),
        fate=np.array([0, 2, 0, 1], np.int8),
        died_at=np.full(4, -1, np.int32),
        hops=np.array([1, 0, 2, 0], np.int16),
        transfers_of=np.array([3, 1, 2, 0], np.int32),
        sent_bytes=np.array([10, 20, 0, 2]),
        received_bytes=np.array([0, 7, 25, 0]),
        contact_s=np.zeros(4),
        evictions=np.array([0, 2, 1, 0], np.int32),
        cut_transfers=5,
        samples=Samples(np.arange(2.0), np.zeros(2), np.array([4.0, 3.0])),
        cpu_seconds=0.5,
        digest="d",
    )


def test_figures_are_what_a_person_counts() -> None:
    plan = make_plan(4, np.array([[0.0, 90.0, 0, 1], [50.0, 60.0, 1, 2]]))
    rows = [[0, 0, 1, 9, 99, 0], [5, 0, 2, 9, 99, 0], [10, 1, 2, 9, 99, 2], [20, 0, 3, 9, 99, 1]]
    workload = make_workload(("a", "b", "c", "d"), np.array(rows, float), 4, "messages")
    region = plain_region("hand", plan, workload)
    source = TraceSource("hand", region_hash(region), region)
    row = run_job(Job("id", 1, Parameters()), source, by_hand)
    assert (row.identity, row.seed, row.error) == ("id", 1, "")
    assert row.figures is not None
    assert asdict(row.figures) == {
        "messages": 4,
        "delivered": 2,
        "delivered_share": 0.5,
        "delivered_urgent": 0.5,
        "delivered_normal": 0.0,
        "delivered_bulk": 1.0,
        "oracle_share": 0.75,
        "oracle_urgent": 1.0,
        "of_oracle": pytest.approx(2 / 3),
        "overhead": 2.0,
        "delay_median_s": 40.0,
        "delay_p90_s": pytest.approx(48.0),
        "transfers": 6,
        "cut_transfers": 5,
        "evictions": 3,
        "sent_bytes": 32,
        "node_bytes_mean": 16.0,
        "node_bytes_max": 27,
        "stored_bytes_max": 4.0,
        "digest": "d",
        "cpu_seconds": 0.5,
    }


def test_a_bench_that_did_others_before_gives_the_same(tmp_path: Path) -> None:
    campaign = parts.small_campaign(tmp_path)
    jobs = jobs_of(campaign)[:24]
    bench = Bench(campaign.source, parts.simulate)
    for job in (*jobs, *reversed(jobs)):
        alone = run_job(job, campaign.source, parts.simulate)
        found = bench.run(job)
        assert found.figures is not None
        assert alone.figures is not None
        assert found.figures.digest == alone.figures.digest
        assert found.figures.oracle_share == alone.figures.oracle_share


def test_nothing_can_be_said_of_nothing() -> None:
    plan = make_plan(2, np.array([[0.0, 9.0, 0, 1]]))
    region = plain_region("x", plan, make_workload((), np.empty((0, 6)), 2, "messages"))
    row = run_job(Job("id", 1, Parameters()), TraceSource("x", "h", region), parts.simulate)
    assert row.figures is not None
    assert row.figures.messages == 0
    assert math.isnan(row.figures.delivered_share)
    assert math.isnan(row.figures.overhead)
    assert math.isnan(row.figures.delay_p90_s)


def test_a_failed_row_has_one_line_of_reason() -> None:
    row = failed_row(Job("id", 1, Parameters()), "ValueError: a\n  b")
    assert (row.figures, row.error) == (None, "ValueError: a b")
