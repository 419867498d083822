"""Revocations, wipe orders and beacons: one form each, and the union of many signers' lists."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.canonical import Value, encode
from protocol.errors import LimitExceededError, MalformedError
from protocol.guards import REVOCATIONS_MAX, WIPE_DEVICES_MAX
from protocol.limits import DOCUMENT_BYTES_MAX
from protocol.orders import (
    BeaconBody,
    Revocation,
    RevocationBody,
    WipeBody,
    WipeLevel,
    beacon_scope,
    decode_beacon_untrusted,
    decode_revocation_untrusted,
    decode_wipe_untrusted,
    is_grown,
    issuer_id,
    united,
)

IDS = st.binary(min_size=16, max_size=16)
ENTRIES = st.builds(
    Revocation,
    st.sampled_from([bytes([number]) * 16 for number in range(5)]),
    st.integers(0, 5),
    st.integers(0, 3),
    st.integers(0, 5),
)


def body(*entries: Revocation) -> RevocationBody:
    return RevocationBody(tuple(sorted(entries, key=lambda entry: entry.subject)))


LISTS = st.lists(
    st.lists(ENTRIES, max_size=4, unique_by=lambda entry: entry.subject).map(
        lambda entries: body(*entries)
    ),
    max_size=4,
)


@given(
    st.lists(
        st.builds(
            Revocation,
            IDS,
            st.integers(0, 2**63),
            st.integers(0, 2**32 - 1),
            st.integers(0, 2**64 - 1),
        ),
        max_size=20,
        unique_by=lambda entry: entry.subject,
    )
)
def test_a_list_is_read_as_it_was_written(entries: list[Revocation]) -> None:
    written = body(*entries)
    assert decode_revocation_untrusted(written.encode()) == written


def entry(**changes: Value) -> Value:
    fields: dict[str, Value] = {"subject": bytes(16), "since": 1, "incarnation": 2, "seq": 3}
    return list((fields | changes).values())


@pytest.mark.parametrize(
    "record",
    [
        [],
        [[entry()], 0],
        [[entry(subject=bytes(15))]],
        [[entry(incarnation=2**32)]],
        [[entry(), entry()]],
        [[entry(subject=b"b" * 16), entry(subject=b"a" * 16)]],
        [[[*entry(), 0]]],  # type: ignore[misc]
        [entry()],
    ],
)
def test_odd_lists_are_refused(record: Value) -> None:
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_revocation_untrusted(encode(record))


def test_the_longest_list_fits_and_one_more_entry_does_not() -> None:
    longest = [
        entry(subject=number.to_bytes(16, "big"), since=2**63, incarnation=2**32 - 1, seq=2**64 - 1)
        for number in range(REVOCATIONS_MAX + 1)
    ]
    assert len(encode([longest[:-1]])) < DOCUMENT_BYTES_MAX - 4_000
    decode_revocation_untrusted(encode([longest[:-1]]))
    with pytest.raises(LimitExceededError):
        decode_revocation_untrusted(encode([longest]))


def slowly_united(bodies: list[RevocationBody]) -> dict[bytes, Revocation]:
    """The union by its words: of several incarnations none is good, of one the lowest number."""
    found: dict[bytes, list[Revocation]] = {}
    for each in bodies:
        for entry in each.entries:
            found.setdefault(entry.subject, []).append(entry)
    united_ones = {}
    for subject, entries in found.items():
        since_ms = min(entry.since_ms for entry in entries)
        incarnations = {entry.incarnation for entry in entries}
        good = (0, 0)
        if len(incarnations) == 1:
            good = (incarnations.pop(), min(entry.last_seq for entry in entries))
        united_ones[subject] = Revocation(subject, since_ms, *good)
    return united_ones


@given(LISTS)
def test_lists_are_united(bodies: list[RevocationBody]) -> None:
    assert united(bodies) == slowly_united(bodies)


@given(LISTS, st.randoms(use_true_random=False))
def test_the_union_knows_no_order(bodies: list[RevocationBody], random: object) -> None:
    shuffled = list(bodies)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert united(shuffled) == united(bodies)


@given(LISTS, LISTS)
def test_no_signer_undoes_what_another_revoked(
    some: list[RevocationBody], more: list[RevocationBody]
) -> None:
    before, after = united(some), united([*some, *more])
    assert before.keys() <= after.keys()
    for key, entry in before.items():
        for seq in {1, entry.last_seq + 1, after[key].last_seq, 2**64 - 1}:
            for incarnation in {1, entry.incarnation, after[key].incarnation}:
                is_good = after[key].is_good(incarnation, seq)
                assert not is_good or entry.is_good(incarnation, seq)


@given(LISTS)
def test_a_list_that_was_united_with_more_has_grown(bodies: list[RevocationBody]) -> None:
    for before in bodies:
        listed = united([before, *bodies])
        after = RevocationBody(tuple(listed[subject] for subject in sorted(listed)))
        assert is_grown(before, after)
        is_same = [each.good for each in after.entries] == [each.good for each in before.entries]
        assert is_grown(after, before) is (is_same and len(after.entries) == len(before.entries))


def test_a_list_that_lacks_or_loosens_an_entry_has_not_grown() -> None:
    a, b = Revocation(b"a" * 16, 10, 7, 3), Revocation(b"b" * 16, 10, 7, 3)
    before = RevocationBody((a, b))
    for worse in (
        (),
        (a,),
        (a, replace(b, last_seq=4)),
        (a, replace(b, incarnation=8)),
    ):
        assert not is_grown(before, RevocationBody(worse))
    for better in (
        (a, b),
        (a, replace(b, last_seq=2)),
        (a, replace(b, since_ms=11)),
        (replace(a, incarnation=0, last_seq=0), b),
    ):
        assert is_grown(before, RevocationBody(better))


def test_only_numbers_up_to_the_last_good_one_of_its_incarnation_are_good() -> None:
    lost = Revocation(bytes(16), 0, incarnation=7, last_seq=3)
    assert [lost.is_good(7, seq) for seq in (1, 3, 4)] == [True, True, False]
    assert not lost.is_good(8, 1)
    assert not any(Revocation(bytes(16), 0, 0, 0).is_good(0, seq) for seq in (0, 1))


@given(
    st.sampled_from(WipeLevel), st.lists(IDS, min_size=1, max_size=WIPE_DEVICES_MAX, unique=True)
)
def test_an_order_is_read_as_it_was_written(level: WipeLevel, devices: list[bytes]) -> None:
    order = WipeBody(level, tuple(sorted(devices)))
    assert decode_wipe_untrusted(order.encode()) == order


@pytest.mark.parametrize(
    "record",
    [
        [2],
        [0, [bytes(16)]],
        [3, [bytes(16)]],
        [2, []],
        [2, [bytes(15)]],
        [2, [b"b" * 16, b"a" * 16]],
        [2, [bytes(16), bytes(16)]],
        [2, [number.to_bytes(16, "big") for number in range(WIPE_DEVICES_MAX + 1)]],
        [2, b"all"],
    ],
)
def test_odd_orders_are_refused(record: Value) -> None:
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_wipe_untrusted(encode(record))


@given(st.integers(1, 65_535), st.binary(min_size=8, max_size=8))
def test_a_beacon_is_read_as_it_was_written(zone: int, digest: bytes) -> None:
    beacon = BeaconBody(zone, digest)
    assert decode_beacon_untrusted(beacon.encode()) == beacon
    assert beacon.scope == beacon_scope(zone) == zone.to_bytes(2, "big")


@pytest.mark.parametrize("record", [[0, bytes(8)], [65_536, bytes(8)], [1, bytes(7)], [1]])
def test_odd_beacons_are_refused(record: Value) -> None:
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_beacon_untrusted(encode(record))


def test_an_issuer_is_named_by_the_hash_of_its_key() -> None:
    assert issuer_id(b"key") == hashlib.sha256(b"key").digest()[:16]
