"""`meshnode sos` on a locked device: by its secret, in one step, whatever the lease says."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode.lease import BoundFile
from meshnode.runtime import system_runtime
from protocol.guards import LEASE_MS
from tests.meshnode.cli import test_cli_locked_process as processes
from tests.meshnode.cli.people import People
from tests.meshnode.cli.test_cli_locked_process import (
    SECRET,
    asked,
    found_in,
    secrets_of,
    started,
    until_anew,
    until_lock_is,
)

pytestmark = pytest.mark.slow

WRONG = "none of these are the words"


@pytest.fixture
def shut(squad: People) -> People:
    """The squad, whose Alice has heard nothing of the centre for longer than her lease."""
    end = BoundFile(squad.home("alice") / "lease")
    end.write(system_runtime().now_ms() + LEASE_MS + 60_000)
    return squad


def in_file(folder: Path, words: str) -> str:
    """Write words that a command reads."""
    path = folder / f"{words[:4]}.txt"
    path.write_text(f"{words}\n")
    return str(path)


def test_where_no_node_runs_it_is_kept_and_all_else_stays_closed(shut: People) -> None:
    said = shut.reads("alice", "sos", "Chute au col", "--at", "44.89,6.64")
    assert "DOES NOT LEAVE YET, for no node runs here" in said
    assert "Your position goes along: 44.89000, 6.64000." in said
    assert "The device stays shut" in said
    found = shut.json("alice", "sos", "Encore")
    assert (found["is_shut"], found["is_key_old"], found["place"]) == (True, False, None)
    for words in (("alarms",), ("inbox",), ("board",), ("send", "bob", "Bonjour"), ("position",)):
        assert shut.types("alice", *words).code != 0, words
    shown = shut.reads("alice", "alarm", "show", found["alarm"])
    assert shown.startswith("NOBODY IS KNOWN TO HAVE IT yet")
    assert shut.json("alice", "alarm", "show", found["alarm"])["way"] == "queued"
    assert "opens nothing else" in shut.fails(10, "alice", "alarm", "show", "last")
    events = [each["event"] for each in shut.json("alice", "audit", "show")["entries"]]
    assert events.count("sos_while_shut") == 2


def test_a_wrong_secret_or_none_raises_nothing(
    shut: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MESHNODE_SECRET")
    assert "its secret raises an SOS" in shut.fails(10, "alice", "sos", "x")
    wrong, right = in_file(shut.folder, WRONG), in_file(shut.folder, SECRET)
    assert "not the secret" in shut.fails(10, "alice", "sos", "x", "--secret-file", wrong)
    assert shut.json("alice", "status")["store"]["by_class"]["sos"] == 0
    shut.reads("alice", "sos", "x", "--secret-file", right)
    assert shut.json("alice", "status")["store"]["by_class"]["sos"] == 1


def test_in_french(shut: People) -> None:
    said = shut.reads("alice", "--lang", "fr", "sos")
    assert "L'appareil reste fermé" in said


@pytest.mark.real
async def test_between_two_running_homes(shut: People) -> None:
    """Alice's node runs shut; what she raises is with Bob at the next contact."""
    alice = shut.home("alice")

    async def typed(name: str, *words: str) -> Any:
        return await trio.to_thread.run_sync(partial(shut.json, name, *words))

    with started(alice):
        await until_lock_is(alice, is_locked=True)
        listening = (await asked(alice, "status"))["listening"][0]
        raised = await typed("alice", "sos", "Chute au col")
        assert raised["is_running"]
        assert raised["is_shut"]
        shown = ("alarm", "show", raised["alarm"])
        assert (await typed("alice", *shown))["way"] == "queued"
        await typed("bob", "sync", "--once", listening)
        (found,) = (await typed("bob", "alarms"))["alarms"]
        told = (found["alarm"], found["from"], found["text"])
        assert told == (raised["alarm"], "alice", "Chute au col")
        assert (await typed("alice", *shown))["way"] == "left"
        assert (await asked(alice, "status"))["lock"]["is_locked"]


@pytest.mark.real
async def test_while_the_lease_runs_one_step_unlocks_and_raises(squad: People) -> None:
    alice = squad.home("alice")
    with started(alice):
        await until_lock_is(alice, is_locked=True)
        said = await trio.to_thread.run_sync(squad.reads, "alice", "sos", "Chute au col")
        assert "See who answers" in said
        await until_lock_is(alice, is_locked=False)


@pytest.mark.real
async def test_what_was_lent_leaves_the_memory_and_the_alarm_stays(
    shut: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process begins anew behind the alarm; here after a second, and not ten minutes."""
    sooner = f"import meshnode.locking; meshnode.locking.FORGET_S = 1.0; {processes.PROGRAM}"
    monkeypatch.setattr(processes, "PROGRAM", sooner)
    alice = shut.home("alice")
    known = secrets_of(alice)
    with started(alice) as process:
        await until_lock_is(alice, is_locked=True)
        raised = await asked(alice, "sos_by_secret", SECRET, "Chute au col")
        assert raised["is_shut"]
        await until_anew(process.pid)
        assert await asked(alice, "alarm_way", raised["alarm"]) == "queued"
        assert await trio.to_thread.run_sync(found_in, process.pid, known) == set()
        assert (await asked(alice, "status"))["lock"]["is_locked"]
