"""How often a node without peers wakes, and how much memory it keeps.

A whole node in a process of its own, as `meshnode run` starts it, watched from outside through
the kernel's counters. Whoever else is on the network is heard too, so the figures are those of a
quiet one. Source: architecture, budgets of an idle node.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import trio

from meshnode.bench.network import make_homes
from meshnode.bench.sync import BenchError
from meshnode.files import write_private
from meshnode.home import Home
from meshnode.lines import connect
from meshnode.runtime import system_runtime

__all__ = ["SETTLE_S", "measure", "resident_mib", "wakeups"]

OnSecond: TypeAlias = Callable[[int], None]

SETTLE_S: Final = 25
"""A start is over after this long: the last question on multicast is asked after 14 s, and
threads without work end after 10 s."""
_PROC: Final = Path("/proc")
_PROGRAM: Final = "import sys; from meshnode.cli.main import main; sys.exit(main())"
_SETTINGS: Final = b'[links]\nlisten = ["[::]:0", "0.0.0.0:0"]\n[web]\nlisten = ""\n'
"""Any free port: a node may run on this machine already; without screens, as a box runs."""
_START_S_MAX: Final = 60.0
_POLL_S: Final = 0.01


def measure(seconds: int, on_second: OnSecond = lambda _done: None) -> dict[str, Any]:
    """Return what an idle node costs, watched for `seconds` after it has settled.

    `on_second` is told how many of SETTLE_S and `seconds` are over.
    Keys: schema, seconds, start_seconds, wakeups, wakeups_per_hour, resident_mib. A wake-up is
    one voluntary context switch of any thread. Raises: BenchError where the kernel has no
    /proc, or the node does not run. Cost: `seconds` and half a minute.
    """
    if not (_PROC / "self" / "task").exists():
        raise BenchError("this system does not tell how often a process wakes: use Linux")
    return trio.run(_measure, seconds, on_second)


def wakeups(pid: int) -> int:
    """Return how often the living threads of a process gave up their core by themselves."""
    found = 0
    for task in (_PROC / str(pid) / "task").iterdir():
        try:
            found += int(_fields(task / "status")["voluntary_ctxt_switches"])
        except FileNotFoundError:
            # A thread that ended between the two looks.
            continue
    return found


def resident_mib(pid: int) -> float:
    """Return the memory that a process keeps in RAM, MiB."""
    return int(_fields(_PROC / str(pid) / "status")["VmRSS"].split()[0]) / 1024


def _fields(path: Path) -> dict[str, str]:
    return dict(line.split(":", 1) for line in path.read_text().splitlines())


async def _measure(seconds: int, on_second: OnSecond) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="meshnode-idle-") as name:
        homes = await make_homes(Path(name, "homes"), 1, system_runtime())
        write_private(homes.carrier / "meshnode.toml", _SETTINGS)
        started_s = trio.current_time()
        async with _running(homes.carrier) as process:
            start_s = trio.current_time() - started_s
            for done in range(SETTLE_S):
                on_second(done)
                await trio.sleep(1)
            before = wakeups(process.pid)
            for done in range(seconds):
                on_second(SETTLE_S + done)
                await trio.sleep(1)
            count = max(0, wakeups(process.pid) - before)
            if process.poll() is not None:
                raise BenchError("the node ended by itself")
            return {
                "schema": 1,
                "seconds": seconds,
                "start_seconds": round(start_s, 2),
                "wakeups": count,
                "wakeups_per_hour": round(count * 3_600 / seconds, 1),
                "resident_mib": round(resident_mib(process.pid), 1),
            }


@asynccontextmanager
async def _running(home: Path) -> AsyncIterator[trio.Process]:
    """Run the node of `home`; gives its process once it answers. Raises: BenchError."""
    command = [sys.executable, "-c", _PROGRAM, "--home", str(home), "run"]
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with trio.move_on_after(_START_S_MAX) as starting:
            await _answering(home, process)
        if starting.cancelled_caught or process.poll() is not None:
            raise BenchError("the node did not start")
        yield process
    finally:
        process.terminate()
        with trio.CancelScope(shield=True):
            await process.wait()


async def _answering(home: Path, process: trio.Process) -> None:
    """Return once the node answers, or has ended."""
    while process.poll() is None:
        lines = await connect(Home(home).control_socket)
        if lines is not None:
            await lines.aclose()
            return
        await trio.sleep(_POLL_S)
