"""What a fault excuses, and that without the fault, or beside it, the checkers still fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from meshnode.store.records import LedgerEvent, MessageState
from protocol.bundle import Scope
from protocol.ids import BundleId
from sims.checkers import check_world
from sims.excuses import LOOK_MS, SETTLE_MS, Excuses
from sims.fault_plan import (
    Behaviour,
    Drift,
    FaultPlan,
    FullDisk,
    Hostile,
    Loss,
    Partition,
)
from sims.faults import Faults
from sims.record import DeviceRecord, Held, Story, WorldRecord
from sims.runtime import START_MS
from sims.scenario import ClockStep
from tests.sims.test_checkers import changed, sound, story

STEP = ClockStep(100.0, "bob", 240.0)


def breaches(world: WorldRecord, checker: str) -> list[str]:
    """Return what one checker says."""
    return [each.sentence for each in check_world(world) if each.checker == checker]


def ending(world: WorldRecord, name: str, **more: object) -> WorldRecord:
    """Return a world in which a device came to another end."""
    devices = tuple(
        replace(each, ending=replace(each.ending, **more)) if each.name == name else each  # type: ignore[arg-type]
        for each in world.devices
    )
    return replace(world, devices=devices)


def lost(world: WorldRecord, name: str) -> WorldRecord:
    """Return a world from which a device went away."""
    gone = ending(world, name, is_lost=True, is_up=False, up_since_ms=world.end_ms)
    return replace(gone, plan=FaultPlan(lost=(Loss(500.0, name),)))


def hostile(world: WorldRecord, name: str) -> WorldRecord:
    """Return a world in which a device misbehaved."""
    return replace(world, plan=FaultPlan(hostile=(Hostile(name, Behaviour.FORGE),)))


def without_arrival(world: WorldRecord) -> WorldRecord:
    """Return a world in which alice's message to bob is nowhere."""
    devices = tuple(
        replace(each, incoming=each.incoming[1:]) if each.name == "bob" else each
        for each in world.devices
    )
    return replace(world, devices=devices)


def told(events: set[LedgerEvent]) -> Callable[[Story], Story]:
    """Return what leaves only these lines in a ledger, and a message that is not done."""

    def change(each: Story) -> Story:
        lines = tuple(line for line in each.ledger if line.event in events)
        message = replace(each.message, state=MessageState.QUEUED)
        # It lives for a day after the end.
        message = replace(message, expires_ms=START_MS + sound().end_ms + 86_400_000)
        return replace(each, message=message, ledger=lines)

    return change


# --- lost devices ------------------------------------------------------------------------------


def test_what_nobody_took_from_a_lost_device_is_excused() -> None:
    world = without_arrival(story("alice", 0, told({LedgerEvent.QUEUED})))
    assert breaches(lost(world, "alice"), "nothing_lost") == []
    assert breaches(world, "nothing_lost"), "it is lost by somebody who is there"


def test_what_somebody_took_from_a_lost_device_is_not_excused() -> None:
    world = without_arrival(story("alice", 0, told({LedgerEvent.QUEUED, LedgerEvent.HANDED})))
    assert "lost on its way to bob" in breaches(lost(world, "alice"), "nothing_lost")[0]


def test_what_only_a_hostile_device_took_is_excused() -> None:
    world = lost(
        without_arrival(story("alice", 0, told({LedgerEvent.QUEUED, LedgerEvent.HANDED}))), "alice"
    )
    plan = replace(world.plan, hostile=(Hostile("box", Behaviour.HOARD),))
    assert breaches(replace(world, plan=plan), "nothing_lost") == []


def test_a_lost_device_that_forgot_what_it_wrote_is_found() -> None:
    world = lost(changed("alice", lambda each: replace(each, outgoing=())), "alice")
    assert "forgot" in breaches(world, "nothing_lost")[0]


def test_a_copy_on_a_lost_device_keeps_nothing_alive() -> None:
    def hold(device: DeviceRecord) -> DeviceRecord:
        return replace(device, held={**device.held, 1: bundle()})

    world = without_arrival(changed("box", hold))
    assert breaches(world, "nothing_lost") == []
    assert breaches(lost(world, "box"), "nothing_lost") != []
    assert breaches(hostile(world, "box"), "nothing_lost") != []


def test_a_lost_device_need_not_tell_of_ends_it_did_not_see() -> None:
    world = story("carla", 0, told({LedgerEvent.QUEUED}))
    old = replace(world.devices[4].outgoing[0].message, expires_ms=START_MS + 200_000, ended_ms=0)
    late = replace(world.devices[4].outgoing[0], message=old)
    devices = (*world.devices[:4], replace(world.devices[4], outgoing=(late,)))
    world = replace(world, devices=devices)
    assert "after its life ended" in " ".join(breaches(world, "ledgers_true"))
    assert breaches(lost(world, "carla"), "ledgers_true") == []


# --- hostile devices ---------------------------------------------------------------------------


def test_only_what_a_hostile_device_says_of_itself_is_not_believed() -> None:
    world = changed("bob", lambda each: replace(each, incoming=()))
    assert breaches(world, "ledgers_true")
    assert breaches(hostile(world, "bob"), "ledgers_true") == []
    assert breaches(hostile(world, "box"), "ledgers_true")


def test_an_honest_device_shows_nothing_twice_whoever_is_hostile() -> None:
    def double(device: DeviceRecord) -> DeviceRecord:
        return replace(device, incoming=device.incoming * 2)

    world = changed("bob", double)
    assert breaches(hostile(world, "bob"), "nothing_twice") == []
    assert breaches(hostile(world, "box"), "nothing_twice")


def test_a_text_in_a_hostile_relay_is_found() -> None:
    text = sound().sent[0].text.encode()
    world = changed("box", lambda each: replace(each, image=each.image + text))
    assert breaches(hostile(world, "box"), "nothing_readable")


# --- stores that may differ --------------------------------------------------------------------


def bundle(lives_s: float = 86_400.0, *, late_s: float = 0.0, author: str = "alice") -> Held:
    """Return a bundle for alice and bob's squad that ends so long after the world."""
    world = sound()
    end_ms = START_MS + world.end_ms
    message = world.sent[0].message
    node = next(each.node for each in world.devices if each.name == author)
    return Held(
        BundleId(node, message.incarnation, message.seq),
        Scope.for_device(1, world.device(message.author).node),
        end_ms + round(1000 * late_s),
        end_ms + round(1000 * lives_s),
        bytes(32),
    )


def differing(held: Held) -> WorldRecord:
    """Return a world in which bob alone holds a bundle."""
    return changed("bob", lambda each: replace(each, held={**each.held, 99: held}))


def is_found(world: WorldRecord) -> bool:
    """True if the stores of bob and the box must not differ like this."""
    return any("differs from box" in each for each in breaches(world, "replicas_equal"))


def stepped(world: WorldRecord, *steps: ClockStep) -> WorldRecord:
    """Return a world in which clocks were stepped."""
    return replace(world, scenario=replace(world.scenario, clock_steps=steps))


def test_a_wrong_clock_excuses_what_ended_by_it_and_nothing_else() -> None:
    soon, later = differing(bundle(200.0)), differing(bundle(2_000.0))
    assert is_found(soon)
    assert not is_found(stepped(soon, STEP))
    assert is_found(stepped(later, STEP))
    # A clock that was right again had shown the end all the same.
    assert not is_found(stepped(soon, STEP, ClockStep(200.0, "bob", -240.0)))
    assert is_found(stepped(soon, ClockStep(100.0, "carla", 240.0)))


def test_a_drifting_clock_excuses_the_seconds_that_it_is_off() -> None:
    # A thousand ppm of 2,000 s are two seconds.
    plan = FaultPlan(drifts=(Drift("bob", 1_000.0),))
    assert is_found(differing(bundle(3.5)))
    assert not is_found(replace(differing(bundle(3.5)), plan=plan))
    assert is_found(replace(differing(bundle(10.0)), plan=plan))


def test_a_stamp_too_far_ahead_is_not_taken_yet() -> None:
    two_days_s = 2 * 86_400.0
    assert not is_found(differing(bundle(10 * two_days_s, late_s=two_days_s)))
    assert is_found(differing(bundle(10 * two_days_s, late_s=60.0)))


def test_a_clock_that_was_days_ahead_excuses_what_its_device_replaced() -> None:
    days = ClockStep(100.0, "carla", 2 * 86_400.0), ClockStep(200.0, "carla", -2 * 86_400.0)
    assert not is_found(stepped(differing(bundle(30 * 86_400.0, author="carla")), *days))
    assert is_found(stepped(differing(bundle(30 * 86_400.0)), *days))


def test_what_a_hostile_device_wrote_may_differ() -> None:
    assert not is_found(hostile(differing(bundle(author="carla")), "carla"))
    assert is_found(hostile(differing(bundle(author="alice")), "carla"))


def test_a_pair_of_which_one_is_hostile_or_off_promises_nothing() -> None:
    world = differing(bundle())
    assert is_found(world)
    assert not is_found(hostile(world, "box"))
    assert not is_found(ending(world, "box", is_up=False))


def test_a_partition_takes_time_to_heal() -> None:
    world = differing(bundle())
    end_s = world.end_ms / 1000
    healed = Partition(0.0, end_s - SETTLE_MS / 1000 - 1, "bob", "box", is_dial_only=False)
    fresh = replace(healed, end_s=end_s - SETTLE_MS / 1000 + 1)
    other = replace(fresh, source="alice")
    for part, is_excused in ((healed, False), (fresh, True), (other, False)):
        found = replace(world, plan=FaultPlan(partitions=(part,)))
        assert is_found(found) is not is_excused


def test_bad_links_excuse_only_contacts_that_began_under_them() -> None:
    world = differing(bundle())
    bad = replace(world.scenario, faults=Faults(loss=0.1))
    assert not is_found(replace(world, scenario=bad))
    contacts = tuple(replace(each, start_s=1_850.0) for each in bad.contacts)
    assert is_found(replace(world, scenario=replace(bad, contacts=contacts)))


def test_a_full_store_excuses_what_it_had_no_room_for() -> None:
    world = differing(bundle())
    small = replace(world, scenario=replace(world.scenario, store_bytes=1_000_000))
    assert not is_found(small)
    roomy = replace(world, scenario=replace(world.scenario, store_bytes=3_000_000))
    assert is_found(roomy)
    assert not is_found(replace(roomy, peaks={("bob", "store bytes"): 2_000_000}))


# --- time to look ------------------------------------------------------------------------------


def test_a_device_has_time_to_look_only_while_nothing_is_wrong_with_it() -> None:
    world = sound()
    box = next(each for each in world.devices if each.name == "box")
    assert Excuses(world).ran_ms(box) == world.end_ms > LOOK_MS
    full = replace(world, plan=FaultPlan(full_disks=(FullDisk(10.0, 1_500.0, "box"),)))
    assert Excuses(full).ran_ms(box) == world.end_ms - 1_500_000
    late = stepped(world, ClockStep(1_990.0, "box", 86_400.0))
    assert Excuses(late).ran_ms(box) == world.end_ms - 1_990_000
    off = replace(box, ending=replace(box.ending, is_up=False))
    assert Excuses(world).ran_ms(off) == 0
    assert Excuses(full).ran_ms(world.devices[0]) == world.end_ms
