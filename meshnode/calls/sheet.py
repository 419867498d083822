"""The calls about reflex sheets and documents that are shown, in plain values, for `Api`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from meshnode.calls.base import Calls, Json
from meshnode.errors import SendError
from meshnode.language import LANGUAGES, spoken
from meshnode.outside_files import write_new
from meshnode.services.sheet_folder import read_folder
from meshnode.services.sheets import SheetState
from meshnode.viewer.document import LEFT_OUT, Document
from meshnode.viewer.reading import read_document_untrusted
from meshnode.viewer.shown import to_html, to_text
from protocol.attachments import Media
from protocol.errors import RemoteProtocolError
from protocol.sheets import Sheet, SheetForm

__all__ = ["SheetCalls"]

_FOUND_MAX: Final = 50


class SheetCalls(Calls):
    """What people may ask of sheets."""

    async def sheets(self) -> Json:
        """Return the sheets that may be opened here, by name. Raises: StoreError, LockedError."""
        found = await self._node.sheets.states()
        return {
            "version": await self._node.sheets.version(),
            "sheets": [_told(each) for each in found],
        }

    async def sheets_search(self, words: str) -> list[Json]:
        """Return the sheets that hold every word, the nearest first. Raises: StoreError."""
        found = await self._node.sheet_search.search(words, _FOUND_MAX)
        return [{**_told(each.state), "score": round(each.score, 2)} for each in found]

    async def sheet(self, name: str) -> Json:
        """Return a sheet with its text.

        Raises: SendError (`unknown_sheet`, `retracted`, `not_whole`, `unreadable`), StoreError.
        """
        sheet, document = await self._sheet(name)
        return {
            "name": sheet.name,
            "version": sheet.version,
            "title": sheet.title,
            "left_out": dict(document.left_out),
            "text": to_text(document),
        }

    async def sheet_html(self, name: str, path: str, language: str = "fr") -> Json:
        """Write a sheet as one page of HTML to a new file, or into that folder.

        The page lies open on the disk and does not go when the sheet is retracted; `language` is
        that of its notes, `fr` or `en`. Raises: as `sheet`, and SendError (`file`).
        """
        sheet, page = await self._page(name, language)
        return await self._write_page(Path(path), f"{sheet.name}.html", page)

    async def sheet_page(self, name: str, language: str = "fr") -> str:
        """Return a sheet as one page of HTML that loads and runs nothing. Raises: as `sheet`."""
        return (await self._page(name, language))[1]

    async def sheets_publish(self, folder: str) -> Json:
        """Add the documents of a folder to the pack of the zone, or replace those of their names.

        Raises: SendError (`no_right`, `no_zone_key`, `sheets_folder`, `sheet_file`,
        `sheets_full`), QuotaError, StoreError.
        """
        found = await self._node.runtime.run_blocking(read_folder, Path(folder))
        done = await self._node.sheets.publishing.publish(found)
        await self._node.settle()
        return {
            "version": done.version,
            "added": list(done.added),
            "replaced": list(done.replaced),
            "unchanged": list(done.unchanged),
        }

    async def sheet_retract(self, name: str) -> Json:
        """Retract a sheet everywhere, for good.

        Raises: SendError (`no_right`, `unknown_sheet`), QuotaError, StoreError.
        """
        version = await self._node.sheets.publishing.retract(name)
        await self._node.settle()
        return {"name": name, "version": version}

    async def file_view(self, file: str, path: str = "", language: str = "fr") -> Json:
        """Return the text of a whole ODT or ODS file that came with a message.

        With `path` it is written there as one page of HTML. Raises: SendError (`unknown_file`,
        `not_whole`, `not_shown`, `unreadable`, `file`), StoreError.
        """
        attachments = self._node.attachments
        record = await attachments.by_name(file)
        if record.media not in (Media.ODT, Media.ODS):
            raise SendError("not_shown", "only ODT and ODS files are shown: save this one")
        raw = await attachments.content(record.key)
        document = await self._read(raw, SheetForm.ODF)
        name = record.manifest.name
        told = {"name": name, "left_out": dict(document.left_out)}
        if not path:
            return {**told, "text": to_text(document)}
        page = to_html(document, document.title or name, _left_out(document, language))
        return {**told, **await self._write_page(Path(path), f"{name}.html", page)}

    async def _page(self, name: str, language: str) -> tuple[Sheet, str]:
        sheet, document = await self._sheet(name)
        words = "Sheet {name}, version {version}."
        note = spoken(_known(language), words, name=sheet.name, version=sheet.version)
        notes = [note, *_left_out(document, language)]
        return sheet, to_html(document, sheet.title, notes)

    async def _sheet(self, name: str) -> tuple[Sheet, Document]:
        sheet, raw = await self._node.sheets.read(name)
        return sheet, await self._read(raw, sheet.form)

    async def _read(self, raw: bytes, form: SheetForm) -> Document:
        try:
            return await self._node.runtime.run_blocking(read_document_untrusted, raw, form)
        except RemoteProtocolError as error:
            raise SendError("unreadable", f"this document cannot be shown: {error}") from error

    async def _write_page(self, target: Path, name: str, page: str) -> Json:
        try:
            written = await self._node.runtime.run_blocking(_write_page, target, name, page)
        except OSError as error:
            raise SendError("file", f"cannot write {target}: {error.strerror}") from error
        return {"path": str(written)}


def _write_page(target: Path, name: str, page: str) -> Path:
    path, file = write_new(target, name)
    with file:
        file.write(page.encode())
    return path


def _known(language: str) -> str:
    """Return the language of a page: French where another one is asked for."""
    return language if language in LANGUAGES else "fr"


def _left_out(document: Document, language: str) -> list[str]:
    """Return what a page does not show of a document, one sentence each."""
    return [
        spoken(_known(language), LEFT_OUT[each], count=count)
        for each, count in document.left_out.items()
    ]


def _told(state: SheetState) -> Json:
    sheet = state.record.sheet
    have_bytes = sum(sheet.piece_bytes(n) for n in range(min(state.have, sheet.chunk_count)))
    return {
        "name": sheet.name,
        "version": sheet.version,
        "title": sheet.title,
        "language": sheet.language,
        "keywords": list(sheet.keywords),
        "form": sheet.form.name.lower(),
        "size_bytes": sheet.size_bytes,
        "have_bytes": have_bytes,
        "is_whole": state.is_whole,
        "is_own": state.record.is_own,
    }
