"""A device without its agent's keys: it serves everybody and reads nothing. Cases S18 and S27."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import trio
from sqlalchemy import text
from trio.testing import MockClock

from meshnode.errors import LeaseEndedError, LockedError
from meshnode.lease import BoundFile
from meshnode.locking import Guard, GuardParts
from meshnode.node import Node, Surroundings, open_node
from meshnode.running import beacons_of
from meshnode.store.dialect import WORDED
from meshnode.store.engine import Connection
from protocol.bundle import Bundle, Scope, Suite
from protocol.envelope import (
    HpkeSealer,
    PrekeySecret,
    decode_slots_untrusted,
    open_message,
    seal_info,
    slot_info,
)
from protocol.errors import MeshError
from protocol.guards import LEASE_MS
from protocol.identity import DeviceClass, Role
from protocol.limits import Kind
from sims.fleet import Device, DevicePlan
from sims.runtime import START_MS, Machine
from tests.meshnode.agent_secrets import SECRET, SealedKeys
from tests.meshnode.documents import beacon
from tests.meshnode.rig import ZONE_SCOPE, Member, Rig, open_rig, squad_scope
from tests.meshnode.test_node import running
from tests.security.test_relays_cannot_read import KEY_BYTES, PREKEY_BYTES, message_keys

pytestmark = pytest.mark.slow

WRITERS = {f"writer {number}": f"squad {number // 2}" for number in range(13)}
EACH = 77
"""Texts of one writer, within its quota of an hour; 1,001 in all."""
LAST = "writer 12"
CAST = (
    *(DevicePlan(name, Role.AGENT, (squad,)) for name, squad in WRITERS.items()),
    DevicePlan("reader", Role.AGENT, tuple(sorted(set(WRITERS.values())))),
    DevicePlan("mule", Role.RELAY),
)
SEALED = (Kind.TEXT, Kind.NOTE, Kind.SOS, Kind.CHAIN_KEYS)


# --- S18: what a locked process can reach --------------------------------------------------------


def reachable(root: object, *, besides: object = None) -> list[object]:
    """Return every object that can be reached from one, as the collector sees it."""
    found: dict[int, object] = {id(besides): besides}
    front: list[object] = [root]
    while front:
        each = front.pop()
        if id(each) in found or _is_code(each):
            continue
        found[id(each)] = each
        front += gc.get_referents(each)
    return list(found.values())


def _is_code(each: object) -> bool:
    """Classes and modules lead to all code there is, which holds no keys of this node."""
    if isinstance(each, type | ModuleType):
        return True
    return isinstance(each, dict) and "__builtins__" in each


def rows_of(conn: Connection) -> Iterator[bytes]:
    """Yield every value of the store that is no bundle."""
    names = conn.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars()
    for name in [each for each in names if each != "bundle" and not each.startswith("sqlite_")]:
        for row in conn.execute(text(f'SELECT * FROM "{name}"')):
            yield from (each for each in row if isinstance(each, bytes))


async def values_of(member: Member, node: Node) -> set[bytes]:
    """Return all bytes in the memory and in the store of a node, bundles left out."""
    # A node without links reaches no task, and so nothing of the test around it.
    # Statements in words are shared by all nodes of this process, and each remembers what the
    # first of them wrote with it: here the rows of others, which lie open in this test.
    found = reachable(node, besides=WORDED)
    assert not any(isinstance(each, Device) for each in found)
    carried = {bundle.raw for bundle in await member.held()}
    in_memory = {bytes(x) for x in found if isinstance(x, bytes | bytearray)}
    return (in_memory | set(await member.store.read(lambda c: list(rows_of(c))))) - carried


def trials(bundle: Bundle, keys: set[bytes], prekeys: set[bytes]) -> Iterator[Callable[[], object]]:
    """Yield every use of every possible key on one bundle."""
    sealer = HpkeSealer()
    if bundle.header.suite is not Suite.HYBRID:
        for value in keys:
            for key in message_keys(bundle, value):
                yield partial(open_message, key, bundle.header_bytes, bundle.body)
        return
    infos = [(seal_info(bundle.header_bytes), bundle.body)]
    if bundle.header.kind is Kind.CHAIN_KEYS:
        slots = decode_slots_untrusted(bundle.body)
        infos = [(slot_info(bundle.header_bytes, each.member), each.sealed) for each in slots]
    for value in prekeys:
        secret = PrekeySecret(bytes(8), 2**48 - 1, value)
        for info, sealed in infos:
            yield partial(sealer.open_hybrid, secret, info, sealed)


def opens(bundle: Bundle, values: set[bytes], *, everywhere: bool) -> bool:
    """Tell whether anything among `values`, or `everywhere` inside them, opens a bundle."""
    keys = {each for each in values if len(each) == KEY_BYTES}
    prekeys = {each for each in values if len(each) == PREKEY_BYTES}
    if everywhere:
        keys |= _windows(values, KEY_BYTES)
    for trial in trials(bundle, keys, prekeys):
        try:
            trial()
        except MeshError:
            continue
        return True
    return False


def _windows(values: set[bytes], size: int) -> set[bytes]:
    return {
        value[start : start + size] for value in values for start in range(len(value) - size + 1)
    }


@asynccontextmanager
async def locked(member: Member) -> AsyncIterator[Node]:
    """Open the node of a member without its agent's keys."""
    async with open_node(replace(member.parts, desk=None)) as node:
        yield node


async def carry_by(mule: Node, rig: Rig, names: Sequence[str]) -> None:
    """Let everybody in `names` meet the mule for a while, over links."""
    async with trio.open_nursery() as nursery:
        await nursery.start(mule.run, Surroundings())
        async with running(rig, **dict.fromkeys(names, ("mule",))):
            await trio.sleep(30)
        nursery.cancel_scope.cancel()


async def test_s18_a_process_with_the_keys_of_the_device_alone_relays_and_reads_nothing(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(CAST, sealing="hpke") as rig:
        reader, member = rig["reader"], rig["mule"]
        for name in WRITERS:
            await rig.carry("reader", name, Kind.PREKEY)
            await rig.carry(name, "reader", Kind.PREKEY)
        sent = set()
        for name in WRITERS:
            for number in range(EACH):
                scope = reader.scope if number % 4 == 0 else squad_scope(WRITERS[name])
                sent.add((await rig[name].send(scope, f"{name}: {number}")).id)
        assert len(sent) > 1_000

        async with locked(member) as mule:
            for name in WRITERS:
                await carry_by(mule, rig, [name])
        # The same after a restart: it starts locked, and hands over what it carries.
        async with locked(member) as mule:
            held = {x.header.id: x for x in await member.held(*SEALED)}
            assert sent <= set(held)
            await carry_by(mule, rig, ["reader"])
        assert len(await reader.texts()) == len(sent), "all delivered"
        assert member.metric("messages_opened") == 0

        async with locked(member) as mule:
            with pytest.raises(LockedError):
                _ = mule.inbox
            values = await values_of(member, mule)
        assert len(values) > 40
        bundles = list(held.values())
        first = [x for x in bundles if x.header.index == 0]
        ways = {(x.header.kind, x.header.suite) for x in first}
        assert {suite for _kind, suite in ways} == {Suite.CHAIN, Suite.HYBRID}
        sample = [x for way in sorted(ways) for x in _sealed_so(first, way)[:4]]
        assert [x.header for x in bundles if opens(x, values, everywhere=False)] == []
        assert [x.header for x in sample if opens(x, values, everywhere=True)] == []

        # The trials are worth something: the reader's store opens what it was written for.
        mine = await values_of(reader, reader.node)
        private = [x for x in bundles if x.header.scope == reader.scope]
        assert len(private) > 250
        assert all(opens(x, mine, everywhere=False) for x in private[:20])
        # And the store of a writer opens what it wrote under its chain.
        for bundle in _sealed_so(sample, (Kind.TEXT, Suite.CHAIN)):
            (writer,) = (each for each in rig.members.values() if each.id == bundle.header.author)
            assert opens(bundle, await values_of(writer, writer.node), everywhere=True)


def _sealed_so(bundles: Sequence[Bundle], way: tuple[Kind, Suite]) -> list[Bundle]:
    return [x for x in bundles if (x.header.kind, x.header.suite) == way]


async def test_s18_a_locked_reader_has_no_key_in_its_memory(autojump_clock: MockClock) -> None:
    """Its own mail waits unopened; what the memory of the process holds opens none of it."""
    async with open_rig(CAST[-3:], sealing="hpke") as rig:
        writer, reader = rig[LAST], rig["reader"]
        await rig.mix("reader", LAST)
        for number in range(20):
            await writer.send(reader.scope, f"private {number}")
        async with locked(reader) as node:
            raws = [(0, x.raw) for x in await writer.held(*SEALED)]
            await node.relay.receive(None, raws)
            # The rows of the database, and what its driver remembers of them, are not looked at.
            found = reachable(node, besides=reader.store)
            assert not any(isinstance(each, Device) for each in found)
            memory = {bytes(x) for x in found if isinstance(x, bytes | bytearray)}
            mail = [x for x in await reader.held(Kind.TEXT) if x.header.scope == reader.scope]
            assert len(mail) == 20
            assert [x.header for x in mail if opens(x, memory, everywhere=True)] == []
            with pytest.raises(LockedError):
                await node.inbox.open_some()
        assert await reader.texts() == []


# --- S27: the lease ------------------------------------------------------------------------------


HOUR_S = 3_600
EACH_HOURS = 5
LEASE_S = LEASE_MS / 1000


@asynccontextmanager
async def leased(member: Member, path: Path) -> AsyncIterator[Guard]:
    """Run the node of a member, locked at first, behind a guard that counts its lease."""
    assert member.parts.desk is not None
    async with open_node(replace(member.parts, desk=None)) as node, trio.open_nursery() as nursery:
        parts = GuardParts(
            node=node,
            sealer=member.parts.desk.sealer,
            keys=SealedKeys(member.device.keys.badge),
            view=beacons_of(node),
            device_class=DeviceClass.PHONE,
            enrolled_ms=START_MS,
            auto_lock_s=0,
            bound_file=BoundFile(path),
        )
        guard = Guard(parts)
        nursery.start_soon(guard.run)
        await nursery.start(node.run, Surroundings())
        yield guard
        nursery.cancel_scope.cancel()


def is_open(guard: Guard) -> bool:
    """Tell whether anything can be read and written."""
    return guard.node.desk is not None


async def exchanges(rig: Rig, said: str) -> bool:
    """Let bruno write to the gateway, over anna alone; tell whether it came."""
    scope = Scope.for_device(ZONE_SCOPE.zone, rig["gateway"].id)
    await rig["bruno"].send(scope, said)
    await trio.sleep(30)
    return said in await rig["gateway"].texts()


async def test_s27_without_a_beacon_the_agents_keys_lock_and_carrying_goes_on(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_rig(has_beacons=True) as rig:
        await rig.mix("anna", "bruno", "gateway")
        path = tmp_path / "lease"
        assert await rig["anna"].node.membership.accept([beacon(rig, 1, START_MS).raw]) == 1
        async with leased(rig["anna"], path) as guard:
            await guard.unlock(SECRET)
            async with running(rig, bruno=("anna",), gateway=("anna",)):
                await trio.sleep(10)
                hours = 0
                while is_open(guard):
                    # Data is exchanged all the time, and renews nothing.
                    assert await exchanges(rig, f"hour {hours}")
                    await trio.sleep(EACH_HOURS * HOUR_S - 30)
                    hours += EACH_HOURS
                    # Nor does a clock that is set back again and again.
                    _set_back(rig["anna"].machine, is_back=hours % 10 == 5)
                assert hours * HOUR_S == pytest.approx(LEASE_S, abs=EACH_HOURS * HOUR_S)
                assert guard.node.metrics.value("leases_ended") == 1
                assert await exchanges(rig, "after the end")
                with pytest.raises(LeaseEndedError):
                    await guard.unlock(SECRET)

        # After a restart it is the same, with the clock set back once more.
        _set_back(rig["anna"].machine, is_back=True)
        async with (
            leased(rig["anna"], path) as guard,
            running(rig, bruno=("anna",), gateway=("anna",)),
        ):
            await trio.sleep(10)
            with pytest.raises(LeaseEndedError):
                await guard.unlock(SECRET)
            assert guard.node.metrics.value("unlocks_refused") == 1
            assert await exchanges(rig, "after a restart")
            # A new beacon, and then the secret; the beacon alone opens nothing.
            fresh = beacon(rig, 2, START_MS + LEASE_MS + HOUR_S * 1000)
            assert await guard.node.membership.accept([fresh.raw]) == 1
            await trio.sleep(HOUR_S)
            assert not is_open(guard)
            await guard.unlock(SECRET)
            assert is_open(guard)
            assert await exchanges(rig, "open again")


def _set_back(machine: Machine, *, is_back: bool) -> None:
    """Set the clock back by as much as neighbours bear with, or right again."""
    machine.clock_ahead_ms = -20 * HOUR_S * 1000 if is_back else 0
