"""Authority documents: which one replaces which, and each attack that changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from protocol.authority import (
    DocumentClass,
    Member,
    RootBody,
    RosterBody,
    SignedDocument,
    Signer,
    SignerRule,
    Unit,
    build,
    decide,
    decode_untrusted,
    document_signer,
    given_signature,
    is_backed,
    key_set_message,
    root_signer,
)
from protocol.canonical import encode
from protocol.errors import (
    DocumentError,
    EquivocationError,
    LimitExceededError,
    MalformedError,
    StaleDocumentError,
    ThresholdError,
)
from protocol.identity import DeviceClass, Role
from protocol.ids import node_id_of, squad_id_of
from protocol.issuing import make_root, public_key_der
from protocol.limits import (
    DOCUMENT_BYTES_MAX,
    DOCUMENT_SCOPE_BYTES_MAX,
    DOCUMENT_SIGNATURE_BYTES_MAX,
    DOCUMENT_SIGNATURES_MAX,
    DOCUMENT_VERSION_JUMP_MAX,
)
from protocol.orders import BeaconBody, WipeBody, WipeLevel

NOW_MS = 1_800_000_000_000
ANCHOR = make_root(NOW_MS).certificate
ROOT_KEYS = [ec.derive_private_key(number, ec.SECP384R1()) for number in (11, 22, 33, 44)]
ROSTER_KEY, WIPE_1, WIPE_2, DEVICE = (
    ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(1, 5)
)


def raw(key: ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def make_root_body(
    epoch: int = 1,
    keys: Sequence[ec.EllipticCurvePrivateKey] = ROOT_KEYS[:3],
    threshold: int = 2,
    name: str = "Alpes",
) -> RootBody:
    return RootBody(
        network_name=name,
        epoch=epoch,
        root_keys=tuple(sorted(public_key_der(key.public_key()) for key in keys)),
        anchors=(ANCHOR,),
        rules=(
            SignerRule(DocumentClass.ROOT, threshold, ()),
            SignerRule(DocumentClass.ROSTER, 1, (raw(ROSTER_KEY),)),
            SignerRule(DocumentClass.WIPE, 2, tuple(sorted((raw(WIPE_1), raw(WIPE_2))))),
        ),
    )


ROOT = make_root_body()
ROSTER = RosterBody(
    unit=Unit.SQUAD,
    zone=7,
    unit_id=squad_id_of(7, "Queyras"),
    name="Queyras",
    members=(Member(raw(DEVICE), Role.AGENT, DeviceClass.PHONE, "alice"),),
)

BEACON = BeaconBody(7, bytes(8))


def roster(
    version: int = 1,
    epoch: int = 1,
    body: RosterBody = ROSTER,
    signers: Sequence[Signer] = (document_signer(ROSTER_KEY),),
) -> SignedDocument:
    scope = body.scope
    return build(DocumentClass.ROSTER, scope, (epoch, version), NOW_MS, body.encode(), signers)


def root_document(
    body: RootBody = ROOT,
    version: int = 1,
    keys: Sequence[ec.EllipticCurvePrivateKey] = ROOT_KEYS[:3],
    epoch: int | None = None,
    scope: bytes = b"",
) -> SignedDocument:
    signers = [root_signer(key) for key in keys]
    at = (body.epoch if epoch is None else epoch, version)
    return build(DocumentClass.ROOT, scope, at, NOW_MS, body.encode(), signers)


def wipe(signers: Sequence[Signer]) -> SignedDocument:
    body = WipeBody(WipeLevel.ALL, (node_id_of(raw(DEVICE)),))
    return build(DocumentClass.WIPE, b"order-01", (1, 1), NOW_MS, body.encode(), signers)


# --- form --------------------------------------------------------------------------------------


def test_what_is_built_is_read() -> None:
    document = roster(version=3)
    assert decode_untrusted(document.raw) == document
    assert (document.cls, document.scope) == (DocumentClass.ROSTER, ROSTER.scope)
    assert (document.epoch, document.version, document.issued_ms) == (1, 3, NOW_MS)
    assert document.body == ROSTER.encode()


def record(**changes: object) -> bytes:
    """Return a document made by hand, right but for `changes`."""
    fields = {
        "format": 1,
        "cls": 2,
        "scope": b"scope",
        "epoch": 1,
        "version": 1,
        "issued_ms": 0,
        "body": b"",
        "signatures": [[b"signer-1", bytes(64)]],
    } | changes
    signatures = fields.pop("signatures")
    return encode([encode(list(fields.values())), signatures])  # type: ignore[arg-type, list-item]


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 0},
        {"format": 2},
        {"cls": 0},
        {"cls": 8},
        {"cls": b"x"},
        {"epoch": 0},
        {"version": 0},
        {"scope": 1},
        {"body": 1},
        {"signatures": []},
        {"signatures": [[b"signer-1"]]},
        {"signatures": [[b"signer", b""]]},
        {"signatures": b""},
        {"more": 1},
    ],
    ids=str,
)
def test_odd_documents_are_malformed(changes: dict[str, object]) -> None:
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_untrusted(record(**changes))


def test_limits_hold_at_the_limit_and_not_above() -> None:
    one = [b"signer-1", bytes(64)]
    for at_limit, above in (
        (
            {"scope": bytes(DOCUMENT_SCOPE_BYTES_MAX)},
            {"scope": bytes(DOCUMENT_SCOPE_BYTES_MAX + 1)},
        ),
        (
            {"signatures": [one] * DOCUMENT_SIGNATURES_MAX},
            {"signatures": [one] * (DOCUMENT_SIGNATURES_MAX + 1)},
        ),
        (
            {"signatures": [[b"signer-1", bytes(DOCUMENT_SIGNATURE_BYTES_MAX)]]},
            {"signatures": [[b"signer-1", bytes(DOCUMENT_SIGNATURE_BYTES_MAX + 1)]]},
        ),
    ):
        decode_untrusted(record(**at_limit))
        with pytest.raises(LimitExceededError):
            decode_untrusted(record(**above))
    spare = DOCUMENT_BYTES_MAX - len(record(body=bytes(50_000)))
    assert len(record(body=bytes(50_000 + spare))) == DOCUMENT_BYTES_MAX
    decode_untrusted(record(body=bytes(50_000 + spare)))
    with pytest.raises(LimitExceededError):
        decode_untrusted(record(body=bytes(50_000 + spare + 1)))


@given(st.binary(max_size=300))
def test_any_bytes_give_a_document_or_a_named_error(data: bytes) -> None:
    try:
        document = decode_untrusted(data)
    except (MalformedError, LimitExceededError):
        return
    assert document.raw == data


@given(st.integers(min_value=0))
def test_a_changed_bit_changes_nothing_here(bit: int) -> None:
    document = roster(version=2)
    changed = bytearray(document.raw)
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    with pytest.raises((MalformedError, LimitExceededError, DocumentError)):
        candidate = decode_untrusted(bytes(changed))
        if (candidate.cls, candidate.scope) != (document.cls, document.scope):
            decide(None, candidate, ROOT)
        else:
            decide(roster(), candidate, ROOT)


# --- versions ----------------------------------------------------------------------------------


def test_a_newer_version_replaces_and_a_replay_does_nothing() -> None:
    assert decide(None, roster(1), ROOT) is True
    assert decide(roster(1), roster(2), ROOT) is True
    assert decide(roster(2), roster(2), ROOT) is False


def test_other_signatures_over_the_same_words_are_nothing_new() -> None:
    assert decide(root_document(), root_document(), ROOT) is False  # ECDSA never repeats itself
    assert root_document().raw != root_document().raw


def test_rollback_is_refused() -> None:
    with pytest.raises(StaleDocumentError):
        decide(roster(5), roster(4), ROOT)
    body = make_root_body(epoch=2)
    with pytest.raises(StaleDocumentError):
        decide(roster(1, epoch=2), roster(500, epoch=1), body)


def test_equivocation_is_an_alarm_only_if_it_is_signed() -> None:
    other = replace(ROSTER, name="Ubaye")
    with pytest.raises(EquivocationError):
        decide(roster(5), roster(5, body=other), ROOT)
    with pytest.raises(ThresholdError):
        decide(roster(5), roster(5, body=other, signers=[document_signer(DEVICE)]), ROOT)


def test_a_version_rises_by_so_much_and_no_more() -> None:
    assert decide(roster(3), roster(3 + DOCUMENT_VERSION_JUMP_MAX), ROOT)
    assert decide(None, roster(DOCUMENT_VERSION_JUMP_MAX), ROOT)
    for held, version in ((roster(3), 4), (None, 1)):
        with pytest.raises(DocumentError) as caught:
            decide(held, roster(version + DOCUMENT_VERSION_JUMP_MAX), ROOT)
        assert type(caught.value) is DocumentError


def test_a_new_epoch_starts_the_versions_again() -> None:
    held, body = roster(9_000), make_root_body(epoch=2)
    assert decide(held, roster(1, epoch=2), body)
    assert decide(held, roster(DOCUMENT_VERSION_JUMP_MAX, epoch=2), body)
    with pytest.raises(DocumentError):
        decide(held, roster(DOCUMENT_VERSION_JUMP_MAX + 1, epoch=2), body)


def test_an_epoch_ahead_of_the_root_is_refused() -> None:
    with pytest.raises(DocumentError):
        decide(roster(1), roster(1, epoch=2), ROOT)


# --- signers -----------------------------------------------------------------------------------


def test_only_the_key_named_for_the_class_counts() -> None:
    for key in (WIPE_1, DEVICE):
        with pytest.raises(ThresholdError):
            decide(None, roster(signers=[document_signer(key)]), ROOT)
    forged = Signer(document_signer(ROSTER_KEY).signer_id, DEVICE.sign)
    with pytest.raises(ThresholdError):
        decide(None, roster(signers=[forged]), ROOT)
    assert decide(None, roster(signers=[forged, document_signer(ROSTER_KEY)]), ROOT)


def only_signed_by(cls: DocumentClass, *keys: ed25519.Ed25519PrivateKey) -> RootBody:
    """Return the next root, which names these for one class, and nobody else."""
    rule = SignerRule(cls, 1, tuple(sorted(map(raw, keys))))
    kept = [each for each in ROOT.rules if each.cls is not cls]
    return replace(ROOT, rules=tuple(sorted([*kept, rule], key=lambda each: each.cls)))


def beacon(version: int, issued_ms: int, *keys: ed25519.Ed25519PrivateKey) -> SignedDocument:
    signers, at = [document_signer(key) for key in keys], (1, version)
    return build(DocumentClass.BEACON, BEACON.scope, at, issued_ms, BEACON.encode(), signers)


def test_a_signer_that_the_root_drops_leaves_no_version_behind() -> None:
    """A stolen key with a giant number must not shut out whoever comes after it."""
    stolen, fresh = roster(9_000), roster(1, signers=[document_signer(WIPE_1)])
    after = only_signed_by(DocumentClass.ROSTER, WIPE_1)
    assert is_backed(stolen, ROOT)
    assert not is_backed(stolen, after)
    assert decide(stolen, fresh, after)
    with pytest.raises(ThresholdError):
        decide(stolen, roster(9_001), after)
    with pytest.raises(StaleDocumentError):
        decide(stolen, fresh, only_signed_by(DocumentClass.ROSTER, ROSTER_KEY, WIPE_1))
    assert not is_backed(stolen, replace(ROOT, rules=ROOT.rules[:1])), "nobody signs rosters"


def test_a_name_beside_a_false_signature_backs_nothing() -> None:
    """The thief of a dropped key cannot lean on the names of those who come after it."""
    false = given_signature(document_signer(WIPE_1).signer_id, bytes(64))
    leaning = roster(9_000, signers=[document_signer(ROSTER_KEY), false])
    assert decide(None, leaning, ROOT)
    assert is_backed(leaning, ROOT)
    both = roster(signers=[document_signer(ROSTER_KEY), document_signer(WIPE_1)])
    after = only_signed_by(DocumentClass.ROSTER, WIPE_1)
    assert not is_backed(leaning, after)
    assert is_backed(both, after)


def test_what_outlives_its_signers_is_always_backed() -> None:
    nobody = only_signed_by(DocumentClass.WIPE, DEVICE)
    assert is_backed(wipe([document_signer(WIPE_1), document_signer(WIPE_2)]), nobody)
    assert is_backed(root_document(), make_root_body(epoch=2, keys=ROOT_KEYS[1:]))


def test_a_beacon_of_a_dropped_card_gives_way_to_a_later_one_alone() -> None:
    """Its number binds nobody; an older sign of life must not shorten the lease."""
    held = beacon(9_000, NOW_MS, WIPE_1)
    after = only_signed_by(DocumentClass.BEACON, WIPE_2)
    assert decide(held, beacon(2, NOW_MS + 1, WIPE_2), after)
    with pytest.raises(StaleDocumentError):
        decide(held, beacon(2, NOW_MS, WIPE_2), after)


def test_a_quorum_is_of_distinct_signers() -> None:
    one, two = document_signer(WIPE_1), document_signer(WIPE_2)
    assert decide(None, wipe([one, two]), ROOT)
    assert decide(None, wipe([two, one, document_signer(DEVICE)]), ROOT)
    for signers in ([one], [one, one], [one, document_signer(ROSTER_KEY)]):
        with pytest.raises(ThresholdError):
            decide(None, wipe(signers), ROOT)


def test_a_class_that_the_root_does_not_name_is_refused() -> None:
    beacon = build(
        DocumentClass.BEACON,
        b"\0\7",
        (1, 1),
        NOW_MS,
        BEACON.encode(),
        [document_signer(ROSTER_KEY)],
    )
    with pytest.raises(ThresholdError):
        decide(None, beacon, ROOT)


# --- content -----------------------------------------------------------------------------------


def test_a_roster_is_about_its_own_scope() -> None:
    signers = [document_signer(ROSTER_KEY)]
    other = replace(ROSTER, zone=8).scope
    document = build(DocumentClass.ROSTER, other, (1, 1), NOW_MS, ROSTER.encode(), signers)
    with pytest.raises(DocumentError):
        decide(None, document, ROOT)


def test_a_signed_but_odd_roster_is_refused() -> None:
    signers = [document_signer(ROSTER_KEY)]
    document = build(DocumentClass.ROSTER, ROSTER.scope, (1, 1), NOW_MS, b"\x90", signers)
    with pytest.raises(MalformedError):
        decide(None, document, ROOT)


# --- the root ----------------------------------------------------------------------------------


def test_a_first_root_is_signed_by_its_own_keys() -> None:
    assert decide(None, root_document(), ROOT)
    assert decide(None, root_document(keys=ROOT_KEYS[1:3]), ROOT)
    for keys in (ROOT_KEYS[:1], [ROOT_KEYS[0]] * 2, ROOT_KEYS[2:4]):
        with pytest.raises(ThresholdError):
            decide(None, root_document(keys=keys), ROOT)


def test_a_root_of_the_same_keys_rises_in_version() -> None:
    renamed = make_root_body(name="Jura")
    assert decide(root_document(), root_document(renamed, version=2), ROOT)
    with pytest.raises(EquivocationError):
        decide(root_document(), root_document(renamed), ROOT)


def test_other_root_keys_need_a_new_epoch_and_the_consent_of_the_old_ones() -> None:
    held = root_document()
    changed = make_root_body(epoch=2, keys=ROOT_KEYS[1:])
    assert decide(held, root_document(changed, keys=ROOT_KEYS[1:]), ROOT)  # two are in both sets
    fresh = make_root_body(epoch=2, keys=ROOT_KEYS[3:], threshold=1)
    assert decide(held, root_document(fresh, keys=ROOT_KEYS), ROOT)
    for keys in (ROOT_KEYS[3:], ROOT_KEYS[2:], ROOT_KEYS[:3]):
        with pytest.raises(ThresholdError):
            decide(held, root_document(fresh, keys=keys), ROOT)
    same_epoch = make_root_body(keys=ROOT_KEYS[3:], threshold=1)
    with pytest.raises(DocumentError):
        decide(held, root_document(same_epoch, version=2, keys=ROOT_KEYS), ROOT)


def test_old_keys_hand_over_to_a_key_set_and_to_nothing_else() -> None:
    keys = [ROOT_KEYS[3], ec.derive_private_key(55, ec.SECP384R1())]
    held, fresh = root_document(), make_root_body(epoch=2, keys=keys, threshold=1)
    message = key_set_message(fresh)
    old = [root_signer(key) for key in ROOT_KEYS[:2]]
    handing = [given_signature(each.signer_id, each.sign(message)) for each in old]

    def at(body: RootBody, version: int, signers: Sequence[Signer]) -> SignedDocument:
        halves = [*signers, *map(root_signer, keys)]
        place = (body.epoch, version)
        return build(DocumentClass.ROOT, b"", place, NOW_MS, body.encode(), halves)

    # It holds for every root of the epoch, whatever else that one says.
    assert decide(held, at(fresh, 1, handing), ROOT)
    assert decide(held, at(replace(fresh, network_name="Jura"), 7, handing), ROOT)
    others = (
        make_root_body(epoch=3, keys=keys, threshold=1),
        make_root_body(epoch=2, keys=keys[:1], threshold=1),
        make_root_body(epoch=2, keys=keys, threshold=2),
    )
    refused = [(body, handing) for body in others]
    refused += [(fresh, handing[:1]), (fresh, [handing[0], handing[0]]), (fresh, [])]
    for body, signers in refused:
        with pytest.raises(ThresholdError):
            decide(held, at(body, 1, signers), ROOT)
    # Within an epoch the document itself is signed, by both of two.
    same = make_root_body(threshold=1)
    handed = given_signature(old[1].signer_id, old[1].sign(key_set_message(same)))
    with pytest.raises(ThresholdError):
        decide(held, at(same, 2, [old[0], handed]), ROOT)
    assert decide(held, at(same, 2, old), ROOT)
    hybrid = SignerRule(DocumentClass.ROOT, 1, (), (bytes(1_952), b"\1" * 1_952))
    assert key_set_message(replace(fresh, rules=(hybrid, *fresh.rules[1:]))) != message


def test_a_root_says_its_own_epoch_and_scope() -> None:
    with pytest.raises(DocumentError):
        decide(root_document(), root_document(make_root_body(), epoch=2), ROOT)
    with pytest.raises(DocumentError):
        decide(None, root_document(scope=b"x"), ROOT)


def test_an_epoch_rises_by_so_much_and_no_more() -> None:
    last = 1 + DOCUMENT_VERSION_JUMP_MAX
    assert decide(root_document(), root_document(make_root_body(epoch=last)), ROOT)
    with pytest.raises(DocumentError):
        decide(root_document(), root_document(make_root_body(epoch=last + 1)), ROOT)
