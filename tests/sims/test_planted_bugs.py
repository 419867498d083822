"""The fault world is able to fail: defects planted into the node are found within a few seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest

from sims.chaos import random_scenario
from sims.checkers import CHECKERS
from sims.draws import Draw
from sims.faults import NO_FAULTS
from sims.record import WorldRecord
from sims.scenario import Contact, Crash, Scenario, WrittenMessage
from sims.store_checkers import STORE_CHECKERS
from sims.world import run_world
from tests.sims.planted import PLANTS

_SEEDS_MAX: Final = 200
_DEVICES: Final = 6
_HOURS: Final = 2.0
_BASE_S: Final = 300.0
_MEETINGS: Final = 24
_STORE_BYTES: Final = 150_000
"""So little that what people write here does not fit."""
_PICTURES: Final = 40
_PICTURE: Final = "x" * 6_000
_QUIET_S: Final = 900.0
"""Nothing is written and nobody fails so shortly before the end."""

pytestmark = pytest.mark.soak


def harsh(seed: int) -> Scenario:
    """Return a short day of many meetings, in which power fails and stores are nearly full."""
    scenario = random_scenario(seed, _DEVICES, _HOURS)
    scenario = replace(
        scenario,
        contacts=tuple(_meetings(scenario, Draw(seed, "meetings"))),
        messages=(*scenario.messages, *_pictures(scenario, Draw(seed, "pictures"))),
        clock_steps=(),
        faults=NO_FAULTS,
        store_bytes=_STORE_BYTES,
    )
    return replace(scenario, crashes=tuple(_crashes(scenario, Draw(seed, "power"))))


def _meetings(scenario: Scenario, draw: Draw) -> Iterator[Contact]:
    base, *others = [device.name for device in scenario.devices]
    for name in others:
        yield Contact(1.0, _BASE_S, name, base)
    every_s = (scenario.duration_s - _BASE_S - _QUIET_S) / _MEETINGS
    for number in range(_MEETINGS):
        pair = draw.sample([base, *others], 2)
        start_s = _BASE_S + 1 + number * every_s
        yield Contact(start_s, start_s + draw.uniform(2, every_s * 0.9), pair[0], pair[1])


def _crashes(scenario: Scenario, draw: Draw) -> Iterator[Crash]:
    """Yield a loss of power within the first seconds of most meetings."""
    free_s: dict[str, float] = {}
    for contact in scenario.contacts[_DEVICES:]:
        device, at_s = draw.choice((contact.a, contact.b)), contact.start_s + draw.uniform(0.2, 3)
        if at_s > free_s.get(device, 0.0):
            free_s[device] = at_s + 15
            yield Crash(at_s, device, 10)


def _pictures(scenario: Scenario, draw: Draw) -> Iterator[WrittenMessage]:
    names = [device.name for device in scenario.devices if device.name.startswith("phone")]
    for number in range(_PICTURES):
        sender, to = draw.sample(names, 2)
        at_s = draw.uniform(_BASE_S, scenario.duration_s - _QUIET_S)
        yield WrittenMessage(at_s, sender, to, f"picture {number:03}: {_PICTURE}", "low")


def found_by(world: WorldRecord) -> dict[str, list[tuple[str, str]]]:
    """Return what each checker found; those that found nothing are left out."""
    found = {name: list(check(world)) for name, check in {**CHECKERS, **STORE_CHECKERS}.items()}
    return {name: breaches for name, breaches in found.items() if breaches}


def test_a_sound_node_passes_the_same_days() -> None:
    for seed in range(3):
        assert found_by(run_world(harsh(seed), seed)) == {}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_defect_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, watchers = PLANTS[name]
    plant(monkeypatch)
    for seed in range(_SEEDS_MAX):
        found = found_by(run_world(harsh(seed), seed))
        if watchers & found.keys():
            print(f"{name}: seed {seed}, {sorted(found)}")
            return
    pytest.fail(f"{name} was not found within {_SEEDS_MAX} seeds")
