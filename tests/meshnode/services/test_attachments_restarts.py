"""Files at an operations centre of two, and what a crash leaves of one half taken in."""

from __future__ import annotations

from pathlib import Path

import trio
from trio.testing import MockClock

from meshnode.store import chunks
from meshnode.store.chunks import AttachmentState
from protocol.identity import Role
from protocol.ids import NodeId
from protocol.limits import Kind
from sims.fleet import DevicePlan
from tests.meshnode.rig import CODT, Rig, open_rig
from tests.meshnode.services.test_attachments import PIECES, only, pdf, send_file

__all__ = ["pdf"]

CENTRE = (
    DevicePlan("anna", Role.AGENT, ("Queyras",)),
    DevicePlan("box", Role.RELAY, ("Queyras",)),
    DevicePlan("east", Role.GATEWAY),
    DevicePlan("west", Role.GATEWAY),
)


async def test_two_gateways_that_got_one_half_each_make_it_whole(
    autojump_clock: MockClock, pdf: Path
) -> None:
    async with open_rig(CENTRE) as rig:
        names = [plan.name for plan in CENTRE]
        await rig.mix(*names)
        await send_file(rig["anna"], pdf, CODT)
        await rig.carry("anna", "box")
        held = await rig["anna"].held(Kind.CHUNK)
        for name, half in (("east", held[:3]), ("west", held[3:])):
            await rig.carry("anna", name, Kind.TEXT, Kind.CHAIN_KEYS)
            await rig[name].take(half)
            await rig.carry(name, "box", Kind.RECEIPT)
        assert await rig["box"].held(Kind.CHUNK) == [], "each is at one member: carriers let go"
        await rig.mix("east", "west")
        for name in ("east", "west"):
            assert (await only(rig[name])).record.state is AttachmentState.COMPLETE, name
        await rig.carry("east", "anna", Kind.RECEIPT)
        assert (await only(rig["anna"])).record.state is AttachmentState.COMPLETE


async def test_what_a_crash_left_half_taken_in_goes_at_the_next_start(
    autojump_clock: MockClock, met: Rig, pdf: Path
) -> None:
    anna = met["anna"]
    await anna.node.attachments.intake.take_in(pdf, None, keeps_place=False)
    assert await anna.store.read(lambda c: c.exec_driver_sql(PIECES).scalar_one()) == 6
    await anna.node.settle()
    assert await anna.store.read(lambda c: c.exec_driver_sql(PIECES).scalar_one()) == 6, "busy"
    desk = anna.parts.desk
    assert desk is not None
    await anna.node.lock()
    anna.node.open_desk(desk)
    await anna.node.settle()
    assert await anna.store.read(lambda c: c.exec_driver_sql(PIECES).scalar_one()) == 0


async def test_what_a_file_cost_is_written_down_also_after_a_write_that_was_cut_off(
    autojump_clock: MockClock, met: Rig, pdf: Path
) -> None:
    anna, peer = met["anna"], NodeId(met["box"].id)
    await send_file(anna, pdf)
    spending = anna.node.relay.spending
    (short, *_more) = await anna.store.read(chunks.open_chunks)
    spending.note(peer, {short: 1_000})
    with trio.CancelScope() as scope:
        scope.cancel()
        await anna.node.attachments.work()
    assert scope.cancelled_caught
    assert await anna.store.read(chunks.spent) == {}
    spending.note(peer, {short: 200})
    await anna.node.settle()
    assert list((await anna.store.read(chunks.spent)).values()) == [1_200]
