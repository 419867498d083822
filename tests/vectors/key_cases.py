"""Inputs of the vectors of keys: prekeys, slots, seals, chains and SOS keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from protocol import envelope
from tests.vectors.seeds import (
    HEADER,
    NODE,
    NOW_MS,
    PREKEY,
    PREKEY_PUBLIC,
    PRIVATE,
    SEED,
    SQUAD,
    Case,
    accepted,
    refused,
)

__all__ = [
    "chain_cases",
    "hpke_cases",
    "prekey_cases",
    "slot_cases",
    "slot_secret_cases",
    "sos_cases",
]


def prekey_cases() -> Iterator[Case]:
    """A real key, its longest life, and records that lie about it."""
    good = envelope.encode_prekey(PREKEY)
    yield accepted("4.11", "nine days", good.hex())
    yield accepted("4.11", "both suites", envelope.encode_prekey(replace(PREKEY, suites=3)).hex())
    for what, record in {
        "nine days and a millisecond": replace(PREKEY, ends_ms=PREKEY.ends_ms + 1),
        "an end at its beginning": replace(PREKEY, ends_ms=NOW_MS),
        "no suite": replace(PREKEY, suites=0),
        "a suite that does not exist": replace(PREKEY, suites=4),
        "another key's name": replace(PREKEY, prekey_id=bytes(8)),
        "a key that is too short": replace(PREKEY, public=PREKEY_PUBLIC[:-1]),
    }.items():
        yield refused("4.11", what, envelope.encode_prekey(record).hex())


SLOT = envelope.Slot(NODE, PREKEY.prekey_id, b"sealed chain keys")
SLOT_SECRET = envelope.SlotSecret(NODE, b"chain-id", 2_047, SQUAD.encode(), SEED)


def slot_cases() -> Iterator[Case]:
    """From 1 to 45 slots."""
    good = {"one slot": [SLOT], "45 slots": [SLOT] * 45, "empty": [replace(SLOT, sealed=b"")]}
    for what, slots in good.items():
        yield accepted("4.7", what, envelope.encode_slots(slots).hex())
    for what, slots in {
        "no slot": [],
        "46 slots": [SLOT] * 46,
        "a short member": [replace(SLOT, member=NODE[1:])],
        "a ciphertext that is too long": [replace(SLOT, sealed=bytes(2_049))],
    }.items():
        yield refused("4.7", what, envelope.encode_slots(slots).hex())


def slot_secret_cases() -> Iterator[Case]:
    """The plaintext of a slot."""
    yield accepted("4.7", "the last index", envelope.encode_slot_secret(SLOT_SECRET).hex())
    for what, secret in {
        "an index beyond the chain": replace(SLOT_SECRET, index=2_048),
        "a short seed": replace(SLOT_SECRET, seed=SEED[1:]),
        "a short scope": replace(SLOT_SECRET, scope=b"\4\0"),
    }.items():
        yield refused("4.7", what, envelope.encode_slot_secret(secret).hex())


# --- keys and symbols --------------------------------------------------------------------------


def hpke_cases() -> Iterator[Case]:
    """Inputs without `sealed`: the library draws its own randomness (see `regenerate`)."""
    info = envelope.seal_info(HEADER.encode())
    for suite, what in ((2, "hybrid, one recipient"), (3, "classical, one recipient")):
        yield accepted("4.9", what, {"suite": suite, "private": PRIVATE.hex(), "info": info.hex()})
    slot = envelope.slot_info(HEADER.encode(), NODE)
    yield accepted("4.7", "a slot", {"suite": 2, "private": PRIVATE.hex(), "info": slot.hex()})


def chain_cases() -> Iterator[Case]:
    """Message keys along a chain, to its last."""
    for what, seed in (("a chain", SEED), ("a chain of zeros", bytes(32))):
        item = {"seed": seed.hex(), "indices": [0, 1, 2, 100, 2_047]}
        yield accepted("4.6", what, item)
    yield refused("4.2", "a key beyond the chain", {"seed": SEED.hex(), "indices": [2_048]})


def sos_cases() -> Iterator[Case]:
    """Keys of SOS bundles."""
    for incarnation, seq in ((0, 1), (2**32 - 1, 2**64 - 1)):
        item = {
            "key": SEED.hex(),
            "epoch": incarnation >> 16,
            "author": NODE.hex(),
            "incarnation": incarnation,
            "seq": seq,
        }
        yield accepted("4.8", f"bundle {incarnation}.{seq}", item)
