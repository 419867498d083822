"""The inputs of vectors about attached files. Source: wire-format 4.23."""

from __future__ import annotations

from collections.abc import Iterator

from protocol import envelope
from protocol.canonical import Value, encode
from tests.vectors.seeds import NODE, SEED, Case, accepted, refused

__all__ = ["again_cases", "chunk_cases", "manifest_cases"]

_JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffc0000b080010001001011100")
"""The head of a picture of 16 pixels each way."""


def manifest_cases(scope: bytes) -> Iterator[Case]:
    """Messages with a file: manifests at their bounds, and each lie that one can tell."""

    def item(manifest: Value) -> dict[str, str]:
        padded = envelope.pad(encode((1, 7, NODE, scope, b"see", manifest)))
        return {"padded": padded.hex(), "author": NODE.hex(), "scope": scope.hex()}

    fields = (b"plan.pdf", 3, 70_000, bytes(32), SEED, 32_768, b"")
    for what, manifest in {
        "a file": fields,
        "the largest file, in the fewest chunks": (
            *fields[:2],
            52_428_800,
            *fields[3:5],
            61_440,
            b"",
        ),
        "a thumbnail": (*fields[:6], _JPEG),
    }.items():
        yield accepted("4.23", what, item(manifest))
    for what, manifest in {
        "a path": (b"a/b.pdf", *fields[1:]),
        "no name": (b"", *fields[1:]),
        "a name of a device": (b"CON.pdf", *fields[1:]),
        "a name that is turned around": ("a\u202efdp.exe".encode(), *fields[1:]),
        "a name with a dot before it": (b".bashrc", *fields[1:]),
        "a file of a terabyte": (*fields[:2], 2**40, *fields[3:]),
        "an empty file": (*fields[:2], 0, *fields[3:]),
        "chunks of a byte": (*fields[:5], 1, b""),
        "too many chunks": (*fields[:2], 52_428_800, *fields[3:5], 16_384, b""),
        "a short key": (*fields[:4], SEED[:31], *fields[5:]),
        "a thumbnail that is no JPEG": (*fields[:6], b"GIF89a"),
        "a thumbnail of 60,000 pixels": (
            *fields[:6],
            _JPEG.replace(b"\0\x10\0\x10", b"\xea\x60" * 2),
        ),
        "a thumbnail of 6,001 bytes": (*fields[:6], _JPEG + bytes(6_001 - len(_JPEG))),
    }.items():
        yield refused("4.23", what, item(manifest))


def again_cases(scope: bytes) -> Iterator[Case]:
    """Messages with a file that are sent again, and origins that are none."""
    manifest = (b"plan.pdf", 3, 70_000, bytes(32), SEED, 32_768, b"")

    def item(*origin: Value) -> dict[str, str]:
        padded = envelope.pad(encode((1, 7, NODE, scope, b"see", manifest, *origin)))
        return {"padded": padded.hex(), "author": NODE.hex(), "scope": scope.hex()}

    yield accepted("4.37", "the file of an earlier message", item(7, 1, scope, 1))
    yield accepted("4.37", "at its bounds", item(2**32 - 1, 2**64 - 1, scope, 2**48 - 1))
    yield refused("4.37", "of message 0", item(7, 0, scope, 1))
    yield refused("4.37", "without a scope", item(7, 1, b"", 1))
    yield refused("4.37", "with half an origin", item(7, 1))
    yield refused("4.37", "with a field too many", item(7, 1, scope, 1, 1))


def chunk_cases() -> Iterator[Case]:
    """Names of files, and keys of their chunks."""
    for incarnation, seq, index in ((0, 1, 0), (2**32 - 1, 2**64 - 1, 2_047)):
        item = {
            "key": SEED.hex(),
            "author": NODE.hex(),
            "incarnation": incarnation,
            "seq": seq,
            "index": index,
        }
        yield accepted("4.23", f"chunk {index} in bundle {incarnation}.{seq}", item)
