"""Signed proof of what reached a device, compact, cumulative and in clear to enrolled carriers.

Also the request for missing chain keys, which is as plain. Source: wire-format 4.12 and 4.13,
decision 2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from protocol import canonical
from protocol.errors import AuthenticationError, MalformedError
from protocol.pages import PAGE, as_runs, page_of, runs_of, seqs_of

__all__ = [
    "PAGE",
    "KeyRequest",
    "Receipt",
    "check",
    "covered_seqs",
    "decode_key_request_untrusted",
    "decode_receipt_untrusted",
    "encode_key_request",
    "encode_receipt",
    "make_receipt",
    "page_of",
]

_VERSION = 1
_RECEIPT_BYTES_MAX = 6_000
_CHAINS_MAX = 64


@dataclass(frozen=True, slots=True)
class Receipt:
    """Which bundles of one page have arrived."""

    incarnation: int
    """Of the author whose bundles these are."""
    page: int
    """Covers seqs 1024 × page to 1024 × page + 1023."""
    runs: tuple[tuple[int, int], ...]
    """(first, count), first counted from the page's start; ascending, disjoint, not adjacent."""
    digest8: bytes
    """8 bytes over the digests of all bundles covered, in order."""


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """Chains whose keys the asking device misses."""

    chains: tuple[bytes, ...]
    """Chain ids, 8 bytes each."""


def make_receipt(incarnation: int, page: int, digests: Mapping[int, bytes]) -> Receipt:
    """Return the receipt for the bundles `digests` names by seq, all of one page.

    Raises: ValueError if there is none, or one lies outside the page.
    """
    seqs = sorted(digests)
    if not seqs or page_of(seqs[0]) != page or page_of(seqs[-1]) != page:
        raise ValueError("a receipt covers one to 1,024 bundles of one page")
    runs = runs_of(page, seqs)
    return Receipt(incarnation, page, runs, _digest8(digests[seq] for seq in seqs))


def _digest8(digests: Iterator[bytes]) -> bytes:
    total = hashlib.sha256(b"meshnode receipt 1\0")
    for digest in digests:
        total.update(digest)
    return total.digest()[:8]


def covered_seqs(receipt: Receipt) -> Iterator[int]:
    """Yield the seqs that a receipt covers, ascending; at most 1,024."""
    return seqs_of(receipt.page, receipt.runs)


def check(receipt: Receipt, digests: Mapping[int, bytes]) -> None:
    """Check that a receipt covers what we really wrote; `digests` holds ours by seq.

    Raises: AuthenticationError if one is unknown to us or the digest differs.
    """
    try:
        ours = _digest8(digests[seq] for seq in covered_seqs(receipt))
    except KeyError as error:
        raise AuthenticationError("the receipt covers a bundle we never wrote") from error
    if ours != receipt.digest8:
        raise AuthenticationError("the receipt covers other content than we wrote")


def encode_receipt(receipt: Receipt) -> bytes:
    """Return the body of a receipt bundle."""
    return canonical.encode(
        (_VERSION, receipt.incarnation, receipt.page, receipt.runs, receipt.digest8)
    )


def decode_receipt_untrusted(raw: bytes) -> Receipt:
    """Read a receipt body. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(raw, max_bytes=_RECEIPT_BYTES_MAX)
    version, incarnation, page, runs, digest8 = canonical.as_array(value, "receipt", 5)
    if version != _VERSION:
        raise MalformedError("the receipt has an unknown version")
    return Receipt(
        canonical.as_uint(incarnation, "incarnation", 2**32 - 1),
        canonical.as_uint(page, "page", 2**54 - 1),
        as_runs(runs),
        canonical.as_bytes(digest8, "digest", 8),
    )


def encode_key_request(request: KeyRequest) -> bytes:
    """Return the body of a key request bundle."""
    return canonical.encode((_VERSION, request.chains))


def decode_key_request_untrusted(raw: bytes) -> KeyRequest:
    """Read a key request body. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(raw, max_bytes=1_024)
    version, chains = canonical.as_array(value, "key request", 2)
    if version != _VERSION:
        raise MalformedError("the key request has an unknown version")
    return KeyRequest(
        tuple(
            canonical.as_bytes(chain, "chain id", 8)
            for chain in canonical.as_array(chains, "chains", _CHAINS_MAX, 1)
        )
    )
