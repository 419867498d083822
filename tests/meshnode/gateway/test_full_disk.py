"""A gateway whose disk is full says so, acknowledges nothing, and goes on by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode.api import Api
from meshnode.errors import StoreFullError
from meshnode.gateway.standing import Part
from meshnode.web.prometheus import exposition
from protocol.identity import Role
from tests.meshnode.disks import full, roomy
from tests.meshnode.gateway.meeting import enrol_and_meet
from tests.meshnode.gateway.test_standing import opened

pytestmark = [pytest.mark.slow, pytest.mark.real]
LONG = "x" * 16_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")

    async def make() -> None:
        await enrol_and_meet(folder, first=Role.GATEWAY, second=Role.GATEWAY)
        async with opened(folder / "first") as (api, _gateway):
            assert await api.archive_found()

    trio.run(make)
    return folder / "first"


async def seen(look: Callable[[], bool]) -> None:
    for _look in range(2_000):
        if look():
            return
        await trio.sleep(0.02)
    raise AssertionError("it was never seen")


async def fill(api: Api) -> int:
    """Write until the disk takes nothing more; return how many texts it took."""
    for count in range(50):
        try:
            await api.send("codt", f"{LONG}{count}")
        except StoreFullError:
            return count
    raise AssertionError("the disk was never full")


async def test_a_full_disk_of_the_node_is_told_until_there_is_room_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("meshnode.disk._TRY_S", 0.05)
    monkeypatch.setattr("meshnode.disk._QUIET_S", float("inf"))
    async with opened(home, "", told) as (api, gateway), trio.open_nursery() as nursery:
        nursery.start_soon(api._node.housekeeping.disk.run)
        nursery.start_soon(gateway.run)
        store = api._node.store
        before = len((await api.archive_search(classes=["texts"]))["found"])
        await seen(lambda: gateway.standing.purged_ms > 0)
        await store.write(lambda tx: full(tx.connection))
        taken = await fill(api)
        assert told == ["nothing can be taken in: the disk is full: database or disk is full"]
        status: dict[str, Any] = await api.archive_status()
        (trouble,) = status["troubles"]
        assert (status["faults"], trouble["part"], trouble["reason"]) == (told, "store", "disk")
        assert "meshnode_archive_faults 1\n" in exposition(await api.status())
        # A few bytes fit always, which says nothing of what comes.
        await api._node.housekeeping.keep_clock()
        assert gateway.standing.has(Part.STORE)
        await store.write(lambda tx: roomy(tx.connection))
        monkeypatch.setattr("meshnode.disk._QUIET_S", 0.0)
        await seen(lambda: told[-1] == "")
        assert (await api.archive_status())["faults"] == []
        await api.send("codt", "wieder da")
        await (await gateway.feeder()).drain()
        found = (await api.archive_search("wieder"))["found"]
        assert len(found) == 1
        assert len((await api.archive_search(classes=["texts"]))["found"]) == before + taken + 1
        nursery.cancel_scope.cancel()


async def test_a_full_disk_of_the_archive_is_told_and_what_was_taken_in_waits(home: Path) -> None:
    told: list[str] = []
    async with opened(home, "", told) as (api, gateway), trio.open_nursery() as nursery:
        nursery.start_soon(gateway.run)
        await seen(lambda: gateway.standing.purged_ms > 0)
        before = len((await api.archive_search(classes=["texts"]))["found"])
        archive = await gateway.archive()
        await archive._write(full)
        for number in range(9):
            await api.send("codt", f"{LONG} {number}")
        await seen(lambda: gateway.standing.faults != ())
        assert told == ["the archive does not answer: database or disk is full"]
        status = await api.archive_status()
        (trouble,) = status["troubles"]
        assert (trouble["part"], trouble["reason"]) == ("feed", "full")
        assert status["waiting"] > 0
        await archive._write(roomy)
        await seen(lambda: told[-1] == "")
        await (await gateway.feeder()).drain()
        assert (await api.archive_status())["waiting"] == 0
        assert len((await api.archive_search(classes=["texts"]))["found"]) == before + 9
        nursery.cancel_scope.cancel()
