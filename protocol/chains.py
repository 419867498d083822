"""An author's symmetric key chain for one group and one shift: derive, skip, never twice.

A chain costs a 16-byte tag per message where hybrid sealing costs 1.1 kB. States are immutable:
the caller keeps the new one only after the tag of the message verified. Source: wire-format 4.6,
security 2.6.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from protocol import canonical
from protocol.errors import EnvelopeError, LimitExceededError, LocalProtocolError, NoKeyError
from protocol.limits import CHAIN_MESSAGES_MAX

__all__ = [
    "AlreadyUsedError",
    "ReceivingChain",
    "SendingChain",
    "chain_id_of",
    "decode_receiving",
    "decode_sending",
    "encode_receiving",
    "encode_sending",
    "key_for",
    "new_chain",
    "next_key",
    "receiving_chain",
    "seed_at",
]


class AlreadyUsedError(EnvelopeError):
    """The key of this chain index was used already: the message is a copy."""


@dataclass(frozen=True, slots=True)
class SendingChain:
    """Our side of a chain."""

    chain_id: bytes
    """8 bytes that commit to the first seed."""
    index: int
    """Number of the next message."""
    seed: bytes = field(repr=False)
    """32 bytes at `index`."""


@dataclass(frozen=True, slots=True)
class ReceivingChain:
    """What a reader holds of another author's chain."""

    chain_id: bytes
    """8 bytes."""
    first_index: int
    """Where this reader's knowledge begins."""
    index: int
    """Number that `seed` belongs to; keys below are in `skipped` or used."""
    seed: bytes = field(repr=False)
    """32 bytes at `index`."""
    skipped: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)
    """Keys of messages that have not come yet, ascending by index."""


def _expand(seed: bytes, info: bytes, length: int) -> bytes:
    return HKDFExpand(algorithm=SHA256(), length=length, info=info).derive(seed)


def _message_key(seed: bytes, index: int) -> bytes:
    return _expand(seed, b"meshnode chain message 1\0" + index.to_bytes(4, "big"), 32)


def _next_seed(seed: bytes) -> bytes:
    return _expand(seed, b"meshnode chain next 1\0", 32)


def chain_id_of(first_seed: bytes) -> bytes:
    """Return the 8 bytes that name the chain of `first_seed` (32 bytes)."""
    return _expand(first_seed, b"meshnode chain id 1\0", 8)


def new_chain(seed: bytes) -> SendingChain:
    """Return a chain at index 0 of 32 fresh random bytes."""
    if len(seed) != 32:
        raise ValueError("a chain seed has 32 bytes")
    return SendingChain(chain_id_of(seed), 0, seed)


def next_key(chain: SendingChain) -> tuple[SendingChain, int, bytes]:
    """Return the advanced chain, the index and the 32-byte key of its next message.

    Raises: LocalProtocolError when the chain is used up; start a new one.
    """
    if chain.index >= CHAIN_MESSAGES_MAX:
        raise LocalProtocolError("this chain is used up")
    key = _message_key(chain.seed, chain.index)
    after = SendingChain(chain.chain_id, chain.index + 1, _next_seed(chain.seed))
    return after, chain.index, key


def seed_at(first: SendingChain, index: int) -> bytes:
    """Return the 32-byte seed of message `index`, at or after that of `first`.

    Raises: ValueError if it lies before, or at or beyond `CHAIN_MESSAGES_MAX`.
    Cost: about 5 µs per index stepped over.
    """
    if not first.index <= index < CHAIN_MESSAGES_MAX:
        raise ValueError("this chain has no seed at that index")
    seed = first.seed
    for _step in range(first.index, index):
        seed = _next_seed(seed)
    return seed


def receiving_chain(chain_id: bytes, index: int, seed: bytes) -> ReceivingChain:
    """Return a reader's chain that begins at `index`; nothing before it can be opened.

    Raises: NoKeyError if the seed of index 0 is not the one that the id commits to.
    """
    if not 0 <= index < CHAIN_MESSAGES_MAX or len(seed) != 32:
        raise NoKeyError("these chain keys are out of bounds")
    if index == 0 and chain_id_of(seed) != chain_id:
        raise NoKeyError("these chain keys do not belong to the chain they name")
    return ReceivingChain(chain_id, index, index, seed)


def key_for(chain: ReceivingChain, index: int) -> tuple[ReceivingChain, bytes]:
    """Return the chain without the key of message `index`, and that key.

    Raises: LimitExceededError at 2,048 and above, before any key work; NoKeyError below the
    reader's first index; AlreadyUsedError for a key that was taken.
    Cost: about 10 µs per index stepped over, at most 2,047 steps.
    """
    if index >= CHAIN_MESSAGES_MAX:
        raise LimitExceededError("chain index", CHAIN_MESSAGES_MAX - 1, index)
    if index < chain.first_index:
        raise NoKeyError("this message was written before this device joined")
    if index < chain.index:
        return _take_skipped(chain, index)
    seed, skipped = chain.seed, list(chain.skipped)
    for step in range(chain.index, index):
        skipped.append((step, _message_key(seed, step)))
        seed = _next_seed(seed)
    key = _message_key(seed, index)
    after = ReceivingChain(
        chain.chain_id, chain.first_index, index + 1, _next_seed(seed), tuple(skipped)
    )
    return after, key


def _take_skipped(chain: ReceivingChain, index: int) -> tuple[ReceivingChain, bytes]:
    for position, (number, key) in enumerate(chain.skipped):
        if number == index:
            rest = chain.skipped[:position] + chain.skipped[position + 1 :]
            after = ReceivingChain(chain.chain_id, chain.first_index, chain.index, chain.seed, rest)
            return after, key
    raise AlreadyUsedError("the key of this message was used already")


def encode_sending(chain: SendingChain) -> bytes:
    """Return the bytes that the key ring stores."""
    return canonical.encode((1, chain.chain_id, chain.index, chain.seed))


def decode_sending(raw: bytes) -> SendingChain:
    """Read what `encode_sending` wrote. Raises: MalformedError, LimitExceededError."""
    version, chain_id, index, seed = canonical.as_array(
        canonical.decode_untrusted(raw, max_bytes=256), "chain", 4
    )
    canonical.as_uint(version, "version of the chain", 1, 1)
    return SendingChain(
        canonical.as_bytes(chain_id, "chain id", 8),
        canonical.as_uint(index, "index", CHAIN_MESSAGES_MAX),
        canonical.as_bytes(seed, "seed", 32),
    )


def encode_receiving(chain: ReceivingChain) -> bytes:
    """Return the bytes that the key ring stores: 60 bytes and 36 per skipped message."""
    return canonical.encode(
        (
            1,
            chain.chain_id,
            chain.first_index,
            chain.index,
            chain.seed,
            [[number, key] for number, key in chain.skipped],
        )
    )


def decode_receiving(raw: bytes) -> ReceivingChain:
    """Read what `encode_receiving` wrote. Raises: MalformedError, LimitExceededError."""
    version, chain_id, first, index, seed, skipped = canonical.as_array(
        canonical.decode_untrusted(raw, max_bytes=256 + 48 * CHAIN_MESSAGES_MAX), "chain", 6
    )
    canonical.as_uint(version, "version of the chain", 1, 1)
    pairs = []
    for item in canonical.as_array(skipped, "skipped", CHAIN_MESSAGES_MAX, 0):
        number, key = canonical.as_array(item, "skipped key", 2)
        pairs.append(
            (
                canonical.as_uint(number, "index", CHAIN_MESSAGES_MAX - 1),
                canonical.as_bytes(key, "key", 32),
            )
        )
    return ReceivingChain(
        canonical.as_bytes(chain_id, "chain id", 8),
        canonical.as_uint(first, "first index", CHAIN_MESSAGES_MAX),
        canonical.as_uint(index, "index", CHAIN_MESSAGES_MAX),
        canonical.as_bytes(seed, "seed", 32),
        tuple(pairs),
    )
