"""What cards sign passes the rules of every node; what must not be signed twice is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshnode.authority_cards import Card, open_card
from meshnode.authority_keys import AuthorityError
from meshnode.authority_orders import (
    Known,
    beacon,
    cosigned,
    read_wipe_untrusted,
    revocation_list,
    wipe_order,
)
from protocol.authority import decide
from protocol.canonical import encode
from protocol.errors import (
    DocumentError,
    EnrolmentError,
    LimitExceededError,
    MeshError,
    ThresholdError,
)
from protocol.guards import REVOCATIONS_MAX, WIPE_DEVICES_MAX
from protocol.limits import SIGNERS_MAX
from protocol.orders import (
    Revocation,
    WipeLevel,
    decode_beacon_untrusted,
    decode_revocation_untrusted,
)
from protocol.session.messages import documents_digest
from tests.meshnode.enrolling import PASSPHRASE, CountedEntropy, make_authority, opened

NOW_MS = 1_800_000_000_000


@dataclass(frozen=True)
class Office:
    """What the holders of cards have before them."""

    known: Known
    operator: Card
    wipes: tuple[Card, ...]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    home = tmp_path_factory.mktemp("office")
    make_authority(home)
    with opened(home) as authority:
        known = authority.known

    def card(label: str) -> Card:
        return open_card(home / "cards" / f"{label}.card", PASSPHRASE)

    wipes = tuple(card(f"wipe-{number}") for number in (1, 2, 3))
    return Office(known, card("operator-1"), wipes)


def revoked(node: bytes, since_ms: int = NOW_MS, last_seq: int = 0) -> Revocation:
    return Revocation(node, since_ms, int(last_seq > 0), last_seq)


# --- revocation --------------------------------------------------------------------------------


def test_a_list_grows_and_its_version_rises(office: Office) -> None:
    card, first = revocation_list(office.operator, office.known, [revoked(b"b" * 16)], NOW_MS)
    card, second = revocation_list(card, office.known, [revoked(b"a" * 16)], NOW_MS)
    assert (first.version, second.version) == (1, 2)
    assert decide(first, second, office.known.root)
    subjects = [each.subject for each in decode_revocation_untrusted(second.body).entries]
    assert subjects == [b"a" * 16, b"b" * 16]
    with pytest.raises(AuthorityError, match="already"):
        known = Known((*office.known.documents, second))
        revocation_list(card, known, [revoked(b"a" * 16)], NOW_MS)
    # What was signed but never arrived is given out again, not signed again.
    assert revocation_list(card, office.known, [revoked(b"a" * 16)], NOW_MS) == (card, second)


def test_a_copy_of_a_card_that_knew_less_is_brought_together_again(office: Office) -> None:
    """Or nodes that hold the one list would refuse each later one of the other."""
    a, b, c = (revoked(each * 16) for each in (b"a", b"b", b"c"))
    copy, held = revocation_list(office.operator, office.known, [a], NOW_MS)
    _copy, held = revocation_list(copy, office.known, [b], NOW_MS)
    card = office.operator
    for entries in ([c], [c, revoked(b"d" * 16)], [revoked(b"e" * 16)]):
        card, own = revocation_list(card, office.known, entries, NOW_MS)
    known = Known((*office.known.documents, held))
    with pytest.raises(DocumentError, match="lacks"):
        decide(held, own, known.root)
    # Named again or not, and at another time: the next list has what both had.
    again = [revoked(b"a" * 16, NOW_MS + 9), revoked(b"f" * 16)]
    card, mended = revocation_list(card, known, again, NOW_MS)
    subjects = [each.subject[:1] for each in decode_revocation_untrusted(mended.body).entries]
    assert subjects == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert decide(held, mended, known.root)
    assert decide(own, mended, known.root)


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=4), max_size=6))
@settings(deadline=None, max_examples=30)
def test_a_card_never_takes_back_and_never_signs_a_version_twice(
    office: Office, steps: list[list[tuple[int, int]]]
) -> None:
    card, seen, expected = office.operator, dict[int, bytes](), dict[bytes, int]()
    for step in steps:
        entries = [revoked(bytes([node]) * 16, NOW_MS - age) for node, age in step]
        try:
            card, document = revocation_list(card, office.known, entries, NOW_MS)
        except AuthorityError:
            continue
        for entry in entries:
            oldest = expected.get(entry.subject, entry.since_ms)
            expected[entry.subject] = min(oldest, entry.since_ms)
        listed = decode_revocation_untrusted(document.body).entries
        assert {each.subject: each.since_ms for each in listed} == expected
        assert seen.setdefault(document.version, document.digest) == document.digest


def test_a_full_list_is_refused(office: Office) -> None:
    entries = [revoked(number.to_bytes(16, "big")) for number in range(REVOCATIONS_MAX + 1)]
    card, document = revocation_list(office.operator, office.known, entries[:-1], NOW_MS)
    assert len(document.raw) < 60_000
    with pytest.raises(LimitExceededError):
        revocation_list(card, office.known, entries[-1:], NOW_MS)


def test_a_card_that_the_root_does_not_name_signs_nothing(office: Office, tmp_path: Path) -> None:
    make_authority(tmp_path)
    with opened(tmp_path) as authority:
        elsewhere = authority.known
    for sign in (
        lambda: revocation_list(office.operator, elsewhere, [revoked(bytes(16))], NOW_MS),
        lambda: beacon(office.operator, elsewhere, NOW_MS),
        lambda: wipe_order(
            office.wipes[0], elsewhere, [bytes(16)], WipeLevel.ALL, NOW_MS, CountedEntropy()
        ),
    ):
        with pytest.raises(AuthorityError, match="does not name"):
            sign()
    with pytest.raises(AuthorityError, match="no root"):
        Known.of([])


# --- wipe --------------------------------------------------------------------------------------


def test_two_different_cards_make_an_order(office: Office) -> None:
    first, second, third = office.wipes
    devices = [b"z" * 16, b"a" * 16]
    draft = wipe_order(first, office.known, devices, WipeLevel.ALL, NOW_MS, CountedEntropy())
    assert (draft.signed, draft.needed, draft.is_complete) == (1, 2, False)
    with pytest.raises(ThresholdError):
        decide(None, draft.document, office.known.root)
    with pytest.raises(AuthorityError, match="another person"):
        cosigned(first, draft, office.known)
    again = read_wipe_untrusted(draft.document.raw, office.known)
    for other in (second, third):
        done = cosigned(other, again, office.known)
        assert done.is_complete
        assert done.document.digest == draft.document.digest
        assert decide(None, done.document, office.known.root)


def test_a_forged_first_signature_is_not_cosigned(office: Office) -> None:
    first, second, _third = office.wipes
    draft = wipe_order(first, office.known, [b"a" * 16], WipeLevel.AGENT, NOW_MS, CountedEntropy())
    # The signature of the first card under other words.
    other = wipe_order(first, office.known, [b"b" * 16], WipeLevel.AGENT, NOW_MS, CountedEntropy())
    raw = encode([draft.document.signed, [list(each) for each in other.document.signatures]])
    with pytest.raises(AuthorityError, match="does not hold"):
        cosigned(second, read_wipe_untrusted(raw, office.known), office.known)


def test_an_order_names_one_to_ten_devices(office: Office) -> None:
    devices = [bytes([number]) * 16 for number in range(WIPE_DEVICES_MAX + 1)]

    def order(count: int) -> None:
        wipe_order(
            office.wipes[0],
            office.known,
            devices[:count],
            WipeLevel.ALL,
            NOW_MS,
            CountedEntropy(),
        )

    order(WIPE_DEVICES_MAX)
    for count in (0, WIPE_DEVICES_MAX + 1):
        with pytest.raises(MeshError):
            order(count)
    with pytest.raises(AuthorityError, match="kind 'wipe'"):
        wipe_order(
            office.operator,
            office.known,
            devices[:1],
            WipeLevel.ALL,
            NOW_MS,
            CountedEntropy(),
        )
    with pytest.raises(AuthorityError, match="no wipe order"):
        read_wipe_untrusted(office.known.root_document.raw, office.known)


# --- beacon ------------------------------------------------------------------------------------


def test_a_beacon_says_what_the_centre_holds(office: Office) -> None:
    card, document = beacon(office.operator, office.known, NOW_MS)
    body = decode_beacon_untrusted(document.body)
    held = {(int(d.cls), d.scope): (d.epoch, d.version) for d in office.known.documents}
    assert body.documents_digest == documents_digest(held)
    later, after = beacon(card, office.known, NOW_MS + 1)
    assert decide(document, after, office.known.root)
    with pytest.raises(EnrolmentError, match="check the clock"):
        beacon(later, office.known, NOW_MS)


def test_operators_apart_never_sign_one_version(office: Office) -> None:
    versions: dict[int, set[int]] = {}
    for number in range(1, SIGNERS_MAX + 1):
        # The root names one operator here; the number alone decides which versions are its own.
        card = Card(office.operator.kind, number, "x", office.operator.zone, office.operator.keys)
        for step in range(3):
            card, document = beacon(card, office.known, NOW_MS + step)
            versions.setdefault(number, set()).add(document.version)
    every = [version for own in versions.values() for version in own]
    assert len(every) == len(set(every)) == 3 * SIGNERS_MAX
