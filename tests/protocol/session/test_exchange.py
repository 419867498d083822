"""Documents cross in one order only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LimitExceededError, RemoteProtocolError
from protocol.limits import SESSION_DOCUMENTS_MAX
from protocol.session.exchange import Exchange
from protocol.session.messages import (
    DOCUMENT_BUCKETS,
    bucket_of,
    decode_digests_untrusted,
    documents_digest,
    encode_digests,
)

ROOT, ROSTER, OTHER = (1, b""), (2, b"squad"), (2, b"other")
OURS = {ROOT: (1, 5), ROSTER: (2, 1)}


def differing() -> Exchange:
    exchange = Exchange(OURS)
    exchange.compare(bytes(8))
    exchange.differing_untrusted([b"none"] * DOCUMENT_BUCKETS)
    return exchange


def test_equal_digests_need_no_versions() -> None:
    exchange = Exchange(OURS)
    exchange.compare(documents_digest(OURS))
    assert exchange.are_equal
    with pytest.raises(RemoteProtocolError):
        exchange.newer_untrusted({})
    with pytest.raises(RemoteProtocolError):
        exchange.on_document_untrusted()
    exchange.on_end_untrusted()
    was_done = exchange.is_done
    exchange.is_ours_given = True
    assert (was_done, exchange.is_done) == (False, True)
    with pytest.raises(RemoteProtocolError):
        exchange.on_end_untrusted()


@pytest.mark.parametrize(
    ("theirs", "newer"),
    [
        ({}, (ROOT, ROSTER)),
        ({ROOT: (1, 5)}, (ROSTER,)),
        ({ROOT: (1, 4), ROSTER: (2, 1)}, (ROOT,)),
        ({ROOT: (1, 6), ROSTER: (1, 9)}, (ROSTER,)),
        ({ROOT: (2, 0), ROSTER: (2, 1), OTHER: (1, 1)}, ()),
    ],
)
def test_what_is_newer_here_is_given(
    theirs: dict[tuple[int, bytes], tuple[int, int]], newer: tuple[tuple[int, bytes], ...]
) -> None:
    exchange = differing()
    assert exchange.newer_untrusted(theirs) == newer
    with pytest.raises(RemoteProtocolError):
        exchange.newer_untrusted(theirs)
    exchange.on_document_untrusted()
    exchange.on_end_untrusted()
    with pytest.raises(RemoteProtocolError):
        exchange.on_document_untrusted()
    assert exchange.is_theirs_here


def test_versions_come_after_the_digests_which_come_once() -> None:
    exchange = Exchange(OURS)
    exchange.compare(bytes(8))
    with pytest.raises(RemoteProtocolError):
        exchange.newer_untrusted({})
    exchange.differing_untrusted(decode_digests_untrusted(encode_digests({})))
    with pytest.raises(RemoteProtocolError):
        exchange.differing_untrusted(decode_digests_untrusted(encode_digests({})))


def test_equal_documents_need_no_digests() -> None:
    exchange = Exchange(OURS)
    exchange.compare(documents_digest(OURS))
    with pytest.raises(RemoteProtocolError):
        exchange.differing_untrusted(decode_digests_untrusted(exchange.digests()))


DOCUMENTS = st.dictionaries(
    st.tuples(st.integers(1, 7), st.binary(max_size=11)),
    st.tuples(st.integers(1, 3), st.integers(1, 9)),
    max_size=40,
)


@given(DOCUMENTS, DOCUMENTS)
def test_only_documents_of_differing_buckets_are_named(
    ours: dict[tuple[int, bytes], tuple[int, int]], theirs: dict[tuple[int, bytes], tuple[int, int]]
) -> None:
    """Beside the exchange that lists everything: the same documents cross."""
    both = ours | theirs
    differ = {key for key in both if ours.get(key) != theirs.get(key)}
    buckets = {bucket_of(key) for key in differ}
    exchange = Exchange(ours)
    exchange.compare(bytes(8))
    named = exchange.differing_untrusted(decode_digests_untrusted(encode_digests(theirs)))
    assert named == {key: at for key, at in ours.items() if bucket_of(key) in buckets}
    nothing = (-1, -1)
    listed = {key: at for key, at in theirs.items() if bucket_of(key) in buckets}
    assert set(exchange.newer_untrusted(listed)) == {
        key for key, at in ours.items() if at > theirs.get(key, nothing)
    }


def test_neither_a_document_nor_the_end_comes_before_the_versions() -> None:
    with pytest.raises(RemoteProtocolError):
        differing().on_document_untrusted()
    with pytest.raises(RemoteProtocolError):
        differing().on_end_untrusted()


def test_documents_and_news_are_counted_together() -> None:
    exchange = differing()
    exchange.newer_untrusted({})
    for _ in range(SESSION_DOCUMENTS_MAX - 1):
        exchange.on_document_untrusted()
    exchange.on_news_untrusted()
    with pytest.raises(LimitExceededError):
        exchange.on_news_untrusted()
    with pytest.raises(LimitExceededError):
        exchange.on_document_untrusted()
