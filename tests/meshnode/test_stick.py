"""Export and import of sealed files between real stores; damage, full disks, cancellation."""

from __future__ import annotations

import errno
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshnode.stick import Exported, Imported, StickError
from meshnode.store import bundles as rows
from meshnode.store import documents
from meshnode.store.records import DocumentRecord
from protocol import bundle as bundles
from protocol.errors import (
    MalformedError,
    NoKeyError,
    WeakKeyError,
)
from protocol.ids import NodeId, short_id
from protocol.limits import (
    BATCH_BUNDLES_MAX,
    BATCH_BYTES_MAX,
    DOCUMENT_BYTES_MAX,
    HOPS_MAX,
    SESSION_DOCUMENT_BYTES_MAX,
    STICK_SLOTS_MAX,
    Kind,
    TrafficClass,
)
from protocol.stick import PREAMBLE_BYTES, StickWriter, encode_bundle, encode_document
from tests.meshnode.carrying import (
    AUTHOR,
    NETWORK_KEY,
    NOW_MS,
    READER,
    REFUSED,
    SEALER,
    Device,
    T,
    device,
    file_of,
    make_bundle,
    make_document,
    prekey,
    record_of,
    runtime,
    to_reader,
)
from tests.patience import HANGS_S

# --- the way through -----------------------------------------------------------------------------


async def test_documents_and_bundles_reach_the_other_device(tmp_path: Path) -> None:
    path = tmp_path / "carry.mesh"
    items = [(make_bundle(seq), seq) for seq in range(1, 4)]
    roster = make_document(3)
    exported = await file_of(path, items, [roster])
    assert exported == Exported(3, 1, path.stat().st_size, (READER,), 0)
    async with device() as target:
        assert await target.stick.import_file(path) == Imported(3, 0, 0, 1)
        assert await target.raws() == {bundle.raw for bundle, _ in items}
        assert await target.store.read(documents.all_raw) == [roster]
        held = await target.store.read(
            lambda conn: rows.raw_many(conn, [short_id(NETWORK_KEY, b.digest) for b, _ in items])
        )
        assert sorted(hops for _, hops in held.values()) == [1, 2, 3]
        assert await target.stick.import_file(path) == Imported(0, 3, 0, 1)


KINDS = st.sampled_from([Kind.SOS, Kind.TEXT, Kind.RECEIPT, Kind.POSITION, Kind.CHUNK])


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=max(15, settings.default.max_examples // 4) if settings.default else 15,
)
@given(
    st.lists(st.tuples(KINDS, st.integers(0, 40_000), st.integers(1, 3)), max_size=12),
    st.integers(0, 3),
)
async def test_any_set_of_bundles_comes_through_in_order_of_class(
    tmp_path: Path, made: list[tuple[Kind, int, int]], document_count: int
) -> None:
    path = tmp_path / "carry.mesh"
    items = [
        (make_bundle(seq, kind, bytes(size), zone), 0)
        for seq, (kind, size, zone) in enumerate(made, start=1)
    ]
    raws = [make_document(1, f"squad {number}") for number in range(document_count)]
    exported = await file_of(path, items, raws)
    assert (exported.bundles, exported.documents) == (len(items), document_count)
    async with device() as target:
        imported = await target.stick.import_file(path)
        assert imported == Imported(len(items), 0, 0, document_count)
        assert await target.raws() == {bundle.raw for bundle, _ in items}
        came = [bundles.decode_untrusted(raw) for b in target.receiver.batches for raw in b]
        classes = [bundle.header.traffic_class for bundle in came]
        assert classes == sorted(classes)


async def test_a_device_that_holds_nothing_exports_a_file_that_imports_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "empty.mesh"
    assert (await file_of(path, [])).bundles == 0
    async with device() as target:
        assert await target.stick.import_file(path) == Imported(0, 0, 0, 0)
        assert await target.is_empty()


@pytest.mark.slow
async def test_documents_beyond_what_a_reader_takes_stay_behind(tmp_path: Path) -> None:
    path = tmp_path / "carry.mesh"
    async with device(2) as source:
        for number in range(SESSION_DOCUMENT_BYTES_MAX // DOCUMENT_BYTES_MAX + 2):
            record = DocumentRecord(
                document_class=2,
                scope=number.to_bytes(2, "big"),
                epoch=1,
                version=1,
                digest=bytes(32),
                raw=bytes(DOCUMENT_BYTES_MAX),
                received_ms=NOW_MS,
            )
            await source.store.write(partial(documents.put, document=record))
        exported = await source.stick.export(path, to_reader())
    assert exported.documents == SESSION_DOCUMENT_BYTES_MAX // DOCUMENT_BYTES_MAX
    async with device() as target:
        # These are no documents, so the keeper refuses them; the file itself was taken.
        with pytest.raises(MalformedError, match="canonical"):
            await target.stick.import_file(path)
        assert target.keeper.calls == 1


async def test_what_is_over_or_was_handed_over_too_often_stays_behind(tmp_path: Path) -> None:
    live = make_bundle(1)
    over = make_bundle(2, age_s=3_600)
    tired = make_bundle(3)
    last = make_bundle(4)
    path = tmp_path / "carry.mesh"
    items = [(live, 0), (over, 0), (tired, HOPS_MAX), (last, HOPS_MAX - 1)]
    assert (await file_of(path, items)).bundles == 2
    async with device() as target:
        await target.stick.import_file(path)
        assert await target.raws() == {live.raw, last.raw}


@pytest.mark.slow
async def test_batches_stay_within_their_bounds(tmp_path: Path) -> None:
    path = tmp_path / "carry.mesh"
    items = [(make_bundle(seq), 0) for seq in range(1, 602)]
    items += [(make_bundle(seq, Kind.CHUNK, bytes(60_000)), 0) for seq in range(700, 730)]
    await file_of(path, items)
    async with device() as target:
        assert (await target.stick.import_file(path)).stored == len(items)
        batches = target.receiver.batches
        assert max(len(batch) for batch in batches) == BATCH_BUNDLES_MAX
        assert all(sum(map(len, batch)) <= BATCH_BYTES_MAX for batch in batches)
        assert target.keeper.calls == 0


async def test_refused_bundles_are_counted_and_stop_nothing(tmp_path: Path) -> None:
    path = tmp_path / "carry.mesh"
    async with device(2) as source:
        good, bad = make_bundle(1), make_bundle(2)
        await source.fill([(good, 0)])
        # A damaged container that stands in a store goes out as it is; its reader judges it.
        damaged = record_of(bad, 0)._replace(raw=b"no container")
        await source.store.write(lambda tx: rows.add_many(tx, [damaged]))
        await source.stick.export(path, to_reader())
    async with device() as target:
        assert await target.stick.import_file(path) == Imported(1, 0, 1, 0)


# --- who it is for -------------------------------------------------------------------------------


async def test_every_recipient_opens_it_and_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "carry.mesh"
    async with device(9) as source:
        await source.fill([(make_bundle(1), 0)])
        both = {NodeId(bytes([number]) * 16): prekey(number)[1] for number in (1, 2)}
        exported = await source.stick.export(path, both)
        assert exported.recipients == tuple(sorted(both))
    for number in (1, 2):
        async with device(number) as target:
            assert (await target.stick.import_file(path)).stored == 1
    async with device(3) as stranger:
        with pytest.raises(NoKeyError):
            await stranger.stick.import_file(path)
        assert await stranger.is_empty()


async def test_a_prekey_that_has_ended_is_not_sealed_to(tmp_path: Path) -> None:
    path = tmp_path / "carry.mesh"
    ended = replace(prekey(2)[1], ends_ms=NOW_MS)
    async with device() as source:
        with pytest.raises(StickError):
            await source.stick.export(path, {READER: ended})
        with pytest.raises(StickError):
            await source.stick.export(path, {})
        other = NodeId(bytes(16))
        exported = await source.stick.export(path, {other: ended} | to_reader())
        assert exported.recipients == (READER,)
    async with device(2) as target:
        with pytest.raises(NoKeyError):
            await target.stick.import_file(path)


async def test_too_many_recipients_or_a_weak_key_leave_no_file(tmp_path: Path) -> None:
    many = {
        NodeId(number.to_bytes(16, "big")): replace(
            prekey(1)[1], prekey_id=number.to_bytes(8, "big")
        )
        for number in range(STICK_SLOTS_MAX + 1)
    }
    weak = replace(prekey(1)[1], public=b"\xff" * 1_216)
    async with device() as source:
        with pytest.raises(StickError):
            await source.stick.export(tmp_path / "carry.mesh", many)
        with pytest.raises(WeakKeyError):
            await source.stick.export(tmp_path / "carry.mesh", {READER: weak})
    assert os.listdir(tmp_path) == []


async def test_a_file_reveals_no_name_and_no_text(tmp_path: Path) -> None:
    path = tmp_path / "carry.mesh"
    items = [(make_bundle(seq, body=b"come to the Col Agnel"), 0) for seq in range(1, 40)]
    await file_of(path, items, [make_document(1)])
    file = path.read_bytes()
    for secret in (b"Col Agnel", b"Queyras", AUTHOR, READER, items[0][0].digest[:8]):
        assert secret not in file
    assert (path.stat().st_mode & 0o777) == 0o600


# --- damage --------------------------------------------------------------------------------------


@pytest.fixture
async def target() -> AsyncIterator[Device]:
    """A device with nothing in it that can open the files made here."""
    async with device() as opened:
        yield opened


@pytest.fixture
async def good(tmp_path: Path) -> bytes:
    """A whole file of a document and five chunks."""
    path = tmp_path / "good.mesh"
    items = [(make_bundle(seq, Kind.CHUNK, bytes(50_000)), 0) for seq in range(1, 6)]
    await file_of(path, items, [make_document(1)])
    return path.read_bytes()


@pytest.fixture
async def small(tmp_path: Path) -> bytes:
    """A whole file of one chunk."""
    path = tmp_path / "small.mesh"
    await file_of(path, [(make_bundle(1), 0)], [make_document(1)])
    return path.read_bytes()


@pytest.mark.slow
async def test_a_changed_byte_anywhere_or_a_cut_imports_nothing(
    tmp_path: Path, target: Device, small: bytes
) -> None:
    """The protocol's own property tries every place; here each part of the file is met."""
    path = tmp_path / "changed.mesh"
    flipped = (
        small[:place] + bytes([small[place] ^ 1 << place % 8]) + small[place + 1 :]
        for place in chain(range(40), range(40, len(small), 7))
    )
    cut = (small[:length] for length in range(0, len(small), 31))
    for changed in chain(flipped, cut):
        path.write_bytes(changed)
        with pytest.raises(REFUSED):
            await target.stick.import_file(path)
    assert await target.is_empty()


async def test_a_damaged_file_imports_nothing(tmp_path: Path, target: Device, good: bytes) -> None:
    """Security case S30."""
    sealed = 65_536 + 16
    start = PREAMBLE_BYTES + int.from_bytes(good[8:12], "big")
    one, two = good[start : start + sealed], good[start + sealed : start + 2 * sealed]
    rest = good[start + 2 * sealed :]
    damaged = {
        "last chunk cut": good[: start + (len(good) - start) // sealed * sealed],
        "cut by one byte": good[:-1],
        "header only": good[:start],
        "half a header": good[: start - 1],
        "nothing": b"",
        "swapped": good[:start] + two + one + rest,
        "doubled": good[:start] + one + one + two + rest,
        "appended": good + b"\0",
        "twice": good + good,
        "header length": good[:8] + b"\xff\xff\xff\xff" + good[12:],
        "zeros": bytes(100_000),
        "zeros after the header": good[:start] + bytes(1_000_000),
    }
    for damage, raw in damaged.items():
        path = tmp_path / "damaged.mesh"
        path.write_bytes(raw)
        with pytest.raises(REFUSED):
            await target.stick.import_file(path)
        assert await target.is_empty(), damage
    path.write_bytes(good)
    assert await target.stick.import_file(path) == Imported(5, 0, 0, 1)


async def test_a_gigabyte_of_zeros_costs_neither_time_nor_memory(
    tmp_path: Path, target: Device, good: bytes
) -> None:
    path = tmp_path / "zeros.mesh"
    start = PREAMBLE_BYTES + int.from_bytes(good[8:12], "big")
    tracemalloc.start()
    try:
        for head in (b"", good[:start], good):
            path.write_bytes(head)
            os.truncate(path, 1 << 30)
            with pytest.raises(REFUSED):
                await target.stick.import_file(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000
    assert await target.is_empty()


async def test_frames_that_do_not_belong_import_nothing(tmp_path: Path, target: Device) -> None:
    """Sealed correctly, but by somebody who writes what no exporter writes."""
    path = tmp_path / "odd.mesh"
    bundle = encode_bundle(0, make_bundle(1).raw)
    for content in (bundle + encode_document(make_document(1)), bundle + bundle[:-1]):
        writer = StickWriter([prekey(1)[1]], SEALER, runtime().entropy)
        path.write_bytes(b"".join([writer.preamble, *writer.feed(content), writer.finish()]))
        with pytest.raises(MalformedError):
            await target.stick.import_file(path)
        assert await target.is_empty()


async def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, target: Device) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, tmp_path / "missing"):
        with trio.fail_after(HANGS_S), pytest.raises(StickError):
            await target.stick.import_file(path)


# --- disks and cancellation ----------------------------------------------------------------------


@dataclass
class Steps:
    """Blocking work that does something else instead of, or after, its n-th step."""

    at: int
    instead: Callable[[], None]
    taken: int = 0

    async def __call__(
        self, function: Callable[..., T], *args: object, limiter: trio.CapacityLimiter | None = None
    ) -> T:
        # What cleans up is left alone, or this test itself would leave a descriptor open.
        if function.__name__ != "discard":
            self.taken += 1
            if self.taken == self.at:
                self.instead()
        return await trio.to_thread.run_sync(function, *args, limiter=limiter)


def no_room() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.slow
async def test_a_disk_that_fails_at_any_step_leaves_the_file_of_before(tmp_path: Path) -> None:
    path = tmp_path / "carry.mesh"
    items = [(make_bundle(seq, Kind.CHUNK, bytes(50_000)), 0) for seq in range(1, 30)]
    for at in count(1):
        path.write_bytes(b"the file of before")
        steps = Steps(at, no_room)
        async with device(2, replace(runtime(), run_blocking=steps)) as source:
            await source.fill(items, [make_document(1)])
            with suppress(StickError):
                await source.stick.export(path, to_reader())
                break
        assert steps.taken == at
        assert path.read_bytes() == b"the file of before"
        assert os.listdir(tmp_path) == [path.name]
    assert at > 5
    async with device() as target:
        assert (await target.stick.import_file(path)).stored == len(items)


@pytest.mark.slow
async def test_a_cancelled_export_leaves_the_file_of_before(tmp_path: Path) -> None:
    path = tmp_path / "carry.mesh"
    items = [(make_bundle(seq, Kind.CHUNK, bytes(50_000)), 0) for seq in range(1, 30)]
    for at in count(1):
        path.write_bytes(b"the file of before")
        with trio.CancelScope() as scope:
            steps = Steps(at, scope.cancel)
            async with device(2, replace(runtime(), run_blocking=steps)) as source:
                await source.fill(items, [make_document(1)])
                await source.stick.export(path, to_reader())
        if not scope.cancelled_caught:
            break
        assert path.read_bytes() == b"the file of before"
        assert os.listdir(tmp_path) == [path.name]
    assert at > 5


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    async with device() as source:
        with pytest.raises(StickError):
            await source.stick.export(tmp_path / "missing" / "carry.mesh", to_reader())


async def test_a_part_of_another_export_is_left_alone(tmp_path: Path) -> None:
    fixed = replace(runtime(), entropy=bytes)
    part = tmp_path / f".{bytes(8).hex()}.part"
    part.write_bytes(b"somebody else's")
    async with device(1, fixed) as source:
        with pytest.raises(StickError):
            await source.stick.export(tmp_path / "carry.mesh", to_reader())
    assert part.read_bytes() == b"somebody else's"
    assert os.listdir(tmp_path) == [part.name]


async def test_a_full_file_leaves_out_what_is_least_urgent(tmp_path: Path) -> None:
    path = tmp_path / "carry.mesh"
    items = [(make_bundle(seq, Kind.CHUNK, bytes(30_000)), 0) for seq in range(1, 6)]
    items += [(make_bundle(seq, Kind.TEXT, bytes(2_000)), 0) for seq in range(6, 9)]
    items += [(make_bundle(9, Kind.SOS), 0)]
    sizes = [len(bundle.raw) + 4 for bundle, _ in items]
    for bytes_max in (20_000, 80_000, 120_000, 180_000):
        async with device(2, bytes_max=bytes_max) as source:
            await source.fill(items)
            exported = await source.stick.export(path, to_reader())
        assert exported.bytes == path.stat().st_size <= bytes_max
        assert exported.bundles + exported.left_out == len(items)
        assert exported.bundles >= 4
        assert exported.left_out == 0 or exported.bytes + max(sizes) + 16 > bytes_max
        async with device() as target:
            assert (await target.stick.import_file(path)).stored == exported.bundles
            classes = {
                bundles.decode_untrusted(raw).header.traffic_class for raw in await target.raws()
            }
            assert {TrafficClass.SOS, TrafficClass.MESSAGE} <= classes


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large.mesh"
    async with device(2) as source:
        for start in range(0, 500, 100):
            await source.fill(
                (make_bundle(seq, Kind.CHUNK, bytes(60_000)), 0)
                for seq in range(start + 1, start + 101)
            )
        tracemalloc.start()
        try:
            exported = await source.stick.export(path, to_reader())
            _, export_peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert exported.bytes > 30_000_000
    assert export_peak < 8_000_000
    async with device() as target:
        target.receiver.batches = Forgetful()
        tracemalloc.start()
        try:
            assert (await target.stick.import_file(path)).stored == 500
            _, import_peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert import_peak < 12_000_000


class Forgetful(list[list[bytes]]):
    """Takes note of nothing, so that memory is that of the import alone."""

    def append(self, item: list[bytes]) -> None:
        """Forget `item`."""
