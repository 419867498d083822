"""Takes a file in: read once, cleaned, cut into pieces, sealed in the store; then it may vanish.

Nothing larger than a few pieces is ever in memory. What a crash leaves half taken in is dropped at
the next start. Source: wire-format 4.23, decision 28.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

import trio

from meshnode.author import Author
from meshnode.errors import SendError
from meshnode.outside_files import open_picked
from meshnode.photos import cleaned, thumbnail_of
from meshnode.runtime import Runtime
from meshnode.store import attachments as kept
from meshnode.store.attachments import NewAttachment
from meshnode.store.engine import Store, Transaction
from protocol.attachments import Manifest, Media, may_hold_place, safe_name, sniff
from protocol.errors import MalformedError
from protocol.guards import ATTACHMENT_BYTES_MAX, ATTACHMENT_PIECES_PER_WRITE, CHUNK_BYTES
from protocol.limits import KINDS, MESSAGE_LIFETIME_S_MAX, Kind

__all__ = ["Intake"]

_HEAD_BYTES: Final = 128


class Intake:
    """Files on their way into the store."""

    def __init__(self, author: Author, store: Store, runtime: Runtime) -> None:
        self._author = author
        self._store = store
        self._runtime = runtime
        self.busy: list[int] = []
        """Files that are being taken in, or whose message is being written."""

    async def take_in(self, path: Path, lifetime_s: int | None, *, keeps_place: bool) -> int:
        """Keep a file sealed; return the number to send it by.

        Of photos only the picture is kept, unless `keeps_place`. Raises: SendError (`file`,
        `file_size`, `file_place`), StoreError; nothing is kept then.
        """
        with ExitStack() as stack:
            try:
                opened = await self._runtime.run_blocking(open_picked, path)
            except OSError as error:
                raise SendError("file", f"cannot read {path}: {error.strerror}") from error
            file = stack.enter_context(opened)
            return await self.take_in_open(file, path.name, lifetime_s, keeps_place=keeps_place)

    async def take_in_open(
        self, file: BinaryIO, name: str, lifetime_s: int | None, *, keeps_place: bool
    ) -> int:
        """Keep what an open file holds, under the name that it came by. See `take_in`."""
        blocking = self._runtime.run_blocking
        try:
            head = await blocking(_peek, file)
            media = sniff(head)
            if may_hold_place(head) and not keeps_place:
                raise SendError(
                    "file_place",
                    "this form of photo may say where it was taken: send it as JPEG",
                )
            thumbnail = await blocking(thumbnail_of, file, media)
            await blocking(file.seek, 0)
            source = _Source(file, Media.OTHER if keeps_place else media)
            return await self._load(name, source, media, thumbnail, lifetime_s)
        except OSError as error:
            raise SendError("file", f"cannot read {name}: {error.strerror}") from error
        except MalformedError as error:
            raise SendError("file", f"{name} is damaged: save the photo again as JPEG") from error

    async def _load(
        self, name: str, source: _Source, media: Media, thumbnail: bytes, lifetime_s: int | None
    ) -> int:
        life_s = KINDS[Kind.CHUNK].lifetime_s if lifetime_s is None else lifetime_s
        life_s = max(1, min(life_s, MESSAGE_LIFETIME_S_MAX))
        key, now_ms = self._runtime.entropy(32), self._runtime.now_ms()
        manifest = Manifest(safe_name(name), media, 1, bytes(32), key, CHUNK_BYTES, thumbnail)
        new = NewAttachment(self._author.node, 0, b"", now_ms, now_ms + 1000 * life_s, manifest)
        number = await self._store.write(lambda tx: kept.add_loading(tx, new))
        self.busy.append(number)
        try:
            first = 0
            while found := await self._runtime.run_blocking(source.next_pieces):
                if source.size_bytes > ATTACHMENT_BYTES_MAX:
                    raise SendError("file_size", f"{name} has more than 50 MB: send a part")
                await self._keep_pieces(number, new.ends_ms, dict(enumerate(found, first)))
                first += len(found)
            if not source.size_bytes:
                raise SendError("file_size", f"{name} is empty: name another file")
            whole = replace(
                manifest, size_bytes=source.size_bytes, content_hash=source.hash.digest()
            )
            await self._store.write(lambda tx: self._finish(tx, number, whole))
        except BaseException:
            self.busy.remove(number)
            with trio.CancelScope(shield=True):
                await self._store.write(lambda tx: kept.abandon_loading(tx, self.busy))
            raise
        return number

    async def _keep_pieces(self, number: int, ends_ms: int, found: dict[int, bytes]) -> None:
        await self._store.write(lambda tx: kept.add_pieces(tx, number, ends_ms, found))

    @staticmethod
    def _finish(tx: Transaction, number: int, manifest: Manifest) -> None:
        record = kept.get(tx.connection, number)
        assert record is not None, "it was added before"
        kept.set_manifest(tx, record, manifest)

    async def settle_taken(self, number: int, *, is_sent: bool) -> None:
        """The message of a file was sent, or was not: then the file is dropped."""
        self.busy.remove(number)
        if not is_sent:
            await self._store.write(lambda tx: kept.abandon_loading(tx, self.busy))


class _Source:
    """Reads a file piece by piece, cleaned, with its hash and its length so far."""

    def __init__(self, file: BinaryIO, media: Media) -> None:
        self.hash = hashlib.sha256()
        self.size_bytes = 0
        self._pieces = self._cut(cleaned(file, media))

    def next_pieces(self) -> list[bytes]:
        """Return the next few pieces; none at the end. Raises: MalformedError, OSError."""
        found = []
        for piece in self._pieces:
            self.hash.update(piece)
            self.size_bytes += len(piece)
            found.append(piece)
            if len(found) == ATTACHMENT_PIECES_PER_WRITE:
                break
        return found

    @staticmethod
    def _cut(blocks: Iterable[bytes]) -> Iterator[bytes]:
        held = bytearray()
        for block in blocks:
            held += block
            while len(held) >= CHUNK_BYTES:
                yield bytes(held[:CHUNK_BYTES])
                del held[:CHUNK_BYTES]
        if held:
            yield bytes(held)


def _peek(file: BinaryIO) -> bytes:
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    return head
