"""Whether a device can read what it carries for others, tried with the keys of its own store.

Two trials on a stopped node. Every sealed bundle that is not for the device is opened by the way
of its inbox and with the shared keys and the prekey of its store; and no text that it may not
know may stand anywhere in the bytes of its files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from meshnode.config import load_settings
from meshnode.node import Node
from meshnode.opening import Opener
from meshnode.running import open_home
from meshnode.runtime import Runtime
from meshnode.store import bundles as rows
from meshnode.store import keyring
from meshnode.store.engine import Connection
from meshnode.store.keyring import KeyPurpose
from protocol import bundle as bundles
from protocol.bundle import Bundle
from protocol.envelope import (
    decode_slots_untrusted,
    open_message,
    seal_info,
    slot_info,
    sos_message_key,
)
from protocol.errors import MeshError, NoKeyError
from protocol.identity import Role
from protocol.limits import Kind

__all__ = ["Trial", "opens", "texts_in_files", "try_to_read"]

_AEAD_KEY_BYTES: Final = 32
_SEALED: Final = (Kind.TEXT, Kind.NOTE, Kind.SOS, Kind.CHAIN_KEYS)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of trying to read what a device carries for others."""

    device: str
    """Whose store."""
    sealed: int
    """Bundles for others that its store holds, each of them tried."""
    opened: int
    """Those of them that opened."""
    leaked: int
    """Texts for others that stand in its files in clear."""

    @property
    def is_blind(self) -> bool:
        """True if nothing could be read."""
        return not self.opened and not self.leaked


async def try_to_read(
    name: str, home: Path, texts: Collection[str], runtime: Runtime, secret: str | None = None
) -> Trial:
    """Try everything on a stopped, unlocked node; `texts` are those that it may not know.

    Raises: HomeError, StoreError, EnrolmentError.
    """
    async with open_home(home, load_settings(home), runtime, secret=secret) as node:
        sealed, opened = await node.store.read(lambda conn: _try_all(conn, node))
    leaked = await runtime.run_blocking(texts_in_files, home, texts)
    return Trial(name, sealed, opened, leaked)


def texts_in_files(home: Path, texts: Collection[str]) -> int:
    """Return how many of `texts` stand in the bytes of any file of a home."""
    raws = [path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()]
    return sum(1 for text in texts if any(text.encode() in raw for raw in raws))


def _try_all(conn: Connection, node: Node) -> tuple[int, int]:
    found = [each for each in _carried(conn) if not _may_read(each, node)]
    return len(found), sum(1 for each in found if opens(conn, each, node))


def _carried(conn: Connection) -> Iterator[Bundle]:
    for kind in _SEALED:
        for raw in rows.raws_of_kind(conn, kind):
            yield bundles.decode_untrusted(raw)


def _may_read(bundle: Bundle, node: Node) -> bool:
    """True for what a device wrote or is meant to read.

    An SOS is for everybody but relays, and the keys of a shift are for the centre too.
    """
    header, directory, node_id = bundle.header, node.membership.directory, node.identity.node
    own = directory.member(node_id)
    is_relay = own is not None and own.role is Role.RELAY
    if header.author == node_id or (header.kind is Kind.SOS and not is_relay):
        return True
    if header.kind is Kind.CHAIN_KEYS and not is_relay:
        return any(slot.member == node_id for slot in decode_slots_untrusted(bundle.body))
    return node_id in directory.recipients(header.scope, header.author)


def opens(conn: Connection, bundle: Bundle, node: Node) -> bool:
    """True if the bundle opens as it should, or with any key of the store tried on its body."""
    opener = Opener(
        node.identity.node, node.identity.zone, node.sealer, lambda: node.membership.directory
    )
    if bundle.header.kind is Kind.CHAIN_KEYS:
        trials: list[Callable[[], object]] = [lambda: _must(opener.open_slot(conn, bundle))]
    else:
        trials = [lambda: opener.open_message(conn, bundle)]
    return any(_succeeds(trial) for trial in (*trials, *_by_force(conn, bundle, node)))


def _by_force(conn: Connection, bundle: Bundle, node: Node) -> Iterator[Callable[[], object]]:
    """Yield a trial for each key, whatever the header says the body is sealed to."""
    header_bytes, body = bundle.header_bytes, bundle.body
    shared = [key for each in KeyPurpose for key in keyring.network_keys(conn, each).values()]
    derived = [sos_message_key(key, bundle.header.id) for key in shared]
    for key in (each for each in (*shared, *derived) if len(each) == _AEAD_KEY_BYTES):
        yield partial(open_message, key, header_bytes, body)
    newest = keyring.newest_own_prekey(conn)
    secret = None if newest is None else keyring.own_prekey(conn, newest.prekey_id)
    if secret is None:
        return
    yield partial(node.sealer.open_hybrid, secret, seal_info(header_bytes), body)
    for slot in decode_slots_untrusted(body) if bundle.header.kind is Kind.CHAIN_KEYS else ():
        for member in {slot.member, node.identity.node}:
            info = slot_info(header_bytes, member)
            yield partial(node.sealer.open_hybrid, secret, info, slot.sealed)


def _must(opened: object) -> object:
    if opened is None:
        raise NoKeyError("there is no slot for this device")
    return opened


def _succeeds(trial: Callable[[], object]) -> bool:
    try:
        trial()
    except MeshError:
        return False
    return True
