"""What must hold of every world, whatever its scenario: one function per promise.

Each looks at what is left of a world and yields a sentence for each breach. Together they say:
nothing lost, nothing twice, nothing readable where it must not be, every ledger true, replicas
in lasting contact equal, no bound exceeded, and no session ended by a defect of ours. What a
fault excuses stands in `sims.excuses`. Source: architecture section 9.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from meshnode.store.records import (
    FINAL_STATES,
    LedgerEvent,
    MessageRecord,
    MessageState,
    RecipientState,
)
from protocol.bundle import Scope, ScopeKind
from protocol.ids import BundleId, NodeId
from sims.alarm_checkers import ALARM_CHECKERS
from sims.bounds import BOUNDS
from sims.budget_checkers import BUDGET_CHECKERS
from sims.delivery_checkers import DELIVERY_CHECKERS
from sims.duty_checkers import DUTY_CHECKERS
from sims.excuses import LOOK_MS, SETTLE_MS, Excuses
from sims.record import DeviceRecord, Held, SentRecord, Story, WorldRecord
from sims.sensor_checkers import SENSOR_CHECKERS
from sims.sheet_checkers import SHEET_CHECKERS
from sims.store_checkers import STORE_CHECKERS

__all__ = ["CHECKERS", "Breach", "check_world"]

_NEEDLE_BYTES: Final = 64
"""Of a long text the beginning is looked for: its row may be cut at the end of a page."""

_FINAL_EVENTS: Final = frozenset({LedgerEvent.DELIVERED, LedgerEvent.EXPIRED, LedgerEvent.REFUSED})
_RECEIPTED: Final = frozenset(
    {
        RecipientState.ON_DEVICE,
        RecipientState.AT_GATEWAY,
        RecipientState.READ,
        RecipientState.WITHDRAWN,
    }
)


@dataclass(frozen=True, slots=True)
class Breach:
    """A promise that a world did not keep."""

    checker: str
    """Name of the checker that found it."""
    device: str
    """Where it shows."""
    sentence: str
    """What is wrong, for people."""


def check_world(world: WorldRecord) -> list[Breach]:
    """Return every breach that any checker finds."""
    return [
        Breach(name, device, sentence)
        for name, checker in _all_checkers().items()
        for device, sentence in checker(world)
    ]


_Found = Iterator[tuple[str, str]]
"""Device and sentence of each breach."""


def nothing_lost(world: WorldRecord) -> _Found:
    """Every message is where it shall be, or on its way, or its author knows how it ended."""
    excuses = Excuses(world)
    gone = excuses.hostile | excuses.lost
    alive = {name for each in world.devices if each.node not in gone for name in each.holds}
    for sent in world.sent:
        if sent.sender in excuses.hostile:
            continue
        author = world.device(sent.sender)
        story = _story(author, sent)
        if story is None:
            yield author.name, f"forgot that it wrote {sent.message}"
            continue
        missing = [
            node
            for node in sorted(sent.recipients)
            if not _got(world.device(node), author, sent.message)
        ]
        has_arrived = not missing or (sent.is_any_enough and len(missing) < len(sent.recipients))
        if not (has_arrived or sent.message in alive or _is_ended(excuses, author, story)):
            names = ", ".join(map(world.name_of, missing))
            yield author.name, f"{sent.message} is lost on its way to {names}"


def _is_ended(excuses: Excuses, author: DeviceRecord, story: Story) -> bool:
    """True if nobody need have a message any more, or could ever have it."""
    state = story.message.state
    if state in (MessageState.EXPIRED, MessageState.REFUSED):
        return True
    if author.node not in excuses.lost:
        return state is MessageState.WAITING
    is_over = excuses.is_over_somewhere(story.message.expires_ms)
    return is_over or excuses.is_never_handed(author, story)


def nothing_twice(world: WorldRecord) -> _Found:
    """Nobody is shown a message twice, or one that nobody wrote."""
    written: Counter[tuple[NodeId, str]] = Counter()
    ids = {}
    for device in world.devices:
        for story in device.outgoing:
            written[device.node, story.message.text] += 1
            ids[story.message.id] = story.message.text
    for device in _honest(world):
        shown = Counter(message.id for message in device.incoming)
        for message, times in shown.items():
            if times > 1:
                yield device.name, f"shows {message} {times} times"
            if message not in ids:
                yield device.name, f"shows {message}, which nobody wrote"
        texts = Counter((message.id.author, message.text) for message in device.incoming)
        for (author, text), times in texts.items():
            if times > written[author, text]:
                yield device.name, f"shows {text!r} {times} times"
    yield from _announced_twice(world)


def _announced_twice(world: WorldRecord) -> _Found:
    announced = Counter(
        (line.node, str(dict(line.fields)["message"]))
        for line in world.lines
        if line.event == "message_arrived" and line.node not in world.plan.hostile_names
    )
    for (name, message), times in announced.items():
        if times > 1:
            yield name, f"announced {message} {times} times"


def nothing_readable(world: WorldRecord) -> _Found:
    """No text stands in the store of a device that is neither its author nor a recipient."""
    readers: dict[bytes, set[NodeId]] = {}
    for sent in world.sent:
        needle = sent.text.encode()[:_NEEDLE_BYTES]
        readers.setdefault(needle, set()).update({sent.sender, *sent.recipients})
    for device in world.devices:
        for needle in readers:
            if needle not in device.image:
                continue
            allowed = {
                node for other, nodes in readers.items() if needle in other for node in nodes
            }
            if device.node not in allowed:
                yield device.name, f"can read {needle.decode(errors='replace')!r}"


# --- ledgers -----------------------------------------------------------------------------------


def ledgers_true(world: WorldRecord) -> _Found:
    """What a ledger says is so, and a message that has ended has ended once and for good."""
    excuses = Excuses(world)
    for device in _honest(world):
        for story in device.outgoing:
            for sentence in (*_untrue(world, story), *_unended(excuses, device, story)):
                yield device.name, f"{story.message.id} {sentence}"
        for message, ledger in device.incoming_ledgers.items():
            if [line.event for line in ledger].count(LedgerEvent.RECEIVED) != 1:
                yield device.name, f"{message} was not received exactly once"
    yield from _revived(world)


def _untrue(world: WorldRecord, story: Story) -> Iterator[str]:
    nodes = {device.node for device in world.devices}
    liars = {device.node for device in world.devices} - {each.node for each in _honest(world)}
    receipted = [each.node for each in story.recipients if each.state in _RECEIPTED]
    for node in receipted:
        if node in liars:
            continue
        author = world.device(story.message.id.author)
        if node not in nodes or not _got(world.device(node), author, story.message.id):
            yield f"is said to be on {world.name_of(node)}, and is not"
    for line in story.ledger:
        if line.event is LedgerEvent.HANDED and line.node not in nodes:
            yield "is said to be carried by a stranger"
    if story.message.state is MessageState.DELIVERED:
        is_any_enough = Scope.decode_untrusted(story.message.scope).kind is ScopeKind.CODT
        if not receipted or (len(receipted) < len(story.recipients) and not is_any_enough):
            yield "is said to be delivered, and not everybody has receipted it"


def _unended(excuses: Excuses, device: DeviceRecord, story: Story) -> Iterator[str]:
    """Yield what is wrong with the end of a message: too early, too late, or twice."""
    message = story.message
    ends = [line.event for line in story.ledger if line.event in _FINAL_EVENTS]
    is_final = message.state in FINAL_STATES
    if len(ends) != int(is_final):
        yield f"is {message.state.value}, and its ledger has {len(ends)} ends"
    if ends and ends[0].value != message.state.value:
        yield f"is {message.state.value}, and its ledger says {ends[0].value}"
    if message.state is MessageState.EXPIRED and message.ended_ms < message.expires_ms:
        yield "expired before its time"
    late_ms = device.ending.now_ms - message.expires_ms
    if not is_final and min(late_ms, excuses.ran_ms(device)) > LOOK_MS:
        yield f"is still {message.state.value} {late_ms / 1000:.0f} s after its life ended"


def _revived(world: WorldRecord) -> _Found:
    """No message ever left a final state."""
    finals = {state.value for state in FINAL_STATES}
    ended: dict[tuple[str, str], str] = {}
    for line in world.lines:
        if line.event != "message_changed" or line.node in world.plan.hostile_names:
            continue
        fields = dict(line.fields)
        place, state = (line.node, str(fields["message"])), str(fields["state"])
        if ended.get(place, state) != state:
            yield line.node, f"{place[1]} was {ended[place]}, and then {state}"
        if state in finals:
            ended[place] = state


# --- replicas ----------------------------------------------------------------------------------


def replicas_equal(world: WorldRecord) -> _Found:
    """Two stores whose nodes were in contact until the end hold the same bundles."""
    if any(world.end_ms - sent.at_ms < SETTLE_MS for sent in world.sent):
        return
    excuses = Excuses(world)
    devices = {device.name: device for device in world.devices}
    for contact in world.scenario.contacts:
        pair = devices[contact.a], devices[contact.b]
        if not excuses.is_settled(contact, pair):
            continue
        found = {**pair[0].held, **pair[1].held}
        differing = [
            short_id
            for short_id in pair[0].held.keys() ^ pair[1].held.keys()
            if not excuses.may_differ(found[short_id], pair)
        ]
        if differing:
            yield contact.a, f"differs from {contact.b} in {len(differing)} bundles"


def within_bounds(world: WorldRecord) -> _Found:
    """Nothing ever grew beyond its bound, and nothing is kept long after its end."""
    bounds = {**BOUNDS, **dict.fromkeys(_STORE_BYTES, world.scenario.store_bytes)}
    for (name, what), count in world.peaks.items():
        if count > bounds[what]:
            yield name, f"had {count} {what}, and {bounds[what]} is the most"
    excuses = Excuses(world)
    for device in world.devices:
        for what, count in device.sizes.items():
            if count > bounds[what]:
                yield device.name, f"has {count} {what}, and {bounds[what]} is the most"
        if len({device.sizes[what] for what in _STORE_BYTES}) > 1:
            yield device.name, "counts other bytes in its store than there are"
        if excuses.ran_ms(device) > LOOK_MS:
            over = [each for each in device.held.values() if _is_over(each, device)]
            if over:
                yield device.name, f"still holds {len(over)} bundles whose life ended long ago"


_STORE_BYTES: Final = ("store bytes", "store bytes by its index")


def _is_over(held: Held, device: DeviceRecord) -> bool:
    return device.ending.now_ms - held.expires_ms > LOOK_MS


# --- helpers -----------------------------------------------------------------------------------


def _honest(world: WorldRecord) -> list[DeviceRecord]:
    return [each for each in world.devices if each.name not in world.plan.hostile_names]


def _story(author: DeviceRecord, sent: SentRecord) -> Story | None:
    found = [
        story
        for story in author.outgoing
        if story.message.id == sent.message and story.message.text == sent.text
    ]
    return found[0] if found else None


def _has(device: DeviceRecord, message: BundleId, text: str | None = None) -> bool:
    return any(_is(record, message, text) for record in device.incoming)


def _got(device: DeviceRecord, author: DeviceRecord, message: BundleId) -> bool:
    """True if a device shows a message, which a copy stands for too, or withdrew it."""
    first = author.copies.get(message, message)
    texts = [story.message.text for story in author.outgoing if story.message.id == first]
    if any(_has(device, first, text) for text in texts):
        return True
    return not {first, message}.isdisjoint(device.withdrawn)


def _is(record: MessageRecord, message: BundleId, text: str | None) -> bool:
    return record.id == message and text in (None, record.text)


def no_defects(world: WorldRecord) -> _Found:
    """No session was ended by a defect of the program itself."""
    for line in world.lines:
        if line.event == "defect" and line.node not in world.plan.hostile_names:
            yield line.node, f"a session ended by {dict(line.fields).get('reason')}"


CHECKERS: Final[dict[str, Callable[[WorldRecord], _Found]]] = {
    checker.__name__: checker
    for checker in (
        nothing_lost,
        nothing_twice,
        nothing_readable,
        ledgers_true,
        replicas_equal,
        within_bounds,
        no_defects,
    )
}
"""Every promise by its name, beside those of each single store."""


def _all_checkers() -> dict[str, Callable[[WorldRecord], _Found]]:
    beside = (
        STORE_CHECKERS,
        DUTY_CHECKERS,
        ALARM_CHECKERS,
        DELIVERY_CHECKERS,
        SHEET_CHECKERS,
        BUDGET_CHECKERS,
        SENSOR_CHECKERS,
    )
    return {name: each for table in (CHECKERS, *beside) for name, each in table.items()}
