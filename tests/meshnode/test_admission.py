"""Who may open a session: a badge that holds, bound to the very link it is shown on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from trio.testing import MockClock

from meshnode import admission as module
from meshnode.admission import Admission
from meshnode.links.base import Link
from meshnode.links.memory import memory_link_pair
from meshnode.metrics import Metrics
from protocol.errors import AuthenticationError
from protocol.identity import binding_message
from protocol.limits import BADGE_LIFE_MS
from protocol.session import HelloReceived
from tests.meshnode.rig import Member, Rig, open_rig


def hello(
    member: Member, certificate: bytes, chain: Sequence[bytes] | None = None
) -> HelloReceived:
    """Return the HELLO of a device that shows `certificate` on its link."""
    shown = tuple(member.device.badge.chain if chain is None else chain)
    binding = member.device.keys.badge.sign(binding_message(certificate))
    return HelloReceived(shown, binding, bytes(8))


def link_to(certificate: bytes) -> Link:
    """Return our end of a link whose peer proved to own `certificate`."""
    ours, _theirs = memory_link_pair(certificates=(b"ours", certificate))
    return ours


def anchors(rig: Rig) -> Sequence[bytes]:
    """Return the roots that are trusted."""
    return rig["box"].node.membership.root.anchors


async def test_a_member_is_admitted_as_who_it_is(autojump_clock: MockClock, rig: Rig) -> None:
    room = Admission(rig["box"].machine.runtime, Metrics())
    for _ in range(2):
        badge = room.admit(link_to(b"anna's"), hello(rig["anna"], b"anna's"), anchors(rig))
        assert badge.node == rig["anna"].id


async def test_a_recorded_hello_is_worth_nothing_on_another_link(
    autojump_clock: MockClock, rig: Rig
) -> None:
    """Security case S06: X sends the HELLO that it recorded from B."""
    metrics = Metrics()
    room = Admission(rig["box"].machine.runtime, metrics)
    recorded = hello(rig["bruno"], b"bruno's")
    room.admit(link_to(b"bruno's"), recorded, anchors(rig))
    with pytest.raises(AuthenticationError):
        room.admit(link_to(b"x's"), recorded, anchors(rig))
    assert metrics.value("peers_refused") == 1
    refused = [line for line in rig.tracer.lines if line.event == "peer_refused"]
    assert len(refused) == 1


async def test_another_s_badge_with_one_s_own_binding_is_refused(
    autojump_clock: MockClock, rig: Rig
) -> None:
    room = Admission(rig["box"].machine.runtime, Metrics())
    posing = hello(rig["anna"], b"x's", rig["bruno"].device.badge.chain)
    with pytest.raises(AuthenticationError):
        room.admit(link_to(b"x's"), posing, anchors(rig))


async def test_strangers_garbage_and_cut_chains_are_refused(
    autojump_clock: MockClock, rig: Rig
) -> None:
    metrics = Metrics()
    room = Admission(rig["box"].machine.runtime, metrics)
    async with open_rig(seed=2) as elsewhere:
        shown = [hello(elsewhere["anna"], b"c")]
    anna = rig["anna"]
    shown += [hello(anna, b"c", chain) for chain in ((), (b"x",), anna.device.badge.chain[:1])]
    for each in shown:
        with pytest.raises(AuthenticationError):
            room.admit(link_to(b"c"), each, anchors(rig))
    assert metrics.value("peers_refused") == len(shown)


async def test_a_badge_that_was_remembered_still_ends(autojump_clock: MockClock, rig: Rig) -> None:
    box = rig["box"]
    room = Admission(box.machine.runtime, Metrics())
    shown = hello(rig["anna"], b"c")
    room.admit(link_to(b"c"), shown, anchors(rig))
    box.machine.clock_ahead_ms += BADGE_LIFE_MS + 1
    with pytest.raises(AuthenticationError):
        room.admit(link_to(b"c"), shown, anchors(rig))


async def test_a_root_that_is_trusted_no_more_admits_nobody(
    autojump_clock: MockClock, rig: Rig
) -> None:
    room = Admission(rig["box"].machine.runtime, Metrics())
    shown = hello(rig["anna"], b"c")
    room.admit(link_to(b"c"), shown, anchors(rig))
    async with open_rig(seed=2) as elsewhere:
        others = anchors(elsewhere)
    with pytest.raises(AuthenticationError):
        room.admit(link_to(b"c"), shown, others)


async def test_memory_is_bounded(
    autojump_clock: MockClock, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CACHE_MAX", 2)
    room = Admission(rig["box"].machine.runtime, Metrics())
    for _ in range(2):
        for name in ("anna", "bruno", "gateway"):
            room.admit(link_to(b"c"), hello(rig[name], b"c"), anchors(rig))
    assert len(room._verified) == 2
