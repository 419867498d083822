"""Shows, checks and exports the audit log, and checks a log that another device exported.

Showing works on a locked device too: a technician in the field must see why a peer was refused.
What leaves the device is sealed to those who may read it. Source: security 2.14, wire-format 9.4.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from meshnode.audit import Audit
from meshnode.files import writing_private
from meshnode.runtime import Runtime
from meshnode.stick import StickError
from meshnode.store import audit as rows
from meshnode.store import bundles
from meshnode.store.engine import Connection, Store
from meshnode.store.evidence import list_evidence
from meshnode.store.records import EvidenceRecord
from protocol import audit
from protocol.audit import AuditEntry, AuditHead, AuditLog, AuditReader
from protocol.bundle import decode_untrusted as decode_bundle_untrusted
from protocol.envelope import PrekeyRecord, PrekeySecret, Sealer
from protocol.errors import NoKeyError
from protocol.ids import NodeId
from protocol.limits import STICK_READ_BYTES, STICK_SLOTS_MAX, Kind
from protocol.stick import (
    PREAMBLE_BYTES,
    StickReader,
    StickWriter,
    decode_header_untrusted,
    header_bytes_untrusted,
    open_file_key,
)

__all__ = ["Auditing", "FindPrekey", "Shown", "Verified"]

FindPrekey: TypeAlias = Callable[[Connection, bytes], PrekeySecret | None]
"""Finds the secret of a prekey by its id; in the node the key ring's `own_prekey`."""

_AUDIT_FILE_BYTES_MAX = 8_000_000
"""An exported log: 20,000 entries of 130 bytes and 256 slots are 3 MB."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the log of this device says."""

    base: AuditHead
    """The entry before the oldest one kept."""
    head: AuditHead
    """The newest entry."""
    entries: tuple[AuditEntry, ...]
    """The newest ones, in order."""
    evidence: tuple[EvidenceRecord, ...]
    """Proofs that somebody signed two things under one name."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A log whose chain is whole."""

    node: NodeId
    """Whose it is."""
    entries: int
    """How many there are."""
    head: AuditHead
    """Where it ends."""
    known: AuditHead | None
    """The head that its device sent last, as far as it is held here; None where none is."""


class Auditing:
    """What people may ask of the audit log."""

    def __init__(self, node: NodeId, store: Store, runtime: Runtime, log: Audit) -> None:
        self._node = node
        self._store = store
        self._runtime = runtime
        self._log = log

    async def show(self, limit: int) -> Shown:
        """Return the newest entries, with all that was noted so far. Raises: StoreError."""
        await self._log.flush()
        return await self._store.read(
            lambda conn: Shown(
                rows.audit_base(conn),
                rows.audit_head(conn),
                tuple(rows.audit_recent(conn, limit)),
                tuple(list_evidence(conn)),
            )
        )

    async def verify(self) -> Verified:
        """Check this device's own log. Raises: TamperedError, StoreError."""
        await self._log.flush()
        log, known = await self._store.read(
            lambda conn: (self._whole(conn), self._known(conn, self._node))
        )
        return _verified(log, known)

    async def export(
        self, path: Path, recipients: Mapping[NodeId, PrekeyRecord], sealer: Sealer
    ) -> int:
        """Write the log into a file that only `recipients` can open; return how many entries.

        Raises: StickError, WeakKeyError, StoreError.
        """
        if not recipients or len(recipients) > STICK_SLOTS_MAX:
            raise StickError(f"a file is for 1 to {STICK_SLOTS_MAX} devices whose key is known")
        self._log.note("audit_exported")
        await self._log.flush()
        log = await self._store.read(self._whole)
        writer = StickWriter(list(recipients.values()), sealer, self._runtime.entropy)
        try:
            await self._runtime.run_blocking(_write, path, writer, log)
        except OSError as error:
            raise StickError(f"cannot write {path}: {error.strerror}") from error
        return len(log.entries)

    async def verify_file(self, path: Path, find_prekey: FindPrekey, sealer: Sealer) -> Verified:
        """Check a log that was exported for this device, against the head held of its device.

        Raises: NoKeyError if it is for others; MalformedError, LimitExceededError or TamperedError
        if it was cut or changed; StickError if it cannot be read; StoreError.
        """
        try:
            raw = await self._runtime.run_blocking(_read_bounded, path)
        except OSError as error:
            raise StickError(f"cannot read {path}: {error.strerror}") from error
        log = await self._opened_untrusted(raw, find_prekey, sealer)
        known = await self._store.read(lambda conn: self._known(conn, NodeId(log.node)))
        return _verified(log, known)

    async def _opened_untrusted(
        self, raw: bytes, find_prekey: FindPrekey, sealer: Sealer
    ) -> AuditLog:
        length = header_bytes_untrusted(raw[:PREAMBLE_BYTES])
        header = decode_header_untrusted(raw[PREAMBLE_BYTES : PREAMBLE_BYTES + length])

        def find(conn: Connection) -> PrekeySecret | None:
            found = (find_prekey(conn, slot.prekey_id) for slot in header.slots)
            return next((secret for secret in found if secret is not None), None)

        secret = await self._store.read(find)
        if secret is None:
            raise NoKeyError("this file is not sealed to this device, or its key was erased")
        chunks = StickReader(header, open_file_key(header, secret, sealer))
        log = AuditReader()
        for plain in chunks.feed_untrusted(raw[PREAMBLE_BYTES + length :]):
            log.feed_untrusted(plain)
        log.feed_untrusted(chunks.finish_untrusted())
        return log.finish_untrusted()

    def _whole(self, conn: Connection) -> AuditLog:
        return AuditLog(self._node, rows.audit_base(conn), tuple(rows.audit_entries(conn)))

    def _known(self, conn: Connection, node: NodeId) -> AuditHead | None:
        """Return the head that `node` sent last, if it is held here and whole."""
        held = [each for each in bundles.by_kind(conn, Kind.AUDIT_HEAD) if each.author == node]
        if not held:
            return None
        newest = max(held, key=lambda each: each.hlc)
        found = bundles.raw_many(conn, [newest.short_id]).get(newest.short_id)
        if found is None:
            return None
        return audit.decode_head_untrusted(decode_bundle_untrusted(found[0]).body)


def _verified(log: AuditLog, known: AuditHead | None) -> Verified:
    audit.verify(log.base, log.entries)
    if known is not None:
        audit.check_head(log, known)
    return Verified(NodeId(log.node), len(log.entries), log.head, known)


def _write(path: Path, writer: StickWriter, log: AuditLog) -> None:
    with writing_private(path) as file:
        file.writelines(_sealed(writer, log))


def _sealed(writer: StickWriter, log: AuditLog) -> Iterator[bytes]:
    yield writer.preamble
    for piece in audit.encode_log(log):
        yield from writer.feed(piece)
    yield writer.finish()


def _read_bounded(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        raw = bytearray()
        while piece := os.read(descriptor, STICK_READ_BYTES):
            raw += piece
            if len(raw) > _AUDIT_FILE_BYTES_MAX:
                raise StickError(f"{path} is larger than any audit log")
        return bytes(raw)
    finally:
        os.close(descriptor)
