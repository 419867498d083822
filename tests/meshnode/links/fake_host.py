"""A node behind a session that keeps everything in dictionaries: the smallest `SessionHost`."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence

import trio

from meshnode.links.base import Link
from meshnode.links.session_host import Admitted
from meshnode.links.session_runner import SessionHandle
from protocol.errors import AuthenticationError
from protocol.ids import NodeId, ShortId
from protocol.limits import KINDS, Kind, TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reconcile.sketch import Sketch, SketchSnapshot
from protocol.reports import Reception, Standing
from protocol.session import DocumentKey, HelloReceived, Item, LocalHello

ZONE = 7


def container(kind: Kind, number: int, size_bytes: int = 300) -> bytes:
    """Return bytes that look like a bundle as far as a relay's shell looks."""
    head = b"\xc4\x30\x9a\x01" + bytes([kind]) + number.to_bytes(8, "big")
    return head + bytes(size_bytes - len(head))


def short_of(raw: bytes) -> ShortId:
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "big")


def node_of(certificate: bytes) -> NodeId:
    return hashlib.sha256(certificate).digest()[:16]


def class_of(raw: bytes) -> TrafficClass:
    return KINDS[Kind(raw[4])].traffic_class


class FakeHost:
    """Stores what it receives; commits take `commit_s` of trio's clock."""

    def __init__(self, node: NodeId, commit_s: float = 0.001) -> None:
        self.node = node
        self.commit_s = commit_s
        self.read_s = 0.0
        self.stored: dict[ShortId, bytes] = {}
        self.stored_s: dict[ShortId, float] = {}
        self.sketches_by: dict[Interest, Sketch] = {}
        self.documents: dict[DocumentKey, tuple[int, bytes]] = {}
        self.applied: list[bytes] = []
        self.custody: list[tuple[ShortId, Reception]] = []
        self.handles: list[SessionHandle] = []
        self.went_down: list[SessionHandle] = []
        self.batches: list[list[bytes]] = []
        self.refuse: dict[ShortId, Reception] = {}
        self.ignored: set[ShortId] = set()
        self.unanswered: list[ShortId] = []
        self.fault: Exception | None = None
        self.fault_in = ""
        self.page = 100
        self.peers_stand = Standing.FULL

    def _maybe_fail(self, where: str) -> None:
        if self.fault is not None and self.fault_in == where:
            raise self.fault

    def put(self, raws: Iterable[bytes]) -> list[Item]:
        items = []
        for raw in raws:
            short = short_of(raw)
            if short not in self.stored:
                self.stored[short] = raw
                self.stored_s[short] = trio.current_time()
                interest = Interest(ZONE, class_of(raw))
                self.sketches_by.setdefault(interest, Sketch()).add(short)
            items.append(Item(short, class_of(raw), len(raw)))
        return items

    def has(self, raw: bytes) -> bool:
        return short_of(raw) in self.stored

    def publish(self, raws: Iterable[bytes]) -> None:
        """Store new bundles and push them, as the relay does after a commit."""
        items = self.put(raws)
        for handle in self.handles:
            handle.announce(items)

    # --- SessionHost ------------------------------------------------------------------------

    def hello(self, link: Link) -> LocalHello:
        versions = {key: (1, version) for key, (version, _raw) in self.documents.items()}
        return LocalHello((b"badge " + self.node,), bytes(64), versions)

    async def admit(self, link: Link, hello: HelloReceived) -> Admitted:
        await trio.lowlevel.checkpoint()
        self._maybe_fail("admit")
        badge = hello.badge_chain[0]
        if not badge.startswith(b"badge "):
            raise AuthenticationError("no badge")
        return Admitted(badge.removeprefix(b"badge "), self.peers_stand)

    def standing(self, link: Link) -> Standing:
        return self.peers_stand

    async def read_documents(self, keys: Sequence[DocumentKey]) -> list[bytes]:
        await trio.lowlevel.checkpoint()
        self._maybe_fail("read_documents")
        return [self.documents[key][1] for key in keys]

    async def apply_documents(self, peer: NodeId, raws: Sequence[bytes]) -> None:
        await trio.lowlevel.checkpoint()
        self._maybe_fail("apply_documents")
        self.applied += raws

    def sketches(self, peer: NodeId) -> Mapping[Interest, SketchSnapshot]:
        return {interest: sketch.snapshot() for interest, sketch in self.sketches_by.items()}

    async def ids(self, interest: Interest) -> array[int]:
        await trio.sleep(self.read_s)
        self._maybe_fail("ids")
        return array("Q", self._of(interest))

    def _of(self, interest: Interest) -> list[ShortId]:
        return [
            short for short, raw in self.stored.items() if class_of(raw) is interest.traffic_class
        ]

    def _items(self, ids: Iterable[ShortId]) -> list[Item]:
        held = [(short, self.stored[short]) for short in ids if short in self.stored]
        return [Item(short, class_of(raw), len(raw)) for short, raw in held]

    async def plan(self, peer: NodeId, ids: Sequence[ShortId]) -> list[Item]:
        await trio.sleep(self.read_s)
        self._maybe_fail("plan")
        return self._items(ids)

    async def plan_all(
        self, peer: NodeId, interest: Interest, after: int | None
    ) -> tuple[list[Item], int | None]:
        await trio.sleep(self.read_s)
        self._maybe_fail("plan_all")
        start = after or 0
        ids = self._of(interest)
        end = start + self.page
        return self._items(ids[start:end]), (end if end < len(ids) else None)

    async def unconfirmed(self, peer: NodeId) -> list[Item]:
        await trio.sleep(self.read_s)
        self._maybe_fail("unconfirmed")
        return self._items(self.unanswered)

    async def missing(self, ids: Sequence[ShortId], peer: NodeId) -> list[ShortId]:
        await trio.sleep(self.read_s)
        self._maybe_fail("missing")
        return [short for short in ids if short not in self.stored and short not in self.ignored]

    async def read_bundles(
        self, ids: Sequence[ShortId], peer: NodeId | None = None
    ) -> Mapping[ShortId, tuple[bytes, int]]:
        await trio.sleep(self.read_s)
        self._maybe_fail("read_bundles")
        return {short: (self.stored[short], 3) for short in ids if short in self.stored}

    async def receive(
        self, peer: NodeId, batch: Sequence[tuple[int, bytes]]
    ) -> list[tuple[ShortId | None, Reception]]:
        self.batches.append([raw for _hops, raw in batch])
        await trio.sleep(self.commit_s)
        self._maybe_fail("receive")
        outcomes: list[tuple[ShortId | None, Reception]] = []
        for _hops, raw in batch:
            short = short_of(raw)
            if short in self.refuse:
                outcomes.append((short, self.refuse[short]))
            elif short in self.stored:
                outcomes.append((short, Reception.DUPLICATE))
            else:
                self.put([raw])
                outcomes.append((short, Reception.STORED))
        return outcomes

    async def handed_over(
        self, peer: NodeId, outcomes: Sequence[tuple[ShortId, Reception]]
    ) -> None:
        await trio.lowlevel.checkpoint()
        self._maybe_fail("handed_over")
        self.custody += outcomes

    def session_up(self, handle: SessionHandle) -> None:
        self.handles.append(handle)

    def session_down(self, handle: SessionHandle) -> None:
        self.handles.remove(handle)
        self.went_down.append(handle)
