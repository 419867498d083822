"""Real processes that lock: nothing of the secret stays in their memory, and they serve on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode.cli.exits import exit_for
from meshnode.client import RemoteApi, open_api
from meshnode.enrol import badge_key
from meshnode.errors import ControlError
from meshnode.home import Home
from meshnode.lines import connect
from meshnode.runtime import system_runtime
from meshnode.vault.keystore import KeyStore
from tests.architecture.tree import ROOT
from tests.environment import unmeasured
from tests.meshnode.cli.people import People

pytestmark = [pytest.mark.real, pytest.mark.slow]

SECRET = "five other ordinary words here"
"""What the squad's devices were enrolled with."""
PROGRAM = "from meshnode.cli.main import main; main()"
WAIT_S = 60
TEXT = "twelve people are on the move near Arvieux"


@contextmanager
def started(home: Path, *, secret: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Run the node of a home in a process of its own; what it tells goes to `told`."""
    changes = {"PYTHONPATH": str(ROOT), "MESHNODE_SECRET": secret}
    environment = {name: value for name, value in unmeasured(**changes).items() if value}
    with (home.parent / "told").open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "--home", str(home), "run"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stderr=told,
        )
        try:
            yield process
        finally:
            process.terminate()
            assert process.wait(WAIT_S) == 0, (home.parent / "told").read_text()


async def asked(home: Path, method: str, *arguments: object) -> Any:
    """Ask the running node, once it answers: a process that begins anew is not there for long."""
    for _ in range(WAIT_S * 20):
        lines = await connect(Home(home).control_socket)
        if lines is not None:
            try:
                return await getattr(RemoteApi(lines), method)(*arguments)
            except ControlError as error:
                if error.kind != "gone":
                    raise
            finally:
                await lines.aclose()
        await trio.sleep(0.05)
    raise AssertionError("no node answers")


async def until_lock_is(home: Path, is_locked: bool) -> dict[str, Any]:
    """Wait until a running node says so; return its state."""
    with trio.fail_after(WAIT_S):
        while True:
            status = await asked(home, "status")
            if status["lock"]["is_locked"] is is_locked:
                return dict(status["lock"])
            await trio.sleep(0.05)


def memory_of(pid: int) -> Iterator[bytes]:
    """Yield what stands in the readable memory of a process."""
    folder = Path("/proc") / str(pid)
    try:
        maps, memory = (folder / "maps").read_text(), (folder / "mem").open("rb", 0)
    except OSError as error:
        pytest.skip(f"the memory of a process cannot be read here: {error}")
    with memory:
        for line in maps.splitlines():
            span, rights, *_rest = line.split()
            if "r" not in rights or line.endswith(("[vvar]", "[vsyscall]")):
                continue
            start, end = (int(each, 16) for each in span.split("-"))
            try:
                memory.seek(start)
                yield memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue


def secrets_of(home: Path) -> dict[str, bytes]:
    """Return what the agent's secret opens, and the secret, by name."""
    keys = KeyStore.open(home)
    vault = keys.unlocked_vault(SECRET)
    badge = badge_key(home, vault).private_bytes_raw()
    return {"secret": SECRET.encode(), "badge": badge, "master": keys.agent_master(SECRET)}


def found_in(pid: int, wanted: Mapping[str, bytes]) -> set[str]:
    """Return which of the known secrets stand in the memory of a process."""
    found: set[str] = set()
    for part in memory_of(pid):
        found |= {name for name, value in wanted.items() if value in part}
    return found


def command_of(pid: int) -> list[str]:
    """Return the command line of a process."""
    return (Path("/proc") / str(pid) / "cmdline").read_text().split("\0")[:-1]


async def until_anew(pid: int) -> None:
    """Wait until a process has become a fresh one that stays locked."""
    for _ in range(WAIT_S * 20):
        if "--locked" in command_of(pid):
            return
        await trio.sleep(0.05)
    raise AssertionError("it did not begin anew")


async def test_after_locking_the_process_is_another_and_remembers_nothing(
    squad: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A leader's shell may hold the passphrases of a unit authority and of a card, too.
    monkeypatch.setenv("MESHNODE_CARD_PASSPHRASE", "five words of a card")
    home = squad.home("alice")
    known = secrets_of(home)
    with started(home, secret=SECRET) as process:
        await until_lock_is(home, is_locked=False)
        await asked(home, "send", "codt", TEXT)
        before = await trio.to_thread.run_sync(found_in, process.pid, known)
        assert before == set(known), "the look finds what is there"
        listening = (await asked(home, "status"))["listening"]
        assert await asked(home, "lock") is True
        state = await until_lock_is(home, is_locked=True)
        assert state["protection"] == "words"
        assert process.poll() is None, "the same process, with another program"
        await until_anew(process.pid)
        status = await asked(home, "status")
        assert status["lock"]["is_locked"] is True
        assert len(status["listening"]) == len(listening) == 1
        assert await trio.to_thread.run_sync(found_in, process.pid, known) == set()
        environment = (Path("/proc") / str(process.pid) / "environ").read_bytes()
        for name in (b"MESHNODE_SECRET", b"MESHNODE_PASSPHRASE", b"MESHNODE_CARD_PASSPHRASE"):
            assert name not in environment

        # It opens again by the secret alone, and everything is there.
        with pytest.raises(ControlError, match="not the secret of this device") as caught:
            await asked(home, "unlock", "not this one")
        assert exit_for(caught.value).code == 10
        assert (await asked(home, "status"))["metrics"]["unlocks_refused"] == 1
        assert await asked(home, "unlock", SECRET) is True
        (sent,) = await asked(home, "outgoing")
        assert sent["text"] == TEXT

        # A second time it is the same: the option is not added again.
        await asked(home, "lock")
        await trio.sleep(0.5)
        await until_lock_is(home, is_locked=True)
        assert command_of(process.pid).count("--locked") == 1
        assert await trio.to_thread.run_sync(found_in, process.pid, known) == set()


async def test_without_its_secret_a_device_starts_locked_and_says_so(squad: People) -> None:
    home = squad.home("alice")
    with started(home):
        await until_lock_is(home, is_locked=True)
        for method in ("inbox", "outgoing"):
            with pytest.raises(ControlError) as caught:
                await asked(home, method)
            assert (caught.value.kind, exit_for(caught.value).code) == ("LockedError", 10)
        assert await asked(home, "lock") is False, "nothing to lock, and nothing to begin anew"
    assert "meshnode unlock" in (home.parent / "told").read_text()


async def test_idleness_locks_a_real_process(squad: People) -> None:
    home = squad.home("alice")
    with (home / "meshnode.toml").open("a") as settings:
        settings.write("[security]\nauto_lock_s = 1\n")
    with started(home, secret=SECRET) as process:
        await until_lock_is(home, is_locked=True)
        await until_anew(process.pid)
        # Told to stop before it listens for that, it would end by the signal.
        await asked(home, "status")


async def test_a_command_asks_a_running_node_without_its_own_secret(squad: People) -> None:
    home = squad.home("alice")
    with started(home, secret=SECRET):
        await until_lock_is(home, is_locked=False)
        async with open_api(home, system_runtime()) as api:
            assert api.is_running
            found = await api.keys()
        assert found["lock"]["protection"] == "words"
        assert found["chains"] == 0
        assert found["prekey"]["ends_ms"] > found["prekey"]["issued_ms"]
        assert {each["purpose"] for each in found["network"]} >= {"network", "zone_sos"}
