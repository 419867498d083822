"""The coverage map: learned in a shift alone, told after it, joined by who was never there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.errors import QuotaError, SendError
from meshnode.positions import Place
from meshnode.services.coverage_map import PER_DAY_MAX, CoverageLearning
from meshnode.services.readings import CoverageRead, FixedReadings, Network, PlaceRead
from meshnode.vault.kinds import DAY_MS, day_of
from protocol import payloads
from protocol.bundle import Scope, Suite
from protocol.cells import Part, cell_of
from protocol.coverage import WINDOW_DAYS, Contribution, Count, Square
from protocol.envelope import pad, seal_message
from protocol.forecast import Verdict, forecast
from protocol.identity import Role
from protocol.limits import Kind
from protocol.payloads import CoverageMap
from protocol.states import Bearer
from sims.fleet import DevicePlan
from tests.meshnode.rig import CODT, SQUAD, USUAL, Member, Rig, open_rig, squad_scope
from tests.meshnode.services.test_board import count
from tests.meshnode.test_positions import HOUR_MS, begin, end

CHLOE = DevicePlan("chloe", Role.AGENT, (SQUAD,))
WHITE, COL = (44.80, 6.60), (44.82, 6.60)
ROWS = "SELECT count(*) FROM coverage"
UNTOLD = "SELECT count(*) FROM coverage WHERE shift_id != x''"


@pytest.fixture
async def five(autojump_clock: MockClock) -> AsyncIterator[Rig]:
    """Give the usual four and chloe, who all met once."""
    async with open_rig((*USUAL, CHLOE)) as rig:
        await rig.mix(*rig.members)
        yield rig


@pytest.fixture
async def pair(autojump_clock: MockClock) -> AsyncIterator[Rig]:
    """Give anna and chloe, who met once."""
    async with open_rig((USUAL[0], CHLOE)) as rig:
        await rig.mix(*rig.members)
        yield rig


def room(member: Member) -> CoverageLearning:
    return member.node.require_desk().coverage


def later(rig: Rig, by_ms: int) -> None:
    """Let time pass for everybody."""
    for member in rig.members.values():
        member.machine.clock_ahead_ms += by_ms


class Walk:
    """Readings of a device that somebody leads, and whether a gateway answers it."""

    def __init__(self, rig: Rig, who: str = "anna") -> None:
        self.rig, self.member = rig, rig[who]
        self.readings = FixedReadings()
        self.reached: bool | None = None
        self.member.node.require_desk().plug(self.readings, lambda: self.reached)

    def be(self, at: tuple[float, float], network: Network, accuracy_m: float = 10.0) -> None:
        """Be at a place, on a network."""
        now_ms = self.member.machine.now_ms()
        self.readings.position = PlaceRead(*at, accuracy_m, now_ms)
        self.readings.coverage = CoverageRead(network, None, "", now_ms)

    async def stay(
        self, at: tuple[float, float], network: Network, minutes: int = 6, accuracy_m: float = 10.0
    ) -> None:
        """Stay at a place for some minutes, and look once in each."""
        for _ in range(minutes):
            self.be(at, network, accuracy_m)
            await self.look()
            later(self.rig, 60_000)

    async def look(self) -> None:
        """Look once, as the room that reports does."""
        await self.member.node.require_desk().reporting.look()


async def shift_of(rig: Rig, who: str) -> None:
    """Let somebody walk from the white zone to the col, and end the shift."""
    walk = Walk(rig, who)
    await begin(rig[who])
    await walk.stay(WHITE, Network.NONE)
    await walk.stay(COL, Network.FOUR_G)
    await end(rig[who])
    await walk.look()


async def verdict(member: Member, at: tuple[float, float] = WHITE) -> Verdict:
    known = await room(member).known()
    return forecast(known, round(at[0] * 1e7), round(at[1] * 1e7)).verdict


async def test_whoever_was_never_there_is_told_where_the_next_network_is(five: Rig) -> None:
    await shift_of(five, "anna")
    await shift_of(five, "bruno")
    assert await verdict(five["chloe"]) is Verdict.UNKNOWN, "and not: none"
    await five.mix("anna", "bruno", "box")
    await five.mix("box", "chloe")
    known = await room(five["chloe"]).known()
    found = forecast(known, 448_000_000, 66_000_000)
    assert found.verdict is Verdict.LIKELY
    assert found.best is not None
    assert found.here is not None
    best = found.best.outlook
    assert (best.bearer, best.worked, best.looks) == (Bearer.G4, 12, 12)
    assert found.best.distance_m == pytest.approx(2_000, abs=300)
    assert (found.here.worked, found.here.looks) == (0, 12)
    assert await verdict(five["chloe"], (45.9, 6.6)) is Verdict.UNKNOWN
    for name in ("anna", "bruno"):
        assert dict(await room(five[name]).known()) == dict(known), "all have one map"


async def test_people_and_programs_are_told_the_way(five: Rig) -> None:
    await shift_of(five, "anna")
    await shift_of(five, "bruno")
    await five.mix("anna", "bruno", "chloe")
    api = Api(five["chloe"].node)
    assert (await api.coverage())["place"] is None, "nobody knows where chloe is"
    found = await api.coverage("44.8,6.6", part="all")
    assert found["verdict"] == "likely"
    best = found["next"]
    assert (best["bearer"], best["bearer_worked"], best["direction"]) == ("4G", 12, "N")
    assert best["south"] <= COL[0] <= best["north"]
    assert best["west"] <= COL[1] <= best["east"]
    assert (found["here"]["worked"], found["here"]["bearer"]) == (0, "none")
    assert found["cells"][0]["distance_m"] == 0
    assert (await api.coverage("44.8,6.6", part="all", limit=1))["cells"] == [found["here"]]
    near = await api.coverage("44.8,6.6", part="all", reach_km=1)
    assert (len(near["cells"]), near["next"]) == (1, best)
    behind = await api.coverage("44.8,6.6", course_deg=180, part="all")
    assert behind["next"] == best, "there is no other"
    await begin(five["chloe"])
    await five["chloe"].node.positions.report(Place(44.82, 6.6, 5))
    own = await api.coverage(part="all")
    assert own["place"] == {"latitude": 44.82, "longitude": 6.6, "is_own": True}
    assert own["next"]["distance_m"] == 0
    for at, part in (("here", ""), ("91,0", ""), ("1,2,3", ""), ("44.8,6.6", "noon")):
        with pytest.raises(SendError):
            await api.coverage(at, part=part)
    with pytest.raises(SendError):
        await api.coverage("44.8,6.6", course_deg=361)


async def test_the_parts_of_the_day_are_told_apart(pair: Rig) -> None:
    await shift_of(pair, "anna")
    api = Api(pair["anna"].node)
    (now,) = {(await api.coverage("44.8,6.6"))["part"]}
    told = {
        part: (await api.coverage("44.8,6.6", part=part))["here"]["is_other_part"]
        for part in ("night", "morning", "afternoon", "evening")
    }
    assert [part for part, is_other in told.items() if not is_other] == [now]


async def test_the_centre_has_it_and_a_relay_cannot_read_it(five: Rig) -> None:
    await shift_of(five, "anna")
    await five.mix("anna", "box", "gateway")
    assert await verdict(five["gateway"]) is Verdict.LIKELY
    assert await count(five["box"], ROWS) == 0
    assert len(await five["box"].held(Kind.COVERAGE)) == 2, "to the squad, and to the centre"
    assert five["gateway"].metric("coverage_kept") == 1
    assert await five["gateway"].texts() == []


async def test_nothing_is_told_before_the_end_and_nothing_learned_outside(pair: Rig) -> None:
    anna = pair["anna"]
    walk = Walk(pair)
    await walk.stay(COL, Network.FOUR_G)
    assert await count(anna, ROWS) == 0, "off duty nothing is counted"
    await begin(anna, hours=1)
    await walk.stay(WHITE, Network.NONE)
    await anna.node.settle()
    assert await anna.held(Kind.COVERAGE) == []
    assert await count(anna, UNTOLD) == 1
    assert (await room(anna).known())[cell_of(448_000_000, 66_000_000)].looks == 6
    later(pair, HOUR_MS)
    await anna.node.housekeeping.look()
    await walk.look()
    assert len(await anna.held(Kind.COVERAGE)) == 1, "also where only the clock ended it"
    assert (await count(anna, ROWS), await count(anna, UNTOLD)) == (1, 0)
    await walk.stay(COL, Network.FOUR_G)
    assert await count(anna, ROWS) == 1
    assert cell_of(448_200_000, 66_000_000) not in await room(anna).known()


async def test_a_place_of_before_the_shift_or_badly_known_does_not_count(pair: Rig) -> None:
    anna = pair["anna"]
    walk = Walk(pair)
    walk.be(WHITE, Network.FOUR_G)
    later(pair, 1_000)
    await begin(anna)
    await walk.look()
    for accuracy_m in (0.0, 151.0):
        await walk.stay(WHITE, Network.FOUR_G, accuracy_m=accuracy_m)
    walk.be(WHITE, Network.FOUR_G)
    later(pair, 61_000)
    await walk.look()
    assert anna.metric("coverage_looks") == 0


async def test_a_gateway_tried_in_vain_is_a_network_that_does_not_work(pair: Rig) -> None:
    anna = pair["anna"]
    walk = Walk(pair)
    await begin(anna)
    walk.reached = False
    await walk.stay(WHITE, Network.THREE_G)
    walk.reached = True
    await walk.stay(COL, Network.THREE_G)
    known = await room(anna).known()
    told = [known[cell_of(round(at[0] * 1e7), 66_000_000)] for at in (WHITE, COL)]
    assert [(each.worked, each.looks) for each in told] == [(0, 6), (6, 6)]


async def test_a_way_through_is_told_to_nobody(pair: Rig) -> None:
    anna = pair["anna"]
    walk = Walk(pair)
    await begin(anna)
    for n in range(12):
        await walk.stay((44.80 + 0.01 * n, 6.60), Network.FOUR_G, 2)
    await end(anna)
    await walk.look()
    assert await anna.held(Kind.COVERAGE) == []
    assert await count(anna, ROWS) == 0


async def test_a_restart_in_the_shift_loses_nothing(pair: Rig) -> None:
    anna = pair["anna"]
    await begin(anna)
    await Walk(pair).stay(WHITE, Network.NONE, 2)
    parts = anna.node.require_desk()
    fresh = CoverageLearning(
        parts.author,
        anna.store,
        anna.machine.runtime,
        anna.node.membership,
        parts.outbox._keeper,
        parts.positions,
    )
    parts.coverage, parts.reporting.beside = fresh, fresh.look
    walk = Walk(pair)
    await walk.stay(WHITE, Network.NONE, 2)
    await end(anna)
    await walk.look()
    (found,) = (await fresh.known()).values()
    assert found.looks == 4


async def test_what_finds_no_room_is_told_later(pair: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = pair["anna"]
    walk = Walk(pair)
    await begin(anna)
    await walk.stay(COL, Network.FOUR_G)
    await end(anna)
    author = anna.node.require_desk().author

    def full(*_args: object) -> None:
        raise QuotaError("this hour is full")

    with monkeypatch.context() as patch:
        patch.setattr(author, "make", full)
        await walk.look()
    assert (await anna.held(Kind.COVERAGE), await count(anna, UNTOLD)) == ([], 1)
    assert anna.metric("coverage_held_back") == 1
    await walk.look()
    assert len(await anna.held(Kind.COVERAGE)) == 1


async def test_nothing_at_rest_says_who_told_it(pair: Rig) -> None:
    await shift_of(pair, "anna")
    await pair.mix("anna", "chloe")
    chloe = pair["chloe"]
    rows = await chloe.store.read(
        lambda c: c.exec_driver_sql("SELECT id, shift_id, body FROM coverage").all()
    )
    ((key, shift_id, body),) = rows
    assert shift_id == b""
    assert pair["anna"].id not in key + body
    assert len(key) == 16


async def test_contributions_age_out(pair: Rig) -> None:
    await shift_of(pair, "anna")
    await pair.mix("anna", "chloe")
    chloe = pair["chloe"]
    chloe.machine.clock_ahead_ms += (WINDOW_DAYS - 1) * DAY_MS
    assert await verdict(chloe) is Verdict.LIKELY
    chloe.machine.clock_ahead_ms += DAY_MS
    assert await verdict(chloe) is Verdict.UNKNOWN
    await chloe.node.housekeeping.look()
    assert await count(chloe, ROWS) == 0


# --- what others may tell --------------------------------------------------------------------


async def forged(
    rig: Rig, day: int, *, scope: Scope | None = None, name: bytes = b"n" * 16, seq: int = 1
) -> None:
    """Let anna send what her program would not, and chloe receive it."""
    anna, to = rig["anna"], scope or squad_scope()
    keeper = anna.node.require_desk().outbox._keeper
    under = await anna.store.write(lambda tx: keeper.key_for(tx, to))
    squares = (Square(cell_of(0, 0), Part.NIGHT, (Count(Bearer.G4, 9, 9),)),)
    told = CoverageMap(anna.id, to.encode(), name, Contribution(day, squares))
    header = anna.header(
        Kind.COVERAGE, to, seq, suite=Suite.CHAIN, keyref=under.chain_id, index=under.index
    )
    body = seal_message(under.key, header.encode(), pad(payloads.encode(told)))
    receiver = rig["chloe" if scope is None else "gateway"]
    await receiver.take([each.bundle for each in under.made if each.bundle is not None])
    await receiver.take([anna.forge(header, body)])


@pytest.mark.parametrize("days", [1, -WINDOW_DAYS - 1])
async def test_a_wrong_day_is_refused(pair: Rig, days: int) -> None:
    await forged(pair, day_of(pair["anna"].machine.now_ms()) + days)
    assert pair["chloe"].metric("coverage_refused") == 1
    assert await count(pair["chloe"], ROWS) == 0


async def test_one_author_cannot_fill_the_map_of_others(pair: Rig) -> None:
    today = day_of(pair["anna"].machine.now_ms())
    for n in range(PER_DAY_MAX + 3):
        await forged(pair, today, name=bytes([n]) * 16, seq=n)
    assert await count(pair["chloe"], ROWS) == PER_DAY_MAX
    assert pair["chloe"].metric("coverage_refused") == 3
    # Nor by waiting until the device that counts starts again, which opens its desk anew.
    chloe = pair["chloe"]
    desk = chloe.parts.desk
    assert desk is not None
    await chloe.node.lock()
    chloe.node.open_desk(desk)
    await forged(pair, today, name=b"z" * 16, seq=90)
    await chloe.node.relay.requeue_held()
    await chloe.node.inbox.open_some()
    assert await count(chloe, ROWS) == PER_DAY_MAX


async def test_one_contribution_in_many_bundles_counts_once(five: Rig) -> None:
    today = day_of(five["anna"].machine.now_ms())
    for seq in range(3):
        await forged(five, today, scope=CODT, seq=seq)
    assert await count(five["gateway"], ROWS) == 1
    assert five["gateway"].metric("coverage_kept") == 1
    (found,) = (await room(five["gateway"]).known()).values()
    assert found.looks == 9
