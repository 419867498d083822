"""Which weekly keys of the network are kept: few of each week, and none that is too old.

Source: security 2.1, wire-format 8.9. Relaying code cannot import this room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from sqlalchemy import Connection, delete

from meshnode.store import keyring
from meshnode.store.engine import Transaction
from meshnode.store.schema import NetworkKeyRow, table
from protocol.guards import NETWORK_KEYS_PER_EPOCH_MAX
from protocol.ids import NodeId
from protocol.network_keys import (
    OLD_EPOCHS_MAX,
    KeyPurpose,
    WeeklyKey,
    epoch_at,
    epoch_of,
    in_use,
    oldest_kept,
)

__all__ = [
    "accepted",
    "chosen",
    "erase_old",
    "held",
    "network_key_state",
    "offered",
    "put",
]

_EPOCHS_AHEAD_MAX = 2
"""The week that is to come, and one more for a device whose clock lags behind."""

_NETWORK_KEY = table(NetworkKeyRow)


def put(
    tx: Transaction,
    weekly: WeeklyKey,
    now_ms: int,
    giver: NodeId = b"",
    revoked: Collection[bytes] = (),
) -> bool:
    """Keep a weekly key; True if it is new here and among those that are kept.

    Of one purpose and week the smallest names stay, whichever came first, so that all devices
    end with the same; those that a `revoked` device gave go before others. Keys of weeks too
    old, or too far ahead, are not taken.
    """
    givers = keyring.network_key_givers(tx.connection, weekly.purpose)
    known = givers.keys()
    if weekly.key_id in known or weekly.epoch > epoch_at(now_ms) + _EPOCHS_AHEAD_MAX:
        return False
    if weekly.epoch < oldest_kept(weekly.purpose, known, now_ms):
        return False
    same_week = sorted(
        (each_giver in revoked, each)
        for each, each_giver in givers.items()
        if epoch_of(each) == weekly.epoch
    )
    if len(same_week) >= NETWORK_KEYS_PER_EPOCH_MAX:
        if (giver in revoked, weekly.key_id) > same_week[-1]:
            return False
        _erase(tx, weekly.purpose, same_week[-1][1])
    keyring.put_network_key(tx, weekly.purpose, weekly.key_id, weekly.key, now_ms, giver)
    return True


def held(
    conn: Connection,
    purpose: KeyPurpose,
    first_epoch: int = 0,
    revoked: Collection[bytes] = (),
) -> list[WeeklyKey]:
    """Return the keys of a purpose from one week on, by name, but for what `revoked` ones gave."""
    found = keyring.network_keys(conn, purpose)
    givers = keyring.network_key_givers(conn, purpose) if revoked else {}
    return [
        WeeklyKey(purpose, epoch_of(key_id), key)
        for key_id, key in sorted(found.items())
        if epoch_of(key_id) >= first_epoch and givers.get(key_id) not in revoked
    ]


def offered(
    conn: Connection, purpose: KeyPurpose, revoked: Collection[bytes] = ()
) -> list[WeeklyKey]:
    """Return the keys to choose from, by name: of a week those that no `revoked` device gave.

    Where a week has no other, its keys are offered all the same: an SOS that mates cannot open is
    worse than one that a thief can.
    """
    good = held(conn, purpose, 0, revoked)
    weeks = {each.epoch for each in good}
    rest = held(conn, purpose) if revoked else []
    return sorted(
        (*good, *(each for each in rest if each.epoch not in weeks)), key=lambda each: each.key_id
    )


def accepted(conn: Connection, purpose: KeyPurpose, now_ms: int) -> dict[bytes, bytes]:
    """Return {key id: key} of everything that is accepted from others at `now_ms`."""
    found = keyring.network_keys(conn, purpose)
    first = oldest_kept(purpose, found, now_ms)
    return {key_id: key for key_id, key in found.items() if epoch_of(key_id) >= first}


def chosen(
    conn: Connection, purpose: KeyPurpose, now_ms: int, revoked: Collection[bytes] = ()
) -> tuple[bytes, bytes] | None:
    """Return (key id, key) to seal with, as `offered`; None where there is none."""
    found = {each.key_id: each.key for each in offered(conn, purpose, revoked)}
    key_id = in_use(found, now_ms)
    return None if key_id is None else (key_id, found[key_id])


def erase_old(tx: Transaction, now_ms: int) -> int:
    """Erase the keys that are no longer accepted; return how many went."""
    count = 0
    for purpose in OLD_EPOCHS_MAX:
        found = keyring.network_key_ids(tx.connection, purpose)
        first = oldest_kept(purpose, found, now_ms)
        for key_id in found:
            if epoch_of(key_id) < first:
                _erase(tx, purpose, key_id)
                count += 1
    return count


def network_key_state(conn: Connection) -> list[tuple[KeyPurpose, int, int]]:
    """Return (purpose, epoch, number of keys) of each week of which keys are held, in order."""
    counts = Counter(
        (purpose, epoch_of(key_id))
        for purpose in OLD_EPOCHS_MAX
        for key_id in keyring.network_key_ids(conn, purpose)
    )
    return [(purpose, epoch, counts[purpose, epoch]) for purpose, epoch in sorted(counts)]


def _erase(tx: Transaction, purpose: KeyPurpose, key_id: bytes) -> None:
    tx.connection.execute(
        delete(_NETWORK_KEY).where(
            _NETWORK_KEY.c.purpose == int(purpose), _NETWORK_KEY.c.key_id == key_id
        )
    )
