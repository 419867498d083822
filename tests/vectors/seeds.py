"""What all vectors are made from: fixed keys, one header, and the record of one case."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, x25519

from protocol import envelope
from protocol.bundle import Header, Scope, Suite
from protocol.ids import node_id_of, squad_id_of
from protocol.limits import PREKEY_END_MS, Kind

__all__ = [
    "HEADER",
    "KEY",
    "NODE",
    "NOW_MS",
    "PREKEY",
    "PREKEY_PUBLIC",
    "PRIVATE",
    "PUBLIC",
    "SEED",
    "SQUAD",
    "Case",
    "accepted",
    "refused",
]

NOW_MS = 1_800_000_000_000
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
NODE = node_id_of(PUBLIC)
SEED = hashlib.sha256(b"chain seed").digest()
LATTICE = mlkem.MLKEM768PrivateKey.from_seed_bytes(hashlib.sha512(b"lattice").digest())
CURVE = x25519.X25519PrivateKey.from_private_bytes(hashlib.sha256(b"curve").digest())
PRIVATE = LATTICE.private_bytes_raw() + CURVE.private_bytes_raw()
PREKEY_PUBLIC = LATTICE.public_key().public_bytes_raw() + CURVE.public_key().public_bytes_raw()
PREKEY = envelope.PrekeyRecord(
    envelope.prekey_id_of(PREKEY_PUBLIC), NOW_MS, NOW_MS + PREKEY_END_MS, 1, PREKEY_PUBLIC
)
SQUAD = Scope.for_squad(7, squad_id_of(7, "Queyras"))
HEADER = Header(
    suite=Suite.CHAIN,
    kind=Kind.TEXT,
    author=NODE,
    incarnation=7,
    seq=1,
    hlc=NOW_MS << 16 | 3,
    lifetime_s=604_800,
    scope=SQUAD,
    keyref=b"chain-id",
    index=12,
)


@dataclass(frozen=True, slots=True)
class Case:
    """One vector without its output."""

    clause: str
    """Of the wire format page."""
    what: str
    """What it shows."""
    input: Any
    """As the reader of its file takes it."""
    is_refused: bool = False
    """No reader may accept it."""


def accepted(clause: str, what: str, item: Any) -> Case:
    return Case(clause, what, item)


def refused(clause: str, what: str, item: Any) -> Case:
    return Case(clause, what, item, is_refused=True)
