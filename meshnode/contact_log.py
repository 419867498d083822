"""Writes down who was met, where and when, and what each contact moved.

Sessions come and go on the trio thread and must not wait for the disk; this room writes behind
them. A crash forgets at most the contacts of the last moment.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from meshnode.discovery.base import DEFAULT_PORT
from meshnode.errors import LinkError
from meshnode.links.base import Address, parse_address
from meshnode.links.level import Level
from meshnode.links.session_handle import SessionHandle
from meshnode.runtime import Runtime
from meshnode.store import peers
from meshnode.store.engine import Store, Transaction
from protocol.limits import CONTACTS_MAX

__all__ = ["ContactLog"]


class ContactLog:
    """Queues the beginnings and ends of sessions for the store."""

    def __init__(self, store: Store, runtime: Runtime) -> None:
        self._store = store
        self._runtime = runtime
        self._waiting: list[tuple[SessionHandle, bool, int]] = []
        self._wake = Level()

    def up(self, handle: SessionHandle) -> None:
        """A session began."""
        self._put(handle, is_up=True)

    def down(self, handle: SessionHandle) -> None:
        """A session ended."""
        self._put(handle, is_up=False)

    def _put(self, handle: SessionHandle, *, is_up: bool) -> None:
        # Bounded: a peer that comes and goes faster than the disk loses lines of the log.
        if len(self._waiting) < CONTACTS_MAX:
            self._waiting.append((handle, is_up, self._runtime.now_ms()))
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled. Raises: StoreError."""
        while True:
            await self._wake.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write what waits; where the caller is cancelled it waits on.

        Raises: StoreError; it is forgotten then, so that a full disk hinders nobody for ever.
        """
        waiting, self._waiting = self._waiting, []
        if waiting:
            try:
                await self._store.write(lambda tx: _write(tx, waiting))
            except trio.Cancelled:
                self._waiting[:0] = waiting
                raise

    async def addresses(self, limit: int) -> Sequence[Address]:
        """Return where peers may be asked, those met last first. Raises: StoreError."""
        found: list[Address] = []
        for peer in await self._store.read(peers.list_peers):
            if peer.address and len(found) < limit:
                try:
                    found.append(parse_address(peer.address, 0))
                except LinkError:
                    continue
        return found


def _write(tx: Transaction, waiting: Sequence[tuple[SessionHandle, bool, int]]) -> None:
    for handle, is_up, at_ms in waiting:
        if is_up:
            peers.contact_up(tx, handle.peer, _place(tx, handle), at_ms)
        else:
            stats = handle.stats
            peers.contact_down(tx, handle.peer, at_ms, stats.bytes_sent, stats.bytes_received)


def _place(tx: Transaction, handle: SessionHandle) -> str:
    """Return where this peer may be asked later; nothing if what is known is as good.

    Who dialled us did so from a port on which nobody listens: the usual one is asked then.
    """
    if handle.link.is_initiator:
        return handle.link.remote
    known = peers.get(tx.connection, handle.peer)
    host = _host(handle.link.remote)
    if not host or (known is not None and _host(known.address) == host):
        return ""
    return str(Address(host, DEFAULT_PORT))


def _host(address: str) -> str:
    try:
        return parse_address(address, DEFAULT_PORT).host
    except LinkError:
        return ""
