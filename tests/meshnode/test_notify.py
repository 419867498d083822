"""Datagrams to a service manager, over a real Unix socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from meshnode.notify import READY, STOPPING, ServiceManager
from meshnode.runtime import Runtime
from tests.meshnode.homes import runtime
from tests.patience import HANGS_S


class Manager:
    """The end of systemd."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """Return the datagrams that came."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(1_000).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    found = Manager(str(tmp_path / "notify"))
    yield found
    found.close()


def traced() -> tuple[Runtime, list[str]]:
    events = list[str]()

    def trace(event: str, /, **_fields: object) -> None:
        events.append(event)

    return replace(runtime(), trace=trace), events


async def test_one_datagram_for_each_word(manager: Manager, tmp_path: Path) -> None:
    service = ServiceManager.of({"NOTIFY_SOCKET": str(tmp_path / "notify")}, runtime())
    await service.tell(READY)
    await service.tell(STOPPING, "STATUS=bye")
    assert manager.heard() == ["READY=1", "STOPPING=1\nSTATUS=bye"]


async def test_a_name_without_a_file(tmp_path: Path) -> None:
    name = f"meshnode-test-{os.getpid()}"
    manager = Manager(f"\0{name}")
    await ServiceManager.of({"NOTIFY_SOCKET": f"@{name}"}, runtime()).tell(READY)
    assert manager.heard() == ["READY=1"]
    manager.close()


async def test_nobody_asked_or_nobody_is_there(tmp_path: Path) -> None:
    quiet, events = traced()
    await ServiceManager.of({}, quiet).tell(READY)
    assert events == []
    await ServiceManager.of({"NOTIFY_SOCKET": str(tmp_path / "gone")}, quiet).tell(READY)
    assert events == ["service_manager_gone"]


async def test_signs_of_life_come_twice_in_the_time_and_stop_with_the_answers(
    manager: Manager, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    environment = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "60000000",
        "WATCHDOG_PID": str(os.getpid()),
    }
    is_hung = False

    async def look() -> None:
        if is_hung:
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ServiceManager.of(environment, runtime()).keep_alive, look)
        await trio.sleep(119)
        assert manager.heard() == ["WATCHDOG=1"] * 4
        is_hung = True
        await trio.sleep(600)
        assert manager.heard() == []
        is_hung = False
        await trio.sleep(100)
        assert manager.heard() != []
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "changes",
    [
        {"WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": ""},
    ],
)
async def test_no_watchdog_of_ours(tmp_path: Path, changes: dict[str, str]) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "x"), "WATCHDOG_USEC": "60000000"} | changes
    service = ServiceManager.of(environment, runtime())
    with trio.fail_after(HANGS_S):
        await service.keep_alive(trio.lowlevel.checkpoint)
