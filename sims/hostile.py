"""Enrolled devices that misbehave: real nodes whose words on the link are bent.

What they are and what they hold is real, so they are admitted like everybody; the lies begin
behind the handshake. For simulation only. Source: security 1.3 (a stolen or bribed device).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import trio

from meshnode.errors import SendError, StoreError
from meshnode.links.base import Address, Bearer, Link, LinkHandler
from meshnode.links.session_handle import SessionHandle
from meshnode.node import Node
from meshnode.outbox import Writing
from meshnode.relay import Relay
from protocol import bundle as bundles
from protocol.bundle import Bundle, Scope
from protocol.errors import RemoteProtocolError
from protocol.ids import NodeId, ShortId
from protocol.limits import BUNDLE_BYTES_MAX, HOPS_MAX
from protocol.reports import Reception
from protocol.session import Item
from protocol.session.frames import FrameReader, FrameType, encode_frame
from sims.draws import Draw
from sims.fault_plan import Behaviour
from sims.fleet import Device

__all__ = ["HostileBearer", "HostileHost", "flood"]

_ARCHIVE_MAX: Final = 2_000
"""Bundles remembered for ever by who replays."""
_FLOOD_BURST: Final = 20
_FLOOD_MAX: Final = 200
"""Messages of one flooder in one run: what costs is the run, not the nodes."""
_FLOOD_EVERY_S: Final = 1_800.0
_TWICE: Final = 0.5
"""Share of bundles that who replays sends twice at once."""
_GARBAGE: Final = 0.05
"""Share of sends behind which there is garbage."""


class HostileHost:
    """The relay of a hostile device, as its sessions see it; all else is the relay's own."""

    def __init__(self, relay: Relay, behaviour: Behaviour, device: Device, draw: Draw) -> None:
        self._relay = relay
        self._behaviour = behaviour
        self._device = device
        self._draw = draw
        self._archive: dict[ShortId, tuple[Item, bytes]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._relay, name)

    async def receive(
        self, peer: NodeId | None, batch: Sequence[tuple[int, bytes]]
    ) -> list[tuple[ShortId | None, Reception]]:
        """See `SessionHost.receive`; a hoarder keeps nothing and says that it did."""
        if self._behaviour is Behaviour.HOARD:
            return [(None, Reception.STORED) for _ in batch]
        outcomes = await self._relay.receive(peer, batch)
        for (short_id, _fate), (_hops, raw) in zip(outcomes, batch, strict=True):
            if short_id is not None:
                self._remember(short_id, raw)
        return outcomes

    def _remember(self, short_id: ShortId, raw: bytes) -> None:
        if self._behaviour is not Behaviour.REPLAY or len(self._archive) >= _ARCHIVE_MAX:
            return
        try:
            bundle = bundles.decode_untrusted(raw)
        except RemoteProtocolError:
            return
        self._archive[short_id] = (Item(short_id, bundle.header.traffic_class, len(raw)), raw)

    def session_up(self, handle: SessionHandle) -> None:
        """See `SessionHost.session_up`; who replays pushes all it ever saw."""
        self._relay.session_up(handle)
        handle.announce(self._shuffled([item for item, _raw in self._archive.values()]))

    async def plan(self, peer: NodeId, ids: Sequence[ShortId]) -> list[Item]:
        """See `SessionHost.plan`; the order is anything, and what is over is there again."""
        found = await self._relay.plan(peer, ids)
        held = {item.short_id for item in found}
        gone = [each for each in ids if each in self._archive and each not in held]
        return self._shuffled([*found, *(self._archive[each][0] for each in gone)])

    def _shuffled(self, items: list[Item]) -> list[Item]:
        if self._behaviour is Behaviour.REPLAY:
            self._draw.shuffle(items)
        return items

    async def read_bundles(
        self, ids: Sequence[ShortId], peer: NodeId | None = None
    ) -> Mapping[ShortId, tuple[bytes, int]]:
        """See `SessionHost.read_bundles`; a forger gives something else."""
        found = dict(await self._relay.read_bundles(ids, peer))
        for short_id in ids:
            if short_id in self._archive:
                found[short_id] = (self._archive[short_id][1], 0)
        if self._behaviour is not Behaviour.FORGE:
            return found
        return {short_id: self._forged(raw, hops) for short_id, (raw, hops) in found.items()}

    def _forged(self, raw: bytes, hops: int) -> tuple[bytes, int]:
        """Return one of many lies about a bundle; now and then the truth, to stay in business."""
        draw, bundle = self._draw, bundles.decode_untrusted(raw)
        header, node = bundle.header, self._device.node
        lie = draw.whole(0, 7)
        if lie == 0:
            # A bit is turned somewhere; whoever signed did not sign that.
            changed = bytearray(raw)
            changed[draw.whole(0, len(raw) - 1)] ^= 1 << draw.whole(0, 7)
            return bytes(changed), hops
        if lie == 1:
            # The words of another under our signature, with the other still named as author.
            return self._signed(bundle, draw.data(len(bundle.body))), hops
        if lie == 2:
            # A second bundle under a number that was used: equivocation.
            mine = replace(bundle, header=replace(header, author=node, incarnation=1, seq=1))
            return self._signed(mine, draw.data(200)), hops
        if lie == 3:
            # From beyond the end of time.
            far = replace(header, author=node, hlc=2**64 - 1 - draw.whole(0, 99), seq=2)
            return self._signed(replace(bundle, header=far), draw.data(64)), hops
        if lie == 4:
            return raw, HOPS_MAX
        if lie == 5:
            return draw.data(draw.whole(1, 400)), hops
        return raw, hops

    def _signed(self, bundle: Bundle, body: bytes) -> bytes:
        return bundles.build(bundle.header, body, self._device.keys.badge.sign).raw


class HostileBearer(Bearer):
    """A bearer whose links say more than their session does."""

    def __init__(self, bearer: Bearer, behaviour: Behaviour, draw: Draw) -> None:
        self.kind = bearer.kind
        self._bearer = bearer
        self._behaviour = behaviour
        self._draw = draw

    async def dial(self, address: Address) -> Link:
        """See `Bearer.dial`."""
        return self._bent(await self._bearer.dial(address))

    async def serve(
        self,
        handler: LinkHandler,
        *,
        task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See `Bearer.serve`."""

        async def handle(link: Link) -> None:
            await handler(self._bent(link))

        await self._bearer.serve(handle, task_status=task_status)

    def _bent(self, link: Link) -> Link:
        if self._behaviour is Behaviour.GARBAGE:
            return _GarbageLink(link, self._draw)
        if self._behaviour is Behaviour.REPLAY:
            return _RepeatingLink(link, self._draw)
        return link


class _BentLink(Link):
    """A link that hands everything on; those below change what is sent."""

    def __init__(self, link: Link, draw: Draw) -> None:
        self.kind = link.kind
        self.remote = link.remote
        self.local = link.local
        self.is_initiator = link.is_initiator
        self.mtu_bytes = link.mtu_bytes
        self.cost = link.cost
        self.local_certificate = link.local_certificate
        self.peer_certificate = link.peer_certificate
        self._link = link
        self._draw = draw

    async def send(self, data: bytes) -> None:
        """See `Link.send`."""
        await self._link.send(self._bent(data))

    async def receive(self, max_bytes: int) -> bytes:
        """See `Link.receive`."""
        return await self._link.receive(max_bytes)

    async def aclose(self) -> None:
        """See `Link.aclose`."""
        await self._link.aclose()

    def _bent(self, data: bytes) -> bytes:
        return data


class _GarbageLink(_BentLink):
    """Puts frames of noise, half frames and plain noise behind what is sent."""

    def _bent(self, data: bytes) -> bytes:
        draw = self._draw
        if not draw.chance(_GARBAGE):
            return data
        noise = draw.data(draw.whole(1, 2_000))
        kind = draw.choice(list(FrameType))
        return data + draw.choice(
            [noise, encode_frame(kind, noise), encode_frame(kind, noise)[:-1], bytes(noise[:3])]
        )


class _RepeatingLink(_BentLink):
    """Sends bundles twice, and neighbours in the other order; hides what the peer says of it."""

    def __init__(self, link: Link, draw: Draw) -> None:
        super().__init__(link, draw)
        self._frames = FrameReader()

    def _bent(self, data: bytes) -> bytes:
        self._frames.feed(data)
        out: list[bytes] = []
        while (found := self._frames.next_untrusted()) is not None:
            kind, payload = found
            frame = encode_frame(kind, payload)
            out.append(frame)
            if kind is not FrameType.BUNDLE or len(frame) > BUNDLE_BYTES_MAX // 2:
                continue
            if self._draw.chance(_TWICE):
                out.append(frame)
            if len(out) > 1 and out[-2][0] == FrameType.BUNDLE and self._draw.chance(_TWICE):
                out[-2:] = reversed(out[-2:])
        return b"".join(out)


async def flood(node: Node, scope: Scope, draw: Draw) -> None:
    """Write bursts of messages until the bound or the end of the node."""
    for number in range(_FLOOD_MAX):
        if number % _FLOOD_BURST == 0:
            await trio.sleep(draw.uniform(1.0, _FLOOD_EVERY_S))
        text = f"flood {number} {draw.data(8).hex()} " + "x" * draw.whole(0, 1_500)
        try:
            await node.outbox.send(Writing(scope, text))
        except (SendError, StoreError):
            continue
