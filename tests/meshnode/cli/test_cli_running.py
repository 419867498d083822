"""Commands beside a running node, and the node that a command runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio

from meshnode.config import load_settings
from meshnode.node import Node
from meshnode.running import Access, run_home
from meshnode.runtime import system_runtime
from tests.meshnode.cli.people import People, Screen
from tests.patience import HANGS_S

pytestmark = [pytest.mark.slow, pytest.mark.real]


@asynccontextmanager
async def running(people: People, name: str) -> AsyncIterator[Node]:
    """Run the node of a home in this process, as `meshnode run` does."""
    home = people.home(name)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(HANGS_S):
            access = Access(lambda: os.environ["MESHNODE_SECRET"])
            node = await nursery.start(
                run_home, home, load_settings(home), system_runtime(), access
            )
        yield node
        nursery.cancel_scope.cancel()


async def typed(people: People, home: str, *words: str) -> Screen:
    """Type a command while the nodes of this process go on."""
    return await trio.to_thread.run_sync(partial(people.types, home, *words))


async def told(people: People, home: str, *words: str) -> Any:
    screen = await typed(people, home, *words, "--json")
    assert screen.code == 0, screen
    return json.loads(screen.out)


async def test_a_command_meets_a_running_node_and_delivers(
    squad: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(squad, "centre") as centre:
        address = str(centre.manager.listening[0])
        sent = await told(squad, "alice", "send", "codt", "Par le réseau")
        found = await told(squad, "alice", "sync", "--once", address)
        assert (found["name"], found["is_complete"]) == ("centre", True)
        (read,) = (await told(squad, "centre", "inbox"))["messages"]
        assert (read["text"], read["message"]) == ("Par le réseau", sent["message"])
        await told(squad, "alice", "sync", "--once", address)
        story = await told(squad, "alice", "message", "last")
        assert (story["state"], story["schema"]) == ("delivered", 1)
        (peer,) = (await told(squad, "alice", "peers"))["peers"]
        assert (peer["name"], peer["role"], peer["contacts"]) == ("centre", "gateway", 2)
        shown = (await typed(squad, "alice", "peers")).out
        assert shown.splitlines()[1].startswith("centre  gateway")
    card = squad.home("hq") / "cards" / "operator-1.card"
    revoke = ("authority", "revoke", "centre", "--card", str(card), "--yes", "--out")
    monkeypatch.setenv("MESHNODE_CARD_PASSPHRASE", "five quite ordinary words here")
    await typed(squad, "hq", *revoke, str(squad.home("alice")))
    (peer,) = (await told(squad, "alice", "peers"))["peers"]
    assert peer["is_revoked"] is True
    shown = (await typed(squad, "alice", "peers")).out
    assert shown.splitlines()[1].startswith("centre  gateway, revoked")


async def test_a_running_node_answers_and_refuses_like_one_that_is_opened(squad: People) -> None:
    async with running(squad, "alice") as alice:
        status = await told(squad, "alice", "status")
        assert status["is_running"] is True
        assert status["listening"] == [str(alice.manager.listening[0])]
        screen = await typed(squad, "alice", "status")
        assert str(alice.manager.listening[0]) in screen.out
        assert (await told(squad, "alice", "send", "bob", "écris"))["state"] == "queued"
        refused = await typed(squad, "alice", "send", "zoé", "x")
        assert (refused.code, refused.out) == (2, "")
        assert "no device is called 'zoé'" in refused.err
        assert (await typed(squad, "alice", "send", "zone", "x")).code == 7
        assert (await typed(squad, "alice", "sync", "--once", "127.0.0.1:1")).code == 5
        assert (await typed(squad, "alice", "sync", "--once", "127.0.0.1:x")).code == 5


async def test_a_command_beside_a_running_node_loads_no_node(squad: People) -> None:
    program = (
        "import sys; from meshnode.cli.main import execute; code = execute(sys.argv[1:]);"
        "print(code, sorted({'meshnode.node', 'sqlalchemy', 'cryptography', 'zeroconf', 'msgpack'}"
        " & set(sys.modules)), file=sys.stderr)"
    )
    async with running(squad, "alice"):
        for words in (["status"], ["send", "bob", "écris"], ["inbox", "--json"], ["peers"]):
            done = await trio.run_process(
                [sys.executable, "-c", program, "--home", str(squad.home("alice")), *words],
                capture_stdout=True,
                capture_stderr=True,
            )
            assert done.stderr == b"0 []\n", words
            assert done.stdout


async def test_a_second_node_on_one_home_is_refused_by_name_of_the_first(squad: People) -> None:
    async with running(squad, "alice"):
        with trio.fail_after(HANGS_S):
            done = await trio.run_process(
                command(squad, "alice", "run"), capture_stderr=True, check=False
            )
    assert done.returncode == 4
    assert f"in use by process {os.getpid()}" in done.stderr.decode()


def command(people: People, home: str, *words: str) -> list[str]:
    program = "import sys; from meshnode.cli.main import main; main()"
    return [sys.executable, "-c", program, "--home", str(people.home(home)), *words]


async def test_run_tells_what_happens_and_ends_when_told(squad: People) -> None:
    await told(squad, "alice", "send", "bob", "un secret")
    settings = squad.home("bob") / "meshnode.toml"
    settings.write_text(settings.read_text() + '[trace]\nfile = "trace.jsonl"\n')
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, stderr=subprocess.PIPE, check=False)
        node = await nursery.start(start, command(squad, "bob", "run"))
        lines = Lines(node.stderr)
        with trio.fail_after(2 * HANGS_S):
            address = (await lines.until("listening on ")).split("listening on ")[1]
            followed = await nursery.start(
                partial(trio.run_process, stdout=subprocess.PIPE, check=False),
                command(squad, "bob", "inbox", "--follow", "--json"),
            )
            await told(squad, "alice", "sync", "--once", address)
            seen = await lines.until("a message from alice for bob")
            await lines.until("alice is out of reach")
            (arrived,) = [json.loads(await Lines(followed.stdout).until("schema"))]
            assert (arrived["schema"], arrived["text"]) == (1, "un secret")
            followed.send_signal(signal.SIGINT)
            assert await followed.wait() == 130
            node.send_signal(signal.SIGTERM)
            assert await node.wait() == 0
    assert "un secret" not in seen
    trace = (squad.home("bob") / "trace.jsonl").read_text()
    assert all(json.loads(line)["schema"] == 1 for line in trace.splitlines())
    assert "un secret" not in trace


async def test_an_alarm_rings_on_a_running_node_and_its_answer_comes_back(squad: People) -> None:
    await told(squad, "alice", "sos", "Chute au col", "--at", "44.89,6.64")
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, stderr=subprocess.PIPE, check=False)
        node = await nursery.start(start, command(squad, "bob", "run"))
        lines = Lines(node.stderr)
        with trio.fail_after(60):
            address = (await lines.until("listening on ")).split("listening on ")[1]
            await told(squad, "alice", "sync", "--once", address)
            rung = await lines.until("SOS from alice: answer it with 'meshnode alarm show")
            assert set(await lines.until("!" * 72)) == {"!"}
            (found,) = (await told(squad, "bob", "alarms"))["alarms"]
            assert (found["state"], found["place"]["latitude"]) == ("raised", 44.89)
            assert "NOBODY ANSWERED" in (await typed(squad, "bob", "alarms")).out
            await lines.until("bob saw the SOS of alice")
            assert (await told(squad, "bob", "alarm", "take", "last"))["state"] == "taken"
            assert (await told(squad, "bob", "alarm", "take", "last"))["is_new"] is False
            await lines.until("bob goes to alice")
            await told(squad, "alice", "sync", "--once", address)
            node.send_signal(signal.SIGTERM)
            assert await node.wait() == 0
    (found,) = (await told(squad, "alice", "alarms"))["alarms"]
    assert (found["state"], [each["name"] for each in found["taken"]]) == ("taken", ["bob"])
    assert [each["name"] for each in found["seen"]] == ["bob"]
    assert "Chute" not in rung


async def test_a_locked_node_rings_for_an_alarm_that_it_cannot_read(squad: People) -> None:
    """An operations centre whose computer started anew at night must not be silent."""
    await told(squad, "alice", "sos", "Chute au col")
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, stderr=subprocess.PIPE, check=False)
        node = await nursery.start(start, command(squad, "bob", "run", "--locked"))
        lines = Lines(node.stderr)
        with trio.fail_after(2 * HANGS_S):
            address = (await lines.until("listening on ")).split("listening on ")[1]
            await told(squad, "alice", "sync", "--once", address)
            await lines.until("something about an SOS came, and nobody can read it")
            assert set(await lines.until("!" * 72)) == {"!"}
            node.send_signal(signal.SIGTERM)
            assert await node.wait() == 0


class Lines:
    """Reads the lines of a process."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._text = ""

    async def until(self, words: str) -> str:
        """Return everything up to the line that holds `words`, whose last line that is."""
        while True:
            for line in self._text.splitlines(keepends=True):
                if words in line and line.endswith("\n"):
                    before, _, self._text = self._text.partition(line)
                    return (before + line).rstrip().splitlines()[-1]
            data = await self._stream.receive_some()
            assert data, self._text
            self._text += bytes(data).decode()


async def test_following_ends_with_the_node(squad: People) -> None:
    async with trio.open_nursery() as nursery:
        ended: list[Screen] = []

        async def follow() -> None:
            ended.append(await typed(squad, "bob", "inbox", "--follow"))

        async with running(squad, "bob"):
            nursery.start_soon(follow)
            await trio.sleep(0.5)
    assert ended[0].code == 8


def test_a_bench_prints_its_figures(people: People) -> None:
    words = ["bench", "sync", "--messages", "10", "--repeats", "1"]
    figures = people.json("x", *words)
    wanted = {"messages", "cpu_seconds", "floor_cpu_seconds", "cpu_ratio", "wall_seconds"}
    wanted |= {"floor_wall_seconds", "wall_ratio", "wire_bytes", "bundle_bytes", "wire_ratio"}
    assert wanted | {"first_urgent_ms", "peak_mib"} <= set(figures)
    assert figures["messages"] == 10


def test_figures_for_people_are_one_a_line(people: People) -> None:
    shown = people.reads("x", "bench", "reconcile", "--ids", "2000", "--differences", "20")
    assert {"bytes", "round_trips", "contact_cpu_ms"} <= {
        line.split()[0] for line in shown.splitlines()
    }


def test_documents_are_measured_for_a_fleet_of_any_size(people: People) -> None:
    words = ["bench", "documents", "--identities", "1000", "--revocations", "2"]
    figures = people.json("x", *words)
    assert (figures["identities"], figures["revocations"]) == (1_000, 2)
    assert {"root_bytes", "roster_bytes", "list_bytes", "new_list_bytes"} <= set(figures)
    assert {"current_bytes", "merge_ms", "merge_cpu_ms"} <= set(figures)
