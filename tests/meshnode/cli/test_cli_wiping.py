"""Orders on the screen, and what every command says in the home of a wiped device."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode.erasing import HomeState, is_agent_destroyed, state_of
from meshnode.runtime import system_runtime
from tests.meshnode.cli.people import People
from tests.meshnode.cli.test_cli_authority import card
from tests.meshnode.cli.test_cli_running import Lines, command, typed

pytestmark = [pytest.mark.slow, pytest.mark.real]

WORDS = (
    ("status",),
    ("inbox",),
    ("outbox",),
    ("peers",),
    ("orders",),
    ("keys",),
    ("lock",),
    ("unlock",),
    ("send", "bob", "hello"),
    ("sync", "--once", "127.0.0.1:9"),
)
GONE = "were destroyed: enrol in another --home"


@pytest.fixture(autouse=True)
def cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cards lie in the authority's folder, under its passphrase."""
    monkeypatch.setenv("MESHNODE_CARD_PASSPHRASE", "five quite ordinary words here")


def order_of(people: People, name: str, level: str) -> Path:
    """Return the file of an order that two holders of cards signed."""
    path = people.folder / f"order {level}"
    words = ["authority", "wipe", name, "--level", level, "--card", card(people, "wipe-1")]
    people.reads("hq", *words, "--yes", "--out", str(path))
    cosign = ("authority", "cosign", str(path), "--card", card(people, "wipe-2"))
    people.reads("hq", *cosign, keyboard=f"{name}\n")
    return path


def state(people: People, name: str) -> HomeState:
    """Return how a home stands."""
    return state_of(people.home(name), system_runtime())


def orders(people: People, name: str) -> Any:
    """Return what `orders` says in a home."""
    return people.json(name, "orders")["orders"]


def test_orders_are_shown_by_name(squad: People) -> None:
    assert "No wipe order" in squad.reads("alice", "orders")
    assert orders(squad, "alice") == []
    order = order_of(squad, "bob", "all")
    squad.reads("alice", "documents", "import", str(order))
    (shown,) = orders(squad, "alice")
    (device,) = shown["devices"]
    assert (shown["level"], device["name"], device["state"]) == ("all", "bob", "ordered")
    (_columns, row) = squad.reads("alice", "orders").splitlines()
    assert row.split()[-2:] == ["bob", "ordered"]


def test_a_command_that_brings_the_order_obeys_it_and_says_so(squad: People) -> None:
    order = order_of(squad, "alice", "all")
    assert GONE in squad.fails(10, "alice", "documents", "import", str(order))
    assert state(squad, "alice") is HomeState.REMNANT
    for words in WORDS:
        assert GONE in squad.fails(10, "alice", *words), words
    assert state(squad, "alice") is HomeState.REMNANT, "only somebody who takes it ends it"


def test_a_device_without_its_agent_says_so_and_goes_on(squad: People) -> None:
    order = order_of(squad, "alice", "agent")
    squad.types("alice", "documents", "import", str(order))
    for words in (("inbox",), ("send", "bob", "hello")):
        assert "keys of this device were destroyed:" in squad.fails(10, "alice", *words)
    assert squad.json("alice", "status")["lock"]["is_wiped"] is True
    assert "destroyed" in squad.reads("alice", "status")
    assert orders(squad, "alice")[0]["devices"][0]["state"] == "proven"


async def test_a_running_node_obeys_begins_anew_and_ends_once_its_proof_is_taken(
    squad: People,
) -> None:
    order = await trio.to_thread.run_sync(order_of, squad, "alice", "all")
    await typed(squad, "bob", "documents", "import", str(order))
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, stderr=subprocess.PIPE, check=False)
        node = await nursery.start(start, command(squad, "alice", "run", "--locked"))
        lines = Lines(node.stderr)
        with trio.fail_after(60):
            address = (await lines.until("listening on ")).split("listening on ")[1]
            await typed(squad, "bob", "sync", "--once", address)
            # The same process, which has forgotten everything it knew.
            await lines.until("stays until its proof is taken")
            while node.poll() is None:
                await typed(squad, "bob", "sync", "--once", address)
            assert await lines.until(GONE)
            assert await node.wait() == 10
    shown = json.loads((await typed(squad, "bob", "orders", "--json")).out)["orders"]
    assert shown[0]["devices"][0]["state"] == "proven"
    assert state(squad, "alice") is HomeState.OVER
    done = await trio.run_process(command(squad, "alice", "run"), capture_stderr=True, check=False)
    assert (done.returncode, GONE in done.stderr.decode()) == (10, True)


async def test_a_wiped_device_that_waits_ends_when_told(squad: People) -> None:
    order = await trio.to_thread.run_sync(order_of, squad, "alice", "all")
    await typed(squad, "alice", "documents", "import", str(order))
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, stderr=subprocess.PIPE, check=False)
        node = await nursery.start(start, command(squad, "alice", "run"))
        with trio.fail_after(60):
            await Lines(node.stderr).until("stays until its proof is taken")
            assert GONE in (await typed(squad, "alice", "status")).err
            node.send_signal(signal.SIGTERM)
            assert await node.wait() == 0
    assert state(squad, "alice") is HomeState.REMNANT


# --- without an order --------------------------------------------------------------------------


def test_an_agent_wipes_its_own_device_and_must_type_its_name(squad: People) -> None:
    assert squad.types("alice", "wipe", "--level", "all", keyboard="bob\n").code == 130
    assert state(squad, "alice") is HomeState.UNTOUCHED
    shown = squad.types("alice", "wipe", "--level", "all", keyboard="Alice\n")
    assert (shown.code, "Every key of this device is destroyed" in shown.out) == (0, True)
    assert state(squad, "alice") is HomeState.OVER, "no order, so no proof waits for anybody"
    left = {each.relative_to(squad.home("alice")) for each in squad.home("alice").rglob("*")}
    assert left == {Path("keys"), Path("keys/wiped"), Path("lock")}
    for words in WORDS:
        assert GONE in squad.fails(10, "alice", *words), words
    # Nothing that the program says afterwards promises more than is left.
    assert "another --home" in shown.out
    again = squad.reads("alice", "wipe", "--yes", "--level", "agent")
    assert "Every key of this device is destroyed" in again
    assert GONE in squad.fails(10, "alice", "init")
    assert not (squad.home("alice") / "meshnode.toml").exists()


def test_a_wiped_agent_leaves_a_carrier(squad: People) -> None:
    squad.reads("alice", "send", "bob", "hello")
    assert "goes on carrying" in squad.reads("alice", "wipe", "--yes")
    for said in (squad.fails(10, "alice", "inbox"), squad.reads("alice", "keys")):
        assert "destroyed" in said
        assert "by order" not in said, "nobody ordered it"
    assert squad.json("alice", "status")["lock"]["is_wiped"] is True
    assert state(squad, "alice") is HomeState.UNTOUCHED
    assert "goes on carrying" in squad.reads("alice", "wipe", "--yes"), "again is harmless"


@pytest.mark.parametrize("level", ["agent", "all"])
async def test_a_running_locked_node_wipes_itself_on_command(squad: People, level: str) -> None:
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, stderr=subprocess.PIPE, check=False)
        node = await nursery.start(start, command(squad, "alice", "run", "--locked"))
        lines = Lines(node.stderr)
        with trio.fail_after(60):
            await lines.until("listening on ")
            done = await typed(squad, "alice", "wipe", "--yes", "--level", level)
            assert (done.code, "destroyed" in done.out) == (0, True)
            if level == "agent":
                await lines.until("listening on ")
                status = json.loads((await typed(squad, "alice", "status", "--json")).out)
                assert status["lock"]["is_wiped"] is True
                node.send_signal(signal.SIGTERM)
                assert await node.wait() == 0
            else:
                assert await node.wait() == 10


@pytest.mark.parametrize("level", ["agent", "all"])
def test_keys_are_destroyed_where_the_store_cannot_be_opened(squad: People, level: str) -> None:
    home = squad.home("alice")
    (home / "store.sqlite").write_bytes(b"no database" * 1_000)
    (home / "store.sqlite-wal").unlink(missing_ok=True)
    words = ("wipe", "--level", level)
    assert squad.types("alice", *words, keyboard="bob\n").code == 130
    assert "destroyed" in squad.types("alice", *words, keyboard="alice\n").out
    assert is_agent_destroyed(home, system_runtime())
    assert not (home / "keys" / "tier1").exists()
    assert (home / "store.sqlite").exists() is (level == "agent")
    assert state(squad, "alice") is (HomeState.OVER if level == "all" else HomeState.UNTOUCHED)


def test_a_disk_that_takes_no_change_is_told(
    squad: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    (squad.home("alice") / "store.sqlite").write_bytes(b"no database")

    def refuse(*_arguments: object, **_named: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("meshnode.erasing.destroy_agent", refuse)
    assert "Read-only file system" in squad.fails(10, "alice", "wipe", "--yes")
