"""Payloads of frames: records to canonical bytes and back. Source: wire-format 6.2."""

from __future__ import annotations

import hashlib
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from protocol import canonical
from protocol.errors import LimitExceededError, MalformedError, UnsupportedVersionError
from protocol.ids import ShortId
from protocol.limits import (
    ACK_REFUSALS_MAX,
    CERTIFICATE_BYTES_MAX,
    DOCUMENTS_HELD_MAX,
    FRAME_BYTES_MAX,
    IDS_PER_FRAME_MAX,
    INTERESTS_MAX,
    SKETCH_SYMBOLS,
    TrafficClass,
)
from protocol.reconcile.interest import Interest
from protocol.reports import Reception
from protocol.session.events import DocumentKey, LocalHello

__all__ = [
    "DOCUMENT_BUCKETS",
    "Ack",
    "IdList",
    "More",
    "PeerHello",
    "Summary",
    "SummaryLine",
    "Symbols",
    "bucket_of",
    "decode_ack_untrusted",
    "decode_bye_untrusted",
    "decode_digests_untrusted",
    "decode_equal_untrusted",
    "decode_hello_untrusted",
    "decode_ids_untrusted",
    "decode_list_untrusted",
    "decode_more_untrusted",
    "decode_round_untrusted",
    "decode_summary_untrusted",
    "decode_symbols_frame_untrusted",
    "decode_versions_untrusted",
    "documents_digest",
    "encode_ack",
    "encode_bye",
    "encode_digests",
    "encode_equal",
    "encode_hello",
    "encode_ids",
    "encode_list",
    "encode_more",
    "encode_round",
    "encode_summary",
    "encode_symbols_frame",
    "encode_versions",
]

_VERSION = 1
_CHAIN_MAX = 4
_ROUND_MAX = 2**32 - 1
_N_MAX = 2**32 - 1
_LINE_BYTES = 13
"""Class, n (4 bytes), set hash (8 bytes)."""


DOCUMENT_BUCKETS: Final = 64
"""Documents are compared in so many groups: of 2,000 some 30 are listed where one differs."""
_BUCKET_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class PeerHello:
    """A decoded HELLO."""

    badge_chain: tuple[bytes, ...]
    """DER, unchecked."""
    binding_signature: bytes
    """64 bytes."""
    documents_digest: bytes
    """8 bytes."""


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """One interest in a SUMMARY."""

    interest: Interest
    """Which set."""
    n: int
    """Ids in it."""
    set_hash: int
    """64 bits."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the initiator holds."""

    round: int
    """Counts from 1."""
    lines: tuple[SummaryLine, ...]
    """One per interest that holds anything."""


@dataclass(frozen=True, slots=True)
class Symbols:
    """Coded symbols of one interest."""

    round: int
    """Counts from 1."""
    interest: Interest
    """Which set."""
    n: int
    """Ids in the responder's set."""
    set_hash: int
    """64 bits."""
    first: int
    """Number of the first symbol."""
    count: int
    """Symbols in `columns`."""
    columns: bytes
    """Clause 5.5; empty where there is nothing to decode."""


@dataclass(frozen=True, slots=True)
class More:
    """The initiator asks for more symbols, or for the list."""

    round: int
    """Counts from 1."""
    interest: Interest
    """Which set."""
    first: int
    """Number of the first symbol."""
    count: int
    """0 asks for the list."""


@dataclass(frozen=True, slots=True)
class IdList:
    """A page of the responder's ids."""

    round: int
    """Counts from 1."""
    interest: Interest
    """Which set."""
    is_last: bool
    """No further page."""
    ids: array[int]
    """'Q', short ids."""


@dataclass(frozen=True, slots=True)
class Ack:
    """What became of bundles."""

    upto: int
    """All below are stored or named here."""
    refusals: tuple[tuple[int, Reception], ...]
    """(index, code), ascending."""


def documents_digest(documents: Mapping[DocumentKey, tuple[int, int]]) -> bytes:
    """Return the 8 bytes that stand for all documents and versions. Source: wire-format 6.4."""
    return hashlib.sha256(encode_versions(documents)).digest()[:8]


def bucket_of(key: DocumentKey) -> int:
    """Return in which of the 64 buckets a document is. Source: wire-format 6.5."""
    return hashlib.sha256(bytes([key[0]]) + key[1]).digest()[0] % DOCUMENT_BUCKETS


def encode_digests(documents: Mapping[DocumentKey, tuple[int, int]]) -> bytes:
    """Return the payload of DOCUMENT_DIGESTS: four bytes for each bucket of documents."""
    buckets: list[dict[DocumentKey, tuple[int, int]]] = [{} for _ in range(DOCUMENT_BUCKETS)]
    for key, version in documents.items():
        buckets[bucket_of(key)][key] = version
    return b"".join(documents_digest(each)[:_BUCKET_BYTES] for each in buckets)


def decode_digests_untrusted(payload: bytes) -> tuple[bytes, ...]:
    """Read DOCUMENT_DIGESTS. Raises: MalformedError."""
    if len(payload) != DOCUMENT_BUCKETS * _BUCKET_BYTES:
        raise MalformedError("digests of documents have the wrong length")
    starts = range(0, len(payload), _BUCKET_BYTES)
    return tuple(payload[start : start + _BUCKET_BYTES] for start in starts)


def encode_versions(documents: Mapping[DocumentKey, tuple[int, int]]) -> bytes:
    """Return the payload of DOCUMENT_VERSIONS, sorted."""
    return canonical.encode(
        [[key[0], key[1], epoch, version] for key, (epoch, version) in sorted(documents.items())]
    )


def decode_versions_untrusted(payload: bytes) -> dict[DocumentKey, tuple[int, int]]:
    """Read DOCUMENT_VERSIONS. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(payload, max_bytes=FRAME_BYTES_MAX)
    documents: dict[DocumentKey, tuple[int, int]] = {}
    last: DocumentKey | None = None
    for line in canonical.as_array(value, "documents", DOCUMENTS_HELD_MAX, 0):
        cls, scope, epoch, version = canonical.as_array(line, "document version", 4)
        key = (
            canonical.as_uint(cls, "document class", 255),
            canonical.as_bytes(scope, "document scope", 64, 0),
        )
        if last is not None and key <= last:
            raise MalformedError("versions of documents are out of order")
        last = key
        documents[key] = (
            canonical.as_uint(epoch, "epoch"),
            canonical.as_uint(version, "version"),
        )
    return documents


def encode_hello(hello: LocalHello) -> bytes:
    """Return the payload of HELLO."""
    return canonical.encode(
        (
            _VERSION,
            hello.badge_chain,
            hello.binding_signature,
            documents_digest(hello.documents),
            hello.nonce,
        )
    )


def decode_hello_untrusted(payload: bytes) -> PeerHello:
    """Read HELLO. Raises: UnsupportedVersionError, MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(payload, max_bytes=_CHAIN_MAX * CERTIFICATE_BYTES_MAX + 128)
    fields = canonical.as_array(value, "hello", 16, 1)
    version = canonical.as_uint(fields[0], "version")
    if version != _VERSION:
        raise UnsupportedVersionError("the peer's HELLO", version)
    _version, chain, signature, digest, nonce = canonical.as_array(value, "hello", 5)
    canonical.as_bytes(nonce, "nonce", 16)
    return PeerHello(
        tuple(
            canonical.as_bytes(der, "certificate", CERTIFICATE_BYTES_MAX, 1)
            for der in canonical.as_array(chain, "badge chain", _CHAIN_MAX, 1)
        ),
        canonical.as_bytes(signature, "binding signature", 64),
        canonical.as_bytes(digest, "documents digest", 8),
    )


def _interest_untrusted(zone: canonical.Value, cls: canonical.Value) -> Interest:
    number = canonical.as_uint(cls, "class", max(TrafficClass))
    return Interest(canonical.as_uint(zone, "zone", 65_535, 1), TrafficClass(number))


def _round_untrusted(value: canonical.Value) -> int:
    return canonical.as_uint(value, "round", _ROUND_MAX, 1)


def encode_summary(summary: Summary) -> bytes:
    """Return the payload of SUMMARY: 13 bytes per interest, grouped by zone."""
    zones: dict[int, bytearray] = {}
    for line in sorted(summary.lines, key=lambda line: line.interest):
        zones.setdefault(line.interest.zone, bytearray()).extend(
            bytes([line.interest.traffic_class])
            + line.n.to_bytes(4, "big")
            + line.set_hash.to_bytes(8, "big")
        )
    return canonical.encode((summary.round, [(zone, bytes(raw)) for zone, raw in zones.items()]))


def decode_summary_untrusted(payload: bytes) -> Summary:
    """Read SUMMARY. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(payload, max_bytes=(_LINE_BYTES + 8) * INTERESTS_MAX + 16)
    number, zones = canonical.as_array(value, "summary", 2)
    lines: list[SummaryLine] = []
    for group in canonical.as_array(zones, "zones", INTERESTS_MAX, 0):
        zone, raw = canonical.as_array(group, "zone", 2)
        packed = canonical.as_bytes(raw, "lines", _LINE_BYTES * len(TrafficClass), _LINE_BYTES)
        if len(packed) % _LINE_BYTES:
            raise MalformedError("the summary's lines have a broken length")
        for start in range(0, len(packed), _LINE_BYTES):
            line = packed[start : start + _LINE_BYTES]
            lines.append(
                SummaryLine(
                    _interest_untrusted(zone, line[0]),
                    int.from_bytes(line[1:5], "big"),
                    int.from_bytes(line[5:], "big"),
                )
            )
    for earlier, later in pairwise(lines):
        if later.interest <= earlier.interest:
            raise MalformedError("the summary's interests are out of order")
    if len(lines) > INTERESTS_MAX:
        raise LimitExceededError("interests", INTERESTS_MAX, len(lines))
    return Summary(_round_untrusted(number), tuple(lines))


def encode_symbols_frame(symbols: Symbols) -> bytes:
    """Return the payload of SYMBOLS."""
    return canonical.encode(
        (
            symbols.round,
            symbols.interest.zone,
            int(symbols.interest.traffic_class),
            symbols.n,
            symbols.set_hash.to_bytes(8, "big"),
            symbols.first,
            symbols.count,
            symbols.columns,
        )
    )


def decode_symbols_frame_untrusted(payload: bytes) -> Symbols:
    """Read SYMBOLS; the columns stay bytes. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(payload, max_bytes=FRAME_BYTES_MAX)
    number, zone, cls, n, digest, first, count, columns = canonical.as_array(value, "symbols", 8)
    return Symbols(
        _round_untrusted(number),
        _interest_untrusted(zone, cls),
        canonical.as_uint(n, "n", _N_MAX),
        int.from_bytes(canonical.as_bytes(digest, "set hash", 8), "big"),
        canonical.as_uint(first, "first", SKETCH_SYMBOLS),
        canonical.as_uint(count, "count", SKETCH_SYMBOLS),
        canonical.as_bytes(columns, "columns", FRAME_BYTES_MAX, 0),
    )


def encode_more(more: More) -> bytes:
    """Return the payload of MORE."""
    interest = more.interest
    return canonical.encode(
        (more.round, interest.zone, int(interest.traffic_class), more.first, more.count)
    )


def decode_more_untrusted(payload: bytes) -> More:
    """Read MORE. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(payload, max_bytes=64)
    number, zone, cls, first, count = canonical.as_array(value, "more", 5)
    return More(
        _round_untrusted(number),
        _interest_untrusted(zone, cls),
        canonical.as_uint(first, "first", SKETCH_SYMBOLS),
        canonical.as_uint(count, "count", SKETCH_SYMBOLS),
    )


def encode_equal(number: int, interests: Sequence[Interest]) -> bytes:
    """Return the payload of EQUAL."""
    return canonical.encode(
        (number, [(interest.zone, int(interest.traffic_class)) for interest in interests])
    )


def decode_equal_untrusted(payload: bytes) -> tuple[int, tuple[Interest, ...]]:
    """Read EQUAL. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(payload, max_bytes=16 * INTERESTS_MAX + 16)
    number, lines = canonical.as_array(value, "equal", 2)
    interests = []
    for line in canonical.as_array(lines, "interests", INTERESTS_MAX, 0):
        zone, cls = canonical.as_array(line, "interest", 2)
        interests.append(_interest_untrusted(zone, cls))
    return _round_untrusted(number), tuple(interests)


def decode_round_untrusted(payload: bytes) -> int:
    """Read ROUND_END. Raises: MalformedError, LimitExceededError."""
    (number,) = canonical.as_array(canonical.decode_untrusted(payload, max_bytes=16), "round", 1)
    return _round_untrusted(number)


def encode_ids(ids: Sequence[ShortId]) -> bytes:
    """Return ids as 8 bytes each."""
    wide = array("Q", ids)
    if sys.byteorder == "little":
        wide.byteswap()
    return wide.tobytes()


def decode_ids_untrusted(payload: bytes) -> array[int]:
    """Read ids of 8 bytes each. Raises: MalformedError, LimitExceededError."""
    if len(payload) % 8:
        raise MalformedError("a list of ids has a broken length")
    if len(payload) > 8 * IDS_PER_FRAME_MAX:
        raise LimitExceededError("ids per frame", IDS_PER_FRAME_MAX, len(payload) // 8)
    wide = array("Q", payload)
    if sys.byteorder == "little":
        wide.byteswap()
    return wide


def encode_list(page: IdList) -> bytes:
    """Return the payload of LIST."""
    interest = page.interest
    return canonical.encode(
        (
            page.round,
            interest.zone,
            int(interest.traffic_class),
            int(page.is_last),
            encode_ids(page.ids),
        )
    )


def decode_list_untrusted(payload: bytes) -> IdList:
    """Read LIST. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(payload, max_bytes=FRAME_BYTES_MAX)
    number, zone, cls, last, ids = canonical.as_array(value, "list", 5)
    return IdList(
        _round_untrusted(number),
        _interest_untrusted(zone, cls),
        bool(canonical.as_uint(last, "last", 1)),
        decode_ids_untrusted(canonical.as_bytes(ids, "ids", FRAME_BYTES_MAX, 0)),
    )


def encode_ack(ack: Ack) -> bytes:
    """Return the payload of ACK."""
    return canonical.encode((ack.upto, [(index, int(code)) for index, code in ack.refusals]))


def decode_ack_untrusted(payload: bytes) -> Ack:
    """Read ACK. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(payload, max_bytes=16 * ACK_REFUSALS_MAX)
    upto, refusals = canonical.as_array(value, "ack", 2)
    decoded: list[tuple[int, Reception]] = []
    last = -1
    for refusal in canonical.as_array(refusals, "refusals", ACK_REFUSALS_MAX, 0):
        index, code = canonical.as_array(refusal, "refusal", 2)
        number = canonical.as_uint(index, "index")
        if number <= last:
            raise MalformedError("refusals are out of order")
        last = number
        decoded.append((number, Reception(canonical.as_uint(code, "code", max(Reception), 1))))
    return Ack(canonical.as_uint(upto, "upto"), tuple(decoded))


def decode_bye_untrusted(payload: bytes) -> int:
    """Read BYE. Raises: MalformedError, LimitExceededError."""
    (code,) = canonical.as_array(canonical.decode_untrusted(payload, max_bytes=16), "bye", 1)
    return canonical.as_uint(code, "close code", 255)


def encode_round(number: int) -> bytes:
    """Return the payload of ROUND_END."""
    return canonical.encode((number,))


def encode_bye(code: int) -> bytes:
    """Return the payload of BYE."""
    return canonical.encode((int(code),))
