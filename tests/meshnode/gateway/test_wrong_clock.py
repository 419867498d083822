"""A gateway whose clock is wrong and set right: nothing is lost, doubled, or destroyed early."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.gateway.gateway import Gateway
from meshnode.running import open_guarded
from meshnode.runtime import Runtime
from meshnode.vault.kinds import DAY_MS
from protocol.guards import CLOCK_AGREE_MS, CLOCK_MARK_MS
from protocol.identity import Role
from protocol.limits import Kind
from tests.meshnode.gateway.meeting import enrol_and_meet
from tests.meshnode.gateway.parts import NOW_MS, bundle, text
from tests.meshnode.homes import ALONE, runtime

pytestmark = [pytest.mark.slow, pytest.mark.real]
Address = tuple[str, Path]


@dataclass
class Wall:
    """A clock on the wall that people set; it starts at the moment the devices were enrolled."""

    now_ms: int = NOW_MS + 3_600_000

    def runtime(self) -> Runtime:
        return replace(runtime(), now_ms=lambda: self.now_ms)


@asynccontextmanager
async def opened(home: Path, address: Address, wall: Wall) -> AsyncIterator[tuple[Api, Gateway]]:
    settings = replace(ALONE, gateway=replace(ALONE.gateway, database=address[0]))
    async with open_guarded(home, settings, wall.runtime()) as guard:
        assert guard.gateway is not None
        await guard.node.housekeeping.look()
        yield Api(guard.node, guard), guard.gateway


async def _make(folder: Path) -> None:
    await enrol_and_meet(folder, first=Role.GATEWAY, second=Role.GATEWAY)
    async with opened(folder / "first", ("", folder), Wall()) as (api, _gateway):
        assert await api.archive_found()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clock")
    trio.run(_make, folder)
    return folder


@pytest.fixture
def homes(made: Path, tmp_path: Path) -> Path:
    for name in ("first", "second"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path


async def test_a_clock_that_is_a_day_ahead_destroys_nothing_before_its_day(
    homes: Path, address: Address, mock_clock: MockClock
) -> None:
    wall = Wall()
    last_ms = wall.now_ms - 365 * DAY_MS
    kept = [
        each._replace(created_ms=last_ms, at_ms=last_ms)
        for each in (text(1, "le dernier jour"), bundle(2, Kind.TEXT))
    ]
    async with opened(homes / "first", address, wall) as (api, gateway):
        await (await gateway.archive()).put(kept)
        assert (await api.retention_apply())["rows"] == 0
        wall.now_ms += DAY_MS
        assert (await api.retention_apply())["rows"] == 0
        mock_clock.jump(3_600)
        assert (await api.retention_apply())["rows"] == 0
        assert len((await api.archive_search("jour"))["found"]) == 1
    async with opened(homes / "first", address, wall) as (api, gateway):
        # Nor does it once it was started so.
        assert (await api.retention_apply())["rows"] == 0
        wall.now_ms -= DAY_MS
        assert (await api.retention_apply())["rows"] == 0
        mock_clock.jump((CLOCK_AGREE_MS + 2 * CLOCK_MARK_MS) / 1000)
        wall.now_ms += DAY_MS
        assert (await api.retention_apply())["rows"] == 2
        assert (await api.retention_verify())["entries"] == 2


async def test_whatever_the_clock_does_each_text_is_found_once_and_the_log_is_whole(
    homes: Path, address: Address, mock_clock: MockClock
) -> None:
    wall = Wall()
    true_ms = wall.now_ms
    async with opened(homes / "first", address, wall) as (api, gateway):
        for number, ahead_days in enumerate((0, 1, 0, -3, 0, 30, 0, -400, 0)):
            wall.now_ms = true_ms + ahead_days * DAY_MS
            true_ms += 60_000
            mock_clock.jump(60)
            await api.send("codt", f"wort{number} gesagt")
            await api._node.housekeeping.look()
            await (await gateway.feeder()).drain()
        found = (await api.archive_search("gesagt"))["found"]
        assert sorted(each["text"][:5] for each in found) == [f"wort{n}" for n in range(9)]
        wall.now_ms = true_ms
        await api.retention_apply()
        assert (await api.retention_verify())["entries"] >= 1
        assert len((await api.archive_search("gesagt"))["found"]) == 9
