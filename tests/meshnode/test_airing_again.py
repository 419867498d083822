"""An alarm that nobody took goes on the air again, for whoever comes into hearing late."""

from __future__ import annotations

from functools import partial

import trio
from trio.testing import MockClock

from meshnode.around import untaken_alarms
from meshnode.outbox import Priority
from protocol.alarms import Step
from protocol.budgets import read_tariff
from protocol.guards import ALARM_REPEAT_EVERY_MS
from protocol.limits import Kind
from protocol.narrow.bounds import ALARM_RELAY_MS, ALARM_TIMES_MS
from tests.meshnode.rig import ZONE_SCOPE, open_rig
from tests.meshnode.test_airing import (
    ALL,
    PLANS,
    TARIFF,
    billed_beside_free,
    forms,
    listening,
    raise_sos,
    run,
    until,
)

EVERY_S = ALARM_REPEAT_EVERY_MS / 1000
FIRST = len(ALARM_TIMES_MS)
"""Sent in the first ten minutes."""


def test_whoever_comes_into_hearing_hours_later_hears_it() -> None:
    async def main() -> None:
        async with listening(dict.fromkeys(ALL, "")) as (rig, lines):
            anna, bruno = rig["anna"], rig["bruno"]
            await raise_sos(anna)
            await trio.sleep(2 * EVERY_S)
            before = len(forms(lines["anna"]))
            await trio.sleep(5 * EVERY_S)
            assert len(forms(lines["anna"])) == before + 5
            await trio.sleep(12 * EVERY_S)
            assert not await bruno.held(Kind.SOS)
            lines["anna"].peers.append(lines["bruno"])
            lines["bruno"].peers.append(lines["anna"])
            await until(partial(bruno.held, Kind.SOS), EVERY_S + 2)
            (view,) = await bruno.node.alarms.list_alarms()
            assert await bruno.node.alarms.act(view.name, Step.TAKEN)

            async def is_taken() -> bool:
                return not await untaken_alarms(anna.node)

            await until(is_taken)
            before = len(forms(lines["anna"]))
            await trio.sleep(12 * EVERY_S)
            # The answer that was heard is sent on, and then there is silence.
            assert len(forms(lines["anna"])) <= before + len(ALARM_RELAY_MS)

    run(main)


def test_a_billed_port_sends_it_in_its_first_minutes_alone_and_a_locked_device_goes_on() -> None:
    async def main() -> None:
        async with open_rig(PLANS[:2]) as rig, trio.open_nursery() as nursery:
            await rig.mix(*rig.members)
            anna, node = rig["anna"], rig["anna"].node
            lines, around = billed_beside_free(anna, read_tariff(TARIFF))
            await nursery.start(node.run, around)
            await raise_sos(anna)
            await trio.sleep(4 * EVERY_S)
            told = {name: len(forms(line)) for name, line in lines.items()}
            assert told["billed"] == FIRST
            assert told["free"] > FIRST
            await node.lock()
            await trio.sleep(4 * EVERY_S)
            assert len(forms(lines["billed"])) == FIRST
            assert len(forms(lines["free"])) == told["free"] + 4
            nursery.cancel_scope.cancel()

    run(main)


async def test_a_locked_device_knows_what_it_goes_on_saying(autojump_clock: MockClock) -> None:
    async with open_rig(PLANS[:2]) as rig:
        await rig.mix(*rig.members)
        anna, bruno = rig["anna"], rig["bruno"]
        for text in ("answered", "Au secours", "la jambe est cassée, " * 30):
            await anna.send(ZONE_SCOPE, text, Priority.SOS)
        await rig.carry("anna", "bruno", Kind.SOS)
        told = {each.steps[0].sos.text: each.name for each in await bruno.node.alarms.list_alarms()}
        assert await bruno.node.alarms.act(told["answered"], Step.SEEN)
        await rig.carry("bruno", "anna", Kind.SOS)
        open_ones = await untaken_alarms(anna.node)
        assert len(open_ones) == 3, "one who saw it does not go yet"
        await anna.node.lock()
        said = await untaken_alarms(anna.node)
        # Seen is as much as it knows of: of the long one it says the beginning, its last word.
        assert len(said) == 2
        assert said < open_ones
        # And nothing of what is known to have been delivered.
        await rig.carry("bruno", "anna", Kind.RECEIPT)
        assert await untaken_alarms(anna.node) == set()
