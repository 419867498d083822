"""The calls about files that go with messages, in plain values; `Api` has them beside its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import trio

from meshnode.calls.base import Calls, Json
from meshnode.errors import SendError
from meshnode.outbox import Priority, Sent, Writing
from meshnode.services.attachments import Progress
from meshnode.store.chunks import AttachmentState
from protocol.bundle import Scope
from protocol.ids import print_bundle_id, print_node_id

__all__ = ["FileCalls"]

_WHOLE: Final = 100


class FileCalls(Calls):
    """What people may ask of files."""

    async def files(self) -> list[Json]:
        """Return the files of this device, both ways, the newest first. Raises: StoreError."""
        return [self._file(each) for each in await self._node.attachments.progress()]

    async def file(self, file: str) -> Json:
        """Return one file by its id or local number. Raises: SendError (`unknown_file`)."""
        record = await self._node.attachments.by_name(file)
        (found,) = await self._node.attachments.progress(record.key)
        return self._file(found)

    async def file_save(self, file: str, path: str) -> Json:
        """Write a whole file to a new file at `path`, or into that folder; overwrite nothing.

        Raises: SendError (`unknown_file`, `not_whole`, `file`), StoreError.
        """
        record = await self._node.attachments.by_name(file)
        target = await self._node.attachments.save(record.key, Path(path))
        return {"path": str(target), "size_bytes": record.manifest.size_bytes}

    async def file_cancel(self, file: str) -> bool:
        """Give up an own file; False if it had ended. Raises: SendError, StoreError."""
        record = await self._node.attachments.by_name(file)
        is_cancelled = await self._node.attachments.cancel(record.key)
        await self._node.settle()
        return is_cancelled

    async def file_remove(self, file: str) -> bool:
        """Erase another's file here; False if it is an own one. Raises: SendError, StoreError."""
        record = await self._node.attachments.by_name(file)
        return await self._node.attachments.remove(record.key)

    async def file_content(self, file: str) -> tuple[Json, bytes]:
        """Return what a whole file is called and what it holds, for a program in this process.

        Raises: SendError (`unknown_file`, `not_whole`), StoreError.
        """
        record = await self._node.attachments.by_name(file)
        (found,) = await self._node.attachments.progress(record.key)
        return self._file(found), await self._node.attachments.whole(record.key)

    async def file_thumbnail(self, file: str) -> bytes:
        """Return the small picture of a photo, a JPEG; empty for what has none.

        Raises: SendError (`unknown_file`), StoreError.
        """
        return (await self._node.attachments.by_name(file)).manifest.thumbnail

    async def send_upload(
        self, to: str, text: str, name: str, file: BinaryIO, *, keep_place: bool = False
    ) -> Json:
        """Keep a message for `to` with what an open file holds, under `name`. See `Api.send`."""
        scope = self._node.membership.directory.find(to, self._node.identity.zone)
        take_in = partial(self._node.attachments.intake.take_in_open, file, name)
        writing = Writing(scope, text, Priority.NORMAL, None)
        return self._told_sent(scope, await self._send_file(writing, take_in, keep_place))

    def _told_sent(self, scope: Scope, sent: Sent) -> Json:
        """Return what became of a message that was written just now."""
        return {
            "message": print_bundle_id(sent.id),
            "key": sent.key,
            "state": sent.state.value,
            "to": self._node.membership.directory.describe(scope),
            "recipients": sent.recipients,
            "is_held_back": sent.is_held_back,
        }

    async def _send_file(
        self, writing: Writing, take_in: Callable[..., Awaitable[int]], keeps_place: bool
    ) -> Sent:
        """Take a file in and send its message. Raises: SendError, StoreError."""
        node = self._node
        if keeps_place and await node.positions.current() is None:
            raise SendError("file_place", "a place is told in a shift alone: open your shift first")
        intake = node.attachments.intake
        number = await take_in(writing.lifetime_s, keeps_place=keeps_place)
        sent = None
        try:
            sent = await node.outbox.send(replace(writing, attachment=number))
        finally:
            with trio.CancelScope(shield=True):
                await intake.settle_taken(number, is_sent=sent is not None)
        node.metrics.count("attachments_sent")
        node.attachments.wake.set()
        await node.settle()
        return sent

    def _file(self, found: Progress) -> Json:
        record, manifest = found.record, found.record.manifest
        told = {
            "file": record.file_id.hex(),
            "key": record.key,
            "message": record.message,
            "is_own": record.is_own,
            "name": manifest.name,
            "media": record.media.name.lower(),
            "size_bytes": manifest.size_bytes,
            "has_thumbnail": bool(manifest.thumbnail),
            "state": _state(found),
            "to": self._describe(record.scope),
            "ends_ms": record.ends_ms,
        }
        if not record.is_own:
            have_bytes = min(record.have * manifest.chunk_bytes, manifest.size_bytes)
            is_whole = record.state is AttachmentState.COMPLETE
            return {
                **told,
                **{f"from_{name}": value for name, value in self._who(record.author).items()},
                "have_bytes": manifest.size_bytes if is_whole else have_bytes,
            }
        return {
            **told,
            "made_pct": _pct(found.made, found.count),
            "carried_pct": _pct(found.carried, found.count),
            "recipients": [
                {**self._who(node), "pct": _pct(count, found.count)}
                for node, count in sorted(found.reach.items())
            ],
            "over_budget": [print_node_id(node) for node in sorted(found.over)],
        }


def _pct(part: int, whole: int) -> int:
    """Return a share in whole per cent, 100 only for all of it."""
    return _WHOLE * part // whole


def _state(found: Progress) -> str:
    """Return where a file is: an own one that cost too much has given up but for free links."""
    if found.record.state is AttachmentState.QUEUED:
        if found.over:
            return "gave_up_budget"
        if found.carried:
            return "carried"
    return found.record.state.value
