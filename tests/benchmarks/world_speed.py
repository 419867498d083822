"""Measures how fast a world of real nodes runs a shift; prints one line of JSON.

Twelve nodes for eight hours: two squads on patrol, a box in a vehicle that comes by, a gateway
that each reaches now and then, and fifty messages by each agent. CPU of the process, not wall.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from protocol.identity import Role
from sims.checkers import check_world
from sims.draws import Draw
from sims.fleet import DevicePlan
from sims.measures import measure as figures_of
from sims.scenario import Contact, Scenario, WrittenMessage
from sims.world import run_world

__all__ = ["measure", "shift"]

SQUADS = ("Queyras", "Ubaye")
_AGENTS_PER_SQUAD = 5
_SHIFT_S = 8 * 3_600.0
_ROUND_S = 3_600.0
"""Once in each, a patrol walks together, then the vehicle comes by."""
_PATROL_S = 1_800.0
_VISIT_S = 300.0
_WINDOW_S = 240.0
"""So long the vehicle, or an agent on a ridge, reaches the gateway."""
_QUIET_S = 900.0
"""Nothing is written so shortly before the end."""


def shift(seed: int, messages_per_agent: int = 50) -> Scenario:
    """Return one shift; `seed` says who walks with whom, and when people write."""
    draw = Draw(seed, "shift")
    squads = {
        squad: [f"{squad} {number}" for number in range(1, _AGENTS_PER_SQUAD + 1)]
        for squad in SQUADS
    }
    agents = [
        DevicePlan(name, Role.AGENT, (squad,)) for squad, names in squads.items() for name in names
    ]
    return Scenario(
        name="shift",
        about="Two squads, a vehicle and a gateway for eight hours.",
        duration_s=_SHIFT_S,
        devices=(
            DevicePlan("gateway", Role.GATEWAY),
            DevicePlan("vehicle", Role.RELAY, SQUADS),
            *agents,
        ),
        contacts=tuple(
            contact
            for number in range(int(_SHIFT_S / _ROUND_S))
            for contact in _round(draw, squads, number * _ROUND_S)
        ),
        messages=tuple(_messages(draw, squads, messages_per_agent)),
        rate_bytes_s=250_000.0,
    )


def _round(draw: Draw, squads: Mapping[str, Sequence[str]], begin_s: float) -> Iterator[Contact]:
    """Yield who meets whom in one hour."""
    for squad, names in squads.items():
        order = draw.sample(names, len(names))
        patrols = (order[:2], order[2:])
        for patrol in patrols:
            start_s = begin_s + draw.uniform(0, 300)
            for first, second in pairwise(patrol):
                yield Contact(start_s, start_s + _PATROL_S, first, second)
        start_s = begin_s + _PATROL_S + 400 + (600 if squad == SQUADS[0] else 0)
        for name in order:
            yield Contact(start_s, start_s + _VISIT_S, "vehicle", name)
        ridge_s = begin_s + draw.uniform(0, _ROUND_S - _WINDOW_S)
        yield Contact(ridge_s, ridge_s + _WINDOW_S, order[0], "gateway")
    window_s = begin_s + _ROUND_S - _WINDOW_S - 100
    yield Contact(window_s, window_s + _WINDOW_S, "vehicle", "gateway")


def _messages(
    draw: Draw, squads: Mapping[str, Sequence[str]], count: int
) -> Iterator[WrittenMessage]:
    names = [name for each in squads.values() for name in each]
    for squad, members in squads.items():
        for sender in members:
            for number in range(count):
                to = draw.choice([f"squad:{squad}", f"squad:{squad}", "codt", draw.choice(names)])
                to = "codt" if to == sender else to
                text = f"{sender}, message {number}: {draw.data(40).hex()}"
                at_s = draw.uniform(0, _SHIFT_S - _QUIET_S)
                yield WrittenMessage(at_s, sender, to, text)


def measure(seed: int = 1) -> dict[str, float]:
    """Run one shift, check it, and return the figures."""
    scenario = shift(seed)
    began_s = time.process_time()
    world = run_world(scenario, seed)
    cpu_s = time.process_time() - began_s
    assert check_world(world) == []
    figures = figures_of(world)
    return {
        "virtual_s": scenario.duration_s,
        "cpu_s": round(cpu_s, 2),
        "ratio": round(scenario.duration_s / cpu_s, 1),
        "contacts": len(scenario.contacts),
        "messages": figures.messages_sent,
        "copies_arrived": figures.copies_arrived,
        "bundles_moved": figures.bundles_moved,
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1)))
