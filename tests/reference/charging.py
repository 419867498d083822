"""Every plan for charging there is, tried one by one: the slow judge of `plan_charging`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations

from meshnode.services.charging import Supply, Thirsty, Turn

__all__ = ["Missed", "best_times", "missed", "times_of"]

_State = tuple[tuple[Fraction, Fraction | None], ...]
"""Of each device what is in it, and when it was empty."""
Missed = tuple[Fraction, int, Fraction, int]
"""When a device is empty, minutes; then what decides between two of one moment: its rank, how full
it was, its place. A device that lasts counts as empty at the end of the plan."""


def best_times(supply: Supply, devices: Sequence[Thirsty]) -> list[Missed]:
    """Return when devices are empty in the best of all plans, the first one first."""
    turns_max = int(supply.budget_mwh / supply.cost_mwh)
    states: set[tuple[int, _State]] = {(0, _start(devices))}
    for turn in range(supply.horizon_min // supply.turn_min):
        after = set()
        for used, state in states:
            for charged in _choices(len(devices), min(supply.sockets, turns_max - used)):
                following = _step(supply, devices, state, turn, charged)
                if following is not None:
                    after.add((used + len(charged), following))
        states = after
    return max(_times(supply, devices, state) for _used, state in states)


def times_of(supply: Supply, devices: Sequence[Thirsty], turns: Sequence[Turn]) -> list[Missed]:
    """Return the same of one plan, played through; it fails for a plan that cannot be followed."""
    state = _start(devices)
    for turn in range(supply.horizon_min // supply.turn_min):
        start_min = turn * supply.turn_min
        charged = [each.device for each in turns if each.start_min <= start_min < each.end_min]
        assert len(set(charged)) == len(charged) <= supply.sockets
        following = _step(supply, devices, state, turn, charged)
        assert following is not None, "a turn that cannot be given"
        state = following
    return _times(supply, devices, state)


def _start(devices: Sequence[Thirsty]) -> _State:
    return tuple((Fraction(each.level_mwh), None) for each in devices)


def _choices(devices: int, at_most: int) -> Iterator[Sequence[int]]:
    for count in range(at_most + 1):
        yield from combinations(range(devices), count)


def _step(
    supply: Supply,
    devices: Sequence[Thirsty],
    state: _State,
    turn: int,
    charged: Sequence[int],
) -> _State | None:
    """Return the state after one turn; None where a device is overfilled, or empty in it."""
    found = []
    for index, (device, (level, empty_min)) in enumerate(zip(devices, state, strict=True)):
        used = Fraction(device.drain_mw * supply.turn_min, 60)
        after = level - used
        if index in charged:
            after += supply.gain_mwh
            if empty_min is not None or not 0 <= after <= device.capacity_mwh:
                return None
        if after < 0 and empty_min is None:
            empty_min = turn * supply.turn_min + supply.turn_min * level / used
        found.append((after if empty_min is None else Fraction(0), empty_min))
    return tuple(found)


def _times(supply: Supply, devices: Sequence[Thirsty], state: _State) -> list[Missed]:
    return missed(supply, devices, [empty_min for _level, empty_min in state])


def missed(
    supply: Supply, devices: Sequence[Thirsty], empty_min: Sequence[Fraction | None]
) -> list[Missed]:
    """Return what one plan is judged by: the greater list is the better plan."""
    end_min = Fraction(supply.horizon_min)
    return sorted(
        (
            end_min if each is None else each,
            device.rank,
            Fraction(device.level_mwh, device.capacity_mwh),
            index,
        )
        for index, (device, each) in enumerate(zip(devices, empty_min, strict=True))
    )
