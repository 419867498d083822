"""A chain of entries: whole or broken, cut or not, and what leaves a device."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import audit
from protocol.audit import ORIGIN, AuditEntry, AuditHead, AuditLog, AuditReader
from protocol.canonical import encode
from protocol.errors import MalformedError, RemoteProtocolError, TamperedError

NODE = bytes(range(16))
EVENTS = st.tuples(
    st.integers(0, 2**47), st.sampled_from(("bundles_quota", "wipe")), st.sampled_from((b"", NODE))
)


def made(count: int, base: AuditHead = ORIGIN) -> AuditLog:
    """Return a log of `count` entries behind `base`."""
    entries: list[AuditEntry] = []
    head = base
    for number in range(count):
        entry = audit.chained(head, 1_000 + number, "peers_refused", NODE, number + 1)
        entries.append(entry)
        head = AuditHead(entry.number, entry.hash)
    return AuditLog(NODE, base, tuple(entries))


def exported(log: AuditLog) -> bytes:
    return b"".join(audit.encode_log(log))


def read(content: bytes, piece: int = 1_000) -> AuditLog:
    reader = AuditReader()
    for start in range(0, len(content), piece):
        reader.feed_untrusted(content[start : start + piece])
    return reader.finish_untrusted()


@given(st.lists(EVENTS, max_size=8), st.integers(1, 300))
def test_a_log_comes_back_from_its_export(events: list[tuple[int, str, bytes]], piece: int) -> None:
    head, found = ORIGIN, []
    for at_ms, event, node in events:
        found.append(audit.chained(head, at_ms, event, node, 1))
        head = AuditHead(found[-1].number, found[-1].hash)
    entries = tuple(found)
    log = AuditLog(NODE, ORIGIN, entries)
    assert read(exported(log), piece) == log
    assert audit.verify(log.base, log.entries) == log.head


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize(
    "change",
    [
        {"number": 9},
        {"at_ms": 5},
        {"event": "wipe"},
        {"node": b""},
        {"count": 7},
        {"hash": bytes(32)},
    ],
)
def test_a_changed_entry_breaks_the_chain(place: int, change: dict[str, object]) -> None:
    log = made(4)
    entries = list(log.entries)
    entries[place] = replace(entries[place], **change)  # type: ignore[arg-type]
    with pytest.raises(TamperedError, match=f"entry {place + 1}$"):
        audit.verify(log.base, entries)


def test_an_entry_can_be_neither_taken_out_nor_moved_nor_doubled() -> None:
    log = made(4)
    one, two, three, four = log.entries
    for order in ((one, three, four), (one, three, two, four), (one, two, two), (two, three)):
        with pytest.raises(TamperedError):
            audit.verify(log.base, order)
    # What is cut off the end shows against a head alone.
    assert audit.verify(log.base, (one, two)).number == 2


def test_a_cut_log_contradicts_the_head_that_was_sent() -> None:
    log = made(6)
    head = AuditHead(4, log.entries[3].hash)
    audit.check_head(log, head)
    audit.check_head(log, log.head)
    audit.check_head(replace(log, entries=log.entries[:4]), head)
    with pytest.raises(TamperedError, match="was cut: it ends at entry 3"):
        audit.check_head(replace(log, entries=log.entries[:3]), head)
    with pytest.raises(TamperedError, match="entry 4"):
        audit.check_head(made(6), AuditHead(4, bytes(32)))


def test_a_head_older_than_what_is_left_proves_nothing() -> None:
    whole = made(6)
    base = AuditHead(3, whole.entries[2].hash)
    log = AuditLog(NODE, base, whole.entries[3:])
    assert audit.verify(log.base, log.entries) == whole.head
    audit.check_head(log, AuditHead(2, bytes(32)))
    audit.check_head(log, base)
    with pytest.raises(TamperedError):
        audit.check_head(log, AuditHead(3, bytes(32)))
    assert AuditLog(NODE, base, ()).head == base


def test_a_head_is_read_as_it_was_written() -> None:
    head = AuditHead(2**64 - 1, bytes(range(32)))
    assert audit.decode_head_untrusted(audit.encode_head(head)) == head


@given(st.binary(max_size=80))
def test_any_bytes_are_a_head_or_refused(body: bytes) -> None:
    try:
        head = audit.decode_head_untrusted(body)
    except RemoteProtocolError:
        return
    assert audit.encode_head(head) == body


def test_a_cut_export_is_refused() -> None:
    content = exported(made(3))
    whole = [each for each in range(len(content)) if _is_whole(content[:each])]
    # At the borders of entries a shorter log is whole, and the head tells.
    assert len(whole) == 3
    with pytest.raises(MalformedError, match="no audit log"):
        read(b"MESHSTK1" + content[8:])
    with pytest.raises(MalformedError, match="too long"):
        read(content[:8] + b"\xff\xff" + content[10:])


def _is_whole(content: bytes) -> bool:
    try:
        read(content)
    except (MalformedError, TamperedError):
        return False
    return True


def test_every_flipped_bit_of_an_export_is_refused() -> None:
    content = exported(made(2))
    node = content.index(NODE)
    for bit in range(8 * len(content)):
        raw = bytearray(content)
        raw[bit // 8] ^= 1 << bit % 8
        if node <= bit // 8 < node + 16:
            # Whose log it is, the seal and the head tell.
            assert read(bytes(raw)).node != NODE
            continue
        with pytest.raises((RemoteProtocolError, TamperedError)):
            read(bytes(raw))


@pytest.mark.parametrize(
    "record",
    [
        [0, 1, b"e", b"", 1, bytes(32)],
        [1, 1, b"e", b"short", 1, bytes(32)],
        [1, 1, b"e", b"", 0, bytes(32)],
        [1, 1, b"\xff", b"", 1, bytes(32)],
        [1, 1, b"e" * 65, b"", 1, bytes(32)],
        [1, 1, b"e", b"", 1],
    ],
)
def test_an_odd_entry_is_refused(record: list[int | bytes]) -> None:
    raw = encode(record)
    with pytest.raises(RemoteProtocolError):
        read(exported(made(0)) + len(raw).to_bytes(2, "big") + raw)


def test_no_log_has_more_entries_than_a_device_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "AUDIT_ROWS_MAX", 3)
    assert len(read(exported(made(3))).entries) == 3
    with pytest.raises(MalformedError, match="more entries"):
        read(exported(made(4)))
