"""A further zone's papers, and signers that the root binds to one zone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from hypothesis import given
from hypothesis import strategies as st

from protocol.armour import TextForm, armour, unarmour_untrusted
from protocol.authority import build, count_signers, decide, document_signer
from protocol.canonical import Value, encode
from protocol.documents import (
    DocumentClass,
    RootBody,
    RosterBody,
    SignerRule,
    Unit,
    decode_root_untrusted,
    zone_of_scope,
)
from protocol.envelope import HpkeSealer
from protocol.errors import (
    AuthenticationError,
    MalformedError,
    RemoteProtocolError,
    ThresholdError,
)
from protocol.guards import ZONE_CARDS_MAX
from protocol.issuing import make_regional, make_root, public_key_der
from protocol.limits import NAME_BYTES_MAX
from protocol.orders import BeaconBody
from protocol.zones import (
    ZoneAnswer,
    ZoneRequest,
    ZoneSigners,
    build_zone_answer,
    build_zone_request,
    decode_zone_answer_untrusted,
    decode_zone_request_untrusted,
)

NOW_MS = 1_800_000_000_000
ROOT = make_root(NOW_MS)
REGION = make_regional(ROOT, 8, NOW_MS)
PREKEY = HpkeSealer().make_prekey(NOW_MS)[1]
SEVEN, EIGHT, ANY = (
    ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2, 3)
)


def raw(key: ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def _pair() -> tuple[bytes, bytes]:
    return (
        raw(ed25519.Ed25519PrivateKey.generate()),
        mldsa.MLDSA65PrivateKey.generate().public_key().public_bytes_raw(),
    )


SIGNERS = ZoneSigners(_pair(), ((_pair(), _pair()),))


def request() -> ZoneRequest:
    return build_zone_request((8, "Maurienne"), REGION.key, PREKEY, SIGNERS)


def answer(asked: ZoneRequest) -> ZoneAnswer:
    issuers = (REGION.badge_issuer, REGION.link_issuer)
    return build_zone_answer(asked, issuers, (b"root",), b"sealed")


# --- papers ------------------------------------------------------------------------------------


def test_papers_are_read_as_they_were_written() -> None:
    asked = request()
    given_back = answer(asked)
    assert decode_zone_request_untrusted(asked.text) == asked
    assert decode_zone_answer_untrusted(given_back.text) == given_back
    assert given_back.request_digest == asked.digest
    for code in (asked.code, given_back.code):
        assert len(code) == 20
        assert code.isdecimal()


PAPER = unarmour_untrusted(TextForm.ZONE_REQUEST, request().text)


@given(st.integers(0, 8 * len(PAPER) - 1))
def test_no_bit_of_a_request_can_be_changed(bit: int) -> None:
    changed = bytearray(PAPER)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RemoteProtocolError):
        decode_zone_request_untrusted(armour(TextForm.ZONE_REQUEST, bytes(changed)))


def test_another_hand_and_one_key_for_two_classes_are_refused() -> None:
    asked = request()
    other = ec.generate_private_key(ec.SECP256R1())
    foreign = replace(build_zone_request((8, "M"), other, PREKEY, SIGNERS), inner=asked.inner)
    with pytest.raises(AuthenticationError):
        decode_zone_request_untrusted(foreign.text)
    ((revocation, beacon),) = SIGNERS.cards
    for other_beacon in (SIGNERS.roster, (beacon[0], SIGNERS.roster[1])):
        signers = replace(SIGNERS, cards=((revocation, other_beacon),))
        twice = build_zone_request((8, "M"), REGION.key, PREKEY, signers)
        with pytest.raises(MalformedError, match="two classes"):
            decode_zone_request_untrusted(twice.text)


def test_a_request_names_one_to_three_cards_and_fits_its_bound() -> None:
    cards = [(_pair(), _pair()) for _ in range(ZONE_CARDS_MAX + 1)]
    for count in range(1, ZONE_CARDS_MAX + 1):
        signers = ZoneSigners(_pair(), tuple(cards[:count]))
        asked = build_zone_request((65_535, "M" * NAME_BYTES_MAX), REGION.key, PREKEY, signers)
        read = decode_zone_request_untrusted(asked.text)
        assert read == asked
        assert read.signers.revocations == tuple(card[0] for card in cards[:count])
        assert read.signers.beacons == tuple(card[1] for card in cards[:count])
    for many in ([], cards):
        asked = build_zone_request((8, "M"), REGION.key, PREKEY, ZoneSigners(_pair(), tuple(many)))
        with pytest.raises(RemoteProtocolError):
            decode_zone_request_untrusted(asked.text)


def test_a_card_that_signs_one_class_alone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    signers = ZoneSigners(_pair(), ((_pair(), _pair()), (_pair(), _pair())))
    pairs = signers.pairs[:-1]
    monkeypatch.setattr(ZoneSigners, "pairs", property(lambda _signers: pairs))
    asked = build_zone_request((8, "Maurienne"), REGION.key, PREKEY, signers)
    with pytest.raises(MalformedError, match="revocations and beacons"):
        decode_zone_request_untrusted(asked.text)


def test_the_digits_of_an_answer_follow_all_of_it() -> None:
    asked = request()
    issuers = (REGION.badge_issuer, REGION.link_issuer)
    papers = [
        answer(asked),
        answer(build_zone_request((9, "Maurienne"), REGION.key, PREKEY, SIGNERS)),
        build_zone_answer(asked, issuers[::-1], (b"root",), b"sealed"),
        build_zone_answer(asked, issuers, (b"another",), b"sealed"),
        build_zone_answer(asked, issuers, (b"root",), b"other"),
    ]
    assert len({each.code for each in papers}) == len(papers)


# --- bound signers -----------------------------------------------------------------------------


def body(zones: tuple[int, ...] = (7, 8, 0)) -> RootBody:
    by_key = sorted(zip(map(raw, (SEVEN, EIGHT, ANY)), zones, strict=True))
    keys, bound = tuple(key for key, _ in by_key), tuple(zone for _, zone in by_key)
    return RootBody(
        network_name="Alpes",
        epoch=1,
        root_keys=(public_key_der(ROOT.key.public_key()),),
        anchors=(ROOT.certificate,),
        rules=(
            SignerRule(DocumentClass.ROOT, 1, ()),
            SignerRule(DocumentClass.ROSTER, 1, keys, zones=bound),
            SignerRule(DocumentClass.BEACON, 1, keys, zones=bound),
        ),
    )


def test_a_root_with_bound_signers_is_read_as_it_was_written() -> None:
    assert decode_root_untrusted(body().encode()) == body()


@given(st.sampled_from((7, 8, 9)), st.sets(st.sampled_from((0, 1, 2)), min_size=1), st.booleans())
def test_a_signer_counts_in_its_own_zone_alone(zone: int, who: set[int], is_roster: bool) -> None:
    # The slow obvious judge: whose zone is it?
    wanted = sum({0: 7, 1: 8, 2: zone}[each] == zone for each in who)
    signers = [document_signer((SEVEN, EIGHT, ANY)[each]) for each in sorted(who)]
    about: RosterBody | BeaconBody = BeaconBody(zone, bytes(8))
    cls = DocumentClass.BEACON
    if is_roster:
        cls, about = DocumentClass.ROSTER, RosterBody(Unit.CENTRE, zone, b"", "Centre", ())
    document = build(cls, about.scope, (1, 1), NOW_MS, about.encode(), signers)
    assert zone_of_scope(cls, document.scope) == zone
    assert count_signers(document, body()) == wanted
    if wanted:
        assert decide(None, document, body())
    else:
        with pytest.raises(ThresholdError):
            decide(None, document, body())


@pytest.mark.parametrize("number", [1, 3, 4])
def test_signers_of_what_has_no_zone_are_bound_to_none(number: int) -> None:
    keys: Value = [] if number == 1 else [raw(SEVEN)]
    rules: list[Value] = [[1, 1, [], []], [number, 1, keys, [], [7] if keys else []]]
    if number == 1:
        rules = rules[1:]
    assert_refused(rules)


@pytest.mark.parametrize("zones", [[0], [], [7, 7], [65_536]])
def test_odd_zones_are_refused(zones: list[Value]) -> None:
    assert_refused([[1, 1, [], []], [2, 1, [raw(SEVEN)], [], zones]])


def assert_refused(rules: list[Value]) -> None:
    good = body()
    record: Value = [b"Alpes", 1, good.root_keys, good.anchors, rules, 0]
    with pytest.raises(RemoteProtocolError):
        decode_root_untrusted(encode(record))
