"""Reads the scenario files that real nodes run; every error names line and key.

The words of the file are those of `sims.scenario`; `count` and `every_s` of a contact or a message
stand for many of them. Files that describe a region are read by `sims.region_reading`.
Source: DESIGN D11.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from protocol.guards import ATTACHMENT_BYTES_MAX
from protocol.identity import Role
from protocol.limits import STORE_BYTES_DEFAULT
from sims.faults import FaultError, Faults, read_faults
from sims.fleet import ZONE, DevicePlan
from sims.instruments import SENSOR_WORDS, BatteryPlan, SensorPlan
from sims.scenario import (
    DEEDS,
    DEVICES_MAX,
    Answer,
    ClockStep,
    Contact,
    Crash,
    Deed,
    Scenario,
    ScenarioError,
    ShiftPlan,
    WrittenMessage,
    check_scenario,
)
from sims.scenario_files import REGION_TABLES, find_scenario
from sims.tables import Table, read_table

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "load_scenario",
    "read_scenario",
]

_Event = TypeVar("_Event")
_COUNT_MAX: Final = 10_000


def load_scenario(name: str) -> Scenario:
    """Return a scenario for real nodes, named as in `find_scenario`. Raises: ScenarioError."""
    found = find_scenario(name)
    return _read(found.table, found.name)


def read_scenario(raw: bytes, name: str) -> Scenario:
    """Return the scenario for real nodes in a TOML text; errors call it `name`.toml.

    Raises: ScenarioError that names line and key.
    """
    return _read(read_table(raw, f"{name}.toml"), name)


def _read(top: Table, name: str) -> Scenario:
    for key in REGION_TABLES:
        if key in top:
            raise top.error(key, "describes a region, which real nodes do not run")
    link = top.table("link")
    origins: dict[str, Table] = {"link": link}
    scenario = Scenario(
        name=name,
        about=top.text("about"),
        duration_s=top.number("duration_s"),
        devices=_events(top, "device", _devices, origins),
        contacts=_events(top, "contact", _contacts, origins),
        hearings=_events(top, "hearing", _contacts, origins),
        messages=_events(top, "message", _messages, origins),
        answers=_events(top, "answer", _answers, origins),
        crashes=_events(top, "crash", _crashes, origins),
        clock_steps=_events(top, "clock_step", _clock_steps, origins),
        shifts=_events(top, "shift", _shifts, origins),
        deeds=_events(top, "deed", _deeds, origins),
        sensors=_events(top, "sensor", _sensors, origins),
        batteries=_events(top, "battery", _batteries, origins),
        latency_s=link.number("latency_s", 0.02),
        rate_bytes_s=link.number("rate_bytes_s", 1_000_000.0),
        store_bytes=top.whole("store_bytes", STORE_BYTES_DEFAULT),
        faults=_faults(top.table("faults")),
    )
    top.end()
    link.end()
    try:
        return check_scenario(scenario)
    except ScenarioError as error:
        raise _with_line(error, scenario, top, origins) from error


def _events(
    top: Table,
    key: str,
    read: Callable[[Table], Iterator[_Event]],
    origins: dict[str, Table],
) -> tuple[_Event, ...]:
    """Take all events of a kind, or all devices; note the table that each number comes from."""
    events: list[_Event] = []
    for table in top.tables(key):
        for event in read(table):
            events.append(event)
            origins[f"{key} {len(events)}"] = table
    return tuple(events)


def _with_line(
    error: ScenarioError, scenario: Scenario, top: Table, origins: dict[str, Table]
) -> ScenarioError:
    """Return the error of a check, with the line that is to be mended.

    A check names `KEY`, `TABLE.KEY` or the number of an event; of those that overlap, it names
    only the kind.
    """
    place, _, key = error.place.partition(".")
    place = _late(error.place, scenario) or place
    table = origins.get(place)
    if table is not None:
        return table.error(key if key in table else "", error.reason)
    if place in top:
        return top.error(place, error.reason)
    return ScenarioError(f"{top.file}, {error.place}", error.reason)


def _late(place: str, scenario: Scenario) -> str:
    """Return what is in the way of those before it: an event or a device, with its number."""
    if place == "device":
        names = [device.name for device in scenario.devices]
        taken = (number for number, name in enumerate(names) if not name or name in names[:number])
        return f"device {next(taken, DEVICES_MAX) + 1}"
    kinds = {"contacts": "contact", "crashes": "crash", "shifts": "shift"}
    if place not in kinds:
        return ""
    events = getattr(scenario, place)

    def is_wrong(count: int) -> bool:
        try:
            check_scenario(replace(scenario, **{place: events[:count]}))
        except ScenarioError as error:
            return error.place == place
        return False

    count = bisect_left(range(len(events) + 1), True, key=is_wrong)
    return f"{kinds[place]} {count}"


def _faults(table: Table) -> Faults:
    try:
        return read_faults(table)
    except FaultError as error:
        raise table.error("", str(error)) from error


def _devices(table: Table) -> Iterator[DevicePlan]:
    roles = {each.name.lower(): each for each in Role}
    role = table.text("role", "agent", among=sorted(roles))
    zone = table.whole("zone", ZONE, low=1, high=65_535)
    plan = DevicePlan(
        table.text("name"),
        roles[role],
        tuple(table.texts("squads")),
        zone,
        table.text("radio_budget") if "radio_budget" in table else "",
    )
    table.end()
    yield plan


def _contacts(table: Table) -> Iterator[Contact]:
    start_s, end_s = table.number("start_s"), table.number("end_s")
    a, b = table.text("a"), table.text("b")
    times = _times(table)
    table.end()
    for later_s in times:
        yield Contact(start_s + later_s, end_s + later_s, a, b)


def _times(table: Table) -> list[float]:
    """Take `count` and `every_s`; return how much later than the first each one is."""
    count = table.whole("count", 1, low=1, high=_COUNT_MAX)
    every_s = table.number("every_s", 1.0)
    return [number * every_s for number in range(count)]


def _messages(table: Table) -> Iterator[WrittenMessage]:
    at_s, times = table.number("at_s"), _times(table)
    sender, to, text = table.text("from"), table.text("to"), table.text("text")
    priority = table.text("priority", "normal")
    lifetime_s = table.whole("lifetime_s", 0) or None
    file_bytes = table.whole("file_bytes", 0, low=0, high=ATTACHMENT_BYTES_MAX)
    table.end()
    for number, later_s in enumerate(times, start=1):
        # Numbered, so that each says something that nothing else says.
        words = text if len(times) == 1 else f"{text} ({number} of {len(times)})"
        yield WrittenMessage(at_s + later_s, sender, to, words, priority, lifetime_s, file_bytes)


def _answers(table: Table) -> Iterator[Answer]:
    words = (table.text("from"), table.text("to"), table.text("step"))
    answer = Answer(table.number("at_s"), *words)
    table.end()
    yield answer


def _crashes(table: Table) -> Iterator[Crash]:
    crash = Crash(table.number("at_s"), table.text("device"), table.number("down_s"))
    table.end()
    yield crash


def _shifts(table: Table) -> Iterator[ShiftPlan]:
    shift = ShiftPlan(
        table.number("start_s"),
        table.number("end_s"),
        table.text("device"),
        table.number("speed_m_s", 1.2),
        tuple(table.texts("seen_by")),
    )
    table.end()
    yield shift


def _clock_steps(table: Table) -> Iterator[ClockStep]:
    step = ClockStep(table.number("at_s"), table.text("device"), table.number("step_s"))
    table.end()
    yield step


def _deeds(table: Table) -> Iterator[Deed]:
    at_s, device = table.number("at_s"), table.text("device")
    deed = Deed(at_s, device, table.text("what", "read", among=DEEDS), table.text("text", ""))
    table.end()
    yield deed


def _sensors(table: Table) -> Iterator[SensorPlan]:
    start_s, end_s = table.number("start_s"), table.number("end_s")
    sensor = SensorPlan(
        start_s, end_s, table.text("device"), table.text("says", among=SENSOR_WORDS)
    )
    table.end()
    yield sensor


def _batteries(table: Table) -> Iterator[BatteryPlan]:
    battery = BatteryPlan(
        table.text("device"),
        table.number("level_pct", 100.0),
        table.number("drain_pct_h", 12.0),
        table.number("told_pct", 0.0),
        table.number("charge_start_s", 0.0),
        table.number("charge_end_s", 0.0),
        table.number("charge_pct_h", 60.0),
    )
    table.end()
    yield battery
