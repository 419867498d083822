"""Knocks as the wire format page tells them, judged by walking a list of everything accepted.

Slow and obvious: every key of every week is tried, every knock ever taken is kept in one list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

__all__ = ["ReferenceListener", "hmac_sha256", "knock"]

WEEK_MS = 7 * 24 * 3_600_000
DRIFT_MS = 600_000


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """RFC 2104 for keys of at most 64 bytes, in the words of its section 2."""
    block = key + bytes(64 - len(key))
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()


def knock(key: bytes, name: bytes, random: bytes) -> bytes:
    """Clause 6.12."""
    return random + hmac_sha256(key, b"meshnode knock 1\x00" + name + random)[:16]


class ReferenceListener:
    """Clause 6.13, with memory that is unbounded."""

    def __init__(self, names: Sequence[bytes]) -> None:
        self.names = names
        self.taken: list[tuple[int, bytes]] = []

    def accepts(self, raw: bytes, keys: Mapping[int, Sequence[bytes]], now_ms: int) -> bool:
        """Say whether the listener goes on to TLS."""
        for week, some in keys.items():
            if not now_ms // WEEK_MS - 3 <= week <= (now_ms + DRIFT_MS) // WEEK_MS:
                continue
            made = [knock(key, name, raw[:16]) for key in some for name in self.names]
            if raw in made and raw[0] != 0x16:
                is_fresh = (week, raw[:16]) not in self.taken
                self.taken.append((week, raw[:16]))
                return is_fresh
        return False
