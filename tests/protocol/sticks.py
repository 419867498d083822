"""Sealed files for tests: written, read and cut in one call each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import count

from protocol.envelope import HpkeSealer, PrekeyRecord, PrekeySecret
from protocol.errors import (
    LimitExceededError,
    MalformedError,
    NoKeyError,
    TamperedError,
)
from protocol.limits import (
    STICK_CHUNK_BYTES,
)
from protocol.stick import (
    PREAMBLE_BYTES,
    StickHeader,
    StickReader,
    StickWriter,
    decode_header_untrusted,
    header_bytes_untrusted,
    open_file_key,
)

SEALER = HpkeSealer()
NOW_MS = 1_800_000_000_000
REFUSED = (MalformedError, LimitExceededError, TamperedError, NoKeyError)
SEALED_CHUNK = STICK_CHUNK_BYTES + 16


@cache
def prekey(number: int) -> tuple[PrekeySecret, PrekeyRecord]:
    """A prekey per number; making one is slow beside the rest."""
    return SEALER.make_prekey(NOW_MS + number)


def entropy(seed: int = 0) -> Callable[[int], bytes]:
    """Bytes that never repeat within a seed."""
    numbers = count()
    return lambda length: hashlib.shake_128(b"%d %d" % (seed, next(numbers))).digest(length)


def some_bytes(length: int) -> bytes:
    """Content without any pattern."""
    return hashlib.shake_128(b"content").digest(length)


def write(pieces: Iterable[bytes], recipients: Sequence[int] = (1,)) -> bytes:
    """Return a whole file of content that comes in `pieces`."""
    writer = StickWriter([prekey(number)[1] for number in recipients], SEALER, entropy())
    chunks = [chunk for piece in pieces for chunk in writer.feed(piece)]
    return b"".join([writer.preamble, *chunks, writer.finish()])


def read_header(file: bytes) -> StickHeader:
    length = header_bytes_untrusted(file[:PREAMBLE_BYTES])
    return decode_header_untrusted(file[PREAMBLE_BYTES : PREAMBLE_BYTES + length])


def read(file: bytes, recipient: int = 1, piece_bytes: int = 50_000) -> bytes:
    """Return the content of a file that is whole; feed it in pieces."""
    header = read_header(file)
    reader = StickReader(header, open_file_key(header, prekey(recipient)[0], SEALER))
    content = b""
    for start in range(PREAMBLE_BYTES + len(header.raw), len(file), piece_bytes):
        content += b"".join(reader.feed_untrusted(file[start : start + piece_bytes]))
    return content + reader.finish_untrusted()


def cut(file: bytes) -> tuple[bytes, list[bytes]]:
    """Return what comes before the chunks, and the chunks."""
    start = PREAMBLE_BYTES + len(read_header(file).raw)
    return file[:start], [
        file[place : place + SEALED_CHUNK] for place in range(start, len(file), SEALED_CHUNK)
    ]
