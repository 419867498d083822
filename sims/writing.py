"""Writes a scenario for real nodes as the TOML text that `sims.reading` reads.

What has its usual value is left out. Source: TOML 1.0, "String" and "Float".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Final

from sims.faults import NO_FAULTS, Faults
from sims.fleet import ZONE, DevicePlan
from sims.instruments import BatteryPlan, SensorPlan
from sims.scenario import Answer, Contact, Deed, Scenario, ShiftPlan, WrittenMessage

__all__ = ["scenario_to_toml"]

_DELETE: Final = "\x7f"
"""The one character that a text in JSON may hold as it is, and one in TOML may not."""

_Value = str | float | tuple[str, ...] | None
"""None is left out."""


def scenario_to_toml(scenario: Scenario) -> str:
    """Return the text from which `read_scenario` makes `scenario` again, given its name.

    `scenario` passes `check_scenario`. Cost: about 10 µs per event.
    """
    tables: list[tuple[str, Iterable[tuple[str, _Value]]]] = [
        ("", _top(scenario)),
        ("[link]", (("latency_s", scenario.latency_s), ("rate_bytes_s", scenario.rate_bytes_s))),
        ("[faults]", _faults(scenario.faults)),
        *(("[[device]]", _device(each)) for each in scenario.devices),
        *(("[[contact]]", _contact(each)) for each in scenario.contacts),
        *(("[[hearing]]", _contact(each)) for each in scenario.hearings),
        *(("[[message]]", _message(each)) for each in scenario.messages),
        *(("[[answer]]", _answer(each)) for each in scenario.answers),
        *(
            (
                "[[crash]]",
                (("at_s", each.at_s), ("device", each.device), ("down_s", each.down_s)),
            )
            for each in scenario.crashes
        ),
        *(
            (
                "[[clock_step]]",
                (("at_s", each.at_s), ("device", each.device), ("step_s", each.step_s)),
            )
            for each in scenario.clock_steps
        ),
        *(("[[shift]]", _shift(each)) for each in scenario.shifts),
        *(("[[deed]]", _deed(each)) for each in scenario.deeds),
        *(("[[sensor]]", _sensor(each)) for each in scenario.sensors),
        *(("[[battery]]", _battery(each)) for each in scenario.batteries),
    ]
    return "\n".join(_table(head, values) for head, values in tables)


def _top(scenario: Scenario) -> Iterator[tuple[str, _Value]]:
    yield "about", scenario.about
    yield "duration_s", scenario.duration_s
    yield "store_bytes", scenario.store_bytes


def _faults(faults: Faults) -> Iterator[tuple[str, _Value]]:
    for each in fields(Faults):
        value = getattr(faults, each.name)
        yield each.name, None if value == getattr(NO_FAULTS, each.name) else value


def _device(device: DevicePlan) -> Iterator[tuple[str, _Value]]:
    yield "name", device.name
    yield "role", device.role.name.lower()
    yield "squads", device.squads or None
    yield "radio_budget", device.radio_budget or None
    yield "zone", None if device.zone == ZONE else device.zone


def _contact(contact: Contact) -> Iterator[tuple[str, _Value]]:
    yield "start_s", contact.start_s
    yield "end_s", contact.end_s
    yield "a", contact.a
    yield "b", contact.b


def _message(message: WrittenMessage) -> Iterator[tuple[str, _Value]]:
    yield "at_s", message.at_s
    yield "from", message.sender
    yield "to", message.to
    yield "text", message.text
    yield "priority", message.priority
    yield "lifetime_s", message.lifetime_s
    yield "file_bytes", message.file_bytes or None


def _shift(shift: ShiftPlan) -> Iterator[tuple[str, _Value]]:
    yield "start_s", shift.start_s
    yield "end_s", shift.end_s
    yield "device", shift.device
    yield "speed_m_s", shift.speed_m_s
    yield "seen_by", shift.seen_by or None


def _answer(answer: Answer) -> Iterator[tuple[str, _Value]]:
    yield "at_s", answer.at_s
    yield "from", answer.sender
    yield "to", answer.to
    yield "step", answer.step


def _deed(deed: Deed) -> Iterator[tuple[str, _Value]]:
    yield "at_s", deed.at_s
    yield "device", deed.device
    yield "what", deed.what
    yield "text", deed.text or None


def _sensor(sensor: SensorPlan) -> Iterator[tuple[str, _Value]]:
    yield "start_s", sensor.start_s
    yield "end_s", sensor.end_s
    yield "device", sensor.device
    yield "says", sensor.says


def _battery(battery: BatteryPlan) -> Iterator[tuple[str, _Value]]:
    for each in fields(BatteryPlan):
        yield each.name, getattr(battery, each.name)


def _table(head: str, values: Iterable[tuple[str, _Value]]) -> str:
    lines = [f"{key} = {_value(value)}\n" for key, value in values if value is not None]
    return "".join((f"{head}\n" if head else "", *lines))


def _value(value: str | float | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace(_DELETE, "\\u007f")
    return repr(value)
