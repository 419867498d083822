"""What must hold inside every store at the end of a world: shares kept, nothing back that was
dropped, and carried what was said to be carried.

Each checker reads the database of every device as SQLite sees it, through no code of the node:
what it finds is what is on the disk. Source: `protocol.limits`, DESIGN D3 and D6, STYLE 15 and 24.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final

from meshnode.store.records import LedgerEvent, MessageRecord
from protocol.ids import NodeId, short_id
from protocol.limits import (
    CLASS_RULES,
    STORE_RESERVE_PCT,
    STORE_ROW_BYTES,
    TOMBSTONE_KEEP_MS,
    TrafficClass,
)
from sims.record import DeviceRecord, WorldRecord

__all__ = [
    "STORE_CHECKERS",
    "carriers_hold",
    "databases_of",
    "nothing_comes_back",
    "shares_kept",
]

_KEEP_MS: Final = TOMBSTONE_KEEP_MS - 3_600_000
"""So long after a bundle's life its tombstone is surely there, though clocks jump by minutes."""
_LEGACY_JOURNAL: Final = b"\x01\x01"
"""Format versions in the head of a database without a log beside it: an image has none."""

_Found = Iterator[tuple[str, str]]
"""Device and sentence of each breach."""


def shares_kept(world: WorldRecord) -> _Found:
    """No class has more of a store than its share, and its totals are those of its rows."""
    for device, database in databases_of(world):
        for sentence in (*_shares(world.scenario.store_bytes, database), *_totals(database)):
            yield device.name, sentence


def nothing_comes_back(world: WorldRecord) -> _Found:
    """What a device wrote or opened is in its store, or remembered as dropped; never both.

    Whatever is remembered is refused when a peer brings it back, until a day after its life.
    """
    for device, database in databases_of(world):
        query = "SELECT count(*) FROM bundle JOIN tombstone USING (short_id)"
        (count,) = database.execute(query).fetchone()
        if count:
            yield device.name, f"holds {count} bundles that it had dropped"
        forgotten = sum(1 for _ in _forgotten(device, database))
        if forgotten:
            yield device.name, f"dropped {forgotten} bundles and does not remember it"


def carriers_hold(world: WorldRecord) -> _Found:
    """Whoever acknowledged a message has it at the end, or remembers why it dropped it."""
    handed: dict[NodeId | None, list[MessageRecord]] = {}
    for device in _honest(world):
        for story in device.outgoing:
            for line in story.ledger:
                if line.event is LedgerEvent.HANDED:
                    handed.setdefault(line.node, []).append(story.message)
    for carrier, database in databases_of(world):
        known = _known(database)
        for message in handed.get(carrier.node, ()):
            if message.short_id is None or _signed(message.short_id) in known:
                continue
            if carrier.ending.now_ms < message.expires_ms + _KEEP_MS:
                yield carrier.name, f"acknowledged {message.id} and does not have it"


# --- each store ----------------------------------------------------------------------------------


def _honest(world: WorldRecord) -> list[DeviceRecord]:
    return [each for each in world.devices if each.name not in world.plan.hostile_names]


def databases_of(world: WorldRecord) -> Iterator[tuple[DeviceRecord, sqlite3.Connection]]:
    """Yield every honest device, and its store as it was left, to be read."""
    for device in _honest(world):
        with closing(sqlite3.connect(":memory:")) as database:
            database.deserialize(device.image[:18] + _LEGACY_JOURNAL + device.image[20:])
            yield device, database


def _shares(bytes_max: int, database: sqlite3.Connection) -> Iterator[str]:
    query = (
        "SELECT traffic_class, sum(size_bytes) + count(*) * ? FROM bundle GROUP BY traffic_class"
    )
    held = {TrafficClass(row[0]): row[1] for row in database.execute(query, (STORE_ROW_BYTES,))}
    for each, size_bytes in held.items():
        share = bytes_max * CLASS_RULES[each].store_share_pct // 100
        if size_bytes > share:
            yield f"holds {size_bytes} bytes of class {each.name}, whose share is {share}"
    common = sum(size for each, size in held.items() if CLASS_RULES[each].eviction_rank >= 0)
    if common > bytes_max * (100 - STORE_RESERVE_PCT) // 100:
        yield f"holds {common} bytes, and so uses what is reserved"
    if sum(held.values()) > bytes_max:
        yield f"holds {sum(held.values())} bytes in a store of {bytes_max}"


def _totals(database: sqlite3.Connection) -> Iterator[str]:
    stated = set(database.execute("SELECT zone, traffic_class, count, size_bytes FROM interest"))
    query = (
        "SELECT zone, traffic_class, count(*), sum(size_bytes) + count(*) * ? FROM bundle "
        "GROUP BY zone, traffic_class"
    )
    if stated != set(database.execute(query, (STORE_ROW_BYTES,))):
        yield "states other totals than its bundles have"


# --- what was dropped ----------------------------------------------------------------------------


def _known(database: sqlite3.Connection) -> set[int]:
    """Return the short ids of all that is in a store, or remembered as dropped."""
    query = "SELECT short_id FROM bundle UNION SELECT short_id FROM tombstone"
    return {row[0] for row in database.execute(query)}


def _forgotten(device: DeviceRecord, database: sqlite3.Connection) -> Iterator[bytes]:
    """Yield digests of bundles that were in this store and of which nothing is known."""
    known = _known(database)
    (network_key,) = database.execute("SELECT key FROM network_key WHERE purpose = 1").fetchone()
    query = (
        "SELECT digest FROM own_bundle WHERE expires_ms > ? "
        # A bundle that was opened was alive then.
        "UNION SELECT digest FROM received WHERE at_ms > ?"
    )
    since_ms = device.ending.now_ms - _KEEP_MS
    for (digest,) in database.execute(query, (since_ms, since_ms)):
        if _signed(short_id(network_key, digest)) not in known:
            yield digest


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


STORE_CHECKERS: Final[dict[str, Callable[[WorldRecord], _Found]]] = {
    checker.__name__: checker for checker in (shares_kept, nothing_comes_back, carriers_hold)
}
"""Every promise of a store by its name."""
