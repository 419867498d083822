"""A sealed stream is whole or refused: at every length, cut, swap and changed bit."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.dump import explain_file
from meshnode.errors import BackupError
from meshnode.vault import sealed_stream as module
from meshnode.vault.sealed_stream import MAGIC, StreamReader, StreamWriter, check_backup_passphrase
from protocol.canonical import Value, encode
from protocol.guards import (
    AGENT_ITERATIONS_MAX,
    AGENT_LANES_MAX,
    AGENT_MEMORY_KIB_MAX,
    BACKUP_CHUNK_BYTES,
    SECRET_CHARACTERS_MAX,
)
from tests.meshnode.enrolling import CHEAP

PASSPHRASE = "five words for a backup"
CHUNK = 16
SEALED = CHUNK + 16


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make chunks so small that a test sees many."""
    monkeypatch.setattr(module, "BACKUP_CHUNK_BYTES", CHUNK)


def sealed(*parts: bytes) -> bytes:
    file = io.BytesIO()
    writer = StreamWriter(file, PASSPHRASE, os.urandom, CHEAP)
    for part in parts:
        writer.write(part)
    writer.finish()
    return file.getvalue()


def opened(raw: bytes, *sizes: int) -> bytes:
    reader = StreamReader(io.BytesIO(raw), PASSPHRASE)
    found = b"".join(reader.read(size) for size in sizes)
    reader.expect_end()
    return found


def head_bytes(raw: bytes) -> int:
    return len(MAGIC) + 2 + int.from_bytes(raw[len(MAGIC) : len(MAGIC) + 2], "big")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("length", range(3 * CHUNK + 2))
def test_every_length_comes_back(length: int) -> None:
    data = os.urandom(length)
    raw = sealed(data[: length // 3], data[length // 3 :])
    assert opened(raw, length // 2, length - length // 2) == data
    chunks = max(1, -(-length // CHUNK))
    assert len(raw) == head_bytes(raw) + length + 16 * chunks


@given(st.lists(st.binary(max_size=600_000), max_size=3))
def test_chunks_of_the_real_size(parts: list[bytes]) -> None:
    assert BACKUP_CHUNK_BYTES < 600_000
    assert opened(sealed(*parts), *map(len, parts)) == b"".join(parts)


@pytest.mark.usefixtures("small")
def test_every_cut_is_refused() -> None:
    raw = sealed(bytes(4 * CHUNK))
    for length in range(len(raw)):
        with pytest.raises(BackupError):
            opened(raw[:length], 4 * CHUNK)


@pytest.mark.usefixtures("small")
def test_every_changed_bit_behind_the_header_is_refused() -> None:
    raw = sealed(bytes(2 * CHUNK + 3))
    for place in range(head_bytes(raw), len(raw)):
        for bit in range(8):
            changed = bytearray(raw)
            changed[place] ^= 1 << bit
            with pytest.raises(BackupError) as refused:
                opened(bytes(changed), 2 * CHUNK + 3)
            assert refused.value.reason == "damaged"


@pytest.mark.usefixtures("small")
def test_chunks_that_were_swapped_left_out_repeated_or_of_another_file_are_refused() -> None:
    raw, other = sealed(bytes(3 * CHUNK)), sealed(bytes(3 * CHUNK))
    start = head_bytes(raw)
    head, one, two, three = (
        raw[:start],
        raw[start : start + SEALED],
        raw[start + SEALED : start + 2 * SEALED],
        raw[start + 2 * SEALED :],
    )
    assert opened(head + one + two + three, 3 * CHUNK) == bytes(3 * CHUNK)
    for bad in (
        head + two + one + three,
        head + one + three,
        head + one + two,
        head + one + one + two + three,
        head + one + two + three + three,
        head + one + other[start + SEALED :],
        head + other[start:],
        other[:start] + raw[start:],
    ):
        with pytest.raises(BackupError):
            opened(bad, 3 * CHUNK)


def test_what_is_left_unread_is_a_fault() -> None:
    with pytest.raises(BackupError):
        opened(sealed(b"abc"), 2)


def test_a_header_that_asks_for_too_much_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_stretch", None)
    good: list[Value] = [1, bytes(16), 64, 1, 1, bytes(7), bytes(16)]
    changes: tuple[tuple[int, Value], ...] = (
        (0, 2),
        (1, bytes(15)),
        (2, AGENT_MEMORY_KIB_MAX + 1),
        (2, 7),
        (3, AGENT_ITERATIONS_MAX + 1),
        (3, 0),
        (4, AGENT_LANES_MAX + 1),
        (4, 0),
        (5, bytes(8)),
        (6, bytes(17)),
    )
    for place, value in changes:
        header = encode([*good[:place], value, *good[place + 1 :]])
        with pytest.raises(BackupError) as refused:
            StreamReader(io.BytesIO(MAGIC + len(header).to_bytes(2, "big") + header), PASSPHRASE)
        assert refused.value.reason == "damaged"
    with pytest.raises(BackupError):
        StreamReader(io.BytesIO(MAGIC + b"\xff\xff" + bytes(70_000)), PASSPHRASE)
    with pytest.raises(BackupError) as refused:
        StreamReader(io.BytesIO(b"SQLite format 3\0"), PASSPHRASE)
    assert refused.value.reason == "no_backup"


def test_two_forms_of_one_letter_are_one_passphrase() -> None:
    file = io.BytesIO()
    StreamWriter(file, "e\u0301toile du matin", os.urandom, CHEAP).finish()
    file.seek(0)
    StreamReader(file, "\u00e9toile du matin").expect_end()


def test_no_nonce_comes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNKS_MAX", 2)
    monkeypatch.setattr(module, "BACKUP_CHUNK_BYTES", CHUNK)
    sealed(bytes(2 * CHUNK))
    with pytest.raises(BackupError, match="more than one backup"):
        sealed(bytes(2 * CHUNK + 1))


@pytest.mark.parametrize("length", [11, SECRET_CHARACTERS_MAX + 1])
def test_a_passphrase_has_bounds(length: int) -> None:
    with pytest.raises(BackupError):
        check_backup_passphrase("x" * length)
    check_backup_passphrase("x" * 12)
    check_backup_passphrase("x" * SECRET_CHARACTERS_MAX)


def test_a_backup_tells_without_its_passphrase_only_how_it_is_sealed(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(sealed(bytes(BACKUP_CHUNK_BYTES + 5)))
    found = explain_file(tmp_path / "b")
    assert (found["what"], found["chunks"], found["content_bytes"]) == (
        "backup",
        2,
        BACKUP_CHUNK_BYTES + 5,
    )
    assert (found["memory_kib"], found["iterations"], found["lanes"]) == (64, 1, 1)
