"""Reads a folder of documents to be published as reflex sheets; each is opened once, to be sure.

What agents could not read is refused here, where somebody can mend it. Blocking: called in a
thread. Source: wire-format 13, decision 35.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from meshnode.errors import SendError
from meshnode.outside_files import open_picked
from meshnode.services.sheet_publishing import NewSheet
from meshnode.viewer.document import Document, Heading
from meshnode.viewer.reading import read_document_untrusted
from protocol.errors import RemoteProtocolError
from protocol.sheet_bounds import (
    SHEET_BYTES_MAX,
    SHEET_KEYWORD_BYTES_MAX,
    SHEET_KEYWORDS_MAX,
    SHEET_TITLE_BYTES_MAX,
    SHEETS_BYTES_MAX,
    SHEETS_MAX,
)
from protocol.sheets import SheetForm, is_sheet_line, sheet_name

__all__ = ["read_folder"]

_FORMS: Final = {
    ".odt": SheetForm.ODF,
    ".ods": SheetForm.ODF,
    ".md": SheetForm.MARKDOWN,
    ".txt": SheetForm.TEXT,
}


def read_folder(folder: Path) -> list[NewSheet]:
    """Return the sheets of a folder, by name; what is hidden or lies in folders is passed over.

    Raises: SendError (`sheets_folder`, `sheet_file`, `sheets_full`).
    """
    try:
        paths = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    except OSError as error:
        raise SendError("sheets_folder", f"cannot read {folder}: {error.strerror}") from error
    picked = [each for each in paths if each.suffix.lower() in _FORMS and each.is_file()]
    if not picked:
        raise SendError("sheets_folder", f"{folder} holds no ODT, ODS, MD or TXT file")
    if len(picked) > SHEETS_MAX:
        raise SendError("sheets_full", f"a pack has at most {SHEETS_MAX} sheets")
    found: dict[str, NewSheet] = {}
    size_bytes = 0
    for path in picked:
        sheet = _read(path)
        size_bytes += len(sheet.raw)
        if size_bytes > SHEETS_BYTES_MAX:
            raise SendError("sheets_full", "a pack has at most 20 MB: publish fewer sheets")
        if sheet.name in found:
            raise SendError(
                "sheet_file", f"two files give the sheet '{sheet.name}': rename one of them"
            )
        found[sheet.name] = sheet
    return list(found.values())


def _read(path: Path) -> NewSheet:
    try:
        with open_picked(path) as file:
            raw = file.read(SHEET_BYTES_MAX + 1)
    except OSError as error:
        raise SendError("sheet_file", f"cannot read {path}: {error.strerror}") from error
    if not 0 < len(raw) <= SHEET_BYTES_MAX:
        raise SendError("sheet_file", f"{path.name} is empty or has more than 8 MB")
    form = _FORMS[path.suffix.lower()]
    try:
        document = read_document_untrusted(raw, form)
    except RemoteProtocolError as error:
        raise SendError("sheet_file", f"{path.name} cannot be shown: {error}") from error
    keywords = (_line(each, SHEET_KEYWORD_BYTES_MAX) for each in document.keywords)
    return NewSheet(
        sheet_name(path.stem),
        _title(document, path.stem),
        document.language,
        tuple(each for each in keywords if each)[:SHEET_KEYWORDS_MAX],
        form,
        raw,
    )


def _title(document: Document, stem: str) -> str:
    """Return what a sheet calls itself, or its first heading, or the name of its file."""
    return next(
        filter(None, (_line(each, SHEET_TITLE_BYTES_MAX) for each in _titles(document, stem)))
    )


def _titles(document: Document, stem: str) -> Iterator[str]:
    yield document.title
    for block in document.blocks:
        if isinstance(block, Heading):
            yield "".join(span.text for span in block.spans)
            break
    yield stem
    yield sheet_name(stem)


def _line(text: str, bytes_max: int) -> str:
    """Return text as one line that prints, cut at `bytes_max`; empty if nothing is left."""
    plain = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    cut = plain.encode("utf-8", "ignore")[:bytes_max].decode("utf-8", "ignore").strip()
    return cut if is_sheet_line(cut, bytes_max) else ""
