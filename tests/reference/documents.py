"""Authority documents, read slowly by the page alone. Source: wire-format 7."""

from __future__ import annotations

from tests.reference import codec
from tests.reference.codec import Record

__all__ = ["read_document"]


def read_document(data: bytes) -> dict[str, Record]:
    """Read an authority document; no signature is checked. Source: wire-format 7.1 and 7.2."""
    codec.demand(len(data) <= 60_000, "7.1 size")
    outer = codec._fields(codec.read_record(data), 2, "7.1 two parts")
    signed = codec._fields(
        codec.read_record(codec._bin(outer[0], 0, 60_000, "7.1 signed")), 7, "7.1 seven fields"
    )
    codec.demand(signed[0] == 1, "1.2 version")
    for signature in codec._many(outer[1], 1, 16, "7.1 signatures"):
        signer, mark = codec._fields(signature, 2, "7.1 a signature")
        codec._bin(signer, 8, 8, "7.2 signer")
        codec._bin(mark, 0, 3_309, "7.1 signature bytes")
    codec._uint(signed[1], 1, 7, "7.1 class")
    codec._bin(signed[2], 0, 32, "7.1 scope")
    codec._uint(signed[3], 1, 2**64 - 1, "7.1 epoch")
    codec._uint(signed[4], 1, 2**64 - 1, "7.1 version")
    codec._uint(signed[5], 0, 2**64 - 1, "7.1 issued_ms")
    codec._bin(signed[6], 0, 60_000, "7.1 body")
    names = ("class", "scope", "epoch", "version", "issued_ms", "body")
    return dict(zip(names, signed[1:], strict=True)) | {"signatures": outer[1]}
