"""Any cut of a stream gives the same frames; what is no frame is refused at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CloseCode, LimitExceededError, RemoteProtocolError
from protocol.limits import FRAME_BYTES_MAX
from protocol.session.frames import FrameReader, FrameType, encode_frame

Frames = list[tuple[FrameType, bytes]]


def read_all(reader: FrameReader) -> Frames:
    found = []
    while (frame := reader.next_untrusted()) is not None:
        found.append(frame)
    return found


@given(
    st.lists(st.tuples(st.sampled_from(FrameType), st.binary(max_size=300)), max_size=8),
    st.lists(st.integers(0, 3_000), max_size=12),
)
def test_any_cut_of_a_stream_gives_the_same_frames(frames: Frames, cuts: list[int]) -> None:
    stream = b"".join(encode_frame(*frame) for frame in frames)
    reader, found, start = FrameReader(), [], 0
    for end in [*sorted(cuts), len(stream)]:
        reader.feed(stream[start:end])
        start = max(start, end)
        found += read_all(reader)
    assert found == frames
    assert reader.buffered_bytes == 0


def test_single_bytes_make_a_frame_of_the_largest_size() -> None:
    payload = bytes(range(256)) * 256
    stream = encode_frame(FrameType.BUNDLE, payload[:FRAME_BYTES_MAX])
    reader = FrameReader()
    for byte in stream[:-1]:
        reader.feed(bytes([byte]))
        assert reader.next_untrusted() is None
    assert reader.buffered_bytes == len(stream) - 1
    reader.feed(stream[-1:])
    assert reader.next_untrusted() == (FrameType.BUNDLE, payload[:FRAME_BYTES_MAX])


def test_a_payload_above_the_limit_is_not_sent() -> None:
    encode_frame(FrameType.LIST, bytes(FRAME_BYTES_MAX))
    with pytest.raises(LimitExceededError) as caught:
        encode_frame(FrameType.LIST, bytes(FRAME_BYTES_MAX + 1))
    assert caught.value.actual == FRAME_BYTES_MAX + 1


@pytest.mark.parametrize("byte", sorted(set(range(256)) - set(FrameType)))
def test_an_unknown_type_is_refused_with_its_head(byte: int) -> None:
    reader = FrameReader()
    reader.feed(bytes([byte]))
    assert reader.next_untrusted() is None
    reader.feed(b"\xff\xff")
    with pytest.raises(RemoteProtocolError) as caught:
        reader.next_untrusted()
    assert caught.value.close_code is CloseCode.UNEXPECTED_FRAME


def test_what_was_forgotten_does_not_come_back() -> None:
    reader = FrameReader()
    reader.feed(encode_frame(FrameType.PING, bytes(8)) + b"\x22\x01")
    assert reader.next_untrusted() == (FrameType.PING, bytes(8))
    reader.clear()
    assert reader.buffered_bytes == 0
    reader.feed(encode_frame(FrameType.PONG, b"x"))
    assert read_all(reader) == [(FrameType.PONG, b"x")]
