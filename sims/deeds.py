"""What people do with messages that are there, and with reflex sheets: read, resend, retract."""

from __future__ import annotations

from typing import Final

import trio

from meshnode.node import Node
from meshnode.services.sheet_publishing import NewSheet
from meshnode.store import messages
from meshnode.store.records import MessageRecord
from protocol.errors import MeshError
from protocol.sheets import SheetForm, sheet_name
from sims.place import Place
from sims.runtime import PowerCutError
from sims.scenario import Deed
from sims.steps import belongs_to

__all__ = ["act"]

_LIST_MAX: Final = 10_000
_SHEET_BYTES: Final = 90_000


async def act(place: Place, deed: Deed) -> None:
    """Do it on its device, once that runs; whoever was cut off by a crash does it again."""
    belongs_to(place.name)
    while True:
        while (node := place.node) is None:
            # Its power may go again between the start and the turn of this task.
            await place.started.wait()
        try:
            await _act(place, node, deed)
        except PowerCutError:
            continue
        except MeshError as error:
            place.machine.trace(f"{deed.what}_refused", reason=type(error).__name__)
        return


async def _act(place: Place, node: Node, deed: Deed) -> None:
    match deed.what:
        case "read":
            for each in await node.store.read(lambda conn: messages.list_inbox(conn, 0, _LIST_MAX)):
                if await node.require_desk().reading.mark_read(each.key):
                    place.machine.trace("shown", message=str(each.id))
        case "cancel":
            for each in await _written(node, deed.text):
                is_cancelled = await node.outbox.cancel(each.key)
                place.machine.trace("cancelled", message=str(each.id), is_cancelled=is_cancelled)
        case "resend":
            # Its copies say the same, and stand behind it.
            for each in (await _written(node, deed.text))[:1]:
                sent = await node.outbox.resend(each.key)
                place.machine.trace("resent", message=str(each.id), copy=str(sent.id))
        case "publish":
            done = await node.sheets.publishing.publish([_sheet(deed.text)])
            place.machine.trace("published", version=done.version)
        case "retract":
            version = await node.sheets.publishing.retract(deed.text)
            place.machine.trace("retracted", version=version)
    await trio.lowlevel.checkpoint()


async def _written(node: Node, text: str) -> list[MessageRecord]:
    found = await node.store.read(lambda conn: messages.list_outgoing(conn, 0, _LIST_MAX))
    return [each for each in found if each.text == text]


def _sheet(text: str) -> NewSheet:
    """Return a sheet of several chunks that says a line again and again."""
    title, _, line = text.partition(":")
    raw = f"{line.strip()}\n".encode() * (_SHEET_BYTES // len(line.encode()))
    return NewSheet(sheet_name(title), title, "fr", (), SheetForm.TEXT, raw)
