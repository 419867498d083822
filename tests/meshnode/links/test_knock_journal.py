"""What a listener remembers outlives it, whatever cut its file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.links import knock_journal as module
from meshnode.links.knock_journal import KnockJournal
from protocol.errors import AuthenticationError
from protocol.guards import NETWORK_EPOCH_MS
from protocol.knock import KnockGuard, KnocksTaken, make_knock

WEEK = 3_000
NOW_MS = WEEK * NETWORK_EPOCH_MS
KEYS = {week: [bytes([week % 256]) * 32] for week in range(WEEK - 3, WEEK + 1)}
NOTHING = KnocksTaken(-1, ())


def nonce_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_a_new_home_has_no_file(tmp_path: Path) -> None:
    assert KnockJournal(tmp_path / "knocks").load() == NOTHING
    assert list(tmp_path.iterdir()) == []


def test_what_was_noted_is_there_after_the_end(tmp_path: Path) -> None:
    path = tmp_path / "knocks"
    journal = KnockJournal(path)
    journal.load()
    journal.append(WEEK, nonce_of(1))
    journal.append(WEEK - 1, nonce_of(2))
    assert KnockJournal(path).load().knocks == ((WEEK, nonce_of(1)), (WEEK - 1, nonce_of(2)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.slow
@given(st.integers(0, 60))
def test_a_record_that_was_cut_is_left_out_and_the_next_one_is_whole(
    tmp_path_factory: pytest.TempPathFactory, size: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "knocks"
    for number in range(3):
        KnockJournal(path).append(WEEK, nonce_of(number))
    path.write_bytes(path.read_bytes()[:size])
    journal = KnockJournal(path)
    journal.load()
    journal.append(WEEK, nonce_of(9))
    whole = tuple((WEEK, nonce_of(number)) for number in range(size // 20))
    assert KnockJournal(path).load().knocks == (*whole, (WEEK, nonce_of(9)))


def test_what_was_forgotten_stays_forgotten(tmp_path: Path) -> None:
    journal = KnockJournal(tmp_path / "knocks")
    taken = KnocksTaken(WEEK - 2, ((WEEK, nonce_of(1)),))
    journal.rewrite(taken)
    assert KnockJournal(tmp_path / "knocks").load() == taken


def test_a_long_file_is_known_as_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RECORDS_MAX", 3)
    journal = KnockJournal(tmp_path / "knocks")
    for number in range(3):
        assert not journal.is_long
        journal.append(WEEK, nonce_of(number))
    assert journal.is_long
    journal.rewrite(NOTHING)
    assert not journal.is_long


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.booleans()), max_size=40),
    st.integers(1, 6),
)
def test_no_knock_opens_twice_whenever_the_listener_is_started_again(
    tmp_path_factory: pytest.TempPathFactory, heard: list[tuple[int, int, bool]], kept_max: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "knocks"
    journal, guard, opened = KnockJournal(path), KnockGuard(kept_max), set[tuple[int, int]]()
    for back, number, is_restarted in heard:
        if is_restarted:
            journal, guard = KnockJournal(path), KnockGuard(kept_max)
            guard.recall(journal.load())
            assert len(guard) <= kept_max
        knock = make_knock(KEYS[WEEK - back][0], b"listener", bytes([number]) * 16)
        try:
            epoch = guard.check_untrusted(knock, [b"listener"], KEYS, NOW_MS)
        except AuthenticationError:
            continue
        assert epoch == WEEK - back
        assert (back, number) not in opened
        opened.add((back, number))
        if len(opened) % 3 == 0:
            journal.rewrite(guard.taken)
        else:
            journal.append(epoch, knock[:16])
