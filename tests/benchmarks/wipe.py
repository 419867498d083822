"""Measures a wipe from the order to the last key, and to the last file; prints one line of JSON.

Wall time, milliseconds: in a home with as many bundles as the first argument says. Most of it is
fsync.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import trio

from meshnode.errors import WipedError
from meshnode.running import open_home
from meshnode.runtime import system_runtime
from meshnode.store import bundles
from tests.meshnode.store.parts import record
from tests.security.orders import Centre, centre_of, enrol_phone
from tests.security.parts import SETTINGS, Town, make_town

_BATCH = 250


async def _filled(home: Path, count: int) -> bytes:
    """Put bundles into the store of a home; return whose it is."""
    async with open_home(home, SETTINGS, system_runtime()) as node:
        for first in range(1, count + 1, _BATCH):
            batch = [record(seq) for seq in range(first, first + _BATCH)]
            await node.store.write(lambda tx, some=batch: bundles.add_many(tx, some))  # type: ignore[misc]
        return node.identity.node


async def _measure(town: Town, centre: Centre, count: int) -> dict[str, float]:
    home = await enrol_phone(town, "phone", [centre.root.raw])
    node_id = await _filled(home, count)
    moments: dict[str, float] = {}

    def trace(event: str, /, **fields: object) -> None:
        moments[str(fields.get("step", event))] = time.monotonic()

    try:
        async with open_home(home, SETTINGS, system_runtime(trace)) as node:
            size = (home / "store.sqlite").stat().st_size
            await node.membership.accept([centre.wipe([node_id]).raw])
            moments["order"] = time.monotonic()
    except WipedError:
        moments["files"] = time.monotonic()
    spent = {
        f"{step}_ms": (moments[step] - moments["order"]) * 1000 for step in ("device", "files")
    }
    return {"bundles": count, "store_bytes": size, **spent}


def main() -> None:
    """Print what the measurement says."""
    with tempfile.TemporaryDirectory() as folder:
        town = make_town(Path(folder))
        found = trio.run(_measure, town, centre_of(town), int(sys.argv[1]))
    print(json.dumps({name: round(value, 1) for name, value in found.items()}))


if __name__ == "__main__":
    main()
