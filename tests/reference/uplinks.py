"""Claims of uplinks, read slowly by the page alone. Source: wire-format 4.20."""

from __future__ import annotations

from tests.reference.codec import Record, RefusedError, demand, read_record

__all__ = ["read_uplink"]


def read_uplink(data: bytes) -> Record:
    """Read the body of a claim."""
    demand(len(data) <= 64, "4.20 size")
    record = read_record(data)
    if not isinstance(record, tuple) or len(record) != 5:
        raise RefusedError("4.20 fields")
    demand(record[0] == 1, "1.2 version")
    uplink = record[1]
    if not isinstance(uplink, bytes) or len(uplink) not in (0, 16):
        raise RefusedError("4.20 uplink")
    hops = _number(record[2], 3, "4.20 hops")
    since_ms = _number(record[3], 2**48 - 1, "4.20 since_ms")
    points = _number(record[4], 1_000, "4.20 score")
    demand(bool(uplink) is bool(since_ms), "4.20 since_ms of nobody")
    demand(bool(uplink) or hops == 0, "4.20 hops to nobody")
    demand(not uplink or hops > 0 or points > 0, "4.20 an office reaches a gateway")
    return record


def _number(value: Record, most: int, clause: str) -> int:
    if not isinstance(value, int) or not 0 <= value <= most:
        raise RefusedError(clause)
    return value
