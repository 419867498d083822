"""Over any order of events and any clocks no position or track is of a time outside a shift.

A model that keeps nothing but lists of windows says what must be; real nodes over stores in memory
must do the same. A restart builds a node anew over its store.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field

import pytest
import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.errors import SendError
from meshnode.node import open_node
from meshnode.positions import Place
from meshnode.reception import Checked
from protocol.bundle import Bundle
from protocol.guards import SHIFT_MS_MAX
from protocol.limits import Kind
from protocol.reports import Reception
from tests.meshnode.rig import Member, Rig, open_rig, squad_scope
from tests.reference.codec import read_shift
from tests.reference.track_bodies import read_track

pytestmark = pytest.mark.slow

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
NAMES = ("anna", "bruno", "box", "gateway")

STEPS = st.one_of(
    st.tuples(st.just("open"), st.integers(1, 12)),
    st.tuples(st.just("close"), st.none()),
    st.tuples(st.just("position"), st.none()),
    st.tuples(st.just("carry"), st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))),
    st.tuples(st.just("wait"), st.sampled_from([MINUTE_MS, HOUR_MS, 6 * HOUR_MS, 13 * HOUR_MS])),
    st.tuples(
        st.just("set clock"),
        st.tuples(st.sampled_from(NAMES), st.sampled_from([-9, -2, 2, 9]).map(MINUTE_MS.__mul__)),
    ),
    st.tuples(st.just("restart"), st.sampled_from(NAMES)),
)


@dataclass(slots=True)
class Window:
    """One shift of anna, by her own clock."""

    opened_ms: int
    ends_ms: int
    closed_ms: int = 0

    def has(self, at_ms: int) -> bool:
        """The obvious rule."""
        return self.opened_ms <= at_ms < (self.closed_ms or self.ends_ms)


@dataclass(slots=True)
class Model:
    """All shifts there ever were, and what anna managed to tell in them."""

    windows: list[Window] = field(default_factory=list)
    told: set[bytes] = field(default_factory=set)
    tracks: set[bytes] = field(default_factory=set)

    def open_at(self, at_ms: int) -> Window | None:
        """Return the shift that anna's clock is in; only the newest can be open."""
        newest = self.windows[-1] if self.windows else None
        return newest if newest is not None and newest.has(at_ms) else None


async def play(rig: Rig, steps: list[tuple[str, object]], model: Model | None = None) -> Model:
    """Do the steps and check everything after each; return what must be."""
    model = model or Model()
    for name, argument in steps:
        await step(rig, model, name, argument)
        await check(rig, model)
    return model


async def step(rig: Rig, model: Model, name: str, argument: object) -> None:
    """Do one step at the nodes and in the model."""
    anna = rig["anna"]
    match name, argument:
        case "open", int(hours):
            await open_shift(anna, model, hours)
        case "close", None:
            await close_shift(anna, model)
        case "position", None:
            await tell_position(anna, model)
        case "carry", (str(source), str(target)):
            if source != target:
                await carry(rig, source, target)
        case "wait", int(ms):
            for member in rig.members.values():
                member.machine.clock_ahead_ms += ms
        case "set clock", (str(who), int(ms)):
            rig[who].machine.clock_ahead_ms += ms
        case "restart", str(who):
            await restart(rig[who])
    for member in rig.members.values():
        await member.node.require_desk().look()
        await member.node.housekeeping.look()


async def refusal(call: Awaitable[list[Checked]]) -> tuple[str, list[Checked]]:
    """Return why a call was refused, or what it made."""
    try:
        return "", await call
    except SendError as error:
        return error.reason, []


async def open_shift(anna: Member, model: Model, hours: int) -> None:
    """Open, and expect it to be refused where one is open."""
    now_ms = anna.machine.now_ms()
    is_open = model.open_at(now_ms) is not None
    reason, _made = await refusal(anna.node.positions.open_shift(hours))
    assert reason == ("shift_open" if is_open else "")
    if not is_open:
        model.windows.append(Window(now_ms, now_ms + hours * HOUR_MS))


async def close_shift(anna: Member, model: Model) -> None:
    """Close, and expect it to be refused where none is open."""
    now_ms = anna.machine.now_ms()
    window = model.open_at(now_ms)
    reason, made = await refusal(anna.node.positions.close_shift())
    assert reason == ("no_shift" if window is None else "")
    note_tracks(model, window, made)
    if window is not None:
        window.closed_ms = now_ms


def note_tracks(model: Model, window: Window | None, made: list[Checked]) -> None:
    """Remember the tracks that were made, which must be of the shift that is open."""
    for each in made:
        if each.bundle is not None and each.bundle.header.kind is Kind.TRACK:
            assert window is not None
            length_ms = window.ends_ms - window.opened_ms
            told = (1, squad_scope().target, window.opened_ms, length_ms)
            assert read_track(each.bundle.body)[:4] == told  # type: ignore[index]
            model.tracks.add(each.bundle.digest)


async def tell_position(anna: Member, model: Model) -> None:
    """Tell a position; outside a shift it must be refused."""
    window = model.open_at(anna.machine.now_ms())
    reason, made = await refusal(anna.node.positions.report(Place(44.89, 6.64)))
    if window is None:
        assert reason == "no_shift"
    note_tracks(model, window, made)
    # Inside one it is refused too where the stamp ran ahead of a clock that was set back.
    for each in made:
        assert each.bundle is not None
        if each.bundle.header.kind is Kind.POSITION:
            assert window is not None
            assert window.has(each.bundle.header.hlc >> 16)
            model.told.add(each.bundle.digest)


async def carry(rig: Rig, source: str, target: str) -> None:
    """Let one device have everything of another; positions without their shift are refused."""
    offered = [each for each in await rig[source].held() if each.header.author != rig[target].id]
    fates = await rig[target].take(offered, rig[source].id)
    for bundle, fate in zip(offered, fates, strict=True):
        if bundle.header.kind is Kind.POSITION and fate in (Reception.STORED, Reception.NO_SHIFT):
            is_covered = await covers(rig[target], bundle)
            assert is_covered is (fate is Reception.STORED)
        if bundle.header.kind is Kind.TRACK and fate in (Reception.STORED, Reception.NO_SHIFT):
            is_allowed = await allows(rig[target], bundle)
            assert is_allowed is (fate is Reception.STORED)


async def covers(member: Member, position: Bundle) -> bool:
    """Search all shifts that a device holds for the stamp of a position."""
    stamp_ms = position.header.hlc >> 16
    for bundle in await member.held(Kind.SHIFT):
        if bundle.header.author == position.header.author:
            _version, _id, opened, ends, closed, before = read_shift(bundle.body)  # type: ignore[misc]
            window = Window(opened, ends, closed)  # type: ignore[arg-type]
            if window.has(stamp_ms) or Window(*before).has(stamp_ms):  # type: ignore[misc]
                return True
    return False


async def allows(member: Member, track: Bundle) -> bool:
    """Ask every shift that a device holds whether it says otherwise than a track does."""
    stamp_ms = track.header.hlc >> 16
    opened_ms = read_track(track.body)[2]  # type: ignore[index]
    for bundle in await member.held(Kind.SHIFT):
        if bundle.header.author != track.header.author:
            continue
        _version, _id, opened, ends, closed, before = read_shift(bundle.body)  # type: ignore[misc]
        if opened_ms > opened:  # type: ignore[operator]
            return False
        if opened_ms == opened and stamp_ms > (closed or ends):  # type: ignore[operator]
            return False
        if opened_ms < opened:  # type: ignore[operator]
            start_ms, end_ms = before  # type: ignore[misc]
            last_ms = end_ms if start_ms == opened_ms else opened
            if stamp_ms > last_ms:  # type: ignore[operator]
                return False
    return True


async def restart(member: Member) -> None:
    """Build the node anew over the store that it left."""
    async with open_node(member.parts) as node:
        member.node = node


async def check(rig: Rig, model: Model) -> None:
    """No position is held that was never told, or outside every shift; none shows too long."""
    for name in NAMES:
        member = rig[name]
        for bundle in await member.held(Kind.POSITION):
            assert bundle.digest in model.told, name
            assert told_in_a_shift(model, bundle), name
        for bundle in await member.held(Kind.TRACK):
            assert bundle.digest in model.tracks, name
        ways = await points_of(member)
        assert name == "gateway" or ways == [], "the centre alone opens tracks"
        for at_ms in ways:
            assert any(
                each.opened_ms // 1000 <= at_ms // 1000 < each.ends_ms / 1000
                for each in model.windows
            )
        if name in ("anna", "bruno"):
            await check_mate(member, model)


def told_in_a_shift(model: Model, bundle: Bundle) -> bool:
    """Closing a shift early may leave a position behind that a stamp put past the close."""
    stamp_ms = bundle.header.hlc >> 16
    return any(each.opened_ms <= stamp_ms < each.ends_ms for each in model.windows)


async def check_mate(member: Member, model: Model) -> None:
    """What a mate shows is of a shift that it has not heard the end of, and that may be open."""
    now_ms = member.machine.now_ms()
    shown = await member.node.positions.newest()
    for bundle in await member.held(Kind.SHIFT):
        heard = Window(*read_shift(bundle.body)[2:5])  # type: ignore[index]
        if not heard.has(now_ms):
            # A clock set back to before the shift blanks no board: it has still to come, and ends.
            is_over = now_ms >= heard.opened_ms
            assert not is_over or shown == [], "its end is known here"
            assert not is_over or await position_chains(member, bundle.header.author) == 0
    for record, payload in shown:
        assert model_has(model, payload.taken_ms)
        assert record.ends_ms > now_ms
        assert record.ends_ms <= payload.taken_ms + SHIFT_MS_MAX
    if member.device.plan.name == "anna":
        window = model.open_at(now_ms)
        is_to_come = bool(model.windows) and now_ms < model.windows[-1].opened_ms
        assert not shown or window is not None or is_to_come


async def points_of(member: Member) -> list[int]:
    """Return the times of all points of anna's tracks that a device can show."""
    found = await Api(member.node).track("anna")
    return [at_ms for each in found["segments"] for at_ms, _north, _east in each["points"]]


def model_has(model: Model, at_ms: int) -> bool:
    """Tell whether a position could be taken at this time; a shift closed later is as good."""
    return any(each.opened_ms <= at_ms < each.ends_ms for each in model.windows)


async def position_chains(member: Member, author: bytes) -> int:
    """Return how many chains and points of an author's shifts a device can still use."""
    return await member.store.read(
        lambda conn: int(
            conn.exec_driver_sql(
                "SELECT (SELECT count(*) FROM sending_chain WHERE length(scope) >= 19 AND ?1 = ?2)"
                " + (SELECT count(*) FROM receiving_chain"
                " WHERE length(scope) >= 19 AND author = ?1)"
                " + (SELECT count(*) FROM track_point)",
                (author, member.id),
            ).scalar_one()
        )
    )


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEPS, max_size=14))
@example([("open", 1), ("position", None), ("set clock", ("anna", -9 * MINUTE_MS))])
@example(
    [
        *(("open", 1), ("position", None), ("close", None), ("wait", 13 * HOUR_MS)) * 2,
        ("carry", ("anna", "box")),
        ("open", 12),
        ("carry", ("box", "gateway")),
        ("carry", ("anna", "bruno")),
    ]
)
@example(
    [
        ("open", 12),
        ("set clock", ("anna", 9 * MINUTE_MS)),
        ("position", None),
        ("set clock", ("anna", -9 * MINUTE_MS)),
        ("close", None),
        ("carry", ("anna", "box")),
    ]
)
def test_no_position_is_made_carried_or_shown_outside_a_shift(
    steps: list[tuple[str, object]],
) -> None:
    async def run() -> None:
        async with open_rig() as rig:
            await rig.mix(*NAMES)
            await play(rig, steps)

    trio.run(run, clock=MockClock(autojump_threshold=0))


def test_the_model_sees_a_position_of_every_kind_of_receiver() -> None:
    """A run that must show a position everywhere, or the property above would hold of nothing."""

    async def run() -> None:
        async with open_rig() as rig:
            await rig.mix(*NAMES)
            steps: list[tuple[str, object]] = [
                ("open", 12),
                ("wait", MINUTE_MS),
                ("position", None),
                ("carry", ("anna", "box")),
                ("carry", ("box", "bruno")),
                ("restart", "bruno"),
                ("carry", ("box", "gateway")),
            ]
            model = await play(rig, steps)
            for name in ("anna", "bruno", "gateway"):
                assert len(await rig[name].node.positions.newest()) == 1, name
            assert len(await rig["box"].held(Kind.POSITION)) == 1
            assert await rig["box"].node.positions.newest() == []
            await play(rig, [("close", None), ("carry", ("anna", "box"))], model)
            await play(rig, [("carry", ("box", "bruno")), ("carry", ("box", "gateway"))], model)
            assert await rig["anna"].node.positions.newest() == []
            assert await rig["bruno"].node.positions.newest() == []
            assert len(await rig["gateway"].node.positions.newest()) == 1

    trio.run(run, clock=MockClock(autojump_threshold=0))


def test_the_model_sees_a_track_that_comes_days_later() -> None:
    """A run in which the centre must open two, or the property above would hold of none."""

    async def run() -> None:
        async with open_rig() as rig:
            await rig.mix(*NAMES)
            shift: list[tuple[str, object]] = [
                ("open", 2),
                ("position", None),
                ("wait", MINUTE_MS),
                ("position", None),
                ("close", None),
                ("carry", ("anna", "box")),
                ("carry", ("anna", "bruno")),
                ("wait", 13 * HOUR_MS),
            ]
            await play(rig, [*shift, *[shift[-1]] * 5, *shift, ("carry", ("box", "gateway"))])
            assert len(await points_of(rig["gateway"])) == 4
            assert await rig["gateway"].node.positions.newest() == []

    trio.run(run, clock=MockClock(autojump_threshold=0))
