"""Two real nodes over a bad serial line: what the issue of narrow links asks for, measured."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from meshnode.discovery.stations import StationsHeard
from meshnode.links.serial_bearer import PortSettings, SerialBearer
from meshnode.node import Surroundings
from meshnode.positions import Place
from protocol.identity import Role
from protocol.limits import Kind
from sims.fleet import DevicePlan
from sims.secured import contexts_of
from tests.meshnode.links.lines import LineEnd, line_pair
from tests.meshnode.rig import SQUAD, Member, Rig, open_rig, squad_scope

pytestmark = pytest.mark.slow

NAMES = tuple(f"agent-{number}" for number in range(10))
PLANS = (
    *(DevicePlan(name, Role.AGENT, (SQUAD,)) for name in NAMES),
    DevicePlan("bruno", Role.AGENT, (SQUAD,)),
)
TEXTS = 50
PORT = PortSettings("/dev/ttyTEST0", 9_600)
WITHIN_S = 60.0


def over(member: Member, rig: Rig, line: LineEnd, folder: Path) -> Surroundings:
    """Give a node a serial port in place of its bearer."""
    folder.mkdir()
    contexts = contexts_of(member.device, rig.fleet, folder)
    bearer = SerialBearer(
        [PORT], lambda: contexts, member.machine.runtime, opener=lambda _path, _rate: line
    )
    bearer.metrics = member.node.metrics
    member.node.bearer = bearer
    heard = StationsHeard(bearer.heard, bearer.metrics)
    return Surroundings(discoveries=lambda _listening: (heard,))


@asynccontextmanager
async def squad_with_keys() -> AsyncIterator[Rig]:
    """Give agents who know each other's keys and have their shifts open."""
    async with open_rig(PLANS, sealing="hpke") as rig:
        await rig.mix(*rig.members)
        for member in rig.members.values():
            await member.node.relay.announce(await member.node.positions.open_shift(), None)
            await member.send(squad_scope(), "good morning")
        await rig.mix(*rig.members)
        yield rig


async def full(rig: Rig) -> None:
    """Let the first agent hold 50 new texts and 10 new positions that Bruno lacks."""
    first = rig[NAMES[0]]
    for number in range(TEXTS):
        await first.send(squad_scope(), f"{number}: nothing on the road to the pass so far")
    for name in NAMES:
        member = rig[name]
        place = Place(44.7 + len(name) / 100, 6.8, 12.0)
        await member.node.relay.announce(await member.node.positions.report(place), None)
        if name != NAMES[0]:
            await rig.carry(name, NAMES[0], Kind.POSITION)


async def until_arrived(bruno: Member, before: int) -> None:
    """Return once all the texts and a position of everybody are with Bruno."""
    while True:
        places = await bruno.node.positions.newest()
        if len(await bruno.texts()) - before == TEXTS and len(places) >= len(NAMES):
            return
        await trio.sleep(1)


def test_fifty_texts_and_ten_positions_within_a_minute(tmp_path: Path) -> None:
    async def main() -> None:
        async with squad_with_keys() as rig:
            await full(rig)
            left, right = line_pair(PORT.rate_bps, 0.5, 0.02, seed=7)
            first, bruno = rig[NAMES[0]], rig["bruno"]
            before = len(await bruno.texts())
            started_s = trio.current_time()
            async with trio.open_nursery() as nursery:
                for member, line in ((first, left), (bruno, right)):
                    around = over(member, rig, line, tmp_path / member.device.plan.name)
                    await nursery.start(member.node.run, around)
                with trio.fail_after(600):
                    await until_arrived(bruno, before)
                took_s = trio.current_time() - started_s
                nursery.cancel_scope.cancel()
            print(
                f"{TEXTS} texts and {len(NAMES)} positions at 9.6 kbit/s, 1 s round trip, "
                f"2 % loss: {took_s:.0f} s, {left.sent_bytes} and {right.sent_bytes} bytes"
            )
            assert took_s < WITHIN_S

    trio.run(main, clock=MockClock(autojump_threshold=0))
