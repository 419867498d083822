"""How the vectors of sessions are read: by the node, and by the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from protocol import canonical
from protocol.session import messages
from protocol.session.frames import FrameReader, FrameType
from tests.reference import codec
from tests.reference.codec import demand

__all__ = ["frame_payload", "frames", "reference_frame_payload"]

Input = Any
"""JSON: hexadecimal text, or an object of such texts and numbers."""


def frames(item: Input) -> object:
    reader = FrameReader()
    reader.feed(bytes.fromhex(item))
    found = []
    while (frame := reader.next_untrusted()) is not None:
        found.append(frame)
    return found


def _same(raw: bytes) -> Callable[[object], bytes]:
    return lambda _read: raw


def frame_payload(item: Input) -> object:
    """Read one payload, write it again where that is possible, and give its record."""
    raw, frame_type = bytes.fromhex(item["payload"]), FrameType[item["frame"]]
    if frame_type in (FrameType.WANT, FrameType.OFFER):
        read = messages.decode_ids_untrusted(raw)
        assert messages.encode_ids(read) == raw
        return list(read)
    decode, encode = {
        FrameType.HELLO: (messages.decode_hello_untrusted, _same(raw)),
        FrameType.DOCUMENT_DIGESTS: (messages.decode_digests_untrusted, _same(raw)),
        FrameType.DOCUMENT_VERSIONS: (
            messages.decode_versions_untrusted,
            messages.encode_versions,
        ),
        FrameType.SUMMARY: (messages.decode_summary_untrusted, messages.encode_summary),
        FrameType.SYMBOLS: (
            messages.decode_symbols_frame_untrusted,
            messages.encode_symbols_frame,
        ),
        FrameType.MORE: (messages.decode_more_untrusted, messages.encode_more),
        FrameType.LIST: (messages.decode_list_untrusted, messages.encode_list),
        FrameType.EQUAL: (
            messages.decode_equal_untrusted,
            lambda read: messages.encode_equal(*read),
        ),
        FrameType.ROUND_END: (messages.decode_round_untrusted, messages.encode_round),
        FrameType.ACK: (messages.decode_ack_untrusted, messages.encode_ack),
        FrameType.BYE: (messages.decode_bye_untrusted, messages.encode_bye),
    }[frame_type]
    again = encode(decode(raw))  # type: ignore[operator]
    assert again == raw
    return canonical.decode_untrusted(again, max_bytes=65_535)


def reference_frame_payload(item: Input) -> object:
    raw = bytes.fromhex(item["payload"])
    if item["frame"] in ("WANT", "OFFER"):
        demand(len(raw) % 8 == 0, "6.2 ids have 8 bytes")
        return [int.from_bytes(raw[at : at + 8], "big") for at in range(0, len(raw), 8)]
    return codec.read_record(raw)
