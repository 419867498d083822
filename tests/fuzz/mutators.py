"""Changes bytes as radio noise, a clumsy program or an attacker who knows the format would.

Every edit comes from one seeded generator, so a run can be repeated. Half of the edits are of
bytes; the other half take canonical records apart, also those inside the byte strings of others,
and put them together again with a part changed: the form stays right and the content is odd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from protocol.canonical import Value, decode_untrusted, encode
from protocol.errors import LimitExceededError, MalformedError
from protocol.limits import FRAME_BYTES_MAX

__all__ = ["Mutator"]

_EDITS_MAX = 3
_DEPTH_MAX = 4
_ODD_BYTES = bytes((0x00, 0x01, 0x7F, 0x80, 0x90, 0x92, 0xC4, 0xC5, 0xCC, 0xCF, 0xDC, 0xDD, 0xFF))
_ODD_NUMBERS = (0, 1, 127, 128, 255, 256, 2_047, 2_048, 65_535, 65_536, 2**32 - 1, 2**63, 2**64 - 1)
_ODD_LENGTHS = (0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 1_216)


class Mutator:
    """Makes inputs out of others."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._edits: tuple[Callable[[bytearray, bytes], None], ...] = (
            self._flip,
            self._flip,
            self._set,
            self._cut,
            self._insert,
            self._drop,
            self._repeat,
            self._splice,
        )

    def mutate(self, data: bytes, others: Sequence[bytes] = (b"",)) -> bytes:
        """Return `data` after one to three edits; `others` lend their bytes to it."""
        random = self._random
        for _ in range(random.randint(1, _EDITS_MAX)):
            if random.random() < 0.5:
                data = self.mutate_record(data) or self._edited(data, others)
            else:
                data = self._edited(data, others)
        return data

    def mutate_record(self, data: bytes) -> bytes | None:
        """Return `data` with one part of its record changed, None if it is no record."""
        value = _record(data)
        return None if value is None else encode(self._changed(value, _DEPTH_MAX))

    def nudge(self, data: bytes) -> bytes:
        """Return `data` with one bit or one number changed, deep inside, and its form kept."""
        value = _record(data)
        if value is None:
            changed = bytearray(data)
            self._flip(changed, b"")
            return bytes(changed)
        return encode(self._nudged(value))

    def _nudged(self, value: Value) -> Value:
        if isinstance(value, bytes):
            # A single byte is canonical too, and rarely meant as a record.
            return self.nudge(value) if len(value) > 8 else self._edited(value, (value,))
        if isinstance(value, int):
            return value ^ 1 << self._random.randrange(8)
        items = list(value)
        if items:
            at = self._random.randrange(len(items))
            items[at] = self._nudged(items[at])
        return tuple(items)

    # --- bytes ------------------------------------------------------------------------------

    def _edited(self, data: bytes, others: Sequence[bytes]) -> bytes:
        changed = bytearray(data)
        self._random.choice(self._edits)(changed, self._random.choice(others))
        return bytes(changed)

    def _place(self, data: bytearray) -> int:
        return self._random.randrange(len(data) + 1)

    def _flip(self, data: bytearray, _other: bytes) -> None:
        if data:
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)

    def _set(self, data: bytearray, _other: bytes) -> None:
        if data:
            data[self._random.randrange(len(data))] = self._random.choice(_ODD_BYTES)

    def _cut(self, data: bytearray, _other: bytes) -> None:
        del data[self._place(data) :]

    def _insert(self, data: bytearray, _other: bytes) -> None:
        at = self._place(data)
        data[at:at] = self._random.randbytes(self._random.randint(1, 9))

    def _drop(self, data: bytearray, _other: bytes) -> None:
        at = self._place(data)
        del data[at : at + self._random.randint(1, 9)]

    def _repeat(self, data: bytearray, _other: bytes) -> None:
        at = self._place(data)
        data[at:at] = data[at : at + self._random.randint(1, 40)]

    def _splice(self, data: bytearray, other: bytes) -> None:
        at = self._place(data)
        data[at:] = other[self._random.randrange(len(other) + 1) :]

    # --- records ----------------------------------------------------------------------------

    def _changed(self, value: Value, depth: int) -> Value:
        random = self._random
        if isinstance(value, tuple) and value and depth:
            return self._changed_array(value, depth)
        if isinstance(value, bytes) and random.random() < 0.7:
            inner = _record(value) if depth and len(value) > 1 else None
            if inner is not None:
                return encode(self._changed(inner, depth - 1))
            return self._edited(value, (value,))
        if isinstance(value, int) and random.random() < 0.4:
            return max(0, min(2**64 - 1, value + random.choice((-1, 1, 65_536, -65_536))))
        return self._odd(value)

    def _changed_array(self, value: tuple[Value, ...], depth: int) -> Value:
        random, items = self._random, list(value)
        at = random.randrange(len(items))
        chance = random.random()
        if chance < 0.7:
            items[at] = self._changed(items[at], depth - 1)
        elif chance < 0.8:
            del items[at]
        elif chance < 0.9:
            items.insert(at, items[at])
        else:
            other = random.randrange(len(items))
            items[at], items[other] = items[other], items[at]
        return tuple(items)

    def _odd(self, value: Value) -> Value:
        random = self._random
        if isinstance(value, int):
            return random.choice(_ODD_NUMBERS)
        if isinstance(value, bytes):
            return bytes(random.choice(_ODD_LENGTHS))
        return random.choice(((), (0,), 0, b""))


def _record(data: bytes) -> Value | None:
    if len(data) > FRAME_BYTES_MAX:
        return None
    try:
        return decode_untrusted(data, max_bytes=FRAME_BYTES_MAX)
    except (MalformedError, LimitExceededError):
        return None
