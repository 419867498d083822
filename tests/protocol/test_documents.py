"""Bodies of authority documents: what a root and a roster may say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from protocol.canonical import Value, encode
from protocol.documents import (
    DocumentClass,
    Member,
    RootBody,
    RosterBody,
    SignerRule,
    Unit,
    decode_class,
    decode_name,
    decode_root_untrusted,
    decode_roster_untrusted,
    load_root_key_untrusted,
)
from protocol.errors import LimitExceededError, MalformedError
from protocol.identity import DeviceClass, Role
from protocol.ids import node_id_of, squad_id_of
from protocol.issuing import make_root, public_key_der
from protocol.limits import (
    ANCHORS_MAX,
    DOCUMENT_BYTES_MAX,
    MEMBERS_MAX,
    NAME_BYTES_MAX,
    SIGNERS_MAX,
)

ANCHOR = make_root(1_800_000_000_000).certificate
P384 = [ec.derive_private_key(number, ec.SECP384R1()).public_key() for number in range(1, 18)]
ROOT_KEYS = sorted(public_key_der(key) for key in P384)
KEYS = sorted(
    ed25519.Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))
    .public_key()
    .public_bytes_raw()
    for number in range(1, MEMBERS_MAX + 2)
)
NAMES = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=16)


def roster_record(**changes: Value) -> bytes:
    fields: dict[str, Value] = {
        "unit": 1,
        "zone": 7,
        "id": squad_id_of(7, "Queyras"),
        "name": b"Queyras",
        "members": [[KEYS[0], 1, 1, b"alice"], [KEYS[1], 3, 3, b"car"]],
    }
    return encode(list((fields | changes).values()))


def root_record(**changes: Value) -> bytes:
    fields: dict[str, Value] = {
        "name": b"Alpes",
        "epoch": 1,
        "keys": ROOT_KEYS[:2],
        "anchors": [ANCHOR],
        "rules": [[1, 2, [], []], [2, 1, KEYS[:2], []]],
        "narrow": 0,
    }
    return encode(list((fields | changes).values()))


@given(
    st.sampled_from(Unit),
    st.integers(1, 65_535),
    NAMES,
    st.lists(
        st.tuples(
            st.sampled_from(KEYS), st.sampled_from(Role), st.sampled_from(DeviceClass), NAMES
        ),
        max_size=8,
        unique_by=lambda member: member[0],
    ),
)
def test_a_roster_is_read_as_it_was_written(
    unit: Unit, zone: int, name: str, members: list[tuple[bytes, Role, DeviceClass, str]]
) -> None:
    unit_id = squad_id_of(zone, name) if unit is Unit.SQUAD else b""
    roster = RosterBody(
        unit, zone, unit_id, name, tuple(Member(*member) for member in sorted(members))
    )
    assert decode_roster_untrusted(roster.encode()) == roster
    assert roster.scope == bytes([unit]) + zone.to_bytes(2, "big") + unit_id


def test_a_root_is_read_as_it_was_written() -> None:
    root = RootBody(
        network_name="Alpes",
        epoch=3,
        root_keys=tuple(ROOT_KEYS[:3]),
        anchors=(ANCHOR,),
        rules=(
            SignerRule(DocumentClass.ROOT, 2, ()),
            SignerRule(DocumentClass.ROSTER, 1, tuple(KEYS[:2])),
        ),
    )
    assert decode_root_untrusted(root.encode()) == root
    assert decode_root_untrusted(root_record()).epoch == 1


def test_readers_depend_on_the_unit_and_the_role() -> None:
    members = tuple(
        Member(KEYS[role.value], role, DeviceClass.PC, role.name.lower()) for role in Role
    )
    squad = RosterBody(Unit.SQUAD, 7, squad_id_of(7, "Q"), "Q", members)
    reading: tuple[Role, ...] = (Role.AGENT, Role.LEADER, Role.OPERATOR)
    assert squad.readers == {node_id_of(KEYS[role.value]) for role in reading}
    centre = replace(squad, unit=Unit.CENTRE, unit_id=b"")
    reading = (Role.GATEWAY, Role.OPERATOR)
    assert centre.readers == {node_id_of(KEYS[role.value]) for role in reading}


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": 0},
        {"unit": 3},
        {"unit": b""},
        {"zone": 0},
        {"zone": 65_536},
        {"id": b""},
        {"unit": 2},
        {"name": b""},
        {"name": b" Queyras"},
        {"name": b"Quey\x1b[2Jras"},
        {"name": b"\xff"},
        {"members": [[KEYS[1], 1, 1, b"a"], [KEYS[0], 1, 1, b"b"]]},
        {"members": [[KEYS[0], 1, 1, b"a"], [KEYS[0], 1, 1, b"b"]]},
        {"members": [[bytes(32), 1, 1, b"a"]]},
        {"members": [[KEYS[0], 0, 1, b"a"]]},
        {"members": [[KEYS[0], 1, 6, b"a"]]},
        {"members": [[KEYS[0], 1, 1, b"a\n"]]},
        {"members": [[KEYS[0], 1, 1]]},
        {"members": 1},
        {"more": 1},
    ],
    ids=str,
)
def test_odd_rosters_are_refused(changes: dict[str, Value]) -> None:
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_roster_untrusted(roster_record(**changes))


def test_a_full_roster_fits_a_document() -> None:
    name = b"n" * NAME_BYTES_MAX
    members: list[Value] = [[key, 1, 1, name] for key in KEYS[:MEMBERS_MAX]]
    record = roster_record(members=members, name=name)
    assert len(record) + 300 < DOCUMENT_BYTES_MAX
    assert len(decode_roster_untrusted(record).members) == MEMBERS_MAX
    with pytest.raises(LimitExceededError):
        decode_roster_untrusted(roster_record(members=[*members, [KEYS[-1], 1, 1, b"n"]]))


P256 = ec.derive_private_key(5, ec.SECP256R1()).public_key()
ED25519_DER = bytes.fromhex("302a300506032b6570032100") + KEYS[0]
COMPRESSED = bytes.fromhex("3046301006072a8648ce3d020106052b81040022033200") + P384[0].public_bytes(
    Encoding.X962, PublicFormat.CompressedPoint
)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": b""},
        {"epoch": 0},
        {"keys": []},
        {"keys": [b""]},
        {"keys": [b"x"]},
        {"keys": ROOT_KEYS[1::-1]},
        {"keys": [ROOT_KEYS[0]] * 2},
        {"keys": [public_key_der(P256), ROOT_KEYS[0]]},
        {"keys": [ED25519_DER, ROOT_KEYS[0]]},
        {"keys": [ROOT_KEYS[0] + b"\0", ROOT_KEYS[1]]},
        {"anchors": []},
        {"anchors": [b"x"]},
        {"rules": []},
        {"rules": [[2, 1, KEYS[:1], []]]},
        {"rules": [[1, 0, [], []]]},
        {"rules": [[1, 3, [], []]]},
        {"rules": [[1, 1, KEYS[:1], []]]},
        {"rules": [[1, 1, [], []], [1, 1, [], []]]},
        {"rules": [[1, 1, [], []], [2, 1, [], []]]},
        {"rules": [[1, 1, [], []], [2, 0, KEYS[:1], []]]},
        {"rules": [[1, 1, [], []], [2, 2, KEYS[:1], []]]},
        {"rules": [[1, 1, [], []], [2, 1, KEYS[1::-1], []]]},
        {"rules": [[1, 1, [], []], [2, 1, [bytes(32)], []]]},
        {"rules": [[1, 1, [], []], [6, 1, KEYS[:1], []]]},
        {"rules": [[1, 1, [], []], [7, 1, KEYS[:1], []]]},
        {"rules": [[1, 1, [], []], [8, 1, KEYS[:1], []]]},
        {"rules": [[1, 1, [], []], [3, 2, KEYS[:2], []]]},
        {"rules": [[1, 1, [], [bytes(1_952)]], [2, 1, KEYS[:1], []]]},
        {"rules": [[1, 1, [], []], [2, 1, KEYS[:2], [bytes(1_952)]]]},
        {"rules": [[1, 1, [], []], [2, 1, KEYS[:2], [bytes(1_952)] * 2]]},
        {"rules": [[1, 1, [], []], [2, 1, KEYS[:1], [bytes(1_951)]]]},
        {"narrow": 2},
        {"more": 1},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_odd_roots_are_refused(changes: dict[str, Value]) -> None:
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_root_untrusted(root_record(**changes))


def test_counts_of_a_root_at_the_limit_and_above() -> None:
    for at_limit, above in (
        ({"keys": ROOT_KEYS[:SIGNERS_MAX]}, {"keys": ROOT_KEYS[: SIGNERS_MAX + 1]}),
        ({"anchors": [ANCHOR] * ANCHORS_MAX}, {"anchors": [ANCHOR] * (ANCHORS_MAX + 1)}),
        (
            {"rules": [[1, 1, [], []], [2, 1, KEYS[:SIGNERS_MAX], []]]},
            {"rules": [[1, 1, [], []], [2, 1, KEYS[: SIGNERS_MAX + 1], []]]},
        ),
    ):
        decode_root_untrusted(root_record(**at_limit))
        with pytest.raises(LimitExceededError):
            decode_root_untrusted(root_record(**above))


def test_root_keys_have_one_form() -> None:
    assert load_root_key_untrusted(ROOT_KEYS[0]).key_size == 384
    with pytest.raises(MalformedError):
        load_root_key_untrusted(COMPRESSED)


def test_classes_have_numbers() -> None:
    assert [decode_class(cls.value) for cls in DocumentClass] == list(DocumentClass)
    with pytest.raises(MalformedError):
        decode_class(0)


def test_names_at_the_limit_and_above() -> None:
    assert decode_name(b"n" * NAME_BYTES_MAX, "name") == "n" * NAME_BYTES_MAX
    assert decode_name("Équipe n° 3".encode(), "name") == "Équipe n° 3"
    with pytest.raises(LimitExceededError):
        decode_name(b"n" * (NAME_BYTES_MAX + 1), "name")
    for odd in ("\u202ealice", "a\tb", "a\0"):
        with pytest.raises(MalformedError):
            decode_name(odd.encode(), "name")


@given(st.binary(max_size=300))
def test_any_bytes_give_a_body_or_a_named_error(data: bytes) -> None:
    for decode in (decode_root_untrusted, decode_roster_untrusted):
        with pytest.raises((MalformedError, LimitExceededError)):
            decode(data)
