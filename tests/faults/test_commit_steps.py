"""Break a whole node at step 1, 2, 3 … of what it does, until it passes; then compare.

Twice for each step: as a fault that passes, which the node must heal while it runs, and as a cut
of the power, after which nothing reaches the disk until the node is started again. Either way it
ends where a node ends that nothing happened to: nothing lost, nothing twice. Source: STYLE 34.

Every step is broken where documents are accepted, and every one of all by night; else each run
takes one step of three, beginning with one that is drawn.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ed25519

from meshnode.errors import StoreError
from meshnode.links.memory import MemoryNetwork
from meshnode.node import Node, NodeParts, open_node
from meshnode.outbox import Priority, Writing
from meshnode.store.engine import open_store
from protocol import bundle as bundles
from protocol.authority import (
    DocumentClass,
    Member,
    RosterBody,
    Unit,
    build,
    decode_roster_untrusted,
    document_signer,
)
from protocol.bundle import Scope
from protocol.identity import DeviceClass, Role
from protocol.ids import squad_id_of
from protocol.limits import Kind
from protocol.reports import Reception
from protocol.routing.gain import Gain
from sims.disk import freeze
from sims.fleet import ZONE, DevicePlan, Fleet, make_fleet
from sims.network import address_of
from sims.runtime import START_MS, Machine, Tracer, seeded_entropy
from sims.sealer import StandInSealer
from tests.faults.breaking import broken
from tests.meshnode.store.parts import check

pytestmark = pytest.mark.slow

_SEED: Final = 41
_SQUAD: Final = "Queyras"
_STEPS_MAX: Final = 600
_STRIDE: Final = 3
_EVERY_STEP: Final = {"somebody joins"}
_HEAL_S: Final = 5.0
"""Virtual seconds in which rooms that failed start again and do what is left."""

_PLANS: Final = (
    DevicePlan("author", Role.AGENT, (_SQUAD,)),
    DevicePlan("reader", Role.AGENT, (_SQUAD,)),
    DevicePlan("late", Role.AGENT, (_SQUAD,)),
    DevicePlan("joiner", Role.AGENT, ("Ubaye",)),
    DevicePlan("gateway", Role.GATEWAY),
)

_RENEWED: Final = f"{int(Kind.RECEIPT)}, {int(Kind.AUDIT_HEAD)}"
_STORY: Final = {
    "messages": "SELECT direction, kind, text, state, reason, ended_ms > 0 FROM message",
    "recipients": "SELECT m.text, r.node, r.state FROM recipient r "
    "JOIN message m ON m.key = r.message",
    "ledger": "SELECT m.text, l.event, l.node, l.detail FROM ledger l "
    "JOIN message m ON m.key = l.message",
    "bundles": "SELECT a.node, b.incarnation, b.seq, b.kind, b.scope, b.is_own FROM bundle b "
    f"JOIN author a ON a.key = b.author WHERE b.kind NOT IN ({_RENEWED})",
    "audit heads": f"SELECT count(*) FROM bundle WHERE kind = {int(Kind.AUDIT_HEAD)}",
    "tombstones": f"SELECT reason FROM tombstone WHERE reason <> {int(Reception.SUPERSEDED)}",
    "unopened": "SELECT author, keyref = '' FROM unopened",
    "due": "SELECT author, page FROM receipt_due",
    "received": "SELECT author, seq FROM received",
    "chains": "SELECT scope, is_closed FROM sending_chain",
    "given": 'SELECT node, "index", at_ms > 0 FROM given',
    "read chains": "SELECT author, scope FROM receiving_chain",
    "documents": "SELECT document_class, scope, epoch, version FROM document",
    "own prekeys": "SELECT count(*) FROM own_prekey",
    "prekeys": "SELECT node FROM peer_prekey",
    "evidence": "SELECT subject FROM evidence",
}
"""All that a store says, without times and what is drawn at random.

And without the numbers of receipts and of heads of the audit log, which replace each other: what
is opened in two steps is receipted twice, and the second receipt takes the place of the first.
"""

_RECEIPTS: Final = f"SELECT raw FROM bundle WHERE kind = {int(Kind.RECEIPT)}"

_Story = dict[str, list[tuple[Any, ...]]]
_Work = Callable[[Node], Awaitable[object]]


@dataclass(frozen=True)
class _Case:
    """One thing that is done to one node."""

    name: str
    """Whose node."""
    base: Path
    """Its store before."""
    work: _Work
    """What comes from outside: somebody writes, or a peer brings something."""


class _Network:
    """The devices, their stores before anything happens, and how a node is opened on a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fleet: Fleet = make_fleet(_PLANS, seeded_entropy(_SEED, "authority"), START_MS)
        self._devices = {each.plan.name: each for each in self.fleet.devices}
        self.clock_ahead_ms = 0
        self.start_ms = 0
        """When by the clocks of the devices each case begins."""

    def begin(self) -> None:
        """Set all clocks to the begin of a case: the same work leaves the same bytes."""
        self.clock_ahead_ms = self.start_ms - round(trio.current_time() * 1000)

    def id_of(self, name: str) -> bytes:
        return self._devices[name].node

    @asynccontextmanager
    async def opened(self, name: str, path: Path, *, is_new: bool = False) -> AsyncIterator[Node]:
        device = self._devices[name]
        machine = Machine(_SEED, name, Tracer())
        machine.clock_ahead_ms = self.clock_ahead_ms
        runtime, sealer = machine.runtime, StandInSealer(machine.runtime.entropy)
        async with open_store(path, runtime) as store:
            if is_new:
                await self.fleet.furnish(device, store, runtime, sealer)
            bearer = MemoryNetwork().bearer(address_of(name), name.encode())
            parts = NodeParts(device.identity, store, runtime, Gain(), bearer, device.desk(sealer))
            async with open_node(parts) as node:
                yield node

    async def after(self, name: str, *works: _Work, base: Path | None = None) -> Path:
        """Return the store of `name` after `works`, done one after the other."""
        number = len(list(self.folder.glob("*.sqlite")))
        path = self.folder / f"{number} {name}.sqlite"
        if base is not None:
            shutil.copy(base, path)
        async with self.opened(name, path, is_new=base is None) as node, node.working():
            for work in works:
                await work(node)
                await _healed(node)
        return path


async def _healed(node: Node) -> None:
    await trio.sleep(_HEAL_S)
    # It looks around by itself within minutes.
    node.housekeeping.wake.set()
    await trio.sleep(1)


def _writes(scope: Scope, text: str, priority: Priority = Priority.NORMAL) -> _Work:
    return lambda node: node.outbox.send(Writing(scope, text, priority))


def _brings(*paths: Path) -> _Work:
    """A peer brings everything that lies in these stores."""
    batch = []
    for path in paths:
        with closing(sqlite3.connect(path)) as connection:
            batch += connection.execute("SELECT hops, raw FROM bundle ORDER BY key").fetchall()
    return lambda node: node.relay.receive(None, batch)


def _lets_in(network: _Network, name: str) -> _Work:
    """An authority's new list of the squad, with `name` on it."""
    old = next(
        roster
        for each in network.fleet.documents
        if each.cls is DocumentClass.ROSTER
        for roster in [decode_roster_untrusted(each.body)]
        if roster.name == _SQUAD
    )
    device = next(each for each in network.fleet.devices if each.plan.name == name)
    member = Member(device.badge.public_key, Role.AGENT, DeviceClass.PHONE, name)
    members = tuple(sorted((*old.members, member), key=lambda each: each.public_key))
    new = RosterBody(Unit.SQUAD, ZONE, old.unit_id, _SQUAD, members)
    # The key for documents is the first that a fleet draws.
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seeded_entropy(_SEED, "authority")(32))
    signers = [document_signer(key)]
    raw = build(DocumentClass.ROSTER, new.scope, (1, 2), START_MS + 1, new.encode(), signers).raw
    return lambda node: node.membership.accept([raw])


async def _cases(network: _Network) -> dict[str, _Case]:
    """Return every case, with what must have happened before."""
    squad = Scope.for_squad(ZONE, squad_id_of(ZONE, _SQUAD))
    to_squad = _writes(squad, "to the squad")
    to_reader = _writes(Scope.for_device(ZONE, network.id_of("reader")), "to the reader")
    to_late = _writes(Scope.for_device(ZONE, network.id_of("late")), "to one without a key")
    sos = _writes(Scope.for_zone(ZONE), "help", Priority.SOS)
    joins = _lets_in(network, "joiner")
    fresh = {each.name: await network.after(each.name) for each in _PLANS}
    author = await network.after("author", _brings(fresh["reader"]), base=fresh["author"])
    wrote = await network.after("author", to_squad, to_reader, to_late, sos, base=author)
    read = await network.after("reader", _brings(wrote), base=fresh["reader"])
    carrying = await network.after("joiner", _brings(wrote), base=fresh["joiner"])
    asking = await network.after("joiner", joins, _waits_long, base=carrying)
    knowing = await network.after("author", joins, base=wrote)
    return {
        "send to a squad": _Case("author", author, to_squad),
        "send to a device": _Case("author", author, to_reader),
        "send without a key": _Case("author", author, to_late),
        "send an SOS": _Case("author", author, sos),
        "a key comes": _Case("author", wrote, _brings(fresh["late"])),
        "messages come": _Case("reader", fresh["reader"], _brings(wrote)),
        "receipts come": _Case("author", wrote, _brings(read)),
        "somebody joins": _Case("joiner", carrying, joins),
        "a key is asked for": _Case("author", knowing, _brings(asking)),
    }


async def _waits_long(_node: Node) -> None:
    # Keys are not asked for in the first minute.
    await trio.sleep(90)


_NAMES: Final = (
    "send to a squad",
    "send to a device",
    "send without a key",
    "send an SOS",
    "a key comes",
    "messages come",
    "receipts come",
    "somebody joins",
    "a key is asked for",
)


@dataclass(frozen=True)
class _Prepared:
    """All cases, made once."""

    network: _Network
    cases: dict[str, _Case]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> _Prepared:
    network = _Network(tmp_path_factory.mktemp("cases"))

    async def prepare() -> dict[str, _Case]:
        cases = await _cases(network)
        # What follows begins on a new clock; to the nodes it is later all the same.
        network.start_ms = round(trio.current_time() * 1000)
        return cases

    cases = trio.run(prepare, clock=trio.testing.MockClock(autojump_threshold=0))
    assert set(cases) == set(_NAMES)
    return _Prepared(network, cases)


# --- breaking ------------------------------------------------------------------------------------


def _story(path: Path) -> _Story:
    with closing(sqlite3.connect(path)) as connection:
        told = {
            name: sorted(connection.execute(query).fetchall(), key=repr)
            for name, query in _STORY.items()
        }
        containers = [raw for (raw,) in connection.execute(_RECEIPTS)]
    receipts = [bundles.decode_untrusted(raw) for raw in containers]
    told["receipts"] = sorted(
        (each.header.author, each.header.scope.encode(), each.body) for each in receipts
    )
    return told


def _steps(name: str) -> range:
    """Return the steps that are broken; the last one is beyond all that the work does."""
    if name in _EVERY_STEP or os.environ.get("HYPOTHESIS_PROFILE") == "night":
        return range(1, _STEPS_MAX)
    first = random.randint(1, _STRIDE)
    print(f"every {_STRIDE}rd step from {first} on")
    return range(first, _STEPS_MAX, _STRIDE)


def _differences(found: _Story, wanted: _Story) -> dict[str, Any]:
    return {
        name: {"found": found[name], "wanted": wanted[name]}
        for name in wanted
        if found[name] != wanted[name]
    }


async def _tried(work: _Work, node: Node) -> bool:
    try:
        await work(node)
    except StoreError:
        return False
    return True


@pytest.mark.parametrize("name", _NAMES)
async def test_a_fault_at_any_step_heals(
    name: str, prepared: _Prepared, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    network, case = prepared.network, prepared.cases[name]
    network.begin()
    wanted = _story(await network.after(case.name, case.work, base=case.base))
    assert wanted != _story(case.base)
    path = tmp_path / "broken.sqlite"
    for step in _steps(name):
        shutil.copy(case.base, path)
        network.begin()
        async with network.opened(case.name, path) as node:
            async with node.working():
                with broken(step, is_cut=False) as breaker:
                    is_done = await _tried(case.work, node)
                    await _healed(node)
                if not is_done:
                    # Whoever was told that it failed tries once more.
                    await case.work(node)
                    await _healed(node)
            await check(node.store)
        assert not (found := _differences(_story(path), wanted)), (step, found)
        if not breaker.has_struck:
            break
    assert not breaker.has_struck
    assert step > 20, "the work has many steps, and each was broken"


@pytest.mark.parametrize("name", _NAMES)
async def test_a_power_cut_at_any_step_loses_nothing(
    name: str, prepared: _Prepared, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    network, case = prepared.network, prepared.cases[name]
    network.begin()
    wanted = _story(await network.after(case.name, case.work, base=case.base))
    path = tmp_path / "cut.sqlite"
    seen = set()
    for step in _steps(name):
        shutil.copy(case.base, path)
        network.begin()
        async with network.opened(case.name, path) as node, node.working():
            with broken(step, is_cut=True) as breaker:
                is_done = await _tried(case.work, node)
                await _healed(node)
        left = (is_done, freeze(path))
        if breaker.has_struck and left in seen:
            # Cut at another step of one transaction: what comes of the same bytes was seen.
            continue
        seen.add(left)
        async with network.opened(case.name, path) as node:
            assert node.store.rebuilt_count == 0
            async with node.working():
                await _healed(node)
                if not is_done:
                    await case.work(node)
                    await _healed(node)
            await check(node.store)
        assert not (found := _differences(_story(path), wanted)), (step, found)
        if not breaker.has_struck:
            break
    assert not breaker.has_struck
    assert step > 5, "the work has many steps, and each was broken"
