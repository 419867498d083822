"""Enrolled devices without files: names, rights, documents, and what follows from the seed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from trio.testing import MockClock

from meshnode.directory import Directory
from meshnode.store import bundles, documents, keyring
from meshnode.store.engine import open_store
from meshnode.store.keyring import KeyPurpose
from protocol.authority import DocumentClass, decode_root_untrusted, decode_roster_untrusted
from protocol.bundle import Scope
from protocol.identity import Role, verify_badge_untrusted, verify_binding
from protocol.ids import squad_id_of
from protocol.limits import Kind
from sims.fleet import ZONE, DevicePlan, Fleet, make_fleet
from sims.runtime import START_MS, Machine, Tracer, seeded_entropy
from sims.sealer import StandInSealer

PLANS = (
    DevicePlan("gateway", Role.GATEWAY),
    DevicePlan("box", Role.RELAY, ("Queyras", "Ubaye")),
    DevicePlan("anna", Role.AGENT, ("Queyras",)),
)


def fleet(seed: int = 1, plans: Sequence[DevicePlan] = PLANS) -> Fleet:
    """Return a fleet that follows from a seed."""
    return make_fleet(plans, seeded_entropy(seed, "authority"), START_MS)


def directory_of(made: Fleet) -> Directory:
    """Return what its documents say."""
    root = decode_root_untrusted(made.documents[0].body)
    rosters = [
        decode_roster_untrusted(document.body)
        for document in made.documents
        if document.cls is DocumentClass.ROSTER
    ]
    return Directory.from_documents(root, rosters)


def test_the_documents_say_who_is_who() -> None:
    made = fleet()
    directory = directory_of(made)
    gateway, box, anna = made.devices
    assert {entry.name for entry in directory.members()} == {"gateway", "box", "anna"}
    assert directory.recipients(Scope.for_codt(ZONE), anna.node) == {gateway.node}
    squad = Scope.for_squad(ZONE, squad_id_of(ZONE, "Queyras"))
    assert directory.recipients(squad, gateway.node) == {anna.node}, "relays never read"
    assert directory.recipients(Scope.for_device(ZONE, box.node), anna.node) == {box.node}


def test_ids_and_secrets_follow_from_the_seed() -> None:
    one, same, other = fleet(1), fleet(1), fleet(2)
    assert [d.node for d in one.devices] == [d.node for d in same.devices]
    assert one.secrets == same.secrets
    assert {d.node for d in one.devices}.isdisjoint(d.node for d in other.devices)
    sizes = [[len(part) for part in d.badge.chain] for d in one.devices]
    assert sizes == [[len(part) for part in d.badge.chain] for d in same.devices]


def test_badges_hold_under_the_root() -> None:
    made = fleet()
    root = decode_root_untrusted(made.documents[0].body)
    for device in made.devices:
        badge = verify_badge_untrusted(device.badge.chain, root.anchors, START_MS)
        assert badge.node == device.node
        assert badge.role is device.plan.role
        assert len(device.identity.binding) == 2
        for certificate, signature in device.identity.binding.items():
            verify_binding(badge.public_key, certificate, signature)


def test_no_secret_stands_in_a_repr() -> None:
    made = fleet()
    assert made.secrets.network_key.hex() not in repr(made)
    assert repr(made.secrets.network_key) not in repr(made)


@pytest.mark.parametrize("place", range(3))
async def test_a_furnished_store_holds_what_an_enrolment_brings(
    autojump_clock: MockClock, place: int
) -> None:
    made = fleet()
    device, machine = made.devices[place], Machine(1, "x", Tracer())
    sealer = StandInSealer(machine.runtime.entropy)
    async with open_store(None, machine.runtime) as store:
        prekey = await made.furnish(device, store, machine.runtime, sealer)
        keys = await store.read(lambda conn: keyring.network_keys(conn, KeyPurpose.NETWORK))
        sos = await store.read(lambda conn: keyring.network_keys(conn, KeyPurpose.ZONE_SOS))
        knock = await store.read(lambda conn: keyring.network_keys(conn, KeyPurpose.KNOCK))
        held = await store.read(documents.all_raw)
        own = await store.read(lambda conn: keyring.own_prekey(conn, prekey.secret.prekey_id))
        travelling = await store.read(lambda conn: bundles.by_kind(conn, Kind.PREKEY))
    assert list(keys.values()) == [made.secrets.network_key]
    is_relay = device.plan.role is Role.RELAY
    assert list(sos.values()) == ([] if is_relay else [made.secrets.sos_key])
    assert list(knock.values()) == [made.secrets.knock_key]
    assert len(held) == len(made.documents)
    assert own == prekey.secret
    assert [(each.author, each.is_own) for each in travelling] == [(device.node, True)]
