"""The lines of a file with their numbers, within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sims.contacts import FILE_BYTES_MAX, TraceError

__all__ = ["numbered_lines"]

_LINE_BYTES_MAX: Final = 10_000
"""Of one line: many times what any of the formats needs."""


def numbered_lines(path: Path, *, is_text: bool = True) -> Iterator[tuple[int, str]]:
    """Yield each line without its end, and its number from 1; empty lines too.

    `is_text` asks for UTF-8; without it every byte is taken as a character, so that a damaged line
    of a log can be told from its neighbours. Raises: TraceError that names the file or the line.
    """
    read_bytes = 0
    try:
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(_LINE_BYTES_MAX + 1):
                number += 1
                read_bytes += len(raw)
                _check_size(raw, read_bytes, path, number)
                yield number, _text(raw, is_text, path, number).rstrip("\r\n")
    except OSError as error:
        raise TraceError(str(path), f"cannot be read: {error.strerror}") from error


def _check_size(raw: bytes, read_bytes: int, path: Path, number: int) -> None:
    if len(raw) > _LINE_BYTES_MAX:
        raise TraceError(f"{path} line {number}", f"has more than {_LINE_BYTES_MAX} bytes")
    if read_bytes > FILE_BYTES_MAX:
        raise TraceError(str(path), f"has more than {FILE_BYTES_MAX} bytes")


def _text(raw: bytes, is_text: bool, path: Path, number: int) -> str:
    if not is_text:
        return raw.decode("latin-1")
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise TraceError(f"{path} line {number}", "is not text in UTF-8") from error
