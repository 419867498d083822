"""Two ends find the same difference as two sets of Python, whatever way it is found."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.bench.reconcile import Held, meet
from protocol.reconcile.sketch import Sketch
from protocol.reports import Standing
from protocol.session import (
    DocumentsReceived,
    HelloReceived,
    IdsNeeded,
    LocalHello,
    ReconcileStarting,
    SessionClosed,
    SessionRole,
    SyncSession,
    messages,
)
from protocol.session.frames import FrameType, encode_frame
from protocol.session.messages import IdList, Symbols
from tests.protocol.reconcile.sets import numbers
from tests.protocol.session.ends import TEXTS
from tests.reference.reconcile import bytes_max, difference

IDS = st.sets(st.integers(0, 2**64 - 1), max_size=60)
COUNTS = st.integers(0, 12) | st.integers(0, 500)


def held(ids: list[int], symbols: int = 4_096) -> Held:
    return Held(array("Q", ids), Sketch.build(ids, symbols))


def judge(ours: list[int], theirs: list[int], symbols: int = 4_096) -> tuple[int, int]:
    """Compare one round with the reference; return the lists it took, and its round trips."""
    contact = meet(held(ours, symbols), held(theirs, symbols))
    if ours and theirs:
        assert (contact.have, contact.need) == difference(ours, theirs)
        assert contact.streamed == 0
    else:
        # Where one end holds nothing the other streams all, and nobody compares.
        assert contact.streamed == bool(ours or theirs)
        assert contact.have == contact.need == set()
    assert 0 < contact.bytes <= bytes_max(ours, theirs)
    return contact.lists, contact.round_trips


@given(IDS, IDS, IDS)
def test_any_two_sets(common: set[int], ours: set[int], theirs: set[int]) -> None:
    judge(sorted(common | ours), sorted(common | theirs))


@pytest.mark.slow
@given(COUNTS, COUNTS, COUNTS, st.integers(0, 9))
def test_sets_of_hashes(common: int, ours: int, theirs: int, seed: int) -> None:
    shared = numbers(f"{seed} common", common)
    first, second = numbers(f"{seed} ours", ours), numbers(f"{seed} theirs", theirs)
    judge(shared + first, shared + second)


@pytest.mark.slow
@given(st.integers(16, 200), st.integers(0, 300), st.integers(0, 9))
def test_sketches_that_are_too_small_are_helped_by_the_list(
    symbols: int, count: int, seed: int
) -> None:
    shared = numbers(f"{seed} common", 1_500)
    ours, theirs = numbers(f"{seed} ours", count), numbers(f"{seed} theirs", count)
    lists, round_trips = judge(shared + ours, shared + theirs, symbols)
    if 2 * count > symbols:
        assert lists == 2
    assert round_trips <= 12


@pytest.mark.slow
@given(st.sets(st.integers(0, 300), max_size=60), st.sets(st.integers(0, 300), max_size=60))
def test_ids_that_are_no_hashes_still_end_equal(ours: set[int], theirs: set[int]) -> None:
    """Small numbers share most of their symbols: decoding often fails, the list never does."""
    far = set(numbers("far", 200))
    judge(sorted(ours | far), sorted(theirs | far))


# --- a responder that lies ---------------------------------------------------------------------


def asking(ids: list[int]) -> SyncSession:
    """Return an initiator that sent its SUMMARY."""
    hello = LocalHello((b"badge",), bytes(64), {})
    session = SyncSession(SessionRole.INITIATOR, hello, 0)
    session.receive_data(encode_frame(FrameType.HELLO, messages.encode_hello(hello)), 0)
    assert isinstance(session.next_event(), HelloReceived)
    session.admit(bytes(16))
    session.receive_data(encode_frame(FrameType.DOCUMENTS_END, b""), 0)
    assert isinstance(session.next_event(), DocumentsReceived)
    session.documents_applied(Standing.FULL)
    assert isinstance(session.next_event(), ReconcileStarting)
    session.reconcile({TEXTS: Sketch.build(ids).snapshot()})
    session.data_to_send(1 << 16, 0)
    return session


FLIGHT = st.builds(
    lambda n, set_hash, count, filler: (n, set_hash, count, filler),
    st.sampled_from([0, 1, 200, 2**32 - 1]),
    st.integers(0, 2**64 - 1),
    st.integers(0, 64),
    st.binary(min_size=13, max_size=13),
)


@given(st.lists(FLIGHT | st.lists(st.integers(0, 2**64 - 1), max_size=5), max_size=8))
def test_no_answer_hangs_the_asking_end(
    answers: list[tuple[int, int, int, bytes] | list[int]],
) -> None:
    ids = numbers("near", 200)
    session, first = asking(ids), 0
    for answer in answers:
        if isinstance(answer, tuple):
            n, set_hash, count, filler = answer
            symbols = Symbols(1, TEXTS, n, set_hash, first, count, filler * count)
            first += count
            frame = encode_frame(FrameType.SYMBOLS, messages.encode_symbols_frame(symbols))
        else:
            page = IdList(1, TEXTS, not answer, array("Q", answer))
            frame = encode_frame(FrameType.LIST, messages.encode_list(page))
        session.receive_data(frame, 0)
        while (event := session.next_event()) is not None:
            if isinstance(event, IdsNeeded):
                session.supply_ids(event.interest, array("Q", ids))
            if isinstance(event, SessionClosed):
                assert not event.by_peer
                return
        assert len(session.data_to_send(1 << 16, 0)) < 1_000
