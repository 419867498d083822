"""The answer to "what do you hold about me, and until when": one record, signed by the device.

It counts and dates; it holds no text, no name and no position, so that it can be handed to whoever
asks. Source: security 2.10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature

from meshnode.outside_files import open_picked
from meshnode.store.purging import RULES, Holding
from meshnode.vault.kinds import DataKind
from protocol.bundle import load_public_key
from protocol.canonical import (
    Value,
    as_array,
    as_bytes,
    as_text,
    as_uint,
    decode_untrusted,
    encode,
)
from protocol.errors import AuthenticationError, MalformedError, MeshError, RemoteProtocolError
from protocol.ids import NodeId, print_node_id

__all__ = [
    "HoldingsError",
    "HoldingsReport",
    "Line",
    "claimed_node_untrusted",
    "read_signed_untrusted",
    "report_of",
    "sign",
    "verified",
]

_VERSION: Final = 1
_DOMAIN: Final = b"meshnode holdings 1\0"
_BYTES_MAX: Final = 16_384
_LINES_MAX: Final = 64
_RULE_BYTES_MAX: Final = 200


class HoldingsError(MeshError):
    """A signed answer that proves nothing here; `reason` is one stable word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Line:
    """What is held of one kind, and until when."""

    kind: DataKind
    """Which kind."""
    rule: str
    """How long it is kept."""
    count: int
    """Items."""
    oldest_ms: int
    """Age of the oldest, Unix milliseconds; 0 where there is none."""
    last_purge_ms: int
    """When a purge looked at it last, Unix milliseconds; 0 before the first."""
    next_purge_ms: int
    """When a purge takes something next, Unix milliseconds; 0 where nothing ends by time."""
    purged_rows: int
    """Items that purges have taken."""
    dropped_keys: int
    """Keys of whole days that went with them."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "kind": self.kind.name.lower(),
            "tier": self.kind.tier.name.lower(),
            "rule": self.rule,
            "count": self.count,
            "oldest_ms": self.oldest_ms,
            "last_purge_ms": self.last_purge_ms,
            "next_purge_ms": self.next_purge_ms,
            "purged_rows": self.purged_rows,
            "dropped_keys": self.dropped_keys,
        }


@dataclass(frozen=True, slots=True)
class HoldingsReport:
    """All that one device holds, by kind."""

    node: NodeId
    """Whose device, 16 bytes."""
    at_ms: int
    """When it was asked, Unix milliseconds."""
    lines: tuple[Line, ...]
    """One for each kind."""

    def encode(self) -> bytes:
        """Return the canonical record."""
        lines: list[Value] = [_fields(line) for line in self.lines]
        return encode([_VERSION, self.node, self.at_ms, lines])

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        lines = [line.as_json() for line in self.lines]
        return {"node": print_node_id(self.node), "at_ms": self.at_ms, "held": lines}


def report_of(node: NodeId, at_ms: int, found: Sequence[Holding]) -> HoldingsReport:
    """Return the report on what a store holds."""
    lines = tuple(
        Line(
            each.kind,
            RULES[each.kind].sentence,
            each.count,
            each.oldest_ms,
            each.last_purge_ms,
            each.next_purge_ms,
            each.purged_rows,
            each.dropped_keys,
        )
        for each in found
    )
    return HoldingsReport(node, at_ms, lines)


def sign(report: HoldingsReport, signer: Callable[[bytes], bytes]) -> bytes:
    """Return the report with the signature of the badge. Raises: LockedError."""
    record = report.encode()
    return encode([record, signer(_DOMAIN + record)])


def verified(path: Path, key_of: Callable[[NodeId], bytes | None]) -> HoldingsReport:
    """Return the report in a file, once the badge of the device that it is about has signed it.

    `key_of` finds the public key of a device that is known here. Raises: HoldingsError, OSError.
    """
    with open_picked(path) as file:
        raw = file.read(_BYTES_MAX + 1)
    try:
        key = key_of(claimed_node_untrusted(raw))
        # With the key of the device that it names: nobody signs in another's name.
        if key is not None:
            return read_signed_untrusted(raw, key)
    except AuthenticationError as error:
        raise HoldingsError(
            "forged", "this answer was changed, or another device signed it: have it written anew"
        ) from error
    except RemoteProtocolError as error:
        raise HoldingsError(
            "damaged", "this file is no whole answer of 'meshnode held --signed': bring it again"
        ) from error
    raise HoldingsError(
        "stranger",
        "no roster here names the device of this answer: import the newest rosters, or verify it "
        "at the centre",
    )


def claimed_node_untrusted(raw: bytes) -> NodeId:
    """Return the device that a signed report says it is about; nothing proves it yet.

    Raises: MalformedError, LimitExceededError.
    """
    record, _signature = _parts_untrusted(raw)
    return _decode_untrusted(record).node


def _parts_untrusted(raw: bytes) -> tuple[bytes, bytes]:
    parts = as_array(decode_untrusted(raw, max_bytes=_BYTES_MAX), "signed report", 2)
    return as_bytes(parts[0], "report", _BYTES_MAX, 1), as_bytes(parts[1], "sig", 64)


def read_signed_untrusted(raw: bytes, public_key: bytes) -> HoldingsReport:
    """Return the report that the holder of a badge has signed.

    Raises: MalformedError, LimitExceededError; AuthenticationError for another hand;
    WeakKeyError.
    """
    record, signature = _parts_untrusted(raw)
    try:
        load_public_key(public_key).verify(signature, _DOMAIN + record)
    except InvalidSignature as error:
        raise AuthenticationError("this report was not signed by that badge") from error
    return _decode_untrusted(record)


def _decode_untrusted(record: bytes) -> HoldingsReport:
    parts = as_array(decode_untrusted(record, max_bytes=_BYTES_MAX), "report", 4)
    as_uint(parts[0], "version of the report", _VERSION, _VERSION)
    lines = as_array(parts[3], "kinds", _LINES_MAX, 0)
    return HoldingsReport(
        NodeId(as_bytes(parts[1], "node", 16)),
        as_uint(parts[2], "time of the report"),
        tuple(_line_untrusted(each) for each in lines),
    )


def _fields(line: Line) -> Value:
    return [
        int(line.kind),
        line.rule.encode(),
        line.count,
        line.oldest_ms,
        line.last_purge_ms,
        line.next_purge_ms,
        line.purged_rows,
        line.dropped_keys,
    ]


def _line_untrusted(value: Value) -> Line:
    fields = as_array(value, "kind", 8)
    number = as_uint(fields[0], "kind of data")
    try:
        kind = DataKind(number)
    except ValueError as error:
        raise MalformedError("unknown kind of data") from error
    rule = as_text(fields[1], "rule", _RULE_BYTES_MAX)
    return Line(kind, rule, *(as_uint(each, "figure") for each in fields[2:]))
