"""A small region becomes a scenario of real nodes and back, and says what cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from meshnode.outbox import Priority
from protocol.limits import STORE_BYTES_DEFAULT
from sims.contacts import make_plan, make_workload
from sims.region import Region
from sims.scenario import Crash, Scenario, ScenarioError
from sims.translation import LEAD_S, bundle_bytes, region_of, scenario_of
from tests.meshnode.rig import CODT, open_rig
from tests.sims.shapes import crowd, line, port, squad

SHAPES = (line, squad, port, crowd)
Message = tuple[float, int, int, int, float, int]


def small(*messages: Message, roles: tuple[str, ...] = ("gateway", "relay", "agent")) -> Region:
    plan = make_plan(3, np.array([[10.0, 60.0, 0, 1], [80.0, 90.0, 1, 2]]))
    names = tuple(f"m{number}" for number in range(len(messages)))
    workload = make_workload(names, np.array(messages, dtype=float), 3, "messages")
    return Region("small", plan, workload, ("g", "r", "a"), roles, ("Post", "", "Queyras"), 100.0)


USUAL: tuple[Message, ...] = (
    (5.0, 2, 0, 3_000, 600.0, 0),
    (6.0, 2, 0, 3_000, 600.0, 1),
    (7.0, 0, 2, 6_000, 700.9, 2),
)


def test_a_region_becomes_a_scenario() -> None:
    scenario = scenario_of(small(*USUAL), rate_bytes_s=1e4, latency_s=0.1, store_bytes=10**6)
    assert [(each.name, each.squads) for each in scenario.devices] == [
        ("g", ()),
        ("r", ()),
        ("a", ("Queyras",)),
    ]
    assert [(each.to, each.priority, each.lifetime_s) for each in scenario.messages] == [
        ("codt", "sos", 600),
        ("codt", "normal", 600),
        ("a", "low", 700),
    ]
    assert len({each.text for each in scenario.messages}) == 3
    last = scenario.contacts[-1]
    assert (last.start_s, last.end_s, last.a, last.b) == (LEAD_S + 80.0, LEAD_S + 90.0, "r", "a")
    assert (scenario.rate_bytes_s, scenario.latency_s, scenario.store_bytes) == (1e4, 0.1, 10**6)
    assert scenario.duration_s == LEAD_S + 100.0


@pytest.mark.parametrize("shape", SHAPES)
def test_there_and_back_keeps_contacts_and_messages(shape: Callable[[int], Region]) -> None:
    region = shape(1)
    back = region_of(scenario_of(region))
    is_ours = back.plan.start_s >= LEAD_S
    assert back.plan.start_s[is_ours] == pytest.approx(region.plan.start_s + LEAD_S)
    assert back.plan.end_s[is_ours] == pytest.approx(region.plan.end_s + LEAD_S)
    assert back.plan.a[is_ours].tolist() == region.plan.a.tolist()
    assert back.plan.b[is_ours].tolist() == region.plan.b.tolist()
    assert back.workload.created_s == pytest.approx(region.workload.created_s + LEAD_S)
    for column in ("source", "destination", "priority", "lifetime_s"):
        expected = getattr(region.workload, column)
        assert getattr(back.workload, column).tolist() == expected.tolist()
    assert (back.labels, back.roles, back.groups) == (region.labels, region.roles, region.groups)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_second_translation_changes_nothing_more(shape: Callable[[int], Region]) -> None:
    once = region_of(scenario_of(shape(2)))
    twice = region_of(scenario_of(once))
    assert twice.workload.size_bytes.tolist() == once.workload.size_bytes.tolist()


def test_a_bundle_is_the_largest_that_is_not_above_what_was_asked() -> None:
    sizes = region_of(scenario_of(small(*USUAL))).workload.size_bytes.tolist()
    assert sizes[0] == 3_000
    assert all(size <= asked for size, (_, _, _, asked, _, _) in zip(sizes, USUAL, strict=True))
    tiny = region_of(scenario_of(small((5.0, 2, 1, 10, 600.0, 1)))).workload.size_bytes
    assert 1_200 < tiny[0] < 1_500


@pytest.mark.slow
@pytest.mark.parametrize("text_bytes", [20, 900, 5_000, 16_384])
async def test_sizes_are_those_of_bundles_that_real_nodes_make(text_bytes: int) -> None:
    kinds = {"sos": Priority.SOS, "normal": Priority.NORMAL, "low": Priority.LOW}
    async with open_rig() as rig:
        await rig.mix("anna", "bruno", "gateway")
        for priority, kind in kinds.items():
            for scope, is_for_centre in ((CODT, True), (rig["bruno"].scope, False)):
                await rig["anna"].send(scope, "x" * text_bytes, kind)
                found = [
                    len(bundle.raw)
                    for bundle in await rig["anna"].held(kind.value)
                    if bundle.header.scope == scope
                ]
                expected = bundle_bytes(text_bytes, priority, is_for_centre=is_for_centre)
                assert found == [pytest.approx(expected, abs=8)]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ((5.0, 1, 0, 3_000, 600.0, 0), "neither raise nor read an SOS"),
        ((5.0, 2, 1, 3_000, 600.0, 0), "neither raise nor read an SOS"),
        ((5.0, 2, 0, 3_000, 59.0, 1), "lives 59 s"),
        ((5.0, 2, 0, 3_000, 8 * 86_400.0, 0), "not 60 to 604800 s"),
    ],
)
def test_what_real_nodes_cannot_do_is_refused(message: Message, reason: str) -> None:
    with pytest.raises(ScenarioError, match=reason):
        scenario_of(small(message))


def test_regions_that_no_scenario_holds_are_refused() -> None:
    region = small(*USUAL)
    with pytest.raises(ScenarioError, match="same name"):
        scenario_of(replace(region, labels=("g", "A", "a")))
    with pytest.raises(ScenarioError, match="nobody can be a 'ghost'"):
        scenario_of(replace(region, roles=("gateway", "ghost", "agent")))
    many = Region(
        "crowd",
        make_plan(65, np.empty((0, 4))),
        make_workload((), np.empty((0, 6)), 65, "messages"),
        tuple(map(str, range(65))),
        ("agent",) * 65,
        ("",) * 65,
        10.0,
    )
    with pytest.raises(ScenarioError, match="at most 64"):
        scenario_of(many)


def test_two_gateways_are_written_to_by_name() -> None:
    region = small((5.0, 2, 0, 3_000, 600.0, 1), roles=("gateway", "gateway", "agent"))
    scenario = scenario_of(region)
    assert scenario.messages[0].to == "g"
    to_both = replace(scenario, messages=(replace(scenario.messages[0], to="codt"),))
    with pytest.raises(ScenarioError, match="'codt' is not one device"):
        region_of(to_both)


def test_scenarios_that_no_region_stands_for_are_refused() -> None:
    scenario: Scenario = scenario_of(small(*USUAL))
    assert scenario.store_bytes == STORE_BYTES_DEFAULT
    with pytest.raises(ScenarioError, match="real nodes alone"):
        region_of(replace(scenario, crashes=(Crash(10.0, "a", 60.0),)))
    mates = replace(scenario.messages[0], to="squad:Queyras")
    with pytest.raises(ScenarioError, match="not one device"):
        region_of(replace(scenario, messages=(mates,)))
