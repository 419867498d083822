"""Two gateways that cannot reach each other for half an hour: nothing twice, no receipt lost."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from meshnode.gateway.archive.archive import Archive, open_archive
from meshnode.gateway.archive.records import Query
from meshnode.gateway.feeder import Feeder
from meshnode.store.records import MessageState
from protocol.identity import Role
from protocol.limits import Kind
from sims.fleet import DevicePlan
from tests.meshnode.gateway.parts import MASTER
from tests.meshnode.rig import CODT, SQUAD, Rig, open_rig

pytestmark = [pytest.mark.slow, pytest.mark.real]
Address = tuple[str, Path]
GATEWAYS = ("north", "south")
PLANS = (
    DevicePlan("anna", Role.AGENT, (SQUAD,)),
    DevicePlan("bruno", Role.AGENT, (SQUAD,)),
    *(DevicePlan(name, Role.GATEWAY) for name in GATEWAYS),
)
PARTITION_S = 30 * 60
ROUNDS = 3


def test_half_an_hour_apart_and_together_again(address: Address) -> None:
    trio.run(_apart, address, clock=MockClock(autojump_threshold=0))


async def _apart(address: Address) -> None:
    async with open_rig(PLANS) as rig:
        for name in GATEWAYS:
            rig[name].store.spool_bytes_max = 10**9
        await _meet(rig, *(each.name for each in PLANS))
        await _live(rig, address)


async def _live(rig: Rig, address: Address) -> None:
    anna, bruno = rig["anna"], rig["bruno"]
    async with AsyncExitStack() as stack:
        feeders = [await _feeder(stack, rig, name, address) for name in GATEWAYS]
        sent = [await anna.send(CODT, f"before {number}") for number in range(3)]
        await _meet(rig, "anna", *GATEWAYS)
        for number in range(10):
            await trio.sleep(PARTITION_S / 10)
            sent.append(await anna.send(CODT, f"anna {number}"))
            await bruno.send(CODT, f"bruno {number}")
            # Anna reaches the north alone and Bruno the south; each second text goes both ways.
            await _meet(rig, "anna", "north")
            await _meet(rig, "bruno", "south")
            if number % 2:
                await rig.carry("anna", "bruno")
                await rig.carry("bruno", "south")
            for feeder in feeders:
                await feeder.drain()
        await _meet(rig, *(each.name for each in PLANS))
        for feeder in feeders:
            await feeder.drain()
        archive = feeders[0]._archive
        await _nothing_twice(rig, archive)
        for each in sent:
            message = await anna.message(each.key)
            assert message.state is MessageState.DELIVERED, message.id
        again = sum(rig[name].metric("archive_again") for name in GATEWAYS)
        assert again > 0, "both brought something of the same"


async def _meet(rig: Rig, *names: str) -> None:
    """Let everybody have what the others hold, and what follows from that."""
    for _ in range(ROUNDS):
        for source in names:
            for target in names:
                if source != target:
                    await rig.carry(source, target)


async def _feeder(stack: AsyncExitStack, rig: Rig, name: str, address: Address) -> Feeder:
    member = rig[name]
    opened = open_archive(*address, member.machine.runtime, member.id, MASTER)
    archive = await stack.enter_async_context(opened)
    return Feeder(member.store, archive, member.machine.runtime, member.node.metrics)


async def _nothing_twice(rig: Rig, archive: Archive) -> None:
    expected = [f"before {number}" for number in range(3)]
    expected += [f"{who} {number}" for number in range(10) for who in ("anna", "bruno")]
    # One receipt of the centre is enough, so what reached one gateway need not reach the other.
    shown = [Counter(await rig[name].texts()) for name in GATEWAYS]
    assert all(count == 1 for each in shown for count in each.values())
    assert set().union(*shown) == set(expected)
    contents = await archive.contents(Query(limit=1_000))
    texts = [each.raw.decode() for each in contents if each.raw and each.kind is Kind.TEXT]
    assert Counter(texts) == Counter(expected)
    names = [each.name for each in await archive.bundles(Query(limit=10_000))]
    assert len(set(names)) == len(names)
    assert (
        sum(1 for each in await archive.bundles(Query(limit=10_000)) if each.kind is Kind.TEXT)
        == 23
    )
