"""Sealed files: exact bytes against the wire page, every kind of damage, bounds, any bytes."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from protocol import canonical
from protocol.envelope import PrekeyRecord, PrekeySecret
from protocol.errors import (
    LimitExceededError,
    LocalProtocolError,
    MalformedError,
    NoKeyError,
    TamperedError,
    WeakKeyError,
)
from protocol.limits import (
    BUNDLE_BYTES_MAX,
    DOCUMENT_BYTES_MAX,
    HOPS_MAX,
    SESSION_DOCUMENT_BYTES_MAX,
    SESSION_DOCUMENTS_MAX,
    STICK_CHUNK_BYTES,
    STICK_HEADER_BYTES_MAX,
    STICK_SLOTS_MAX,
)
from protocol.session.frames import FrameType, encode_frame
from protocol.stick import (
    PREAMBLE_BYTES,
    CarriedBundle,
    CarriedDocument,
    ContentReader,
    StickReader,
    StickWriter,
    decode_header_untrusted,
    encode_bundle,
    encode_document,
    header_bytes_untrusted,
    open_file_key,
)
from tests.protocol.sticks import (
    NOW_MS,
    REFUSED,
    SEALED_CHUNK,
    SEALER,
    cut,
    entropy,
    prekey,
    read,
    read_header,
    some_bytes,
    write,
)

# --- the way through -----------------------------------------------------------------------------


@pytest.mark.slow
@given(
    chunks=st.integers(0, 3),
    extra=st.sampled_from([-1, 0, 1]) | st.integers(0, STICK_CHUNK_BYTES),
    fed=st.integers(1, 200_000),
    piece_bytes=st.integers(1_000, 200_000),
)
def test_any_content_comes_back(chunks: int, extra: int, fed: int, piece_bytes: int) -> None:
    content = some_bytes(max(0, chunks * STICK_CHUNK_BYTES + extra))
    pieces = [content[start : start + fed] for start in range(0, len(content), fed)]
    assert read(write(pieces), piece_bytes=piece_bytes) == content


@pytest.mark.parametrize("length", [0, 1, STICK_CHUNK_BYTES, STICK_CHUNK_BYTES + 1])
def test_the_bytes_are_those_of_the_wire_page(length: int) -> None:
    """A reader written from clauses 9.1 and 9.2 alone, with nothing of the module."""
    content = some_bytes(length)
    file = write([content], recipients=(2, 1))
    header_bytes = int.from_bytes(file[8:12], "big")
    header = file[12 : 12 + header_bytes]
    version, seed, slots = canonical.as_array(
        canonical.decode_untrusted(header, max_bytes=10_000), "header", 3
    )
    assert (file[:8], version) == (b"MESHSTK1", 1)
    assert isinstance(seed, bytes)
    pairs = [canonical.as_array(slot, "slot", 2) for slot in canonical.as_array(slots, "slots", 2)]
    assert [prekey_id for prekey_id, _ in pairs] == sorted(prekey(n)[1].prekey_id for n in (1, 2))
    for number in (1, 2):
        secret = prekey(number)[0]
        sealed = next(sealed for prekey_id, sealed in pairs if prekey_id == secret.prekey_id)
        assert isinstance(sealed, bytes)
        key = SEALER.open_hybrid(secret, b"meshnode stick 1\0" + seed, sealed)
        plain, rest, place = b"", file[12 + header_bytes :], 0
        while place == 0 or rest:
            chunk, rest = rest[:SEALED_CHUNK], rest[SEALED_CHUNK:]
            nonce = place.to_bytes(11, "big") + (b"\0" if rest else b"\1")
            plain += ChaCha20Poly1305(key).decrypt(nonce, chunk, hashlib.sha256(header).digest())
            place += 1
        assert plain == content


def test_key_and_seed_are_fresh_and_from_the_entropy_given() -> None:
    def preamble(seed: int) -> bytes:
        return StickWriter([prekey(1)[1]], SEALER, entropy(seed)).preamble

    assert read_header(preamble(1)).nonce_seed != read_header(preamble(2)).nonce_seed
    assert read_header(preamble(1)).nonce_seed == read_header(preamble(1)).nonce_seed
    header = read_header(preamble(1))
    assert open_file_key(header, prekey(1)[0], SEALER) == entropy(1)(32)


def test_a_file_shows_nothing_of_its_content() -> None:
    content = b"squad Queyras, four messages from Marie " * 4_000
    first, second = write([content]), write([content], recipients=(1, 2))
    for file in (first, second):
        assert not any(word in file for word in (b"squad", b"Queyras", b"Marie", b"messages"))
    # The text repeats; its ciphertext never does.
    windows = [first[place : place + 40] for place in range(0, len(first) - 40, 40)]
    assert len(set(windows)) == len(windows)


def test_one_device_named_twice_gets_one_slot() -> None:
    file = write([b"x"], recipients=(1, 1))
    assert len(read_header(file).slots) == 1
    assert read(file) == b"x"


# --- damage --------------------------------------------------------------------------------------

SMALL = write([some_bytes(100)], recipients=(1, 2))


@given(place=st.integers(0, len(SMALL) - 1), change=st.integers(1, 255))
def test_any_changed_byte_is_refused(place: int, change: int) -> None:
    changed = bytearray(SMALL)
    changed[place] ^= change
    with pytest.raises(REFUSED):
        read(bytes(changed))


@given(start=st.integers(0, len(SMALL)), length=st.integers(1, 200), fresh=st.binary(max_size=50))
def test_any_cut_or_insertion_is_refused(start: int, length: int, fresh: bytes) -> None:
    changed = SMALL[:start] + fresh + SMALL[start + length :]
    if changed != SMALL:
        with pytest.raises(REFUSED):
            read(changed)


def damaged_files() -> dict[str, bytes]:
    """Damage at the borders of chunks, which no tag of a single chunk shows."""
    start, (one, two, three) = cut(write([some_bytes(2 * STICK_CHUNK_BYTES + 500)]))
    other_start, other = cut(write([some_bytes(2 * STICK_CHUNK_BYTES + 500)], recipients=(1, 2)))
    return {
        "last chunk cut": start + one + two,
        "only the header": start,
        "cut within the last chunk": start + one + two + three[:-1],
        "last chunk of a tag alone": start + one + two + three[:16],
        "swapped": start + two + one + three,
        "doubled": start + one + one + two + three,
        "last doubled": start + one + two + three + three,
        "first missing": start + two + three,
        "one byte after": start + one + two + three + b"\0",
        "a chunk of zeros after": start + one + two + three + bytes(SEALED_CHUNK),
        "a whole file after": (start + one + two + three) * 2,
        "chunk of another file": start + one + other[1] + three,
        "header of another file": other_start + one + two + three,
    }


@pytest.mark.parametrize("damage", sorted(damaged_files()))
def test_damage_at_the_border_of_chunks_is_refused(damage: str) -> None:
    with pytest.raises((TamperedError, MalformedError)):
        read(damaged_files()[damage])


def test_an_empty_last_chunk_is_refused_though_it_was_sealed_so() -> None:
    start, (only,) = cut(write([some_bytes(STICK_CHUNK_BYTES)]))
    key = open_file_key(read_header(start), prekey(1)[0], SEALER)
    header_hash = hashlib.sha256(start[PREAMBLE_BYTES:]).digest()
    plain = ChaCha20Poly1305(key).decrypt(bytes(11) + b"\1", only, header_hash)
    first = ChaCha20Poly1305(key).encrypt(bytes(12), plain, header_hash)
    last = ChaCha20Poly1305(key).encrypt((1).to_bytes(11, "big") + b"\1", b"", header_hash)
    with pytest.raises(MalformedError):
        read(start + first + last)


def test_a_file_for_others_does_not_open() -> None:
    header = read_header(SMALL)
    with pytest.raises(NoKeyError):
        open_file_key(header, prekey(3)[0], SEALER)
    thief = PrekeySecret(prekey(1)[0].prekey_id, NOW_MS, prekey(3)[0].private)
    with pytest.raises(TamperedError):
        open_file_key(header, thief, SEALER)


def test_a_slot_moved_into_another_header_does_not_open() -> None:
    header = read_header(SMALL)
    pairs = [(slot.prekey_id, slot.sealed) for slot in header.slots]
    moved = decode_header_untrusted(canonical.encode((1, bytes(16), pairs)))
    with pytest.raises(TamperedError):
        open_file_key(moved, prekey(1)[0], SEALER)


def test_a_key_of_the_wrong_length_is_refused() -> None:
    info = b"meshnode stick 1\0" + bytes(16)
    sealed = SEALER.seal_hybrid(prekey(1)[1].public, info, bytes(31))
    raw = canonical.encode((1, bytes(16), [(prekey(1)[1].prekey_id, sealed)]))
    with pytest.raises(TamperedError):
        open_file_key(decode_header_untrusted(raw), prekey(1)[0], SEALER)


# --- bounds and any bytes ------------------------------------------------------------------------


def test_the_length_of_the_header_is_bounded_before_it_is_read() -> None:
    assert header_bytes_untrusted(b"MESHSTK1" + STICK_HEADER_BYTES_MAX.to_bytes(4, "big")) == (
        STICK_HEADER_BYTES_MAX
    )
    for length in (STICK_HEADER_BYTES_MAX + 1, 2**32 - 1):
        with pytest.raises(LimitExceededError):
            header_bytes_untrusted(b"MESHSTK1" + length.to_bytes(4, "big"))


@given(st.binary(max_size=20) | st.binary(max_size=8).map(lambda tail: b"MESHSTK1" + tail))
def test_any_first_bytes_give_a_length_or_a_named_error(preamble: bytes) -> None:
    try:
        length = header_bytes_untrusted(preamble)
    except (MalformedError, LimitExceededError):
        return
    assert preamble == b"MESHSTK1" + length.to_bytes(4, "big")


RECORDS = st.recursive(
    st.integers(0, 3) | st.sampled_from([bytes(8), bytes(16), b"", b"x" * 2_049]),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=200) | RECORDS.map(canonical.encode))
def test_any_header_is_read_or_refused_by_name(raw: bytes) -> None:
    try:
        header = decode_header_untrusted(raw)
    except (MalformedError, LimitExceededError):
        return
    pairs = [(slot.prekey_id, slot.sealed) for slot in header.slots]
    assert canonical.encode((1, header.nonce_seed, pairs)) == raw


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_any_chunks_are_refused_by_name(pieces: list[bytes]) -> None:
    header = read_header(SMALL)
    reader = StickReader(header, bytes(32))
    with pytest.raises(TamperedError):
        for piece in pieces:
            reader.feed_untrusted(piece)
        reader.finish_untrusted()


def test_slots_up_to_the_limit_and_not_one_more() -> None:
    records = [
        PrekeyRecord(number.to_bytes(8, "big"), NOW_MS, NOW_MS + 1, 1, prekey(1)[1].public)
        for number in range(STICK_SLOTS_MAX + 1)
    ]
    preamble = StickWriter(records[:-1], SEALER, entropy()).preamble
    assert len(read_header(preamble).slots) == STICK_SLOTS_MAX
    with pytest.raises(LimitExceededError):
        StickWriter(records, SEALER, entropy())
    slots = [(record.prekey_id, b"sealed") for record in records]
    with pytest.raises(LimitExceededError):
        decode_header_untrusted(canonical.encode((1, bytes(16), slots)))


def test_slots_out_of_order_or_none_are_refused() -> None:
    one, two = (b"1" * 8, b"x"), (b"2" * 8, b"x")
    assert len(decode_header_untrusted(canonical.encode((1, bytes(16), [one, two]))).slots) == 2
    for slots in ([two, one], [one, one], []):
        with pytest.raises(MalformedError):
            decode_header_untrusted(canonical.encode((1, bytes(16), slots)))
    with pytest.raises(LimitExceededError):
        decode_header_untrusted(canonical.encode((2, bytes(16), [one])))


def test_a_key_that_cannot_be_sealed_to_is_refused() -> None:
    weak = PrekeyRecord(bytes(8), NOW_MS, NOW_MS + 1, 1, b"\xff" * 1_216)
    with pytest.raises(WeakKeyError):
        StickWriter([weak], SEALER, entropy())
    with pytest.raises(LocalProtocolError):
        StickWriter([], SEALER, entropy())


def test_a_file_may_reach_its_bound_and_not_pass_it() -> None:
    content = some_bytes(STICK_CHUNK_BYTES)
    whole = write([content, content])
    recipients = [prekey(1)[1]]
    writer = StickWriter(recipients, SEALER, entropy(), bytes_max=len(whole))
    assert not writer.has_room(2 * STICK_CHUNK_BYTES + 1)
    with pytest.raises(LimitExceededError):
        writer.feed(content + content + b"x")
    chunks = writer.feed(content + content)
    assert len(b"".join([writer.preamble, *chunks, writer.finish()])) == len(whole)

    header = read_header(whole)
    key = open_file_key(header, prekey(1)[0], SEALER)
    start, sealed = cut(whole)
    reader = StickReader(header, key, bytes_max=len(whole))
    for chunk in sealed:
        reader.feed_untrusted(chunk)
    assert reader.finish_untrusted() == content
    short = StickReader(header, key, bytes_max=len(whole) - 1)
    with pytest.raises(LimitExceededError):
        short.feed_untrusted(whole[len(start) :])


def test_writer_and_reader_end_once() -> None:
    writer = StickWriter([prekey(1)[1]], SEALER, entropy())
    writer.finish()
    with pytest.raises(LocalProtocolError):
        writer.feed(b"x")
    with pytest.raises(LocalProtocolError):
        writer.finish()
    header = read_header(SMALL)
    for end in (
        lambda reader: reader.feed_untrusted(bytes(SEALED_CHUNK + 1)),
        StickReader.finish_untrusted,
    ):
        reader = StickReader(header, bytes(32))
        with pytest.raises(TamperedError):
            end(reader)
        with pytest.raises(LocalProtocolError):
            reader.feed_untrusted(b"")
        with pytest.raises(LocalProtocolError):
            reader.finish_untrusted()


def test_zeros_without_end_are_refused_at_the_first_chunk() -> None:
    header = read_header(SMALL)
    reader = StickReader(header, open_file_key(header, prekey(1)[0], SEALER))
    fed = 0
    with pytest.raises(TamperedError):
        for _ in range(1_024):
            fed += 1
            reader.feed_untrusted(bytes(STICK_CHUNK_BYTES))
    assert fed == 2


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file() -> None:
    writer = StickWriter([prekey(1)[1]], SEALER, entropy())
    header = read_header(writer.preamble)
    reader = StickReader(header, open_file_key(header, prekey(1)[0], SEALER))
    content = ContentReader()
    frame = encode_bundle(3, some_bytes(BUNDLE_BYTES_MAX))
    bundles = 0
    tracemalloc.start()
    try:
        for _ in range(640):
            for chunk in writer.feed(frame):
                for plain in reader.feed_untrusted(chunk):
                    bundles += len(content.feed_untrusted(plain))
        for plain in reader.feed_untrusted(writer.finish()):
            bundles += len(content.feed_untrusted(plain))
        bundles += len(content.feed_untrusted(reader.finish_untrusted()))
        content.finish_untrusted()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert bundles == 640
    assert peak < 2_000_000


# --- content -------------------------------------------------------------------------------------

DOCUMENTS = st.lists(st.binary(min_size=1, max_size=60), max_size=6)
BUNDLES = st.lists(
    st.tuples(st.integers(0, HOPS_MAX), st.binary(min_size=1, max_size=60)), max_size=6
)


@given(DOCUMENTS, BUNDLES, st.integers(1, 100))
def test_any_set_of_frames_comes_back(
    documents: list[bytes], bundles: list[tuple[int, bytes]], piece_bytes: int
) -> None:
    frames = [encode_document(raw) for raw in documents]
    frames += [encode_bundle(hops, raw) for hops, raw in bundles]
    content, reader = read(write(frames)), ContentReader()
    items = [
        item
        for start in range(0, len(content), piece_bytes)
        for item in reader.feed_untrusted(content[start : start + piece_bytes])
    ]
    reader.finish_untrusted()
    assert items == [
        *(CarriedDocument(raw) for raw in documents),
        *(CarriedBundle(hops, raw) for hops, raw in bundles),
    ]


@given(st.binary(max_size=300))
def test_any_content_is_read_or_refused_by_name(content: bytes) -> None:
    reader = ContentReader()
    try:
        items = reader.feed_untrusted(content)
        reader.finish_untrusted()
    except (MalformedError, LimitExceededError):
        return
    frames = [
        encode_document(item.raw)
        if isinstance(item, CarriedDocument)
        else encode_bundle(item.hops, item.raw)
        for item in items
    ]
    assert b"".join(frames) == content


def refuse(content: bytes, error: type[Exception]) -> None:
    reader = ContentReader()
    with pytest.raises(error):
        reader.feed_untrusted(content)
        reader.finish_untrusted()


@pytest.mark.parametrize(
    "frame_type", sorted(set(FrameType) - {FrameType.BUNDLE, FrameType.DOCUMENT})
)
def test_no_other_frame_belongs_in_a_file(frame_type: FrameType) -> None:
    refuse(encode_frame(frame_type, b"payload"), MalformedError)


def test_documents_after_bundles_and_half_frames_are_refused() -> None:
    refuse(encode_bundle(0, b"bundle") + encode_document(b"document"), MalformedError)
    refuse(encode_bundle(0, b"bundle")[:-1], MalformedError)
    refuse(encode_bundle(0, b""), MalformedError)
    refuse(encode_frame(FrameType.BUNDLE, b""), MalformedError)


def test_sizes_in_the_content_are_bounded() -> None:
    assert ContentReader().feed_untrusted(encode_document(bytes(DOCUMENT_BYTES_MAX)))
    refuse(encode_document(bytes(DOCUMENT_BYTES_MAX + 1)), LimitExceededError)
    assert ContentReader().feed_untrusted(encode_bundle(0, bytes(BUNDLE_BYTES_MAX)))
    refuse(encode_bundle(0, bytes(BUNDLE_BYTES_MAX + 1)), LimitExceededError)
    refuse(encode_frame(FrameType.BUNDLE, bytes([HOPS_MAX + 1]) + b"bundle"), LimitExceededError)


def test_a_hop_count_above_the_bound_is_written_as_the_bound() -> None:
    assert ContentReader().feed_untrusted(encode_bundle(255, b"raw")) == [
        CarriedBundle(HOPS_MAX, b"raw")
    ]


def test_documents_are_bounded_in_number_and_in_bytes() -> None:
    reader = ContentReader()
    for _ in range(SESSION_DOCUMENTS_MAX):
        reader.feed_untrusted(encode_document(b"x"))
    with pytest.raises(LimitExceededError):
        reader.feed_untrusted(encode_document(b"x"))
    reader = ContentReader()
    frame = encode_document(bytes(50_000))
    for _ in range(SESSION_DOCUMENT_BYTES_MAX // 50_000):
        reader.feed_untrusted(frame)
    with pytest.raises(LimitExceededError):
        reader.feed_untrusted(encode_document(b"x"))
