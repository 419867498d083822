"""Random days of a mountain rescue zone, for long runs: contacts, messages and what fails.

A day begins at the base, where everybody learns the others' keys; then squads walk, meet for
minutes, and a vehicle carries between them and the gateway. Source: routing.md, DESIGN D11.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from protocol.identity import Role
from sims.draws import Draw
from sims.faults import Faults
from sims.fleet import DevicePlan
from sims.scenario import (
    DEVICES_MAX,
    ClockStep,
    Contact,
    Crash,
    Scenario,
    ScenarioError,
    WrittenMessage,
)

__all__ = ["random_scenario", "scenario_named"]

_SQUADS: Final = ("Queyras", "Ubaye")
_BASE: Final = "gateway"
_VEHICLE: Final = "vehicle"
_PREFIX: Final = "chaos:"
_DEVICES: Final = 10
_HOURS: Final = 24.0
_HOURS_MAX: Final = 240
_DEVICES_MIN: Final = 4
_BASE_S: Final = 900.0
"""At the base in the morning."""
_MEETINGS_PER_DEVICE_HOUR: Final = 0.4
"""Meetings that each device has with any other in an hour, outside the base."""
_COVERAGE_EVERY_S: Final = 9_000.0
"""Mean time between two windows in which the vehicle hears the gateway."""
_LENGTHS_S: Final = (2.0, 20.0, 120.0, 300.0, 1_200.0, 3_600.0)
"""A meeting lasts one of these; the first are cut in the middle of a transfer."""
_LIFETIMES_S: Final = (None, None, None, 600, 1_800, 7_200)
"""None is that of the kind, days."""
_LATENCIES_S: Final = (0.005, 0.02, 0.6)
_RATES_BYTES_S: Final = (10_000.0, 100_000.0, 1e6)


def random_scenario(seed: int, devices: int = _DEVICES, hours: float = _HOURS) -> Scenario:
    """Return a day of a zone that follows from the arguments alone.

    `devices`: 4 to 64 nodes, one gateway and one vehicle among them. `hours`: 1 to 240.
    There are 40 to 120 messages in 24 hours, and always something that fails.
    Raises: ScenarioError for a number out of these.
    """
    if not _DEVICES_MIN <= devices <= DEVICES_MAX or not 1 <= hours <= _HOURS_MAX or seed < 0:
        bounds = f"{_DEVICES_MIN} to {DEVICES_MAX} devices, 1 to {_HOURS_MAX} hours"
        raise ScenarioError(f"{_PREFIX}{seed}", f"has {bounds}, and a seed from 0")
    draw, duration_s = Draw(seed, "day"), hours * 3600
    fleet = _fleet(devices)
    names = [device.name for device in fleet]
    return Scenario(
        name=_name(seed, devices, hours),
        about="A day of two squads, drawn from a number.",
        duration_s=duration_s,
        devices=fleet,
        contacts=tuple(_contacts(Draw(seed, "contacts"), names, duration_s)),
        messages=tuple(_messages(Draw(seed, "messages"), fleet, duration_s)),
        crashes=tuple(_crashes(Draw(seed, "crashes"), names, duration_s)),
        clock_steps=tuple(_clock_steps(Draw(seed, "clocks"), names, duration_s)),
        latency_s=draw.choice(_LATENCIES_S),
        rate_bytes_s=draw.choice(_RATES_BYTES_S),
        faults=_faults(Draw(seed, "faults")),
    )


def _name(seed: int, devices: int, hours: float) -> str:
    is_usual = (devices, hours) == (_DEVICES, _HOURS)
    return f"{_PREFIX}{seed}" if is_usual else f"{_PREFIX}{seed}:{devices}:{hours!r}"


def scenario_named(name: str) -> Scenario | None:
    """Return the random scenario with this name, `chaos:SEED` or `chaos:SEED:DEVICES:HOURS`.

    None if the name is not of this kind. Raises: ScenarioError if its numbers cannot be.
    """
    if not name.startswith(_PREFIX):
        return None
    seed, *more = name.removeprefix(_PREFIX).split(":")
    try:
        devices, hours = int(more[0]) if more else _DEVICES, float(more[1]) if more else _HOURS
        return random_scenario(int(seed), devices, hours)
    except (ValueError, IndexError) as error:
        raise ScenarioError(name, "is chaos:SEED or chaos:SEED:DEVICES:HOURS") from error


def _fleet(count: int) -> tuple[DevicePlan, ...]:
    phones = [
        DevicePlan(
            f"phone {number}",
            # The first of each squad leads it.
            Role.LEADER if number < len(_SQUADS) else Role.AGENT,
            (_SQUADS[number % len(_SQUADS)],),
        )
        for number in range(count - 2)
    ]
    return (DevicePlan(_BASE, Role.GATEWAY), DevicePlan(_VEHICLE, Role.RELAY, _SQUADS), *phones)


# --- contacts ----------------------------------------------------------------------------------


def _contacts(draw: Draw, names: Sequence[str], duration_s: float) -> Iterator[Contact]:
    free_s: dict[frozenset[str], float] = {}
    for contact in sorted(
        (
            *_at_base(draw, names),
            *_coverage(draw, duration_s),
            *_meetings(draw, names, duration_s),
            *_evening(draw, names, duration_s),
        ),
        key=lambda each: (each.start_s, each.a, each.b),
    ):
        pair = frozenset((contact.a, contact.b))
        if contact.start_s > free_s.get(pair, -1.0):
            free_s[pair] = contact.end_s
            yield contact


def _at_base(draw: Draw, names: Sequence[str]) -> Iterator[Contact]:
    for name in names:
        if name != _BASE:
            yield Contact(draw.uniform(1.0, 120.0), _BASE_S, name, _BASE)


def _coverage(draw: Draw, duration_s: float) -> Iterator[Contact]:
    """Yield windows in which the vehicle hears the gateway."""
    at_s = _BASE_S + draw.uniform(60.0, _COVERAGE_EVERY_S)
    while at_s < duration_s - 60.0:
        end_s = min(duration_s, at_s + draw.choice(_LENGTHS_S[2:]))
        yield Contact(at_s, end_s, _VEHICLE, _BASE)
        at_s = end_s + draw.uniform(60.0, 2 * _COVERAGE_EVERY_S)


def _meetings(draw: Draw, names: Sequence[str], duration_s: float) -> Iterator[Contact]:
    """Yield short meetings of those who are out, everybody with anybody."""
    out = [name for name in names if name != _BASE]
    count = round(_MEETINGS_PER_DEVICE_HOUR * len(out) * duration_s / 3600 / 2)
    for _ in range(count):
        first, second = draw.sample(out, 2)
        start_s = draw.uniform(_BASE_S + 60.0, duration_s - 60.0)
        end_s = min(duration_s, start_s + draw.choice(_LENGTHS_S))
        yield Contact(start_s, end_s, first, second)


def _evening(draw: Draw, names: Sequence[str], duration_s: float) -> Iterator[Contact]:
    """Yield the end of the day: on most days some come back, and stay until the end."""
    for name in names:
        if name != _BASE and draw.chance(0.6):
            yield Contact(duration_s - draw.uniform(600.0, 1_800.0), duration_s, name, _BASE)


# --- what people write -------------------------------------------------------------------------


def _messages(
    draw: Draw, fleet: Sequence[DevicePlan], duration_s: float
) -> Iterator[WrittenMessage]:
    writers = [device for device in fleet if device.role is not Role.RELAY]
    count = max(4, round(draw.whole(40, 120) * duration_s / 86_400))
    for number in range(count):
        sender = draw.choice(writers)
        to, priority = _address(draw, sender, writers)
        # What a text says is said by no other; some fill pages.
        pages = " and so on" * draw.choice([0, 0, 0, 20, 300])
        text = f"message {number} of {sender.name}: {draw.data(6).hex()}{pages}"
        at_s = draw.uniform(60.0, duration_s * 0.97)
        yield WrittenMessage(at_s, sender.name, to, text, priority, draw.choice(_LIFETIMES_S))


def _address(draw: Draw, sender: DevicePlan, writers: Sequence[DevicePlan]) -> tuple[str, str]:
    """Return whom a message is for, and its priority."""
    if draw.chance(0.06):
        return "zone", "sos"
    if draw.chance(0.3):
        other = draw.choice([device for device in writers if device is not sender])
        return other.name, draw.choice(["normal", "normal", "low"])
    if draw.chance(0.5) and sender.role is not Role.GATEWAY:
        return "codt", "normal"
    squad = draw.choice(sender.squads or _SQUADS)
    return f"squad:{squad}", draw.choice(["normal", "normal", "normal", "low"])


# --- what fails --------------------------------------------------------------------------------


def _faults(draw: Draw) -> Faults:
    """Return a little of everything: each kind that a node must survive, in most days."""
    return Faults(
        crashes=draw.whole(1, 3),
        torn_writes=draw.whole(0, 2),
        full_disks=draw.whole(0, 2),
        clock_jumps=draw.whole(1, 2),
        drift_ppm=draw.choice((0.0, 20.0, 100.0)),
        partitions=draw.whole(1, 3),
        hostile_devices=draw.choice((1, 1, 1, 2)),
        lost_devices=draw.choice((0, 0, 1)),
        loss=draw.choice((0.0, 0.01, 0.1)),
        corruption=draw.choice((0.0005, 0.002, 0.01)),
        slow_links=draw.choice((0.0, 0.05)),
        jitter_s=draw.choice((0.0, 0.3, 2.0)),
        mtu_bytes=draw.choice((0, 0, 256, 1_400)),
    )


def _crashes(draw: Draw, names: Sequence[str], duration_s: float) -> Iterator[Crash]:
    for name in draw.sample(names, draw.whole(0, 1)):
        at_s = draw.uniform(0.0, duration_s * 0.9)
        yield Crash(at_s, name, draw.choice((10.0, 60.0, 900.0)))


def _clock_steps(draw: Draw, names: Sequence[str], duration_s: float) -> Iterator[ClockStep]:
    for name in draw.sample(names, draw.whole(0, 1)):
        step_s = draw.choice((-240.0, -30.0, 30.0, 240.0))
        yield ClockStep(draw.uniform(0.0, duration_s), name, step_s)
