"""What an operator's node does for reflex sheets: publishes, retracts, keeps them on their way.

The catalogue goes out anew under each new key of the zone, chunks before they expire; what is
destroyed here takes its chunks off the mesh. Source: wire-format 13, decision 35.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from meshnode.author import Author, Draft
from meshnode.errors import QuotaError, SendError, StoreFullError
from meshnode.links.level import Level
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.reception import Checked
from meshnode.relay import Relay
from meshnode.runtime import Runtime
from meshnode.services.bulk_room import chunk_room
from meshnode.store import bundles as rows
from meshnode.store import delivery, network_keys
from meshnode.store import sheets as kept
from meshnode.store.engine import Connection, Store, Transaction
from meshnode.store.sheets import MadeSheetChunk
from protocol.attachments import chunk_key
from protocol.bundle import Header, Scope, Suite
from protocol.envelope import pad, seal_message, sheets_message_key
from protocol.errors import LimitExceededError
from protocol.guards import ATTACHMENT_PIECES_PER_WRITE, CHUNK_BYTES
from protocol.identity import Role
from protocol.ids import NodeId
from protocol.limits import KINDS, Kind
from protocol.network_keys import KeyPurpose
from protocol.reports import Reception
from protocol.sheet_bounds import SHEET_LOOK_S, SHEET_RENEW_MS
from protocol.sheets import (
    Catalogue,
    Sheet,
    SheetForm,
    encode_catalogue,
    merge,
    sheet_id_of,
    sheet_name,
)

__all__ = ["NewSheet", "Published", "SheetPublishing", "unknown_sheet"]

_LOOK_S: Final = 60.0
"""While chunks wait for room it is looked this often whether more of them may go."""
_CHUNK_LIFE_S: Final = KINDS[Kind.SHEETS].lifetime_s
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class NewSheet:
    """A sheet that somebody wants to publish."""

    name: str
    """As `sheet_name` gives it."""
    title: str = field(repr=False)
    """One line."""
    language: str
    """Two letters, or empty."""
    keywords: tuple[str, ...] = field(repr=False)
    """What it shall be found by."""
    form: SheetForm
    """How it is read."""
    raw: bytes = field(repr=False)
    """The file."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication did."""

    version: int
    """Of the pack, now."""
    added: tuple[str, ...]
    """Names that were not there before."""
    replaced: tuple[str, ...]
    """Names that have a newer version now."""
    unchanged: tuple[str, ...]
    """Names whose content was published before."""


class SheetPublishing:
    """The pack of the zone, as far as this node publishes it."""

    def __init__(
        self,
        author: Author,
        zone: int,
        store: Store,
        runtime: Runtime,
        membership: Membership,
        relay: Relay,
        metrics: Metrics,
    ) -> None:
        """`zone` is our own, 1-65535."""
        self._author = author
        self._zone = zone
        self._store = store
        self._runtime = runtime
        self._membership = membership
        self._relay = relay
        self._metrics = metrics
        self._is_tidy = False
        self._publishing = trio.Lock()
        self._is_pending = False
        self._is_log_dirty = False
        self.wake = Level()
        """Set when something was published or retracted, or sheets were destroyed."""

    # --- at work ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep on its way what this node published, until cancelled. Raises: StoreError."""
        while True:
            while await self.work():
                pass
            with trio.move_on_after(_LOOK_S if self._is_pending else SHEET_LOOK_S):
                await self.wake.wait()

    async def work(self) -> bool:
        """Do one step; True if there may be another at once. Raises: StoreError, LockedError."""
        await self._tidy()
        await self.empty_log()
        if not (await self._store.read(kept.pack)).is_publisher:
            return False
        made = await self._store.write(self._renew)
        await self._relay.announce(made, None)
        return await self._make_some() > 0

    async def _tidy(self) -> None:
        if not self._is_tidy:
            self._is_tidy = True
            await self._store.write(kept.drop_strays)

    async def empty_log(self) -> None:
        """After sheets were destroyed: leave nothing of them in the log. Raises: StoreError."""
        if self._is_log_dirty:
            self._is_log_dirty = False
            await self._store.compact()

    def tell_changed(self) -> None:
        """Wake the room where sheets were destroyed. Called after each commit of the inbox."""
        if self._is_log_dirty:
            self.wake.set()

    def is_operator(self, node: NodeId) -> bool:
        """True for a node whose catalogues and chunks count: an operator of our zone."""
        entry = self._membership.directory.trusted(node)
        return entry is not None and entry.role is Role.OPERATOR and entry.zone == self._zone

    def _renew(self, tx: Transaction) -> list[Checked]:
        """Send the catalogue anew where the zone's key changed, or it is old."""
        pack, now_ms = kept.pack(tx.connection), self._runtime.now_ms()
        if not self.is_operator(self._author.node):
            return []
        found = self._zone_key(tx.connection)
        is_old = now_ms - pack.renewed_ms >= SHEET_RENEW_MS
        if found is None or (found[0] == pack.key_id and not is_old):
            return []
        try:
            return [self._make_catalogue(tx, kept.catalogue(tx.connection))]
        except (StoreFullError, LimitExceededError):
            # Others took the room, or published beside us; it is looked again later.
            self._metrics.count("sheets_not_renewed")
            return []

    def _zone_key(self, conn: Connection) -> tuple[bytes, bytes] | None:
        revoked = self._membership.directory.revoked.keys()
        now_ms = self._runtime.now_ms()
        return network_keys.chosen(conn, KeyPurpose.ZONE_SOS, now_ms, revoked)

    def _make_catalogue(self, tx: Transaction, catalogue: Catalogue) -> Checked:
        found = self._zone_key(tx.connection)
        if found is None:
            raise SendError("no_zone_key", "this device has no key of its zone: meet the centre")
        key_id, zone_key = found
        plaintext = pad(encode_catalogue(catalogue))

        def body(header: Header) -> bytes:
            key = sheets_message_key(zone_key, header.id)
            return seal_message(key, header.encode(), plaintext)

        draft = Draft(Kind.SHEETS, Suite.ZONE, Scope.for_zone(self._zone), key_id)
        made = self._author.make(tx, draft, body)
        kept.note_published(tx, self._runtime.now_ms(), key_id)
        return made

    # --- making chunks ----------------------------------------------------------------------

    async def _make_some(self) -> int:
        self._is_pending = False
        try:
            made = await self._store.write(self._make)
        except (QuotaError, StoreFullError):
            # Others took the room meanwhile: it is looked again in a minute.
            self._is_pending = True
            return 0
        await self._relay.announce(made, None)
        return len(made)

    def _make(self, tx: Transaction) -> list[Checked]:
        conn, now_ms = tx.connection, self._runtime.now_ms()
        if not self.is_operator(self._author.node):
            return []
        made: list[Checked] = []
        for record in kept.records(conn):
            if not record.is_own:
                continue
            due = kept.chunks_due(conn, record.sheet, now_ms - SHEET_RENEW_MS)
            if not due:
                continue
            room = chunk_room(conn, self._author, self._store.bytes_max, now_ms)
            room = min(room, ATTACHMENT_PIECES_PER_WRITE - len(made))
            self._is_pending = True
            found = kept.pieces(conn, record.sheet.file_id, due[:room])
            made += [
                self._make_chunk(tx, record.sheet, number, piece)
                for number, piece in found.items()
                if piece is not None
            ]
            if len(made) >= ATTACHMENT_PIECES_PER_WRITE or room <= 0:
                break
        return made

    def _make_chunk(self, tx: Transaction, sheet: Sheet, number: int, piece: bytes) -> Checked:
        def body(header: Header) -> bytes:
            key = chunk_key(sheet.key, header.id, number)
            return seal_message(key, header.encode(), piece)

        scope = Scope.for_zone(self._zone)
        draft = Draft(Kind.CHUNK, Suite.CHAIN, scope, sheet.file_id, number, _CHUNK_LIFE_S)
        checked = self._author.make(tx, draft, body)
        assert checked.bundle is not None, "it was made a line above"
        assert checked.short_id is not None, "it was made a line above"
        header, digest = checked.bundle.header, checked.bundle.digest
        name = (header.incarnation, header.seq, checked.short_id, digest)
        kept.put_chunk(tx, MadeSheetChunk(sheet.file_id, number, *name, self._runtime.now_ms()))
        return checked

    # --- publishing -------------------------------------------------------------------------

    async def publish(self, found: Sequence[NewSheet]) -> Published:
        """Add sheets to the pack of the zone, or replace those of the same names.

        No sheet is taken away: that is `retract`. Raises: SendError (`no_right`, `no_zone_key`,
        `sheets_full`), QuotaError, StoreFullError, StoreError, LockedError.
        """
        self._require_operator()
        await self._tidy()
        async with self._publishing:
            made, done = await self._publish_all(found)
        await self._announce(made)
        self._metrics.count("sheets_published", len(done.added) + len(done.replaced))
        return done

    async def _publish_all(self, found: Sequence[NewSheet]) -> tuple[list[Checked], Published]:
        held = await self._store.read(kept.catalogue)
        fresh = {each.name: self._entry(held, each) for each in found}
        whole = await self._store.read(kept.have)
        try:
            for each in found:
                sheet = fresh[each.name]
                if whole.get(sheet.file_id, 0) < sheet.chunk_count:
                    await self._keep_file(sheet, each.raw)
            return await self._store.write(partial(self._publish, sheets=tuple(fresh.values())))
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._store.write(kept.drop_strays)
            raise

    def _require_operator(self) -> None:
        if not self.is_operator(self._author.node):
            raise SendError("no_right", "only an operator of the zone publishes sheets")

    def _entry(self, held: Catalogue, new: NewSheet) -> Sheet:
        """Return what is to be in the catalogue: what is there, where nothing changed."""
        before = held.find(new.name)
        sheet = Sheet(
            new.name,
            1,
            new.title,
            new.language,
            new.keywords,
            new.form,
            len(new.raw),
            hashlib.sha256(new.raw).digest(),
            self._runtime.entropy(_KEY_BYTES),
        )
        if before is not None and _says(before) == _says(sheet):
            return before
        last = held.retracted.get(sheet.sheet_id, 0)
        version = max(last, 0 if before is None else before.version) + 1
        return Sheet(sheet.name, version, *_says(sheet), sheet.key)

    async def _keep_file(self, sheet: Sheet, raw: bytes) -> None:
        """Keep a file in steps, so that a text that is written meanwhile does not wait."""
        now_ms, step = self._runtime.now_ms(), ATTACHMENT_PIECES_PER_WRITE
        for first in range(0, sheet.chunk_count, step):
            numbers = range(first, min(first + step, sheet.chunk_count))
            pieces = {n: raw[n * CHUNK_BYTES : (n + 1) * CHUNK_BYTES] for n in numbers}
            keep = partial(kept.add_pieces, file_id=sheet.file_id, now_ms=now_ms, found=pieces)
            await self._store.write(keep)

    def _publish(self, tx: Transaction, sheets: Sequence[Sheet]) -> tuple[list[Checked], Published]:
        held = kept.catalogue(tx.connection)
        before = {each.name: each for each in held.sheets}
        ordered = tuple(sorted(sheets, key=lambda each: each.name))
        after = merge(held, Catalogue(held.version + 1, ordered, {}))
        own = {each.name for each in sheets}
        made = self._send(tx, after, own)
        kept.drop_strays(tx)
        now = {each.name: each for each in after.sheets if each.name in own}
        done = Published(
            after.version,
            tuple(name for name in now if name not in before),
            tuple(n for n, each in now.items() if n in before and each != before[n]),
            tuple(n for n, each in now.items() if each == before.get(n)),
        )
        return made, done

    async def retract(self, name: str) -> int:
        """Retract a sheet everywhere, for good; return the version up to which nobody opens it.

        Raises: SendError (`no_right`, `no_zone_key`, `unknown_sheet`, `sheets_full`), QuotaError,
        StoreFullError, StoreError, LockedError.
        """
        self._require_operator()
        made, version = await self._store.write(lambda tx: self._retract(tx, name))
        await self._announce(made)
        await self.empty_log()
        self._metrics.count("sheets_retracted")
        return version

    def _retract(self, tx: Transaction, name: str) -> tuple[list[Checked], int]:
        held = kept.catalogue(tx.connection)
        sheet = held.find(sheet_name(name))
        if sheet is None:
            raise unknown_sheet(name)
        told = Catalogue(held.version + 1, (), {sheet_id_of(sheet.name): sheet.version})
        return self._send(tx, merge(held, told)), sheet.version

    def _send(self, tx: Transaction, after: Catalogue, own: Iterable[str] = ()) -> list[Checked]:
        """Keep a new catalogue and make its bundle. Raises: SendError, QuotaError."""
        self.apply(tx, after, frozenset(own))
        try:
            return [self._make_catalogue(tx, after)]
        except LimitExceededError as error:
            raise SendError(
                "sheets_full",
                f"the pack would have too much ({error.limit_name}): retract sheets first",
            ) from error

    def apply(self, tx: Transaction, after: Catalogue, own: frozenset[str] = frozenset()) -> None:
        """Keep what is known now, in `tx`; what is destroyed is taken off the mesh, too."""
        gone = kept.apply(tx, after, self._runtime.now_ms(), own)
        if gone:
            self._withdraw(tx, gone)
            self._is_log_dirty = True
            self._metrics.count("sheets_destroyed", len(gone))

    def _withdraw(self, tx: Transaction, file_ids: Sequence[bytes]) -> None:
        """Receipt own chunks oneself, which tells carriers to drop them. Source: wire 4.23."""
        now_ms, found = self._runtime.now_ms(), kept.chunks_of(tx.connection, file_ids)
        for each in found:
            delivery.note_received(
                tx, self._author.node, each.incarnation, each.seq, each.digest, now_ms
            )
        rows.drop_many(tx, [each.short_id for each in found], Reception.DELIVERED)
        kept.forget_chunks(tx, file_ids)

    async def _announce(self, made: Sequence[Checked]) -> None:
        await self._relay.announce(made, None)
        self.wake.set()


def _says(sheet: Sheet) -> tuple[str, str, tuple[str, ...], SheetForm, int, bytes]:
    return (
        sheet.title,
        sheet.language,
        sheet.keywords,
        sheet.form,
        sheet.size_bytes,
        sheet.content_hash,
    )


def unknown_sheet(name: str) -> SendError:
    """Return what is raised for a name that no catalogue tells of."""
    return SendError(
        "unknown_sheet", f"no sheet '{sheet_name(name)}' is known: see meshnode sheets"
    )
