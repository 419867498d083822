"""Exports and imports sealed bundle files: what a USB stick carries where no link exists.

Export writes the newest documents, then every live bundle in order of class, to a new file that
takes its name only when it is whole and on the disk. Import reads the file twice: once to the end
to see that it is whole and unchanged, then again to hand documents to the membership and bundles
to the relay, which check them like those of a peer. Nothing is opened here but the file itself.
Source: wire-format 9, security 2.11.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import trio

from meshnode.files import sync_folder
from meshnode.runtime import Runtime
from meshnode.store import bundles as rows
from meshnode.store import documents
from meshnode.store.engine import Connection, Store
from meshnode.store.records import BundleSummary, Cursor
from protocol.envelope import PrekeyRecord, PrekeySecret, Sealer
from protocol.errors import MeshError, NoKeyError
from protocol.ids import NodeId, ShortId
from protocol.limits import (
    BATCH_BUNDLES_MAX,
    BATCH_BYTES_MAX,
    HOPS_MAX,
    SESSION_DOCUMENT_BYTES_MAX,
    SESSION_DOCUMENTS_MAX,
    STICK_BYTES_MAX,
    STICK_READ_BYTES,
    STICK_SLOTS_MAX,
)
from protocol.reconcile.interest import Interest
from protocol.reports import Reception
from protocol.stick import (
    PREAMBLE_BYTES,
    CarriedBundle,
    CarriedDocument,
    ContentReader,
    StickHeader,
    StickReader,
    StickWriter,
    decode_header_untrusted,
    encode_bundle,
    encode_document,
    header_bytes_untrusted,
    open_file_key,
)

__all__ = [
    "DocumentKeeper",
    "Exported",
    "Imported",
    "Receiver",
    "Stick",
    "StickError",
]


class StickError(MeshError):
    """A sealed file cannot be written or read as asked."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written into a sealed file."""

    bundles: int
    """Bundles in it."""
    documents: int
    """Authority documents in it."""
    bytes: int
    """Size of the file."""
    recipients: tuple[NodeId, ...]
    """Who can open it: those asked for whose prekey has not ended."""
    left_out: int
    """Live bundles, the least urgent, for which the file had no room."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a sealed file; the bundles of the three counts are all that were in it."""

    stored: int
    """Bundles that are new here."""
    known: int
    """Bundles that were held already."""
    refused: int
    """Bundles that were expired, replaced, of unknown authors, or did not pass another check."""
    documents: int
    """Authority documents that took effect."""


class DocumentKeeper(Protocol):
    """Checks and saves authority documents; in the node the membership."""

    async def accept(self, raws: Sequence[bytes]) -> int:
        """Return how many took effect."""
        ...


class Receiver(Protocol):
    """Checks and stores bundles; in the node the relay."""

    async def receive(
        self, peer: NodeId | None, batch: Sequence[tuple[int, bytes]]
    ) -> Sequence[tuple[ShortId | None, Reception]]:
        """Return the fate of each (hop count, container) after the commit."""
        ...


class Stick:
    """Carries what the store holds to other devices by files."""

    def __init__(
        self,
        store: Store,
        runtime: Runtime,
        membership: DocumentKeeper,
        relay: Receiver,
        sealer: Sealer,
        find_prekey: Callable[[Connection, bytes], PrekeySecret | None],
        *,
        bytes_max: int = STICK_BYTES_MAX,
    ) -> None:
        """`find_prekey` is the key ring's `own_prekey`; `bytes_max` bounds an exported file."""
        self._store = store
        self._runtime = runtime
        self._membership = membership
        self._relay = relay
        self._sealer = sealer
        self._find_prekey = find_prekey
        self._bytes_max = bytes_max

    async def export(self, path: Path, recipients: Mapping[NodeId, PrekeyRecord]) -> Exported:
        """Write all that is live here into a file at `path` that only `recipients` can open.

        An earlier file of that name is replaced once the new one is on the disk.
        Raises: StickError if nobody can be sealed for, for too many recipients, or if the disk
        refuses; WeakKeyError; StoreError.
        """
        now_ms, run = self._runtime.now_ms(), self._runtime.run_blocking
        usable = {node: key for node, key in recipients.items() if key.ends_ms > now_ms}
        if not usable:
            raise StickError("no key is known that this file could be sealed to")
        if len(usable) > STICK_SLOTS_MAX:
            raise StickError(f"a file is for at most {STICK_SLOTS_MAX} devices")
        keys, entropy = list(usable.values()), self._runtime.entropy
        writer = StickWriter(keys, self._sealer, entropy, bytes_max=self._bytes_max)
        part = path.with_name(f".{self._runtime.entropy(8).hex()}.part")
        try:
            output = await run(_Output, part, writer)
            try:
                job = _Export(self._store, self._runtime, output)
                await job.write()
                size_bytes = await run(output.finish, path)
            finally:
                with trio.CancelScope(shield=True):
                    await run(output.discard)
        except OSError as error:
            raise StickError(f"cannot write {path}: {error.strerror}") from error
        self._runtime.trace("stick_exported", bundles=job.bundles, documents=job.documents)
        return Exported(job.bundles, job.documents, size_bytes, tuple(sorted(usable)), job.left_out)

    async def import_file(self, path: Path) -> Imported:
        """Take in what the file at `path` holds, if it is whole, unchanged and for this device.

        Raises: NoKeyError if it is sealed for others; MalformedError, LimitExceededError or
        TamperedError if it is no sealed file, or was cut or changed, and then nothing of it was
        taken; StickError if it cannot be read; StoreError. Cost: reads the file twice.
        """
        run = self._runtime.run_blocking
        try:
            descriptor = await run(_open, path)
            try:
                header = await run(_read_header_untrusted, descriptor)
                key = await self._key_untrusted(header)
                verified = _Input(descriptor, header, key)
                while await run(verified.next_untrusted) is not None:
                    pass
                return await self._take(_Input(descriptor, header, key))
            finally:
                with trio.CancelScope(shield=True):
                    await run(os.close, descriptor)
        except OSError as error:
            raise StickError(f"cannot read {path}: {error.strerror}") from error

    async def _key_untrusted(self, header: StickHeader) -> bytes:
        """Return the file key. Raises: NoKeyError, TamperedError."""

        def find(conn: Connection) -> PrekeySecret | None:
            found = (self._find_prekey(conn, slot.prekey_id) for slot in header.slots)
            return next((secret for secret in found if secret is not None), None)

        secret = await self._store.read(find)
        if secret is None:
            raise NoKeyError("this file is not sealed to this device, or its key was erased")
        return open_file_key(header, secret, self._sealer)

    async def _take(self, source: _Input) -> Imported:
        """Hand over the content of a file that was read to its end before."""
        intake = _Intake(self._membership, self._relay)
        while (items := await self._runtime.run_blocking(source.next_untrusted)) is not None:
            for item in items:
                await intake.add(item)
        imported = await intake.finish()
        self._runtime.trace("stick_imported", stored=imported.stored, refused=imported.refused)
        return imported


# --- export ------------------------------------------------------------------------------------


class _Output:
    """A file in the making, under a name of its own; every method waits for the disk."""

    def __init__(self, part: Path, writer: StickWriter) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        self.writer = writer
        self._part = part
        self._file = open(os.open(part, flags, 0o600), "wb")  # noqa: SIM115 - closed by discard
        self._is_placed = False
        self._file.write(writer.preamble)

    def add(self, frames: Sequence[bytes]) -> None:
        """Seal frames and write the chunks that are full."""
        for frame in frames:
            self._file.writelines(self.writer.feed(frame))

    def finish(self, path: Path) -> int:
        """Write the last chunk, wait for the disk, take the name `path`; return the size."""
        self._file.write(self.writer.finish())
        self._file.flush()
        os.fsync(self._file.fileno())
        size_bytes = self._file.tell()
        os.replace(self._part, path)
        self._is_placed = True
        sync_folder(path.parent)
        return size_bytes

    def discard(self) -> None:
        """Close the file; half a one must not stay."""
        try:
            self._file.close()
        finally:
            if not self._is_placed:
                self._part.unlink(missing_ok=True)


class _Export:
    """One export: the documents, then class by class what is live."""

    def __init__(self, store: Store, runtime: Runtime, output: _Output) -> None:
        self.documents = 0
        self.bundles = 0
        self.left_out = 0
        self._store = store
        self._runtime = runtime
        self._output = output
        self._now_ms = runtime.now_ms()

    async def write(self) -> None:
        """Write everything that has room."""
        raws = list(_within_bounds(await self._store.read(documents.all_raw)))
        await self._add([encode_document(raw) for raw in raws])
        self.documents = len(raws)
        interests = sorted(self._store.sketches, key=lambda each: (each.traffic_class, each.zone))
        for interest in interests:
            await self._write_interest(interest)

    async def _write_interest(self, interest: Interest) -> None:
        cursor: Cursor | None = None
        while True:
            summaries, cursor = await self._next_page(interest, cursor)
            for piece in _pieces(summaries):
                fitting = self._fitting(piece)
                self.left_out += len(piece) - len(fitting)
                await self._write_bundles(fitting)
            if cursor is None:
                return

    async def _next_page(
        self, interest: Interest, after: Cursor | None
    ) -> tuple[list[BundleSummary], Cursor | None]:
        page = await self._store.read(
            lambda conn: rows.page(conn, interest, after, BATCH_BUNDLES_MAX)
        )
        live = [
            summary
            for summary in page.summaries
            if summary.expires_ms > self._now_ms and summary.hops < HOPS_MAX
        ]
        return live, page.next_cursor

    def _fitting(self, piece: Sequence[BundleSummary]) -> Sequence[BundleSummary]:
        """Return the first of `piece` for which the file has room.

        Once one was left out all later ones are: what is less urgent takes no room before it.
        """
        if self.left_out:
            return []
        content_bytes = 0
        for place, summary in enumerate(piece):
            content_bytes += len(encode_bundle(summary.hops, b"")) + summary.size_bytes
            if not self._output.writer.has_room(content_bytes):
                return piece[:place]
        return piece

    async def _write_bundles(self, summaries: Sequence[BundleSummary]) -> None:
        ids = [summary.short_id for summary in summaries]
        held = await self._store.read(lambda conn: rows.raw_many(conn, ids))
        # In the order of the summaries, which is that of service; some may be gone by now.
        found = [held[short] for short in ids if short in held]
        await self._add([encode_bundle(hops, raw) for raw, hops in found])
        self.bundles += len(found)

    async def _add(self, frames: Sequence[bytes]) -> None:
        if frames:
            await self._runtime.run_blocking(self._output.add, frames)


def _within_bounds(raws: Sequence[bytes]) -> Iterator[bytes]:
    """Yield as many documents, roots first, as a reader takes from one file."""
    total_bytes = 0
    for raw in raws[:SESSION_DOCUMENTS_MAX]:
        total_bytes += len(raw)
        if total_bytes > SESSION_DOCUMENT_BYTES_MAX:
            return
        yield raw


def _pieces(summaries: Sequence[BundleSummary]) -> Iterator[list[BundleSummary]]:
    """Cut into pieces whose containers fit the memory that one step may use."""
    piece: list[BundleSummary] = []
    size_bytes = 0
    for summary in summaries:
        if piece and size_bytes + summary.size_bytes > BATCH_BYTES_MAX:
            yield piece
            piece, size_bytes = [], 0
        piece.append(summary)
        size_bytes += summary.size_bytes
    if piece:
        yield piece


# --- import ------------------------------------------------------------------------------------


def _open(path: Path) -> int:
    # A pipe or a device under this name must neither block the open nor be read for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StickError(f"{path} is not a file")
    return descriptor


def _read_header_untrusted(descriptor: int) -> StickHeader:
    length = header_bytes_untrusted(os.pread(descriptor, PREAMBLE_BYTES, 0))
    return decode_header_untrusted(os.pread(descriptor, length, PREAMBLE_BYTES))


class _Input:
    """One pass over the content of a sealed file."""

    def __init__(self, descriptor: int, header: StickHeader, key: bytes) -> None:
        self._descriptor = descriptor
        self._offset = PREAMBLE_BYTES + len(header.raw)
        self._chunks = StickReader(header, key)
        self._content = ContentReader()
        self._is_over = False

    def next_untrusted(self) -> list[CarriedDocument | CarriedBundle] | None:
        """Read on; return what is complete, None after the end of a file that was whole.

        Raises: MalformedError, LimitExceededError, TamperedError, OSError.
        """
        if self._is_over:
            return None
        data = os.pread(self._descriptor, STICK_READ_BYTES, self._offset)
        self._offset += len(data)
        if data:
            opened = self._chunks.feed_untrusted(data)
            return [item for plain in opened for item in self._content.feed_untrusted(plain)]
        self._is_over = True
        items = self._content.feed_untrusted(self._chunks.finish_untrusted())
        self._content.finish_untrusted()
        return items


class _Intake:
    """Hands documents to the membership, then bundles to the relay, in batches."""

    def __init__(self, membership: DocumentKeeper, relay: Receiver) -> None:
        self._membership = membership
        self._relay = relay
        self._documents: list[bytes] = []
        self._documents_taken = 0
        self._batch: list[tuple[int, bytes]] = []
        self._batch_bytes = 0
        self._fates: Counter[Reception] = Counter()

    async def add(self, item: CarriedDocument | CarriedBundle) -> None:
        """Take the next item; documents come first."""
        if isinstance(item, CarriedDocument):
            self._documents.append(item.raw)
            return
        # The author of a bundle may be known only by the roster that travels with it.
        await self._accept_documents()
        if self._batch_bytes + len(item.raw) > BATCH_BYTES_MAX:
            await self._receive_batch()
        self._batch.append((item.hops, item.raw))
        self._batch_bytes += len(item.raw)
        if len(self._batch) == BATCH_BUNDLES_MAX:
            await self._receive_batch()

    async def finish(self) -> Imported:
        """Hand over the rest; return what became of everything."""
        await self._accept_documents()
        await self._receive_batch()
        stored, known = self._fates[Reception.STORED], self._fates[Reception.DUPLICATE]
        refused = self._fates.total() - stored - known
        return Imported(stored, known, refused, self._documents_taken)

    async def _accept_documents(self) -> None:
        if self._documents:
            self._documents_taken = await self._membership.accept(self._documents)
            self._documents = []

    async def _receive_batch(self) -> None:
        if self._batch:
            outcomes = await self._relay.receive(None, self._batch)
            self._fates.update(reception for _short, reception in outcomes)
            self._batch, self._batch_bytes = [], 0
