"""Reflex sheets: published by operators, kept by everybody of the zone, retracted for good.

An operator's catalogue goes to the whole zone, sealed under the zone's weekly key; the sheets
follow as chunks, each version under a key of its own that only catalogues tell. A device keeps the
union of all catalogues, so no order of arrival matters. Source: wire-format 13, decision 35.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from meshnode.errors import SendError
from meshnode.metrics import Metrics
from meshnode.opening import Opened, Waits, due_keyref
from meshnode.runtime import Runtime
from meshnode.services.sheet_publishing import SheetPublishing, unknown_sheet
from meshnode.store import bundles as rows
from meshnode.store import delivery, keyring
from meshnode.store import sheets as kept
from meshnode.store.engine import Connection, Store, Transaction
from meshnode.store.sheets import SheetRecord
from protocol.attachments import FILE_ID_BYTES, chunk_key
from protocol.bundle import Bundle, Header, Scope, Suite
from protocol.envelope import open_message, sheets_message_key, unpad_untrusted
from protocol.errors import MalformedError, RightsError, TamperedError
from protocol.limits import Kind
from protocol.network_keys import KeyPurpose
from protocol.sheet_bounds import SHEET_KEY_WAIT_MS
from protocol.sheets import Sheet, decode_catalogue_untrusted, merge, sheet_id_of, sheet_name

__all__ = ["SheetState", "Sheets"]


@dataclass(frozen=True, slots=True)
class SheetState:
    """One sheet, and how much of it is here."""

    record: SheetRecord
    """What is known of it."""
    have: int
    """Pieces that are here."""

    @property
    def is_whole(self) -> bool:
        """True if it can be opened."""
        return self.have >= self.record.sheet.chunk_count


class Sheets:
    """The reflex sheets of this device."""

    def __init__(
        self,
        zone: int,
        store: Store,
        runtime: Runtime,
        metrics: Metrics,
        publishing: SheetPublishing,
    ) -> None:
        """`zone` is our own, 1-65535."""
        self._zone = zone
        self._store = store
        self._runtime = runtime
        self._metrics = metrics
        self.publishing = publishing
        """What an operator does."""

    # --- what comes in ----------------------------------------------------------------------

    def keep(self, tx: Transaction, bundle: Bundle, _opening: Callable[[], Opened]) -> None:
        """Take in the catalogue of an operator; it needs no key of a chain.

        Raises: Waits, RightsError, TamperedError, MalformedError, LimitExceededError, LockedError.
        """
        header = bundle.header
        if not self.publishing.is_operator(header.author):
            self._refuse(header)
        if header.scope != Scope.for_zone(self._zone):
            raise MalformedError("a catalogue of sheets is for its author's zone")
        zone_key = keyring.network_keys(tx.connection, KeyPurpose.ZONE_SOS).get(header.keyref)
        if zone_key is None:
            raise Waits(due_keyref(self._runtime.now_ms() + SHEET_KEY_WAIT_MS))
        key = sheets_message_key(zone_key, header.id)
        plaintext = open_message(key, bundle.header_bytes, bundle.body)
        told = decode_catalogue_untrusted(unpad_untrusted(plaintext))
        held = kept.catalogue(tx.connection)
        after = merge(held, told)
        if after == held:
            return
        self.publishing.apply(tx, after)
        self._metrics.count("sheets_catalogues")
        if set(after.sheets) - set(held.sheets):
            self._look_again(tx)

    def _refuse(self, header: Header) -> NoReturn:
        self._metrics.count("sheets_refused")
        self._runtime.trace("sheets_refused", bundle=str(header.id))
        raise RightsError("only an operator of the zone publishes sheets")

    def _look_again(self, tx: Transaction) -> None:
        """Chunks may have come before the catalogue that tells of them."""
        scope = Scope.for_zone(self._zone).encode()
        waiting = [
            each.short_id
            for each in rows.unreceived(tx.connection, Kind.CHUNK)
            if each.scope == scope
        ]
        delivery.queue_unopened(tx, waiting, self._runtime.now_ms())

    def keep_chunk(self, tx: Transaction, bundle: Bundle) -> None:
        """Keep a chunk of a sheet that a catalogue tells of; any other is carried on.

        Raises: RightsError, TamperedError, MalformedError, LockedError.
        """
        header = bundle.header
        if header.suite is not Suite.CHAIN or len(header.keyref) != FILE_ID_BYTES:
            raise MalformedError("a chunk is sealed under the key of its file")
        if not self.publishing.is_operator(header.author):
            self._refuse(header)
        record = kept.by_file(tx.connection, header.keyref)
        if record is None:
            return
        sheet, number = record.sheet, header.index
        if number >= sheet.chunk_count:
            raise MalformedError("the sheet has no chunk of this number")
        key = chunk_key(sheet.key, header.id, number)
        piece = open_message(key, bundle.header_bytes, bundle.body)
        if len(piece) != sheet.piece_bytes(number):
            raise TamperedError("the chunk is longer or shorter than its sheet")
        if kept.add_pieces(tx, sheet.file_id, self._runtime.now_ms(), {number: piece}):
            self._metrics.count("sheet_chunks_kept")

    # --- for people -------------------------------------------------------------------------

    async def states(self) -> list[SheetState]:
        """Return the sheets that may be opened, by name. Raises: StoreError, LockedError."""

        def read(conn: Connection) -> list[SheetState]:
            have = kept.have(conn)
            found = kept.records(conn)
            return [SheetState(each, have.get(each.sheet.file_id, 0)) for each in found]

        return await self._store.read(read)

    async def version(self) -> int:
        """Return the version of the pack, 0 where none was heard of. Raises: StoreError."""
        return (await self._store.read(kept.pack)).version

    async def read(self, name: str) -> tuple[Sheet, bytes]:
        """Return a sheet and its file. Raises: SendError (`unknown_sheet`, `not_whole`)."""
        wanted = sheet_name(name)
        states = await self.states()
        found = next((each for each in states if each.record.sheet.name == wanted), None)
        if found is None:
            raise await self._why_unknown(name)
        sheet = found.record.sheet
        return sheet, await self.content(sheet)

    async def content(self, sheet: Sheet) -> bytes:
        """Return the file of a sheet that is known here. Raises: SendError (`not_whole`)."""
        pieces = await self._store.read(lambda conn: kept.pieces(conn, sheet.file_id))
        raw = _joined(sheet, pieces)
        if raw is None:
            if len(pieces) == sheet.chunk_count:
                await self._store.write(lambda tx: self._fetch_again(tx, sheet))
            raise SendError("not_whole", f"sheet '{sheet.name}' has not come whole yet")
        return raw

    async def _why_unknown(self, name: str) -> SendError:
        held = await self._store.read(kept.catalogue)
        if sheet_id_of(sheet_name(name)) in held.retracted:
            return SendError(
                "retracted", f"sheet '{sheet_name(name)}' was retracted: do not use it"
            )
        return unknown_sheet(name)

    def _fetch_again(self, tx: Transaction, sheet: Sheet) -> None:
        """The disk damaged a sheet, or somebody lied: the bundles that are held bring it again."""
        kept.forget_pieces(tx, sheet.file_id)
        self._metrics.count("sheets_damaged")
        self._look_again(tx)


def _joined(sheet: Sheet, pieces: Mapping[int, bytes | None]) -> bytes | None:
    """Return the whole file, None if a piece is missing or it is not what was told of."""
    parts = [pieces.get(number) for number in range(sheet.chunk_count)]
    raw = b"".join(part for part in parts if part is not None)
    return raw if hashlib.sha256(raw).digest() == sheet.content_hash else None
