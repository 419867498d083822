"""The audit log of a device: entries chained by hashes, the head that the centre gets, the export.

An entry says what happened, how often and about which device: no content, position or name. Each
hash covers the one before, so no entry can be changed or taken out without changing all later
ones; that the end was not cut off shows against the head that was sent. Source: security 2.14,
wire-format 4.17 and 9.4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from protocol import canonical
from protocol.errors import MalformedError, TamperedError
from protocol.guards import AUDIT_ROWS_MAX

__all__ = [
    "ORIGIN",
    "AuditEntry",
    "AuditHead",
    "AuditLog",
    "AuditReader",
    "chained",
    "check_head",
    "decode_head_untrusted",
    "encode_head",
    "encode_log",
    "verify",
]

_DOMAIN: Final = b"meshnode audit 1\0"
_VERSION: Final = 1
_HEAD_BYTES_MAX: Final = 64
_EVENT_BYTES_MAX: Final = 64
_RECORD_BYTES_MAX: Final = 256
_MAGIC: Final = b"MESHAUD1"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that happened, as often as it did."""

    number: int
    """From 1, without gaps."""
    at_ms: int
    """When it was first noted, Unix milliseconds of the device's clock."""
    event: str
    """One stable word, up to 64 bytes."""
    node: bytes
    """The device it is about, 16 bytes; empty where none is known."""
    count: int
    """How often, at least 1."""
    hash: bytes
    """32 bytes over the hash before and all of the above."""


@dataclass(frozen=True, slots=True)
class AuditHead:
    """How far a log reaches."""

    number: int
    """Of the last entry; 0 where there is none."""
    hash: bytes
    """Its hash, 32 bytes."""


ORIGIN: Final = AuditHead(0, bytes(32))
"""What the first entry of a log follows."""


@dataclass(frozen=True, slots=True)
class AuditLog:
    """The log of one device, or what is left of it."""

    node: bytes
    """Whose log it is, 16 bytes."""
    base: AuditHead
    """The entry before the first one; older ones were let go."""
    entries: tuple[AuditEntry, ...]
    """In order."""

    @property
    def head(self) -> AuditHead:
        """The end of the log."""
        if not self.entries:
            return self.base
        last = self.entries[-1]
        return AuditHead(last.number, last.hash)


def chained(before: AuditHead, at_ms: int, event: str, node: bytes, count: int) -> AuditEntry:
    """Return the entry that follows `before`."""
    number = before.number + 1
    record = canonical.encode((number, at_ms, event.encode(), node, count))
    digest = hashlib.sha256(_DOMAIN + before.hash + record).digest()
    return AuditEntry(number, at_ms, event, node, count, digest)


def verify(base: AuditHead, entries: Sequence[AuditEntry]) -> AuditHead:
    """Return the head of a chain that is whole. Raises: TamperedError that names the first break.

    Cost: 2 µs per entry.
    """
    head = base
    for each in entries:
        wanted = chained(head, each.at_ms, each.event, each.node, each.count)
        if wanted != each:
            raise TamperedError(f"the audit log is broken at entry {head.number + 1}")
        head = AuditHead(each.number, each.hash)
    return head


def check_head(log: AuditLog, head: AuditHead) -> None:
    """Check a verified log against a head that its device sent earlier.

    Raises: TamperedError where the log ends before that head, or has another entry there. A head
    that is older than all that is left proves nothing, and is passed over.
    """
    if head.number > log.head.number:
        raise TamperedError(
            f"the audit log was cut: it ends at entry {log.head.number}, the centre knows entry "
            f"{head.number}"
        )
    if head.number < log.base.number:
        return
    known = log.base.hash
    if head.number > log.base.number:
        known = log.entries[head.number - log.base.number - 1].hash
    if known != head.hash:
        raise TamperedError(f"entry {head.number} of the audit log is not the one it was")


# --- the head in a bundle ----------------------------------------------------------------------


def encode_head(head: AuditHead) -> bytes:
    """Return the body of a bundle of kind AUDIT_HEAD."""
    return canonical.encode((_VERSION, head.number, head.hash))


def decode_head_untrusted(body: bytes) -> AuditHead:
    """Read the body of a bundle of kind AUDIT_HEAD. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(body, max_bytes=_HEAD_BYTES_MAX)
    version, number, digest = canonical.as_array(value, "audit head", 3)
    canonical.as_uint(version, "audit head version", _VERSION, _VERSION)
    return AuditHead(
        canonical.as_uint(number, "audit entry number", minimum=1),
        canonical.as_bytes(digest, "audit hash", 32),
    )


# --- the export --------------------------------------------------------------------------------


def encode_log(log: AuditLog) -> Iterator[bytes]:
    """Yield the content of an exported log, piece by piece."""
    opening = canonical.encode((_VERSION, log.node, log.base.number, log.base.hash))
    yield _MAGIC + _framed(opening)
    for each in log.entries:
        fields = (each.number, each.at_ms, each.event.encode(), each.node, each.count, each.hash)
        yield _framed(canonical.encode(fields))


def _framed(record: bytes) -> bytes:
    return len(record).to_bytes(2, "big") + record


class AuditReader:
    """Puts an exported log together from its content; holds at most `AUDIT_ROWS_MAX` entries."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._opening: tuple[bytes, AuditHead] | None = None
        self._entries: list[AuditEntry] = []
        self._is_begun = False

    def feed_untrusted(self, content: bytes) -> None:
        """Take the next piece. Raises: MalformedError, LimitExceededError."""
        self._buffer += content
        if not self._is_begun:
            if len(self._buffer) < len(_MAGIC):
                return
            if self._buffer[: len(_MAGIC)] != _MAGIC:
                raise MalformedError("this file holds no audit log")
            del self._buffer[: len(_MAGIC)]
            self._is_begun = True
        while (record := self._next_untrusted()) is not None:
            self._take_untrusted(record)

    def _next_untrusted(self) -> bytes | None:
        if len(self._buffer) < 2:
            return None
        length = int.from_bytes(self._buffer[:2], "big")
        if length > _RECORD_BYTES_MAX:
            raise MalformedError("an entry of the audit log is too long")
        if len(self._buffer) < 2 + length:
            return None
        record = bytes(self._buffer[2 : 2 + length])
        del self._buffer[: 2 + length]
        return record

    def _take_untrusted(self, record: bytes) -> None:
        value = canonical.decode_untrusted(record, max_bytes=_RECORD_BYTES_MAX)
        if self._opening is None:
            version, node, number, digest = canonical.as_array(value, "audit log", 4)
            canonical.as_uint(version, "audit log version", _VERSION, _VERSION)
            base = AuditHead(
                canonical.as_uint(number, "audit entry number"),
                canonical.as_bytes(digest, "audit hash", 32),
            )
            self._opening = canonical.as_bytes(node, "audit node", 16), base
            return
        if len(self._entries) >= AUDIT_ROWS_MAX:
            raise MalformedError("an audit log has more entries than any device keeps")
        self._entries.append(_entry_untrusted(value))

    def finish_untrusted(self) -> AuditLog:
        """Return the log, its chain checked. Raises: MalformedError, TamperedError."""
        if self._opening is None or self._buffer:
            raise MalformedError("the audit log is not whole")
        node, base = self._opening
        verify(base, self._entries)
        return AuditLog(node, base, tuple(self._entries))


def _entry_untrusted(value: canonical.Value) -> AuditEntry:
    number, at_ms, event, node, count, digest = canonical.as_array(value, "audit entry", 6)
    found = canonical.as_bytes(node, "audit node", 16, 0)
    if len(found) not in (0, 16):
        raise MalformedError("a device of the audit log has 16 bytes or none")
    return AuditEntry(
        canonical.as_uint(number, "audit entry number", minimum=1),
        canonical.as_uint(at_ms, "audit time", 2**48 - 1),
        canonical.as_text(event, "audit event", _EVENT_BYTES_MAX),
        found,
        canonical.as_uint(count, "audit count", 2**48 - 1, 1),
        canonical.as_bytes(digest, "audit hash", 32),
    )
