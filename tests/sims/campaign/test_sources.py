"""A source gives the same regions on any computer, and its hash tells regions apart."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sims.campaign.parameters import CampaignError
from sims.campaign.sources import region_hash, scenario_source, trace_source
from sims.region import Region
from tests.sims.campaign.parts import NODES, write_trace

SCENARIO = """
about = "A recorded trace."
duration_s = 4_000
[trace]
contacts = "contacts.csv"
messages = "lists/messages.csv"
[store]
buffer_bytes = 77_000
"""


def assert_equal(a: Region, b: Region) -> None:
    """Check that two regions are one."""
    assert region_hash(a) == region_hash(b)
    np.testing.assert_array_equal(a.plan.start_s, b.plan.start_s)


@pytest.fixture
def trace(tmp_path: Path) -> Region:
    """Return the region of a small trace."""
    write_trace(tmp_path)
    return trace_source(tmp_path / "contacts.csv", tmp_path / "messages.csv").region(1)


def test_a_trace_is_the_same_for_each_seed(tmp_path: Path) -> None:
    write_trace(tmp_path)
    source = trace_source(tmp_path / "contacts.csv", tmp_path / "messages.csv")
    assert not source.is_seeded
    assert source.region(1) is source.region(2)
    assert source.region(1).plan.nodes == NODES
    assert_equal(pickle.loads(pickle.dumps(source)).region(3), source.region(1))


def test_who_meets_nobody_may_write(tmp_path: Path) -> None:
    write_trace(tmp_path)
    with (tmp_path / "messages.csv").open("a") as file:
        file.write("\nlast,1,40,2,100,50,0")
    region = trace_source(tmp_path / "contacts.csv", tmp_path / "messages.csv").region(1)
    assert region.plan.nodes == len(region.labels) == 41


def test_the_hash_tells_regions_apart(trace: Region) -> None:
    plan, workload = trace.plan, trace.workload
    others = [
        replace(trace, plan=replace(plan, start_s=plan.start_s - 1e-9)),
        replace(trace, plan=replace(plan, a=plan.b, b=plan.a)),
        replace(trace, plan=replace(plan, nodes=plan.nodes + 1)),
        replace(trace, workload=replace(workload, size_bytes=workload.size_bytes + 1)),
        replace(trace, workload=replace(workload, priority=workload.priority[::-1])),
        replace(trace, workload=replace(workload, names=("mm0", *workload.names[1:]))),
        replace(trace, roles=("gateway", *trace.roles[1:])),
    ]
    assert len({region_hash(each) for each in [trace, *others]}) == 1 + len(others)
    assert region_hash(replace(trace, name="another")) == region_hash(trace)


@pytest.mark.slow
def test_a_scenario_takes_its_files_along(tmp_path: Path) -> None:
    write_trace(tmp_path)
    (tmp_path / "lists").mkdir()
    (tmp_path / "messages.csv").rename(tmp_path / "lists" / "messages.csv")
    (tmp_path / "valley.toml").write_text(SCENARIO)
    source = scenario_source("valley.toml", tmp_path, 1)
    assert source.name == "valley"
    assert source.options.buffer_bytes == 77_000
    before = source.region(1)
    sent = pickle.dumps(source)
    shutil.rmtree(tmp_path)
    assert_equal(pickle.loads(sent).region(1), before)


@pytest.mark.slow
def test_files_that_lie_elsewhere_cannot_be_sent(tmp_path: Path) -> None:
    write_trace(tmp_path)
    (tmp_path / "inner").mkdir()
    text = SCENARIO.replace("contacts.csv", "../contacts.csv").replace("lists/", "../")
    (tmp_path / "inner" / "valley.toml").write_text(text)
    with pytest.raises(CampaignError, match="put it beside the scenario"):
        scenario_source("valley.toml", tmp_path / "inner", 1)


@pytest.mark.slow
def test_an_included_scenario_needs_its_name_alone(tmp_path: Path) -> None:
    source = scenario_source("queyras_squads", tmp_path, 1)
    assert source.files == ()
    assert source.is_seeded
    assert_equal(source.region(1), pickle.loads(pickle.dumps(source)).region(1))
    assert region_hash(source.region(1)) != region_hash(source.region(2))
