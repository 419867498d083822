"""From acceptance to archive: nothing lost, nothing twice, whatever dies in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import trio
import trio.testing

from meshnode.errors import ArchiveDownError
from meshnode.gateway.archive.archive import Archive, open_archive
from meshnode.gateway.archive.records import Put, Query, Taken
from meshnode.gateway.feeder import Feeder
from meshnode.gateway.standing import Standing
from meshnode.metrics import Metrics
from meshnode.store import bundles, spool
from meshnode.store.engine import Store, open_store
from meshnode.store.spool import Content
from meshnode.vault.vault import Vault
from protocol.ids import BundleId
from protocol.limits import Kind
from protocol.reports import Reception
from tests.meshnode.gateway.parts import CODT, MASTER, NOW_MS, node, runtime
from tests.meshnode.store.parts import inline_runtime, record
from tests.postgres import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.real]
GATEWAY = node(90)
Address = tuple[str, Path]


@dataclass
class Chain:
    """A store, its archive, and what feeds the one from the other."""

    store: Store
    archive: Archive
    feeder: Feeder
    metrics: Metrics

    async def accept(self, first: int, count: int, kind: Kind = Kind.TEXT) -> list[Reception]:
        records = [record(seq, kind) for seq in range(first, first + count)]
        return await self.store.write(lambda tx: bundles.add_many(tx, records))

    async def waiting(self) -> int:
        return len((await self.store.read(lambda c: spool.batch(c, 10_000, has_agent=True)))[0])

    async def emptied(self) -> None:
        """Return once nothing waits any more: the feeder looks by itself."""
        for _ in range(10_000):
            if not await self.waiting():
                return
            await trio.sleep(0.05)

    async def archived(self) -> list[int]:
        found = await self.archive.bundles(Query(limit=10_000))
        return sorted(each.name.seq for each in found)


@asynccontextmanager
async def open_chain(folder: Path, address: Address, *, bound: int = 10**9) -> AsyncIterator[Chain]:
    fresh = runtime().entropy
    vault = Vault(MASTER, fresh, MASTER)
    async with (
        open_store(folder / "store.sqlite", runtime(), vault=vault) as store,
        open_archive(*address, runtime(), GATEWAY, MASTER) as archive,
    ):
        store.spool_bytes_max = bound
        metrics = Metrics()
        yield Chain(store, archive, Feeder(store, archive, runtime(), metrics), metrics)


@pytest.fixture
async def chain(tmp_path: Path, address: Address) -> AsyncIterator[Chain]:
    async with open_chain(tmp_path, address) as opened:
        yield opened


async def test_what_is_accepted_is_archived_once_and_leaves_the_spool(chain: Chain) -> None:
    assert await chain.accept(1, 2_500) == [Reception.STORED] * 2_500
    assert await chain.feeder.drain() == 2_500
    assert await chain.waiting() == 0
    assert await chain.archived() == list(range(1, 2_501))
    assert await chain.accept(1, 10) == [Reception.DUPLICATE] * 10
    assert await chain.feeder.drain() == 0
    assert chain.metrics.value("archive_bundles") == 2_500


async def test_what_was_opened_is_archived_as_well(chain: Chain) -> None:
    times = (NOW_MS, NOW_MS + 1, NOW_MS)
    content = Content(BundleId(node(1), 7, 1), Kind.TEXT, CODT, *times, b"au refuge")
    await chain.store.write(lambda tx: spool.add_opened(tx, content))
    await chain.feeder.drain()
    (found,) = await chain.archive.contents(Query(words=("refuge",)))
    assert found.raw == b"au refuge"


async def test_keys_and_claims_are_not_archived(chain: Chain) -> None:
    await chain.accept(1, 1, Kind.CHAIN_KEYS)
    await chain.accept(2, 1, Kind.PREKEY)
    await chain.accept(3, 1, Kind.UPLINK)
    assert await chain.waiting() == 0


class Dying(Exception):
    """Stands for the end of the process at one step."""


@pytest.mark.parametrize("step", ["before the archive", "after the archive", "after the spool"])
async def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(
    tmp_path: Path, address: Address, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole process is opened anew behind the step, as after a kill."""
    async with open_chain(tmp_path, address) as chain:
        await chain.accept(1, 700)
        await chain.feeder.feed()
        await chain.accept(701, 300)
        real = chain.archive.put

        async def dying_put(batch: list[Taken]) -> Put:
            if step == "before the archive":
                raise Dying
            done = await real(batch)
            if step == "after the archive":
                raise Dying
            return done

        monkeypatch.setattr(chain.archive, "put", dying_put)
        if step == "after the spool":
            await chain.feeder.feed()
        else:
            with pytest.raises(Dying):
                await chain.feeder.feed()
    async with open_chain(tmp_path, address) as chain:
        await chain.feeder.drain()
        assert await chain.archived() == list(range(1, 1_001))
        assert await chain.waiting() == 0
        again = {"after the archive": 300}.get(step, 0)
        assert chain.metrics.value("archive_again") == again


async def test_a_spool_near_its_bound_sheds_the_least_urgent_first(
    tmp_path: Path, address: Address
) -> None:
    async with open_chain(tmp_path, address, bound=10_000) as chain:
        assert set(await chain.accept(1, 18)) == {Reception.STORED}
        assert await chain.accept(100, 1, Kind.CHUNK) == [Reception.STORE_FULL]
        assert await chain.accept(101, 1, Kind.TRACK) == [Reception.STORE_FULL]
        assert await chain.accept(102, 1, Kind.STATE) == [Reception.STORED]
        assert set(await chain.accept(200, 3)) == {Reception.STORED}
        assert await chain.accept(103, 1, Kind.POSITION) == [Reception.STORE_FULL]
        assert set(await chain.accept(300, 4)) == {Reception.STORED}
        assert await chain.accept(400, 1) == [Reception.STORE_FULL]
        assert await chain.accept(104, 1, Kind.SOS) == [Reception.STORED]
        assert await chain.accept(105, 1, Kind.CHAIN_KEYS) == [Reception.STORED]
        before = await chain.archived()
        assert before == []
        await chain.feeder.drain()
        assert chain.metrics.value("archive_shed") == 4
        assert await chain.accept(400, 1) == [Reception.STORED]


async def test_what_waits_is_told_without_a_pass_over_it(chain: Chain) -> None:
    assert await chain.store.read(spool.waiting) == (0, 0, 0)
    await chain.accept(1, 5)
    found = await chain.store.read(spool.waiting)
    assert (found.rows, found.size_bytes) == (5, 2_000)
    assert found.oldest_ms > 0


async def test_a_locked_device_archives_bundles_and_leaves_contents(tmp_path: Path) -> None:
    vault = Vault(MASTER, runtime().entropy, MASTER)
    path = tmp_path / "store.sqlite"
    async with open_store(path, runtime(), vault=vault) as store:
        store.spool_bytes_max = 10**9
        times = (NOW_MS, NOW_MS + 1, NOW_MS)
        content = Content(BundleId(node(1), 7, 1), Kind.TEXT, CODT, *times, b"au refuge")
        await store.write(lambda tx: spool.add_opened(tx, content))
        await store.write(lambda tx: bundles.add_many(tx, [record(1)]))
        vault.lock()
        rows, broken = await store.read(lambda c: spool.batch(c, 9, has_agent=False))
        assert [each.is_opened for each in rows] == [False]
        assert broken == []


async def test_an_archive_that_cannot_be_reached_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    tries = list[float]()

    async def down(_batch: object) -> Put:
        tries.append(trio.current_time())
        if len(tries) < 9:
            raise ArchiveDownError("away")
        return Put(1, 0, 0)

    async with open_store(None, inline_runtime()) as store:
        store.spool_bytes_max = 10**9
        metrics = Metrics()
        fake = Archive.__new__(Archive)
        monkeypatch.setattr(fake, "put", down, raising=False)
        asked = list[float]()

        async def ping() -> None:
            asked.append(trio.current_time())
            if len(asked) == 3:
                raise ArchiveDownError("away")

        monkeypatch.setattr(fake, "ping", ping, raising=False)
        told: list[str] = []
        standing = Standing(told.append)
        feeder = Feeder(store, fake, inline_runtime(), metrics, standing)
        await store.write(lambda tx: bundles.add_many(tx, [record(1)]))
        with trio.move_on_after(600):
            await feeder.run()
        waits = [round(after - before, 3) for before, after in pairwise(tries)]
        assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
        assert metrics.value("archive_failures") == 9
        # Once for all tries, and once that it is over.
        assert told == ["away", ""] * 2
        assert standing.faults == ()
        # With nothing to bring it is asked every half minute, and it is missed at once.
        assert 10 < len(asked) < 20
        assert await store.read(spool.waiting) == (0, 0, 0)


async def test_a_killed_postgresql_comes_back_with_nothing_lost(tmp_path: Path) -> None:
    from tests.postgres import binaries

    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server here: install the package postgresql")
    own = await trio.to_thread.run_sync(Cluster, programs)
    try:
        await trio.to_thread.run_sync(own.start)
        address = (own.database(), tmp_path / "unused")
        async with open_chain(tmp_path, address) as chain, trio.open_nursery() as nursery:
            nursery.start_soon(chain.feeder.run)
            acknowledged = list[int]()
            for first in range(1, 4_001, 200):
                if first == 1_001:
                    await trio.to_thread.run_sync(own.kill)
                if first == 3_001:
                    await trio.to_thread.run_sync(own.start)
                fates = await chain.accept(first, 200)
                acknowledged += [
                    first + place for place, fate in enumerate(fates) if fate is Reception.STORED
                ]
                chain.feeder.wake.set()
                await trio.sleep(0.02)
            assert chain.metrics.value("archive_failures") > 0
            with trio.fail_after(60):
                await chain.emptied()
            nursery.cancel_scope.cancel()
            assert acknowledged == list(range(1, 4_001))
            with trio.CancelScope(shield=True):
                assert await chain.archived() == acknowledged
    finally:
        await trio.to_thread.run_sync(own.close)
