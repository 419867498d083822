"""Ed25519 as RFC 8032 writes it: slow point arithmetic, for small orders and signatures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["Point", "decompress", "small_order_encodings", "verify"]

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


@dataclass(frozen=True, slots=True)
class Point:
    """A point of the curve, in affine coordinates."""

    x: int
    """Below p."""
    y: int
    """Below p."""

    def __add__(self, other: Point) -> Point:
        product = D * self.x * other.x * self.y * other.y % P
        x = (self.x * other.y + other.x * self.y) * pow(1 + product, -1, P)
        y = (self.y * other.y + self.x * other.x) * pow(1 - product, -1, P)
        return Point(x % P, y % P)

    def times(self, scalar: int) -> Point:
        """Double and add."""
        total, power = NEUTRAL, self
        while scalar:
            if scalar & 1:
                total += power
            power += power
            scalar >>= 1
        return total


NEUTRAL = Point(0, 1)


def decompress(raw: bytes) -> Point | None:
    """Return the point of 32 bytes, or None. Takes y at and above p as libraries do: modulo p."""
    number = int.from_bytes(raw, "little")
    sign, y = number >> 255, (number & (2**255 - 1)) % P
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT_OF_MINUS_ONE % P
    if x * x % P != square:
        return None
    if x % 2 != sign:
        x = -x % P
    return Point(x, y)


BASE = decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little")) or NEUTRAL


def small_order_encodings() -> set[bytes]:
    """Return every 32 bytes that decode to a point of order 1, 2, 4 or 8."""
    torsion: set[Point] = set()
    y = 2
    while len(torsion) < 8:
        point = decompress(y.to_bytes(32, "little"))
        if point is not None:
            torsion |= {point.times(ORDER).times(step) for step in range(8)}
        y += 1
    found = set()
    for point in torsion:
        for number in (point.y, point.y + P):
            if number < 2**255:
                signs = (point.x % 2,) if point.x else (0, 1)
                found |= {(number | sign << 255).to_bytes(32, "little") for sign in signs}
    return found


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """True if the signature holds. Source: RFC 8032 section 5.1.7."""
    key, commitment = decompress(public_key), decompress(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= ORDER:
        return False
    hashed = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(hashed, "little") % ORDER
    return BASE.times(scalar) == commitment + key.times(challenge)
