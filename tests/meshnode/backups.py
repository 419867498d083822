"""Backups for tests: a passphrase, guesses that cost nothing, homes that exchange messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio

from meshnode.backup import BackedUp, write_backup
from meshnode.client import open_api
from meshnode.node import Node
from meshnode.restoring import Restored, restore_backup
from meshnode.running import run_home
from meshnode.runtime import Runtime
from tests.meshnode.enrolling import CHEAP, NOW_MS
from tests.meshnode.homes import ALONE, runtime

PASSPHRASE = "five words for a backup"


def at(now_ms: int) -> Runtime:
    """Return the seams of this machine at another time."""
    return replace(runtime(), now_ms=lambda: now_ms)


def backed_up(home: Path, target: Path, *, now_ms: int = NOW_MS) -> BackedUp:
    """Back a home up."""
    return write_backup(home, target, PASSPHRASE, ALONE, at(now_ms), CHEAP)


async def restored(source: Path, home: Path, *, now_ms: int = NOW_MS) -> Restored:
    """Restore a home."""
    return await restore_backup(source, home, PASSPHRASE, at(now_ms))


@asynccontextmanager
async def running(home: Path) -> AsyncIterator[Node]:
    """Run the node of a home in this process."""
    async with trio.open_nursery() as nursery:
        with trio.fail_after(60):
            node = await nursery.start(run_home, home, ALONE, runtime())
        yield node
        nursery.cancel_scope.cancel()


async def sends(home: Path, to: str, text: str) -> str:
    """Write a message at a home; return its id."""
    async with open_api(home, runtime(), ALONE) as api:
        return str((await api.send(to, text))["message"])


async def syncs(home: Path, node: Node) -> None:
    """Exchange until keys, then what waited for them, have gone both ways."""
    async with open_api(home, runtime(), ALONE) as api:
        for _ in range(2):
            await api.sync(str(node.manager.listening[0]))


async def read_at(home: Path) -> list[str]:
    """Return the texts that came to a home, in order."""
    async with open_api(home, runtime(), ALONE) as api:
        return [each["text"] for each in await api.inbox()]


async def outgoing_of(home: Path) -> list[dict[str, Any]]:
    """Return what was written at a home."""
    async with open_api(home, runtime(), ALONE) as api:
        return await api.outgoing()


def names(folder: Path, part: str = "") -> list[str]:
    """Return the names in a folder that hold `part`."""
    return sorted(path.name for path in folder.iterdir() if part in path.name)


def files_below(folder: Path) -> list[str]:
    """Return the places of all files below a folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)
