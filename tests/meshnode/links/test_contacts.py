"""How long to wait before the next dial, and what is remembered of places and peers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.links.base import Address
from meshnode.links.contacts import Backoff, Contact, Contacts, Known
from protocol.limits import ADDRESSES_PER_CONTACT_MAX, BACKOFF_MS_MAX, CONTACTS_MAX

HERE, THERE = Address("here", 1), Address("there", 2)


def entropy(count: int) -> bytes:
    return b"\x80" * count


def contact(*, is_static: bool = False) -> Contact:
    return Contact([HERE], entropy, is_static=is_static)


def test_waits_double_up_to_five_minutes() -> None:
    backoff = Backoff(lambda count: b"\xff" * count)
    waits = [backoff.next_s() for _ in range(15)]
    assert waits[0] == pytest.approx(1, abs=0.01)
    assert waits[5] == pytest.approx(32, abs=0.1)
    assert waits[-1] == pytest.approx(300, abs=0.1)
    assert all(first <= second for first, second in pairwise(waits))
    backoff.reset()
    assert backoff.next_s() == pytest.approx(1, abs=0.01)


@given(st.binary(min_size=2, max_size=2), st.integers(0, 10_000))
def test_every_wait_is_within_bounds(random: bytes, failures: int) -> None:
    backoff = Backoff(lambda count: random)
    backoff.failures = failures
    wait_s = backoff.next_s()
    assert 0.75 <= wait_s <= BACKOFF_MS_MAX / 1000
    if failures >= 9:
        assert wait_s >= 120


def test_a_sighted_place_becomes_hopeless_a_configured_one_never() -> None:
    for is_static in (False, True):
        place = contact(is_static=is_static)
        for _ in range(13):
            assert not place.is_hopeless
            place.backoff.next_s()
        assert place.is_hopeless is not is_static


async def test_only_a_changed_address_resets_the_wait() -> None:
    place = contact()
    place.backoff.failures = 5
    place.move([HERE])
    assert place.backoff.failures == 5
    place.move([HERE, THERE])
    assert place.backoff.failures == 0
    assert place.addresses == (HERE, THERE)
    await place.changed.wait()
    place.answered(THERE)
    assert place.addresses == (THERE, HERE)


def test_addresses_of_one_place_are_bounded() -> None:
    many = [Address("host", port) for port in range(1, 100)]
    place = Contact(many, entropy, is_static=False)
    assert len(place.addresses) == ADDRESSES_PER_CONTACT_MAX
    place.move(many[10:])
    assert len(place.addresses) == ADDRESSES_PER_CONTACT_MAX


def test_the_longest_unseen_sighting_is_forgotten_first() -> None:
    contacts = Contacts()
    contacts.add("static", contact(is_static=True))
    places = [contact() for _ in range(CONTACTS_MAX)]
    for number, place in enumerate(places[:-1]):
        contacts.add(f"sighting {number}", place)
    assert contacts.get("sighting 0") is places[0]
    contacts.add("one more", places[-1])
    assert len(contacts) == CONTACTS_MAX
    assert contacts.get("sighting 1") is None
    assert places[1].scope.cancel_called
    assert contacts.get("sighting 0") is places[0]
    assert contacts.get("static") is not None
    contacts.drop("static")
    contacts.drop("static")
    assert contacts.get("static") is None


def test_configured_places_alone_are_never_forgotten() -> None:
    contacts = Contacts()
    for number in range(CONTACTS_MAX + 1):
        contacts.add(str(number), contact(is_static=True))
    assert len(contacts) == CONTACTS_MAX + 1


def test_known_nodes_and_addresses_are_bounded() -> None:
    known = Known()
    for number in range(CONTACTS_MAX + 1):
        node = number.to_bytes(16, "big")
        known.note(b"cert %d" % number, node)
        known.note_address(node, HERE)
    assert known.node_of(b"cert 0") is None
    assert known.addresses(bytes(16)) == ()
    node = CONTACTS_MAX.to_bytes(16, "big")
    assert known.node_of(b"cert %d" % CONTACTS_MAX) == node
    known.note_address(node, THERE)
    known.note_address(node, HERE)
    assert known.addresses(node) == (HERE, THERE)
    for port in range(20):
        known.note_address(node, Address("x", port))
    assert len(known.addresses(node)) == ADDRESSES_PER_CONTACT_MAX
