"""Names of things: nodes, squads, bundles, and the short id used in reconciliation.

Frozen, comparable, printable. Nothing here knows keys or rights. Source: wire-format 3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from protocol.errors import MalformedError

__all__ = [
    "BundleId",
    "NodeId",
    "ShortId",
    "SquadId",
    "node_id_of",
    "parse_bundle_id_untrusted",
    "parse_node_id_untrusted",
    "print_bundle_id",
    "print_node_id",
    "short_id",
    "short_ids",
    "squad_id_of",
]

NodeId: TypeAlias = bytes
"""16 bytes: the first half of SHA-256 over the badge's raw Ed25519 public key."""

SquadId: TypeAlias = bytes
"""8 bytes derived from the zone and the squad's name."""

ShortId: TypeAlias = int
"""Unsigned 64-bit number: keyed BLAKE2b-64 of a bundle's digest, the unit of reconciliation."""

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True, order=True)
class BundleId:
    """Identity of a bundle: who made it, in which incarnation of its store, which number."""

    author: NodeId
    """16 bytes."""
    incarnation: int
    """32-bit number drawn when the author's store was created."""
    seq: int
    """Counts from 1 within the incarnation."""

    def __str__(self) -> str:
        return print_bundle_id(self)


def node_id_of(public_key: bytes) -> NodeId:
    """Return the id that a raw 32-byte Ed25519 public key certifies by itself."""
    return hashlib.sha256(public_key).digest()[:16]


def squad_id_of(zone: int, name: str) -> SquadId:
    """Return the id of the squad `name` (1-64 bytes of UTF-8) of `zone` (1-65535)."""
    material = b"meshnode squad 1\0" + zone.to_bytes(2, "big") + name.encode("utf-8")
    return hashlib.sha256(material).digest()[:8]


def short_id(network_key: bytes, digest: bytes) -> ShortId:
    """Return the short id of a bundle digest (32 bytes) under the 16-byte network key.

    Keyed, so that outsiders cannot grind colliding ids. Cost: about 1 µs. Source: wire-format 5.1.
    """
    return short_ids(network_key)(digest)


def short_ids(network_key: bytes) -> Callable[[bytes], ShortId]:
    """Return `short_id` under one network key, for many digests: the key is set up only once."""
    keyed = hashlib.blake2b(digest_size=8, key=network_key)

    def of(digest: bytes) -> ShortId:
        hashed = keyed.copy()
        hashed.update(digest)
        return int.from_bytes(hashed.digest(), "big")

    return of


def print_node_id(node: NodeId) -> str:
    """Return the id as people read it aloud: 26 letters and digits in groups, `abcd-efgh-…`."""
    number = int.from_bytes(node, "big") << 2
    letters = "".join(_BASE32[(number >> shift) & 31] for shift in range(125, -1, -5))
    return "-".join(letters[start : start + 4] for start in range(0, 26, 4))


def parse_node_id_untrusted(text: str) -> NodeId:
    """Read what `print_node_id` printed; case, spaces and dashes do not matter.

    Raises: MalformedError.
    """
    letters = text.strip().lower().replace("-", "").replace(" ", "")
    if len(letters) != 26 or any(letter not in _BASE32 for letter in letters):
        raise MalformedError("a node id has 26 letters or digits from a-z and 2-7")
    number = 0
    for letter in letters:
        number = number << 5 | _BASE32.index(letter)
    if number & 3:
        raise MalformedError("the last character of this node id is wrong")
    return (number >> 2).to_bytes(16, "big")


def print_bundle_id(bundle: BundleId) -> str:
    """Return `author.incarnation.seq`, the author in 32 hexadecimal digits."""
    return f"{bundle.author.hex()}.{bundle.incarnation}.{bundle.seq}"


def parse_bundle_id_untrusted(text: str) -> BundleId:
    """Read what `print_bundle_id` printed. Raises: MalformedError."""
    parts = text.strip().split(".")
    if len(parts) != 3 or len(parts[0]) != 32 or not (parts[1] + parts[2]).isdecimal():
        raise MalformedError("a message id looks like 32 hexadecimal digits, '.7.', a number")
    try:
        author, incarnation, seq = bytes.fromhex(parts[0]), int(parts[1]), int(parts[2])
    except ValueError as error:
        raise MalformedError("a message id has a part that is not a number") from error
    if (
        incarnation >= 2**32
        or not 1 <= seq < 2**64
        or parts != print_bundle_id(BundleId(author, incarnation, seq)).split(".")
    ):
        raise MalformedError("this message id is out of range or not in its usual form")
    return BundleId(author, incarnation, seq)
