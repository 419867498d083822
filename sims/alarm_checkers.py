"""What must hold of the alarms of every world, whatever its scenario.

No step of an alarm is lost, no screen rings twice for one raising, and devices that were in
contact until the end say the same of every alarm. Source: wire-format 4.19, decision 26.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from protocol.alarms import Alarm, Standing, Step, Told, summed
from protocol.identity import Role
from protocol.ids import NodeId
from protocol.limits import KINDS, Kind
from sims.excuses import SETTLE_MS, Excuses
from sims.record import DeviceRecord, WorldRecord

__all__ = ["ALARM_CHECKERS", "alarms_agree", "no_step_lost", "rings_once", "shown_alarms"]

_Found = Iterator[tuple[str, str]]
"""Device and sentence of each breach."""
_LIFE_MS: Final = 1000 * KINDS[Kind.SOS].lifetime_s
_NOBODY: Final = frozenset({Role.RELAY, Role.GATEWAY})


def shown_alarms(world: WorldRecord, device: DeviceRecord) -> dict[tuple[NodeId, bytes], Alarm]:
    """Return what the steps on a device come to, by the roles of the scenario."""
    roles = {each.node: each.ending.role for each in world.devices}

    def standing(raiser: NodeId) -> Callable[[Told], Standing]:
        def of(told: Told) -> Standing:
            role = roles.get(told.name.author)
            if told.name.author == raiser:
                return Standing.RAISER
            if role is None or role in _NOBODY:
                return Standing.NONE
            return Standing.OPERATOR if role is Role.OPERATOR else Standing.MEMBER

        return of

    return {name: summed(steps, standing(name[0])) for name, steps in device.alarms.items()}


def no_step_lost(world: WorldRecord) -> _Found:
    """Whoever took a step has it, and the bundle that says so is held or over somewhere."""
    excuses = Excuses(world)
    alive = {name for device in world.devices for name in device.holds}
    for device in _honest(world):
        if device.node in excuses.lost:
            continue
        answered = Counter(
            (str(dict(line.fields)["alarm"]), str(dict(line.fields)["step"]))
            for line in world.lines
            if line.event == "answered" and line.node == device.name
        )
        for alarm, step in answered:
            own = [
                told
                for (_raiser, alarm_id), steps in device.alarms.items()
                for told in steps
                if alarm_id.hex() == alarm and told.name.author == device.node
            ]
            is_kept = any(Step(told.sos.step).name.lower() == step for told in own)
            if not is_kept and step != "seen":
                yield device.name, f"forgot that it took the step {step} of {alarm}"
            # A first raising is a message, and looked for as one.
            later = [told for told in own if told.sos.step or told.sos.round or told.sos.number]
            gone = [
                told
                for told in later
                if told.name not in alive and not excuses.is_over_somewhere(told.at_ms + _LIFE_MS)
            ]
            if gone:
                yield device.name, f"lost {len(gone)} steps of {alarm}"


def rings_once(world: WorldRecord) -> _Found:
    """A screen rings once for an alarm, and once for each time that it was raised anew."""
    for device in _honest(world):
        rung = Counter(
            (str(dict(line.fields)["raiser"]), str(dict(line.fields)["alarm"]))
            for line in world.lines
            if line.event == "alarm_changed"
            and line.node == device.name
            and dict(line.fields)["is_new"]
        )
        for name, alarm in shown_alarms(world, device).items():
            times = rung[world.name_of(name[0]), name[1].hex()]
            if times > alarm.round + 1:
                yield device.name, f"rang {times} times for an alarm raised {alarm.round + 1} times"


def alarms_agree(world: WorldRecord) -> _Found:
    """Two devices with people, in contact until the end, say the same of what either can learn.

    Devices of two zones read different alarms.
    """
    if any(world.end_ms - line.at_ms < SETTLE_MS for line in world.lines if _is_word(line.event)):
        return
    excuses = Excuses(world)
    devices = {device.name: device for device in world.devices}
    zones = {plan.name: plan.zone for plan in world.scenario.devices}
    for contact in world.scenario.contacts:
        pair = devices[contact.a], devices[contact.b]
        if Role.RELAY in {each.ending.role for each in pair}:
            continue
        if not excuses.is_settled(contact, pair) or len({zones[e.name] for e in pair}) > 1:
            continue
        here, there = (shown_alarms(world, each) for each in pair)
        for name in here.keys() | there.keys():
            if not _can_be_learned(name, pair, excuses):
                continue
            if name not in here or name not in there:
                yield contact.a, f"knows other alarms than {contact.b}"
            elif here[name].state != there[name].state or here[name].outcome != there[name].outcome:
                yield contact.a, f"says {here[name].state.name}, {contact.b} another"


def _can_be_learned(
    name: tuple[NodeId, bytes], pair: tuple[DeviceRecord, DeviceRecord], excuses: Excuses
) -> bool:
    """True if what one of two knows of an alarm is still carried by them, and by honest authors.

    A raising may be given a short life; once that is over nobody else learns of it.
    """
    some, others = ({told.name for told in each.alarms.get(name, ())} for each in pair)
    carried = pair[0].holds | pair[1].holds
    return all(step in carried and step.author not in excuses.hostile for step in some ^ others)


def _is_word(event: str) -> bool:
    return event in ("answered", "sent")


def _honest(world: WorldRecord) -> list[DeviceRecord]:
    return [each for each in world.devices if each.name not in world.plan.hostile_names]


ALARM_CHECKERS: Final[dict[str, Callable[[WorldRecord], _Found]]] = {
    "no step of an alarm lost": no_step_lost,
    "an alarm rings once": rings_once,
    "alarms agree": alarms_agree,
}
"""Every promise about alarms, by its name."""
