"""A gateway that a whole region finds again at once: links held, messages taken, memory.

`python -m tests.benchmarks.crowd DEVICES` enrols that many devices, runs a gateway with its
archive in this process and the devices in others, lets each write to the centre and all dial at
once, and waits until the archive has every message and the devices know. Then it holds the links
for a while and looks whether memory stands still. Prints one line of JSON; source: decision 54.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import trio

from meshnode.around import surroundings_of
from meshnode.authority_home import AuthorityHome, Network
from meshnode.bench.network import enrol
from meshnode.config import DiscoverySettings, LinkSettings, Settings
from meshnode.memory import calm_collector
from meshnode.outbox import Writing
from meshnode.running import open_guarded, open_home
from meshnode.runtime import system_runtime
from meshnode.store import messages, spool
from meshnode.store.engine import Connection
from meshnode.store.records import MessageState
from protocol.bundle import Scope
from protocol.identity import Role

_PASSPHRASE = "a passphrase that protects nothing but this measurement"
_HOLD_S = 10.0
_GIVE_UP_S = 1_800.0
_PER_PROCESS = 50
"""Devices of one process: the threads of more would wait for each other, not for the gateway."""
_SILENT = DiscoverySettings(mdns=False, probe=False)
_CENTRE = Scope.for_codt(1)


def _settings(**links: tuple[str, ...]) -> Settings:
    return replace(Settings(), links=replace(LinkSettings(listen=()), **links), discovery=_SILENT)


def _rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 2**20, 1)


def _is_delivered(conn: Connection) -> bool:
    (sent,) = messages.list_outgoing(conn, 0, 2)
    return sent.state is MessageState.DELIVERED


async def _until(condition: Callable[[], bool]) -> None:
    while True:
        if condition():
            return
        await trio.sleep(0.1)


async def _found(folder: Path, devices: int) -> None:
    """Enrol a gateway and the devices, who all know of each other."""
    runtime, hq = system_runtime(), folder / "hq"
    hq.mkdir()
    network = Network("Crowd", 1, "Crowd")
    AuthorityHome.create(hq, _PASSPHRASE, network, runtime.now_ms(), runtime.entropy, scrypt_cost=2)
    with AuthorityHome.open(hq, _PASSPHRASE, runtime.entropy) as authority:
        await enrol(authority, folder / "gateway", "gateway", Role.GATEWAY, [], runtime)
        for number in range(devices):
            name = f"box{number}"
            squads = [f"squad {number // 9}"]
            await enrol(authority, folder / name, name, Role.AGENT, squads, runtime)
        documents = [document.raw for document in authority.state.documents]
    async with open_home(folder / "gateway", Settings(), runtime) as node:
        await node.membership.accept(documents)
    (folder / "documents").write_text(json.dumps([each.hex() for each in documents]))


async def _device(folder: Path, number: int, address: str, written: list[int]) -> None:
    """Run one device until cancelled: it writes once, and tells when the centre has it."""
    runtime, settings = system_runtime(), _settings(static=(address,))
    documents = json.loads((folder / "documents").read_text())
    async with open_home(folder / f"box{number}", settings, runtime) as node:
        await node.membership.accept([bytes.fromhex(each) for each in documents])
        await node.outbox.send(Writing(_CENTRE, f"here is box {number}"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.run, surroundings_of(settings, runtime, node))
            with node.events.subscribe() as news:
                while not await node.store.read(_is_delivered):
                    await news.next()
            written.append(number)
            await trio.sleep_forever()


async def _crowd(folder: Path, numbers: range, address: str) -> None:
    done: list[int] = []
    async with trio.open_nursery() as nursery:
        for number in numbers:
            nursery.start_soon(_device, folder, number, address, done)
        await _until(lambda: len(done) >= len(numbers))
        print(json.dumps({"known": len(done)}), flush=True)
        await trio.sleep_forever()


@asynccontextmanager
async def _crowds(folder: Path, devices: int, address: str) -> AsyncIterator[list[trio.Process]]:
    """Run all devices, and end them."""
    crowds: list[trio.Process] = []
    try:
        for first in range(0, devices, _PER_PROCESS):
            numbers = (first, min(first + _PER_PROCESS, devices))
            command = [sys.executable, "-m", __spec__.name, "crowd", str(folder), address]
            crowds.append(
                await trio.lowlevel.open_process(
                    [*command, *map(str, numbers)], stdout=subprocess.PIPE
                )
            )
        yield crowds
    finally:
        for each in crowds:
            each.kill()
        for each in crowds:
            await each.wait()


async def _known(crowds: list[trio.Process]) -> int:
    """Return how many devices know that the centre has their message, once all of them do."""
    known = 0
    for each in crowds:
        assert each.stdout is not None
        known += json.loads(await each.stdout.receive_some(100))["known"]
    return known


async def _gateway(folder: Path, devices: int) -> dict[str, float]:
    settings = _settings(listen=("127.0.0.1:0",))
    async with open_guarded(folder / "gateway", settings, system_runtime()) as guard:
        node, gateway = guard.node, guard.gateway
        assert gateway is not None, "the home is a gateway's"
        gateway.found()
        feeder = await gateway.feeder()
        async with trio.open_nursery() as nursery:
            around = surroundings_of(settings, node.runtime, node)
            (listening, *_rest) = await nursery.start(node.run, around)
            nursery.start_soon(feeder.run)
            began_s, before_mib = time.monotonic(), _rss_mib()
            async with _crowds(folder, devices, f"127.0.0.1:{listening.port}") as crowds:
                await _until(lambda: len(node.manager.sessions) >= devices)
                linked_s = time.monotonic() - began_s
                assert await _known(crowds) == devices
                known_s, after_mib = time.monotonic() - began_s, _rss_mib()
                links = len(node.manager.sessions)
                await trio.sleep(_HOLD_S)
                held_mib = _rss_mib()
                waiting = (await node.store.read(spool.waiting)).rows
            nursery.cancel_scope.cancel()
        return {
            "devices": devices,
            "links": links,
            "links_refused": node.metrics.value("links_refused"),
            "linked_s": round(linked_s, 1),
            "known_s": round(known_s, 1),
            "archived": node.metrics.value("archive_bundles"),
            "waiting": waiting,
            "memory_mib_before": before_mib,
            "memory_mib_after": after_mib,
            "memory_mib_held": held_mib,
        }


async def _measure(devices: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="meshnode-bench-") as name, trio.fail_after(_GIVE_UP_S):
        await _found(Path(name), devices)
        return await _gateway(Path(name), devices)


def main(arguments: list[str]) -> None:
    """Measure, or be a crowd: `crowd FOLDER ADDRESS FIRST END`."""
    calm_collector()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8_192), hard))
    if arguments[0] == "crowd":
        numbers = range(int(arguments[3]), int(arguments[4]))
        trio.run(partial(_crowd, Path(arguments[1]), numbers, arguments[2]))
        return
    print(json.dumps(trio.run(_measure, int(arguments[0])) | {"cores": os.cpu_count() or 1}))


if __name__ == "__main__":
    main(sys.argv[1:])
