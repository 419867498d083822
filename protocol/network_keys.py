"""Keys that many devices share, and the weeks that they are for.

A key of a week has an *epoch*, the number of its week since 1970, and a name that tells the epoch
and commits to the key. Several keys of one epoch may exist, because two operators made one each
before they met; all are accepted, and everybody uses the one whose name is smallest.
Source: wire-format 8.9, security 2.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final

from protocol.canonical import Value, as_array, as_bytes, as_uint
from protocol.errors import MalformedError
from protocol.guards import KNOCK_OLD_EPOCHS_MAX, NETWORK_EPOCH_MS, SOS_OLD_EPOCHS_MAX

__all__ = [
    "KEY_BYTES",
    "OLD_EPOCHS_MAX",
    "KeyPurpose",
    "Secrets",
    "WeeklyKey",
    "epoch_at",
    "epoch_of",
    "in_use",
    "key_id_of",
    "oldest_kept",
    "read_secrets",
]

KEY_BYTES: Final = 32
"""Length of every key that is renewed weekly."""


class KeyPurpose(IntEnum):
    """What a key that many devices share is for."""

    NETWORK = 1
    """Keys the short ids of the whole network; the only one that stays."""
    ZONE_SOS = 2
    """Opens the SOS of a zone; renewed weekly."""
    KNOCK = 3
    """Opens the door of a node of any zone; renewed weekly."""


OLD_EPOCHS_MAX: Final = {
    KeyPurpose.ZONE_SOS: SOS_OLD_EPOCHS_MAX,
    KeyPurpose.KNOCK: KNOCK_OLD_EPOCHS_MAX,
}
"""Purposes that are renewed weekly, and how many weeks back their keys are still accepted."""


@dataclass(frozen=True, slots=True)
class WeeklyKey:
    """One key of one week."""

    purpose: KeyPurpose
    """What it is for; never NETWORK."""
    epoch: int
    """Number of its week since 1970."""
    key: bytes = field(repr=False)
    """32 bytes."""

    @property
    def key_id(self) -> bytes:
        """The 8 bytes that name it."""
        return key_id_of(self.epoch, self.key)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Keys that every member shares."""

    network_key: bytes = field(repr=False)
    """16 bytes; keys the short ids of reconciliation."""
    sos_key: bytes = field(repr=False)
    """32 bytes; opens SOS of the zone. Empty for a relay, which reads nothing."""
    sos_epoch: int
    """Week of the SOS key; 0 where there is none."""
    knock_key: bytes = field(repr=False)
    """32 bytes; opens the doors of the network."""
    knock_epoch: int
    """Week of the knock key."""

    @property
    def weekly(self) -> tuple[WeeklyKey, ...]:
        """The keys that are renewed every week, those alone that are there."""
        knock = WeeklyKey(KeyPurpose.KNOCK, self.knock_epoch, self.knock_key)
        if not self.sos_key:
            return (knock,)
        return (WeeklyKey(KeyPurpose.ZONE_SOS, self.sos_epoch, self.sos_key), knock)

    def for_relay(self) -> Secrets:
        """Return what a relay gets of them: it opens doors and reads nothing."""
        return replace(self, sos_key=b"", sos_epoch=0)

    def record(self) -> list[Value]:
        """Return the canonical record. Source: wire-format 8.4."""
        return [
            2,
            self.network_key,
            self.sos_key,
            self.sos_epoch,
            self.knock_key,
            self.knock_epoch,
        ]


def epoch_at(now_ms: int) -> int:
    """Return the number of the week that `now_ms` (Unix milliseconds) lies in."""
    return now_ms // NETWORK_EPOCH_MS


def key_id_of(epoch: int, key: bytes) -> bytes:
    """Return the 8 bytes that name a key: its epoch, then the start of its hash."""
    return epoch.to_bytes(4, "big") + hashlib.sha256(key).digest()[:4]


def epoch_of(key_id: bytes) -> int:
    """Return the epoch that the name of a weekly key tells."""
    return int.from_bytes(key_id[:4], "big")


def in_use(key_ids: Iterable[bytes], now_ms: int) -> bytes | None:
    """Return the name of the key to knock or seal with; None where there is no key.

    That is the smallest of the newest week that has begun: others may not hold the key of the
    next week yet. A device whose clock lags behind all its keys takes the oldest of them.
    """
    ids, now = sorted(key_ids), epoch_at(now_ms)
    begun = [key_id for key_id in ids if epoch_of(key_id) <= now]
    if not begun:
        return ids[0] if ids else None
    newest = epoch_of(begun[-1])
    return next(key_id for key_id in begun if epoch_of(key_id) == newest)


def oldest_kept(purpose: KeyPurpose, key_ids: Iterable[bytes], now_ms: int) -> int:
    """Return the first epoch whose keys are still accepted; older ones are to be erased.

    Counted from the newest week of which a key is held and that has begun: a device that no new
    key reaches goes on with the last ones, because an SOS under an old key beats none.
    """
    now = epoch_at(now_ms)
    begun = [epoch for key_id in key_ids if (epoch := epoch_of(key_id)) <= now]
    return max(begun, default=0) - OLD_EPOCHS_MAX[purpose]


def read_secrets(value: Value) -> Secrets:
    """Read what `Secrets.record` gives. Raises: MalformedError, LimitExceededError."""
    record = as_array(value, "secrets", 6)
    as_uint(record[0], "version of the secrets", 2, 2)
    sos_key = as_bytes(record[2], "SOS key", KEY_BYTES, 0)
    sos_epoch = as_uint(record[3], "epoch of the SOS key", 2**32 - 1)
    if len(sos_key) not in (0, KEY_BYTES) or bool(sos_key) < bool(sos_epoch):
        raise MalformedError("an SOS key has 32 bytes")
    return Secrets(
        as_bytes(record[1], "network key", 16),
        sos_key,
        sos_epoch,
        as_bytes(record[4], "knock key", KEY_BYTES),
        as_uint(record[5], "epoch of the knock key", 2**32 - 1),
    )
