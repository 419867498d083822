"""How many bundles a second a gateway takes into its archive, beside the bare floor; and a search.

The floor verifies a signature and inserts a row, and does nothing else; it runs before and after
the gateway, so that a busy machine slows both. The gateway checks, stores, spools, seals and
archives, in one process. Source: decision 54, `meshnode/bench/archive_ends.py`.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import trio

from meshnode.bench.network import make_homes
from meshnode.bench.sync import Figures, line_of, rows_of, started
from meshnode.gateway.archive.archive import Archive, open_archive
from meshnode.gateway.archive.records import Query, Taken
from meshnode.gateway.archive.words import words_of
from meshnode.runtime import system_runtime
from meshnode.vault.kinds import DAY_MS
from meshnode.vault.vault import MASTER_BYTES
from protocol.bundle import Scope
from protocol.identity import Role
from protocol.ids import BundleId, NodeId, squad_id_of
from protocol.limits import Kind

__all__ = ["SEARCH_STEPS", "STEPS", "measure", "measure_search"]

STEPS: Final = 4
SEARCH_STEPS: Final = 100
_MODULE: Final = "meshnode.bench.archive_ends"
_BATCH: Final = 2_000
_DAYS: Final = 30
_SQUAD_DEVICES: Final = 9
_WORDS: Final = (
    *("refuge", "pont", "route", "piste", "gué", "crête", "col", "vallée", "torrent", "barrage"),
    *("hameau", "village", "école", "mairie", "hélicoptère", "brancard", "blessé", "fièvre"),
    *("fracture", "évacuation", "relève", "carburant", "batterie", "radio", "coupée", "ouverte"),
    *("dégagée", "inondée", "éboulement", "avalanche", "brouillard", "neige", "vent", "orage"),
    *("nuit", "matin", "équipe", "arrivée", "départ", "attente", "renfort", "terminé", "confirmé"),
)


def measure(
    bundles: int, url: str = "", on_step: Callable[[int], None] = lambda _done: None
) -> dict[str, Any]:
    """Return what taking in so many bundles of 200 bytes cost.

    Keys: schema, database, bundles, bundles_s, floor_bundles_s (mean of before and after), ratio,
    floor_cpu_seconds, seconds, cpu_seconds, memory_mib_first (after a fifth), memory_mib_last,
    peak_mib. `url` names an empty PostgreSQL database; it keeps the tables. Raises: BenchError.
    Cost: about 2 ms per bundle, most of it to write them.
    """
    with tempfile.TemporaryDirectory(prefix="meshnode-bench-") as name:
        folder = Path(name)
        homes = trio.run(make_homes, folder / "homes", bundles, system_runtime(), Role.GATEWAY)
        file = folder / "bundles"
        file.write_bytes(rows_of(homes.bundles))
        on_step(1)
        keys, place = folder / "keys", url or "-"
        keys.write_text(
            json.dumps({node.hex(): key.hex() for node, key in homes.author_keys.items()})
        )
        floors = [_run("floor", folder, file, place, str(keys))]
        on_step(2)
        gateway = _run("gateway", homes.carrier, file, place)
        on_step(3)
        floors.append(_run("floor", folder, file, place, str(keys)))
        on_step(4)
    return _summary(bundles, url, gateway, floors)


def _run(name: str, folder: Path, file: Path, place: str, *more: str) -> dict[str, Any]:
    with started(_MODULE, name, str(folder), str(file), place, *more) as process:
        return line_of(process)


def _summary(
    bundles: int, url: str, gateway: dict[str, Any], floors: list[Figures]
) -> dict[str, Any]:
    rate = gateway["stored"] / gateway["seconds"]
    floor = bundles / (sum(each["seconds"] for each in floors) / len(floors))
    memory = gateway["memory_mib"]
    return {
        "schema": 1,
        "database": "postgresql" if url else "sqlite",
        "bundles": gateway["stored"],
        "bundles_s": round(rate),
        "floor_bundles_s": round(floor),
        "ratio": round(rate / floor, 3),
        "floor_cpu_seconds": round(min(each["cpu_seconds"] for each in floors), 2),
        "seconds": round(gateway["seconds"], 2),
        "cpu_seconds": round(gateway["cpu_seconds"], 2),
        "memory_mib_first": memory[len(memory) // 5],
        "memory_mib_last": memory[-1],
        "peak_mib": round(gateway["peak_mib"], 1),
    }


# --- search ------------------------------------------------------------------------------------


def measure_search(
    texts: int, devices: int, url: str = "", on_step: Callable[[int], None] = lambda _done: None
) -> dict[str, Any]:
    """Return how long searches take over a generated archive of 30 days.

    Keys: schema, database, devices, texts, words (rows of the index), fill_seconds, and for each
    search its milliseconds: a rare word, a common word, a beginning, one that thousands of words
    have with a common word, two words, an author, a squad.
    """
    with tempfile.TemporaryDirectory(prefix="meshnode-bench-") as name:
        return trio.run(_searched, texts, devices, url, Path(name), on_step)


async def _searched(
    texts: int, devices: int, url: str, folder: Path, on_step: Callable[[int], None]
) -> dict[str, Any]:
    runtime = system_runtime()
    now_ms, master = runtime.now_ms(), runtime.entropy(MASTER_BYTES)
    gateway = NodeId(bytes(16))
    async with open_archive(url, folder / "archive.sqlite", runtime, gateway, master) as archive:
        began_s = time.monotonic()
        words = 0
        for start in range(0, texts, _BATCH):
            batch = [_text(each, texts, devices, now_ms) for each in range(start, start + _BATCH)]
            words += sum(len(words_of(each.raw.decode())) for each in batch)
            await archive.put(batch)
            on_step(SEARCH_STEPS * start // texts)
        filled_s = time.monotonic() - began_s
        author, scope = _author(devices // 2), _scope(devices // 2)
        asked = {
            "rare_word_ms": Query(words=("dossier7",)),
            "common_word_ms": Query(words=("refuge",)),
            "beginning_ms": Query(beginnings=("helico",)),
            "beginning_of_all_ms": Query(beginnings=("dossier29",), words=("refuge",)),
            "two_words_ms": Query(words=("refuge", "helicoptere")),
            "missing_word_ms": Query(words=("nowhere",)),
            "author_ms": Query(author=author),
            "squad_ms": Query(scope=scope),
        }
        found = {name: await _timed(archive, query) for name, query in asked.items()}
    return {
        "schema": 1,
        "database": "postgresql" if url else "sqlite",
        "devices": devices,
        "days": _DAYS,
        "texts": texts,
        "words": words,
        "fill_seconds": round(filled_s, 1),
        **found,
    }


async def _timed(archive: Archive, query: Query) -> float:
    began_s = time.monotonic()
    await archive.contents(query)
    return round(1000 * (time.monotonic() - began_s), 1)


def _text(number: int, texts: int, devices: int, now_ms: int) -> Taken:
    """Return a text of eleven words, one of them its own; the archive fills from the oldest."""
    device = number * 7919 % devices
    chosen = [_WORDS[(number * 31 + step * 17 + device) % len(_WORDS)] for step in range(10)]
    at_ms = now_ms - (texts - number) * _DAYS * DAY_MS // texts
    return Taken(
        is_content=True,
        name=BundleId(_author(device), 1, number + 1),
        digest=b"",
        kind=Kind.TEXT,
        scope=_scope(device),
        created_ms=at_ms,
        expires_ms=at_ms + 7 * DAY_MS,
        at_ms=at_ms,
        hops=0,
        raw=f"{' '.join(chosen)} dossier{number}".encode(),
    )


def _author(device: int) -> NodeId:
    return NodeId(device.to_bytes(16, "big"))


def _scope(device: int) -> bytes:
    return Scope.for_squad(1, squad_id_of(1, f"squad {device // _SQUAD_DEVICES}")).encode()
