"""A receipt, read bit by bit from its page: slow and obvious. Source: wire-format 4.12."""

from __future__ import annotations

from tests.reference.codec import Record, demand

__all__ = ["read_receipt"]


def read_receipt(data: bytes) -> Record:
    """Read the body of a receipt. Source: wire-format 4.12."""
    demand(14 <= len(data) <= 219, "4.12 size")
    demand(data[0] == 2, "1.2 version")
    bits = [byte >> 7 - place & 1 for byte in data[13:] for place in range(8)]
    numbers: list[int] = []
    while any(bits):
        zeros = bits.index(1)
        code, bits = bits[zeros : 2 * zeros + 1], bits[2 * zeros + 1 :]
        demand(len(code) == zeros + 1, "4.12 a whole code")
        numbers.append(sum(bit << zeros - at for at, bit in enumerate(code)))
    demand(len(bits) < 8, "4.12 fill")
    demand(len(numbers) >= 3 and len(numbers) % 2 == 1, "4.12 page and runs")
    demand(numbers[0] - 1 < 2**54, "4.12 page")
    runs: list[Record] = []
    here = -1
    for gap, count in zip(numbers[1::2], numbers[2::2], strict=True):
        here += gap
        runs.append((here, count))
        here += count
    demand(here <= 1_024, "4.12 beyond the page")
    incarnation = int.from_bytes(data[1:5], "big")
    return (incarnation, numbers[0] - 1, tuple(runs), data[5:13])
