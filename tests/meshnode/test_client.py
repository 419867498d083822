"""One set of calls, beside a running node and without one; and ends that lie or go away."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from meshnode import client as module
from meshnode.client import NodeApi, RemoteApi, open_api
from meshnode.errors import ControlError, HomeBusyError
from meshnode.home import Home, locked
from meshnode.lines import LineStream
from meshnode.local_api import LocalApi
from meshnode.running import run_home
from protocol.errors import EnrolmentError
from tests.meshnode.homes import ALONE, enrolled_home, runtime


async def both_ways(folder: Path, check: Callable[[NodeApi], Awaitable[None]]) -> None:
    """Run a check without a running node, then beside one."""
    await enrolled_home(folder, "bruno")
    home, _ = await enrolled_home(folder, "anna")
    async with open_api(home, runtime(), ALONE) as api:
        assert isinstance(api, LocalApi)
        assert api.is_running is False
        await check(api)
    async with trio.open_nursery() as nursery:
        await nursery.start(run_home, home, ALONE, runtime())
        async with open_api(home, runtime(), ALONE) as remote:
            assert isinstance(remote, RemoteApi)
            assert remote.is_running is True
            await check(remote)
        nursery.cancel_scope.cancel()


@pytest.mark.real
@pytest.mark.slow
async def test_every_call_gives_the_same_beside_a_running_node_and_without(
    tmp_path: Path,
) -> None:
    async def check(api: NodeApi) -> None:
        before = len(await api.outgoing())
        sent = await api.send("bruno", "hello", lifetime_s=600)
        assert (sent["to"], sent["state"]) == ("bruno", "queued")
        assert len(await api.outgoing()) == before + 1
        assert (await api.message(sent["message"]))["text"] == "hello"
        assert await api.cancel(sent["message"]) is True
        assert await api.inbox() == []
        assert await api.mark_read(1) is False
        assert await api.peers() == []
        assert (await api.status())["name"] == "anna"
        path = str(tmp_path / f"{before}.mesh")
        assert (await api.export_file(path, ["bruno"]))["recipients"] == ["bruno"]
        with pytest.raises(Exception, match="not sealed to this device"):
            await api.import_file(path)
        papers = str(tmp_path / f"{before}.documents")
        written = (await api.export_documents(papers))["documents"]
        taken = await api.import_documents(papers)
        assert (taken["documents"], taken["taken"]) == (written, 0)
        assert written > 1
        with pytest.raises(Exception, match="cannot be read"):
            await api.import_documents(str(tmp_path / "nothing"))
        with pytest.raises(Exception, match="no device is called 'nobody'"):
            await api.send("nobody", "x")
        told: list[Any] = []
        with pytest.raises(Exception, match=r"127\.0\.0\.1:9"):
            await api.sync("127.0.0.1:9", told.append)

    await both_ways(tmp_path, check)


@pytest.mark.real
@pytest.mark.slow
async def test_following_needs_a_running_node(tmp_path: Path) -> None:
    async def check(api: NodeApi) -> None:
        events = api.follow()
        if not api.is_running:
            with pytest.raises(ControlError) as caught:
                await anext(events)
            assert caught.value.kind == "not_running"
            return
        assert await anext(events) == {"event": "following"}
        assert isinstance(events, AsyncGenerator)
        await events.aclose()

    await both_ways(tmp_path, check)


@pytest.mark.real
async def test_a_home_that_is_no_node_is_told(tmp_path: Path) -> None:
    with pytest.raises(EnrolmentError):
        async with open_api(tmp_path / "empty", runtime(), ALONE):
            pass


@pytest.mark.real
@pytest.mark.slow
async def test_a_busy_home_is_waited_for_and_then_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = await enrolled_home(tmp_path, "anna")
    monkeypatch.setattr(module, "BUSY_S_MAX", 0.3)
    with locked(Home(home)), pytest.raises(HomeBusyError):
        async with open_api(home, runtime(), ALONE):
            pass

    monkeypatch.undo()

    async def hold(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with locked(Home(home)):
            task_status.started()
            await trio.sleep(0.15)

    async with trio.open_nursery() as nursery:
        await nursery.start(hold)
        async with open_api(home, runtime(), ALONE) as api:
            assert (await api.status())["name"] == "anna"


# --- a running node that lies ------------------------------------------------------------------


async def answered(*lines: bytes) -> Any:
    """Ask for the state of a node that answers with these lines."""
    here, there = memory_stream_pair()
    api = RemoteApi(LineStream(here, 1_000))
    for line in lines:
        await there.send_all(line)
    await there.send_eof()
    return await api.status()


async def test_the_answer_to_our_question_is_returned(autojump_clock: MockClock) -> None:
    assert await answered(b'{"id": 1, "result": {"name": "x"}}\n') == {"name": "x"}
    assert await answered(b'{"id": 1, "event": {}}\n', b'{"id": 1, "result": 5}\n') == 5


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"", "gone"),
        (b"garbage\n", "line"),
        (b'{"id": 2, "result": {}}\n', "line"),
        (b'{"result": {}}\n', "line"),
        (b"x" * 2_000, "line"),
        (b'{"id": 1, "error": {"kind": "SendError", "message": "no"}}\n', "SendError"),
    ],
)
async def test_what_is_no_answer_is_an_error(
    autojump_clock: MockClock, line: bytes, kind: str
) -> None:
    with pytest.raises(ControlError) as caught:
        await answered(line)
    assert caught.value.kind == kind


async def test_progress_of_a_contact_is_passed_on(autojump_clock: MockClock) -> None:
    here, there = memory_stream_pair()
    api, told = RemoteApi(LineStream(here, 1_000)), list[Any]()
    for record in ({"id": 1, "event": {"n": 1}}, {"id": 1, "result": {"n": 2}}):
        await there.send_all(json.dumps(record).encode() + b"\n")
    assert await api.sync("somewhere", told.append) == {"n": 2}
    assert told == [{"n": 1}]
