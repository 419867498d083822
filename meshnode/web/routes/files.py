"""Routes of files that go with messages; what is uploaded lies in memory, never on a disk."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Final
from urllib.parse import quote

import trio
from fastapi import Path
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from meshnode.web.answers import RefusedError, told
from meshnode.web.gate import Asked
from meshnode.web.limits import BODY_BYTES_MAX, FILE_BODY_BYTES_MAX
from meshnode.web.places import FilePlaces, Turn
from meshnode.web.roles import WebRole
from meshnode.web.routes.spec import Caller, Route

__all__ = ["ROUTES"]

_File = Annotated[str, Path(max_length=64)]
_FIELDS_MAX: Final = 4
_PIECE_BYTES: Final = 65_536
_TYPES: Final = {"jpeg": "image/jpeg", "png": "image/png", "pdf": "application/pdf"}
_BARE: Final = "default-src 'none'; sandbox"
"""What others wrote runs nothing, whatever it is."""


class _InMemory(MultiPartParser):
    """Keeps the file of a form in memory: it may hold what must not lie open on a disk."""

    spool_max_size = FILE_BODY_BYTES_MAX


async def _files(asked: Caller) -> Response:
    return told(files=await asked.api.files())


async def _file(asked: Caller, file: _File) -> Response:
    return told(**await asked.api.file(file))


async def _upload(request: Request, asked: Caller) -> Response:
    if "multipart/form-data" not in request.headers.get("content-type", ""):
        raise RefusedError("body", "a form with a file")
    async with _heavy(request):
        form = await _in_turn(request)
        try:
            file, texts = _taken(dict(form))
            found = await asked.api.send_upload(
                texts["to"],
                texts["text"],
                file.filename or "file",
                file.file,
                keep_place=texts["keep_place"] == "true",
            )
        finally:
            with trio.CancelScope(shield=True):
                await form.close()
    return told(**found)


async def _in_turn(request: Request) -> FormData:
    """Read a form as long as nobody waits for its place in vain. Raises: RefusedError."""
    with _heavy(request).transfer() as turn:
        form = await _form(request, turn)
    if turn.scope.cancelled_caught:
        request.app.state.parts.metrics.count("web_requests_shed")
        raise RefusedError("slow")
    return form


async def _form(request: Request, turn: Turn) -> FormData:
    """Read a form with at most one file. Raises: RefusedError."""
    async with aclosing(request.stream()) as raw, aclosing(_counted(raw, turn)) as stream:
        parser = _InMemory(
            request.headers,
            stream,
            max_files=1,
            max_fields=_FIELDS_MAX,
            max_part_size=BODY_BYTES_MAX,
        )
        try:
            return await parser.parse()
        except MultiPartException as error:
            raise RefusedError("body", "a form with one file") from error


async def _counted(stream: AsyncIterator[bytes], turn: Turn) -> AsyncGenerator[bytes, None]:
    async for piece in stream:
        turn.moved_bytes += len(piece)
        yield piece


def _taken(form: dict[str, Any]) -> tuple[UploadFile, dict[str, str]]:
    """Return the file of a form and its texts. Raises: RefusedError."""
    file = form.pop("file", None)
    texts = {"text": "", "keep_place": "false", **form}
    names = {"to", "text", "keep_place"}
    if not isinstance(file, UploadFile) or texts.keys() != names:
        raise RefusedError("body", "a form with file, to, text and keep_place")
    if not all(isinstance(each, str) and "\0" not in each for each in texts.values()):
        raise RefusedError("body", "a form with one file, and texts")
    return file, texts


def _heavy(request: Request) -> FilePlaces:
    """Return what a request holds that has a whole file in memory."""
    heavy: FilePlaces = request.app.state.heavy
    return heavy


async def _content(request: Request, asked: Caller, file: _File) -> Response:
    return _Content(asked, file, _heavy(request))


class _Content(Response):
    """A whole file, which is in memory no longer than its place is held: until it is sent."""

    def __init__(self, asked: Asked, file: str, heavy: FilePlaces) -> None:
        super().__init__()
        self._asked = asked
        self._file = file
        self._heavy = heavy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it in pieces, so that the time for one send bounds no slow reader."""
        async with self._heavy:
            found, raw = await self._asked.api.file_content(self._file)
            name = quote(found["name"], safe="")
            self.headers["content-disposition"] = f"attachment; filename*=UTF-8''{name}"
            self.headers["content-length"] = str(len(raw))
            self.headers["content-security-policy"] = _BARE
            self.headers["content-type"] = _TYPES.get(found["media"], "application/octet-stream")
            head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            with self._heavy.transfer() as turn:
                await send(head)
                for start in range(0, len(raw), _PIECE_BYTES):
                    piece = raw[start : start + _PIECE_BYTES]
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    turn.moved_bytes += len(piece)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            if turn.scope.cancelled_caught:
                # Nothing follows: the reader finds that its file is shorter than was said.
                self._asked.parts.metrics.count("web_requests_shed")


async def _thumbnail(asked: Caller, file: _File) -> Response:
    raw = await asked.api.file_thumbnail(file)
    if not raw:
        raise RefusedError("unknown_route")
    return Response(raw, media_type="image/jpeg", headers={"content-security-policy": _BARE})


async def _cancel(asked: Caller, file: _File) -> Response:
    return told(is_changed=await asked.api.file_cancel(file))


async def _remove(asked: Caller, file: _File) -> Response:
    return told(is_changed=await asked.api.file_remove(file))


_AGENT = WebRole.AGENT
_FILE = {"file": "text", "key": "whole", "name": "text", "size_bytes": "whole", "state": "text"}
_UNKNOWN = ("unknown_file",)
_FORM: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file", "to"],
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "to": {"type": "string", "maxLength": 200},
                    "text": {"type": "string", "maxLength": 16_384},
                    "keep_place": {"enum": ["true", "false"]},
                },
            }
        }
    },
}
ROUTES: Final = (
    Route(
        "GET",
        "/api/files",
        _AGENT,
        "The files of this device, both ways, the newest first.",
        _files,
        {"files": "list"},
    ),
    Route(
        "POST",
        "/api/files",
        _AGENT,
        "Write a message with a file: a form with `file`, `to`, `text` and `keep_place`.",
        _upload,
        {"message": "text", "key": "whole", "state": "text", "recipients": "whole"},
        ("unknown_name", "file", "file_size", "file_place", "quota", "store"),
        form=_FORM,
    ),
    Route("GET", "/api/files/{file}", _AGENT, "One file.", _file, _FILE, _UNKNOWN),
    Route(
        "GET",
        "/api/files/{file}/content",
        _AGENT,
        "What a whole file of others holds.",
        _content,
        errors=("unknown_file", "not_whole"),
        is_personal=True,
        media="application/octet-stream",
    ),
    Route(
        "GET",
        "/api/files/{file}/thumbnail",
        _AGENT,
        "The small picture of a photo.",
        _thumbnail,
        errors=_UNKNOWN,
        media="image/jpeg",
    ),
    Route(
        "POST",
        "/api/files/{file}/cancel",
        _AGENT,
        "Give up an own file.",
        _cancel,
        {"is_changed": "bool"},
        _UNKNOWN,
    ),
    Route(
        "DELETE",
        "/api/files/{file}",
        _AGENT,
        "Erase a file of others here.",
        _remove,
        {"is_changed": "bool"},
        _UNKNOWN,
    ),
)
