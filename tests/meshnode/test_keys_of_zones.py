"""Weekly keys in a network of two zones: the door is national, an SOS is its zone's."""

from __future__ import annotations

from trio.testing import MockClock

from protocol.identity import Role
from protocol.network_keys import KeyPurpose
from sims.fleet import DevicePlan
from tests.meshnode.rig import SQUAD, open_rig
from tests.meshnode.test_network_keys import RENEWAL_MS, WEEK, held, look, set_clocks

PLANS = (
    DevicePlan("anna", Role.AGENT, (SQUAD,)),
    DevicePlan("first", Role.OPERATOR),
    DevicePlan("west", Role.OPERATOR, zone=2),
    DevicePlan("yann", Role.AGENT, ("Modane",), zone=2),
)
NAMES = tuple(plan.name for plan in PLANS)


async def test_the_key_of_the_doors_goes_to_the_other_zone_and_that_of_an_sos_does_not(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(PLANS) as rig:
        await rig.mix(*NAMES)
        await set_clocks(rig, RENEWAL_MS)
        await look(rig, *NAMES)
        for _round in range(2):
            await rig.mix(*NAMES)
            await look(rig, *NAMES)
        doors = [await held(rig[name], KeyPurpose.KNOCK) for name in NAMES]
        assert {week for week, _key in doors[0]} == {WEEK, WEEK + 1}
        assert all(each == doors[0] for each in doors), "every zone opens to every zone"
        sos = {name: dict(await held(rig[name], KeyPurpose.ZONE_SOS)) for name in NAMES}
        assert sos["anna"] == sos["first"]
        assert sos["yann"] == sos["west"]
        assert sos["anna"][WEEK + 1] != sos["yann"][WEEK + 1]
