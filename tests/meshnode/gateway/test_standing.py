"""A gateway whose archive does not work says so, and goes on with what still can be done."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from meshnode.api import Api
from meshnode.config import Settings
from meshnode.doctor.archive import check_archive
from meshnode.doctor.examining import gather
from meshnode.doctor.findings import Level
from meshnode.errors import ArchiveError, ArchiveKeyError, ArchiveTamperedError, LockedError
from meshnode.gateway.archive.purge_log import Action
from meshnode.gateway.gateway import Gateway
from meshnode.gateway.standing import Part, Standing
from meshnode.machine import Machine
from meshnode.running import Access, open_guarded
from meshnode.vault.kinds import DAY_MS
from meshnode.web.prometheus import exposition
from protocol.identity import Role
from protocol.limits import Kind
from tests.meshnode.gateway.meeting import enrol_and_meet
from tests.meshnode.gateway.parts import NOW_MS, bundle, text
from tests.meshnode.homes import ALONE, runtime
from tests.postgres import Cluster
from tests.real.daemons import free_port

pytestmark = [pytest.mark.slow, pytest.mark.real]


def settings(url: str = "") -> Settings:
    return replace(ALONE, gateway=replace(ALONE.gateway, database=url))


@asynccontextmanager
async def opened(
    home: Path, url: str = "", told: list[str] | None = None
) -> AsyncIterator[tuple[Api, Gateway]]:
    access = Access(on_archive=(told if told is not None else list[str]()).append)
    async with open_guarded(home, settings(url), runtime(), access) as guard:
        assert guard.gateway is not None
        yield Api(guard.node, guard), guard.gateway


async def _make(folder: Path) -> None:
    await enrol_and_meet(folder, first=Role.GATEWAY, second=Role.GATEWAY)
    async with opened(folder / "first") as (api, _gateway):
        assert await api.archive_found()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("standing")
    trio.run(_make, folder)
    return folder


@pytest.fixture
def homes(made: Path, tmp_path: Path) -> dict[str, Path]:
    for name in ("first", "second"):
        shutil.copytree(made / name, tmp_path / name)
    return {name: tmp_path / name for name in ("first", "second")}


def test_a_fault_is_told_once_and_its_end_as_well() -> None:
    told: list[str] = []
    standing = Standing(told.append)
    standing.fails(Part.RETENTION, "away")
    standing.fails(Part.FEED, "away")
    standing.fails(Part.FEED, "away")
    standing.fails(Part.LOG, "changed")
    assert standing.faults == ("away", "changed")
    for part in Part:
        standing.works(part)
    standing.works(Part.FEED)
    assert told == ["away", "changed", ""]


async def test_a_database_that_is_not_there_is_told_with_its_reason(
    homes: dict[str, Path],
) -> None:
    told: list[str] = []
    url = f"postgresql+psycopg://mesh:s3cret@127.0.0.1:{free_port()}/x"
    async with opened(homes["first"], url, told) as (api, gateway):
        with pytest.raises(ArchiveError):
            await gateway.run()
        assert told == ["the archive does not answer: Connection refused"]
        status = await api.archive_status()
        assert status["faults"] == told
        (trouble,) = status["troubles"]
        assert trouble == {"part": "feed", "reason": "unreachable", "words": told[0]}
        assert status["purged_ms"] == 0
        shown = exposition(await api.status())
        assert "meshnode_archive_faults 1\n" in shown
        assert "meshnode_archive_purged_seconds 0\n" in shown


async def test_a_locked_gateway_says_that_it_neither_archives_nor_purges(
    homes: dict[str, Path],
) -> None:
    told: list[str] = []
    async with opened(homes["first"], "", told) as (api, gateway):
        assert (await api.archive_search("first"))["found"] == []
        await api._node.lock()
        with pytest.raises(LockedError):
            # Open archives do not answer behind a lock.
            await api.archive_search("first")
        with trio.move_on_after(0.2):
            await gateway.run()
        assert told == [
            "the device is locked: nothing is archived and nothing is purged until it is unlocked"
        ]
        status = await api.archive_status()
        assert status["is_shut"]
        assert [(each["part"], each["reason"]) for each in status["troubles"]] == [
            ("lock", "locked")
        ]
        assert "meshnode_archive_shut 1\n" in exposition(await api.status())


async def test_a_gateway_at_work_says_when_it_kept_the_terms(homes: dict[str, Path]) -> None:
    told: list[str] = []
    async with opened(homes["first"], "", told) as (api, gateway):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gateway.run)
            for _look in range(1_000):
                status = await api.archive_status()
                if status["purged_ms"]:
                    break
                await trio.sleep(0.02)
            nursery.cancel_scope.cancel()
        assert status["purged_ms"]
        assert status["faults"] == told == []


async def test_a_key_that_was_made_by_mistake_gives_way_to_the_right_one(
    homes: dict[str, Path], tmp_path: Path, cluster: Cluster
) -> None:
    url, file = cluster.database(), tmp_path / "key"
    async with opened(homes["first"], url) as (api, gateway):
        await api.send("codt", "le pont tient")
        await (await gateway.feeder()).drain()
        await api.archive_key_export(str(file), "second")
    async with opened(homes["second"], url) as (api, gateway):
        assert await api.archive_found()
        await api.send("codt", "le gué aussi")
        with pytest.raises(ArchiveKeyError):
            await (await gateway.feeder()).drain()
        with pytest.raises(ArchiveKeyError):
            # Nor does it keep its own terms in the archive of others.
            await api.retention_apply()
        await api.archive_key_import(str(file))
        await (await gateway.feeder()).drain()
        assert len((await api.archive_search("le"))["found"]) == 2
        with pytest.raises(ArchiveKeyError, match="already"):
            await api.archive_key_import(str(file))


async def test_whoever_changes_the_purge_log_keeps_nothing_by_it_and_stays_found_out(
    homes: dict[str, Path],
) -> None:
    async with opened(homes["first"]) as (api, gateway):
        for number in range(3):
            await gateway.note(Action.EXPORT, (("reason", str(number)),))
        old = runtime().now_ms() - 400 * DAY_MS - NOW_MS
        archive = await gateway.archive()
        over = [text(1, "old"), bundle(2, Kind.TEXT)]
        await archive.put(
            [each._replace(created_ms=each.created_ms + old, at_ms=NOW_MS + old) for each in over]
        )
        connection = sqlite3.connect(homes["first"] / "archive.sqlite")
        connection.execute("DELETE FROM record WHERE number > 1")
        connection.commit()
        connection.close()
        assert (await api.retention_apply())["rows"] == 2
        (fault,) = (await api.archive_status())["faults"]
        assert "cut off: it ends at no. 1" in fault
        for number in range(3):
            # The log grows past the number of the entry that is gone.
            await gateway.note(Action.EXPORT, (("reason", f"later {number}"),))
        with pytest.raises(ArchiveTamperedError, match=r"no\. 3 is another"):
            await api.retention_verify()
        assert api._node.metrics.value("purge_logs_refused") == 1


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({}, Level.OK, "The archive works; 3 wait for it"),
        ({"faults": ["the archive does not answer: no route"]}, Level.FAIL, "no route"),
        ({"is_shut": True, "faults": ["locked"]}, Level.WARN, "nothing is purged"),
        ({"waiting_bytes": 70}, Level.WARN, "bundles are refused"),
        (None, Level.OK, "keeps no archive"),
    ],
)
async def test_the_doctor_says_what_is_wrong_with_the_archive(
    homes: dict[str, Path], changes: dict[str, object] | None, level: Level, words: str
) -> None:
    facts = await gather(homes["first"], runtime(), Machine())
    assert isinstance(facts.status, dict)
    standing = {**facts.status["archive"], "waiting": 3, "waiting_bytes_max": 100}
    archive = None if changes is None else standing | changes
    found = check_archive(replace(facts, status={**facts.status, "archive": archive}))
    assert (found.name, found.level, words in found.sentence) == ("archive", level, True)
    assert check_archive(replace(facts, status=None)).level is Level.UNKNOWN
