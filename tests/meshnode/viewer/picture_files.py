"""Pictures made by hand: what programs save, and what only a hostile one does."""

from __future__ import annotations

import struct
import zlib

__all__ = ["frame", "jpeg", "png", "segment"]


def chunk(name: bytes, body: bytes) -> bytes:
    """Return one chunk of a PNG."""
    check = zlib.crc32(name + body)
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", check)


def png(width: int = 2, height: int = 2, more: bytes = b"", data: bytes | None = None) -> bytes:
    """Return a grey PNG; `data` stands for what it claims to hold, `more` before it."""
    if data is None:
        data = zlib.compress((b"\0" + b"\x80" * width) * height)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    return start + more + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def segment(marker: int, body: bytes) -> bytes:
    """Return one segment of a JPEG."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def jpeg(width: int = 2, height: int = 2, before: bytes = b"", scans: int = 1) -> bytes:
    """Return a JPEG by its headers; `before` stands before its size."""
    size = segment(0xC0, struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\0")
    scan = segment(0xDA, b"\x01\x01\0\0\x3f\0") + b"\x12\x34"
    return b"\xff\xd8" + before + size + scan * scans + b"\xff\xd9"


def frame(*targets: str, words: str = "", more: str = "", name: str = "Image1") -> str:
    """Return a frame as office programs write it."""
    images = "".join(f'<draw:image xlink:href="{each}"/>' for each in targets)
    title = f"<svg:title>{words}</svg:title>" if words else ""
    return f'<draw:frame draw:name="{name}" svg:width="1in">{more}{images}{title}</draw:frame>'
