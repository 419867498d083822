"""Knocks on a TCP stream: sent before TLS by whoever dials, judged before TLS by whoever listens.

A stranger's bytes are read into 32 bytes of memory and compared; no TLS object is made for it and
nothing is answered. Source: wire-format 6.12-6.13, security 2.3.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from meshnode.links.base import Address
from meshnode.links.knock_journal import KnockJournal
from meshnode.runtime import Runtime
from protocol.errors import RemoteProtocolError
from protocol.guards import KNOCK_MS_MAX
from protocol.knock import (
    KNOCK_BYTES,
    NONCE_BYTES,
    TLS_FIRST_BYTE,
    KnockGuard,
    KnockKeys,
    address_name,
    keys_to_dial,
    make_knock,
)
from protocol.limits import CONTACTS_MAX

__all__ = ["Judged", "Knocks"]

_INSTANCE_BYTES = 8


def _no_keys() -> KnockKeys:
    return {}


@dataclass(frozen=True, slots=True)
class Judged:
    """What a listener found of whoever dialled it."""

    refusal: str = ""
    """Why it is refused; empty for one that may go on."""
    has_knocked: bool = False
    """True where it has shown that it holds a knock key, which no outsider does."""


class Knocks:
    """The knocks of one node: its own name as a listener, its keys, and what it remembers.

    A home without any key was enrolled in a network that has none: it knocks nowhere and demands
    nothing. A gateway also takes links without a knock, so that nodes whose keys are all too old
    can come back.
    """

    def __init__(
        self,
        runtime: Runtime,
        keys: Callable[[], KnockKeys] = _no_keys,
        *,
        is_gateway: bool = False,
        journal: KnockJournal | None = None,
        known_as: Sequence[Address] = (),
    ) -> None:
        """Without a journal, what was let through is forgotten at the end of the process.

        `known_as` are addresses at which others dial this node through a forwarder.
        """
        self._runtime = runtime
        self._keys = keys
        self._is_gateway = is_gateway
        self._guard = KnockGuard()
        self._journal = journal
        self._known_as = [address_name(each.host, each.port) for each in known_as]
        self._turns: OrderedDict[bytes, int] = OrderedDict()
        self.instance = runtime.entropy(_INSTANCE_BYTES).hex()
        """Our name as a listener, announced by multicast, chosen anew at each start."""

    @property
    def keys(self) -> KnockKeys:
        """The knock keys that this node holds, by epoch."""
        return self._keys()

    # --- dialling ---------------------------------------------------------------------------

    async def knock(self, stream: trio.SocketStream, address: Address) -> bytes:
        """Knock at who was dialled as `address`; return by which name its misses are counted.

        After `missed`, the next knock tries the address in place of the announced name, which
        another start of the peer does not have any more, and then the next key: the peer may hold
        fewer or other ones. After the last key comes a try without knock, for gateways.
        """
        names = _listener_names(stream, address)
        knock = self.knock_at(names)
        if knock:
            await stream.send_all(knock)
        return names[0]

    def knock_at(self, names: Sequence[bytes]) -> bytes:
        """Return the next knock at a listener known by `names`; empty where none is to be tried."""
        keys = keys_to_dial(self._keys(), self._runtime.now_ms())
        tries = [(key, name) for key in keys for name in names]
        turn = self._turns.get(names[0], 0) % (len(tries) + 1)
        if turn == len(tries):
            return b""
        key, name = tries[turn]
        return make_knock(key, name, self._runtime.entropy(NONCE_BYTES))

    def missed(self, name: bytes) -> None:
        """The listener called `name` gave no answer to TLS: try the next key next time."""
        self._turns[name] = self._turns.pop(name, 0) + 1
        if len(self._turns) > CONTACTS_MAX:
            self._turns.popitem(last=False)

    # --- listening --------------------------------------------------------------------------

    async def recall(self) -> None:
        """Remember which knocks were let through before this start. Raises: OSError."""
        if self._journal is not None:
            self._guard.recall(await self._runtime.run_blocking(self._journal.load))

    async def judge(self, stream: trio.SocketStream) -> Judged:
        """Return whether whoever dialled may go on; if so, its stream stands before TLS.

        Returns within 2 s. Cost: 10 to 50 µs of processor time.
        """
        try:
            with trio.fail_after(KNOCK_MS_MAX / 1000):
                return Judged(has_knocked=await self._judge(stream))
        except trio.TooSlowError:
            return Judged("no knock within 2 s")
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            return Judged("it left before its knock was complete")
        except RemoteProtocolError as error:
            return Judged(str(error))

    async def judge_call(self, knock: bytes, names: Sequence[bytes]) -> str:
        """Return why a knock at us under one of `names` is refused; nothing where it is good."""
        if not self._keys() or (self._is_gateway and not knock):
            return ""
        try:
            await self._check(knock, names)
        except RemoteProtocolError as error:
            return str(error)
        return ""

    async def _judge(self, stream: trio.SocketStream) -> bool:
        """Tell whether a good knock came. Raises: RemoteProtocolError for a bad one; OSError."""
        if not self._keys() or (self._is_gateway and await _begins_with_tls(stream)):
            return False
        knock = await _read_knock(stream)
        names = (self.instance.encode("ascii"), _own_name(stream), *self._known_as)
        await self._check(knock, names)
        return True

    async def _check(self, knock: bytes, names: Sequence[bytes]) -> None:
        """Take a knock once. Raises: RemoteProtocolError."""
        epoch = self._guard.check_untrusted(knock, names, self._keys(), self._runtime.now_ms())
        if self._journal is not None:
            await self._keep(self._journal, epoch, knock[:NONCE_BYTES])

    async def _keep(self, journal: KnockJournal, epoch: int, nonce: bytes) -> None:
        try:
            if journal.is_long:
                await self._runtime.run_blocking(journal.rewrite, self._guard.taken)
            await self._runtime.run_blocking(journal.append, epoch, nonce)
        except OSError as error:
            # A full disk must not cut a node off; until it ends, the node remembers by itself.
            self._runtime.trace("knock_not_kept", reason=str(error))


async def _begins_with_tls(stream: trio.SocketStream) -> bool:
    first = await stream.socket.recv(1, socket.MSG_PEEK)
    return first == bytes([TLS_FIRST_BYTE])


async def _read_knock(stream: trio.SocketStream) -> bytes:
    """Return the next 32 bytes, fewer at the end of the stream; what follows is for TLS."""
    knock = b""
    while len(knock) < KNOCK_BYTES:
        some = bytes(await stream.receive_some(KNOCK_BYTES - len(knock)))
        if not some:
            break
        knock += some
    return knock


def _listener_names(stream: trio.SocketStream, address: Address) -> list[bytes]:
    """Return by which names a listener may be known: as it announced itself, and its address."""
    host, port = stream.socket.getpeername()[:2]
    announced = [address.instance.encode("ascii")] if address.instance else []
    return [*announced, address_name(host, port)]


def _own_name(stream: trio.SocketStream) -> bytes:
    host, port = stream.socket.getsockname()[:2]
    return address_name(host, port)
