"""One box of eight speaks to the gateway for all, in a world where each of them loses its power."""

from __future__ import annotations

import pytest

from sims.checkers import check_world
from sims.reading import load_scenario
from sims.record import WorldRecord
from sims.world import run_world

SCENARIO = load_scenario("one_uplink_for_eight")
BOXES = frozenset(each.name for each in SCENARIO.devices if each.squads and each.name != "anna")
SETTLED_MS = 40_000
"""By then all have met and chosen."""
UPLINKS_MAX, GAP_MS_MAX, SOS_MS_MAX = 1.2, 30_000, 5_000


def changes(world: WorldRecord) -> list[tuple[int, int]]:
    """Return when the number of boxes with a session to the gateway changed, and to what."""
    up: set[str] = set()
    found = []
    for line in world.lines:
        if line.node not in BOXES:
            continue
        if line.event == "power_cut":
            up.discard(line.node)
        elif line.event in ("peer_up", "peer_down") and dict(line.fields)["peer"] == "gateway":
            (up.add if line.event == "peer_up" else up.discard)(line.node)
        else:
            continue
        found.append((line.at_ms, len(up)))
    return found


def spans(world: WorldRecord, start_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """Return for how long there were how many, milliseconds."""
    moments = changes(world)
    before = [count for at_ms, count in moments if at_ms <= start_ms]
    inner = [(at_ms, count) for at_ms, count in moments if start_ms < at_ms < end_ms]
    points = [(start_ms, before[-1]), *inner]
    ends = [at_ms for at_ms, _count in inner] + [end_ms]
    return [(end - at, count) for (at, count), end in zip(points, ends, strict=True)]


@pytest.mark.slow
def test_one_speaks_for_all_and_an_sos_asks_nobody() -> None:
    world = run_world(SCENARIO, 1)
    assert check_world(world) == []
    assert sum(line.event == "power_cut" for line in world.lines) == len(BOXES)
    (sos,) = [each for each in SCENARIO.messages if each.priority == "sos"]
    raised_ms = round(1000 * sos.at_s)
    found = spans(world, SETTLED_MS, raised_ms)
    total_ms = raised_ms - SETTLED_MS
    mean = sum(length * count for length, count in found) / total_ms
    gaps = [length for length, count in found if count == 0]
    (arrived, *_) = [
        line.at_ms - raised_ms
        for line in world.lines
        if (line.event, line.node) == ("alarm_changed", "gateway")
    ]
    dialled = max(count for at_ms, count in changes(world) if at_ms >= raised_ms)
    print(
        f"\n8 boxes, each without power for a minute: {mean:.3f} uplinks on average,"
        f" none for {max(gaps, default=0) / 1000:.1f} s at most;"
        f" an SOS was at the gateway after {arrived / 1000:.1f} s, told by {dialled} boxes"
    )
    assert mean <= UPLINKS_MAX
    assert gaps, "the uplink itself was without power too"
    assert max(gaps) < GAP_MS_MAX
    assert arrived < SOS_MS_MAX
    assert dialled == len(BOXES)
