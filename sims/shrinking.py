"""Makes a failing scenario smaller, as long as it fails: what is left shows what it takes.

Delta debugging over contacts, messages, crashes and clock steps, over devices and faults, and a
shorter duration, again and again until nothing more can go. The same arguments give the same
result. Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, Final

from sims.faults import Faults
from sims.scenario import Scenario, ScenarioError, check_scenario

__all__ = ["IsFailing", "shrink"]

IsFailing = Callable[[Scenario, int], bool]
"""Runs a scenario under a seed, and tells whether it still fails in the way that is looked for."""

_KINDS: Final = (
    "contacts",
    "messages",
    "answers",
    "crashes",
    "clock_steps",
    "shifts",
    "deeds",
    "sensors",
    "batteries",
)
_CUTS: Final = (0.25, 0.5, 0.75, 0.9)
"""Shares of the duration that are tried, the shortest first."""
_SHORTEST_S: Final = 60.0
_LEAST_SHARE: Final = 1e-3
"""A share that is halved for ever would never end."""


def shrink(scenario: Scenario, seed: int, is_failing: IsFailing, budget_runs: int) -> Scenario:
    """Return the smallest scenario found that still fails under `seed`.

    `scenario` itself must fail. Cost: at most `budget_runs` calls of `is_failing`; a contact, or
    whatever else is left, takes one call or two in the end.
    """
    search = _Search(scenario, seed, is_failing, budget_runs)
    before = None
    while before != search.best and search.budget_runs > 0:
        before = search.best
        search.shorten()
        search.drop_devices()
        for kind in _KINDS:
            search.drop_events(kind)
        search.lessen_faults()
    return search.best


class _Search:
    """The smallest failing scenario so far."""

    def __init__(
        self, scenario: Scenario, seed: int, is_failing: IsFailing, budget_runs: int
    ) -> None:
        self.best = scenario
        self.budget_runs = budget_runs
        self._seed = seed
        self._is_failing = is_failing
        self._passed: set[Scenario] = set()

    def take(self, smaller: Scenario) -> bool:
        """Go on from `smaller` if it fails; one that passed is not run again."""
        if smaller == self.best or smaller in self._passed or self.budget_runs <= 0:
            return False
        try:
            check_scenario(smaller)
        except ScenarioError:
            return False
        self.budget_runs -= 1
        if self._is_failing(smaller, self._seed):
            self.best = smaller
            return True
        self._passed.add(smaller)
        return False

    def shorten(self) -> None:
        """End the run earlier; what begins later than that goes."""
        while any(self.take(_until(self.best, self.best.duration_s * cut)) for cut in _CUTS):
            pass

    def drop_devices(self) -> None:
        """Take devices away one by one, with all that names them."""
        for device in reversed(self.best.devices):
            self.take(_without(self.best, device.name))

    def drop_events(self, kind: str) -> None:
        """Take events of one kind away: first all, then halves, and in the end single ones."""
        size = len(getattr(self.best, kind))
        while size:
            self._drop_runs(kind, size)
            size //= 2

    def _drop_runs(self, kind: str, size: int) -> None:
        start = 0
        while start < len(events := getattr(self.best, kind)):
            left = (*events[:start], *events[start + size :])
            if not self.take(_with(self.best, kind, left)):
                start += size

    def lessen_faults(self) -> None:
        """Leave faults out, or have fewer of a kind."""
        for each in fields(Faults):
            while any(map(self.take, _fewer(self.best, each.name))):
                pass


def _with(scenario: Scenario, kind: str, events: tuple[object, ...]) -> Scenario:
    changed: dict[str, Any] = {kind: events}
    return replace(scenario, **changed)


def _fewer(scenario: Scenario, name: str) -> Iterator[Scenario]:
    """Yield scenarios with less of one fault, those with the least first."""
    value = getattr(scenario.faults, name)
    less: tuple[int | float, ...] = (0.0, value / 2)
    if isinstance(value, int):
        # A smaller piece is no smaller fault.
        less = (0,) if name == "mtu_bytes" else (0, value // 2, value - 1)
    for each in less if value > _LEAST_SHARE else ():
        faults: dict[str, Any] = {name: each}
        yield replace(scenario, faults=replace(scenario.faults, **faults))


def _until(scenario: Scenario, end_s: float) -> Scenario:
    """Return the begin of a scenario, in whole seconds."""
    end_s = max(_SHORTEST_S, float(round(end_s)))
    if end_s >= scenario.duration_s:
        return scenario
    return replace(
        scenario,
        duration_s=end_s,
        contacts=tuple(
            replace(each, end_s=min(each.end_s, end_s))
            for each in scenario.contacts
            if each.start_s < end_s
        ),
        hearings=tuple(
            replace(each, end_s=min(each.end_s, end_s))
            for each in scenario.hearings
            if each.start_s < end_s
        ),
        messages=tuple(each for each in scenario.messages if each.at_s < end_s),
        answers=tuple(each for each in scenario.answers if each.at_s < end_s),
        crashes=tuple(each for each in scenario.crashes if each.at_s < end_s),
        clock_steps=tuple(each for each in scenario.clock_steps if each.at_s < end_s),
        shifts=tuple(
            replace(each, end_s=min(each.end_s, end_s))
            for each in scenario.shifts
            if each.start_s < end_s
        ),
        deeds=tuple(each for each in scenario.deeds if each.at_s < end_s),
        sensors=tuple(
            replace(each, end_s=min(each.end_s, end_s))
            for each in scenario.sensors
            if each.start_s < end_s
        ),
        batteries=tuple(
            replace(
                each,
                charge_start_s=min(each.charge_start_s, end_s),
                charge_end_s=min(each.charge_end_s, end_s),
            )
            for each in scenario.batteries
        ),
    )


def _without(scenario: Scenario, name: str) -> Scenario:
    """Return a scenario without one device, and without all that names it."""
    return replace(
        scenario,
        devices=tuple(each for each in scenario.devices if each.name != name),
        contacts=tuple(each for each in scenario.contacts if name not in (each.a, each.b)),
        hearings=tuple(each for each in scenario.hearings if name not in (each.a, each.b)),
        messages=tuple(each for each in scenario.messages if name not in (each.sender, each.to)),
        answers=tuple(each for each in scenario.answers if name not in (each.sender, each.to)),
        crashes=tuple(each for each in scenario.crashes if each.device != name),
        clock_steps=tuple(each for each in scenario.clock_steps if each.device != name),
        shifts=tuple(
            replace(each, seen_by=tuple(other for other in each.seen_by if other != name))
            for each in scenario.shifts
            if each.device != name
        ),
        deeds=tuple(each for each in scenario.deeds if each.device != name),
        sensors=tuple(each for each in scenario.sensors if each.device != name),
        batteries=tuple(each for each in scenario.batteries if each.device != name),
    )
