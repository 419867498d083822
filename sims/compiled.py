"""Compiles functions over arrays, and keeps what was compiled in a folder of its own per version.

The compiler's cache looks at the file of a function alone: after a change of a function that it
calls, or of a constant, it would go on with the old code. So the folder is named after a hash over
all sources that compiled code may use, and over the versions of what compiles them.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar, cast

import numba
import numpy as np

import protocol

__all__ = ["cache_folder", "compiled", "leaf", "source_key"]

P = ParamSpec("P")
R = TypeVar("R")

_FOLDERS_MAX: Final = 4
"""Versions of the sources whose compiled code is kept; a few megabytes each."""


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` compiled by numba at its first call with each set of argument types.

    The compiled code is kept for later processes where the user's cache folder can be written.
    It runs without the interpreter's lock: nothing else may write to its arrays meanwhile. With
    `NUMBA_DISABLE_JIT=1` in the environment the function is returned as it is.
    """
    return _compiled(function, {})


def leaf(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` compiled as by `compiled`, without counting references: ten times faster.

    For functions that make neither arrays nor lists; one that does fails to compile. The option
    has no public name in numba, so it stands here alone.
    """
    return _compiled(function, {"_nrt": False})


def _compiled(function: Callable[P, R], options: dict[str, bool]) -> Callable[P, R]:
    # Its names come from the environment: no type checker knows them.
    settings: Any = numba.config
    if settings.DISABLE_JIT:
        return function
    compile_: Any = numba.njit
    folder = cache_folder()
    if folder is None:
        return cast("Callable[P, R]", compile_(nogil=True, **options)(function))
    # The compiler takes the folder from here when it decorates, and at no other time; everybody
    # else's compiled functions keep theirs.
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(folder)
    try:
        return cast("Callable[P, R]", compile_(nogil=True, cache=True, **options)(function))
    finally:
        settings.CACHE_DIR = before


@cache
def cache_folder() -> Path | None:
    """Return the folder for compiled code, made ready; None where it cannot be written.

    It is `meshnode-sim/KEY` below `XDG_CACHE_HOME`, or below `.cache` in the home folder. Folders
    of versions that were not used for longest are removed.
    """
    top = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = (Path(top) if Path(top).is_absolute() else Path.home() / ".cache") / "meshnode-sim"
        folder = base / source_key()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        os.utime(folder)
        _remove_oldest(base)
    except (OSError, RuntimeError):
        # RuntimeError: there is no home folder.
        return None
    return folder


def source_key() -> str:
    """Return 16 hexadecimal digits over all sources of `sims` and `protocol`, and the versions."""
    digest = hashlib.sha256(
        f"{numba.__version__} {np.__version__} {platform.python_version()}".encode()
    )
    for top in (Path(__file__).parent, Path(protocol.__path__[0])):
        for path in sorted(top.rglob("*.py")):
            text = path.read_bytes()
            digest.update(f"\n{path.relative_to(top).as_posix()} {len(text)}\n".encode())
            digest.update(text)
    return digest.hexdigest()[:16]


def _remove_oldest(base: Path) -> None:
    folders = sorted(base.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in folders[_FOLDERS_MAX:]:
        shutil.rmtree(folder, ignore_errors=True)
