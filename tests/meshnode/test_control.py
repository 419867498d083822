"""The control socket against clients that mean no good: it answers, or ends them, and serves on."""

from __future__ import annotations

import inspect
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_one_way_pair, memory_stream_pair

from meshnode import control
from meshnode.api import Api
from meshnode.control import serve_control
from meshnode.errors import ControlError, HomeError
from meshnode.lines import LineStream, connect, reachable
from tests.meshnode.rig import Rig, open_rig
from tests.patience import HANGS_S

pytestmark = pytest.mark.real


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[Rig]:
    """Serve anna's commands at `path`."""
    async with open_rig() as rig:
        await rig.mix("anna", "bruno")
        node = rig["anna"].node
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_control, path, Api(node), node.runtime)
            yield rig
            nursery.cancel_scope.cancel()


async def raw(path: Path) -> trio.SocketStream:
    """Return a connection that sends what it likes."""
    return await trio.open_unix_socket(str(path))


async def answer(stream: trio.abc.Stream, data: bytes) -> Any:
    """Send bytes and return the answer, None if the node ended the connection."""
    await stream.send_all(data)
    got = bytearray()
    with trio.fail_after(HANGS_S):
        while not got.endswith(b"\n"):
            part = await stream.receive_some(65_536)
            if not part:
                return None
            got += part
    return json.loads(got)


async def ask(path: Path, method: Any, params: Any = None, number: Any = 1) -> Any:
    """Ask one question over a connection of its own."""
    request = {"id": number, "method": method, "params": {} if params is None else params}
    async with await raw(path) as stream:
        return await answer(stream, json.dumps(request).encode() + b"\n")


async def assert_serves(path: Path) -> None:
    """Assert that an honest client is served."""
    found = await ask(path, "status", number="still there")
    assert found["id"] == "still there"
    assert found["result"]["name"] == "anna"


async def test_commands_are_answered_in_order_over_one_connection(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with served(path), await raw(path) as stream:
        for number in range(3):
            request = {
                "id": number,
                "method": "send",
                "params": {"to": "bruno", "text": f"{number}"},
            }
            found = await answer(stream, json.dumps(request).encode() + b"\n")
            assert found["id"] == number
            assert found["result"]["state"] == "queued"
        found = await answer(stream, b'{"id": 9, "method": "outgoing"}\n')
        assert [each["text"] for each in found["result"]] == ["0", "1", "2"]


async def test_only_the_owner_can_open_the_socket_and_it_goes_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with served(path):
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()
    assert await connect(path) is None


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\n",
        b"\xff\xfe\x00\n",
        b"[1, 2]\n",
        b'"text"\n',
        b"\n",
        b"[" * 200_000 + b"\n",
        b'{"a":' * 50_000 + b"\n",
    ],
)
async def test_what_is_no_request_ends_the_connection_and_nothing_else(
    tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "control.sock"
    async with served(path):
        async with await raw(path) as stream:
            assert await answer(stream, data) is None
        await assert_serves(path)


async def test_a_huge_line_ends_the_connection_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with served(path):
        async with await raw(path) as stream:
            with pytest.raises(trio.BrokenResourceError):
                for _ in range(1_000):
                    await stream.send_all(b"x" * 65_536)
        await assert_serves(path)


async def test_half_a_line_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with served(path):
        for data in (b'{"id": 1, "meth', b"", b'{"id": 1, "method": "send"}'):
            async with await raw(path) as stream:
                await stream.send_all(data)
        await assert_serves(path)


@pytest.mark.parametrize(
    ("method", "params", "kind"),
    [
        ("fly", {}, "method"),
        ("_find", {"text": "x"}, "method"),
        ("__init__", {}, "method"),
        ("", {}, "method"),
        (None, {}, "method"),
        (["send"], {}, "method"),
        ({"a": 1}, {}, "method"),
        ("send", [], "method"),
        ("send", "x", "method"),
        ("send", {}, "params"),
        ("send", {"to": "bruno"}, "params"),
        ("send", {"to": "bruno", "text": "x", "self": 1}, "params"),
        ("send", {"to": "bruno", "text": "x", "speed": 1}, "params"),
        ("send", {"to": 5, "text": "x"}, "params"),
        ("send", {"to": "bruno", "text": ["x"]}, "params"),
        ("send", {"to": "bruno", "text": "x", "sos": 1}, "params"),
        ("send", {"to": "bruno", "text": "x", "lifetime_s": "60"}, "params"),
        ("send", {"to": "bruno", "text": "x", "lifetime_s": 1e9}, "params"),
        ("send", {"to": "bruno", "text": "x", "lifetime_s": True}, "params"),
        ("send", {"to": "bruno", "text": "\ud800"}, "SendError"),
        ("send", {"to": "\ud800", "text": "x"}, "UnknownNameError"),
        ("send", {"to": "nobody", "text": "x"}, "UnknownNameError"),
        ("send", {"to": "bruno", "text": "x", "priority": "\udfff"}, "SendError"),
        ("inbox", {"after": "0"}, "params"),
        ("inbox", {"after": 2**63}, "params"),
        ("inbox", {"limit": -(2**70)}, "params"),
        ("mark_read", {"key": None}, "params"),
        ("mark_read", {"key": True}, "params"),
        ("message", {"message": "\ud800"}, "SendError"),
        ("message", {"message": "99999999999999999999999"}, "SendError"),
        ("cancel", {"message": "1.2.3"}, "SendError"),
        ("sync", {"address": "a b"}, "LinkError"),
        ("sync", {"address": "a", "progress": "print"}, "params"),
        ("export_file", {"path": "a\0b"}, "params"),
        ("export_file", {"path": "/x", "to": "bruno"}, "params"),
        ("export_file", {"path": "/x", "to": [1]}, "params"),
        ("export_file", {"path": "/x", "to": ["nobody"]}, "UnknownNameError"),
        ("import_file", {"path": 7}, "params"),
        ("import_documents", {"path": 7}, "params"),
        ("export_documents", {"path": "a\0b"}, "params"),
        ("export_documents", {"path": "/nowhere/x"}, "StickError"),
    ],
)
async def test_a_wrong_request_is_answered_by_its_error(
    tmp_path: Path, method: Any, params: Any, kind: str
) -> None:
    path = tmp_path / "control.sock"
    async with served(path) as rig:
        found = await ask(path, method, params, number=[1, "x"])
        assert found["id"] == [1, "x"]
        assert found["error"]["kind"] == kind
        assert found["error"]["message"]
        assert await rig["anna"].outgoing() == []
        await assert_serves(path)


async def test_numbers_out_of_reason_are_met_with_reason(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with served(path):
        for params in ({"limit": -1}, {"limit": 0}, {"after": 2**63 - 1}, {"after": -(2**62)}):
            assert (await ask(path, "inbox", params))["result"] == []
        assert (await ask(path, "inbox", {"limit": 2**62}))["result"] == []
        assert (await ask(path, "mark_read", {"key": 2**62}))["result"] is False


async def test_a_follower_hears_and_may_go(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with served(path) as rig:
        async with await raw(path) as stream:
            first = await answer(stream, b'{"id": 4, "method": "follow"}\n')
            assert first == {"id": 4, "event": {"event": "following"}}
            await rig["anna"].send(rig["bruno"].scope, "hello")
            heard = await answer(stream, b"")
            assert heard["event"]["event"] in ("bundles_stored", "message_changed")
        await assert_serves(path)


async def test_more_clients_than_places_wait_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "CONTROL_CLIENTS_MAX", 2)
    path = tmp_path / "control.sock"
    async with served(path):
        first, second = await raw(path), await raw(path)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(assert_serves, path)
            await trio.sleep(0.05)
            await first.aclose()
        await second.aclose()
        await assert_serves(path)


async def test_what_a_killed_node_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    assert await connect(path) is None
    async with served(path):
        await assert_serves(path)


async def test_a_place_where_nothing_can_listen_is_told(tmp_path: Path) -> None:
    async with open_rig() as rig:
        node = rig["anna"].node
        with pytest.raises(HomeError, match="cannot listen"):
            await serve_control(tmp_path / "no" / "control.sock", Api(node), node.runtime)


async def test_a_socket_deep_in_the_tree_is_reached(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 90) / ("y" * 90)
    folder.mkdir(parents=True)
    path = folder / "control.sock"
    async with reachable(path) as name:
        assert len(name) < 108
    async with served(path):
        lines = await connect(path)
        assert lines is not None
        await lines.send({"id": 1, "method": "status"})
        found = await lines.receive()
        assert found is not None
        assert found["result"]["name"] == "anna"
        await lines.aclose()


# --- lines -------------------------------------------------------------------------------------


async def test_a_reader_that_reads_nothing_is_given_up(autojump_clock: MockClock) -> None:
    sender, _receiver = memory_stream_one_way_pair()

    async def never() -> None:
        await trio.sleep_forever()

    sender.send_all_hook = never
    lines = LineStream(trio.StapledStream(sender, _receiver), 100)
    began_s = trio.current_time()
    with pytest.raises(ControlError) as caught:
        await lines.send({"a": 1})
    assert caught.value.kind == "gone"
    assert trio.current_time() - began_s == 30


async def test_lines_come_out_as_they_went_in(autojump_clock: MockClock) -> None:
    here, there = memory_stream_pair()
    ours, theirs = LineStream(here, 1_000), LineStream(there, 1_000)
    records: list[dict[str, Any]] = [{"a": "é\n"}, {}, {"b": [1, None, "\ud800"]}]
    for record in records:
        await ours.send(record)
    assert [await theirs.receive() for _ in records] == records
    await ours.aclose()
    assert await theirs.receive() is None
    with pytest.raises(ControlError):
        await theirs.send({})


async def test_a_line_may_come_byte_by_byte_and_has_a_bound(autojump_clock: MockClock) -> None:
    here, there = memory_stream_pair()
    lines = LineStream(there, 10)
    for byte in b'{"a":1}\n':
        await here.send_all(bytes([byte]))
    assert await lines.receive() == {"a": 1}
    await here.send_all(b"x" * 11)
    with pytest.raises(ControlError) as caught:
        await lines.receive()
    assert caught.value.kind == "line"


def test_every_call_takes_parameters_of_known_types_alone() -> None:
    unknown = [
        f"{method}: {name}"
        for method in sorted(control._METHODS)
        for name, parameter in inspect.signature(getattr(Api, method)).parameters.items()
        if name not in ("self", "progress") and str(parameter.annotation) not in control._TYPES
    ]
    assert unknown == []
