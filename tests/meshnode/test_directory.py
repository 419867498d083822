"""The directory: who is who, who reads what, and what people's words mean."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from meshnode.directory import Directory, UnknownNameError
from protocol.authority import (
    DocumentClass,
    Member,
    RootBody,
    RosterBody,
    SignerRule,
    Unit,
)
from protocol.bundle import Scope
from protocol.identity import DeviceClass, Role
from protocol.ids import node_id_of, print_node_id, squad_id_of
from protocol.orders import Revocation

ROOT = RootBody("Alpes", 1, (), (), (SignerRule(DocumentClass.ROOT, 1, ()),))


def key(number: int) -> bytes:
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    return private.public_key().public_bytes_raw()


def node(number: int) -> bytes:
    return node_id_of(key(number))


def member(number: int, role: Role, name: str) -> Member:
    return Member(key(number), role, DeviceClass.PHONE, name)


def squad(zone: int, name: str, *members: Member) -> RosterBody:
    return RosterBody(
        Unit.SQUAD, zone, squad_id_of(zone, name), name, tuple(sorted(members, key=by_key))
    )


def centre(zone: int, *members: Member) -> RosterBody:
    return RosterBody(Unit.CENTRE, zone, b"", "CODT", tuple(sorted(members, key=by_key)))


def by_key(one: Member) -> bytes:
    return one.public_key


ALICE, BOB, LEA = (
    member(1, Role.AGENT, "Alice"),
    member(2, Role.AGENT, "Bob"),
    member(3, Role.LEADER, "Léa"),
)
CAR, BOX = member(4, Role.RELAY, "car"), member(5, Role.RELAY, "box")
GATE, OPER = member(6, Role.GATEWAY, "gate"), member(7, Role.OPERATOR, "oper")
QUEYRAS = squad(7, "Queyras", ALICE, LEA, CAR, OPER)
UBAYE = squad(7, "Ubaye", ALICE, BOB)
CENTRE = centre(7, GATE, OPER, BOX)
DIRECTORY = Directory.from_documents(ROOT, [QUEYRAS, CENTRE, UBAYE])


def scope(name: str) -> Scope:
    return Scope.for_squad(7, squad_id_of(7, name))


def test_an_entry_joins_what_all_rosters_say() -> None:
    alice = DIRECTORY.member(node(1))
    assert alice is not None
    assert (alice.name, alice.role, alice.zone) == ("Alice", Role.AGENT, 7)
    assert alice.squads == tuple(sorted((QUEYRAS.unit_id, UBAYE.unit_id)))
    assert alice.key.public_bytes_raw() == key(1)
    assert alice.key is alice.key
    assert DIRECTORY.member(node(9)) is None
    assert [entry.name for entry in DIRECTORY.members()] == sorted(
        ["Alice", "Bob", "Léa", "box", "car", "gate", "oper"]
    )
    assert DIRECTORY.network_name == "Alpes"
    assert set(DIRECTORY.rosters()) == {QUEYRAS, UBAYE, CENTRE}


def test_a_revoked_device_keeps_its_key_and_is_a_member_no_more() -> None:
    lost = Revocation(node(1), 0, 0, 0)
    after = DIRECTORY.with_revoked({lost.subject: lost})
    assert after.member(node(1)) == DIRECTORY.member(node(1))
    assert after.name_of(node(1)) == "Alice"
    assert after.trusted(node(1)) is None
    assert after.trusted(node(2)) == DIRECTORY.member(node(2))
    assert after.trusted(node(9)) is None
    assert {entry.node for entry in DIRECTORY.members()} - {
        entry.node for entry in after.members()
    } == {node(1)}


def test_a_name_means_the_device_that_is_not_revoked() -> None:
    again = squad(7, "Queyras", ALICE, member(9, Role.AGENT, "Alice"))
    directory = Directory.from_documents(ROOT, [again, CENTRE])
    with pytest.raises(UnknownNameError, match="several devices"):
        directory.find("alice")
    for lost, left in ((1, 9), (9, 1)):
        entry = Revocation(node(lost), 0, 0, 0)
        found = directory.with_revoked({entry.subject: entry})
        assert found.find("alice") == Scope.for_device(7, node(left))
        assert found.find(print_node_id(node(lost))) == Scope.for_device(7, node(lost))


def test_the_highest_role_is_shown() -> None:
    both = [squad(7, "Q", member(1, Role.AGENT, "a")), squad(7, "U", member(1, Role.LEADER, "a"))]
    for rosters in (both, both[::-1]):
        entry = Directory.from_documents(ROOT, rosters).member(node(1))
        assert entry is not None
        assert entry.role is Role.LEADER


def test_recipients_are_the_readers_without_the_author() -> None:
    recipients = DIRECTORY.recipients
    assert recipients(scope("Queyras"), node(1)) == {node(3), node(7)}
    assert recipients(scope("Queyras"), node(4)) == {node(1), node(3), node(7)}
    assert recipients(Scope.for_codt(7), node(1)) == {node(6), node(7)}
    assert recipients(Scope.for_codt(7), node(6)) == {node(7)}
    assert recipients(Scope.for_zone(7), node(1)) == {node(2), node(3), node(6), node(7)}
    assert recipients(Scope.for_device(7, node(2)), node(1)) == {node(2)}
    assert recipients(Scope.for_device(7, node(2)), node(2)) == frozenset()


def test_unknown_units_have_no_recipients() -> None:
    for unknown in (
        scope("Jura"),
        Scope.for_codt(8),
        Scope.for_zone(8),
        Scope.for_device(7, node(9)),
        Scope.for_device(8, node(2)),
    ):
        assert DIRECTORY.recipients(unknown, node(1)) == frozenset()


def test_words_of_people_are_found_and_said() -> None:
    for text, expected in (
        ("codt", Scope.for_codt(7)),
        (" CODT ", Scope.for_codt(7)),
        ("zone", Scope.for_zone(7)),
        ("squad:queyras", scope("Queyras")),
        (f"squad:{QUEYRAS.unit_id.hex()}", scope("Queyras")),
        ("alice", Scope.for_device(7, node(1))),
        ("LÉA", Scope.for_device(7, node(3))),
        (print_node_id(node(2)), Scope.for_device(7, node(2))),
    ):
        assert DIRECTORY.find(text) == expected
        assert DIRECTORY.find(text, 7) == expected
        assert DIRECTORY.find(DIRECTORY.describe(expected)) == expected


def test_what_is_not_known_is_said_with_a_way_out() -> None:
    for text, hint in (
        ("carol", "no device is called 'carol'"),
        ("Queyras", "write squad:Queyras"),
        ("squad:Jura", "squads known here: Queyras, Ubaye"),
        (print_node_id(node(9)), "no device is called"),
    ):
        with pytest.raises(UnknownNameError, match=hint):
            DIRECTORY.find(text)


def test_namesakes_are_told_apart_by_id() -> None:
    twins = [squad(7, "Q", member(1, Role.AGENT, "Jo"), member(2, Role.AGENT, "jo"))]
    with pytest.raises(UnknownNameError, match=print_node_id(node(2))):
        Directory.from_documents(ROOT, twins).find("JO")


def test_zones_are_kept_apart() -> None:
    two = Directory.from_documents(ROOT, [QUEYRAS, squad(8, "Queyras", BOB)])
    with pytest.raises(UnknownNameError):
        two.find("codt")
    assert two.find("squad:Queyras", 8) == Scope.for_squad(8, squad_id_of(8, "Queyras"))
    with pytest.raises(UnknownNameError, match="known here: none"):
        two.squad("Queyras", 9)


def test_an_empty_directory_knows_nobody() -> None:
    empty = Directory.from_documents(ROOT, [])
    with pytest.raises(UnknownNameError):
        empty.find("codt")
    assert empty.name_of(node(1)) == print_node_id(node(1))
    assert empty.describe(scope("Queyras")) == f"squad:{QUEYRAS.unit_id.hex()}"
    assert DIRECTORY.name_of(node(1)) == "Alice"
