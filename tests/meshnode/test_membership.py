"""Authority documents: newer ones take effect at once, others are counted and change nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from trio.testing import MockClock

from meshnode.errors import StoreCorruptError
from meshnode.events import DocumentsChanged, Events
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.store.engine import open_store
from meshnode.store.evidence import list_evidence
from protocol.authority import DocumentClass, build, document_signer
from protocol.ids import NodeId
from sims.runtime import START_MS
from tests.meshnode.documents import roster
from tests.meshnode.rig import Rig, squad_scope


async def accept(rig: Rig, *raws: bytes) -> int:
    """Bring documents to anna, as a peer would."""
    return await rig["anna"].node.membership.accept(raws, rig["bruno"].id)


def readers(rig: Rig) -> set[str]:
    """Return who may read what goes to the squad, as anna sees it."""
    directory = rig["anna"].node.membership.directory
    return {directory.name_of(node) for node in directory.recipients(squad_scope(), bytes(16))}


async def test_a_newer_roster_takes_effect_at_once(autojump_clock: MockClock, rig: Rig) -> None:
    told: list[tuple[int, NodeId | None]] = []

    def tell(raws: Sequence[bytes], source: NodeId | None) -> None:
        told.append((len(raws), source))

    membership = rig["anna"].node.membership
    membership.on_change.append(tell)
    assert readers(rig) == {"anna", "bruno"}
    with membership.events.subscribe() as subscription:
        assert await accept(rig, roster(rig, ["anna"], 2).raw) == 1
        assert await subscription.next() == DocumentsChanged(1)
    assert readers(rig) == {"anna"}
    assert told == [(1, rig["bruno"].id)]
    assert rig["anna"].metric("documents_accepted") == 1


async def test_the_same_and_older_ones_change_nothing(autojump_clock: MockClock, rig: Rig) -> None:
    """Security case S23 for rosters: only what is newer counts."""
    second = roster(rig, ["anna"], 2).raw
    assert await accept(rig, second) == 1
    assert await accept(rig, second) == 0
    await accept(rig, roster(rig, ["anna", "bruno"], 1).raw)
    assert readers(rig) == {"anna"}


async def test_two_of_one_version_leave_the_first_and_the_proof(
    autojump_clock: MockClock, rig: Rig
) -> None:
    first = roster(rig, ["anna"], 2)
    await accept(rig, first.raw)
    second = roster(rig, ["anna", "bruno"], 2)
    assert await accept(rig, second.raw) == 0
    assert readers(rig) == {"anna"}
    (proof,) = await rig["anna"].store.read(list_evidence)
    assert (proof.first_digest, proof.raw) == (first.digest, second.raw)
    assert rig["anna"].metric("documents_refused") == 1


async def test_what_nobody_trusted_signed_is_refused(autojump_clock: MockClock, rig: Rig) -> None:
    good = roster(rig, ["anna"], 2)
    thief = document_signer(ed25519.Ed25519PrivateKey.generate())
    device = document_signer(rig["bruno"].device.keys.badge)
    forged = [
        build(DocumentClass.ROSTER, good.scope, (1, 2), START_MS, good.body, [signer]).raw
        for signer in (thief, device)
    ]
    flipped = bytearray(good.raw)
    flipped[len(flipped) // 2] ^= 1
    assert await accept(rig, *forged, bytes(flipped), b"garbage", b"") == 0
    assert readers(rig) == {"anna", "bruno"}
    assert rig["anna"].metric("documents_refused") == 5


async def test_a_bad_one_does_not_stop_the_others(autojump_clock: MockClock, rig: Rig) -> None:
    assert await accept(rig, b"garbage", roster(rig, ["anna"], 2).raw) == 1
    assert readers(rig) == {"anna"}


async def test_what_took_effect_is_there_after_a_restart(
    autojump_clock: MockClock, rig: Rig
) -> None:
    await accept(rig, roster(rig, ["anna"], 2).raw)
    node = rig["anna"].node
    again = await Membership.load(node.store, node.runtime, Events(), Metrics())
    assert again.versions == node.membership.versions
    assert again.directory.recipients(squad_scope(), bytes(16)) == {rig["anna"].id}
    assert await again.read(list(again.versions)) == await node.membership.read(
        list(node.membership.versions)
    )


async def test_a_store_without_a_root_is_no_store_of_a_member(
    autojump_clock: MockClock, rig: Rig
) -> None:
    runtime = rig["anna"].machine.runtime
    async with open_store(None, runtime) as store:
        with pytest.raises(StoreCorruptError, match="enrol this device again"):
            await Membership.load(store, runtime, Events(), Metrics())
