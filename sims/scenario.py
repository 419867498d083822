"""A scenario: who is there, who meets whom when, who writes what, and what goes wrong.

A scenario is a TOML file that becomes one frozen record; an unknown key, a name that nobody
bears or a time that cannot be is an error that says where. Beside its seed nothing else decides
what a run does. Source: DESIGN D11.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from protocol.limits import STORE_BYTES_DEFAULT
from sims.errors import ScenarioError
from sims.faults import NO_FAULTS, Faults
from sims.fleet import DevicePlan
from sims.instruments import BatteryPlan, SensorPlan, check_instruments
from sims.tariffs import tariff_of

__all__ = [
    "ANSWERS",
    "DEEDS",
    "Answer",
    "ClockStep",
    "Contact",
    "Crash",
    "Deed",
    "Scenario",
    "ScenarioError",
    "ShiftPlan",
    "WrittenMessage",
    "check_scenario",
]

DURATION_S_MAX = 366 * 86_400
"""A year: longer than any lifetime."""
DEVICES_MAX = 64
"""One real node each, with a store of its own."""
EVENTS_MAX = 20_000
"""Contacts, messages and faults of one scenario."""
STORE_BYTES_MIN = 100_000
"""Prekeys of sixty devices fit."""
SHIFT_S_MAX = 43_200
"""Twelve hours; a longer one ends by itself."""
STEP_S_MAX = 366 * 86_400
"""A clock that lost its battery is off by years, but then its badge is not valid either."""


@dataclass(frozen=True, slots=True)
class Contact:
    """Two devices reach each other."""

    start_s: float
    """From then on, virtual seconds."""
    end_s: float
    """Until then; links that are open break."""
    a: str
    """The device that sights the other and dials."""
    b: str
    """The other."""


@dataclass(frozen=True, slots=True)
class WrittenMessage:
    """Somebody writes something."""

    at_s: float
    """When, virtual seconds; a device that is off takes it once it is on again."""
    sender: str
    """Name of a device."""
    to: str
    """`codt`, `zone` or `squad:NAME` of the sender's zone, or a device's name in any."""
    text: str
    """What people read; checkers look for it, so it says something that nothing else says."""
    priority: str = "normal"
    """`sos`, `normal` or `low`."""
    lifetime_s: int | None = None
    """None takes that of its kind."""
    file_bytes: int = 0
    """Size of a document that goes with it; 0 for none."""


ANSWERS: Final = ("seen", "taken", "on_scene", "closed", "raised")
"""Steps of an alarm that somebody may take; the last raises one's own anew."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Somebody takes a step of an alarm, once their device shows it."""

    at_s: float
    """Not before this, virtual seconds."""
    sender: str
    """Name of the device that answers."""
    to: str
    """Name of the device that raised the alarm; its latest one is meant."""
    step: str
    """One of `ANSWERS`."""


@dataclass(frozen=True, slots=True)
class Crash:
    """A device loses its power and gets it back: no goodbye, and only its disk is left."""

    at_s: float
    """When, virtual seconds."""
    device: str
    """Which."""
    down_s: float
    """How long it is off."""


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock of one device jumps."""

    at_s: float
    """When, virtual seconds."""
    device: str
    """Which."""
    step_s: float
    """By how much; below 0 it goes back."""


@dataclass(frozen=True, slots=True)
class ShiftPlan:
    """An agent opens a shift, moves about with a device that tells of itself, and closes it."""

    start_s: float
    """When it is opened, virtual seconds; a device that is off opens it once it is on again."""
    end_s: float
    """When it is closed, virtual seconds; likewise."""
    device: str
    """Whose."""
    speed_m_s: float = 1.2
    """How fast the device moves; 0 at rest."""
    seen_by: tuple[str, ...] = ()
    """Devices at whose board somebody looks every few seconds, to see how old it is."""


@dataclass(frozen=True, slots=True)
class Deed:
    """Somebody does something with messages that are there, or with reflex sheets."""

    at_s: float
    """When, virtual seconds; a device that is off does it once it is on again."""
    device: str
    """Whose screen."""
    what: str
    """`read` all that is shown, `cancel` or `resend` what was written here, or `publish` or
    `retract` a reflex sheet."""
    text: str = ""
    """Which message, word for word; empty for `read`; a sheet's title, to publish `title: text`."""


DEEDS = ("read", "cancel", "resend", "publish", "retract")
"""What people can do beside writing."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that a run is made from, beside its seed."""

    name: str
    """What people call it."""
    about: str
    """One sentence on what it shows."""
    duration_s: float
    """Virtual seconds from its begin to its end."""
    devices: tuple[DevicePlan, ...]
    """Who is there."""
    contacts: tuple[Contact, ...] = ()
    """Who meets whom; two contacts of one pair do not overlap."""
    messages: tuple[WrittenMessage, ...] = ()
    """What people write."""
    answers: tuple[Answer, ...] = ()
    """What people answer to alarms."""
    crashes: tuple[Crash, ...] = ()
    """Which device fails when; two crashes of one device do not overlap."""
    clock_steps: tuple[ClockStep, ...] = ()
    """Which clock jumps when."""
    shifts: tuple[ShiftPlan, ...] = ()
    """Who is on duty when; two shifts of one device do not overlap."""
    deeds: tuple[Deed, ...] = ()
    """What people do with messages that are there."""
    latency_s: float = 0.02
    """One way, of every link."""
    rate_bytes_s: float = 1_000_000.0
    """Bytes per second and direction, of every link."""
    store_bytes: int = STORE_BYTES_DEFAULT
    """What the bundles of one device may take, bytes."""
    faults: Faults = NO_FAULTS
    """What goes wrong beside crashes and clock steps; the seed decides where and when."""
    hearings: tuple[Contact, ...] = ()
    """Who hears whom on the radio, where no session is made."""
    sensors: tuple[SensorPlan, ...] = ()
    """What receivers and gauges say instead of the truth; of two at once the later one counts."""
    batteries: tuple[BatteryPlan, ...] = ()
    """Which devices run on a battery; one of a device at most."""


def check_scenario(scenario: Scenario) -> Scenario:
    """Return `scenario` if it can be run. Raises: ScenarioError."""
    _check_size(scenario)
    names = {device.name for device in scenario.devices}
    _check_budgets(scenario)
    _check_contacts(scenario, names)
    for place, message in enumerate(scenario.messages, start=1):
        _check_device(f"message {place}", message.sender, names)
        _check_time(f"message {place}", message.at_s, scenario)
        if message.priority not in ("sos", "normal", "low"):
            raise ScenarioError(f"message {place}", "priority is sos, normal or low")
    for place, answer in enumerate(scenario.answers, start=1):
        _check_answer(f"answer {place}", answer, scenario, names)
    for place, crash in enumerate(scenario.crashes, start=1):
        _check_crash(f"crash {place}", crash, scenario, names)
    for place, step in enumerate(scenario.clock_steps, start=1):
        _check_device(f"clock_step {place}", step.device, names)
        _check_time(f"clock_step {place}", step.at_s, scenario)
        if not abs(step.step_s) <= STEP_S_MAX:
            raise ScenarioError(f"clock_step {place}", f"step_s is at most {STEP_S_MAX}")
    for place, shift in enumerate(scenario.shifts, start=1):
        _check_shift(f"shift {place}", shift, scenario, names)
    for place, deed in enumerate(scenario.deeds, start=1):
        _check_deed(f"deed {place}", deed, scenario, names)
    check_instruments(scenario.sensors, scenario.batteries, names, scenario.duration_s)
    _check_overlaps(scenario)
    return scenario


def _check_answer(what: str, answer: Answer, scenario: Scenario, names: set[str]) -> None:
    for name in (answer.sender, answer.to):
        _check_device(what, name, names)
    _check_time(what, answer.at_s, scenario)
    if answer.step not in ANSWERS:
        raise ScenarioError(what, f"step is one of {', '.join(ANSWERS)}")


def _check_crash(what: str, crash: Crash, scenario: Scenario, names: set[str]) -> None:
    _check_device(what, crash.device, names)
    _check_time(what, crash.at_s, scenario)
    if not crash.down_s >= 10:
        raise ScenarioError(what, "a device is off for at least 10 s")


def _check_deed(what: str, deed: Deed, scenario: Scenario, names: set[str]) -> None:
    _check_device(what, deed.device, names)
    _check_time(what, deed.at_s, scenario)
    if deed.what not in DEEDS or bool(deed.text) is (deed.what == "read"):
        raise ScenarioError(what, "is read without a text, or one of the others with it")


def _check_size(scenario: Scenario) -> None:
    if not 0 < scenario.duration_s <= DURATION_S_MAX:
        raise ScenarioError("duration_s", f"is between 0 and {DURATION_S_MAX} s")
    if not 0 <= scenario.latency_s <= 60:
        raise ScenarioError("link.latency_s", "is between 0 and 60 s")
    if not 100 <= scenario.rate_bytes_s <= 1e9:
        raise ScenarioError("link.rate_bytes_s", "is between 100 and 1,000,000,000 bytes/s")
    if not STORE_BYTES_MIN <= scenario.store_bytes <= STORE_BYTES_DEFAULT:
        most = STORE_BYTES_DEFAULT
        raise ScenarioError("store_bytes", f"is between {STORE_BYTES_MIN} and {most} bytes")
    names = [device.name for device in scenario.devices]
    if not 1 <= len(names) <= DEVICES_MAX:
        raise ScenarioError("device", f"there are between 1 and {DEVICES_MAX} devices")
    for name in names:
        if not name or names.count(name) > 1:
            raise ScenarioError("device", f"'{name}' is empty or given to two devices")
    events: tuple[tuple[object, ...], ...] = (
        scenario.contacts,
        scenario.hearings,
        scenario.messages,
        scenario.crashes,
        scenario.clock_steps,
        scenario.shifts,
        scenario.answers,
        scenario.deeds,
        scenario.sensors,
        scenario.batteries,
    )
    if sum(map(len, events)) > EVENTS_MAX:
        raise ScenarioError("scenario", f"has more than {EVENTS_MAX} events")


def _check_budgets(scenario: Scenario) -> None:
    for number, device in enumerate(scenario.devices, start=1):
        place = f"device {number}.radio_budget"
        if device.radio_budget and tariff_of(device.radio_budget) is None:
            raise ScenarioError(place, "is written like 'per=day bytes=20000 step=50 sos=8000'")
        if device.radio_budget and not scenario.hearings:
            raise ScenarioError(place, "needs a [[hearing]]: there is no radio without one")


def _check_contacts(scenario: Scenario, names: set[str]) -> None:
    for what, contacts in (("contact", scenario.contacts), ("hearing", scenario.hearings)):
        for place, contact in enumerate(contacts, start=1):
            _check_contact(f"{what} {place}", contact, scenario, names)


def _check_contact(place: str, contact: Contact, scenario: Scenario, names: set[str]) -> None:
    _check_device(place, contact.a, names)
    _check_device(place, contact.b, names)
    _check_time(place, contact.start_s, scenario)
    if contact.a == contact.b:
        raise ScenarioError(place, f"'{contact.a}' does not meet itself")
    if not contact.end_s > contact.start_s:
        raise ScenarioError(place, "ends before it begins")


def _check_shift(place: str, shift: ShiftPlan, scenario: Scenario, names: set[str]) -> None:
    for name in (shift.device, *shift.seen_by):
        _check_device(place, name, names)
    _check_time(place, shift.start_s, scenario)
    _check_time(place, shift.end_s, scenario)
    if not 0 < shift.end_s - shift.start_s <= SHIFT_S_MAX:
        raise ScenarioError(place, f"lasts from its start to at most {SHIFT_S_MAX} s later")
    if not 0 <= shift.speed_m_s <= 100:
        raise ScenarioError(place, "speed_m_s is between 0 and 100")
    if not any(each.name == shift.device and each.squads for each in scenario.devices):
        raise ScenarioError(place, f"'{shift.device}' is in no squad, which a shift is told to")


def _check_device(place: str, name: str, names: set[str]) -> None:
    if name not in names:
        known = ", ".join(sorted(names))
        raise ScenarioError(place, f"no device is called '{name}'; devices are {known}")


def _check_time(place: str, at_s: float, scenario: Scenario) -> None:
    if not 0 <= at_s <= scenario.duration_s:
        raise ScenarioError(place, f"its time is between 0 and duration_s, {scenario.duration_s}")


def _check_overlaps(scenario: Scenario) -> None:
    spans: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for contact in scenario.contacts:
        pair = tuple(sorted((contact.a, contact.b)))
        spans.setdefault(pair, []).append((contact.start_s, contact.end_s))
    for crash in scenario.crashes:
        spans.setdefault((crash.device,), []).append((crash.at_s, crash.at_s + crash.down_s))
    for each in scenario.shifts:
        spans.setdefault((each.device, "on duty", ""), []).append((each.start_s, each.end_s))
    for who, found in spans.items():
        found.sort()
        for (_, end_s), (start_s, _) in pairwise(found):
            if start_s <= end_s:
                what = {1: "crashes", 2: "contacts", 3: "shifts"}[len(who)]
                names = who[0] if what == "shifts" else " and ".join(who)
                raise ScenarioError(what, f"those of {names} overlap at {start_s} s")
