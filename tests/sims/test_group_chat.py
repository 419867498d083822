"""A squad that reads, repeats and takes back under faults; and that its checkers can fail."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from meshnode.store.records import RecipientState
from sims.checkers import check_world
from sims.delivery_checkers import matrix_true, shown_once
from sims.reading import load_scenario, read_scenario
from sims.record import Story, WorldRecord
from sims.scenario import Deed, ScenarioError, check_scenario
from sims.shrinking import shrink
from sims.world import run_world
from sims.writing import scenario_to_toml

pytestmark = pytest.mark.slow
NAME = "squad_group_chat"


@cache
def world_of(seed: int) -> WorldRecord:
    """Run the scenario once for all tests."""
    return run_world(load_scenario(NAME), seed)


def stories(world: WorldRecord, text: str) -> list[Story]:
    """Return a message and its copies."""
    return [s for each in world.devices for s in each.outgoing if s.message.text == text]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_lost_nothing_is_shown_twice_and_the_matrix_is_true(seed: int) -> None:
    world = world_of(seed)
    assert check_world(world) == []
    done = [line.event for line in world.lines]
    assert done.count("power_cut") >= 6
    assert done.count("resent") == 1
    states = {
        each.state for device in world.devices for s in device.outgoing for each in s.recipients
    }
    assert {RecipientState.READ, RecipientState.WITHDRAWN} <= states


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_at_the_end_the_matrix_is_the_truth_of_the_stores(seed: int) -> None:
    """Everybody met everybody for an hour: what each screen showed is what each author knows."""
    world = world_of(seed)
    for author in world.devices:
        firsts = [s for s in author.outgoing if s.message.id not in author.copies]
        for story in firsts:
            for each in story.recipients:
                device = world.device(each.node)
                was_read = any(m.id == story.message.id and m.is_read for m in device.incoming)
                if was_read:
                    assert each.state is RecipientState.READ, (story.message.text, device.name)
                elif story.message.id in device.withdrawn:
                    assert each.state is RecipientState.WITHDRAWN
                else:
                    assert each.state is RecipientState.EXPIRED


def test_a_copy_reaches_whoever_was_away_and_is_shown_once() -> None:
    world = world_of(1)
    (diego,) = [each for each in world.devices if each.name == "diego"]
    assert [each.text for each in diego.incoming].count("Chapel is closed") == 1


def test_a_lie_in_the_matrix_is_found() -> None:
    world = world_of(1)
    (anna,) = [each for each in world.devices if each.name == "anna"]
    story, reader = next(
        (told, each)
        for told in anna.outgoing
        for each in told.recipients
        if each.state is RecipientState.READ
    )
    rest = [each for each in anna.outgoing if each is not story]

    def with_state(state: RecipientState) -> WorldRecord:
        others = [each for each in story.recipients if each is not reader]
        changed = replace(story, recipients=(*others, replace(reader, state=state)))
        liar = replace(anna, outgoing=(changed, *rest))
        devices = tuple(liar if each is anna else each for each in world.devices)
        return replace(world, devices=devices)

    assert list(matrix_true(with_state(RecipientState.READ))) == []
    assert [name for name, _ in matrix_true(with_state(RecipientState.WITHDRAWN))] == ["anna"]
    unread = [
        replace(each, incoming=tuple(replace(m, is_read=False) for m in each.incoming))
        for each in world.devices
    ]
    found = list(matrix_true(replace(world, devices=tuple(unread))))
    assert any("nobody did" in sentence for _, sentence in found)


def test_what_is_shown_twice_or_in_spite_is_found() -> None:
    world = world_of(1)
    (line, *_others) = [each for each in world.lines if each.event == "shown"]
    twice = replace(world, lines=(*world.lines, line))
    assert [sentence for _, sentence in shown_once(twice)] != []
    assert list(shown_once(world)) == []
    (diego,) = [each for each in world.devices if each.name == "diego"]
    first = replace(diego.incoming[0], is_read=False)
    stubborn = replace(diego, incoming=(first,), withdrawn=frozenset({first.id}))
    devices = tuple(stubborn if each is diego else each for each in world.devices)
    assert [name for name, _ in shown_once(replace(world, devices=devices))] == ["diego"]


def test_deeds_are_checked_written_and_shrunk() -> None:
    scenario = load_scenario(NAME)
    assert read_scenario(scenario_to_toml(scenario).encode(), NAME) == scenario
    for deed in (Deed(1, "anna", "read", "x"), Deed(1, "anna", "cancel"), Deed(1, "anna", "sing")):
        with pytest.raises(ScenarioError, match="deed 1"):
            check_scenario(replace(scenario, deeds=(deed,)))
    with pytest.raises(ScenarioError, match=r"nobody|no device"):
        check_scenario(replace(scenario, deeds=(Deed(1, "zoe", "read"),)))
    small = shrink(
        scenario, 1, lambda each, _seed: any(d.what == "resend" for d in each.deeds), 200
    )
    assert [each.what for each in small.deeds] == ["resend"]
