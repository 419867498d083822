"""Real homes without links, carried by hand, and an author who writes what no program would.

What a contact does, `carry` does in one call, so that a case says exactly who has what when. Every
home has a clock of its own that a case may move, and can be closed and opened again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import trio

from meshnode.authority_cards import Card, open_card
from meshnode.authority_home import AuthorityHome
from meshnode.authority_orders import beacon as sign_beacon
from meshnode.node import Node
from meshnode.outbox import Priority, Writing
from meshnode.running import open_home
from meshnode.runtime import Runtime, system_runtime
from meshnode.store import bundles as rows
from meshnode.store import keyring, messages
from meshnode.store.records import MessageRecord
from protocol import bundle as bundles
from protocol import payloads
from protocol.bundle import Bundle, Header, Scope, Suite
from protocol.chains import new_chain, next_key, seed_at
from protocol.envelope import (
    HpkeSealer,
    PrekeyRecord,
    Slot,
    SlotSecret,
    encode_slot_secret,
    encode_slots,
    pad,
    seal_message,
    slot_info,
)
from protocol.ids import NodeId, squad_id_of
from protocol.limits import CHAIN_MESSAGES_MAX, Kind
from protocol.reports import Reception
from tests.patience import HANGS_S
from tests.security.parts import PASSPHRASE, SETTINGS, SQUAD, ZONE, Town, Writer

__all__ = ["SEALER", "SQUAD_SCOPE", "Mate", "Mates", "ScriptedChain", "meet", "sealed_text"]

SEALER = HpkeSealer()
SQUAD_SCOPE = Scope.for_squad(ZONE, squad_id_of(ZONE, SQUAD))


@dataclass(slots=True)
class Mate:
    """One device with its home on the disk."""

    town: Town
    """Where its home is."""
    name: str
    """As the town calls it."""
    ahead_ms: int = 0
    """How far its clock runs ahead of this machine's."""
    traced: list[str] = field(default_factory=list)
    """Every event and all its fields, as text."""
    _node: Node | None = None
    _stop: trio.Event = field(default_factory=trio.Event)
    _stopped: trio.Event = field(default_factory=trio.Event)

    @property
    def node(self) -> Node:
        """The open node."""
        assert self._node is not None, f"{self.name} is switched off"
        return self._node

    @property
    def id(self) -> NodeId:
        """16 bytes."""
        return self.node.identity.node

    @property
    def scope(self) -> Scope:
        """Addresses this device."""
        return Scope.for_device(ZONE, self.id)

    def _trace(self, event: str, /, **fields: object) -> None:
        self.traced.append(f"{event} {fields!r}")

    @property
    def runtime(self) -> Runtime:
        """The machine's seams with a clock of its own."""
        real = system_runtime(self._trace)
        return replace(real, now_ms=lambda: real.now_ms() + self.ahead_ms)

    async def hold_open(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Keep the home open until it is closed; a task of its own."""
        self._stop, self._stopped = trio.Event(), trio.Event()
        async with open_home(self.town.home(self.name), SETTINGS, self.runtime) as node:
            self._node = node
            task_status.started()
            await self._stop.wait()
        self._node = None
        self._stopped.set()

    async def close(self) -> None:
        """Close the home."""
        self._stop.set()
        await self._stopped.wait()

    # --- what people do ---------------------------------------------------------------------

    async def send(self, scope: Scope, text: str, priority: Priority = Priority.NORMAL) -> None:
        """Write a message."""
        await self.node.outbox.send(Writing(scope, text, priority))

    async def incoming(self) -> list[MessageRecord]:
        """Return what people may read here, in order of arrival."""
        return await self.node.store.read(lambda conn: messages.list_inbox(conn, 0, 10_000))

    async def texts(self) -> list[str]:
        """Return the texts of it."""
        return [each.text for each in await self.incoming()]

    async def outgoing(self) -> list[MessageRecord]:
        """Return what was written here."""
        return await self.node.store.read(lambda conn: messages.list_outgoing(conn, 0, 1_000))

    # --- what a carrier does ----------------------------------------------------------------

    async def held(self, *kinds: Kind) -> list[Bundle]:
        """Return the bundles in the store, of all kinds or of some."""
        raws: list[bytes] = []
        for kind in kinds or tuple(Kind):
            raws += await self.node.store.read(partial(rows.raws_of_kind, kind=kind))
        return [bundles.decode_untrusted(raw) for raw in raws]

    async def own(self, *kinds: Kind) -> list[Bundle]:
        """Return those that this device wrote."""
        return [each for each in await self.held(*kinds) if each.header.author == self.id]

    async def take(self, raws: Sequence[bytes], peer: NodeId | None = None) -> list[Reception]:
        """Receive bundles and do all that follows; return their fates."""
        outcomes = await self.node.relay.receive(peer, [(0, raw) for raw in raws])
        await self.node.settle()
        return [fate for _short, fate in outcomes]

    async def prekey(self) -> PrekeyRecord:
        """Return the newest prekey of this device."""
        found = await self.node.store.read(keyring.newest_own_prekey)
        assert found is not None
        return found

    async def works_until_own(self, kind: Kind, within_s: float = HANGS_S) -> list[Bundle]:
        """Let all rooms work until this device has written bundles of `kind`; return them."""
        async with self.node.working():
            with trio.fail_after(within_s):
                while not (found := await self.own(kind)):  # noqa: ASYNC110 - rows have no event
                    await trio.sleep(0.01)
        return found

    def metric(self, name: str) -> int:
        """Return a counter since the home was opened."""
        return self.node.metrics.value(name)


@dataclass(slots=True)
class Mates:
    """Several devices of one town, open at once."""

    town: Town
    """Their homes."""
    nursery: trio.Nursery
    """Where they live."""
    members: dict[str, Mate] = field(default_factory=dict)
    """By name."""
    _card: Card | None = None

    def __getitem__(self, name: str) -> Mate:
        return self.members[name]

    async def open(self, name: str) -> Mate:
        """Open a home, or open it again."""
        mate = self.members.setdefault(name, Mate(self.town, name))
        await self.nursery.start(mate.hold_open)
        return mate

    async def restart(self, *names: str) -> None:
        """Close homes and open them again."""
        for name in names:
            await self.members[name].close()
            await self.open(name)

    async def carry(self, source: str, target: str, *kinds: Kind) -> list[Reception]:
        """Give `target` all that `source` holds, or only some kinds of it."""
        bearer = self[source]
        found = [
            each.raw for each in await bearer.held(*kinds) if each.header.author != self[target].id
        ]
        return await self[target].take(found, bearer.id)

    async def mix(self, *kinds: Kind) -> None:
        """Let everybody give everybody else what they hold."""
        for source in self.members:
            for target in self.members:
                if source != target:
                    await self.carry(source, target, *kinds)

    async def hear_of_the_centre(self) -> None:
        """Bring a beacon of now, by the clock that is furthest ahead, to whoever is as far."""
        ahead_ms = max(mate.ahead_ms for mate in self.members.values())
        home = self.town.home("hq")
        now_ms = system_runtime().now_ms() + ahead_ms
        card = self._card or open_card(home / "cards" / "operator-1.card", PASSPHRASE)
        with AuthorityHome.open(home, PASSPHRASE, system_runtime().entropy) as authority:
            self._card, beacon = sign_beacon(card, authority.known, now_ms)
        for mate in self.members.values():
            if mate.ahead_ms == ahead_ms:
                assert await mate.node.membership.accept([beacon.raw]) == 1

    def betrayed(self, *known: str | bytes) -> list[str]:
        """Return the traces in which one of the known texts or secrets stands."""
        words = [each if isinstance(each, str) else each.hex() for each in known]
        words += [repr(each)[2:-1] for each in known if isinstance(each, bytes)]
        return [
            line
            for mate in self.members.values()
            for line in mate.traced
            if any(word in line for word in words)
        ]

    async def serves(self) -> None:
        """Check that an honest message still goes from the first to the second of them."""
        first, second = list(self.members)[:2]
        text = "everything is well again"
        await self[first].send(self[second].scope, text)
        await self.carry(first, second, Kind.TEXT)
        assert (await self[second].texts())[-1] == text


@asynccontextmanager
async def meet(town: Town, *names: str) -> AsyncIterator[Mates]:
    """Open homes whose devices know each other's prekeys."""
    async with trio.open_nursery() as nursery:
        mates = Mates(town, nursery)
        for name in names:
            await mates.open(name)
        await mates.mix(Kind.PREKEY)
        yield mates
        for mate in mates.members.values():
            await mate.close()


# --- what no honest program writes -----------------------------------------------------------


class ScriptedChain:
    """A chain of one author, every message and every key of it in the hands of a test."""

    def __init__(
        self, writer: Writer, scope: Scope = SQUAD_SCOPE, seed: bytes | None = None
    ) -> None:
        self.first = new_chain(seed or system_runtime().entropy(32))
        self.id = self.first.chain_id
        self._writer = writer
        self._scope = scope
        self._keys: list[bytes] = []
        chain = self.first
        for _ in range(CHAIN_MESSAGES_MAX):
            chain, _index, key = next_key(chain)
            self._keys.append(key)

    def keys_for(self, readers: dict[NodeId, PrekeyRecord], index: int = 0) -> bytes:
        """Return the bundle that gives the chain to readers, from message `index` on."""
        header = self._writer.header(
            kind=Kind.CHAIN_KEYS, suite=Suite.HYBRID, scope=self._scope, keyref=b"", index=0
        )
        secret = SlotSecret(
            self._writer.node, self.id, index, self._scope.encode(), seed_at(self.first, index)
        )
        slots = [
            Slot(
                node,
                prekey.prekey_id,
                SEALER.seal_hybrid(
                    prekey.public, slot_info(header.encode(), node), encode_slot_secret(secret)
                ),
            )
            for node, prekey in readers.items()
        ]
        return self._writer.sign(header, encode_slots(slots))

    def text(self, index: int, text: str) -> bytes:
        """Return message `index` of the chain."""
        header = self._writer.header(scope=self._scope, keyref=self.id, index=index)
        return self._writer.sign(header, seal_message(self._keys[index], *_content(header, text)))


def sealed_text(header: Header, text: str) -> bytes:
    """Return the padded content of a text under a header, still in clear."""
    return _content(header, text)[1]


def _content(header: Header, text: str) -> tuple[bytes, bytes]:
    payload = payloads.encode(payloads.Text(header.author, header.scope.encode(), text))
    return header.encode(), pad(payload)
