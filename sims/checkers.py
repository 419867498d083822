"""What must hold of every world, whatever its scenario: one function per promise.

Each looks at what is left of a world and yields a sentence for each breach. Together they say:
nothing lost, nothing twice, nothing readable where it must not be, every ledger true, replicas
in lasting contact equal, and no session ended by a defect of ours. Source: architecture
section 9, issue "nothing lost".
"""

from __future__ import annotations

import hashlib
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
from protocol.limits import HOUSEKEEPING_MS_MAX
from sims.record import DeviceRecord, SentRecord, Story, WorldRecord

__all__ = ["CHECKERS", "Breach", "check_world"]

SETTLE_MS: Final = 120_000
"""A contact that lasts this long, with nothing written meanwhile, makes two stores equal."""
_NEEDLE_BYTES: Final = 64
"""Of a long text the beginning is looked for: its row may be cut at the end of a page."""

_FINAL_EVENTS: Final = frozenset({LedgerEvent.DELIVERED, LedgerEvent.EXPIRED, LedgerEvent.REFUSED})
_RECEIPTED: Final = frozenset({RecipientState.ON_DEVICE, RecipientState.AT_GATEWAY})


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
        for name, checker in CHECKERS.items()
        for device, sentence in checker(world)
    ]


_Found = Iterator[tuple[str, str]]
"""Device and sentence of each breach."""


def nothing_lost(world: WorldRecord) -> _Found:
    """Every message is where it shall be, or on its way, or its author knows how it ended."""
    alive = {message for device in world.devices for message in device.held}
    for sent in world.sent:
        story = _story(world, sent)
        if story is None:
            yield world.name_of(sent.sender), f"forgot that it wrote {sent.message}"
            continue
        missing = [
            node for node in sorted(sent.recipients) if not _has(world.device(node), sent.message)
        ]
        has_arrived = not missing or (sent.is_any_enough and len(missing) < len(sent.recipients))
        is_known = story.message.state in (MessageState.EXPIRED, MessageState.REFUSED)
        is_waiting = story.message.state is MessageState.WAITING
        if not (has_arrived or is_known or is_waiting or sent.message in alive):
            names = ", ".join(map(world.name_of, missing))
            yield world.name_of(sent.sender), f"{sent.message} is lost on its way to {names}"


def nothing_twice(world: WorldRecord) -> _Found:
    """Nobody is shown a message twice, or one that nobody wrote."""
    written: Counter[tuple[NodeId, str]] = Counter()
    ids = {}
    for device in world.devices:
        for story in device.outgoing:
            written[device.node, story.message.text] += 1
            ids[story.message.id] = story.message.text
    for device in world.devices:
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
        if line.event == "message_arrived"
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
    for device in world.devices:
        for story in device.outgoing:
            for sentence in (*_untrue(world, story), *_unended(world, device, story)):
                yield device.name, f"{story.message.id} {sentence}"
        for message, ledger in device.incoming_ledgers.items():
            if [line.event for line in ledger].count(LedgerEvent.RECEIVED) != 1:
                yield device.name, f"{message} was not received exactly once"
    yield from _revived(world)


def _untrue(world: WorldRecord, story: Story) -> Iterator[str]:
    nodes = {device.node for device in world.devices}
    receipted = [each.node for each in story.recipients if each.state in _RECEIPTED]
    for node in receipted:
        if node not in nodes or not _has(world.device(node), story.message.id, story.message.text):
            yield f"is said to be on {world.name_of(node)}, and is not"
    for line in story.ledger:
        if line.event is LedgerEvent.HANDED and line.node not in nodes:
            yield "is said to be carried by a stranger"
    if story.message.state is MessageState.DELIVERED:
        is_any_enough = Scope.decode_untrusted(story.message.scope).kind is ScopeKind.CODT
        if not receipted or (len(receipted) < len(story.recipients) and not is_any_enough):
            yield "is said to be delivered, and not everybody has receipted it"


def _unended(world: WorldRecord, device: DeviceRecord, story: Story) -> Iterator[str]:
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
    late_ms = device.now_ms - message.expires_ms
    has_run_ms = world.end_ms - device.up_since_ms
    if not is_final and min(late_ms, has_run_ms) > 2 * HOUSEKEEPING_MS_MAX:
        yield f"is still {message.state.value} {late_ms / 1000:.0f} s after its life ended"


def _revived(world: WorldRecord) -> _Found:
    """No message ever left a final state."""
    finals = {state.value for state in FINAL_STATES}
    ended: dict[tuple[str, str], str] = {}
    for line in world.lines:
        if line.event != "message_changed":
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
    scenario = world.scenario
    if any(world.end_ms - sent.at_ms < SETTLE_MS for sent in world.sent):
        return
    devices = {device.name: device for device in world.devices}
    stepped = {step.device for step in scenario.clock_steps}
    for contact in scenario.contacts:
        pair = devices[contact.a], devices[contact.b]
        since_ms = max(contact.start_s * 1000, *(device.up_since_ms for device in pair))
        is_long = world.end_ms - since_ms >= SETTLE_MS and contact.end_s >= scenario.duration_s
        # A clock that was wrong once dates and drops at other times, rightly.
        if is_long and stepped.isdisjoint((contact.a, contact.b)):
            first, second = (_hash_of(device.ids) for device in pair)
            if first != second:
                differing = len(pair[0].ids ^ pair[1].ids)
                yield contact.a, f"differs from {contact.b} in {differing} bundles"


def _hash_of(ids: frozenset[int]) -> bytes:
    return hashlib.sha256(b"".join(each.to_bytes(8, "big") for each in sorted(ids))).digest()


# --- helpers -----------------------------------------------------------------------------------


def _story(world: WorldRecord, sent: SentRecord) -> Story | None:
    stories = world.device(sent.sender).outgoing
    found = [
        story
        for story in stories
        if story.message.id == sent.message and story.message.text == sent.text
    ]
    return found[0] if found else None


def _has(device: DeviceRecord, message: BundleId, text: str | None = None) -> bool:
    return any(_is(record, message, text) for record in device.incoming)


def _is(record: MessageRecord, message: BundleId, text: str | None) -> bool:
    return record.id == message and text in (None, record.text)


def no_defects(world: WorldRecord) -> _Found:
    """No session was ended by a defect of the program itself."""
    for line in world.lines:
        if line.event == "defect":
            yield line.node, f"a session ended by {dict(line.fields).get('reason')}"


CHECKERS: Final[dict[str, Callable[[WorldRecord], _Found]]] = {
    checker.__name__: checker
    for checker in (
        nothing_lost,
        nothing_twice,
        nothing_readable,
        ledgers_true,
        replicas_equal,
        no_defects,
    )
}
"""Every promise by its name."""
