"""Security cases S23-S26: lists, orders and proofs between real nodes in real homes, on loopback.

Hostile peers are small scripts. Each case is tried again after a restart of the node, counts what
it refused, and leaves honest peers served.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshnode.api import Api
from meshnode.erasing import HomeState, state_of
from meshnode.errors import WipedError
from meshnode.node import Node
from meshnode.running import Access, open_home, run_home
from meshnode.runtime import system_runtime
from meshnode.store.evidence import list_evidence
from meshnode.vault.keystore import KeyStore
from protocol.authority import SignedDocument, Signer, document_signer
from protocol.errors import CloseCode
from protocol.ids import NodeId
from protocol.orders import WipeLevel
from protocol.reports import Reception
from protocol.session import messages
from protocol.session.frames import FrameType
from tests.meshnode.enrolling import SECRET
from tests.patience import HANGS_S, stopwatch
from tests.security.orders import Centre, centre_of, dialling, enrol_phone
from tests.security.parts import (
    BOX,
    SETTINGS,
    Peer,
    Town,
    Writer,
    address_of,
    held,
    rising,
    running,
    serves,
    until,
)
from tests.security.test_hostile_documents import bring

pytestmark = [pytest.mark.real, pytest.mark.slow]

PHONE = "phone"
BUNDLE_FRAMES = {FrameType.SYMBOLS, FrameType.LIST, FrameType.EQUAL, FrameType.BUNDLE}
"""What a node sends once it reconciles and gives bundles."""
WIPED_S_MAX = 5.0
"""From the contact that brings the order until the keys are gone, less what others took."""


@pytest.fixture
async def centre(town: Town) -> Centre:
    """The cards of the town, which the box and its neighbours know."""
    made = centre_of(town)
    for name in (BOX, "alice", "bob"):
        await told(town, name, [made.root])
    return made


async def told(town: Town, name: str, documents: Sequence[SignedDocument]) -> int:
    """Bring documents into force in a home; return how many did."""
    async with open_home(town.home(name), SETTINGS, system_runtime()) as node:
        return await node.membership.accept([document.raw for document in documents])


def id_of(number: int) -> NodeId:
    """Return the id of a device that nobody has met."""
    return bytes([number]) * 16


def revoked(node: Node) -> set[bytes]:
    """Return whom a node trusts no longer."""
    return set(node.membership.trust.revoked)


# --- S23: lists out of order, doubled, and of the wrong signer ----------------------------------


async def test_s23_only_the_first_list_of_a_version_and_of_its_signer_counts(
    town: Town, centre: Centre
) -> None:
    five = centre.revocations([id_of(1)], 5)
    four = centre.revocations([id_of(2)], 4)
    other_five = centre.revocations([id_of(3)], 5)
    gateway = document_signer(town.identity("centre").badge_key)
    device = document_signer(town.identity("mallory").badge_key)
    strangers = [gateway, device, centre.wipers[0], document_signer(Ed25519PrivateKey.generate())]
    forged = [centre.revocations([id_of(4)], 6, signer=each) for each in strangers]
    seen: list[str] = []
    async with running(town.home(BOX), trace=lambda event, **_f: seen.append(event)) as node:
        async with Peer.dialled(town, "mallory", node) as peer:
            await bring(peer, node, [five.raw])
            await until(lambda: revoked(node) == {id_of(1)})
        for refused in [four, *forged]:
            async with (
                rising(node, "documents_refused"),
                Peer.dialled(town, "mallory", node) as peer,
            ):
                await bring(peer, node, [refused.raw])
        async with (
            rising(node, "documents_refused", "documents_equivocal"),
            Peer.dialled(town, "mallory", node) as peer,
        ):
            await bring(peer, node, [other_five.raw])
        assert revoked(node) == {id_of(1)}
        assert "document_refused" in seen
        (proof,) = await node.store.read(list_evidence)
        assert proof.raw == other_five.raw
        await serves(town, node)
    async with running(town.home(BOX)) as node:
        assert revoked(node) == {id_of(1)}
        async with (
            rising(node, "documents_refused", "documents_equivocal"),
            Peer.dialled(town, "mallory", node) as peer,
        ):
            await bring(peer, node, [other_five.raw])
        assert revoked(node) == {id_of(1)}
        assert len(await node.store.read(list_evidence)) == 1
        await serves(town, node)


async def test_s23_lists_of_two_operators_are_united(town: Town, centre: Centre) -> None:
    lists = [centre.revocations([id_of(card + 1)], 5, card=card) for card in range(2)]
    async with running(town.home(BOX)) as node, Peer.dialled(town, "alice", node) as peer:
        await bring(peer, node, [each.raw for each in lists])
        await until(lambda: revoked(node) == {id_of(1), id_of(2)})
    async with running(town.home(BOX)) as node:
        assert revoked(node) == {id_of(1), id_of(2)}, "after a restart"
        longer = centre.revocations([id_of(2), id_of(3)], 6, card=1)
        async with Peer.dialled(town, "alice", node) as peer:
            await bring(peer, node, [longer.raw])
            await until(lambda: revoked(node) == {id_of(1), id_of(2), id_of(3)})


# --- S24: documents before bundles ----------------------------------------------------------------


async def test_s24_the_newer_list_crosses_before_any_bundle(town: Town, centre: Centre) -> None:
    """The box has list 9, Alice list 12, in which Mallory is revoked; both have bundles."""
    mallory = town.identity("mallory").node
    await told(town, BOX, [centre.revocations([id_of(1)], 9)])
    newer = centre.revocations([id_of(1), mallory], 12)
    async with running(town.home(BOX)) as node:
        async with Peer.dialled(town, "bob", node) as peer:
            await peer.go_live(node)
            bundle = Writer(town.identity("bob")).bundle()
            assert await peer.give([bundle]) == [Reception.STORED]
        async with Peer.dialled(town, "mallory", node) as peer:
            await peer.greet(node)
        async with Watched.dialled(town, "alice", node) as peer:
            await bring(peer, node, [newer.raw])
            await peer.send(FrameType.SUMMARY, messages.encode_summary(messages.Summary(1, ())))
            assert isinstance(peer, Watched)
            frames = peer.frames
            await until(lambda: bool(BUNDLE_FRAMES & set(frames)))
            documents = frames[: frames.index(FrameType.DOCUMENTS_END)]
            assert not BUNDLE_FRAMES & set(documents)
            assert revoked(node) == {id_of(1), mallory}
    await told(town, "alice", [newer])
    for name in (BOX, "alice"):
        async with running(town.home(name)) as node:
            await refuses_from_now_on(town, node)


@dataclass(slots=True)
class Watched(Peer):
    """A peer that notes the types of all frames that come to it."""

    frames: list[FrameType] = field(default_factory=list)
    """In order."""

    def _take(self, frame_type: FrameType, payload: bytes) -> None:
        self.frames.append(frame_type)
        Peer._take(self, frame_type, payload)


async def refuses_from_now_on(town: Town, node: Node) -> None:
    """Mallory gets documents and no bundle, and what it signs is taken from nobody."""
    async with Peer.dialled(town, "mallory", node) as peer:
        await bring(peer, node, [])
        assert await peer.ended() is CloseCode.REFUSED
    async with Peer.dialled(town, "bob", node) as peer:
        await peer.go_live(node)
        theirs = Writer(town.identity("mallory")).bundle()
        assert await peer.give([theirs]) == [Reception.REVOKED]
    await serves(town, node, "bob")


async def test_s24_two_real_nodes_agree_after_one_contact(town: Town, centre: Centre) -> None:
    newer = centre.revocations([id_of(1), id_of(2)], 12)
    await told(town, BOX, [centre.revocations([id_of(1)], 9)])
    await told(town, "alice", [newer])
    async with running(town.home(BOX)) as box, dialled_by(town, "alice", box) as alice:
        await until(lambda: revoked(box) == revoked(alice) == {id_of(1), id_of(2)})
    # After a restart of both, what one of them learns meanwhile crosses again.
    latest = centre.revocations([id_of(1), id_of(2), id_of(3)], 13)
    assert await told(town, BOX, [latest]) == 1
    async with running(town.home(BOX)) as box, dialled_by(town, "alice", box) as alice:
        wanted = {id_of(1), id_of(2), id_of(3)}
        await until(lambda: revoked(box) == revoked(alice) == wanted)


@asynccontextmanager
async def dialled_by(town: Town, name: str, node: Node) -> AsyncIterator[Node]:
    """Run the node of a home that dials another one."""
    settings = dialling(str(address_of(node)))
    async with trio.open_nursery() as nursery:
        runtime = system_runtime()
        yield await nursery.start(run_home, town.home(name), settings, runtime)
        nursery.cancel_scope.cancel()


# --- S25: a revoked device ------------------------------------------------------------------------


async def test_s25_a_revoked_device_hears_of_it_and_of_its_wipe_and_nothing_else(
    town: Town, centre: Centre
) -> None:
    mallory = town.identity("mallory").node
    order = centre.wipe([mallory])
    await told(town, BOX, [centre.revocations([mallory], 1), order])
    for _start in ("first", "after a restart"):
        async with running(town.home(BOX)) as node:
            async with Peer.dialled(town, "bob", node) as peer:
                await peer.go_live(node)
                raws = [Writer(town.identity("bob")).bundle() for _ in range(3)]
                assert set(await peer.give(raws)) == {Reception.STORED}
            before = held(node)
            async with (
                rising(node, "peers_restricted"),
                Watched.dialled(town, "mallory", node) as peer,
            ):
                await peer.send(FrameType.HELLO, peer.hello(documents={}))
                await peer.expect(FrameType.HELLO)
                await peer.send(FrameType.DOCUMENT_DIGESTS, bytes(256))
                await peer.send(FrameType.DOCUMENT_VERSIONS, messages.encode_versions({}))
                await peer.send(FrameType.DOCUMENTS_END)
                got = [await peer.expect(FrameType.DOCUMENT) for _ in node.membership.versions]
                await peer.send(FrameType.SUMMARY, messages.encode_summary(messages.Summary(1, ())))
                assert await peer.ended() is CloseCode.REFUSED
            assert order.raw in got
            assert sorted(got) == sorted(await node.membership.read(list(node.membership.versions)))
            assert isinstance(peer, Watched)
            assert set(peer.frames) == {
                FrameType.HELLO,
                FrameType.DOCUMENT_DIGESTS,
                FrameType.DOCUMENT_VERSIONS,
                FrameType.DOCUMENT,
                FrameType.DOCUMENTS_END,
                FrameType.BYE,
            }
            assert held(node) == before
            await serves(town, node)


# --- S26: a wipe ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Stolen:
    """A phone with a secret, in the hands of whoever found it."""

    home: Path
    """Locked."""
    node: NodeId
    """16 bytes."""
    events: list[tuple[float, str, object]] = field(default_factory=list)
    """What it traced: seconds, event, step."""
    ended: trio.Event = field(default_factory=trio.Event)
    """Its process has ended with WipedError."""
    wiped: list[str] = field(default_factory=list)
    """Calls that told the process of it."""

    def trace(self, event: str, /, **fields: object) -> None:
        """Note an event."""
        self.events.append((trio.current_time(), event, fields.get("step")))

    @property
    def state(self) -> HomeState:
        """How its home stands."""
        return state_of(self.home, system_runtime())

    async def live(self, *, task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED) -> None:
        """Be its process, which nobody gives a secret."""
        access = Access(on_wiped=lambda: self.wiped.append("told"))
        runtime = system_runtime(self.trace)
        try:
            await run_home(self.home, SETTINGS, runtime, access, task_status=task_status)
        except WipedError:
            self.ended.set()

    def step_s(self, step: str) -> float:
        """Return when a step of the wipe was done, on trio's clock."""
        return next(
            at_s for at_s, event, name in self.events if (event, name) == ("wipe_step", step)
        )


@asynccontextmanager
async def alive(stolen: Stolen) -> AsyncIterator[Node]:
    """Run the process of a phone that is not wiped yet."""
    async with trio.open_nursery() as nursery:
        with trio.fail_after(HANGS_S):
            node = await nursery.start(stolen.live)
        yield node
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def left_over(stolen: Stolen) -> AsyncIterator[None]:
    """Run what is left of a wiped phone."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stolen.live)
        yield
        nursery.cancel_scope.cancel()


@pytest.fixture
async def stolen(town: Town, centre: Centre) -> Stolen:
    """A phone that is locked."""
    home = await enrol_phone(town, PHONE, [centre.root.raw])
    async with open_home(home, SETTINGS, system_runtime()) as node:
        return Stolen(home, node.identity.node)


def opens(home: Path) -> bool:
    """True if the right secret opens the keys of a home."""
    try:
        return bool(KeyStore.open(home).unlocked_vault(SECRET))
    except WipedError:
        return False


def left(home: Path) -> set[str]:
    """Return the names of all files of a home."""
    return {str(path.relative_to(home)) for path in home.rglob("*") if not path.is_dir()}


async def test_s26_what_is_no_order_about_this_phone_has_no_effect(
    town: Town, centre: Centre, stolen: Stolen
) -> None:
    device = document_signer(town.identity("mallory").badge_key)
    bad = {
        "one signature": centre.wipe([stolen.node], cards=[0]),
        "one signer twice": centre.wipe([stolen.node], cards=[1, 1]),
        "one of two by a device": signed_by(centre, stolen.node, [0], device),
    }
    for _start in ("first", "after a restart"):
        async with alive(stolen) as node:
            assert node.desk is None
            for name, order in bad.items():
                async with (
                    rising(node, "documents_refused"),
                    Peer.dialled(town, "mallory", node) as peer,
                ):
                    await bring(peer, node, [order.raw])
                assert not node.membership.wipe_orders_for(stolen.node), name
            async with Peer.dialled(town, "mallory", node) as peer:
                await bring(peer, node, [centre.wipe([id_of(9)], b"order-09").raw])
            await until(lambda: len(node.membership.trust.wipe_orders()) == 1)
            await serves(town, node)
            assert node.metrics.value("wipes_executed") == 0
        assert opens(stolen.home)
    assert stolen.wiped == []


def signed_by(
    centre: Centre, node: NodeId, cards: Sequence[int], stranger: Signer
) -> SignedDocument:
    """Return an order that a stranger signed in the place of the second card."""
    wipers = (*centre.wipers, stranger)
    return replace(centre, wipers=wipers).wipe([node], cards=[*cards, len(wipers) - 1])


async def test_s26_a_locked_phone_destroys_its_keys_and_its_proof_leaves(
    town: Town, centre: Centre, stolen: Stolen
) -> None:
    order = centre.wipe([stolen.node])
    await told(town, "alice", [centre.revocations([stolen.node], 1), order])
    async with alive(stolen) as phone:
        assert phone.desk is None
        # From before the dialling: an order may take effect before that is over.
        with stopwatch() as watch:
            async with dialled_by(town, "alice", phone) as alice:
                await until(lambda: any(each[2] == "device" for each in stolen.events))
                assert watch.own_s < WIPED_S_MAX
                assert stolen.step_s("proof") < stolen.step_s("agent") < stolen.step_s("device")
                await until(lambda: bool(alice.membership.trust.erasures()))
                with trio.fail_after(HANGS_S):
                    await stolen.ended.wait()
                assert alice.metrics.value("wipes_proven") == 1
                (shown,) = await Api(alice).orders()
                (device,) = shown["devices"]
                assert device["state"] == "proven"
                await serves(town, alice, "bob")
    assert stolen.wiped == ["told"]
    assert stolen.state is HomeState.OVER
    assert left(stolen.home) == {"keys/wiped", "lock"}
    assert not opens(stolen.home)
    # Alice carries order and proof, also after a restart; the phone stays wiped.
    async with running(town.home("alice")) as alice:
        assert alice.membership.trust.erasures() == {(order.scope, stolen.node)}
    with pytest.raises(WipedError):
        async with open_home(stolen.home, SETTINGS, system_runtime(), secret=SECRET):
            raise AssertionError


async def test_s26_a_wiped_phone_that_was_switched_off_delivers_its_proof_later(
    town: Town, centre: Centre, stolen: Stolen
) -> None:
    order = centre.wipe([stolen.node])
    async with alive(stolen) as phone:
        place = address_of(phone)
        async with Peer.dialled(town, "mallory", phone) as peer:
            await bring(peer, phone, [order.raw])
        with stopwatch() as watch:
            await until(lambda: stolen.state is HomeState.REMNANT)
        assert watch.own_s < WIPED_S_MAX
        await until(lambda: bool(stolen.wiped))
    assert not opens(stolen.home)
    # Mallory's script shows no proof, so it is not delivered yet.
    async with left_over(stolen):
        settings = dialling(str(place))
        async with trio.open_nursery() as nursery:
            alice: Node = await nursery.start(
                run_home, town.home("alice"), settings, system_runtime()
            )
            await until(lambda: bool(alice.membership.trust.erasures()))
            with trio.fail_after(HANGS_S):
                await stolen.ended.wait()
            nursery.cancel_scope.cancel()
    assert stolen.state is HomeState.OVER
    for _restart in range(2):
        assert not opens(stolen.home)
        async with left_over(stolen):
            stolen.ended = trio.Event()
            with trio.fail_after(HANGS_S):
                await stolen.ended.wait()
        async with running(town.home("alice")) as node:
            assert {each for _order, each in node.membership.trust.erasures()} == {stolen.node}


async def test_s26_an_order_that_was_obeyed_has_no_second_effect(
    town: Town, centre: Centre, stolen: Stolen
) -> None:
    order = centre.wipe([stolen.node], level=WipeLevel.AGENT)
    async with alive(stolen) as phone:
        async with Peer.dialled(town, "mallory", phone) as peer:
            await bring(peer, phone, [order.raw])
        with stopwatch() as watch:
            await until(lambda: phone.metrics.value("wipes_executed") == 1)
        assert watch.own_s < WIPED_S_MAX
        proofs = phone.membership.trust.erasure_times()
    assert not opens(stolen.home)
    files = left(stolen.home)
    stolen.wiped.clear()
    async with alive(stolen) as phone:
        async with Peer.dialled(town, "mallory", phone) as peer:
            await bring(peer, phone, [order.raw])
        await serves(town, phone)
        assert phone.metrics.value("wipes_executed") == 0
        assert phone.membership.trust.erasure_times() == proofs
        with pytest.raises(WipedError):
            _ = phone.outbox
    assert stolen.wiped == []
    assert left(stolen.home) == files
