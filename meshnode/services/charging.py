"""Who charges next from one vehicle battery, so that the first empty device is empty late.

Time goes in turns of one length. Among all plans the one is taken whose first device is empty
latest; of devices that are empty at one moment a leader is helped first, then an uplink, then
whoever is charged least; among what is left, the plan whose second device is empty latest, and so
on. Exact arithmetic: no clock, no node, no board.

A device needs its n-th turn before it is empty with n - 1 of them, and has room for it from a
moment on: a job of one turn with a window. Jobs are tried in the order of the moments at which
they are missed, and each is kept if all kept ones still find a socket (augmenting paths). Which
jobs find sockets together is a matroid, so this greedy choice is the best one. Source: Edmonds,
Matroids and the greedy algorithm, 1971.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from heapq import heapify, heappop, heappush
from typing import Final

from meshnode.errors import ChargeError

__all__ = [
    "BUDGET_MWH_MAX",
    "DEVICES_MAX",
    "HORIZON_MIN",
    "SOCKETS_MAX",
    "SOCKET_MW_MAX",
    "TURN_MIN_MAX",
    "TURN_MIN_MIN",
    "ChargePlan",
    "Supply",
    "Thirsty",
    "Turn",
    "plan_charging",
]

DEVICES_MAX: Final = 32
"""A squad and its guests; more share no vehicle."""
SOCKETS_MAX: Final = 8
"""More than any vehicle has."""
BUDGET_MWH_MAX: Final = 100_000_000
"""100 kWh: a whole electric van."""
SOCKET_MW_MAX: Final = 240_000
"""240 W: the most that USB gives."""
TURN_MIN_MIN: Final = 10
"""Nobody changes plugs more often, minutes."""
TURN_MIN_MAX: Final = 120
"""A longer turn overfills any phone, minutes."""
HORIZON_MIN: Final = 2 * 24 * 60
"""No plan looks further ahead than two days, minutes: no forecast of a drain holds longer."""
_DEVICE_MWH_MAX: Final = 10_000_000
_DEVICE_MW_MAX: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Supply:
    """What the vehicle gives."""

    budget_mwh: int
    """What may be taken from its battery, milliwatt-hours."""
    sockets: int
    """How many devices charge at once, 1 to 8."""
    socket_mw: int
    """What a socket in use takes from the battery, milliwatts."""
    efficiency_pct: int = 80
    """How much of that ends in a device, percent: converter, cable and cell lose the rest."""
    turn_min: int = 20
    """How long a device stays plugged in at least, minutes."""
    horizon_min: int = HORIZON_MIN
    """How far the plan looks ahead, minutes."""

    @property
    def cost_mwh(self) -> Fraction:
        """What one turn takes from the vehicle, milliwatt-hours."""
        return Fraction(self.socket_mw * self.turn_min, 60)

    @property
    def gain_mwh(self) -> Fraction:
        """What one turn puts into a device, milliwatt-hours; what it uses meanwhile goes off."""
        return self.cost_mwh * self.efficiency_pct / 100


@dataclass(frozen=True, slots=True)
class Thirsty:
    """A device that empties."""

    level_mwh: int
    """What is in it now, milliwatt-hours."""
    capacity_mwh: int
    """What it holds when full, milliwatt-hours."""
    drain_mw: int
    """What it uses, charging or not, milliwatts; 0 for one that never empties."""
    rank: int = 2
    """Who goes first where all else is equal: 0 a leader, 1 an uplink, 2 anybody."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One device at one socket."""

    device: int
    """Its place in the list that was planned for."""
    start_min: int
    """From when, minutes from now."""
    end_min: int
    """Until when, minutes from now."""


@dataclass(frozen=True, slots=True)
class ChargePlan:
    """Who charges when, and what it brings."""

    turns: tuple[Turn, ...]
    """By start, then by device."""
    empty_min: tuple[Fraction | None, ...]
    """When each device is empty with this plan, minutes from now; None for not within it."""
    uncharged_min: tuple[Fraction | None, ...]
    """When each is empty if none is charged."""
    spent_mwh: Fraction
    """What the vehicle gives; the rest of the budget would make no device last longer."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One turn that a device needs."""

    device: int
    first: int
    """The first turn in which there is room for it."""
    last: int
    """The last turn that comes before the device is empty, and that it survives."""


def plan_charging(supply: Supply, devices: Sequence[Thirsty]) -> ChargePlan:
    """Return the plan whose first empty device is empty latest, then the second, and so on.

    A turn is given whole: only where there is room for all of it at its end. Raises: ChargeError
    for numbers that no vehicle or device has. Cost: at most seconds at the bounds together.
    """
    _check_supply(supply)
    _check_devices(devices)
    table = _Table(supply)
    given = [0] * len(devices)
    left = supply.budget_mwh // supply.cost_mwh
    waiting = list(_first_needs(supply, devices))
    heapify(waiting)
    while waiting and left:
        *_need, index = heappop(waiting)
        if not table.takes(_job(supply, devices[index], index, given[index] + 1)):
            continue
        given[index] += 1
        left -= 1
        _push_need(waiting, supply, devices[index], index, given[index])
    return ChargePlan(
        turns=tuple(table.turns()),
        empty_min=tuple(_shown(supply, *pair) for pair in zip(devices, given, strict=True)),
        uncharged_min=tuple(_shown(supply, each, 0) for each in devices),
        spent_mwh=sum(given) * supply.cost_mwh,
    )


_Need = tuple[Fraction, int, Fraction, int]
"""When a device is empty without its next turn, its rank, how full it is, its place."""


def _first_needs(supply: Supply, devices: Sequence[Thirsty]) -> Iterator[_Need]:
    for index, device in enumerate(devices):
        found: list[_Need] = []
        _push_need(found, supply, device, index, 0)
        yield from found


def _push_need(
    waiting: list[_Need], supply: Supply, device: Thirsty, index: int, given: int
) -> None:
    """Add the next turn of a device, unless it lasts to the end of the plan without it."""
    empty_min = _shown(supply, device, given)
    if empty_min is not None:
        full = Fraction(device.level_mwh, device.capacity_mwh)
        heappush(waiting, (empty_min, device.rank, full, index))


def _empty_min(supply: Supply, device: Thirsty, given: int) -> Fraction:
    return 60 * (device.level_mwh + given * supply.gain_mwh) / device.drain_mw


def _shown(supply: Supply, device: Thirsty, given: int) -> Fraction | None:
    """Return when a device is empty after `given` turns; None for not within the plan."""
    if not device.drain_mw:
        return None
    empty_min = _empty_min(supply, device, given)
    return empty_min if empty_min < supply.horizon_min else None


def _job(supply: Supply, device: Thirsty, index: int, number: int) -> _Job:
    """Return the window of the turn with this number, from 1; it may hold no turn at all."""
    before_min = _empty_min(supply, device, number - 1)
    after_min = _empty_min(supply, device, number)
    room_min = after_min - Fraction(60 * device.capacity_mwh, device.drain_mw)
    return _Job(
        index,
        first=max(0, -(-room_min // supply.turn_min) - 1),
        # The second is of a device that uses more than its socket gives: it must survive the turn.
        last=min(
            before_min // supply.turn_min,
            after_min // supply.turn_min - 1,
            supply.horizon_min // supply.turn_min - 1,
        ),
    )


class _Table:
    """Which device sits at a socket in which turn."""

    def __init__(self, supply: Supply) -> None:
        self._turn_min = supply.turn_min
        self._sockets = supply.sockets
        self._at: dict[int, dict[int, _Job]] = {}
        """Jobs by turn, then by device: no device sits at two sockets."""

    def takes(self, job: _Job) -> bool:
        """Place one more job, moving others within their windows; False, and no change, if not."""
        came: dict[tuple[_Job, int], tuple[tuple[_Job, int], int] | None] = {}
        start = (job, -1)
        came[start] = None
        waiting = deque([start])
        while waiting:
            place = waiting.popleft()
            for turn in range(place[0].first, place[0].last + 1):
                seated = self._at.setdefault(turn, {})
                same = seated.get(place[0].device)
                if same is None and len(seated) < self._sockets:
                    self._move(came, place, turn)
                    return True
                for other in seated.values() if same is None else (same,):
                    if (other, turn) not in came:
                        came[other, turn] = (place, turn)
                        waiting.append((other, turn))
        return False

    def _move(
        self,
        came: dict[tuple[_Job, int], tuple[tuple[_Job, int], int] | None],
        place: tuple[_Job, int],
        turn: int,
    ) -> None:
        """Seat each job of the path where the next one made room."""
        steps = [(place, turn)]
        while (step := came[place]) is not None:
            steps.append(step)
            place = step[0]
        for (job, left), _turn in steps:
            if left >= 0:
                del self._at[left][job.device]
        for (job, _left), taken in steps:
            assert job.device not in self._at[taken], "one socket for each device"
            self._at[taken][job.device] = job
            assert len(self._at[taken]) <= self._sockets, "no more devices than sockets"

    def turns(self) -> list[Turn]:
        """Return who sits when; turns of one device that follow each other are one."""
        found: list[Turn] = []
        for device in sorted({device for seated in self._at.values() for device in seated}):
            taken = sorted(turn for turn, seated in self._at.items() if device in seated)
            start = last = taken[0]
            for turn in [*taken[1:], -1]:
                if turn != last + 1:
                    found.append(Turn(device, start * self._turn_min, (last + 1) * self._turn_min))
                    start = turn
                last = turn
        return sorted(found, key=lambda each: (each.start_min, each.device))


def _check_supply(supply: Supply) -> None:
    if not 1 <= supply.sockets <= SOCKETS_MAX:
        raise ChargeError(f"a vehicle has 1 to {SOCKETS_MAX} sockets")
    if not 0 < supply.budget_mwh <= BUDGET_MWH_MAX:
        raise ChargeError(f"a budget is above 0 and at most {BUDGET_MWH_MAX // 1_000_000} kWh")
    if not 0 < supply.socket_mw <= SOCKET_MW_MAX:
        raise ChargeError(f"a socket takes above 0 and at most {SOCKET_MW_MAX // 1000} W")
    if not 1 <= supply.efficiency_pct <= 100:
        raise ChargeError("of what a socket takes, 1 to 100 percent end in a device")
    if not TURN_MIN_MIN <= supply.turn_min <= TURN_MIN_MAX:
        raise ChargeError(f"a turn is {TURN_MIN_MIN} to {TURN_MIN_MAX} minutes long")
    if not 0 < supply.horizon_min <= HORIZON_MIN:
        raise ChargeError(f"a plan looks at most {HORIZON_MIN // 60} hours ahead")


def _check_devices(devices: Sequence[Thirsty]) -> None:
    if len(devices) > DEVICES_MAX:
        raise ChargeError(f"more than {DEVICES_MAX} devices share no vehicle")
    for each in devices:
        if not 0 < each.capacity_mwh <= _DEVICE_MWH_MAX:
            raise ChargeError(f"a device holds above 0 and at most {_DEVICE_MWH_MAX // 1000} Wh")
        if not 0 <= each.level_mwh <= each.capacity_mwh:
            raise ChargeError("a device is empty, full, or between")
        if not 0 <= each.drain_mw <= _DEVICE_MW_MAX:
            raise ChargeError(f"a device uses 0 to {_DEVICE_MW_MAX // 1000} W")
