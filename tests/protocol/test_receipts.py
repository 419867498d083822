"""Receipts: which bundles arrived, in runs, and that they were the ones we wrote."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.canonical import Value, encode
from protocol.errors import AuthenticationError, LimitExceededError, MalformedError
from protocol.receipts import (
    PAGE,
    RECEIPT_BYTES_MAX,
    KeyRequest,
    Receipt,
    check,
    covered_seqs,
    decode_key_request_untrusted,
    decode_receipt_untrusted,
    encode_key_request,
    encode_receipt,
    make_receipt,
    page_of,
)
from tests.reference.codec import RefusedError, read_key_request
from tests.reference.receipts import read_receipt
from tests.strategies import key_requests, mutated, receipts, uints
from tests.vectors.cases import receipt_body

OFFSETS = st.sets(st.integers(0, PAGE - 1), min_size=1, max_size=60)
SEEDS = [
    encode_receipt(Receipt(7, 0, ((1, 3), (5, 1), (900, 124)), b"8 bytes!")),
    encode_receipt(Receipt(2**32 - 1, 2**54 - 1, ((0, PAGE),), bytes(8))),
]


def digest_of(seq: int) -> bytes:
    return hashlib.sha256(b"bundle %d" % seq).digest()


def written(page: int, offsets: set[int]) -> dict[int, bytes]:
    return {page * PAGE + offset: digest_of(page * PAGE + offset) for offset in offsets}


@given(st.integers(0, 2**54 - 1), OFFSETS)
def test_a_receipt_covers_exactly_what_it_was_made_for(page: int, offsets: set[int]) -> None:
    digests = written(page, offsets)
    receipt = make_receipt(3, page, digests)
    assert list(covered_seqs(receipt)) == sorted(digests)
    assert {page_of(seq) for seq in digests} == {page}
    expected = hashlib.sha256(
        b"meshnode receipt 1\0" + b"".join(digests[seq] for seq in sorted(digests))
    ).digest()
    assert receipt.digest8 == expected[:8]
    for (first, count), (later, _) in zip(receipt.runs, receipt.runs[1:], strict=False):
        assert first + count < later
    assert decode_receipt_untrusted(encode_receipt(receipt)) == receipt
    check(receipt, digests)
    check(receipt, digests | written(page + 1, {0, 5}))


def test_neighbours_make_one_run() -> None:
    assert make_receipt(1, 0, written(0, {3, 4, 5, 7, 9, 10})).runs == ((3, 3), (7, 1), (9, 2))
    assert make_receipt(1, 1, written(1, set(range(PAGE)))).runs == ((0, PAGE),)


def test_the_most_runs_of_a_page_still_fit() -> None:
    receipt = make_receipt(2**32 - 1, 2**54 - 1, written(2**54 - 1, set(range(1, PAGE, 2))))
    assert len(receipt.runs) == PAGE // 2
    assert decode_receipt_untrusted(encode_receipt(receipt)) == receipt


@given(OFFSETS, st.data())
def test_a_receipt_for_other_content_is_refused(offsets: set[int], data: st.DataObject) -> None:
    digests = written(0, offsets)
    receipt = make_receipt(1, 0, digests)
    seq = data.draw(st.sampled_from(sorted(digests)))
    with pytest.raises(AuthenticationError, match="other content"):
        check(receipt, digests | {seq: digest_of(seq + PAGE)})
    with pytest.raises(AuthenticationError, match="never wrote"):
        check(receipt, {number: digests[number] for number in digests if number != seq})


@given(OFFSETS, OFFSETS)
def test_a_later_receipt_needs_the_digests_of_all(offsets: set[int], more: set[int]) -> None:
    """Cumulative: the same eight bytes never stand for another set of bundles."""
    first = make_receipt(1, 0, written(0, offsets))
    later = make_receipt(1, 0, written(0, offsets | more))
    assert (first.digest8 == later.digest8) is (more <= offsets)
    check(later, written(0, offsets | more))


def test_only_bundles_of_one_page_are_covered() -> None:
    for digests in ({}, written(0, {1}) | written(1, {1}), written(2, {0})):
        with pytest.raises(ValueError, match="one page"):
            make_receipt(1, 0, digests)


@given(receipts())
def test_a_receipt_is_read_as_it_was_written(receipt: Receipt) -> None:
    raw = encode_receipt(receipt)
    assert decode_receipt_untrusted(raw) == receipt
    read_receipt(raw)
    assert len(list(covered_seqs(receipt))) <= PAGE


@given(mutated(SEEDS))
def test_both_readers_agree_on_almost_a_receipt(raw: bytes) -> None:
    try:
        read_receipt(raw)
    except RefusedError:
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_receipt_untrusted(raw)
        return
    assert encode_receipt(decode_receipt_untrusted(raw)) == raw


@pytest.mark.parametrize(
    "raw",
    [
        receipt_body(1),
        receipt_body(1, 2),
        receipt_body(1, 2, 1, 1),
        receipt_body(1, 1, 1_025),
        receipt_body(1, 1_025, 1),
        receipt_body(1, 1_024, 2),
        receipt_body(1, *(1, 1) * 512, 1, 1),
        receipt_body(2**54 + 1, 2, 1),
        receipt_body(1, 2, 1, version=0),
        receipt_body(1, 2, 1, version=1),
        receipt_body(1, 2, 1, version=3),
        receipt_body(1, 2, 1, fill="00001"),
        receipt_body(1, 2, 1) + bytes(1),
        receipt_body(1, 2, 1)[:13],
        receipt_body(1, 2, 1)[:13] + bytes(1),
        b"",
        bytes(RECEIPT_BYTES_MAX + 1),
    ],
    ids=lambda raw: raw.hex()[:40],
)
def test_odd_receipts_are_refused(raw: bytes) -> None:
    with pytest.raises(RefusedError):
        read_receipt(raw)
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_receipt_untrusted(raw)


@pytest.mark.parametrize(
    "runs",
    [((0, PAGE),), ((0, 1), (2, 1)), ((PAGE - 1, 1),), ((0, 1022), (1023, 1))],
    ids=str,
)
def test_runs_at_their_bound_are_read(runs: tuple[tuple[int, int], ...]) -> None:
    receipt = Receipt(7, 0, runs, bytes(8))
    assert decode_receipt_untrusted(encode_receipt(receipt)) == receipt


def test_the_longest_receipt_has_the_bytes_of_its_bound() -> None:
    raw = receipt_body(2**54, *(2, 2) * 255, 2, 3)
    assert len(raw) == RECEIPT_BYTES_MAX
    assert encode_receipt(decode_receipt_untrusted(raw)) == raw


@given(OFFSETS)
def test_no_receipt_is_longer_than_two_bytes_and_a_half_for_each_run(offsets: set[int]) -> None:
    receipt = make_receipt(2**32 - 1, 0, written(0, offsets))
    assert len(encode_receipt(receipt)) <= 16 + 2.5 * len(receipt.runs) + 3


@given(uints())
def test_a_page_holds_the_numbers_that_the_page_says(seq: int) -> None:
    page = page_of(seq)
    assert page * 1_024 <= seq <= page * 1_024 + 1_023


# --- key requests ------------------------------------------------------------------------------


@given(key_requests())
def test_a_key_request_is_read_as_it_was_written(request: KeyRequest) -> None:
    raw = encode_key_request(request)
    assert decode_key_request_untrusted(raw) == request
    assert read_key_request(raw) == (1, request.chains)


@pytest.mark.parametrize(
    "fields",
    [
        [1, []],
        [1, [b"8 bytes!"] * 65],
        [1, [b"8 bytes"]],
        [1, [b"9 bytes!!"]],
        [1, [8]],
        [1, 8],
        [0, [b"8 bytes!"]],
        [2, [b"8 bytes!"]],
        [1],
        [1, [b"8 bytes!"], 0],
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_odd_key_requests_are_refused(fields: list[Value]) -> None:
    raw = encode(fields)
    with pytest.raises(RefusedError):
        read_key_request(raw)
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_key_request_untrusted(raw)


def test_key_requests_at_the_limit() -> None:
    assert len(decode_key_request_untrusted(encode([1, [b"8 bytes!"] * 64])).chains) == 64
