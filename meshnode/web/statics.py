"""The files of the front end, which a build puts beside this file; else a page that says so.

They hold nothing of anybody, so no session is needed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from meshnode.web.answers import RefusedError, language_of

__all__ = ["STATIC_FOLDER", "add_statics"]

STATIC_FOLDER: Final = Path(__file__).with_name("static")
"""Made by the build of the front end; not kept in the repository."""
_FOLDERS: Final = ("assets", "icons", "map")
_FILES: Final = ("sw.js", "manifest.webmanifest", "favicon.ico", "robots.txt")
_FOREVER: Final = "public, max-age=31536000, immutable"
_ANEW: Final = "no-cache"
_TYPES: Final = {".webmanifest": "application/manifest+json", ".js": "text/javascript"}
_PAGE: Final = (
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    "<title>meshnode</title></head><body><main><h1>meshnode</h1><p>{words}</p>"
    "<pre>make app</pre></main></body></html>"
)
_WORDS: Final = {
    "fr": "Le nœud tourne, mais ses écrans n’ont pas été construits. Dans le dossier du code :",
    "en": "The node runs, but its screens have not been built. In the folder of the code:",
}


class _Files(StaticFiles):
    """Files of a folder that a build may make while the node runs."""

    async def check_config(self) -> None:
        """Take the folder as it is: what is not there is not found."""


class _Forever(_Files):
    """Files whose names change with their content."""

    def file_response(
        self,
        full_path: os.PathLike[str] | str,
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return a file that a browser need not ask for again."""
        found = super().file_response(full_path, stat_result, scope, status_code)
        found.headers["cache-control"] = _FOREVER
        return found


def add_statics(app: Starlette, folder: Path) -> None:
    """Serve the front end of `folder` at `/`."""

    async def shell(request: Request) -> Response:
        page = folder / "index.html"
        if not page.is_file():
            language = language_of(request.headers.get("accept-language", ""))
            return HTMLResponse(_PAGE.format(language=language, words=_WORDS[language]))
        return FileResponse(page, headers={"cache-control": _ANEW})

    async def single(request: Request) -> Response:
        path = folder / request.url.path.removeprefix("/")
        if not path.is_file():
            raise RefusedError("unknown_route")
        kind = _TYPES.get(path.suffix)
        return FileResponse(path, media_type=kind, headers={"cache-control": _ANEW})

    app.router.routes.append(Route("/", shell, methods=["GET"]))
    for name in _FILES:
        app.router.routes.append(Route(f"/{name}", single, methods=["GET"]))
    for name in _FOLDERS:
        files = _Forever if name == "assets" else _Files
        place = files(directory=folder / name, check_dir=False)
        app.router.routes.append(Mount(f"/{name}", place))
