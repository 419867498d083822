"""What the archive holds of a person and a period, as a file for a judge.

A ZIP that any computer opens: `contents.jsonl` for people, `bundles/` as their authors signed them,
`manifest.json` with the hash of every file, the question and the reason, and `manifest.sig`, the
gateway's Ed25519 signature over `meshnode archive export 1`, a zero byte and the manifest's bytes.
It lies open: whoever asked for it answers for it. Source: decision 55.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from meshnode.errors import ArchiveError
from meshnode.files import writing_private
from meshnode.gateway.archive.records import Found
from protocol.errors import LimitExceededError, MalformedError
from protocol.ids import NodeId

__all__ = ["EXPORT_ROWS_MAX", "ClaimedExport", "export_untrusted", "hashes_hold", "write"]

EXPORT_ROWS_MAX: Final = 200_000
"""Bundles and contents of one file; a longer period goes into several."""
_DOMAIN: Final = b"meshnode archive export 1\0"
_MANIFEST: Final = "manifest.json"
_SIGNATURE: Final = "manifest.sig"
_CONTENTS: Final = "contents.jsonl"
_README: Final = "LISEZMOI.txt"
_MANIFEST_BYTES_MAX: Final = 64_000_000
_FILES_MAX: Final = EXPORT_ROWS_MAX + 8
_PIECE_BYTES: Final = 65_536
# RuntimeError: encrypted, compressed in a way that nobody here knows, or nested without end.
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError)
_WORDS: Final = """\
Extrait des archives d'une passerelle meshnode. / Extract of the archive of a meshnode gateway.

contents.jsonl   ce que le centre a pu lire, une ligne JSON par élément
                 what the centre could read, one JSON line each
bundles/         les messages tels que leurs auteurs les ont signés, chiffrés ou non
                 the bundles as their authors signed them, sealed or not
manifest.json    la demande, son motif et l'empreinte SHA-256 de chaque fichier
                 the question, its reason and the SHA-256 of every file
manifest.sig     signature Ed25519 (64 octets) par la passerelle, clé publique dans le manifeste,
                 de : meshnode archive export 1, un octet nul, puis manifest.json
                 Ed25519 signature (64 bytes) by the gateway, public key in the manifest, of:
                 meshnode archive export 1, a zero byte, then manifest.json

Vérifier / verify: meshnode gateway verify FILE
"""


@dataclass(frozen=True, slots=True)
class ClaimedExport:
    """A file as it claims to be."""

    manifest: Mapping[str, Any]
    """What it says."""
    gateway: NodeId
    """Who must have signed it."""
    message: bytes
    """What must have been signed."""
    signature: bytes
    """64 bytes."""
    hashes: Mapping[str, str]
    """SHA-256 of each file by its name, hexadecimal."""


def write(
    path: Path,
    question: Mapping[str, Any],
    contents: Iterable[tuple[Found, Mapping[str, Any]]],
    bundles: Sequence[Found],
    sign: Callable[[bytes], bytes],
) -> str:
    """Write the file, for its owner alone; return the hash of its manifest, hexadecimal.

    Each content comes with what is told of it. Raises: OSError, ArchiveError, LockedError.
    """
    with (
        writing_private(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        manifest = _fill(archive, question, contents, bundles)
        archive.writestr(_entry(_MANIFEST), manifest)
        archive.writestr(_entry(_SIGNATURE), sign(_DOMAIN + manifest))
    return hashlib.sha256(manifest).hexdigest()


def _fill(
    archive: zipfile.ZipFile,
    question: Mapping[str, Any],
    contents: Iterable[tuple[Found, Mapping[str, Any]]],
    bundles: Sequence[Found],
) -> bytes:
    """Write all but the manifest, which is returned."""
    hashes: dict[str, str] = {}

    def put(name: str, data: bytes) -> None:
        archive.writestr(_entry(name), data)
        hashes[name] = hashlib.sha256(data).hexdigest()

    put(_README, _WORDS.encode())
    lines = [json.dumps(told, ensure_ascii=False, sort_keys=True) for _found, told in contents]
    put(_CONTENTS, "".join(f"{line}\n" for line in lines).encode())
    for each in bundles:
        if each.raw is not None:
            put(f"bundles/{each.name}", each.raw)
    unreadable = sum(each.raw is None for each in bundles)
    manifest = {
        **question,
        "schema": 1,
        "contents": len(lines),
        "bundles": len(bundles) - unreadable,
        "unreadable": unreadable,
        "files": hashes,
    }
    return json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True).encode()


def _entry(name: str) -> zipfile.ZipInfo:
    # The same content gives the same bytes, whenever it is written.
    found = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    found.compress_type = zipfile.ZIP_DEFLATED
    found.external_attr = 0o600 << 16
    return found


# --- reading -----------------------------------------------------------------------------------


def export_untrusted(file: BinaryIO) -> ClaimedExport:
    """Return what a file claims; nothing proves it yet.

    Raises: MalformedError, LimitExceededError.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if len(archive.infolist()) > _FILES_MAX:
                raise LimitExceededError("files of an export", _FILES_MAX, len(archive.infolist()))
            manifest = _read(archive, _MANIFEST, _MANIFEST_BYTES_MAX)
            signature = _read(archive, _SIGNATURE, 64)
        told = json.loads(manifest)
        gateway, hashes = bytes.fromhex(told["gateway_id"]), told["files"]
        is_form = len(gateway) == 16 and len(signature) == 64 and isinstance(hashes, dict)
        if not is_form or not all(isinstance(each, str) for each in hashes.values()):
            raise MalformedError("this file is no export of an archive")
    except (*_BROKEN, KeyError, TypeError, AttributeError) as error:
        raise MalformedError("this file is no export of an archive") from error
    return ClaimedExport(told, NodeId(gateway), _DOMAIN + manifest, signature, hashes)


def hashes_hold(file: BinaryIO, claimed: ClaimedExport) -> None:
    """Raises: ArchiveError unless every file of an export is there and as its manifest says."""
    with zipfile.ZipFile(file) as archive:
        names = {each.filename for each in archive.infolist()} - {_MANIFEST, _SIGNATURE}
        if names != set(claimed.hashes):
            raise ArchiveError("this export was changed: a file of it is missing, or too many")
        for name, wanted in claimed.hashes.items():
            try:
                found = _hash_of(archive, name)
            except _BROKEN as error:
                raise ArchiveError(f"this export was changed: {name} is damaged") from error
            if found != wanted:
                raise ArchiveError(f"this export was changed: {name} is another")


def _hash_of(archive: zipfile.ZipFile, name: str) -> str:
    digest = hashlib.sha256()
    with archive.open(name) as part:
        while piece := part.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _read(archive: zipfile.ZipFile, name: str, bytes_max: int) -> bytes:
    with archive.open(name) as file:
        raw = file.read(bytes_max + 1)
    if len(raw) > bytes_max:
        raise LimitExceededError(f"bytes of {name}", bytes_max, len(raw))
    return raw
