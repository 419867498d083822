"""Names, keys, symbols and texts, derived from the wire format page with the plainest tools.

HKDF is two HMACs, a coded symbol is a loop over the whole set. Imports nothing of the product.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from math import ceil, sqrt

from tests.reference.codec import RefusedError, demand

__all__ = [
    "chain_id",
    "chain_keys",
    "code_of_request",
    "node_id",
    "printed_node_id",
    "short_id",
    "sos_key",
    "squad_id",
    "symbol_columns",
    "unarmour",
    "weekly_key_id",
]

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


def _expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand of RFC 5869 section 2.3 with SHA-256, for up to 32 bytes."""
    return hmac.digest(key, info + b"\x01", "sha256")[:length]


# --- clause 3: names ---------------------------------------------------------------------------


def node_id(public_key: bytes) -> bytes:
    """Clause 3.1."""
    return hashlib.sha256(public_key).digest()[:16]


def printed_node_id(node: bytes) -> str:
    """Clause 3.1: 130 bits, the last two are zero, five at a time."""
    bits = "".join(f"{byte:08b}" for byte in node) + "00"
    letters = [BASE32[int(bits[start : start + 5], 2)] for start in range(0, 130, 5)]
    return "-".join("".join(letters[start : start + 4]) for start in range(0, 26, 4))


def squad_id(zone: int, name: str) -> bytes:
    """Clause 3.2."""
    material = b"meshnode squad 1\0" + zone.to_bytes(2, "big") + name.encode()
    return hashlib.sha256(material).digest()[:8]


# --- clause 4: keys ----------------------------------------------------------------------------


def chain_id(first_seed: bytes) -> bytes:
    """Clause 4.6."""
    return _expand(first_seed, b"meshnode chain id 1\0", 8)


def chain_keys(first_seed: bytes, count: int) -> list[bytes]:
    """Return the message keys 0 to `count` - 1. Source: wire-format 4.6."""
    seed, keys = first_seed, []
    for index in range(count):
        keys.append(_expand(seed, b"meshnode chain message 1\0" + index.to_bytes(4, "big"), 32))
        seed = _expand(seed, b"meshnode chain next 1\0", 32)
    return keys


def sos_key(zone_key: bytes, author: bytes, incarnation: int, seq: int) -> bytes:
    """Clause 4.8."""
    name = author + incarnation.to_bytes(4, "big") + seq.to_bytes(8, "big")
    return _expand(zone_key, b"meshnode sos 1\0" + name, 32)


def file_id(key: bytes) -> bytes:
    """Clause 4.19."""
    return _expand(key, b"meshnode attachment id 1\0", 8)


def chunk_key(key: bytes, author: bytes, incarnation: int, seq: int, index: int) -> bytes:
    """Clause 4.19."""
    name = author + incarnation.to_bytes(4, "big") + seq.to_bytes(8, "big")
    return _expand(key, b"meshnode chunk 1\0" + name + index.to_bytes(4, "big"), 32)


def weekly_key_id(epoch: int, key: bytes) -> bytes:
    """Clause 8.9."""
    return epoch.to_bytes(4, "big") + hashlib.sha256(key).digest()[:4]


# --- clause 5: reconciliation ------------------------------------------------------------------


def short_id(network_key: bytes, digest: bytes) -> int:
    """Clause 5.1."""
    return int.from_bytes(hashlib.blake2b(digest, digest_size=8, key=network_key).digest(), "big")


def mixed(number: int) -> int:
    """Clause 5.3 without the final shift, as in 5.6."""
    return (number ^ (number >> 29)) * 0xBF58476D1CE4E5B9 % 2**64


def symbols_of(number: int, end: int) -> list[int]:
    """Return the symbols below `end` that an id is in. Source: wire-format 5.4."""
    found, index, state = [], 0, number or 1
    while index < end:
        found.append(index)
        state = state * 0xDA942042E4DD58B5 % 2**64
        index += max(1, ceil((index + 1.5) * (2.0**32 / sqrt(float(state) + 1.0) - 1.0)))
    return found


def symbol_columns(ids: list[int], count: int) -> bytes:
    """Return the columns of the first `count` symbols. Source: wire-format 5.3-5.5."""
    sums, checks, counts = [0] * count, [0] * count, [0] * count
    for number in ids:
        for index in symbols_of(number, count):
            sums[index] ^= number
            checks[index] ^= mixed(number) >> 32
            counts[index] += 1
    out = b"".join(total.to_bytes(8, "big") for total in sums)
    out += b"".join(check.to_bytes(4, "big") for check in checks)
    return out + b"".join((held % 256).to_bytes(1, "big") for held in counts)


# --- clause 8: enrolment -----------------------------------------------------------------------


def unarmour(word: str, text: str) -> bytes:
    """Return the record in a text. Source: wire-format 8.1."""
    head, colon, rest = text.partition(":")
    letters, tilde, check = rest.partition("~")
    demand(head == word and colon == ":" and tilde == "~", "8.1 form")
    try:
        raw = base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4))
    except ValueError as error:
        raise RefusedError("8.1 letters") from error
    demand(base64.urlsafe_b64encode(raw).decode().rstrip("=") == letters, "8.1 letters")
    bits = "".join(f"{byte:08b}" for byte in hashlib.sha256(raw).digest())
    expected = "".join(BASE32[int(bits[start : start + 5], 2)] for start in range(0, 30, 5))
    demand(check == expected, "8.1 check")
    return raw


def code_of_request(inner: bytes) -> str:
    """Clause 8.3."""
    number = int(hashlib.sha256(b"meshnode enrol code 1\0" + inner).hexdigest(), 16)
    return f"{number % 10**6:06d}"
