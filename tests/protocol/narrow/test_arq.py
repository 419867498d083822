"""The stream over a line that loses, repeats and reorders frames: everything, once, in order.

A slow plain model stands beside it: the bytes written are the bytes read.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.narrow.arq import Arq, Patience
from protocol.narrow.bounds import (
    LINE_BUFFER_BYTES,
    RETRY_MS_MAX,
    RETRY_MS_MIN,
    SILENCE_MS_MAX,
    WINDOW_FRAMES,
)
from protocol.narrow.frames import PIECE_BYTES_MAX, FrameKind, Piece, encode_frame

BYTE_MS = 10_000 / 9_600
"""Of a line of 9.6 kbit/s."""


@dataclass
class Line:
    """Two ends and what is between them; time is a number."""

    seed: int = 0
    loss: float = 0.0
    double: float = 0.0
    late: float = 0.0
    half_trip_ms: int = 500
    now_ms: int = 0
    is_cut: bool = False
    ends: tuple[Arq, Arq] = field(default_factory=lambda: (Arq(7, 0), Arq(7, 0)))

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.free_ms = [0.0, 0.0]
        self.way: list[tuple[int, int, int, Piece]] = []
        self.frames = 0
        self.read: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self.is_reading = [True, True]

    def step(self) -> bool:
        """Send what is due, then go on to the next moment; False where nothing will happen."""
        for side, end in enumerate(self.ends):
            while self.free_ms[side] <= self.now_ms:
                frame = end.next_frame(self.now_ms)
                if frame is None:
                    break
                self._send(side, frame)
            if self.is_reading[side]:
                self.read[side].extend(end.read(100_000, self.now_ms))
        moments = [at_ms for at_ms, *_ in self.way[:1]]
        moments += [int(each) + 1 for each in self.free_ms if each > self.now_ms]
        due = [end.next_deadline_ms() for end in self.ends]
        moments += [max(each, self.now_ms + 1) for each in due if each is not None]
        if not moments:
            return False
        self.now_ms = max(self.now_ms, min(moments))
        while self.way and self.way[0][0] <= self.now_ms:
            _at_ms, _number, side, frame = heapq.heappop(self.way)
            self.ends[1 - side].receive(frame, self.now_ms)
        return True

    def _send(self, side: int, frame: Piece) -> None:
        start_ms = max(self.free_ms[side], self.now_ms)
        self.free_ms[side] = start_ms + len(encode_frame(frame)) * BYTE_MS
        if self.is_cut or self.random.random() < self.loss:
            return
        for _ in range(2 if self.random.random() < self.double else 1):
            late_ms = self.random.randint(0, 3_000) if self.random.random() < self.late else 0
            self.frames += 1
            at_ms = int(self.free_ms[side]) + self.half_trip_ms + late_ms
            heapq.heappush(self.way, (at_ms, self.frames, side, frame))

    @property
    def broken(self) -> list[int]:
        """Which ends gave up."""
        return [side for side, end in enumerate(self.ends) if end.is_broken]

    def run(self, writes: tuple[bytes, bytes]) -> None:
        """Write all, finish, and go on until both ends are done."""
        left = [bytearray(each) for each in writes]
        until_ms = self.now_ms + 3_600_000
        while self.now_ms < until_ms:
            for side, end in enumerate(self.ends):
                taken = end.write(bytes(left[side][:5_000]))
                del left[side][:taken]
                if not left[side]:
                    end.finish()
            if not self.step() and not any(left):
                return
            if any(end.is_broken for end in self.ends):
                return


def pattern(count: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(count)


@given(
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.02, 0.1, 0.3]),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from([0.0, 0.2]),
    st.integers(0, 9_000),
    st.integers(0, 3_000),
)
def test_everything_arrives_once_and_in_order(
    seed: int, loss: float, double: float, late: float, forth: int, back: int
) -> None:
    line = Line(seed, loss, double, late)
    writes = pattern(forth, seed), pattern(back, seed + 1)
    line.run(writes)
    assert not any(end.is_broken for end in line.ends)
    assert (bytes(line.read[1]), bytes(line.read[0])) == writes
    assert all(end.is_done for end in line.ends)
    assert all(end.is_readable for end in line.ends), "the end of the stream is told"


def test_a_clear_line_is_used_well_and_nothing_is_sent_twice() -> None:
    line = Line()
    line.run((pattern(20_000, 1), b""))
    assert line.ends[0].sent_again == 0
    ideal_ms = 20_000 / PIECE_BYTES_MAX * (PIECE_BYTES_MAX + 16) * BYTE_MS
    assert line.now_ms < 1.25 * ideal_ms + 3_000
    print(f"20 kB at 9.6 kbit/s, 1 s round trip: {line.now_ms / 1000:.1f} s")


def test_two_per_cent_of_loss_cost_little() -> None:
    line = Line(seed=3, loss=0.02)
    line.run((pattern(20_000, 1), b""))
    assert bytes(line.read[1]) == pattern(20_000, 1)
    assert line.ends[0].sent_again <= 12
    print(
        f"20 kB with 2 % loss: {line.now_ms / 1000:.1f} s, "
        f"{line.ends[0].sent_again} pieces of {-(-20_000 // PIECE_BYTES_MAX)} again"
    )


def test_numbers_wrap_around() -> None:
    line = Line(loss=0.02, half_trip_ms=5)
    for end in line.ends:
        end._next = end._wanted = 2**16 - 20
    line.run((pattern(12_000, 1), pattern(9_000, 2)))
    assert bytes(line.read[1]) == pattern(12_000, 1)
    assert bytes(line.read[0]) == pattern(9_000, 2)


def test_a_reader_that_is_busy_stops_the_writer_and_loses_nothing() -> None:
    line = Line(half_trip_ms=50)
    line.is_reading[1] = False
    first, rest = pattern(4_000, 1), pattern(12_000, 2)
    line.ends[0].write(first)
    sent = first
    for _ in range(4_000):
        sent += rest[len(sent) - 4_000 :][: line.ends[0].write(rest[len(sent) - 4_000 :])]
        line.step()
    assert line.now_ms > SILENCE_MS_MAX, "this took long, and the link stands"
    assert not any(end.is_broken for end in line.ends)
    assert len(line.ends[1]._unread) <= WINDOW_FRAMES * PIECE_BYTES_MAX
    line.is_reading[1] = True
    line.run((rest[len(sent) - 4_000 :], b""))
    assert bytes(line.read[1]) == first + rest


def test_a_line_that_is_cut_ends_the_link_and_an_idle_one_does_not() -> None:
    line = Line()
    while line.step():
        pass
    line.now_ms += 10 * SILENCE_MS_MAX
    assert line.ends[0].next_frame(line.now_ms) is None
    assert not line.broken
    line.is_cut = True
    line.ends[0].write(b"is anybody there")
    started_ms = line.now_ms
    while line.step() and not line.broken:
        pass
    assert line.broken == [0]
    assert SILENCE_MS_MAX <= line.now_ms - started_ms < SILENCE_MS_MAX + RETRY_MS_MAX
    assert line.ends[0].next_frame(line.now_ms) is None


def test_room_is_bounded() -> None:
    end = Arq(1, 0)
    assert end.write(bytes(10_000)) == LINE_BUFFER_BYTES
    assert end.room_bytes == 0
    for _ in range(WINDOW_FRAMES):
        assert end.next_frame(0) is not None
    assert end.next_frame(0) is None, "no more in flight than the window"
    end.finish()
    assert end.write(b"more") == 0


@given(st.lists(st.binary(max_size=30), max_size=30), st.integers(0, 2**32))
def test_frames_of_a_peer_without_wits_do_no_harm(noise: list[bytes], seed: int) -> None:
    end, dice = Arq(1, 0), random.Random(seed)
    end.write(bytes(3_000))
    for now_ms, data in enumerate(noise):
        kind = dice.choice([FrameKind.DATA, FrameKind.END])
        number, wanted, got = (dice.randrange(2**16) for _ in range(3))
        end.receive(Piece(kind, 1, number, wanted, got, dice.randint(0, 16), data), now_ms)
        end.next_frame(now_ms)
        assert len(end._flights) <= WINDOW_FRAMES
        assert len(end._early) <= WINDOW_FRAMES


@pytest.mark.parametrize("trip_ms", [1, 1_000, 100_000])
def test_patience_learns_within_its_bounds(trip_ms: int) -> None:
    patience = Patience()
    for _ in range(50):
        patience.measured(trip_ms)
    assert RETRY_MS_MIN <= patience.retry_ms <= RETRY_MS_MAX
    learnt_ms = patience.retry_ms
    patience.missed()
    assert patience.retry_ms == min(2 * learnt_ms, RETRY_MS_MAX)
