"""Signed proof of what reached a device, compact, cumulative and in clear to enrolled carriers.

Also the request for missing chain keys, which is as plain. Source: wire-format 4.12 and 4.13,
decisions 2 and 49.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from protocol import canonical
from protocol.errors import AuthenticationError, LimitExceededError, MalformedError
from protocol.pages import PAGE, Runs, page_of, runs_of, seqs_of

__all__ = [
    "PAGE",
    "RECEIPT_BYTES_MAX",
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

_RECEIPT_VERSION = 2
_REQUEST_VERSION = 1
_FIXED_BYTES = 13
"""Version, incarnation and digest, which stand before the bits."""
_PAGE_MAX = 2**54 - 1
RECEIPT_BYTES_MAX = _FIXED_BYTES + 206
"""109 bits for the greatest page, and 1,536 where every gap and every run is 2 long."""
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
    """Return the body of a receipt bundle: 15 bytes for twenty bundles in a row at the start."""
    numbers, end = [receipt.page + 1], -1
    for first, count in receipt.runs:
        numbers += (first - end, count)
        end = first + count
    # An Elias gamma code is the number itself behind as many zeros as it has further bits.
    bits = "".join(f"{number:0{2 * number.bit_length() - 1}b}" for number in numbers)
    filled = bits + "0" * (-len(bits) % 8)
    return (
        bytes([_RECEIPT_VERSION])
        + receipt.incarnation.to_bytes(4, "big")
        + receipt.digest8
        + int(filled, 2).to_bytes(len(filled) // 8, "big")
    )


def decode_receipt_untrusted(raw: bytes) -> Receipt:
    """Read a receipt body. Raises: MalformedError, LimitExceededError."""
    if len(raw) > RECEIPT_BYTES_MAX:
        raise LimitExceededError("receipt bytes", RECEIPT_BYTES_MAX, len(raw))
    if len(raw) <= _FIXED_BYTES:
        raise MalformedError("the receipt is cut short")
    if raw[0] != _RECEIPT_VERSION:
        raise MalformedError("the receipt has an unknown version")
    page, *numbers = _numbers_untrusted(raw[_FIXED_BYTES:])
    if page > _PAGE_MAX + 1:
        raise MalformedError("the page of the receipt is beyond the last number")
    incarnation = int.from_bytes(raw[1:5], "big")
    return Receipt(incarnation, page - 1, _runs_untrusted(numbers), raw[5:_FIXED_BYTES])


def _numbers_untrusted(raw: bytes) -> list[int]:
    """Return the numbers of a string of gamma codes, at least one. Raises: MalformedError."""
    bits, at, numbers = f"{int.from_bytes(raw, 'big'):0{8 * len(raw)}b}", 0, list[int]()
    while (one := bits.find("1", at)) >= 0:
        end = 2 * one - at + 1
        if end > len(bits):
            raise MalformedError("the receipt ends in the middle of a number")
        numbers.append(int(bits[one:end], 2))
        at = end
    if not numbers or len(bits) - at >= 8:
        raise MalformedError("the receipt is filled with more than its last byte")
    return numbers


def _runs_untrusted(numbers: list[int]) -> Runs:
    """Return the runs that gaps and counts by turns name. Raises: MalformedError."""
    if not numbers or len(numbers) % 2:
        raise MalformedError("the receipt has no run, or half of one")
    runs, end = list[tuple[int, int]](), -1
    for gap, count in zip(numbers[::2], numbers[1::2], strict=True):
        first = end + gap
        end = first + count
        if end > PAGE:
            raise MalformedError("a run of the receipt is beyond its page")
        runs.append((first, count))
    return tuple(runs)


def encode_key_request(request: KeyRequest) -> bytes:
    """Return the body of a key request bundle."""
    return canonical.encode((_REQUEST_VERSION, request.chains))


def decode_key_request_untrusted(raw: bytes) -> KeyRequest:
    """Read a key request body. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(raw, max_bytes=1_024)
    version, chains = canonical.as_array(value, "key request", 2)
    if version != _REQUEST_VERSION:
        raise MalformedError("the key request has an unknown version")
    return KeyRequest(
        tuple(
            canonical.as_bytes(chain, "chain id", 8)
            for chain in canonical.as_array(chains, "chains", _CHAINS_MAX, 1)
        )
    )
