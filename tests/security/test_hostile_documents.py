"""Authority documents in the hands of an enrolled device gone bad: stale, doubled, forged.

None takes effect, each is counted, and a contradiction of the authority is kept as proof.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from meshnode.membership import Membership
from meshnode.node import Node
from meshnode.runtime import system_runtime
from meshnode.store import documents
from meshnode.store.evidence import list_evidence
from protocol.authority import DocumentClass, SignedDocument, build, document_signer
from protocol.authority import decode_untrusted as decode
from protocol.canonical import encode
from protocol.errors import CloseCode
from protocol.identity import Role
from protocol.limits import DOCUMENT_BYTES_MAX, DOCUMENT_SIGNATURES_MAX
from protocol.session import messages
from protocol.session.frames import FrameType
from tests.patience import stopwatch
from tests.security.parts import (
    BOX,
    SERVED_S_MAX,
    Peer,
    Town,
    documents_of,
    enrol,
    rising,
    running,
    serves,
    until,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]

Twins = tuple[SignedDocument, SignedDocument]
"""First and second."""
Way = Callable[[Peer, Node, list[bytes]], Awaitable[None]]
"""When documents are given."""


def squad_roster(raws: list[bytes]) -> SignedDocument:
    """Return the one roster of a squad."""
    found = [each for each in map(decode, raws) if each.cls is DocumentClass.ROSTER]
    return next(each for each in found if each.scope[0] == 1)


def later_roster(town: Town, folder: Path, newcomer: str) -> SignedDocument:
    """Let a copy of the authority enrol somebody; return the roster that says so."""
    runtime = system_runtime()
    shutil.copytree(town.home("hq"), folder / "hq")
    trio.run(enrol, folder, folder / "hq", newcomer, Role.AGENT, runtime)
    return squad_roster(documents_of(folder / "hq", runtime))


@pytest.fixture(scope="module")
def twins(whole_town: Town, tmp_path_factory: pytest.TempPathFactory) -> Twins:
    """Two rosters of one version, after the present one, with other members."""
    carol, dave = (
        later_roster(whole_town, tmp_path_factory.mktemp(name), name) for name in ("carol", "dave")
    )
    assert (carol.epoch, carol.version) == (dave.epoch, dave.version)
    return carol, dave


async def bring(peer: Peer, node: Node, raws: list[bytes]) -> None:
    """Give documents where documents are due: between HELLO and the first bundle."""
    await peer.send(FrameType.HELLO, peer.hello(documents={}))
    await peer.expect(FrameType.HELLO)
    await peer.expect(FrameType.DOCUMENT_DIGESTS)
    await peer.send(FrameType.DOCUMENT_DIGESTS, bytes(256))
    await peer.expect(FrameType.DOCUMENT_VERSIONS)
    versions = messages.encode_versions(node.membership.versions)
    await peer.send(FrameType.DOCUMENT_VERSIONS, versions)
    for raw in raws:
        await peer.send(FrameType.DOCUMENT, raw)
    await peer.send(FrameType.DOCUMENTS_END)
    await peer.expect(FrameType.DOCUMENTS_END)


async def bring_live(peer: Peer, node: Node, raws: list[bytes]) -> None:
    """Give documents in a session that runs already."""
    await peer.go_live(node)
    for raw in raws:
        await peer.send(FrameType.DOCUMENT, raw)


def names(membership: Membership) -> set[str]:
    """Return whom a node knows."""
    return {member.name for roster in membership.directory.rosters() for member in roster.members}


@pytest.mark.parametrize("way", [bring, bring_live])
async def test_a_newer_roster_takes_effect_and_an_older_one_does_not(
    town: Town, twins: Twins, way: Way
) -> None:
    old = squad_roster(documents_of(town.folder / "hq", system_runtime()))
    new = twins[0]
    async with running(town.home(BOX)) as node:
        async with Peer.dialled(town, "mallory", node) as peer:
            await way(peer, node, [new.raw])
            await until(lambda: node.metrics.value("documents_accepted") == 1)
        assert "carol" in names(node.membership)
        async with (
            rising(node, "documents_refused"),
            Peer.dialled(town, "mallory", node) as peer,
        ):
            await way(peer, node, [old.raw])
            await until(lambda: node.metrics.value("documents_refused") == 1)
        assert "carol" in names(node.membership)
        await serves(town, node)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("way", [bring, bring_live])
async def test_of_two_documents_of_one_version_the_first_stays(
    town: Town, twins: Twins, way: Way, order: tuple[int, int]
) -> None:
    first, second = (twins[place] for place in order)
    async with running(town.home(BOX)) as node:
        async with (
            rising(node, "documents_accepted", "documents_refused", "documents_equivocal"),
            Peer.dialled(town, "mallory", node) as peer,
        ):
            await way(peer, node, [first.raw, second.raw])
        held = await node.store.read(documents.all_raw)
        assert first.raw in held
        assert second.raw not in held
        (proof,) = await node.store.read(list_evidence)
        assert proof.raw == second.raw
        await serves(town, node)


def forgeries(town: Town, new: SignedDocument) -> dict[str, bytes]:
    """Return by name what looks like a newer document."""
    (signer, signature) = new.signatures[0]
    mallory = document_signer(town.identity("mallory").badge_key)
    own = build(new.cls, new.scope, (new.epoch, new.version), new.issued_ms, new.body, [mallory])
    bent = bytes([signature[0] ^ 1]) + signature[1:]
    return {
        "unsigned": encode([new.signed, []]),
        "signed by Mallory": own.raw,
        "Mallory's signature under the signer's name": encode(
            [new.signed, [[signer, own.signatures[0][1]]]]
        ),
        "a bent signature": encode([new.signed, [[signer, bent]]]),
        "cut short": new.raw[:-1],
        "noise": os.urandom(300),
        "nothing": b"",
    }


FORGERIES = (
    "unsigned",
    "signed by Mallory",
    "Mallory's signature under the signer's name",
    "a bent signature",
    "cut short",
    "noise",
    "nothing",
)


@pytest.mark.parametrize("way", [bring, bring_live])
@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_document_has_no_effect(
    town: Town, twins: Twins, name: str, way: Way
) -> None:
    raw = forgeries(town, twins[0])[name]
    async with running(town.home(BOX)) as node:
        before = await node.store.read(documents.all_raw)
        async with (
            rising(node, "documents_refused"),
            Peer.dialled(town, "mallory", node) as peer,
        ):
            await way(peer, node, [raw])
        assert await node.store.read(documents.all_raw) == before
        assert await node.store.read(list_evidence) == []
        await serves(town, node)


def false_roots(town: Town, count: int) -> list[bytes]:
    """Return successors of the root whose sixteen signatures are all wrong."""
    raws = documents_of(town.home("hq"), system_runtime())
    root = next(each for each in map(decode, raws) if each.cls is DocumentClass.ROOT)
    signer, signature = root.signatures[0]
    bent = signature[:-1] + bytes([signature[-1] ^ 1])
    made = []
    for number in range(count):
        version = (root.epoch, root.version + 1)
        signed = encode([1, 1, b"", *version, root.issued_ms + number, root.body])
        made.append(encode([signed, [[signer, bent]] * DOCUMENT_SIGNATURES_MAX]))
    return made


async def test_a_flood_of_false_roots_delays_nobody(town: Town) -> None:
    # Each costs signatures to check; the writer of the store must not wait for them.
    made = false_roots(town, 300)
    async with running(town.home(BOX)) as node:
        async with Peer.dialled(town, "mallory", node) as peer:
            await bring(peer, node, made)
            while node.metrics.value("documents_refused") < len(made):
                # Of two waits for others half is left.
                with stopwatch() as watch:
                    await serves(town, node)
                assert watch.own_s < SERVED_S_MAX / 2
        assert node.metrics.value("documents_refused") == len(made)


async def test_a_flood_of_documents_ends_the_session(town: Town) -> None:
    async with running(town.home(BOX)) as node:
        async with rising(node, "sessions_broken"), Peer.dialled(town, "mallory", node) as peer:
            await peer.send(FrameType.HELLO, peer.hello(documents={}))
            await peer.expect(FrameType.HELLO)
            await peer.send(FrameType.DOCUMENT_DIGESTS, bytes(256))
            versions = messages.encode_versions(node.membership.versions)
            await peer.send(FrameType.DOCUMENT_VERSIONS, versions)
            for _ in range(500):
                await peer.send(FrameType.DOCUMENT, bytes(DOCUMENT_BYTES_MAX))
            assert await peer.ended() is CloseCode.LIMIT_EXCEEDED
        await serves(town, node)
