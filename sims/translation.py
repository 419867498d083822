"""Turns a small region into a scenario of real nodes, and such a scenario into a region.

Both then tell of the same contacts and messages, so that the abstract simulator can be held
against the world of real nodes. What a real node can do bounds what is translated: a text has at
most 16 kB, a life at least a minute, and whoever writes to a device must have its key.
Source: DESIGN D11, wire-format 4.10.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from protocol import payloads
from protocol.brief import seal_sos
from protocol.bundle import Header, Scope, Suite, build
from protocol.envelope import pad, seal_info, seal_message
from protocol.identity import Role
from protocol.ids import NodeId
from protocol.limits import (
    KINDS,
    MESSAGE_LIFETIME_S_MAX,
    NAME_BYTES_MAX,
    STORE_BYTES_DEFAULT,
    TEXT_BYTES_MAX,
    Kind,
)
from protocol.payloads import Sos, Text
from sims.contacts import ContactPlan, Workload, make_plan, make_workload
from sims.faults import NO_FAULTS
from sims.fleet import ZONE, DevicePlan
from sims.region import Region
from sims.runtime import START_MS, seeded_entropy
from sims.scenario import (
    DEVICES_MAX,
    Contact,
    Scenario,
    ScenarioError,
    WrittenMessage,
    check_scenario,
)
from sims.sealer import StandInSealer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LEAD_S", "bundle_bytes", "region_of", "scenario_of"]

LEAD_S: Final = 900.0
"""All meet the first node for so long before anything else, and learn each other's keys."""
_PARTING_S: Final = 300.0
"""So long before the end of that time they part: nobody carries on from that meeting."""
_KINDS: Final = {"sos": Kind.SOS, "normal": Kind.TEXT, "low": Kind.NOTE}
_PRIORITIES: Final = ("sos", "normal", "low")
_LIFETIME_S_MIN: Final = 60
_SOS_LIFETIME_S_MAX: Final = 7 * 86_400
_ROLES: Final = {
    "gateway": Role.GATEWAY,
    "relay": Role.RELAY,
    "leader": Role.LEADER,
    "agent": Role.AGENT,
}
_NAMES: Final = {**{role: name for name, role in _ROLES.items()}, Role.OPERATOR: "agent"}
_CENTRE: Final = "codt"
_READERS: Final = (Role.GATEWAY, Role.OPERATOR)
"""Who reads what is for the centre, unless they are of a squad."""
_SEQ: Final = 300
"""Number of a bundle as messages of a day have it: two bytes."""


# --- from a region to a scenario ---------------------------------------------------------------


def scenario_of(
    region: Region,
    *,
    rate_bytes_s: float = 250_000.0,
    latency_s: float = 0.02,
    store_bytes: int = STORE_BYTES_DEFAULT,
) -> Scenario:
    """Return the scenario in which real nodes live through `region`, `LEAD_S` later.

    A message for the only gateway goes to the operations centre, an urgent one as an SOS. Texts
    are as long as makes the bundle as large as the region says, or nearest to it: see
    `bundle_bytes`. Raises: ScenarioError where real nodes cannot do what the region says.
    """
    plan, workload = region.plan, region.workload
    if plan.nodes > DEVICES_MAX:
        raise ScenarioError("region", f"has {plan.nodes} nodes: take one of at most {DEVICES_MAX}")
    last_s = max(region.duration_s, plan.span_s, float(workload.created_s.max(initial=0.0)))
    return check_scenario(
        Scenario(
            name=region.name,
            about=f"The region {region.name} with real nodes.",
            duration_s=LEAD_S + last_s,
            devices=_devices(region),
            contacts=(*_first_meeting(region.labels), *_contacts(region)),
            messages=tuple(_message(region, number) for number in range(len(workload))),
            latency_s=latency_s,
            rate_bytes_s=rate_bytes_s,
            store_bytes=store_bytes,
        )
    )


def _devices(region: Region) -> tuple[DevicePlan, ...]:
    if len({label.casefold() for label in region.labels}) < len(region.labels):
        raise ScenarioError("region", "two nodes have the same name: give each one of its own")
    devices = []
    for label, role, group in zip(region.labels, region.roles, region.groups, strict=True):
        if role not in _ROLES:
            known = ", ".join(_ROLES)
            raise ScenarioError("region", f"nobody can be a '{role}': roles are {known}")
        # Whoever belongs to a squad is not of the centre.
        squads = (group,) if group and role != "gateway" else ()
        devices.append(DevicePlan(label, _ROLES[role], squads))
    return tuple(devices)


def _first_meeting(labels: Sequence[str]) -> list[Contact]:
    """Return the contacts over which everybody gets the keys of everybody."""
    end_s = LEAD_S - _PARTING_S
    return [
        Contact(float(number), end_s, label, labels[0])
        for number, label in enumerate(labels[1:], start=1)
    ]


def _contacts(region: Region) -> list[Contact]:
    plan, labels = region.plan, region.labels
    columns = (plan.start_s.tolist(), plan.end_s.tolist(), plan.a.tolist(), plan.b.tolist())
    return [
        Contact(LEAD_S + start_s, LEAD_S + end_s, labels[a], labels[b])
        for start_s, end_s, a, b in zip(*columns, strict=True)
    ]


def _message(region: Region, number: int) -> WrittenMessage:
    workload = region.workload
    destination = int(workload.destination[number])
    gateways = region.gateways.tolist()
    to = _CENTRE if gateways == [destination] else region.labels[destination]
    priority = _PRIORITIES[int(workload.priority[number])]
    name = workload.names[number]
    ends = (int(workload.source[number]), destination)
    if priority == "sos" and "relay" in (region.roles[end] for end in ends):
        reason = "is urgent, and a relay can neither raise nor read an SOS: choose other ends"
        raise ScenarioError(f"message '{name}'", reason)
    return WrittenMessage(
        LEAD_S + float(workload.created_s[number]),
        region.labels[int(workload.source[number])],
        to,
        _text(f"{name}: ", int(workload.size_bytes[number]), to, priority),
        priority,
        _lifetime_s(f"message '{name}'", float(workload.lifetime_s[number]), priority),
    )


def _lifetime_s(place: str, lifetime_s: float, priority: str) -> int:
    """Return a life in whole seconds. Raises: ScenarioError where no message may have it."""
    most_s = _SOS_LIFETIME_S_MAX if priority == "sos" else MESSAGE_LIFETIME_S_MAX
    rounded_s = math.floor(lifetime_s)
    if not _LIFETIME_S_MIN <= rounded_s <= most_s:
        raise ScenarioError(place, f"lives {lifetime_s:g} s, not {_LIFETIME_S_MIN} to {most_s} s")
    return rounded_s


def _text(start: str, size_bytes: int, to: str, priority: str) -> str:
    """Return the longest text that begins so and makes a bundle of at most `size_bytes`."""
    low = len(start.encode()) + 1
    if low > NAME_BYTES_MAX:
        raise ScenarioError("region", f"a message has a longer name than {NAME_BYTES_MAX} bytes")
    high = TEXT_BYTES_MAX
    while low < high:
        middle = (low + high + 1) // 2
        fits = bundle_bytes(middle, priority, is_for_centre=to == _CENTRE) <= size_bytes
        low, high = (middle, high) if fits else (low, middle - 1)
    return start + "." * (low - len(start.encode()))


@cache
def bundle_bytes(text_bytes: int, priority: str, *, is_for_centre: bool) -> int:
    """Return the size of the container with a text of so many bytes, measured by sealing one.

    A message for a device is padded and sealed to its prekey, at least 1,393 bytes; one for the
    centre is padded and sealed under a chain; an SOS is neither padded nor sealed to a device.
    """
    kind = _KINDS[priority]
    author, target = NodeId(bytes(16)), NodeId(b"\1" * 16)
    scope = Scope.for_codt(ZONE) if is_for_centre else Scope.for_device(ZONE, target)
    is_sos = kind is Kind.SOS
    chain_or_device = Suite.CHAIN if is_for_centre else Suite.HYBRID
    header = Header(
        suite=Suite.ZONE if is_sos else chain_or_device,
        kind=kind,
        author=author,
        incarnation=2**31,
        seq=_SEQ,
        hlc=START_MS << 16,
        lifetime_s=KINDS[kind].lifetime_s,
        scope=scope,
        keyref=bytes(8),
        index=0,
    )
    text = "." * text_bytes
    if is_sos:
        plain = seal_sos(Sos(author, scope.encode(), text, bytes(8), 0), header)
    else:
        plain = payloads.encode(Text(author, scope.encode(), text))
    return len(build(header, _sealed(header, plain), _signed).raw)


def _sealed(header: Header, plain: bytes) -> bytes:
    """Return the body as an outbox makes it."""
    if header.suite is not Suite.HYBRID:
        is_padded = header.suite is Suite.CHAIN
        return seal_message(bytes(32), header.encode(), pad(plain) if is_padded else plain)
    sealer = StandInSealer(seeded_entropy(0, "sizes"))
    _, prekey = sealer.make_prekey(START_MS)
    return sealer.seal_hybrid(prekey.public, seal_info(header.encode()), pad(plain))


def _signed(_signed_bytes: bytes) -> bytes:
    """A signature of Ed25519 has this size, whatever it signs."""
    return bytes(64)


# --- from a scenario to a region ---------------------------------------------------------------


def region_of(scenario: Scenario) -> Region:
    """Return the region in which nodes that only meet and carry live through `scenario`.

    Times are those of the scenario, sizes those of the bundles. Raises: ScenarioError where it
    has faults, or messages with several recipients: the abstract simulator knows neither.
    """
    happens = (scenario.crashes, scenario.clock_steps, scenario.shifts, scenario.batteries)
    if any(happens) or scenario.faults != NO_FAULTS:
        raise ScenarioError("faults", "are for real nodes alone: remove them")
    labels = tuple(device.name for device in scenario.devices)
    places = {label: number for number, label in enumerate(labels)}
    return Region(
        scenario.name,
        _plan_of(scenario, places),
        _workload_of(scenario, places),
        labels,
        tuple(_NAMES[device.role] for device in scenario.devices),
        tuple(device.squads[0] if device.squads else "" for device in scenario.devices),
        scenario.duration_s,
    )


def _plan_of(scenario: Scenario, places: dict[str, int]) -> ContactPlan:
    end_s = scenario.duration_s
    rows = [
        (contact.start_s, min(contact.end_s, end_s), places[contact.a], places[contact.b])
        for contact in scenario.contacts
        if contact.start_s < end_s
    ]
    return make_plan(len(places), np.array(rows, dtype=np.float64).reshape(-1, 4))


def _workload_of(scenario: Scenario, places: dict[str, int]) -> Workload:
    """Messages are called by their place in the scenario."""
    rows = [_row(scenario, number, places) for number in range(len(scenario.messages))]
    names = tuple(str(number) for number in range(len(rows)))
    table: NDArray[np.float64] = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return make_workload(names, table, len(places), "messages")


def _row(scenario: Scenario, number: int, places: dict[str, int]) -> tuple[float, ...]:
    message = scenario.messages[number]
    kind = _KINDS[message.priority]
    lifetime_s = KINDS[kind].lifetime_s if message.lifetime_s is None else message.lifetime_s
    size_bytes = bundle_bytes(
        len(message.text.encode()), message.priority, is_for_centre=message.to == _CENTRE
    )
    return (
        message.at_s,
        places[message.sender],
        _destination(scenario, number, places),
        size_bytes,
        lifetime_s,
        _PRIORITIES.index(message.priority),
    )


def _destination(scenario: Scenario, number: int, places: dict[str, int]) -> int:
    """Return the only recipient of a message. Raises: ScenarioError where there are more."""
    to = scenario.messages[number].to
    if to in places:
        return places[to]
    readers = [
        device.name for device in scenario.devices if not device.squads and device.role in _READERS
    ]
    if to != _CENTRE or len(readers) != 1:
        reason = f"'{to}' is not one device: name the device that shall have it"
        raise ScenarioError(f"message {number + 1}", reason)
    return places[readers[0]]
