"""The purge log: what was destroyed, given out or answered; signed and chained, pure.

Each entry names the hash of the one before, so that none can be changed, left out or put between;
the badge of the gateway that did it signs the hash. Whether the end was cut off is told by the
head that each gateway remembers outside the archive. Source: decision 55.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from meshnode.errors import ArchiveTamperedError
from meshnode.vault.kinds import day_of
from protocol.canonical import (
    Value,
    as_array,
    as_bytes,
    as_text,
    as_uint,
    decode_untrusted,
    encode,
)
from protocol.errors import AuthenticationError, RemoteProtocolError
from protocol.ids import NodeId

__all__ = [
    "ENTRY_BYTES_MAX",
    "Action",
    "Entry",
    "Head",
    "Signed",
    "late_days",
    "make",
    "newest",
    "verify",
]

_VERSION: Final = 1
_DOMAIN: Final = b"meshnode purge log 1\0"
ENTRY_BYTES_MAX: Final = 4_096
_FIELDS_MAX: Final = 64
_FIELD_BYTES_MAX: Final = 512
_HASH_BYTES: Final = 32
_EMPTY: Final = bytes(_HASH_BYTES)


class Action(StrEnum):
    """What was done."""

    PURGE = "purge"
    """Keys of a class were destroyed up to a day, and their rows with them."""
    TERMS = "terms"
    """Another number of days was set for a class."""
    EXPORT = "export"
    """Content was written into a file for somebody."""
    ANSWER = "answer"
    """Somebody was told what is held about a device."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry."""

    number: int
    """Counts from 1."""
    before: bytes
    """Hash of the entry before, 32 bytes; zeros for the first."""
    at_ms: int
    """When, Unix milliseconds by the gateway's clock."""
    gateway: NodeId
    """Who did it, 16 bytes."""
    action: Action
    """What."""
    details: tuple[tuple[str, str], ...]
    """Names and values for people, in order; no content, at most 64."""

    def encode(self) -> bytes:
        """Return the canonical record."""
        details: list[Value] = [[name.encode(), value.encode()] for name, value in self.details]
        action = str(self.action).encode()
        return encode(
            [_VERSION, self.number, self.before, self.at_ms, self.gateway, action, details]
        )


@dataclass(frozen=True, slots=True)
class Head:
    """Where a log ends."""

    number: int = 0
    """Of the last entry; 0 for an empty log."""
    hash: bytes = _EMPTY
    """Of the last entry, 32 bytes."""


@dataclass(frozen=True, slots=True)
class Signed:
    """One entry as it is kept."""

    number: int
    """By which it is found."""
    body: bytes
    """The record."""
    hash: bytes
    """Of the record."""
    signature: bytes
    """Of its gateway's badge over the hash, 64 bytes."""


def make(entry: Entry, signer: Callable[[bytes], bytes]) -> Signed:
    """Return an entry, signed. Raises: LockedError."""
    body = entry.encode()
    found = _hash(body)
    return Signed(entry.number, body, found, signer(_DOMAIN + found))


def verify(
    log: Iterable[Signed],
    check: Callable[[NodeId, bytes, bytes], None],
    known: Sequence[Head] = (),
    is_named: Callable[[NodeId], bool] = lambda _gateway: True,
) -> tuple[list[Entry], Head]:
    """Return the entries of a whole log and its head.

    `check` gets a gateway, a message and a signature, and raises AuthenticationError where it is
    not by that gateway; `known` are heads that the log must have had. A gateway that is not named
    any more can be checked no more: what it wrote holds where a known head, or a later entry by a
    gateway that is named, stands behind it.
    Raises: ArchiveTamperedError, which names the first entry that is wrong.
    """
    entries, head, hashes = list[Entry](), Head(), {0: _EMPTY}
    vouched = max((told.number for told in known), default=0)
    unsure: int | None = None
    for each in log:
        entry = _read(each, head)
        if is_named(entry.gateway):
            _check(each, entry, check)
            unsure = None
        elif each.number > vouched and unsure is None:
            unsure = each.number
        entries.append(entry)
        head = Head(each.number, each.hash)
        hashes[each.number] = each.hash
    for told in known:
        if told.number > head.number:
            raise ArchiveTamperedError(
                f"the purge log was cut off: it ends at no. {head.number}, "
                f"and no. {told.number} was written"
            )
        if hashes[told.number] != told.hash:
            raise ArchiveTamperedError(
                f"the purge log was changed: no. {told.number} is another than was written"
            )
    if unsure is not None:
        raise ArchiveTamperedError(
            f"the purge log cannot be checked: no. {unsure} is by a gateway that no roster names"
        )
    return entries, head


def _check(signed: Signed, entry: Entry, check: Callable[[NodeId, bytes, bytes], None]) -> None:
    try:
        check(entry.gateway, _DOMAIN + signed.hash, signed.signature)
    except AuthenticationError as error:
        raise ArchiveTamperedError(
            f"the purge log was changed: no. {signed.number} is not signed by its gateway"
        ) from error


def newest(log: Sequence[Signed], action: Action) -> Entry | None:
    """Return the last entry of an action as it stands there, checked or not; None for none."""
    for each in reversed(log):
        try:
            entry = _decode(each.body)
        except (RemoteProtocolError, ValueError):
            continue
        if entry.action is action:
            return entry
    return None


def late_days(entries: Iterable[Entry]) -> dict[int, int]:
    """Return how many days after its term the oldest day of each purge was destroyed, by number.

    0 is in time. A term that was shortened counts from the day on which that was noted; an entry
    with no terms before it is left out.
    """
    found, terms = dict[int, int](), dict[str, tuple[int, int]]()
    for entry in entries:
        details, day = dict(entry.details), day_of(entry.at_ms)
        if entry.action is Action.TERMS:
            for data_class, days in details.items():
                terms[data_class] = int(days), day
        elif entry.action is Action.PURGE and details.get("class") in terms:
            kept, since = terms[details["class"]]
            due = max(int(details.get("first_day", day)) + kept + 1, since)
            found[entry.number] = max(0, day - due)
    return found


def _read(signed: Signed, before: Head) -> Entry:
    if signed.number != before.number + 1:
        raise ArchiveTamperedError(f"the purge log was changed: no. {before.number + 1} is missing")
    if _hash(signed.body) != signed.hash:
        raise ArchiveTamperedError(f"the purge log was changed: no. {signed.number} was changed")
    try:
        entry = _decode(signed.body)
    except (RemoteProtocolError, ValueError) as error:
        raise ArchiveTamperedError(
            f"the purge log was changed: no. {signed.number} cannot be read"
        ) from error
    if entry.number != signed.number or entry.before != before.hash:
        raise ArchiveTamperedError(
            f"the purge log was changed: no. {signed.number} does not follow the one before"
        )
    return entry


def _decode(body: bytes) -> Entry:
    fields = as_array(decode_untrusted(body, max_bytes=ENTRY_BYTES_MAX), "entry", 7)
    as_uint(fields[0], "version of the entry", _VERSION, _VERSION)
    details = []
    for each in as_array(fields[6], "details", _FIELDS_MAX, 0):
        name, value = as_array(each, "detail", 2)
        details.append(
            (
                as_text(name, "name", _FIELD_BYTES_MAX),
                as_text(value, "value", _FIELD_BYTES_MAX),
            )
        )
    return Entry(
        as_uint(fields[1], "number"),
        as_bytes(fields[2], "hash before", _HASH_BYTES),
        as_uint(fields[3], "time"),
        NodeId(as_bytes(fields[4], "gateway", 16)),
        Action(as_text(fields[5], "action", _FIELD_BYTES_MAX)),
        tuple(details),
    )


def _hash(body: bytes) -> bytes:
    return hashlib.sha256(_DOMAIN + body).digest()
