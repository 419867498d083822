"""A node whose disk takes nothing says so, goes on, and says when there is room again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from math import inf
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from meshnode.api import Api
from meshnode.cli.language import speak
from meshnode.cli.network import _print_status
from meshnode.cli.serving import _tell_events
from meshnode.errors import StoreFullError
from meshnode.events import DiskChanged
from meshnode.web.prometheus import exposition
from tests.meshnode.disks import full, roomy
from tests.meshnode.rig import Rig

LONG = "x" * 16_000
FULL = "the disk is full: database or disk is full"


class Telling:
    """Keeps what is told."""

    def __init__(self, said: list[str]) -> None:
        self.tell = self.ring = said.append


async def fill(api: Api) -> None:
    """Write until the disk takes nothing more."""
    for count in range(50):
        try:
            await api.send("codt", f"{LONG}{count}")
        except StoreFullError:
            return
    raise AssertionError("the disk was never full")


@asynccontextmanager
async def followed(api: Api) -> AsyncIterator[Callable[[], list[Any]]]:
    """Give what says which events of the disk were told since it was asked last."""
    heard: list[Any] = []

    async def follow() -> None:
        async with aclosing(api.follow()) as events:
            async for event in events:
                heard.append(event)  # noqa: PERF401 - the stream has no end

    def since() -> list[Any]:
        found = [each["fault"] for each in heard if each["event"] == "disk_changed"]
        heard.clear()
        return found

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await wait_all_tasks_blocked()
        yield since
        nursery.cancel_scope.cancel()


async def test_an_agent_hears_of_a_full_disk_until_there_is_room_again(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, api = met["anna"], Api(met["anna"].node)
    assert (await api.status())["disk_fault"] == ""
    async with anna.node.working(), followed(api) as told:
        await anna.store.write(lambda tx: full(tx.connection))
        await fill(api)
        await wait_all_tasks_blocked()
        assert told() == [FULL]
        found = await api.status()
        assert found["disk_fault"] == FULL
        assert "meshnode_disk_refusing 1\n" in exposition(found)
        for _try in range(4):
            # It tries a few bytes meanwhile, which always fit, and believes them nothing.
            await trio.sleep(20)
            with pytest.raises(StoreFullError):
                await api.send("codt", LONG)
        assert told() == [], "it is told once"
        await anna.store.write(lambda tx: roomy(tx.connection))
        assert (await api.status())["disk_fault"] == FULL
        # Nobody writes anything: the watch itself finds out.
        await trio.sleep(46)
        assert told() == [""]
        found = await api.status()
        assert found["disk_fault"] == ""
        assert "meshnode_disk_refusing 0\n" in exposition(found)
        await api.send("codt", LONG)
    traced = [each.event for each in met.tracer.lines if each.node == "anna"]
    assert [each for each in traced if each.startswith("disk_")] == ["disk_refused", "disk_taking"]


async def test_a_watch_over_a_good_disk_wakes_nobody(autojump_clock: MockClock, rig: Rig) -> None:
    anna = rig["anna"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(anna.node.housekeeping.disk.run)
        await anna.node.housekeeping.keep_clock()
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline == inf
        nursery.cancel_scope.cancel()


async def test_a_share_that_is_used_up_is_no_fault_of_the_disk(
    autojump_clock: MockClock, met: Rig
) -> None:
    api = Api(met["anna"].node)
    met["anna"].store.bytes_max = 0
    with pytest.raises(StoreFullError):
        await api.send("codt", LONG)
    assert (await api.status())["disk_fault"] == ""


async def test_a_running_node_says_it_in_one_line_each_way(
    autojump_clock: MockClock, met: Rig
) -> None:
    said: list[str] = []
    api = Api(met["anna"].node)
    speak("fr")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tell_events, api, Telling(said))
        await wait_all_tasks_blocked()
        for fault in (FULL, ""):
            met["anna"].node.events.publish(DiskChanged(fault))
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert said == [
        "le disque ne prend plus rien, aucun message n'arrive\N{NO-BREAK SPACE}: "
        "le disque est plein\N{NO-BREAK SPACE}: database or disk is full",
        "le disque prend de nouveau ce qui arrive",
    ]


async def test_the_status_shows_it_while_it_lasts(
    autojump_clock: MockClock, met: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {"is_running": False, **await Api(met["anna"].node).status()}
    _print_status(found)
    assert "DISK FAULT" not in capsys.readouterr().out
    _print_status({**found, "disk_fault": FULL})
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        f"DISK FAULT it takes nothing, so no message comes in; make room or check it ({FULL})"
        in shown
    )
    del found["disk_fault"]
    _print_status(found)
    assert "DISK FAULT" not in capsys.readouterr().out, "an older node says nothing of it"
