"""What people do with their devices, and what the devices announce to them.

Whoever wrote a message when the power went writes it again once the device is on.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import trio

from meshnode.errors import SendError, StoreError
from meshnode.events import (
    AlarmChanged,
    BundlesStored,
    Event,
    MessageArrived,
    MessageChanged,
    PeerDown,
    PeerUp,
)
from meshnode.node import Node
from meshnode.outbox import Priority, Writing
from meshnode.store import messages
from protocol.alarms import Step
from protocol.bundle import ScopeKind
from protocol.ids import NodeId
from sims.place import Place
from sims.record import SentRecord
from sims.runtime import PowerCutError
from sims.scenario import Answer, WrittenMessage
from sims.steps import belongs_to

__all__ = ["answer", "watch", "write"]

_PRIORITIES: Final = {
    "sos": Priority.SOS,
    "normal": Priority.NORMAL,
    "low": Priority.LOW,
}


async def write(place: Place, message: WrittenMessage, sent: list[SentRecord]) -> None:
    """Write a message on its device, once that runs, and add it to `sent` if it was taken."""
    belongs_to(place.name)
    while True:
        while (node := place.node) is None:
            # Its power may go again between the start and the turn of this task.
            await place.started.wait()
        try:
            sent.append(await _send(place, node, message))
        except PowerCutError:
            continue
        except (SendError, StoreError) as error:
            reason = error.reason if isinstance(error, SendError) else type(error).__name__
            place.machine.trace("send_refused", reason=reason)
        return


async def _send(place: Place, node: Node, message: WrittenMessage) -> SentRecord:
    directory = node.membership.directory
    scope = directory.find(message.to, place.device.plan.zone)
    priority = _PRIORITIES[message.priority]
    attachment = await _take_in(node, message) if message.file_bytes else None
    writing = Writing(scope, message.text, priority, message.lifetime_s, attachment=attachment)
    sent = await node.outbox.send(writing)
    if attachment is not None:
        await node.attachments.intake.settle_taken(attachment, is_sent=True)
        node.attachments.wake.set()
    node.housekeeping.wake.set()
    place.machine.trace("sent", message=str(sent.id), state=sent.state.value)
    return SentRecord(
        round(trio.current_time() * 1000),
        place.device.node,
        sent.id,
        message.text,
        directory.recipients(scope, place.device.node),
        scope.kind is ScopeKind.CODT,
    )


_LOOK_S: Final = 10.0
"""Somebody who waits for an alarm looks at the screen this often."""


async def answer(place: Place, wanted: Answer, places: Mapping[str, Place]) -> None:
    """Take a step of an alarm as soon as the device shows it, and tries it again after a crash."""
    belongs_to(place.name)
    raiser = places[wanted.to].device.node
    while True:
        while (node := place.node) is None:
            await place.started.wait()
        try:
            if await _answered(place, node, raiser, wanted.step):
                return
        except PowerCutError:
            continue
        except (SendError, StoreError) as error:
            # A disk that is full for an hour, or an alarm that others closed meanwhile.
            place.machine.trace("answer_refused", reason=type(error).__name__)
            if isinstance(error, SendError):
                return
        await trio.sleep(_LOOK_S)


async def _answered(place: Place, node: Node, raiser: NodeId, step: str) -> bool:
    """Take the step if the alarm is shown; False while it is not."""
    shown = [each for each in await node.alarms.list_alarms() if each.name[0] == raiser]
    if not shown:
        return False
    name = shown[0].name
    if step == "seen":
        await node.alarms.show(name)
    elif step == "raised":
        await node.alarms.raise_anew(name)
    else:
        await node.alarms.act(name, Step[step.upper()])
    place.machine.trace("answered", alarm=name[1].hex(), step=step)
    return True


async def _take_in(node: Node, message: WrittenMessage) -> int:
    """Let a node take in a document of the size that goes with a message."""
    seed = hashlib.sha256(message.text.encode()).digest()
    words = b"%PDF-" + (seed * (message.file_bytes // len(seed) + 1))
    with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
        file.write(words[: message.file_bytes])
        file.flush()
        path = Path(file.name)
        return await node.attachments.intake.take_in(path, message.lifetime_s, keeps_place=False)


async def watch(node: Node, place: Place) -> None:
    """Trace what a node announces, until cancelled."""
    with node.events.subscribe() as subscription:
        while True:
            event = await subscription.next()
            fields = await _fields(node, event)
            if fields is not None:
                place.machine.trace(_EVENT_NAMES[type(event)], **fields)


_EVENT_NAMES: Final[dict[type[Event], str]] = {
    AlarmChanged: "alarm_changed",
    BundlesStored: "bundles_stored",
    MessageArrived: "message_arrived",
    MessageChanged: "message_changed",
    PeerUp: "peer_up",
    PeerDown: "peer_down",
}


async def _fields(node: Node, event: Event) -> dict[str, object] | None:
    """Return what the trace tells of an event; None for one that it leaves out."""
    match event:
        case AlarmChanged(raiser, alarm_id, step, _who, is_new):
            name = node.membership.directory.name_of(raiser)
            return {"alarm": alarm_id.hex(), "raiser": name, "step": step, "is_new": is_new}
        case BundlesStored():
            source = "" if event.source is None else node.membership.directory.name_of(event.source)
            return {"count": event.count, "source": source}
        case MessageArrived():
            return {"message": str(event.message)}
        case MessageChanged():
            record = await node.store.read(lambda conn: messages.get(conn, event.key))
            return None if record is None else {"message": str(record.id), "state": record.state}
        case PeerUp() | PeerDown():
            return {"peer": node.membership.directory.name_of(event.node)}
    return None
