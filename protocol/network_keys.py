"""Keys that many devices share, and the weeks that they are for.

A key of a week has an *epoch*, the number of its week since 1970, and a name that tells the epoch
and commits to the key. Several keys of one epoch may exist, because two operators made one each
before they met; all are accepted, and everybody uses the one whose name is smallest.
Source: wire-format 8.6, security 2.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from protocol.guards import KNOCK_OLD_EPOCHS_MAX, NETWORK_EPOCH_MS, SOS_OLD_EPOCHS_MAX

__all__ = [
    "KEY_BYTES",
    "OLD_EPOCHS_MAX",
    "KeyPurpose",
    "WeeklyKey",
    "epoch_at",
    "epoch_of",
    "in_use",
    "key_id_of",
    "oldest_kept",
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
