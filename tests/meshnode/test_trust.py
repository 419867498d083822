"""What documents amount to: revocations, beacons, orders, guests, and the time that they prove."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from trio.testing import MockClock

from meshnode.events import Events
from meshnode.membership import Membership
from meshnode.metrics import Metrics
from meshnode.trust import Trust
from protocol.authority import (
    DocumentClass,
    RootBody,
    SignedDocument,
    Signer,
    build,
    decode_untrusted,
    document_signer,
    given_signature,
    unit_signer,
)
from protocol.bundle import Scope
from protocol.certificates import issuer_key_untrusted
from protocol.guards import BEACON_JUMP_MS_MAX, PASS_MS_MAX, WIPE_CARRY_MS
from protocol.identity import DeviceClass, Rights, Role
from protocol.ids import NodeId, node_id_of, squad_id_of
from protocol.issuing import UnitAuthority, issue_badge, make_unit
from protocol.limits import CLOCK_DRIFT_MS_MAX
from protocol.orders import Revocation, issuer_id
from protocol.reports import Standing
from protocol.witnessed import PassBody
from sims.fleet import ZONE
from sims.runtime import START_MS
from tests.meshnode.documents import (
    beacon,
    erasure,
    revocations,
    roster,
    signed_list,
    wipe_order,
)
from tests.meshnode.rig import SQUAD, Rig, open_rig

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
SQUAD_WORDS = f"squad:{SQUAD}"


async def accept(rig: Rig, *documents: SignedDocument, at: str = "anna") -> int:
    return await rig[at].node.membership.accept([document.raw for document in documents])


async def reloaded(rig: Rig, at: str = "anna") -> Membership:
    node = rig[at].node
    return await Membership.load(node.store, node.runtime, Events(), Metrics(), ZONE)


def squad() -> Scope:
    return Scope.for_squad(ZONE, squad_id_of(ZONE, SQUAD))


# --- revocations -------------------------------------------------------------------------------


async def test_a_revoked_device_reads_nothing_more(autojump_clock: MockClock, rig: Rig) -> None:
    assert await accept(rig, revocations(rig, ["bruno"], 1)) == 1
    for membership in (rig["anna"].node.membership, await reloaded(rig)):
        directory = membership.directory
        assert directory.recipients(squad(), bytes(16)) == {rig["anna"].id}
        assert directory.recipients(rig["bruno"].scope, bytes(16)) == frozenset()
        assert rig["bruno"].id not in directory.recipients(Scope.for_zone(ZONE), bytes(16))
        assert not directory.is_recipient(rig["bruno"].id, squad(), rig["anna"].id)
        assert directory.name_of(rig["bruno"].id) == "bruno"
        assert membership.standing(rig["bruno"].device.badge) is Standing.REVOKED
        assert membership.standing(rig["anna"].device.badge) is Standing.FULL
        assert membership.revocation_of(rig["bruno"].id) is not None
        assert membership.revocation_of(rig["anna"].id) is None


async def test_a_revoked_issuer_takes_its_badges_along(autojump_clock: MockClock, rig: Rig) -> None:
    issuer = issuer_id(issuer_key_untrusted(rig["bruno"].device.badge.chain[1]))
    await accept(rig, signed_list(rig, [Revocation(issuer, START_MS, 0, 0)], 1))
    membership = rig["anna"].node.membership
    assert membership.standing(rig["bruno"].device.badge) is Standing.REVOKED


async def test_what_was_written_before_the_loss_stays_good(
    autojump_clock: MockClock, rig: Rig
) -> None:
    bruno = rig["bruno"].id
    await accept(rig, signed_list(rig, [Revocation(bruno, START_MS, 7, 3)], 1))
    directory = rig["anna"].node.membership.directory
    assert [directory.is_astray(bruno, 7, seq) for seq in (1, 3, 4)] == [False, False, True]
    assert directory.is_astray(bruno, 8, 1)
    assert not directory.is_astray(rig["anna"].id, 8, 1)


async def test_rosters_after_a_revocation_do_not_undo_it(
    autojump_clock: MockClock, rig: Rig
) -> None:
    await accept(rig, revocations(rig, ["bruno"], 1))
    await accept(rig, roster(rig, ["anna", "bruno"], 2))
    directory = rig["anna"].node.membership.directory
    assert directory.recipients(squad(), bytes(16)) == {rig["anna"].id}


# --- time --------------------------------------------------------------------------------------


async def test_beacons_tell_the_time_and_survive_a_restart(autojump_clock: MockClock) -> None:
    async with open_rig(has_beacons=True) as rig:
        membership = rig["anna"].node.membership
        assert (membership.has_beacons, membership.beacon_ms) == (True, 0)
        assert await accept(rig, beacon(rig, 1, START_MS + 5)) == 1
        for each in (membership, await reloaded(rig)):
            assert each.beacon_ms == each.time_floor_ms == START_MS + 5


async def test_a_network_without_signers_of_beacons_takes_none(
    autojump_clock: MockClock, rig: Rig
) -> None:
    assert await accept(rig, beacon(rig, 1, START_MS)) == 0
    assert not rig["anna"].node.membership.has_beacons


async def test_a_beacon_far_ahead_is_refused_because_one_signer_made_it(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(has_beacons=True) as rig:
        far = beacon(rig, 1, START_MS + BEACON_JUMP_MS_MAX + 1)
        assert await accept(rig, far) == 0
        assert await accept(rig, beacon(rig, 2, START_MS + BEACON_JUMP_MS_MAX)) == 1


async def test_a_date_far_ahead_moves_the_bound_with_two_signers_only(
    autojump_clock: MockClock, rig: Rig
) -> None:
    far_ms = START_MS + 30 * DAY_MS
    membership = rig["anna"].node.membership
    await accept(rig, roster(rig, ["anna"], 2, issued_ms=far_ms))
    assert membership.time_floor_ms <= START_MS
    await accept(rig, wipe_order(rig, ["box"], issued_ms=far_ms))
    assert membership.time_floor_ms == (await reloaded(rig)).time_floor_ms == far_ms


async def test_the_bound_never_falls(autojump_clock: MockClock, rig: Rig) -> None:
    await accept(rig, roster(rig, ["anna"], 2, issued_ms=START_MS + 100))
    await accept(rig, roster(rig, ["anna", "bruno"], 3, issued_ms=START_MS + 50))
    membership = rig["anna"].node.membership
    assert membership.time_floor_ms == (await reloaded(rig)).time_floor_ms == START_MS + 100


# --- orders ------------------------------------------------------------------------------------


async def test_an_order_names_its_devices_and_needs_two_cards(
    autojump_clock: MockClock, rig: Rig
) -> None:
    for cards in ((0,), (1, 1), (2, 2)):
        assert await accept(rig, wipe_order(rig, ["bruno"], cards=cards)) == 0
    assert await accept(rig, wipe_order(rig, ["bruno"], cards=(0, 2))) == 1
    membership = rig["anna"].node.membership
    (order,) = membership.wipe_orders_for(rig["bruno"].id)
    assert (order.order_id, order.body.devices) == (b"order-01", (rig["bruno"].id,))
    assert membership.wipe_orders_for(rig["anna"].id) == ()


async def test_a_proof_counts_where_its_order_is_held(autojump_clock: MockClock, rig: Rig) -> None:
    proof = erasure(rig, "bruno")
    assert await accept(rig, proof) == 0
    assert await accept(rig, wipe_order(rig, ["anna"]), proof) == 1
    assert (
        await accept(
            rig, wipe_order(rig, ["bruno"], b"order-02"), erasure(rig, "bruno", b"order-02")
        )
        == 2
    )
    assert rig["anna"].node.membership.trust.erasures() == {(b"order-02", rig["bruno"].id)}


async def test_orders_and_proofs_are_carried_for_90_days(
    autojump_clock: MockClock, rig: Rig
) -> None:
    membership = rig["anna"].node.membership
    order, proof = wipe_order(rig, ["bruno"]), erasure(rig, "bruno")
    before = set(membership.versions)
    assert await accept(rig, order, proof) == 2
    autojump_clock.jump(WIPE_CARRY_MS / 1_000)
    assert set(membership.versions) == before
    assert await membership.forget_over() == 2
    assert await membership.forget_over() == 0
    assert set((await reloaded(rig)).trust.held) == before
    assert await accept(rig, order) == 0


async def test_a_clock_that_is_set_ahead_keeps_no_order_from_its_device(
    autojump_clock: MockClock, rig: Rig
) -> None:
    """A thief sets the clock past the 90 days: the order is obeyed by whom it is about."""
    autojump_clock.jump(WIPE_CARRY_MS / 1_000)
    about_us, about_another = wipe_order(rig, ["anna"]), wipe_order(rig, ["bruno"], b"order-02")
    membership = rig["anna"].node.membership
    assert await accept(rig, about_another) == 0
    assert await accept(rig, wipe_order(rig, ["anna"], b"order-03", cards=(0,))) == 0
    assert await accept(rig, about_us) == 1
    (order,) = membership.wipe_orders_for(rig["anna"].id)
    assert order.order_id == about_us.scope


# --- guests ------------------------------------------------------------------------------------


class Newcomer:
    """A device that a leader enrols in the field."""

    def __init__(self, rig: Rig, number: int = 1, unit: UnitAuthority | None = None) -> None:
        key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([100 + number]) * 32)
        self.public = key.public_key().public_bytes_raw()
        squads = (squad_id_of(ZONE, SQUAD),)
        self.unit = unit or make_unit(rig.fleet.regional, ZONE, squads, START_MS)
        rights = Rights(Role.AGENT, ZONE, squads, DeviceClass.PHONE)
        self.chain = issue_badge(self.unit, self.public, rights, START_MS)

    @property
    def node(self) -> NodeId:
        return node_id_of(self.public)

    def document(self, ends_ms: int = START_MS + PASS_MS_MAX) -> SignedDocument:
        body = PassBody("carla", ends_ms, self.chain)
        signers = [unit_signer(self.unit.key)]
        return build(DocumentClass.PASS, self.node, (1, 1), START_MS, body.encode(), signers)


async def test_a_guest_is_a_member_until_its_pass_is_over(
    autojump_clock: MockClock, rig: Rig
) -> None:
    newcomer = Newcomer(rig)
    assert await accept(rig, newcomer.document()) == 1
    for membership in (rig["anna"].node.membership, await reloaded(rig)):
        assert membership.directory.name_of(newcomer.node) == "carla"
        assert newcomer.node in membership.directory.recipients(squad(), bytes(16))
    autojump_clock.jump(PASS_MS_MAX / 1_000)
    membership = rig["anna"].node.membership
    await membership.forget_over()
    assert membership.directory.member(newcomer.node) is None
    assert newcomer.node not in membership.directory.recipients(squad(), bytes(16))


async def test_removal_wins_over_a_pass(autojump_clock: MockClock, rig: Rig) -> None:
    guests = [Newcomer(rig, number) for number in (1, 2)]
    await accept(rig, *(guest.document() for guest in guests))
    first, second = guests
    issuer = issuer_id(issuer_key_untrusted(second.chain[1]))
    gone = sorted(
        (Revocation(first.node, 1, 0, 0), Revocation(issuer, 1, 0, 0)), key=lambda e: e.subject
    )
    await accept(rig, signed_list(rig, gone, 1))
    directory = rig["anna"].node.membership.directory
    assert not {first.node, second.node} & directory.recipients(squad(), bytes(16))


async def test_a_pass_counts_from_its_own_time_only(autojump_clock: MockClock, rig: Rig) -> None:
    """Or whoever stole a unit's key could be a reader for as long as the key is valid."""
    newcomer = Newcomer(rig)
    body = PassBody("carla", START_MS + 30 * HOUR_MS, newcomer.chain).encode()
    at_ms = START_MS + 20 * HOUR_MS
    signers = [unit_signer(newcomer.unit.key)]
    early = build(DocumentClass.PASS, newcomer.node, (1, 1), at_ms, body, signers)
    assert await accept(rig, early) == 0
    membership = rig["anna"].node.membership
    assert membership.metrics.value("documents_refused") == 1
    autojump_clock.jump(20 * 3_600 - CLOCK_DRIFT_MS_MAX / 1_000)
    assert await accept(rig, early) == 1
    assert newcomer.node in membership.directory.recipients(squad(), bytes(16))


async def test_no_unit_fills_the_places_of_all_passes(
    autojump_clock: MockClock, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshnode.membership.PASSES_OF_UNIT_MAX", 3)
    unit, other = Newcomer(rig).unit, Newcomer(rig, 9)
    many = [Newcomer(rig, number, unit).document() for number in range(1, 6)]
    assert await accept(rig, *many[:2]) == 2
    assert await accept(rig, *many[2:]) == 1
    assert await accept(rig, other.document()) == 1
    assert await accept(rig, many[0]) == 0, "it is held already"
    membership = rig["anna"].node.membership
    assert membership.metrics.value("documents_refused") == 2
    autojump_clock.jump(PASS_MS_MAX / 1_000)
    await membership.forget_over()
    assert not membership.trust.guests


async def test_a_newer_list_of_a_card_clears_nobody(autojump_clock: MockClock, rig: Rig) -> None:
    """Whoever steals a card with its passphrase cannot give back what it took away."""
    newcomer = Newcomer(rig)
    await accept(rig, newcomer.document())
    entry, other = Revocation(newcomer.node, 1, 7, 3), Revocation(bytes(16), 1, 0, 0)
    membership = rig["anna"].node.membership
    await accept(rig, signed_list(rig, [entry], 1))
    for entries in ([], [other], [replace(entry, last_seq=4)], [replace(entry, incarnation=8)]):
        before = membership.metrics.value("documents_refused")
        assert await accept(rig, signed_list(rig, entries, 2)) == 0
        assert membership.metrics.value("documents_refused") == before + 1
        assert membership.directory.member(newcomer.node) is None
        assert membership.trust.directory.find(SQUAD_WORDS) == squad()
    stricter = replace(entry, last_seq=2)
    assert await accept(rig, signed_list(rig, sorted([other, stricter], key=subject_of), 2)) == 1
    assert membership.trust.revoked[newcomer.node] == stricter
    assert newcomer.node not in membership.directory.recipients(squad(), bytes(16))


async def test_a_card_that_the_root_names_no_more_has_revoked_nobody(
    autojump_clock: MockClock, rig: Rig
) -> None:
    """A rogue operator is undone by a root without its card, also where its list is known."""
    await accept(rig, revocations(rig, ["bruno"], 1))
    trust, badge = rig["anna"].node.membership.trust, rig["bruno"].device.badge
    assert trust.standing(badge) is Standing.REVOKED
    other = (ed25519.Ed25519PrivateKey.from_private_bytes(b"o" * 32).public_key(),)
    keys = tuple(key.public_bytes_raw() for key in other)
    rules = tuple(
        replace(rule, keys=keys) if rule.cls is DocumentClass.REVOCATION else rule
        for rule in trust.root.rules
    )
    body = replace(trust.root, rules=rules).encode()
    signers = [rig.fleet.document_signer]  # what is in force is not judged again
    root = build(DocumentClass.ROOT, b"", (1, 2), START_MS, body, signers)
    after = trust.with_documents([root])
    for view in (after, Trust.of(after.held.values())):
        assert not view.revoked
        assert view.standing(badge) is Standing.FULL
        assert rig["bruno"].id in view.directory.recipients(squad(), bytes(16))


def next_root(
    root: RootBody, cls: DocumentClass, key: ed25519.Ed25519PrivateKey, signer: Signer
) -> SignedDocument:
    """Return the root after this one, in which a class has this one signer in place of its own."""
    keys = (key.public_key().public_bytes_raw(),)
    rules = tuple(
        replace(rule, keys=keys, pq_keys=()) if rule.cls is cls else rule for rule in root.rules
    )
    body = replace(root, rules=rules).encode()
    return build(DocumentClass.ROOT, b"", (1, 2), START_MS, body, [signer])


async def test_the_beacon_of_a_new_card_counts_where_that_of_a_dropped_one_is_held(
    autojump_clock: MockClock,
) -> None:
    """The root drops a lost card: no lease may end because the numbers of that card were higher."""
    async with open_rig(has_beacons=True) as rig:
        await _beacons_of_two_cards(rig)


async def _beacons_of_two_cards(rig: Rig) -> None:
    await accept(rig, beacon(rig, 9_001, START_MS))
    membership = rig["anna"].node.membership
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"n" * 32)
    root = next_root(membership.root, DocumentClass.BEACON, key, rig.fleet.root_signer)
    old = beacon(rig, 9_001, START_MS)
    later = build(
        DocumentClass.BEACON, old.scope, (1, 2), START_MS + 1, old.body, [document_signer(key)]
    )
    assert await accept(rig, root) == 1
    assert membership.beacon_ms == START_MS, "what was heard of the centre was heard"
    assert (int(old.cls), old.scope) not in membership.versions, "nobody takes it any more"
    assert await accept(rig, later) == 1
    for view in (membership, await reloaded(rig)):
        assert view.beacon_ms == START_MS + 1
        assert view.versions[int(old.cls), old.scope] == (1, 2)
    # Both in one contact, at a device that has heard of neither.
    await accept(rig, beacon(rig, 9_001, START_MS), at="bruno")
    assert await accept(rig, later, root, at="bruno") == 2
    assert rig["bruno"].node.membership.beacon_ms == START_MS + 1


async def test_a_roster_of_a_dropped_signer_says_nothing_whatever_names_stand_under_it(
    autojump_clock: MockClock, rig: Rig
) -> None:
    """Anybody may put the name of a signer to come under a document, with a false signature."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"n" * 32)
    false = given_signature(document_signer(key).signer_id, bytes(64))
    body = roster(rig, ["anna", "bruno"], 9).body
    scope, signers = roster(rig, [], 9).scope, [rig.fleet.document_signer, false]
    leaning = build(DocumentClass.ROSTER, scope, (1, 9), START_MS, body, signers)
    assert await accept(rig, leaning) == 1
    trust = rig["anna"].node.membership.trust
    root = next_root(trust.root, DocumentClass.ROSTER, key, rig.fleet.document_signer)
    after = trust.with_documents([root])
    for view in (after, Trust.of(after.held.values())):
        assert not view.directory.recipients(squad(), bytes(16))
        assert (int(leaning.cls), scope) not in view.versions(START_MS)


def subject_of(entry: Revocation) -> bytes:
    return entry.subject


async def test_lists_and_passes_leave_the_rosters_as_they_were_read(
    autojump_clock: MockClock, rig: Rig
) -> None:
    """Reading 18,000 members takes longer than a revocation may."""
    await accept(rig, Newcomer(rig, 1).document())
    before = rig["anna"].node.membership.trust
    await accept(rig, Newcomer(rig, 2).document())
    await accept(rig, revocations(rig, ["bruno"], 1))
    after = rig["anna"].node.membership.trust
    assert after.units is before.units
    came = set(after.directory.members()) - set(before.directory.members())
    gone = set(before.directory.members()) - set(after.directory.members())
    assert ([each.name for each in came], [each.name for each in gone]) == (["carla"], ["bruno"])
    assert await accept(rig, roster(rig, ["anna"], 2)) == 1
    assert rig["anna"].node.membership.trust.units is not before.units


async def test_a_roster_says_more_than_a_pass(autojump_clock: MockClock, rig: Rig) -> None:
    newcomer = Newcomer(rig)
    await accept(rig, newcomer.document())
    entry = rig["anna"].node.membership.directory.member(newcomer.node)
    assert entry is not None
    assert (entry.role, entry.squads) == (Role.AGENT, (squad_id_of(ZONE, SQUAD),))


# --- the view from change to change ------------------------------------------------------------


async def test_step_by_step_comes_to_the_same_as_all_at_once(
    autojump_clock: MockClock, rig: Rig
) -> None:
    newcomer = Newcomer(rig)
    documents = [
        roster(rig, ["anna"], 2),
        roster(rig, ["anna", "bruno"], 3),
        revocations(rig, ["bruno"], 1),
        revocations(rig, ["bruno", "box"], 2),
        wipe_order(rig, ["box"]),
        erasure(rig, "box"),
        newcomer.document(),
    ]
    base = [
        decode_untrusted(raw)
        for raw in await rig["anna"].node.membership.read(
            list(rig["anna"].node.membership.versions)
        )
    ]
    whole = Trust.of([*base, *documents[1:2], *documents[3:]])
    for seed in range(20):
        order = list(documents)
        random.Random(seed).shuffle(order)
        trust = Trust.of(base)
        for document in order:
            trust = trust.with_documents([document])
        assert trust.versions(START_MS) == whole.versions(START_MS)
        assert trust.revoked == whole.revoked
        assert _members(trust) == _members(whole)
        assert trust.wipe_orders() == whole.wipe_orders()


def _members(trust: Trust) -> object:
    directory = trust.directory
    return (
        {replace(entry, _key=[]) for entry in directory.members()},
        {roster.scope: directory.recipients(squad(), bytes(16)) for roster in directory.rosters()},
    )
