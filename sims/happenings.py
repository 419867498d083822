"""Everything that a scenario and its faults say, each at its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

import trio

from meshnode.errors import StoreError
from meshnode.store.engine import Transaction
from sims.deeds import act
from sims.disk import committed_end, freeze, torn
from sims.draws import Draw
from sims.duty import be_on_duty, look_at_board
from sims.fault_plan import QUIET_SHARE, StepCrash
from sims.people import answer, write
from sims.place import Place
from sims.runtime import PowerCutError
from sims.scenario import Contact

if TYPE_CHECKING:
    from sims.air import Air
    from sims.fault_plan import FaultPlan
    from sims.network import ContactNetwork
    from sims.record import SentRecord
    from sims.runtime import Tracer
    from sims.scenario import Scenario
    from sims.steps import StepCounter

__all__ = ["Stage", "conduct"]

T = TypeVar("T")

_PAGES_MAX: Final = 4_294_967_294
"""As many as a database of SQLite may have."""
_FIRST_S: Final = 1.0
"""No power is cut before: devices come furnished into the world."""


class Stage(Protocol):
    """A world, as far as what happens in it has to do with it."""

    scenario: Scenario
    seed: int
    plan: FaultPlan
    tracer: Tracer
    steps: StepCounter
    network: ContactNetwork
    air: Air
    places: dict[str, Place]
    sent: list[SentRecord]

    def cut_power(self, place: Place, down_s: float) -> None:
        """Take the power of a device for so many seconds."""

    def sight(self, name: str, partner: str) -> None:
        """Let the node called `name` see that another is in reach."""

    def lose_sight(self, name: str, partner: str) -> None:
        """Let the node called `name` see another no more."""


class _Act(NamedTuple):
    at_s: float
    """When, virtual seconds."""
    order: int
    """Of those at the same time, the lower one goes first."""
    place: int
    """Number among those of its kind."""
    do: Callable[[], None]
    """What happens."""


async def conduct(world: Stage, people: trio.Nursery) -> None:
    """Do everything, each at its time; messages are written by tasks of `people`."""
    acts = [*_told(world, people), *_drawn(world, people)]
    for each in sorted(acts, key=lambda act: act[:3]):
        await trio.sleep_until(each.at_s)
        each.do()


def _told(world: Stage, people: trio.Nursery) -> Iterator[_Act]:
    """Yield what the scenario says itself."""
    scenario = world.scenario
    for place, contact in enumerate(scenario.contacts):
        yield _Act(contact.end_s, 0, place, partial(_finish, world, contact))
        yield _Act(contact.start_s, 3, place, partial(_begin, world, contact))
    for place, hearing in enumerate(scenario.hearings):
        pair = (hearing.a, hearing.b)
        yield _Act(hearing.end_s, 0, place, partial(world.air.end, *pair))
        yield _Act(hearing.start_s, 3, place, partial(world.air.begin, *pair))
    for place, crash in enumerate(scenario.crashes):
        cut = partial(world.cut_power, world.places[crash.device], crash.down_s)
        yield _Act(crash.at_s, 1, place, cut)
    for place, step in enumerate((*scenario.clock_steps, *world.plan.clock_jumps)):
        yield _Act(step.at_s, 2, place, partial(_step, world, step.device, step.step_s))
    for place, message in enumerate(scenario.messages):
        sender = world.places[message.sender]
        start = partial(people.start_soon, write, sender, message, world.sent)
        yield _Act(message.at_s, 4, place, start)
    for place, shift in enumerate(scenario.shifts):
        duty = partial(people.start_soon, be_on_duty, world.places[shift.device], shift)
        yield _Act(shift.start_s, 11, place, duty)
        for name in shift.seen_by:
            looker = partial(
                people.start_soon, look_at_board, world.places[name], shift, world.places
            )
            yield _Act(shift.start_s, 12, place, looker)
    for place, each in enumerate(scenario.answers):
        begin = partial(people.start_soon, answer, world.places[each.sender], each, world.places)
        yield _Act(each.at_s, 4, len(scenario.messages) + place, begin)
    for place, deed in enumerate(scenario.deeds):
        do = partial(people.start_soon, act, world.places[deed.device], deed)
        yield _Act(deed.at_s, 13, place, do)


def _drawn(world: Stage, people: trio.Nursery) -> Iterator[_Act]:
    """Yield what the seed decided."""
    plan, network = world.plan, world.network
    for place, crash in enumerate(plan.step_crashes):
        draw = Draw(world.seed, f"tear {place}")
        arm = partial(_arm, world, crash, draw)
        yield _Act(max(_FIRST_S, crash.from_s), 5, place, arm)
    for place, loss in enumerate(plan.lost):
        yield _Act(loss.at_s, 6, place, partial(_lose, world, world.places[loss.device]))
    for place, full in enumerate(plan.full_disks):
        device = world.places[full.device]
        fill = partial(people.start_soon, _limit_pages, device, 1)
        drain = partial(people.start_soon, _limit_pages, device, _PAGES_MAX)
        yield _Act(full.start_s, 7, place, fill)
        yield _Act(full.end_s, 8, place, drain)
    for place, part in enumerate(plan.partitions):
        begin, end = (
            (network.forbid_dials, network.allow_dials)
            if part.is_dial_only
            else (network.mute, network.unmute)
        )
        pair = (part.source, part.target)
        yield _Act(part.start_s, 9, place, partial(_part, world, begin, pair, "partition_began"))
        yield _Act(part.end_s, 10, place, partial(_part, world, end, pair, "partition_ended"))
    yield _Act(world.scenario.duration_s * (1 - QUIET_SHARE), 11, 0, world.network.calm)


# --- contacts and clocks -----------------------------------------------------------------------


def _begin(world: Stage, contact: Contact) -> None:
    a, b = contact.a, contact.b
    world.tracer.note(a, "contact_began", peer=b)
    world.network.begin(a, b)
    world.sight(*((a, b) if world.places[a].node is not None else (b, a)))


def _finish(world: Stage, contact: Contact) -> None:
    a, b = contact.a, contact.b
    world.tracer.note(a, "contact_ended", peer=b)
    world.network.end(a, b)
    world.lose_sight(a, b)
    world.lose_sight(b, a)


def _part(
    world: Stage, change: Callable[[str, str], None], pair: tuple[str, str], event: str
) -> None:
    world.tracer.note(pair[0], event, peer=pair[1])
    change(*pair)


def _step(world: Stage, name: str, step_s: float) -> None:
    machine = world.places[name].machine
    machine.clock_ahead_ms += round(step_s * 1000)
    machine.trace("clock_stepped", by_ms=round(step_s * 1000))


# --- power and disks ---------------------------------------------------------------------------


def _lose(world: Stage, place: Place) -> None:
    place.machine.trace("lost")
    place.is_lost = True
    world.cut_power(place, float("inf"))


def _arm(world: Stage, crash: StepCrash, draw: Draw) -> None:
    """Cut the power of a device after so many steps, or in its so manieth commit."""
    place = world.places[crash.device]
    if not place.machine.is_on:
        return
    cut = partial(world.cut_power, place, crash.down_s)
    if crash.is_torn:
        place.machine.watch_work(_TearingWatch(place, crash.steps, draw, cut))
    else:
        world.steps.after(place.name, crash.steps, cut)


class _TearingWatch:
    """Cuts the power in the middle of a commit: the last pages on the disk are torn."""

    def __init__(self, place: Place, commits: int, draw: Draw, cut: Callable[[], None]) -> None:
        self._place = place
        self._left = commits
        self._draw = draw
        self._cut = cut

    def __call__(self, work: Callable[[], T]) -> T:
        """Return what `work` returns. Raises: PowerCutError."""
        path = self._place.path
        assert path is not None, "whoever may crash has its store in a file"
        before = freeze(path)
        result = work()
        after = freeze(path)
        if committed_end(after.log) == committed_end(before.log):
            return result
        self._left -= 1
        image = torn(before, after, self._draw) if self._left <= 0 else None
        if image is None:
            return result
        self._place.machine.trace("torn_write")
        self._place.image = image
        self._cut()
        raise PowerCutError("the machine lost its power in the middle of a commit")


async def _limit_pages(place: Place, pages: int) -> None:
    """Let the database of a device grow to so many pages, but never make it smaller."""
    store = place.store
    if store is None or not place.machine.is_on:
        return

    def limit(tx: Transaction) -> None:
        tx.connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    place.machine.trace("disk_full" if pages == 1 else "disk_has_room")
    try:
        await store.write(limit)
    except StoreError as error:
        # A machine that just lost its power starts with an empty disk anyway.
        place.machine.trace("disk_not_filled", reason=type(error).__name__)
