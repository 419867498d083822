"""What the centre orders: revocations, wipes and beacons, as the bodies of their documents.

Bodies only; the signed form around them and the rules of acceptance are in `protocol.authority`,
what a device does about them is the node's. Source: wire-format 7.8-7.10, security 2.9.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from protocol.canonical import Value, as_array, as_bytes, as_uint, decode_untrusted, encode
from protocol.errors import MalformedError
from protocol.guards import REVOCATIONS_MAX, WIPE_DEVICES_MAX
from protocol.ids import NodeId
from protocol.limits import DOCUMENT_BYTES_MAX

__all__ = [
    "ORDER_ID_BYTES",
    "BeaconBody",
    "Revocation",
    "RevocationBody",
    "WipeBody",
    "WipeLevel",
    "beacon_scope",
    "decode_beacon_untrusted",
    "decode_revocation_untrusted",
    "decode_wipe_untrusted",
    "is_grown",
    "issuer_id",
    "united",
]

ORDER_ID_BYTES = 8
"""Length of the id of a wipe order, which is the scope of its document."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """One device, or one issuer of badges, that is trusted no longer."""

    subject: bytes
    """Node id, or `issuer_id`; 16 bytes."""
    since_ms: int
    """When it was last surely in good hands, Unix milliseconds; decides nothing."""
    incarnation: int
    """Incarnation of its last good bundle, 32 bits; 0 if none is known."""
    last_seq: int
    """Number of its last good bundle in that incarnation; 0 if none is known."""

    @property
    def good(self) -> tuple[int, int]:
        """Incarnation and number of the last good bundle."""
        return self.incarnation, self.last_seq

    def is_good(self, incarnation: int, seq: int) -> bool:
        """True if the bundle with these numbers, from 1 on, was written before it went astray."""
        return incarnation == self.incarnation and 0 < seq <= self.last_seq

    def and_also(self, other: Revocation) -> Revocation:
        """Return the entry that calls good what both call good; `other` has the same subject."""
        since_ms = min(self.since_ms, other.since_ms)
        if self.incarnation != other.incarnation:
            return Revocation(self.subject, since_ms, 0, 0)
        last_seq = min(self.last_seq, other.last_seq)
        return Revocation(self.subject, since_ms, self.incarnation, last_seq)

    def record(self) -> Value:
        """Return the canonical entry."""
        return [self.subject, self.since_ms, self.incarnation, self.last_seq]


@dataclass(frozen=True, slots=True)
class RevocationBody:
    """Everything that one signer has revoked; always the whole list. Source: wire-format 7.8."""

    entries: tuple[Revocation, ...]
    """At most `REVOCATIONS_MAX`, ascending by subject."""

    def encode(self) -> bytes:
        """Return the canonical body."""
        return encode([[entry.record() for entry in self.entries]])


class WipeLevel(IntEnum):
    """How much a wipe order destroys. Source: wire-format 7.9."""

    AGENT = 1
    """What needs the agent's secret: content and the right to speak; the device relays on."""
    ALL = 2
    """Everything but the order and the proof."""


@dataclass(frozen=True, slots=True)
class WipeBody:
    """Devices that shall destroy their keys. Source: wire-format 7.9."""

    level: WipeLevel
    """How much."""
    devices: tuple[NodeId, ...]
    """1 to `WIPE_DEVICES_MAX`, ascending; there is no way to name all."""

    def encode(self) -> bytes:
        """Return the canonical body."""
        return encode([self.level.value, self.devices])


@dataclass(frozen=True, slots=True)
class BeaconBody:
    """A sign of life of the centre of a zone; its time is that of the document around it.

    Source: wire-format 7.10.
    """

    zone: int
    """1-65535."""
    documents_digest: bytes
    """8 bytes, as in HELLO: what the centre held of root, rosters and revocations."""

    @property
    def scope(self) -> bytes:
        """The scope of the document around this body."""
        return beacon_scope(self.zone)

    def encode(self) -> bytes:
        """Return the canonical body."""
        return encode([self.zone, self.documents_digest])


def beacon_scope(zone: int) -> bytes:
    """Return the scope of the beacon of a zone."""
    return zone.to_bytes(2, "big")


def issuer_id(public_key_der: bytes) -> bytes:
    """Return the id under which an issuer of badges is revoked: 16 bytes of the hash of its key."""
    return hashlib.sha256(public_key_der).digest()[:16]


def united(bodies: Iterable[RevocationBody]) -> dict[bytes, Revocation]:
    """Return one entry per subject of all signers' lists.

    Where several revoke one subject all of them hold: a bundle is good only if each entry says so.
    So no signer can undo what another one has revoked.
    """
    found: dict[bytes, Revocation] = {}
    for body in bodies:
        for entry in body.entries:
            known = found.get(entry.subject)
            found[entry.subject] = entry if known is None else known.and_also(entry)
    return found


def is_grown(before: RevocationBody, after: RevocationBody) -> bool:
    """True if a list lacks nothing of the one before, and calls nothing good that it did not."""
    entries = {entry.subject: entry for entry in after.entries}
    return all(
        (entry := entries.get(old.subject)) is not None and old.and_also(entry).good == entry.good
        for old in before.entries
    )


# --- reading -----------------------------------------------------------------------------------


def decode_revocation_untrusted(body: bytes) -> RevocationBody:
    """Return the list that a document of that class has as body.

    Raises: MalformedError, LimitExceededError.
    """
    record = as_array(_record_untrusted(body), "revocation", 1)
    items = as_array(record[0], "revocations", REVOCATIONS_MAX, 0)
    entries = tuple(_entry_untrusted(item) for item in items)
    if any(first.subject >= second.subject for first, second in pairwise(entries)):
        raise MalformedError("revocations are not in ascending order")
    return RevocationBody(entries)


def _entry_untrusted(value: Value) -> Revocation:
    record = as_array(value, "revocation", 4)
    return Revocation(
        subject=as_bytes(record[0], "subject", 16),
        since_ms=as_uint(record[1], "time of the loss"),
        incarnation=as_uint(record[2], "incarnation", 0xFFFFFFFF),
        last_seq=as_uint(record[3], "last good number"),
    )


def decode_wipe_untrusted(body: bytes) -> WipeBody:
    """Return the order that a document of that class has as body.

    Raises: MalformedError, LimitExceededError.
    """
    record = as_array(_record_untrusted(body), "wipe order", 2)
    try:
        level = WipeLevel(as_uint(record[0], "level"))
    except ValueError as error:
        raise MalformedError("unknown level of a wipe order") from error
    items = as_array(record[1], "devices", WIPE_DEVICES_MAX, 1)
    devices = tuple(as_bytes(item, "device", 16) for item in items)
    if any(first >= second for first, second in pairwise(devices)):
        raise MalformedError("devices are not in ascending order")
    return WipeBody(level, devices)


def decode_beacon_untrusted(body: bytes) -> BeaconBody:
    """Return the beacon that a document of that class has as body.

    Raises: MalformedError, LimitExceededError.
    """
    record = as_array(_record_untrusted(body), "beacon", 2)
    return BeaconBody(
        zone=as_uint(record[0], "zone", 65_535, 1),
        documents_digest=as_bytes(record[1], "digest of documents", 8),
    )


def _record_untrusted(body: bytes) -> Value:
    return decode_untrusted(body, max_bytes=DOCUMENT_BYTES_MAX)
