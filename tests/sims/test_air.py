"""The radio between simulated devices: who hears what, and an alarm that has no other way."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from sims.air import Air, _End
from sims.checkers import check_world
from sims.draws import Draw
from sims.reading import load_scenario
from sims.shrinking import _until, _without
from sims.world import run_world

SCENARIO = load_scenario("sos_by_radio")


async def heard(end: _End, within_s: float = 5.0) -> list[bytes]:
    """Return what reaches a port in some seconds."""
    found = list[bytes]()
    with trio.move_on_after(within_s):
        while True:
            found.append(await end.receive_some())
    return found


async def test_whoever_hears_gets_a_frame_and_others_do_not(autojump_clock: MockClock) -> None:
    air = Air(0.0, Draw(1, "air"))
    ends = {name: _End(air, name) for name in ("anna", "box", "carla")}
    air._ends.update(ends)
    air.begin("anna", "box")
    air.begin("box", "anna")
    air.end("anna", "box")
    await ends["anna"].send_all(b"frame")
    assert await heard(ends["box"]) == [b"frame"]
    assert await heard(ends["carla"]) == await heard(ends["anna"]) == []
    air.end("anna", "box")
    await ends["box"].send_all(b"frame")
    assert await heard(ends["anna"]) == []
    lossy = Air(1.0, Draw(1, "air"))
    lossy._ends.update(ends)
    lossy.begin("anna", "box")
    lossy.spread("anna", b"frame")
    assert await heard(ends["box"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 4])
def test_an_alarm_crosses_the_ridge_by_radio_alone_and_the_answers_come_back(seed: int) -> None:
    found = run_world(SCENARIO, seed)
    assert check_world(found) == []
    assert sum(line.event == "power_cut" for line in found.lines) >= 3, "the faults happened"
    (raised,) = [each for each in SCENARIO.messages if each.priority == "sos"]
    met_again_ms = 1000 * min(each.start_s for each in SCENARIO.contacts if each.start_s > 600)
    steps = {
        (line.node, dict(line.fields)["step"]): line.at_ms
        for line in reversed(found.lines)
        if line.event == "alarm_changed"
    }
    for name, step in (("bruno", 0), ("carla", 0), ("anna", 1), ("anna", 2), ("anna", 3)):
        assert steps[name, step] < met_again_ms, (name, step)
    took_s = [steps[name, 0] / 1000 - raised.at_s for name in ("bruno", "carla")]
    print(f"seed {seed}: alarm with {took_s} s, answer after {steps['anna', 1] / 1000} s")


def test_a_scenario_is_shrunk_with_its_hearings() -> None:
    assert [each.b for each in _without(SCENARIO, "anna").hearings] == ["box", "box"]
    assert _until(SCENARIO, 500.0).hearings == ()
    assert {each.end_s for each in _until(SCENARIO, 1_000.0).hearings} == {1_000.0}
