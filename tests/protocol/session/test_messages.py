"""Payloads of frames: read back as written, and refused one above each bound."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import canonical
from protocol.errors import LimitExceededError, MalformedError, UnsupportedVersionError
from protocol.limits import (
    ACK_REFUSALS_MAX,
    CERTIFICATE_BYTES_MAX,
    DOCUMENTS_HELD_MAX,
    FRAME_BYTES_MAX,
    IDS_PER_FRAME_MAX,
    INTERESTS_MAX,
    SKETCH_SYMBOLS,
    TrafficClass,
)
from protocol.reconcile.interest import Interest
from protocol.reports import Reception
from protocol.session import messages
from protocol.session.events import LocalHello
from protocol.session.messages import Ack, IdList, More, Summary, SummaryLine, Symbols

U64 = st.integers(0, 2**64 - 1)
ROUNDS = st.integers(1, 2**32 - 1)
INTERESTS = st.builds(Interest, st.integers(1, 65_535), st.sampled_from(TrafficClass))
ONE = Interest(7, TrafficClass.MESSAGE)
VERSIONS = st.dictionaries(
    st.tuples(st.integers(0, 255), st.binary(max_size=64)), st.tuples(U64, U64), max_size=8
)


@given(VERSIONS)
def test_versions_are_read_back(documents: dict[tuple[int, bytes], tuple[int, int]]) -> None:
    payload = messages.encode_versions(documents)
    assert messages.decode_versions_untrusted(payload) == documents
    shuffled = dict(reversed(documents.items()))
    assert messages.documents_digest(shuffled) == messages.documents_digest(documents)


@given(VERSIONS, VERSIONS)
def test_the_digest_tells_documents_apart(
    ours: dict[tuple[int, bytes], tuple[int, int]], theirs: dict[tuple[int, bytes], tuple[int, int]]
) -> None:
    is_same = messages.documents_digest(ours) == messages.documents_digest(theirs)
    assert is_same is (ours == theirs)


@pytest.mark.parametrize("lines", [[[2, b"a", 1, 1], [1, b"a", 1, 1]], [[1, b"a", 1, 1]] * 2])
def test_versions_out_of_order_are_refused(lines: list[list[int | bytes]]) -> None:
    with pytest.raises(MalformedError):
        messages.decode_versions_untrusted(canonical.encode(lines))


def test_the_versions_of_all_that_a_node_holds_fit_one_frame() -> None:
    scope = bytes(11)
    held = {
        (2, number.to_bytes(4, "big") + scope[4:]): (2**16 - 1, 2**16 - 1)
        for number in range(DOCUMENTS_HELD_MAX)
    }
    assert len(messages.encode_versions(held)) <= FRAME_BYTES_MAX


def test_as_many_documents_as_a_node_holds_are_the_most() -> None:
    lines: list[canonical.Value] = [
        [1, number.to_bytes(2, "big"), 1, 1] for number in range(DOCUMENTS_HELD_MAX + 1)
    ]
    most = messages.decode_versions_untrusted(canonical.encode(lines[:-1]))
    assert len(most) == DOCUMENTS_HELD_MAX
    with pytest.raises(LimitExceededError):
        messages.decode_versions_untrusted(canonical.encode(lines))


@given(
    st.lists(st.binary(min_size=1, max_size=600), min_size=1, max_size=4),
    st.binary(min_size=64, max_size=64),
    VERSIONS,
)
def test_a_hello_is_read_back(
    chain: list[bytes], signature: bytes, documents: dict[tuple[int, bytes], tuple[int, int]]
) -> None:
    hello = LocalHello(tuple(chain), signature, documents)
    read = messages.decode_hello_untrusted(messages.encode_hello(hello))
    assert read.badge_chain == tuple(chain)
    assert read.binding_signature == signature
    assert read.documents_digest == messages.documents_digest(documents)


def hello_fields(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "version": 1,
        "chain": (b"badge",),
        "signature": bytes(64),
        "digest": bytes(8),
        "nonce": bytes(16),
    }
    return canonical.encode(tuple((fields | changes).values()))  # type: ignore[arg-type]


def test_the_largest_hello_is_read_and_one_byte_more_is_not() -> None:
    certificate = bytes(CERTIFICATE_BYTES_MAX)
    messages.decode_hello_untrusted(hello_fields(chain=(certificate,) * 4))
    for chain in ((certificate,) * 5, (certificate + b"x",), (bytes(1),) * 5):
        with pytest.raises(LimitExceededError):
            messages.decode_hello_untrusted(hello_fields(chain=chain))


@pytest.mark.parametrize(
    "changes",
    [{"chain": ()}, {"chain": (b"",)}, {"signature": bytes(63)}, {"digest": b""}, {"nonce": b"x"}],
)
def test_a_hello_with_a_hole_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedError):
        messages.decode_hello_untrusted(hello_fields(**changes))


@pytest.mark.parametrize("payload", [hello_fields(version=2), canonical.encode((9, b"new", 3))])
def test_a_later_version_is_named(payload: bytes) -> None:
    with pytest.raises(UnsupportedVersionError):
        messages.decode_hello_untrusted(payload)


@given(ROUNDS, st.dictionaries(INTERESTS, st.tuples(st.integers(0, 2**32 - 1), U64), max_size=12))
def test_a_summary_is_read_back_in_order(
    number: int, lines: dict[Interest, tuple[int, int]]
) -> None:
    summary = Summary(
        number, tuple(SummaryLine(interest, *line) for interest, line in lines.items())
    )
    read = messages.decode_summary_untrusted(messages.encode_summary(summary))
    assert read.round == number
    assert read.lines == tuple(sorted(summary.lines, key=lambda line: line.interest))


def summary_of(interests: int) -> bytes:
    lines = [SummaryLine(Interest(zone, TrafficClass.SOS), 1, 1) for zone in range(1, 65_536)]
    return messages.encode_summary(Summary(1, tuple(lines[:interests])))


@pytest.mark.slow
def test_as_many_interests_as_a_store_keeps_fit_a_summary() -> None:
    assert len(messages.decode_summary_untrusted(summary_of(INTERESTS_MAX)).lines) == INTERESTS_MAX
    with pytest.raises(LimitExceededError):
        messages.decode_summary_untrusted(summary_of(INTERESTS_MAX + 1))
    full = bytes(13)
    zones = [(zone, b"".join(bytes([n]) + full[1:] for n in range(5))) for zone in range(1, 53)]
    with pytest.raises(LimitExceededError, match="interests"):
        messages.decode_summary_untrusted(canonical.encode((1, zones)))


def line(traffic_class: int, n: int = 1) -> bytes:
    return bytes([traffic_class]) + n.to_bytes(4, "big") + bytes(8)


@pytest.mark.parametrize(
    "zones",
    [
        [(7, line(2)[:-1])],
        [(7, line(2) + b"x")],
        [(7, b"")],
        [(7, line(2) + line(2))],
        [(7, line(3) + line(2))],
        [(8, line(2)), (7, line(2))],
        [(7, line(2)), (7, line(3) + line(2))],
        [(0, line(2))],
    ],
)
def test_a_summary_out_of_order_is_refused(zones: list[tuple[int, bytes]]) -> None:
    with pytest.raises(MalformedError):
        messages.decode_summary_untrusted(canonical.encode((1, zones)))


@pytest.mark.parametrize("zones", [[(65_536, line(2))], [(7, line(5))], [(7, line(0) * 6)]])
def test_a_summary_beyond_its_bounds_is_refused(zones: list[tuple[int, bytes]]) -> None:
    with pytest.raises(LimitExceededError):
        messages.decode_summary_untrusted(canonical.encode((1, zones)))


@given(
    ROUNDS,
    INTERESTS,
    st.integers(0, 2**32 - 1),
    U64,
    st.integers(0, SKETCH_SYMBOLS),
    st.integers(0, SKETCH_SYMBOLS),
    st.binary(max_size=200),
)
def test_symbols_are_read_back(
    number: int, interest: Interest, n: int, set_hash: int, first: int, count: int, columns: bytes
) -> None:
    symbols = Symbols(number, interest, n, set_hash, first, count, columns)
    assert (
        messages.decode_symbols_frame_untrusted(messages.encode_symbols_frame(symbols)) == symbols
    )


@given(ROUNDS, INTERESTS, st.integers(0, SKETCH_SYMBOLS), st.integers(0, SKETCH_SYMBOLS))
def test_more_is_read_back(number: int, interest: Interest, first: int, count: int) -> None:
    more = More(number, interest, first, count)
    assert messages.decode_more_untrusted(messages.encode_more(more)) == more


def test_symbols_beyond_the_sketch_cannot_be_asked_for() -> None:
    with pytest.raises(LimitExceededError):
        messages.decode_more_untrusted(messages.encode_more(More(1, ONE, 0, SKETCH_SYMBOLS + 1)))
    with pytest.raises(LimitExceededError):
        messages.decode_more_untrusted(messages.encode_more(More(1, ONE, SKETCH_SYMBOLS + 1, 0)))


@pytest.mark.parametrize("number", [0, 2**32])
def test_rounds_have_bounds(number: int) -> None:
    with pytest.raises((MalformedError, LimitExceededError)):
        messages.decode_round_untrusted(messages.encode_round(number))
    with pytest.raises((MalformedError, LimitExceededError)):
        messages.decode_equal_untrusted(messages.encode_equal(number, []))


@given(ROUNDS, st.lists(INTERESTS, max_size=10))
def test_equal_is_read_back(number: int, interests: list[Interest]) -> None:
    payload = messages.encode_equal(number, interests)
    assert messages.decode_equal_untrusted(payload) == (number, tuple(interests))
    assert messages.decode_round_untrusted(messages.encode_round(number)) == number


def test_equal_names_as_many_interests_as_a_summary() -> None:
    messages.decode_equal_untrusted(
        messages.encode_equal(1, [Interest(65_535, ONE.traffic_class)] * INTERESTS_MAX)
    )
    with pytest.raises(LimitExceededError):
        messages.decode_equal_untrusted(messages.encode_equal(1, [ONE] * (INTERESTS_MAX + 1)))


@given(st.lists(U64, max_size=50))
def test_ids_are_read_back(ids: list[int]) -> None:
    assert list(messages.decode_ids_untrusted(messages.encode_ids(ids))) == ids
    assert messages.encode_ids(ids) == b"".join(each.to_bytes(8, "big") for each in ids)


def test_ids_have_bounds() -> None:
    full = messages.encode_ids(range(IDS_PER_FRAME_MAX))
    assert len(messages.decode_ids_untrusted(full)) == IDS_PER_FRAME_MAX
    with pytest.raises(LimitExceededError):
        messages.decode_ids_untrusted(full + bytes(8))
    with pytest.raises(MalformedError):
        messages.decode_ids_untrusted(full[:-1])


@given(ROUNDS, INTERESTS, st.booleans(), st.lists(U64, max_size=50))
def test_a_list_is_read_back(
    number: int, interest: Interest, is_last: bool, ids: list[int]
) -> None:
    page = IdList(number, interest, is_last, array("Q", ids))
    assert messages.decode_list_untrusted(messages.encode_list(page)) == page


def test_the_largest_list_fits_a_frame() -> None:
    ids = array("Q", [2**64 - 1] * IDS_PER_FRAME_MAX)
    largest = Interest(65_535, TrafficClass.BULK)
    assert len(messages.encode_list(IdList(2**32 - 1, largest, True, ids))) <= FRAME_BYTES_MAX


@given(
    st.integers(0, 2**63),
    st.lists(
        st.tuples(U64, st.sampled_from([code for code in Reception if code])),
        max_size=20,
        unique_by=lambda refusal: refusal[0],
    ),
)
def test_an_ack_is_read_back(upto: int, refusals: list[tuple[int, Reception]]) -> None:
    ack = Ack(upto, tuple(sorted(refusals)))
    assert messages.decode_ack_untrusted(messages.encode_ack(ack)) == ack


def test_the_largest_ack_fits_a_frame() -> None:
    start = 2**63
    refusals = [(start + number, Reception.DELIVERED) for number in range(ACK_REFUSALS_MAX + 1)]
    payload = messages.encode_ack(Ack(2**64 - 1, tuple(refusals[:-1])))
    assert len(payload) <= FRAME_BYTES_MAX
    assert len(messages.decode_ack_untrusted(payload).refusals) == ACK_REFUSALS_MAX
    with pytest.raises(LimitExceededError):
        messages.decode_ack_untrusted(messages.encode_ack(Ack(2**64 - 1, tuple(refusals))))


@pytest.mark.parametrize("refusals", [[(2, 1), (1, 1)], [(1, 1), (1, 2)], [(1, 0)]])
def test_refusals_out_of_order_or_without_reason_are_refused(
    refusals: list[tuple[int, int]],
) -> None:
    with pytest.raises(MalformedError):
        messages.decode_ack_untrusted(canonical.encode((9, refusals)))


def test_an_unknown_reason_of_refusal_is_refused() -> None:
    with pytest.raises(LimitExceededError):
        messages.decode_ack_untrusted(canonical.encode((9, [(1, max(Reception) + 1)])))


@given(st.integers(0, 255))
def test_a_bye_is_read_back(code: int) -> None:
    assert messages.decode_bye_untrusted(messages.encode_bye(code)) == code


def test_a_bye_has_one_byte_of_code() -> None:
    with pytest.raises(LimitExceededError):
        messages.decode_bye_untrusted(canonical.encode((256,)))


@pytest.mark.parametrize("length", [0, 255, 257, 512])
def test_digests_have_one_length(length: int) -> None:
    with pytest.raises(MalformedError):
        messages.decode_digests_untrusted(bytes(length))


@given(VERSIONS)
def test_digests_are_those_of_each_bucket(
    documents: dict[tuple[int, bytes], tuple[int, int]],
) -> None:
    digests = messages.decode_digests_untrusted(messages.encode_digests(documents))
    assert len(digests) == messages.DOCUMENT_BUCKETS
    for number, digest in enumerate(digests):
        inside = {key: at for key, at in documents.items() if messages.bucket_of(key) == number}
        assert messages.documents_digest(inside).startswith(digest)
