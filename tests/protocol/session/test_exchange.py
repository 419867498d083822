"""Documents cross in one order only."""

from __future__ import annotations

import pytest

from protocol.errors import LimitExceededError, RemoteProtocolError
from protocol.limits import SESSION_DOCUMENTS_MAX
from protocol.session.exchange import Exchange
from protocol.session.messages import documents_digest

ROOT, ROSTER, OTHER = (1, b""), (2, b"squad"), (2, b"other")
OURS = {ROOT: (1, 5), ROSTER: (2, 1)}


def differing() -> Exchange:
    exchange = Exchange(OURS)
    exchange.compare(bytes(8))
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
