"""Kill -9 of any node at 200 random moments of a sync: everything arrives, nothing twice.

Real processes, stores on disk, TCP and TLS on the loopback. Each kill is followed by a look at
the disk of the dead node: what it acknowledged, receipted or announced must be there, for that is
the order: commit, acknowledge, announce. Source: STYLE 24 and 34.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode.demo.stage import enrol_all
from meshnode.runtime import system_runtime
from meshnode.store import messages
from meshnode.store.engine import open_store
from tests.environment import unmeasured
from tests.faults.killing import CAST, WRITERS, node_of
from tests.meshnode.enrolling import SECRET
from tests.meshnode.homes import vault_at
from tests.meshnode.store.parts import check

_ROOT = Path(__file__).parents[2]
_WORLDS = 4
_KILLS = 50
_WORLD_S_MAX = 280.0

_ADDRESSEES = {
    "squad:Queyras": {"author", "reader"},
    "codt": {"gateway"},
    "sos zone": {"author", "reader", "gateway"},
    # Whoever in the zone gets it may read it, but it stops once the centre has it.
    "sos codt": {"gateway"},
}

_PENDING = "SELECT count(*) FROM recipient WHERE state NOT IN ('on device', 'at gateway')"
_NAMES = """
    SELECT hex(a.node), b.incarnation, b.seq, hex(b.digest)
    FROM bundle b JOIN author a ON a.key = b.author
    UNION SELECT hex(author), incarnation, seq, hex(digest) FROM received
    UNION SELECT hex(author), incarnation, seq, hex(digest) FROM message WHERE digest IS NOT NULL
    UNION SELECT ?, incarnation, seq, hex(digest) FROM own_bundle
"""


@pytest.mark.slow
@pytest.mark.real
async def test_whoever_is_killed_whenever_all_arrives_and_nothing_twice(tmp_path: Path) -> None:
    homes = tmp_path / "homes"
    homes.mkdir()
    await enrol_all(homes, CAST, system_runtime(), SECRET)
    seed = random.randrange(10_000)
    found: dict[int, dict[str, Any]] = {}

    async def run(number: int) -> None:
        folder = tmp_path / f"world {number}"
        shutil.copytree(homes, folder)
        found[number] = await _run_world(folder, number)

    async with trio.open_nursery() as nursery:
        for number in range(seed, seed + _WORLDS):
            nursery.start_soon(run, number)
    moments = Counter[str]()
    for number, world in found.items():
        moments.update(world["moments"])
        faults = world["faults"] + await _faults(tmp_path / f"world {number}", world)
        assert not faults, (f"seed {number}", faults)
        print(f"seed {number}: {len(world['written'])} messages, settled {world['settled_s']} s")
    print(f"{moments.total()} kills: {dict(moments)}")
    assert moments.total() == _WORLDS * _KILLS
    # Most kills hit something that was under way.
    assert moments["nothing happened"] < moments.total() / 2


async def _run_world(folder: Path, seed: int) -> dict[str, Any]:
    with trio.fail_after(_WORLD_S_MAX):
        done = await trio.run_process(
            [sys.executable, "-m", "tests.faults.killing", str(folder), str(seed), str(_KILLS)],
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            cwd=_ROOT,
            # Tracing would make each start three times as long.
            env=unmeasured(),
            check=False,
        )
    assert done.returncode == 0, (f"seed {seed}", done.stdout.decode()[-4_000:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def _faults(folder: Path, world: dict[str, Any]) -> list[str]:
    """Return what is wrong with the world that a run left behind."""
    faults = []
    expected: dict[str, dict[str, str]] = {each.name: {} for each in CAST}
    known: dict[str, str] = {}
    targets = {text: (writer, to) for writer, to, text in world["written"]}
    for writer in sorted(set(WRITERS)):
        outgoing = await _outgoing(folder / writer)
        texts = Counter(text for _message, text, _state in outgoing)
        faults += [f"{writer} wrote {text!r} twice" for text, n in texts.items() if n > 1]
        kept = {message for message, _text, _state in outgoing}
        faults += [f"{writer} lost {each}" for each in world["taken"][writer] if each not in kept]
        for message, text, state in outgoing:
            if state != "delivered":
                faults.append(f"{text!r} ended as {state}")
            _writer, to = targets[text]
            for name in _ADDRESSEES.get(to, {to}) - {writer}:
                expected[name][message] = text
            known[message] = text
        pending = _rows(folder / writer, _PENDING)[0][0]
        if pending:
            faults.append(f"{writer} says delivered, and waits for {pending} recipients")
    for name, due in expected.items():
        shown = Counter((message, text) for message, text in world["shown"][name])
        faults += [f"{name} misses {each}" for each in due.items() if each not in shown]
        faults += [f"{name} shows {each} {n} times" for each, n in shown.items() if n > 1]
        for message, text in shown:
            may_see = text.endswith("sos codt") and name != "vehicle"
            if known.get(message) != text or not (message in due or may_see):
                faults.append(f"{name} shows {text!r}, which is not for it")
    return faults + await _store_faults(folder)


async def _outgoing(home: Path) -> list[tuple[str, str, str]]:
    """Return (message, text, state) of all that was written in a home."""
    path, vault = home / "store.sqlite", vault_at(home, SECRET)
    async with open_store(path, system_runtime(), vault=vault) as store:
        found = await store.read(lambda conn: messages.list_outgoing(conn, 0, 100_000))
    return [(str(each.id), each.text, each.state.value) for each in found]


async def _store_faults(folder: Path) -> list[str]:
    """Return two contents under one name, and stores whose sketches do not fit their rows."""
    faults = []
    digests: dict[tuple[str, int, int], set[str]] = {}
    for each in CAST:
        path = folder / each.name / "store.sqlite"
        vault = vault_at(folder / each.name, SECRET)
        async with open_store(path, system_runtime(), vault=vault) as store:
            if store.rebuilt_count:
                faults.append(f"{each.name} had to mend {store.rebuilt_count} sketches")
            await check(store)
        own = _rows(folder / each.name, "SELECT incarnation, seq FROM own_bundle")
        if len(own) != len(set(own)):
            faults.append(f"{each.name} used a number twice")
        evidence = _rows(folder / each.name, "SELECT subject FROM evidence")
        faults += [f"{each.name} has evidence of {subject}" for (subject,) in evidence]
        name = node_of(folder / each.name).hex().upper()
        for author, incarnation, seq, digest in _rows(folder / each.name, _NAMES, name):
            digests.setdefault((author, incarnation, seq), set()).add(digest)
    return faults + [f"two contents are called {key}" for key, n in digests.items() if len(n) > 1]


def _rows(home: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(home / "store.sqlite")) as connection:
        return connection.execute(query, values).fetchall()
