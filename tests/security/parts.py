"""A town of enrolled devices in real homes, and a scripted peer that speaks raw frames over TLS."""

from __future__ import annotations

import gc
import shutil
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from ssl import SSLContext

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshnode.api import Api
from meshnode.authority_home import AuthorityHome, Network
from meshnode.config import DiscoverySettings, LinkSettings, Settings, WebSettings
from meshnode.enrol import badge_key, load_identity, read_invitation
from meshnode.enrolled import complete, request_for
from meshnode.errors import LinkClosedError
from meshnode.links.base import Address, Link
from meshnode.links.knocking import Knocks
from meshnode.links.tcp import TCPBearer
from meshnode.links.tls import TLSFiles, make_contexts
from meshnode.metrics import AUDITED, METRICS
from meshnode.node import Node
from meshnode.running import open_home, run_home
from meshnode.runtime import Runtime, system_runtime
from meshnode.store.engine import Transaction
from meshnode.store.keyring import KeyPurpose, put_network_key
from meshnode.vault.keystore import KeyStore
from protocol import bundle as bundles
from protocol.armour import TextForm, armour
from protocol.bundle import Header, Scope, Suite
from protocol.errors import CloseCode
from protocol.identity import DeviceClass, Role, binding_message
from protocol.ids import NodeId, squad_id_of
from protocol.knock import KnockKeys
from protocol.limits import Kind
from protocol.network_keys import key_id_of
from protocol.reports import Reception
from protocol.session import LocalHello, messages
from protocol.session.frames import FrameReader, FrameType, encode_frame
from protocol.session.messages import Summary
from tests.patience import HANGS_S, stopwatch

__all__ = [
    "BOX",
    "SERVED_S_MAX",
    "SETTINGS",
    "SQUAD",
    "ZONE",
    "Memory",
    "Peer",
    "Town",
    "Writer",
    "address_of",
    "documents_of",
    "enrol",
    "has_settled",
    "held",
    "make_town",
    "measured",
    "rising",
    "running",
    "serves",
    "until",
    "with_knock_keys",
]

ZONE, SQUAD = 7, "Queyras"
BOX = "box"
"""The device that is attacked."""
PEOPLE = (BOX, "alice", "bob", "mallory")
PASSPHRASE = "five quite ordinary words here"
SETTINGS = Settings(
    LinkSettings(("127.0.0.1:0",)), DiscoverySettings(False, False), web=WebSettings("")
)
SERVED_S_MAX = 2.0
"""No honest peer waits longer."""


# --- a town ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """All that a device can show and sign with, taken out of its home."""

    node: NodeId
    """16 bytes."""
    badge_chain: tuple[bytes, ...]
    """DER, badge first."""
    link_chain: tuple[bytes, ...]
    """DER, link certificate first."""
    badge_key: Ed25519PrivateKey
    """Speaks as the device."""
    files: TLSFiles
    """What it loads for its links."""


@dataclass(frozen=True, slots=True)
class Town:
    """An authority and its devices, each with a home; a test works on a copy."""

    folder: Path
    """`hq`, and one home per device."""
    anchors: tuple[bytes, ...]
    """DER, what every device trusts."""
    keys: KnockKeys = field(default_factory=dict)
    """With what its devices knock; none in a network that was made before there were knocks."""

    def home(self, name: str) -> Path:
        """Return the home of a device."""
        return self.folder / name

    def identity(self, name: str) -> Identity:
        """Return the keys and badge of a device."""
        vault = KeyStore.open(self.home(name)).open_vault()
        found = load_identity(self.home(name), vault)
        files = TLSFiles.in_home(self.home(name), found.link_password)
        key = badge_key(self.home(name), vault)
        return Identity(found.node, found.badge_chain, found.link_chain, key, files)

    def client(self, name: str) -> SSLContext:
        """Return the context with which a device dials."""
        return make_contexts(self.identity(name).files, self.anchors).client

    def copied(self, folder: Path) -> Town:
        """Return a copy in `folder`."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return replace(self, folder=folder)


def make_town(folder: Path, extra: Sequence[tuple[str, Role]] = ()) -> Town:
    """Enrol everybody in `folder` and let each hold all documents. Cost: about a second."""
    return trio.run(_make_town, folder, extra)


async def _make_town(folder: Path, extra: Sequence[tuple[str, Role]]) -> Town:
    runtime = system_runtime()
    hq = folder / "hq"
    hq.mkdir(parents=True)
    network = Network("Alpes", ZONE, "Briançon")
    AuthorityHome.create(hq, PASSPHRASE, network, runtime.now_ms(), runtime.entropy, scrypt_cost=2)
    people = [*((name, Role.AGENT) for name in PEOPLE), *extra]
    for name, role in people:
        await enrol(folder, hq, name, role, runtime)
    documents = documents_of(hq, runtime)
    for name, _role in people:
        async with open_home(folder / name, SETTINGS, runtime) as node:
            await node.membership.accept(documents)
            anchors = node.membership.root.anchors
            assert node.knock_keys is not None
            keys = dict(node.knock_keys())
    return Town(folder, anchors, keys)


async def enrol(folder: Path, hq: Path, name: str, role: Role, runtime: Runtime) -> None:
    """Make a home for a new device."""
    squads = [SQUAD] if role is Role.AGENT else []
    with AuthorityHome.open(hq, PASSPHRASE, runtime.entropy) as authority:
        invited = authority.invite(name, role, DeviceClass.PC, squads, runtime.now_ms())
        invitation = read_invitation(
            armour(TextForm.INVITATION, invited.encode()), runtime.now_ms()
        )
        pending = await request_for(folder / name, invitation, runtime)
        answer = authority.issue(pending.text, runtime.now_ms())
        await complete(folder / name, armour(TextForm.ANSWER, answer.encode()), runtime)


async def with_knock_keys(town: Town, keys: KnockKeys) -> Town:
    """Let every device of a town hold these keys, as an enrolment or a renewal would."""
    for home in town.folder.iterdir():
        if (home / "identity" / "root").exists():
            async with open_home(home, SETTINGS, system_runtime()) as node:
                await node.store.write(partial(_put_keys, keys=keys))
    return replace(town, keys=keys)


def _put_keys(tx: Transaction, keys: KnockKeys) -> None:
    for epoch, some in keys.items():
        for key in some:
            put_network_key(tx, KeyPurpose.KNOCK, key_id_of(epoch, key), key, epoch)


def documents_of(hq: Path, runtime: Runtime) -> list[bytes]:
    """Return the documents in force, as an authority would give them away."""
    with AuthorityHome.open(hq, PASSPHRASE, runtime.entropy) as authority:
        return [document.raw for document in authority.state.documents]


@asynccontextmanager
async def running(home: Path, trace: Callable[..., None] | None = None) -> AsyncIterator[Node]:
    """Run the node of a home, as `meshnode run` does."""
    runtime = system_runtime(trace) if trace is not None else system_runtime()
    async with trio.open_nursery() as nursery:
        with trio.fail_after(HANGS_S):
            node = await nursery.start(run_home, home, SETTINGS, runtime)
        yield node
        nursery.cancel_scope.cancel()


# --- what people write -----------------------------------------------------------------------


WRITER_HOUR_TEXTS = 95


class Writer:
    """Signs bundles as one device, whatever they say."""

    _numbers = count(1_000_000)

    def __init__(self, identity: Identity) -> None:
        self.node = identity.node
        self._sign = identity.badge_key.sign
        self._runtime = system_runtime()
        self._made = 0

    def header(self, **changes: object) -> Header:
        """Return the header of a text for a squad that nobody here is in, with `changes`.

        Many are spread over the hours before now, as the quota of one author asks.
        """
        hours, self._made = self._made // WRITER_HOUR_TEXTS, self._made + 1
        usual = Header(
            suite=Suite.CHAIN,
            kind=Kind.TEXT,
            author=self.node,
            incarnation=77,
            seq=next(self._numbers),
            hlc=(self._runtime.now_ms() - hours * 3_600_000) << 16,
            lifetime_s=86_400,
            scope=Scope.for_squad(ZONE, squad_id_of(ZONE, "elsewhere")),
            keyref=bytes(8),
            index=3,
        )
        return replace(usual, **changes)  # type: ignore[arg-type]

    def bundle(self, body: bytes | None = None, **changes: object) -> bytes:
        """Return a signed container; its body is random where none is given."""
        body = self._runtime.entropy(120) if body is None else body
        return self.sign(self.header(**changes), body)

    def sign(self, header: Header, body: bytes) -> bytes:
        """Return the container of this very header and body."""
        return bundles.build(header, body, self._sign).raw


# --- a scripted peer -------------------------------------------------------------------------


@dataclass(slots=True)
class Peer:
    """One end of a link, in the hands of a test; a task of its own reads all the time."""

    link: Link
    """Over TLS."""
    identity: Identity
    """Who it claims to be."""
    sent: int = 0
    """Bundles sent."""
    fates: dict[int, Reception] = field(default_factory=dict)
    """What became of them, by number."""
    bye: CloseCode | None = None
    """What the node said at the end."""
    seen: list[tuple[FrameType, bytes]] = field(default_factory=list)
    """Frames that came and that nobody asked for yet."""
    is_deaf: bool = False
    """Frames are read and forgotten."""
    has_ended: trio.Event = field(default_factory=trio.Event)
    """The node said goodbye, or ended the link."""
    _reading: trio.CancelScope = field(default_factory=trio.CancelScope)
    _changed: trio.Event = field(default_factory=trio.Event)
    _upto: int = 0

    @classmethod
    @asynccontextmanager
    async def dialled(cls, town: Town, name: str, node: Node) -> AsyncIterator[Peer]:
        """Open a link to a node with the link certificate of a device."""
        contexts = make_contexts(town.identity(name).files, town.anchors)
        runtime = system_runtime()
        knocks = Knocks(runtime, lambda: town.keys)
        link = await TCPBearer(contexts, runtime, knocks=knocks).dial(address_of(node))
        peer = cls(link, town.identity(name))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer._read)
            try:
                yield peer
            finally:
                with trio.CancelScope(shield=True):
                    await link.aclose()
            nursery.cancel_scope.cancel()

    # --- sending ----------------------------------------------------------------------------

    async def raw(self, data: bytes) -> None:
        """Send bytes; nothing happens if the node has ended the link."""
        try:
            await self.link.send(data)
        except LinkClosedError:
            return

    async def send(self, frame_type: int, payload: bytes = b"") -> None:
        """Send a frame."""
        await self.raw(encode_frame(frame_type, payload))

    def hello(self, **changes: object) -> bytes:
        """Return the payload of an honest HELLO with the documents of our own, with `changes`."""
        signature = self.identity.badge_key.sign(binding_message(self.link.local_certificate))
        usual = LocalHello(self.identity.badge_chain, signature, {}, bytes(16))
        return messages.encode_hello(replace(usual, **changes))  # type: ignore[arg-type]

    async def greet(self, node: Node) -> None:
        """Get admitted, with the very documents that the node has."""
        await self.send(FrameType.HELLO, self.hello(documents=dict(node.membership.versions)))
        await self.expect(FrameType.HELLO)

    async def go_live(self, node: Node) -> None:
        """Get as far as bundles: admitted, documents through, one round."""
        await self.greet(node)
        await self.send(FrameType.DOCUMENTS_END)
        await self.expect(FrameType.DOCUMENTS_END)
        await self.send(FrameType.SUMMARY, messages.encode_summary(Summary(1, ())))
        await self.expect(FrameType.EQUAL)
        await self.send(FrameType.ROUND_END, messages.encode_round(1))

    async def give(self, raws: Sequence[bytes], hops: int = 0) -> list[Reception]:
        """Send bundles and return what the node says became of each."""
        first = self.sent
        self.sent += len(raws)
        for raw in raws:
            await self.send(FrameType.BUNDLE, bytes([hops]) + raw)
        await self._until(lambda: self._upto >= self.sent)
        return [self.fates.get(index, Reception.STORED) for index in range(first, self.sent)]

    # --- receiving --------------------------------------------------------------------------

    async def expect(self, frame_type: FrameType) -> bytes:
        """Wait for the next frame of a type that came and was not asked for; return its payload."""

        def place() -> int | None:
            types = [each for each, _payload in self.seen]
            return types.index(frame_type) if frame_type in types else None

        await self._until(lambda: place() is not None)
        found = place()
        assert found is not None
        return self.seen.pop(found)[1]

    async def ended(self, within_s: float = HANGS_S) -> CloseCode | None:
        """Wait until the node ends the session; return what it said, None for nothing."""
        with trio.fail_after(within_s):
            await self.has_ended.wait()
        return self.bye

    async def _until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(HANGS_S):
            while not condition():
                assert not self.has_ended.is_set(), f"the node ended the link: {self.bye!r}"
                await self._changed.wait()

    def stop_reading(self) -> None:
        """Take nothing more; what the node sends piles up on its side."""
        self._reading.cancel()

    async def _read(self) -> None:
        with self._reading:
            reader = FrameReader()
            with suppress(LinkClosedError):
                while data := await self.link.receive(65_536):
                    reader.feed(data)
                    while (frame := reader.next_untrusted()) is not None:
                        self._take(*frame)
                    self._tell()
                    if self.bye is not None:
                        break
            self.has_ended.set()
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _take(self, frame_type: FrameType, payload: bytes) -> None:
        if frame_type is FrameType.ACK:
            ack = messages.decode_ack_untrusted(payload)
            self._upto = ack.upto
            self.fates.update(ack.refusals)
        elif frame_type is FrameType.BYE:
            self.bye = CloseCode(messages.decode_bye_untrusted(payload))
        elif frame_type is not FrameType.BUNDLE and not self.is_deaf:
            self.seen.append((frame_type, payload))


def held(node: Node) -> int:
    """Return how many bundles of others a node holds; heads of its audit log are its own."""
    return sum(node.store.class_counts.values()) - len(node.relay._own)


def address_of(node: Node) -> Address:
    """Return where a running node listens."""
    return node.manager.listening[0]


@dataclass(slots=True)
class Memory:
    """What Python holds more than at the start, bytes."""

    before: int
    """Held at the start."""

    @property
    def peak(self) -> int:
        """The most it ever was."""
        return tracemalloc.get_traced_memory()[1] - self.before

    @property
    def kept(self) -> int:
        """What it is now, without garbage."""
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - self.before


@contextmanager
def measured() -> Iterator[Memory]:
    """Trace what Python allocates until the block is left."""
    gc.collect()
    tracemalloc.start()
    try:
        yield Memory(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()


async def serves(town: Town, node: Node, name: str = "alice") -> None:
    """Check that an honest peer can bring one bundle, and soon: no other holds a turn or a core."""
    with stopwatch() as watch:
        async with Peer.dialled(town, name, node) as peer:
            await peer.go_live(node)
            assert await peer.give([Writer(town.identity("bob")).bundle()]) == [Reception.STORED]
    assert watch.own_s < SERVED_S_MAX, f"{watch.lost_s:.2f} s were taken off already"


async def warm_up(node: Node) -> None:
    """Let a node do what it does now and then, so that its queries are made before measuring."""
    await node.housekeeping.look()
    await node.audit.flush()
    if node.desk is not None:
        await node.desk.look()
        await node.desk.settle()


async def has_settled(node: Node) -> None:
    """Wait until a node has no session left."""
    await until(lambda: not (node.manager.sessions or node.relay.sessions))


async def until(condition: Callable[[], bool], within_s: float = HANGS_S) -> None:
    """Wait until something is so, looking now and then."""
    with trio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110 - nobody tells.
            await trio.sleep(0.01)


@asynccontextmanager
async def rising(node: Node, *names: str) -> AsyncIterator[None]:
    """Check that of all that counts a refusal exactly these counters rise, by the end or soon.

    And that the audit log, a chain that holds, has an entry of each that it hears.
    """
    before, noted = node.metrics.snapshot(), await audited(node)

    def rose() -> set[str]:
        after = node.metrics.snapshot()
        return {name for name in _EVENTS if after[name] > before[name]} - _HARMLESS

    yield
    await until(lambda: rose() >= set(names))
    assert rose() == set(names)
    assert AUDITED & {*names} <= {*(await audited(node) - noted)}


async def audited(node: Node) -> Counter[str]:
    """Return how often each event stands in the audit log of a node, checked as a chain."""
    api, found = Api(node), Counter[str]()
    await api.audit_verify()
    for each in (await api.audit(10_000))["entries"]:
        found[each["event"]] += each["count"]
    return found


_HARMLESS = {"bundles_stored", "receipts_made", "messages_opened", "uplink_claims_made"}
_EVENTS = [name for name in METRICS if not name.startswith(("wakeups_", "radio_ms_"))]
