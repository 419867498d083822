"""Files that go with messages: taken in, cut into chunks as there is room, put together again.

A file is read once, piece by piece, and kept sealed in the store, so that the original may vanish.
The message with its manifest goes first, in its own class; the chunks follow as bulk, a few at a
time: only as many as the hour's quota and half of the store's share for bulk allow. A reader keeps
each chunk in the transaction that makes its receipt due, looks at the hash of the whole, and
writes it out only where somebody asks. Source: wire-format 4.23, decision 28.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import trio

from meshnode.author import Author, Draft
from meshnode.errors import QuotaError, SendError, StoreFullError
from meshnode.links.level import Level
from meshnode.local_numbers import local_number
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.outside_files import write_new
from meshnode.reception import Checked
from meshnode.relay import Relay
from meshnode.runtime import Runtime
from meshnode.services.bulk_room import chunk_room
from meshnode.services.intake import Intake
from meshnode.store import attachments as kept
from meshnode.store import bundles as rows
from meshnode.store import chunks, delivery, reading
from meshnode.store.attachments import AttachmentRecord, NewAttachment
from meshnode.store.chunks import AttachmentState, MadeChunk
from meshnode.store.engine import Connection, Store, Transaction
from meshnode.viewer.bounds import DOCUMENT_SHOWN_BYTES_MAX
from protocol.attachments import (
    FILE_ID_BYTES,
    Manifest,
    Media,
    chunk_key,
    sniff,
)
from protocol.bundle import Bundle, Header, Scope, Suite
from protocol.envelope import open_message, seal_message
from protocol.errors import MalformedError, TamperedError
from protocol.guards import (
    ATTACHMENT_PIECES_PER_WRITE,
    ATTACHMENTS_KEEP_BYTES_MAX,
)
from protocol.limits import Kind
from protocol.reports import Reception

__all__ = ["Attachments", "Progress"]

_LIST_MAX: Final = 1_000
_ID_START_MIN: Final = 4
"""Characters of an id below which a part of it would be a guess."""
_QUEUED_MAX: Final = 100
"""Own files looked at together."""
_LOOK_S: Final = 60.0
"""While files are under way it is looked this often whether more of them may go."""
_VERIFY_PIECES: Final = 32
_HEAD_BYTES: Final = 128
_LIFE_S_MIN: Final = 60
"""A chunk that lives shorter is not made any more."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where one file is."""

    record: AttachmentRecord
    """What is known of it."""
    count: int
    """Its chunks."""
    made: int
    """Own: chunks that were made into bundles."""
    carried: int
    """Own: chunks that another device is known to hold, or was delivered."""
    reach: dict[bytes, int] = field(default_factory=dict)
    """Own: how many chunks each device has receipted."""
    over: frozenset[bytes] = frozenset()
    """Own: devices towards which it has cost its budget; it goes there over free links only."""


class Attachments:
    """The files of this device, both ways."""

    def __init__(
        self,
        author: Author,
        store: Store,
        runtime: Runtime,
        membership: Membership,
        relay: Relay,
        metrics: Metrics,
        on_receipt: Callable[[], None],
    ) -> None:
        """`on_receipt` wakes the writer of receipts."""
        self._author = author
        self._store = store
        self._runtime = runtime
        self._membership = membership
        self._relay = relay
        self._metrics = metrics
        self._on_receipt = on_receipt
        self._is_loaded = False
        self._is_pending = False
        self.intake = Intake(author, store, runtime)
        """Takes files in."""
        self.wake = Level()
        """Set when a file was sent, or pieces of one came."""

    # --- at work ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Make chunks as there is room, look at what came whole, until cancelled.

        Raises: StoreError.
        """
        while True:
            while await self.work():
                pass
            with trio.move_on_after(_LOOK_S if self._is_pending else float("inf")):
                await self.wake.wait()

    async def work(self) -> bool:
        """Do one step; True if there may be another at once. Raises: StoreError, LockedError."""
        if not self._is_loaded:
            await self._load_state()
        await self._write_spending()
        found = await self._store.read(lambda conn: kept.whole(conn, 1))
        for record in found:
            await self._verify(record)
        return bool(await self._make_some()) or bool(found)

    async def _load_state(self) -> None:
        await self._store.write(lambda tx: kept.abandon_loading(tx, self.intake.busy))
        files, spent, live = await self._store.read(
            lambda conn: (
                kept.queued(conn, _QUEUED_MAX),
                chunks.spent(conn),
                chunks.open_chunks(conn),
            )
        )
        spending = self._relay.spending
        spending.load(spent)
        for record in files:
            of_file = {short: 0 for short, key in live.items() if key == record.key}
            spending.watch(record.key, record.manifest.size_bytes, of_file)
        self._is_loaded = True

    async def _write_spending(self) -> None:
        spending = self._relay.spending
        fresh = spending.take_fresh()
        if fresh:
            try:
                await self._store.write(lambda tx: chunks.spend(tx, fresh))
            except trio.Cancelled:
                spending.put_back(fresh)
                raise

    # --- making chunks ----------------------------------------------------------------------

    async def _make_some(self) -> int:
        """Make the next chunks of one file that has any; return how many. Raises: StoreError."""
        files = await self._store.read(lambda conn: kept.queued(conn, _QUEUED_MAX))
        self._is_pending = bool(files)
        for record in files:
            try:
                made = await self._store.write(partial(self._make, key=record.key))
            except (QuotaError, StoreFullError):
                # Others took the room meanwhile: it is looked again in a minute.
                return 0
            if made:
                sizes = {each.short_id: 0 for each in made if each.short_id is not None}
                size_bytes = record.manifest.size_bytes
                self._relay.spending.watch(record.key, size_bytes, sizes)
                await self._relay.announce(made, None)
                return len(made)
        return 0

    def _make(self, tx: Transaction, key: int) -> list[Checked]:
        conn = tx.connection
        record = kept.get(conn, key)
        if record is None or record.state is not AttachmentState.QUEUED:
            return []
        life_s = (record.ends_ms - self._runtime.now_ms()) // 1000
        room = min(self._room(conn), ATTACHMENT_PIECES_PER_WRITE)
        if room <= 0 or life_s < _LIFE_S_MIN:
            return []
        numbers = self._numbers_due(conn, record, room)
        if not numbers:
            return []
        found: dict[int, bytes | None] = {}
        for number in numbers:
            found |= kept.pieces(conn, record, number, 1)
        if any(found.get(number) is None for number in numbers):
            # The sealed copy was damaged on this device: nobody can make the file whole again.
            chunks.conclude(tx, key, AttachmentState.DAMAGED)
            self._withdraw(tx, key)
            return []
        scope = Scope.decode_untrusted(record.scope)
        return [
            self._make_one(tx, record, scope, life_s, number, found[number] or b"")
            for number in numbers
        ]

    @staticmethod
    def _numbers_due(conn: Connection, record: AttachmentRecord, room: int) -> list[int]:
        """Return chunks to make: those that had to make room before, then the next ones."""
        first = len(chunks.made(conn, record.key))
        lost = chunks.lost(conn, record.key, room)
        fresh = range(first, min(first + room - len(lost), record.manifest.chunk_count))
        return [*lost, *fresh]

    def _make_one(
        self,
        tx: Transaction,
        record: AttachmentRecord,
        scope: Scope,
        life_s: int,
        number: int,
        piece: bytes,
    ) -> Checked:
        def body(header: Header) -> bytes:
            key = chunk_key(record.manifest.key, header.id, number)
            return seal_message(key, header.encode(), piece)

        draft = Draft(Kind.CHUNK, Suite.CHAIN, scope, record.file_id, number, life_s)
        checked = self._author.make(tx, draft, body)
        assert checked.bundle is not None, "it was made a line above"
        assert checked.short_id is not None, "it was made a line above"
        header = checked.bundle.header
        name = (header.incarnation, header.seq, checked.short_id, checked.bundle.digest)
        chunks.put(tx, MadeChunk(record.key, number, *name))
        return checked

    def _room(self, conn: Connection) -> int:
        """Return how many chunks may be made now."""
        return chunk_room(conn, self._author, self._store.bytes_max, self._runtime.now_ms())

    # --- what comes in ----------------------------------------------------------------------

    def expect(
        self, tx: Transaction, header: Header, scope: bytes, message: int, manifest: Manifest
    ) -> None:
        """A message tells of a file: its chunks are kept from now on, and those held looked at.

        `scope` is whom the file is for: of a copy that of the first message.
        """
        now_ms = self._runtime.now_ms()
        new = NewAttachment(header.author, message, scope, now_ms, header.expires_ms, manifest)
        if kept.add_incoming(tx, new) is None:
            return
        waiting = [
            each.short_id
            for each in rows.unreceived(tx.connection, Kind.CHUNK)
            if each.author == header.author
        ]
        delivery.queue_unopened(tx, waiting, now_ms)

    def keep(self, tx: Transaction, bundle: Bundle) -> bool:
        """Keep a chunk; True if it is here now, so that its receipt is due.

        False for one of a file that nobody here was told of, or that there is no room for: it is
        carried on. Raises: MalformedError, TamperedError, LockedError.
        """
        header = bundle.header
        if header.suite is not Suite.CHAIN or len(header.keyref) != FILE_ID_BYTES:
            raise MalformedError("a chunk is sealed under the key of its file")
        record = kept.by_file(tx.connection, header.author, header.keyref)
        if record is None or record.is_own:
            return False
        if record.scope != header.scope.encode():
            raise TamperedError("this chunk is for others than its file")
        manifest, number = record.manifest, header.index
        if number >= manifest.chunk_count:
            raise MalformedError("the file has no chunk of this number")
        if record.state is not AttachmentState.ARRIVING:
            return record.state is AttachmentState.COMPLETE
        key = chunk_key(manifest.key, header.id, number)
        piece = open_message(key, bundle.header_bytes, bundle.body)
        if len(piece) != manifest.piece_bytes(number):
            raise MalformedError("the chunk is longer or shorter than its file says")
        if kept.kept_bytes(tx.connection) + len(piece) > ATTACHMENTS_KEEP_BYTES_MAX:
            self._metrics.count("attachments_no_room")
            return False
        if kept.add_pieces(tx, record.key, record.ends_ms, {number: piece}):
            self._metrics.count("chunks_kept")
        return True

    async def _verify(self, record: AttachmentRecord) -> None:
        """Look at a file whose pieces are all here: is it what its message told of?"""
        digest, media = hashlib.sha256(), Media.OTHER
        for first in range(0, record.manifest.chunk_count, _VERIFY_PIECES):
            found = await self._store.read(
                partial(kept.pieces, record=record, first=first, count=_VERIFY_PIECES)
            )
            bad = [number for number, piece in found.items() if piece is None]
            if bad:
                await self._store.write(partial(self._ask_again, record=record, bad=bad))
                return
            if first == 0:
                media = sniff(found.get(0) or b"")
            await self._runtime.run_blocking(_digest, digest, found.values())
        is_right = digest.digest() == record.manifest.content_hash
        state = AttachmentState.COMPLETE if is_right else AttachmentState.DAMAGED

        def note(tx: Transaction) -> bool:
            kept.set_media(tx, record.key, media)
            return chunks.conclude(tx, record.key, state)

        if await self._store.write(note):
            self._metrics.count("attachments_complete" if is_right else "attachments_damaged")

    def _ask_again(self, tx: Transaction, record: AttachmentRecord, bad: list[int]) -> None:
        """Let go of pieces that the disk damaged; the bundles that are still held bring them."""
        kept.forget_pieces(tx, record.key, bad)
        held = [
            each.short_id
            for each in rows.by_kind(tx.connection, Kind.CHUNK)
            if each.author == record.author
        ]
        delivery.queue_unopened(tx, held, self._runtime.now_ms())
        self._metrics.count("seals_broken", len(bad))

    # --- the end ----------------------------------------------------------------------------

    async def cancel(self, key: int) -> bool:
        """Give up an own file: carriers drop its chunks as they hear of it; False if it had ended.

        Raises: StoreError, LockedError.
        """

        def give_up(tx: Transaction) -> bool:
            record = kept.get(tx.connection, key)
            if record is None or not record.is_own:
                return False
            if not chunks.conclude(tx, key, AttachmentState.CANCELLED):
                return False
            self._withdraw(tx, key)
            return True

        is_given_up = await self._store.write(give_up)
        self._relay.spending.forget(key)
        if is_given_up:
            self._on_receipt()
        return is_given_up

    async def cancel_message(self, message: int) -> bool:
        """Give up the file that goes with a message, or with that which it repeats.

        False where there is none, or it had ended. Raises: StoreError, LockedError.
        """
        record = await self._store.read(
            lambda conn: kept.of_message(conn, reading.origin(conn, message) or message)
        )
        return record is not None and await self.cancel(record.key)

    def _withdraw(self, tx: Transaction, key: int) -> None:
        """Receipt own chunks oneself, which tells carriers to drop them. Source: wire 4.23."""
        now_ms, node = self._runtime.now_ms(), self._author.node
        found = chunks.made(tx.connection, key)
        for each in found:
            delivery.note_received(tx, node, each.incarnation, each.seq, each.digest, now_ms)
        rows.drop_many(tx, [each.short_id for each in found], Reception.DELIVERED)

    async def remove(self, key: int) -> bool:
        """Erase a file of another here; False if there is none. Raises: StoreError, LockedError."""

        def erase(tx: Transaction) -> bool:
            record = kept.get(tx.connection, key)
            if record is None or record.is_own:
                return False
            kept.set_removed(tx, key)
            return True

        return await self._store.write(erase)

    # --- for people -------------------------------------------------------------------------

    async def progress(self, key: int | None = None) -> list[Progress]:
        """Return where files are, the newest first, or where one is. Raises: StoreError."""

        def read(conn: Connection) -> list[Progress]:
            found = kept.list_all(conn, _LIST_MAX)
            return [self._progress(conn, each) for each in found if key in (None, each.key)]

        return await self._store.read(read)

    def _progress(self, conn: Connection, record: AttachmentRecord) -> Progress:
        count = record.manifest.chunk_count
        if not record.is_own:
            return Progress(record, count, 0, 0)
        travel = chunks.travel(conn, record.key)
        over = frozenset(self._relay.spending.over(record.key))
        return Progress(
            record, count, travel.made, travel.carried, dict(chunks.reach(conn, record.key)), over
        )

    async def by_name(self, name: str) -> AttachmentRecord:
        """Return the file of a local number, an id, or the start of one, four characters at least.

        Raises: SendError (`unknown_file`, `ambiguous_file`).
        """
        start, digits = name.strip().lower(), 2 * FILE_ID_BYTES
        number = local_number(start)

        def find(conn: Connection) -> list[AttachmentRecord]:
            record = None if number is None else kept.get(conn, number)
            if record is not None:
                return [record]
            if not _ID_START_MIN <= len(start) <= digits or not _is_hex(start):
                return []
            ends = (bytes.fromhex(start.ljust(digits, filling)) for filling in "0f")
            return kept.find(conn, *ends)

        found = await self._store.read(find)
        if len({each.file_id for each in found}) > 1:
            listed = ", ".join(sorted({each.file_id.hex() for each in found}))
            raise SendError("ambiguous_file", f"'{name[:80]}' fits several files: {listed}")
        if len(found) != 1:
            raise SendError("unknown_file", f"no file '{name[:80]}' is known: see meshnode files")
        return found[0]

    async def save(self, key: int, target: Path) -> Path:
        """Write a file that is whole to a new file, or into a folder; return where it is.

        Raises: SendError (`not_whole`, `file`), StoreError.
        """
        record = await self._store.read(lambda conn: kept.get(conn, key))
        if record is None or record.is_own or record.state is not AttachmentState.COMPLETE:
            raise SendError("not_whole", "this file is not whole here: see meshnode files")
        try:
            path, file = await self._runtime.run_blocking(write_new, target, record.manifest.name)
            try:
                await self._write_out(record, file)
            except BaseException:
                with trio.CancelScope(shield=True):
                    await self._runtime.run_blocking(path.unlink, True)
                raise
            finally:
                await self._runtime.run_blocking(file.close)
        except OSError as error:
            raise SendError("file", f"cannot write {target}: {error.strerror}") from error
        return path

    async def content(self, key: int) -> bytes:
        """Return a file that is whole and small enough to be shown.

        Raises: SendError (`not_whole`, `too_large`), StoreError.
        """
        record = await self._store.read(lambda conn: kept.get(conn, key))
        if record is not None and record.manifest.size_bytes > DOCUMENT_SHOWN_BYTES_MAX:
            raise SendError("too_large", "this file has more than is shown, 20 MB: save it")
        return await self.whole(key)

    async def whole(self, key: int) -> bytes:
        """Return a file that is whole, up to 50 MB. Raises: SendError (`not_whole`), StoreError."""
        record = await self._store.read(lambda conn: kept.get(conn, key))
        if record is None or record.is_own or record.state is not AttachmentState.COMPLETE:
            raise SendError("not_whole", "this file is not whole here: see meshnode files")
        made = BytesIO()
        await self._write_out(record, made)
        return made.getvalue()

    async def _write_out(self, record: AttachmentRecord, file: BinaryIO) -> None:
        for first in range(0, record.manifest.chunk_count, _VERIFY_PIECES):
            found = await self._store.read(
                partial(kept.pieces, record=record, first=first, count=_VERIFY_PIECES)
            )
            whole = [piece for piece in found.values() if piece is not None]
            if len(whole) != min(_VERIFY_PIECES, record.manifest.chunk_count - first):
                raise SendError("not_whole", "the disk damaged this file: ask for it again")
            await self._runtime.run_blocking(file.writelines, whole)


def _digest(digest: hashlib._Hash, found: Iterable[bytes | None]) -> None:
    for piece in found:
        digest.update(piece or b"")


def _is_hex(text: str) -> bool:
    return all(each in "0123456789abcdef" for each in text)
