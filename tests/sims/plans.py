"""Random scenarios: plans of contacts, messages and faults for Hypothesis and for long runs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.identity import Role
from sims.fleet import DevicePlan
from sims.scenario import ClockStep, Contact, Crash, Scenario, WrittenMessage

SQUADS = ("Queyras", "Ubaye")


def devices(count: int) -> tuple[DevicePlan, ...]:
    """Return a gateway, a box and phones of two squads."""
    phones = [
        DevicePlan(f"phone {number}", Role.AGENT, (SQUADS[number % 2],))
        for number in range(count - 2)
    ]
    return (
        DevicePlan("gateway", Role.GATEWAY),
        DevicePlan("box", Role.RELAY, SQUADS),
        *phones,
    )


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is of everything."""

    devices: int = 8
    """Nodes."""
    contacts: int = 40
    """At most so many."""
    messages: int = 12
    """Messages written."""
    duration_s: float = 20_000.0
    """Virtual seconds."""


NORMAL = Size()
LARGE = Size(10, 120, 30, 86_400.0)


def random_scenario(
    seed: int,
    size: Size = NORMAL,
    *,
    crash_times: Sequence[float] | None = None,
    lifetime_s: int | None = None,
    written_until: float = 0.9,
    is_gathering: bool = False,
) -> Scenario:
    """Return a scenario that follows from its arguments alone.

    Without `crash_times` there are three crashes. Where they gather, all are with the box in the
    end, and no clock is wrong.
    """
    draw = random.Random(seed)
    fleet, duration_s = devices(size.devices), size.duration_s
    names = [device.name for device in fleet]
    at = [draw.uniform(100, duration_s * 0.9) for _ in range(3)]
    steps = (ClockStep(draw.uniform(0, duration_s), draw.choice(names), draw.uniform(-300, 300)),)
    gathering = [
        Contact(duration_s * 0.95, duration_s, "box", name)
        for name in names
        if is_gathering and name != "box"
    ]
    return Scenario(
        name=f"random {seed}",
        about="Whatever the seed says.",
        duration_s=duration_s,
        devices=fleet,
        contacts=(*_contacts(draw, names, size.contacts, duration_s * 0.9), *gathering),
        messages=tuple(
            _messages(draw, names, size.messages, duration_s * written_until, lifetime_s)
        ),
        crashes=tuple(_crashes(draw, names, at if crash_times is None else crash_times)),
        clock_steps=() if is_gathering else steps,
        latency_s=draw.choice([0.0, 0.02, 0.6]),
        rate_bytes_s=draw.choice([2_000.0, 50_000.0, 1e6]),
    )


def _contacts(
    draw: random.Random, names: Sequence[str], count: int, duration_s: float
) -> list[Contact]:
    free_s: dict[frozenset[str], float] = {}
    made = []
    starts = sorted(draw.uniform(0, duration_s) for _ in range(count))
    for start_s in starts:
        a, b = draw.sample(list(names), 2)
        pair = frozenset((a, b))
        if free_s.get(pair, -1.0) < start_s:
            # Many are so short that they are cut in the middle of a transfer.
            end_s = start_s + draw.choice([0.3, 2.0, 20.0, 400.0])
            made.append(Contact(start_s, end_s, a, b))
            free_s[pair] = end_s
    return made


def _messages(
    draw: random.Random,
    names: Sequence[str],
    count: int,
    until_s: float,
    lifetime_s: int | None,
) -> list[WrittenMessage]:
    made = []
    for number in range(count):
        sender = draw.choice([name for name in names if name != "box"])
        others = [name for name in names if name not in (sender, "box")]
        to, priority = draw.choice(
            [
                ("codt", "normal"),
                (f"squad:{draw.choice(SQUADS)}", "normal"),
                (draw.choice(others), draw.choice(["normal", "low"])),
                ("zone", "sos"),
            ]
        )
        text = f"message {number} for {to}: {draw.randbytes(8).hex()}"
        at_s = draw.uniform(0, until_s)
        made.append(WrittenMessage(at_s, sender, to, text, priority, lifetime_s))
    return made


def _crashes(draw: random.Random, names: Sequence[str], times: Sequence[float]) -> list[Crash]:
    made, free_s = [], dict.fromkeys(names, -1.0)
    for at_s in sorted(times):
        device = draw.choice(list(names))
        if free_s[device] < at_s:
            down_s = draw.choice([10.0, 300.0])
            made.append(Crash(at_s, device, down_s))
            free_s[device] = at_s + down_s
    return made
