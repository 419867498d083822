"""Sealed bundle files for a USB stick: header with one slot per recipient, sealed chunks, frames.

Bytes in, bytes out: where the file lies and who takes what is in it are the shell's business.
The reader holds one chunk and what it was fed; a file proves itself only when `finish_untrusted`
has returned, so nothing may be acted upon before. Source: wire-format 9, security 2.11.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from protocol import canonical
from protocol.envelope import PrekeyRecord, PrekeySecret, Sealer
from protocol.errors import (
    LimitExceededError,
    LocalProtocolError,
    MalformedError,
    NoKeyError,
    RemoteProtocolError,
    TamperedError,
)
from protocol.limits import (
    BUNDLE_BYTES_MAX,
    DOCUMENT_BYTES_MAX,
    HOPS_MAX,
    SESSION_DOCUMENT_BYTES_MAX,
    SESSION_DOCUMENTS_MAX,
    STICK_BYTES_MAX,
    STICK_CHUNK_BYTES,
    STICK_HEADER_BYTES_MAX,
    STICK_SLOTS_MAX,
)
from protocol.session.frames import FrameReader, FrameType, encode_frame

__all__ = [
    "MAGIC",
    "PREAMBLE_BYTES",
    "CarriedBundle",
    "CarriedDocument",
    "ContentReader",
    "StickHeader",
    "StickReader",
    "StickSlot",
    "StickWriter",
    "decode_header_untrusted",
    "encode_bundle",
    "encode_document",
    "header_bytes_untrusted",
    "open_file_key",
]

MAGIC = b"MESHSTK1"
"""The first eight bytes of every sealed file."""
PREAMBLE_BYTES = len(MAGIC) + 4
"""Magic and length of the header."""

_KEY_BYTES = 32
_TAG_BYTES = 16
_SEALED_CHUNK_BYTES = STICK_CHUNK_BYTES + _TAG_BYTES
_SEALED_KEY_BYTES_MAX = 2_048


@dataclass(frozen=True, slots=True)
class StickSlot:
    """The file key for one recipient."""

    prekey_id: bytes
    """8 bytes; which prekey opens it."""
    sealed: bytes
    """Hybrid ciphertext of the file key."""


@dataclass(frozen=True, slots=True)
class StickHeader:
    """Who can open a sealed file. Source: wire-format 9.1."""

    nonce_seed: bytes
    """16 bytes, fresh for every file."""
    slots: tuple[StickSlot, ...]
    """1-256, ascending by prekey id."""
    raw: bytes
    """The canonical record as it stands in the file."""


@dataclass(frozen=True, slots=True)
class CarriedDocument:
    """An authority document out of a sealed file; it proves itself."""

    raw: bytes
    """As signed."""


@dataclass(frozen=True, slots=True)
class CarriedBundle:
    """A bundle out of a sealed file; it proves itself."""

    hops: int
    """Hand-overs that the copy in the file has behind it, 0-32."""
    raw: bytes
    """The container."""


# --- header ------------------------------------------------------------------------------------


def header_bytes_untrusted(preamble: bytes) -> int:
    """Return the length of the header that follows these first twelve bytes of a file.

    Raises: MalformedError if it is no sealed file, LimitExceededError.
    """
    if len(preamble) != PREAMBLE_BYTES or not preamble.startswith(MAGIC):
        raise MalformedError("this is not a sealed bundle file")
    length = int.from_bytes(preamble[len(MAGIC) :], "big")
    if length > STICK_HEADER_BYTES_MAX:
        raise LimitExceededError("header bytes", STICK_HEADER_BYTES_MAX, length)
    return length


def decode_header_untrusted(raw: bytes) -> StickHeader:
    """Read the header of a sealed file. Raises: MalformedError, LimitExceededError."""
    value = canonical.decode_untrusted(raw, max_bytes=STICK_HEADER_BYTES_MAX)
    version, seed, items = canonical.as_array(value, "header", 3)
    canonical.as_uint(version, "version of the file", 1, 1)
    slots = tuple(
        _slot_untrusted(item) for item in canonical.as_array(items, "slots", STICK_SLOTS_MAX, 1)
    )
    _check_ascending([slot.prekey_id for slot in slots])
    return StickHeader(canonical.as_bytes(seed, "nonce seed", 16), slots, raw)


def _slot_untrusted(value: canonical.Value) -> StickSlot:
    prekey_id, sealed = canonical.as_array(value, "slot", 2)
    return StickSlot(
        canonical.as_bytes(prekey_id, "prekey id", 8),
        canonical.as_bytes(sealed, "sealed key", _SEALED_KEY_BYTES_MAX, 1),
    )


def _check_ascending(prekey_ids: Sequence[bytes]) -> None:
    """Demand one order, so that a header does not tell in which order people were named."""
    if any(first >= second for first, second in pairwise(prekey_ids)):
        raise MalformedError("the slots are not in ascending order")


def open_file_key(header: StickHeader, secret: PrekeySecret, sealer: Sealer) -> bytes:
    """Return the file key in the slot for `secret`, 32 bytes.

    Raises: NoKeyError if there is no such slot, TamperedError.
    """
    for slot in header.slots:
        if slot.prekey_id == secret.prekey_id:
            key = sealer.open_hybrid(secret, _info(header.nonce_seed), slot.sealed)
            if len(key) != _KEY_BYTES:
                raise TamperedError("the sealed file has a key that is none")
            return key
    raise NoKeyError("this file is not sealed to this device")


def _info(nonce_seed: bytes) -> bytes:
    return b"meshnode stick 1\0" + nonce_seed


# --- chunks ------------------------------------------------------------------------------------


class _Chunks:
    """What writer and reader share: the cipher, the number of the chunk, the header's hash."""

    def __init__(self, key: bytes, header: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)
        self._header_hash = hashlib.sha256(header).digest()
        self._number = 0

    def seal(self, plaintext: bytes, *, is_last: bool) -> bytes:
        """Return the next chunk."""
        return self._cipher.encrypt(self._nonce(is_last), plaintext, self._header_hash)

    def open(self, sealed: bytes, *, is_last: bool) -> bytes:
        """Return the plaintext of the next chunk. Raises: TamperedError, MalformedError."""
        is_first = self._number == 0
        try:
            plaintext = self._cipher.decrypt(self._nonce(is_last), sealed, self._header_hash)
        except InvalidTag as error:
            raise TamperedError("this file was cut short, or changed") from error
        if not plaintext and not is_first:
            raise MalformedError("the last chunk of the file is empty")
        return plaintext

    def _nonce(self, is_last: bool) -> bytes:
        nonce = self._number.to_bytes(11, "big") + bytes([is_last])
        self._number += 1
        return nonce


class StickWriter:
    """Seals content for some devices; holds at most one chunk of it."""

    def __init__(
        self,
        recipients: Sequence[PrekeyRecord],
        sealer: Sealer,
        entropy: Callable[[int], bytes],
        *,
        bytes_max: int = STICK_BYTES_MAX,
    ) -> None:
        """Seal a fresh file key to each recipient. Cost: about 0.15 ms each.

        Raises: LimitExceededError for more than 256 recipients, WeakKeyError for a key that
        cannot be sealed to.
        """
        if not recipients:
            raise LocalProtocolError("a file is sealed to at least one device")
        by_id = {record.prekey_id: record for record in recipients}
        if len(by_id) > STICK_SLOTS_MAX:
            raise LimitExceededError("recipients of a file", STICK_SLOTS_MAX, len(by_id))
        key, seed = entropy(_KEY_BYTES), entropy(16)
        slots = [
            (prekey_id, sealer.seal_hybrid(by_id[prekey_id].public, _info(seed), key))
            for prekey_id in sorted(by_id)
        ]
        header = canonical.encode((1, seed, slots))
        self.preamble = MAGIC + len(header).to_bytes(4, "big") + header
        """Magic, length and header: the first bytes of the file."""
        self._chunks = _Chunks(key, header)
        self._buffer = bytearray()
        self._content_bytes = 0
        self._bytes_max = bytes_max
        self._is_finished = False

    def has_room(self, content_bytes: int) -> bool:
        """True if so many more bytes of content leave the file within its bound."""
        return self._size_with(content_bytes) <= self._bytes_max

    def feed(self, content: bytes) -> list[bytes]:
        """Take content; return the chunks that are ready for the file.

        Raises: LimitExceededError if the file would be too large; then nothing was taken.
        """
        if self._is_finished:
            raise LocalProtocolError("this file is finished")
        size_bytes = self._size_with(len(content))
        _check_limit("file bytes", self._bytes_max, size_bytes)
        self._content_bytes += len(content)
        self._buffer += content
        return [self._chunks.seal(piece, is_last=False) for piece in _cut_whole(self._buffer)]

    def finish(self) -> bytes:
        """Return the last chunk. Without it the file imports nothing."""
        if self._is_finished:
            raise LocalProtocolError("this file is finished")
        self._is_finished = True
        return self._chunks.seal(bytes(self._buffer), is_last=True)

    def _size_with(self, content_bytes: int) -> int:
        total = self._content_bytes + content_bytes
        chunks = max(1, -(-total // STICK_CHUNK_BYTES))
        return len(self.preamble) + total + chunks * _TAG_BYTES


def _cut_whole(buffer: bytearray, size: int = STICK_CHUNK_BYTES) -> list[bytes]:
    """Take whole pieces from the front, but leave at least a byte: it may be in the last one."""
    count = max(0, len(buffer) - 1) // size
    pieces = [bytes(buffer[place * size : (place + 1) * size]) for place in range(count)]
    del buffer[: count * size]
    return pieces


class StickReader:
    """Opens the chunks that follow the header; holds one chunk and what it was fed."""

    def __init__(
        self, header: StickHeader, key: bytes, *, bytes_max: int = STICK_BYTES_MAX
    ) -> None:
        self._chunks = _Chunks(key, header.raw)
        self._buffer = bytearray()
        self._file_bytes = PREAMBLE_BYTES + len(header.raw)
        self._bytes_max = bytes_max
        self._is_over = False

    def feed_untrusted(self, data: bytes) -> list[bytes]:
        """Take bytes of the file; return the plaintext of the chunks that are complete.

        Raises: TamperedError, MalformedError, LimitExceededError; the reader is of no use then.
        """
        if self._is_over:
            raise LocalProtocolError("this file is finished, or was refused")
        self._file_bytes += len(data)
        self._is_over = True
        _check_limit("file bytes", self._bytes_max, self._file_bytes)
        self._buffer += data
        opened = [
            self._chunks.open(piece, is_last=False)
            for piece in _cut_whole(self._buffer, _SEALED_CHUNK_BYTES)
        ]
        self._is_over = False
        return opened

    def finish_untrusted(self) -> bytes:
        """Return the plaintext of the last chunk; the file is whole if this returns.

        Raises: TamperedError, MalformedError.
        """
        if self._is_over:
            raise LocalProtocolError("this file is finished, or was refused")
        self._is_over = True
        return self._chunks.open(bytes(self._buffer), is_last=True)


# --- content -----------------------------------------------------------------------------------


def encode_document(raw: bytes) -> bytes:
    """Return the frame that carries an authority document."""
    return encode_frame(FrameType.DOCUMENT, raw)


def encode_bundle(hops: int, raw: bytes) -> bytes:
    """Return the frame that carries a bundle; `hops` as the store counts them."""
    return encode_frame(FrameType.BUNDLE, bytes([min(hops, HOPS_MAX)]) + raw)


class ContentReader:
    """Cuts plaintext into documents and bundles; holds at most one frame beside what it was fed."""

    def __init__(self) -> None:
        self._frames = FrameReader()
        self._documents = 0
        self._document_bytes = 0
        self._has_bundles = False

    def feed_untrusted(self, plaintext: bytes) -> list[CarriedDocument | CarriedBundle]:
        """Take the next plaintext; return what is complete, in order.

        Raises: MalformedError, LimitExceededError.
        """
        self._frames.feed(plaintext)
        items: list[CarriedDocument | CarriedBundle] = []
        while (frame := self._next_untrusted()) is not None:
            items.append(self._item_untrusted(*frame))
        return items

    def _next_untrusted(self) -> tuple[FrameType, bytes] | None:
        try:
            return self._frames.next_untrusted()
        except RemoteProtocolError as error:
            # A session has a close code for a frame it does not know; a file is just no file.
            raise MalformedError("the file has a frame of an unknown type") from error

    def finish_untrusted(self) -> None:
        """Check that nothing is left over. Raises: MalformedError."""
        if self._frames.buffered_bytes:
            raise MalformedError("the file ends within a frame")

    def _item_untrusted(
        self, frame_type: FrameType, payload: bytes
    ) -> CarriedDocument | CarriedBundle:
        if frame_type is FrameType.BUNDLE:
            self._has_bundles = True
            return _bundle_untrusted(payload)
        if frame_type is not FrameType.DOCUMENT or self._has_bundles:
            raise MalformedError("a sealed file has documents, then bundles, and nothing else")
        self._documents += 1
        self._document_bytes += len(payload)
        _check_limit("document bytes", DOCUMENT_BYTES_MAX, len(payload))
        _check_limit("documents", SESSION_DOCUMENTS_MAX, self._documents)
        _check_limit("bytes of all documents", SESSION_DOCUMENT_BYTES_MAX, self._document_bytes)
        return CarriedDocument(payload)


def _bundle_untrusted(payload: bytes) -> CarriedBundle:
    if len(payload) < 2:
        raise MalformedError("a bundle frame has a hop count and a bundle")
    _check_limit("hops", HOPS_MAX, payload[0])
    _check_limit("bundle bytes", BUNDLE_BYTES_MAX, len(payload) - 1)
    return CarriedBundle(payload[0], payload[1:])


def _check_limit(name: str, limit: int, actual: int) -> None:
    if actual > limit:
        raise LimitExceededError(name, limit, actual)
