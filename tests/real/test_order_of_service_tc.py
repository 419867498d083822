"""An SOS and a text overtake 50 MB of bulk over TCP, on a cable that `tc` slows to 1 MB/s.

Two whole nodes, each a process on its own host; the kernel's buffers are part of the way.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from meshnode import authority_keys
from meshnode.client import NodeApi, open_api
from meshnode.config import load_settings
from meshnode.discovery.base import DEFAULT_PORT
from meshnode.enrol import badge_key, load_identity, open_keys
from meshnode.running import open_home
from meshnode.runtime import system_runtime
from meshnode.vault import wrapping
from protocol import bundle as bundles
from protocol.bundle import Header, Scope, Suite
from protocol.ids import squad_id_of
from protocol.limits import CHAIN_MESSAGES_MAX, Kind
from tests.meshnode.cli.people import People
from tests.meshnode.enrolling import CHEAP, SECRET
from tests.patience import TRIES
from tests.real.netns import Bridge, Host, require_namespaces

pytestmark = [pytest.mark.real, pytest.mark.slow]

ZONE = 7
BULK_BUNDLES = 800
BULK_BODY_BYTES = 64_000
BATCH = 100
HOUR_MS, HOUR_BUNDLES = 3_600_000, 200
RATE = "8mbit"
SOS_S_MAX = 1.0
TEXT_S_MAX = 3.0
STARTS_S_MAX = 60.0
GIVE_UP_S = 60.0
_MAIN = "import sys; from meshnode.cli.main import main; sys.exit(main())"


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> People:
    """Alice and Bob of one squad, and an archive whose pictures one of them carries."""
    require_namespaces()
    monkeypatch.setenv("MESHNODE_PASSPHRASE", "five quite ordinary words here")
    monkeypatch.setenv("MESHNODE_SECRET", SECRET)
    monkeypatch.setattr(authority_keys, "SCRYPT_COST", 2)
    monkeypatch.setattr(wrapping, "AGENT_COST", CHEAP)
    people = People(tmp_path)
    people.reads("hq", "authority", "init", "--network", "Alpes", "--zone", str(ZONE))
    # A gateway, whose quota such a load fits.
    people.enrol("archive", "gateway")
    for name in ("alice", "bob"):
        people.enrol(name, "agent", "Queyras")
    return people


def settle_in(people: People, name: str, dials: str) -> None:
    """Let a node listen everywhere and dial one address, or nobody."""
    (people.home(name) / "meshnode.toml").write_text(
        f"[links]\nlisten = ['0.0.0.0:{DEFAULT_PORT}']\nstatic = [{dials}]\n"
        "[discovery]\nmdns = false\nprobe = false\n[web]\nlisten = ''\n"
    )


async def load_bulk(people: People, name: str) -> None:
    """Let a home hold 50 MB that nobody here can open."""
    runtime, secret = system_runtime(), os.environ["MESHNODE_SECRET"]
    author, home = people.home("archive"), people.home(name)
    vault = open_keys(author, runtime).unlocked_vault(secret)
    identity, key = load_identity(author, vault), badge_key(author, vault)
    async with open_home(home, load_settings(home), runtime, secret=secret) as node:
        for start in range(0, BULK_BUNDLES, BATCH):
            batch = []
            for number in range(start, start + BATCH):
                header = Header(
                    suite=Suite.CHAIN,
                    kind=Kind.CHUNK,
                    author=identity.node,
                    incarnation=1,
                    seq=number + 1,
                    hlc=(runtime.now_ms() - HOUR_MS * (number // HOUR_BUNDLES)) << 16,
                    lifetime_s=86_400,
                    scope=Scope.for_squad(ZONE, squad_id_of(ZONE, "elsewhere")),
                    keyref=runtime.entropy(8),
                    index=number % CHAIN_MESSAGES_MAX,
                )
                body = runtime.entropy(BULK_BODY_BYTES)
                made = bundles.build(header, body, key.sign)
                batch.append((0, made.raw))
            await node.relay.receive(None, batch)
        assert sum(node.store.class_counts.values()) >= BULK_BUNDLES


def start(people: People, name: str, host: Host) -> subprocess.Popen[bytes]:
    log = people.folder / f"{name}.log"
    argv = [sys.executable, "-c", _MAIN, "--home", str(people.home(name)), "run"]
    with log.open("ab") as out:
        process = host.popen(argv, stdout=out, stderr=out)
    until_s = time.monotonic() + STARTS_S_MAX
    while "listening on" not in log.read_text():
        assert time.monotonic() < until_s, log.read_text()
        time.sleep(0.05)
    return process


async def arrives(sender: NodeApi, receiver: NodeApi, *, sos: bool) -> float:
    """Write a message; return how long until people could read it at the other end."""
    started_s = trio.current_time()
    sent = await sender.send("zone" if sos else "squad:Queyras", f"at {started_s}", sos=sos)
    while sent["message"] not in {each["message"] for each in await receiver.inbox(limit=1_000)}:
        assert trio.current_time() - started_s < GIVE_UP_S
        await trio.sleep(0.02)
    return trio.current_time() - started_s


async def in_contact(api: NodeApi) -> None:
    """Return as soon as a node has a session."""
    started_s = trio.current_time()
    while not (await api.status())["sessions"]:
        assert trio.current_time() - started_s < GIVE_UP_S
        await trio.sleep(0.01)


async def bulk_at(api: NodeApi) -> int:
    return int((await api.status())["store"]["by_class"]["bulk"])


@dataclass(frozen=True, slots=True)
class Times:
    """How long messages took, seconds, in the order in which they were written."""

    sos: list[float]
    """Of an SOS."""
    texts: list[float]
    """Of a text."""

    @property
    def are_soon(self) -> bool:
        """All of them keep their bounds."""
        return max(self.sos) < SOS_S_MAX and max(self.texts) < TEXT_S_MAX

    def best(self, other: Times) -> Times:
        """Return the shorter time of each moment."""
        return Times(list(map(min, self.sos, other.sos)), list(map(min, self.texts, other.texts)))


async def measure(sender: NodeApi, receiver: NodeApi) -> Times | None:
    """Write at link-up and three times in mid-transfer; return how long each took.

    None where the machine was so slow that the line was idle or the bulk was through.
    """
    times = Times([], [])
    await in_contact(sender)
    for pause_s in (3.0, 1.3, 1.7, 0.0):
        times.sos.append(await arrives(sender, receiver, sos=True))
        times.texts.append(await arrives(sender, receiver, sos=False))
        await trio.sleep(pause_s)
    came = await bulk_at(receiver)
    print(f"{times}; {came} of {BULK_BUNDLES} bulk bundles came meanwhile")
    return times if BULK_BUNDLES // 20 < came < BULK_BUNDLES else None


@pytest.mark.parametrize("holder", ["alice", "bob"])
async def test_bulk_holds_up_neither_an_sos_nor_a_text(people: People, holder: str) -> None:
    # Alice dials; whoever holds the bulk writes, and its bulk goes the same way.
    await load_bulk(people, holder)
    # Three programs share the cores with others: what was slow for once is tried again from the
    # same homes. What bulk holds up is late at the same moment of each transfer.
    found: Times | None = None
    for attempt in range(TRIES):
        copy = People(people.folder.with_name(f"{people.folder.name}-{attempt}"))
        shutil.copytree(people.folder, copy.folder)
        times = await transferred(copy, holder)
        if times is None:
            continue
        found = times if found is None else found.best(times)
        if found.are_soon:
            break
    assert found is not None, "the line was idle or the bulk was through, each time"
    assert found.are_soon, found


async def transferred(people: People, holder: str) -> Times | None:
    """Let two nodes meet, one with the bulk; return how long their messages took, or None."""
    other = "bob" if holder == "alice" else "alice"
    with Bridge("slow", 2) as net:
        hosts = dict(zip(("alice", "bob"), net.hosts, strict=True))
        hosts["alice"].shape(RATE)
        settle_in(people, "bob", "")
        settle_in(people, "alice", f"'{hosts['bob'].address}:{DEFAULT_PORT}'")
        start(people, "bob", hosts["bob"])
        start(people, "alice", hosts["alice"])
        runtime = system_runtime()
        async with (
            open_api(people.home(holder), runtime) as sender,
            open_api(people.home(other), runtime) as receiver,
        ):
            assert sender.is_running
            assert receiver.is_running
            return await measure(sender, receiver)
