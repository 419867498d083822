"""A second reader of what a track says in clear, written from the wire format page alone."""

from __future__ import annotations

from tests.reference.codec import Record, demand, read_record

__all__ = ["read_track"]


def read_track(data: bytes) -> Record:
    """Return version, squad, opening, length and sealed part of a track. Source: 4.33."""
    demand(len(data) <= 64_700, "4.1 body")
    record = read_record(data)
    demand(isinstance(record, tuple) and len(record) == 5, "4.33 fields")
    assert isinstance(record, tuple)
    version, squad, opened_ms, length_ms, sealed = record
    demand(version == 1, "1.2 version")
    demand(isinstance(squad, bytes) and len(squad) == 8, "4.33 squad")
    demand(isinstance(opened_ms, int) and opened_ms < 2**48, "4.33 opened_ms")
    demand(isinstance(length_ms, int) and 0 < length_ms <= 12 * 3_600_000, "4.33 length_ms")
    demand(isinstance(sealed, bytes) and sealed != b"", "4.33 sealed")
    return record
