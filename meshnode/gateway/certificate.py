"""The answer to "what does the archive hold about me, and until when", signed by the gateway.

It counts and dates; it holds no text, name or place, so that it can be handed to whoever asks.
Source: decision 55.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from meshnode.gateway.archive.records import Held
from meshnode.retention import RETENTION, DataClass, Terms
from meshnode.vault.kinds import DAY_MS
from protocol.canonical import (
    Value,
    as_array,
    as_bytes,
    as_text,
    as_uint,
    decode_untrusted,
    encode,
)
from protocol.errors import MalformedError
from protocol.ids import NodeId, print_node_id

__all__ = ["Certificate", "ClaimedCertificate", "Line", "certificate_untrusted", "line_of", "sign"]

_VERSION: Final = 1
_DOMAIN: Final = b"meshnode archive answer 1\0"
_BYTES_MAX: Final = 16_384
_LINES_MAX: Final = 32
_TEXT_BYTES_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Line:
    """What is held of one class about one device."""

    data_class: DataClass
    """Which class."""
    bundles: int
    """Containers that the device signed."""
    contents: int
    """Those of them, and positions, that the centre could open."""
    oldest_ms: int
    """Day of the oldest, Unix milliseconds; 0 where there is none."""
    next_purge_ms: int
    """When the oldest is destroyed by the terms of now, Unix milliseconds; 0 for none."""
    days: int
    """How long the class is kept."""
    reason: str
    """Why."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "class": str(self.data_class),
            "bundles": self.bundles,
            "contents": self.contents,
            "oldest_ms": self.oldest_ms,
            "next_purge_ms": self.next_purge_ms,
            "days": self.days,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Certificate:
    """All that an archive holds about one device."""

    gateway: NodeId
    """Who answers, 16 bytes."""
    device: NodeId
    """Whom it is about, 16 bytes."""
    at_ms: int
    """When it was asked, Unix milliseconds."""
    lines: tuple[Line, ...]
    """One for each class."""

    def encode(self) -> bytes:
        """Return the canonical record."""
        lines: list[Value] = [
            [
                str(each.data_class).encode(),
                each.bundles,
                each.contents,
                each.oldest_ms,
                each.next_purge_ms,
                each.days,
                each.reason.encode(),
            ]
            for each in self.lines
        ]
        return encode([_VERSION, self.gateway, self.device, self.at_ms, lines])

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "gateway": print_node_id(self.gateway),
            "device": print_node_id(self.device),
            "at_ms": self.at_ms,
            "held": [each.as_json() for each in self.lines],
        }


def line_of(held: Held, terms: Terms) -> Line:
    """Return what a certificate says of one class."""
    days, day = terms[held.data_class], held.oldest_day
    return Line(
        held.data_class,
        held.bundles,
        held.contents,
        0 if day is None else day * DAY_MS,
        0 if day is None else (day + days + 1) * DAY_MS,
        days,
        RETENTION[held.data_class].reason,
    )


def sign(found: Certificate, signer: Callable[[bytes], bytes]) -> bytes:
    """Return the certificate as a file. Raises: LockedError."""
    record = found.encode()
    return encode([record, signer(_DOMAIN + record)])


@dataclass(frozen=True, slots=True)
class ClaimedCertificate:
    """A certificate as a file claims it."""

    certificate: Certificate
    """What it says."""
    message: bytes
    """What its gateway must have signed."""
    signature: bytes
    """64 bytes."""


def certificate_untrusted(raw: bytes) -> ClaimedCertificate:
    """Return what a file says; nothing proves it yet.

    Raises: MalformedError, LimitExceededError.
    """
    parts = as_array(decode_untrusted(raw, max_bytes=_BYTES_MAX), "signed answer", 2)
    record = as_bytes(parts[0], "answer", _BYTES_MAX, 1)
    fields = as_array(decode_untrusted(record, max_bytes=_BYTES_MAX), "answer", 5)
    as_uint(fields[0], "version of the answer", _VERSION, _VERSION)
    lines: Sequence[Value] = as_array(fields[4], "classes", _LINES_MAX, 0)
    found = Certificate(
        NodeId(as_bytes(fields[1], "gateway", 16)),
        NodeId(as_bytes(fields[2], "device", 16)),
        as_uint(fields[3], "time"),
        tuple(_line_untrusted(each) for each in lines),
    )
    return ClaimedCertificate(found, _DOMAIN + record, as_bytes(parts[1], "signature", 64))


def _line_untrusted(value: Value) -> Line:
    fields = as_array(value, "class", 7)
    try:
        data_class = DataClass(as_text(fields[0], "class", _TEXT_BYTES_MAX))
    except ValueError as error:
        raise MalformedError("unknown data class") from error
    figures = [as_uint(each, "figure") for each in fields[1:6]]
    reason = as_text(fields[6], "reason", _TEXT_BYTES_MAX)
    return Line(data_class, figures[0], figures[1], figures[2], figures[3], figures[4], reason)
