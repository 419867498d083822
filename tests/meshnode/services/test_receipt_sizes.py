"""What receipts for twenty messages cost: bodies and whole bundles, of real nodes, printed.

*On the device* is promised as a whole bundle, header and signature included. *Read* is sealed
besides, so the promise is of its body: any sealed bundle has 145 bytes before it says a word.
"""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from meshnode.positions import Place
from protocol.bundle import Bundle
from protocol.limits import Kind
from tests.meshnode.rig import Member, Rig, squad_scope
from tests.meshnode.services.test_reading import read_all

PROMISED_BYTES = 150
MESSAGES = 20


async def newest(member: Member, kind: Kind) -> Bundle:
    """Return the newest bundle of a kind that a device wrote itself."""
    found = [each for each in await member.held(kind) if each.header.author == member.id]
    return max(found, key=lambda each: each.header.seq)


@pytest.mark.parametrize(
    "mixed", [False, True], ids=["in a row", "between positions, none beside another"]
)
async def test_receipts_for_twenty_messages(
    autojump_clock: MockClock, met: Rig, capsys: pytest.CaptureFixture[str], mixed: bool
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    if mixed:
        await anna.node.relay.announce(await anna.node.positions.open_shift(12), None)
    for number in range(MESSAGES):
        await anna.send(squad_scope(), f"{number}")
        if mixed:
            place = Place(44.89, 6.64)
            await anna.node.relay.announce(await anna.node.positions.report(place), None)
    await met.mix("anna", "bruno")
    assert await read_all(bruno) == MESSAGES
    await bruno.node.settle()
    on_device, read = await newest(bruno, Kind.RECEIPT), await newest(bruno, Kind.READ)
    sizes = {
        "on device, clear": (len(on_device.body), len(on_device.raw)),
        "read, sealed for the squad": (len(read.body), len(read.raw)),
    }
    with capsys.disabled():
        for what, (body, whole) in sizes.items():
            way = "between others" if mixed else "in a row"
            print(f"\n{MESSAGES} messages {way}: {what}: body {body} B, bundle {whole} B", end="")
    assert len(on_device.raw) < PROMISED_BYTES
    assert len(read.body) < PROMISED_BYTES
    # Header and signature: what any bundle costs.
    assert all(whole - body <= 132 for body, whole in sizes.values())
