"""Signers with two halves: a document needs both, but on narrow links where the root lets it."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa

from protocol.authority import (
    DocumentClass,
    RootBody,
    SignedDocument,
    Signer,
    SignerRule,
    build,
    count_signers,
    decide,
    decode_untrusted,
    document_signer,
    pq_signer,
    root_signer,
)
from protocol.canonical import encode
from protocol.errors import DocumentError, ThresholdError
from protocol.issuing import make_root, public_key_der
from protocol.orders import Revocation, RevocationBody, WipeBody, WipeLevel

NOW_MS = 1_800_000_000_000
ANCHOR = make_root(NOW_MS).certificate
ROOT_KEY = ec.derive_private_key(11, ec.SECP384R1())
ROOT_PQ = mldsa.MLDSA65PrivateKey.generate()


def pair(number: int) -> tuple[ed25519.Ed25519PrivateKey, mldsa.MLDSA65PrivateKey]:
    seed = bytes([number]) * 32
    return (
        ed25519.Ed25519PrivateKey.from_private_bytes(seed),
        mldsa.MLDSA65PrivateKey.from_seed_bytes(seed),
    )


def raw(key: ed25519.Ed25519PrivateKey | mldsa.MLDSA65PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


CARDS = sorted((pair(number) for number in (1, 2, 3)), key=lambda card: raw(card[0]))
OPERATOR, OTHER = pair(4), pair(5)


def rule(cls: DocumentClass, threshold: int, *pairs: tuple[object, object]) -> SignerRule:
    ordered = sorted(pairs, key=lambda p: raw(p[0]))  # type: ignore[arg-type]
    return SignerRule(
        cls,
        threshold,
        tuple(raw(first) for first, _ in ordered),  # type: ignore[arg-type]
        tuple(raw(second) for _, second in ordered),  # type: ignore[arg-type]
    )


ROOT = RootBody(
    network_name="Alpes",
    epoch=1,
    root_keys=(public_key_der(ROOT_KEY.public_key()),),
    anchors=(ANCHOR,),
    rules=(
        SignerRule(DocumentClass.ROOT, 1, (), (raw(ROOT_PQ),)),
        rule(DocumentClass.REVOCATION, 1, OPERATOR, OTHER),
        rule(DocumentClass.WIPE, 2, *CARDS),
    ),
)
NARROW = replace(ROOT, is_classical_on_narrow=True)
ORDER = WipeBody(WipeLevel.ALL, (bytes(16),))


def halves(*pairs: tuple[ed25519.Ed25519PrivateKey, mldsa.MLDSA65PrivateKey]) -> list[Signer]:
    return [each for first, second in pairs for each in (document_signer(first), pq_signer(second))]


def order(*signers: Signer) -> SignedDocument:
    return build(DocumentClass.WIPE, b"order-01", (1, 1), NOW_MS, ORDER.encode(), signers)


@pytest.mark.parametrize("cards", list(combinations(range(3), 2)))
def test_any_two_of_three_cards_order_a_wipe(cards: tuple[int, int]) -> None:
    document = order(*halves(*(CARDS[card] for card in cards)))
    assert decide(None, document, ROOT)
    assert count_signers(document, ROOT) == 2


def test_one_card_is_too_few_however_often_it_signs() -> None:
    for signers in (halves(CARDS[0]), halves(CARDS[0]) * 2):
        with pytest.raises(ThresholdError, match="1 of 2"):
            decide(None, order(*signers), ROOT)


@pytest.mark.parametrize("lacking", [0, 1, 2, 3])
def test_half_a_signature_is_none(lacking: int) -> None:
    signers = halves(*CARDS[:2])
    del signers[lacking]
    with pytest.raises(ThresholdError, match="1 of 2"):
        decide(None, order(*signers), ROOT)


def test_the_second_half_of_another_signer_does_not_help() -> None:
    crossed = halves((CARDS[0][0], CARDS[2][1]), (CARDS[1][0], CARDS[2][1]))
    with pytest.raises(ThresholdError, match="0 of 2"):
        decide(None, order(*crossed), ROOT)


def test_on_narrow_links_the_first_half_does_where_the_root_says_so() -> None:
    classical = order(*(document_signer(card[0]) for card in CARDS[:2]))
    assert decide(None, classical, NARROW, is_narrow=True)
    for root, is_narrow in ((ROOT, True), (NARROW, False)):
        with pytest.raises(ThresholdError):
            decide(None, classical, root, is_narrow=is_narrow)


def test_a_bent_second_half_is_refused_at_every_byte() -> None:
    document = order(*halves(*CARDS[:2]))
    for place in range(0, 3_309, 211):
        pairs = [list(each) for each in document.signatures]
        bent = bytearray(pairs[1][1])
        bent[place] ^= 1
        pairs[1][1] = bytes(bent)
        with pytest.raises(ThresholdError):
            decide(None, decode_untrusted(encode([document.signed, pairs])), ROOT)


def test_a_root_needs_its_second_half() -> None:
    successor = replace(ROOT, network_name="Alpes du Sud")

    def signed(*signers: Signer) -> SignedDocument:
        return build(DocumentClass.ROOT, b"", (1, 2), NOW_MS, successor.encode(), signers)

    assert decide(None, signed(root_signer(ROOT_KEY), pq_signer(ROOT_PQ)), ROOT)
    for half in (root_signer(ROOT_KEY), pq_signer(ROOT_PQ)):
        with pytest.raises(ThresholdError):
            decide(None, signed(half), ROOT)


def test_a_root_cannot_drop_its_second_halves_within_an_epoch() -> None:
    weaker = replace(ROOT, rules=(SignerRule(DocumentClass.ROOT, 1, ()), *ROOT.rules[1:]))
    signers = [root_signer(ROOT_KEY), pq_signer(ROOT_PQ)]
    document = build(DocumentClass.ROOT, b"", (1, 2), NOW_MS, weaker.encode(), signers)
    with pytest.raises(DocumentError, match="new epoch"):
        decide(None, document, ROOT)


# --- revocations -------------------------------------------------------------------------------


def revocation(scope: bytes, *signers: Signer, version: int = 1) -> SignedDocument:
    body = RevocationBody((Revocation(bytes(16), 1, 0, 0),))
    return build(DocumentClass.REVOCATION, scope, (1, version), NOW_MS, body.encode(), signers)


def test_a_list_is_that_of_its_signer() -> None:
    own = document_signer(OPERATOR[0]).signer_id
    assert decide(None, revocation(own, *halves(OPERATOR)), ROOT)
    with pytest.raises(ThresholdError):
        decide(None, revocation(own, *halves(OTHER)), ROOT)


def test_a_list_of_nobody_the_root_names_is_refused() -> None:
    stranger = pair(9)
    scope = document_signer(stranger[0]).signer_id
    with pytest.raises(ThresholdError, match="does not name"):
        decide(None, revocation(scope, *halves(stranger)), ROOT)
    card = document_signer(CARDS[0][0]).signer_id
    with pytest.raises(ThresholdError, match="does not name"):
        decide(None, revocation(card, *halves(CARDS[0])), ROOT)


def test_fifty_revocations_cost_less_than_8_kilobytes() -> None:
    entries = tuple(
        Revocation(number.to_bytes(16, "big"), NOW_MS, 2**32 - 1, 100_000) for number in range(50)
    )
    scope = document_signer(OPERATOR[0]).signer_id
    body = RevocationBody(entries).encode()
    document = build(DocumentClass.REVOCATION, scope, (1, 7), NOW_MS, body, halves(OPERATOR))
    assert len(document.raw) < 6_000


def test_a_signer_that_is_named_beside_a_false_signature_counts_for_nothing() -> None:
    # One stolen card must not be able to speak as two: the second one moves the whole fleet's time.
    one, other = halves(CARDS[0]), halves(CARDS[1])
    false = [replace(signer, sign=lambda _message: bytes(64)) for signer in other]
    document = order(*halves(CARDS[2]), *one, *false)
    assert decide(None, document, ROOT)
    assert count_signers(document, ROOT) == 2
