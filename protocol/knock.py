"""The keyed 32 bytes before TLS: made by whoever dials, judged by whoever is dialled.

A knock shows that its sender holds the knock key of a recent week, and is good once, for one
listener. It hides that a node listens here; it proves no identity: when the key leaks, mutual TLS
still stands behind it. The same key tags what a node announces by multicast.
Source: wire-format 6.12-6.14, security 2.3.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol.errors import AuthenticationError, MalformedError
from protocol.guards import KNOCK_KEYS_MAX, KNOCK_OLD_EPOCHS_MAX, KNOCKS_KEPT_MAX
from protocol.limits import CLOCK_DRIFT_MS_MAX
from protocol.network_keys import KEY_BYTES, epoch_at

__all__ = [
    "KNOCK_BYTES",
    "NONCE_BYTES",
    "TAG_BYTES",
    "TLS_FIRST_BYTE",
    "KnockGuard",
    "KnockKeys",
    "KnocksTaken",
    "accepted_epochs",
    "address_name",
    "announcement_tag",
    "is_tagged_untrusted",
    "keys_to_dial",
    "make_knock",
]

NONCE_BYTES: Final = 16
"""Random bytes at the front of a knock."""
_PROOF_BYTES: Final = 16
KNOCK_BYTES: Final = NONCE_BYTES + _PROOF_BYTES
"""Length of a knock."""
TAG_BYTES: Final = 8
"""Length of the tag of an announcement."""
TLS_FIRST_BYTE: Final = 0x16
"""Every TLS connection begins with this byte and no knock does, so one byte tells them apart."""

KnockKeys: TypeAlias = Mapping[int, Sequence[bytes]]
"""Keys of 32 bytes by epoch (week since 1970)."""


def accepted_epochs(now_ms: int) -> range:
    """Return the epochs whose keys open now, ascending.

    The next one counts where a clock that is right may show it already.
    """
    newest = epoch_at(now_ms + CLOCK_DRIFT_MS_MAX)
    return range(epoch_at(now_ms) - KNOCK_OLD_EPOCHS_MAX, newest + 1)


def address_name(host: str, port: int) -> bytes:
    """Return the name of a listener that is known by its address only: `ip:port`.

    An IPv4 address inside IPv6 is written as IPv4, a zone is left out, IPv6 stands in brackets.
    Raises: ValueError if `host` is no IP address.
    """
    ip = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip
    text = f"[{ip}]" if ip.version == 6 else str(ip)
    return f"{text}:{port}".encode("ascii")


def keys_to_dial(keys: KnockKeys, now_ms: int) -> list[bytes]:
    """Return the keys worth knocking with, the likeliest first; none if all are too old.

    The one of the present week comes first, then older ones: the listener may not have got the
    newest yet. Its successor is left to those whose clock has turned the week.
    """
    present = epoch_at(now_ms)
    return [
        key
        for epoch in reversed(range(present - KNOCK_OLD_EPOCHS_MAX, present + 1))
        for key in _keys_of(keys, epoch)
    ]


def make_knock(key: bytes, name: bytes, entropy: bytes) -> bytes:
    """Return the 32 bytes that knock at the listener called `name`.

    `entropy` are 16 random bytes, never used before under this key.
    Raises: ValueError if `key` or `entropy` has another length.
    """
    if len(key) != KEY_BYTES or len(entropy) != NONCE_BYTES:
        raise ValueError("a knock is made of a key of 32 and entropy of 16 bytes")
    nonce = entropy
    if nonce[0] == TLS_FIRST_BYTE:
        nonce = bytes([TLS_FIRST_BYTE ^ 0x80]) + nonce[1:]
    return nonce + _proof(key, name, nonce)


def _proof(key: bytes, name: bytes, nonce: bytes) -> bytes:
    message = b"meshnode knock 1\0" + name + nonce
    return hmac.digest(key, message, "sha256")[:_PROOF_BYTES]


@dataclass(frozen=True, slots=True)
class KnocksTaken:
    """What a listener remembers, as it may be kept beyond its end."""

    forgotten_upto: int
    """Knocks of this epoch and before are refused, because some were forgotten; -1 for none."""
    knocks: tuple[tuple[int, bytes], ...]
    """(epoch, the 16 random bytes) of each knock that passed."""


class KnockGuard:
    """Judges knocks at one listener, and remembers those that were good: each opens once.

    Memory is bounded and never fails open: where it is full, the oldest week goes first, and its
    keys with it; a present week that fills it alone takes no further knock.
    """

    def __init__(self, kept_max: int = KNOCKS_KEPT_MAX) -> None:
        self._kept_max = kept_max
        self._kept = 0
        self._seen: dict[int, set[bytes]] = {}
        self._forgotten_upto = -1

    def __len__(self) -> int:
        """Return how many knocks are remembered."""
        return self._kept

    @property
    def taken(self) -> KnocksTaken:
        """Everything that is remembered, the oldest epoch first. Cost: 20 ms where it is full."""
        knocks = [(epoch, nonce) for epoch in sorted(self._seen) for nonce in self._seen[epoch]]
        return KnocksTaken(self._forgotten_upto, tuple(knocks))

    def recall(self, taken: KnocksTaken) -> None:
        """Remember what was taken before, too; where that is too much, the oldest epochs go."""
        self._forgotten_upto = max(self._forgotten_upto, taken.forgotten_upto)
        for epoch, nonce in taken.knocks:
            if epoch > self._forgotten_upto:
                self._seen.setdefault(epoch, set()).add(nonce)
        self._kept = sum(len(each) for each in self._seen.values())
        while self._kept > self._kept_max:
            self._forget(min(self._seen))

    def check_untrusted(
        self, knock: bytes, names: Sequence[bytes], keys: KnockKeys, now_ms: int
    ) -> int:
        """Let a knock pass that is made for one of `names` under a key of an accepted epoch.

        Returns: the epoch of that key.

        Raises: MalformedError if it has another length; AuthenticationError if no such key made
        it, if it was used before, or if there is no room to remember it.
        Cost: about 2 µs per key and name.
        """
        if len(knock) != KNOCK_BYTES:
            raise MalformedError("a knock has 32 bytes")
        nonce, proof = knock[:NONCE_BYTES], knock[NONCE_BYTES:]
        epoch = self._epoch_of(nonce, proof, names, keys, now_ms)
        if epoch is None:
            raise AuthenticationError("no key of an accepted week made this knock")
        if nonce in self._seen.get(epoch, ()):
            raise AuthenticationError("this knock was used before")
        if self._kept >= self._kept_max and not self._make_room(epoch, epoch_at(now_ms)):
            raise AuthenticationError("no room to remember another knock")
        self._seen.setdefault(epoch, set()).add(nonce)
        self._kept += 1
        return epoch

    def _epoch_of(
        self,
        nonce: bytes,
        proof: bytes,
        names: Sequence[bytes],
        keys: KnockKeys,
        now_ms: int,
    ) -> int | None:
        if nonce[0] == TLS_FIRST_BYTE:
            return None
        for epoch in reversed(accepted_epochs(now_ms)):
            if epoch <= self._forgotten_upto:
                return None
            for key, name in _pairs(_keys_of(keys, epoch), names):
                if hmac.compare_digest(_proof(key, name, nonce), proof):
                    return epoch
        return None

    def _make_room(self, epoch: int, present: int) -> bool:
        """Forget the oldest week; False if the one of `epoch`, or a present one, is the oldest."""
        oldest = min(self._seen, default=epoch)
        if oldest >= min(epoch, present):
            return False
        self._forget(oldest)
        return True

    def _forget(self, epoch: int) -> None:
        self._kept -= len(self._seen.pop(epoch))
        self._forgotten_upto = max(self._forgotten_upto, epoch)


def _pairs(keys: Iterable[bytes], names: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return ((key, name) for key in keys for name in names)


def _keys_of(keys: KnockKeys, epoch: int) -> Sequence[bytes]:
    return keys.get(epoch, ())[:KNOCK_KEYS_MAX]


# --- announcements -----------------------------------------------------------------------------


def announcement_tag(key: bytes, name: bytes, port: int) -> bytes:
    """Return the 8 bytes that show members that a member announces `name` and `port`."""
    message = b"meshnode mdns 1\0" + name + port.to_bytes(2, "big")
    return hmac.digest(key, message, "sha256")[:TAG_BYTES]


def is_tagged_untrusted(tag: bytes, name: bytes, port: int, keys: KnockKeys, now_ms: int) -> bool:
    """Tell whether a key of an accepted epoch made this tag of an announcement.

    Raises: MalformedError if `tag` has not 8 bytes, or `port` is none. Cost: about 2 µs per key.
    """
    if len(tag) != TAG_BYTES or not 1 <= port <= 65_535:
        raise MalformedError("a tag has 8 bytes and stands beside a port")
    return any(
        hmac.compare_digest(announcement_tag(key, name, port), tag)
        for epoch in reversed(accepted_epochs(now_ms))
        for key in _keys_of(keys, epoch)
    )
