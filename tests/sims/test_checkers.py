"""Every checker passes a sound world, and finds the fault that is planted in a copy of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from meshnode.store.records import LedgerEvent, MessageState, RecipientState
from protocol.bundle import Scope
from protocol.identity import Role
from protocol.ids import BundleId
from sims.bounds import BOUNDS
from sims.checkers import CHECKERS, check_world
from sims.fleet import DevicePlan
from sims.record import DeviceRecord, Held, Story, WorldRecord
from sims.runtime import START_MS, TraceLine
from sims.scenario import Contact, Scenario, WrittenMessage
from sims.world import run_world

TO_BOB = "only bob may read this line"
TO_CODT = "for the operations centre and nobody else"


@cache
def sound() -> WorldRecord:
    """Run a small world: alice, bob, a box between them, a gateway; carla stays alone."""
    squad = ("Queyras",)
    scenario = Scenario(
        "small",
        "A box carries.",
        2_000.0,
        (
            DevicePlan("alice", Role.AGENT, squad),
            DevicePlan("bob", Role.AGENT, squad),
            DevicePlan("box", Role.RELAY, squad),
            DevicePlan("gateway", Role.GATEWAY),
            DevicePlan("carla", Role.AGENT, ("Ubaye",)),
        ),
        contacts=tuple(Contact(10.0, 2_000.0, name, "box") for name in ("alice", "bob", "gateway")),
        messages=(
            WrittenMessage(100.0, "alice", "bob", TO_BOB),
            WrittenMessage(110.0, "alice", "codt", TO_CODT),
            WrittenMessage(120.0, "bob", "alice", "to alice, with a minute to live", lifetime_s=60),
            WrittenMessage(130.0, "carla", "bob", "from carla, whom nobody meets", lifetime_s=60),
        ),
    )
    return run_world(scenario, 11)


def changed(name: str, change: Callable[[DeviceRecord], DeviceRecord]) -> WorldRecord:
    """Return the sound world with another record of one device."""
    world = sound()
    devices = tuple(change(each) if each.name == name else each for each in world.devices)
    return replace(world, devices=devices)


def story(name: str, place: int, change: Callable[[Story], Story]) -> WorldRecord:
    """Return the sound world with another story of one message."""

    def alter(device: DeviceRecord) -> DeviceRecord:
        stories = list(device.outgoing)
        stories[place] = change(stories[place])
        return replace(device, outgoing=tuple(stories))

    return changed(name, alter)


def finds(world: WorldRecord, checker: str, words: str) -> None:
    """Assert that a checker says these words of a world."""
    found = [breach for breach in check_world(world) if breach.checker == checker]
    assert any(words in breach.sentence for breach in found), found


def bundle_named(message: BundleId, lives_s: int = 86_400) -> Held:
    """Return what a store says of a bundle for bob's eyes that lives for a while after the end."""
    end_ms = START_MS + sound().end_ms
    bob = next(device.node for device in sound().devices if device.name == "bob")
    return Held(message, Scope.for_device(1, bob), end_ms, end_ms + 1000 * lives_s, bytes(32))


def stated(state: MessageState) -> Callable[[Story], Story]:
    """Return what gives a message another state and changes nothing else."""
    return lambda each: replace(each, message=replace(each.message, state=state))


def test_a_sound_world_passes() -> None:
    world = sound()
    assert check_world(world) == []
    states = [each.message.state for device in world.devices for each in device.outgoing]
    assert sorted(states) == ["delivered", "delivered", "delivered", "expired"]


def test_a_message_that_its_author_forgot_is_found() -> None:
    finds(changed("alice", lambda each: replace(each, outgoing=())), "nothing_lost", "forgot")


def test_a_lost_message_is_found() -> None:
    def lose(device: DeviceRecord) -> DeviceRecord:
        return replace(device, incoming=device.incoming[1:])

    finds(changed("bob", lose), "nothing_lost", "lost on its way to bob")


def test_a_message_alive_somewhere_is_not_lost() -> None:
    message = sound().sent[0].message

    def lose(device: DeviceRecord) -> DeviceRecord:
        return replace(device, incoming=device.incoming[1:])

    world = changed("bob", lose)
    held = [
        replace(each, held={**each.held, 1: bundle_named(message)}) if each.name == "box" else each
        for each in world.devices
    ]
    assert list(CHECKERS["nothing_lost"](replace(world, devices=tuple(held)))) == []


def test_a_message_for_the_centre_is_lost_only_if_no_member_has_it() -> None:
    def lose(device: DeviceRecord) -> DeviceRecord:
        return replace(device, incoming=())

    finds(changed("gateway", lose), "nothing_lost", "lost on its way to gateway")


def test_a_message_shown_twice_is_found() -> None:
    def double(device: DeviceRecord) -> DeviceRecord:
        return replace(device, incoming=device.incoming * 2)

    finds(changed("bob", double), "nothing_twice", "2 times")


def test_a_text_shown_twice_under_two_names_is_found() -> None:
    def double(device: DeviceRecord) -> DeviceRecord:
        first = device.incoming[0]
        other = replace(first, id=BundleId(first.id.author, first.id.incarnation, 999))
        return replace(device, incoming=(*device.incoming, other))

    world = changed("bob", double)
    finds(world, "nothing_twice", "which nobody wrote")
    finds(world, "nothing_twice", "2 times")


def test_a_message_announced_twice_is_found() -> None:
    world = sound()
    line = next(line for line in world.lines if line.event == "message_arrived")
    finds(replace(world, lines=(*world.lines, line)), "nothing_twice", "announced")


@pytest.mark.parametrize("name", ["box", "carla", "gateway"])
def test_a_text_in_a_store_that_may_not_read_it_is_found(name: str) -> None:
    def leak(device: DeviceRecord) -> DeviceRecord:
        return replace(device, image=device.image + TO_BOB.encode())

    finds(changed(name, leak), "nothing_readable", "can read")


def test_a_text_stands_where_it_may_stand() -> None:
    world = sound()
    holders = {device.name for device in world.devices if TO_BOB.encode() in device.image}
    assert holders == {"alice", "bob"}
    holders = {device.name for device in world.devices if TO_CODT.encode() in device.image}
    assert holders == {"alice", "gateway"}


def test_a_ledger_that_claims_a_receipt_that_cannot_be_is_found() -> None:
    def lose(device: DeviceRecord) -> DeviceRecord:
        return replace(device, incoming=())

    finds(changed("bob", lose), "ledgers_true", "said to be on bob")


def test_a_ledger_that_names_a_stranger_is_found() -> None:
    def lie(each: Story) -> Story:
        strangers = [
            replace(line, node=bytes(16)) if line.event is LedgerEvent.HANDED else line
            for line in each.ledger
        ]
        return replace(each, ledger=tuple(strangers))

    finds(story("alice", 0, lie), "ledgers_true", "stranger")


def test_a_delivery_without_a_receipt_is_found() -> None:
    def lie(each: Story) -> Story:
        pending = [replace(one, state=RecipientState.PENDING) for one in each.recipients]
        return replace(each, recipients=tuple(pending))

    finds(story("alice", 0, lie), "ledgers_true", "not everybody has receipted")


def test_a_ledger_with_two_ends_is_found() -> None:
    def lie(each: Story) -> Story:
        return replace(each, ledger=(*each.ledger, each.ledger[-1]))

    finds(story("alice", 0, lie), "ledgers_true", "2 ends")


def test_a_ledger_with_another_end_than_its_message_is_found() -> None:
    finds(story("alice", 0, stated(MessageState.REFUSED)), "ledgers_true", "its ledger says")


def test_a_message_without_an_end_long_after_its_life_is_found() -> None:
    def lie(each: Story) -> Story:
        lines = [line for line in each.ledger if line.event is not LedgerEvent.EXPIRED]
        return replace(stated(MessageState.QUEUED)(each), ledger=tuple(lines))

    finds(story("carla", 0, lie), "ledgers_true", "after its life ended")


def test_a_message_that_expired_before_its_time_is_found() -> None:
    def lie(each: Story) -> Story:
        message = replace(each.message, ended_ms=each.message.expires_ms - 1)
        return replace(each, message=message)

    finds(story("carla", 0, lie), "ledgers_true", "before its time")


def test_a_message_received_twice_by_its_ledger_is_found() -> None:
    def lie(device: DeviceRecord) -> DeviceRecord:
        doubled = {name: ledger * 2 for name, ledger in device.incoming_ledgers.items()}
        return replace(device, incoming_ledgers=doubled)

    finds(changed("bob", lie), "ledgers_true", "not received exactly once")


def test_a_message_that_leaves_its_final_state_is_found() -> None:
    world = sound()
    last = next(
        line
        for line in reversed(world.lines)
        if line.event == "message_changed" and dict(line.fields)["state"] == "delivered"
    )
    fields = tuple(sorted({**dict(last.fields), "state": "carried"}.items()))
    later = TraceLine(last.at_ms + 1, last.node, last.event, fields)
    finds(replace(world, lines=(*world.lines, later)), "ledgers_true", "and then carried")


def test_stores_in_lasting_contact_that_differ_are_found() -> None:
    def differ(device: DeviceRecord) -> DeviceRecord:
        return replace(device, held={**device.held, 12345: bundle_named(sound().sent[0].message)})

    finds(changed("bob", differ), "replicas_equal", "differs from box in 1 bundles")
    # Carla met nobody: nothing was promised of her store.
    assert list(CHECKERS["replicas_equal"](changed("carla", differ))) == []


@pytest.mark.parametrize("what", [*BOUNDS, "store bytes", "store bytes by its index"])
def test_a_bound_that_was_exceeded_is_found(what: str) -> None:
    most = {**BOUNDS, "store bytes": sound().scenario.store_bytes}
    count = most.get(what, sound().scenario.store_bytes) + 1

    def grow(device: DeviceRecord) -> DeviceRecord:
        return replace(device, sizes={**device.sizes, what: count})

    finds(changed("box", grow), "within_bounds", f"has {count} {what}")
    peaks = {("box", what): count}
    finds(replace(sound(), peaks=peaks), "within_bounds", f"had {count} {what}")


def test_every_count_is_at_its_bound_at_most_and_has_one() -> None:
    world = sound()
    assert {what for _name, what in world.peaks} | set(world.devices[0].sizes) <= {
        *BOUNDS,
        "store bytes",
        "store bytes by its index",
    }
    assert ("box", "sessions") in world.peaks


def test_a_store_that_counts_wrongly_is_found() -> None:
    def miscount(device: DeviceRecord) -> DeviceRecord:
        return replace(device, sizes={**device.sizes, "store bytes by its index": 1})

    finds(changed("box", miscount), "within_bounds", "counts other bytes")


def test_a_bundle_kept_beyond_its_life_is_found() -> None:
    def keep(device: DeviceRecord) -> DeviceRecord:
        old = bundle_named(sound().sent[0].message, lives_s=-601)
        return replace(device, held={**device.held, 12345: old})

    finds(changed("box", keep), "within_bounds", "1 bundles whose life ended")


def test_a_session_that_a_defect_ended_is_found() -> None:
    world = sound()
    line = TraceLine(1_000, "box", "defect", (("reason", "TypeError"), ("room", "session")))
    finds(replace(world, lines=(*world.lines, line)), "no_defects", "TypeError")


def test_every_checker_was_shown_to_fail() -> None:
    assert set(CHECKERS) == {
        "nothing_lost",
        "nothing_twice",
        "nothing_readable",
        "ledgers_true",
        "replicas_equal",
        "within_bounds",
        "no_defects",
    }
