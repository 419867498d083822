"""Frames of a narrow link: who is there, calls, and numbered pieces of a stream.

Source: wire-format 11.2-11.4. Every frame ends with a check sum against a noisy line; it proves
nothing about who sent it, which is the business of TLS above.
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from protocol.errors import MalformedError
from protocol.knock import KNOCK_BYTES
from protocol.narrow.bounds import NARROW_FRAME_BYTES_MAX, WINDOW_FRAMES

__all__ = [
    "PIECE_BYTES_MAX",
    "Beacon",
    "Call",
    "Frame",
    "FrameKind",
    "Piece",
    "decode_frame_untrusted",
    "encode_frame",
]


class FrameKind(IntEnum):
    """What a frame is; the upper half is the version of this format. Source: wire-format 11.2."""

    BEACON = 0x11
    """A station is there."""
    CALL = 0x12
    """A station wants a link to another one."""
    ANSWER = 0x13
    """The other one takes it."""
    DATA = 0x14
    """A piece of the stream; an empty one acknowledges alone and has no number."""
    END = 0x15
    """The stream is over; numbered as a piece is."""
    RESET = 0x16
    """Nobody reads this link any more."""


class Beacon(NamedTuple):
    """A station tells that it is there."""

    station: int
    """1-65535, drawn at every start."""


class Call(NamedTuple):
    """A station calls another one, or is answered."""

    link: int
    """Name of the new link, 32 bits, drawn by the caller."""
    station: int
    """Who is called; in an answer, who answers."""
    caller: int
    """Who calls."""
    knock: bytes
    """32 bytes of clause 6.12, or nothing."""
    is_answer: bool
    """True for an answer, which has no knock."""


class Piece(NamedTuple):
    """A frame of an open link."""

    kind: FrameKind
    """DATA, END or RESET."""
    link: int
    """Name of the link."""
    number: int
    """Number of this piece, modulo 65,536; without meaning where it has no data."""
    wanted: int
    """Number of the first piece that its sender has not got, modulo 65,536."""
    got: int
    """Bit n: piece `wanted` + 1 + n has come."""
    room: int
    """Pieces from `wanted` on for which its sender has room, 0-16."""
    data: bytes
    """The piece; empty in END, RESET and where it only acknowledges."""


Frame: TypeAlias = Beacon | Call | Piece

_CHECK: Final = struct.Struct(">I")
_BEACON: Final = struct.Struct(">BH")
_CALL: Final = struct.Struct(">BIHH")
_PIECE: Final = struct.Struct(">BIHHHB")
PIECE_BYTES_MAX: Final = NARROW_FRAME_BYTES_MAX - _PIECE.size - _CHECK.size
"""Bytes of the stream in one frame."""
_PIECES: Final = (FrameKind.DATA, FrameKind.END, FrameKind.RESET)


def encode_frame(frame: Frame) -> bytes:
    """Return the frame with its check sum, at most 256 bytes."""
    match frame:
        case Beacon():
            raw = _BEACON.pack(FrameKind.BEACON, frame.station)
        case Call():
            kind = FrameKind.ANSWER if frame.is_answer else FrameKind.CALL
            raw = _CALL.pack(kind, frame.link, frame.station, frame.caller) + frame.knock
        case Piece():
            raw = _PIECE.pack(*frame[:6]) + frame.data
    assert len(raw) + _CHECK.size <= NARROW_FRAME_BYTES_MAX, "pieces are cut to fit"
    return raw + _CHECK.pack(zlib.crc32(raw))


def decode_frame_untrusted(raw: bytes) -> Frame:
    """Read a frame. Raises: MalformedError."""
    body, check = raw[: -_CHECK.size], raw[-_CHECK.size :]
    if not body or len(raw) > NARROW_FRAME_BYTES_MAX or check != _CHECK.pack(zlib.crc32(body)):
        raise MalformedError("the frame was damaged on the line")
    kind = body[0]
    if kind == FrameKind.BEACON and len(body) == _BEACON.size:
        return Beacon(_station(_BEACON.unpack(body)[1]))
    if kind in (FrameKind.CALL, FrameKind.ANSWER):
        return _call(body, is_answer=kind == FrameKind.ANSWER)
    if kind in _PIECES and len(body) >= _PIECE.size:
        return _piece(body)
    raise MalformedError("the frame is of no known kind or length")


def _station(number: int) -> int:
    if number == 0:
        raise MalformedError("no station has the number 0")
    return number


def _call(body: bytes, *, is_answer: bool) -> Call:
    knock_bytes = len(body) - _CALL.size
    if knock_bytes not in ((0,) if is_answer else (0, KNOCK_BYTES)):
        raise MalformedError("the call has a wrong length")
    _kind, link, station, caller = _CALL.unpack(body[: _CALL.size])
    return Call(link, _station(station), _station(caller), body[_CALL.size :], is_answer)


def _piece(body: bytes) -> Piece:
    kind, link, number, wanted, got, room = _PIECE.unpack(body[: _PIECE.size])
    data = body[_PIECE.size :]
    if room > WINDOW_FRAMES or (data and kind != FrameKind.DATA):
        raise MalformedError("the frame says impossible things")
    return Piece(FrameKind(kind), link, number, wanted, got, room, data)
