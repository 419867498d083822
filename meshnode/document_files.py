"""Authority documents in a file of text, for a node to write and to take in.

The node itself reads and writes the file, because documents may be larger than what a control
line carries. What a document is worth is judged by the membership. Source: wire-format 8.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from meshnode.stick import StickError
from protocol.armour import TextForm
from protocol.authority import DocumentClass, decode_untrusted
from protocol.enrolment import decode_documents_untrusted, encode_documents
from protocol.errors import LimitExceededError, MalformedError
from protocol.limits import ANSWER_DOCUMENTS_MAX

__all__ = ["read_documents", "write_documents"]

_URGENT = (
    DocumentClass.ROOT,
    DocumentClass.REVOCATION,
    DocumentClass.WIPE,
    DocumentClass.BEACON,
    DocumentClass.ROSTER,
    DocumentClass.PASS,
    DocumentClass.ERASURE,
)


def write_documents(path: Path, raws: Sequence[bytes]) -> int:
    """Write documents to `path`, the most urgent first; return how many.

    A text holds 1,024; of more, rosters and proofs of other zones stay behind.
    Raises: StickError.
    """
    ordered = sorted(raws, key=lambda raw: _URGENT.index(decode_untrusted(raw).cls))
    chosen = ordered[:ANSWER_DOCUMENTS_MAX]
    try:
        path.write_text(f"{encode_documents(chosen)}\n", encoding="utf-8")
    except OSError as error:
        raise StickError(f"{path} cannot be written: {error.strerror}") from error
    return len(chosen)


def read_documents(path: Path) -> tuple[bytes, ...]:
    """Return the documents in a file. Raises: StickError, MalformedError, LimitExceededError."""
    characters_max = 2 * TextForm.DOCUMENTS.bytes_max
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(characters_max + 1)
    except OSError as error:
        raise StickError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MalformedError("this file is no text of documents") from error
    if len(text) > characters_max:
        raise LimitExceededError("characters", characters_max, len(text))
    return decode_documents_untrusted(text)
