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
from protocol.guards import CONTROL_GRACE_MS
from protocol.identity import Badge, binding_message
from protocol.limits import BADGE_LIFE_MS
from protocol.reports import Standing
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
        badge, standing = room.admit(
            link_to(b"anna's"), hello(rig["anna"], b"anna's"), anchors(rig)
        )
        assert badge.node == rig["anna"].id
        assert standing is Standing.FULL


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
    box.machine.clock_ahead_ms += BADGE_LIFE_MS + CONTROL_GRACE_MS + 1
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


async def test_a_badge_that_ended_lately_gets_documents_only(
    autojump_clock: MockClock, rig: Rig
) -> None:
    box, anna = rig["box"], rig["anna"]
    room = Admission(box.machine.runtime, Metrics())
    badge, _ = room.admit(link_to(b"c"), hello(anna, b"c"), anchors(rig))
    ahead_ms = badge.not_after_ms - box.machine.runtime.now_ms()
    for late_ms, expected in (
        (0, Standing.FULL),
        (1, Standing.CONTROL_ONLY),
        (CONTROL_GRACE_MS, Standing.CONTROL_ONLY),
        (CONTROL_GRACE_MS + 1, Standing.REFUSED),
    ):
        box.machine.clock_ahead_ms = ahead_ms + late_ms
        assert room.standing(link_to(b"c"), badge, anchors(rig)) is expected
        if expected is not Standing.REFUSED:
            assert room.admit(link_to(b"c"), hello(anna, b"c"), anchors(rig))[1] is expected


async def test_a_link_certificate_that_ended_lately_does_the_same(
    autojump_clock: MockClock, rig: Rig
) -> None:
    box, link = rig["box"], link_to(b"c")
    room = Admission(box.machine.runtime, Metrics())
    link.peer_not_after_ms = box.machine.runtime.now_ms() - 1
    badge, standing = room.admit(link, hello(rig["anna"], b"c"), anchors(rig))
    assert standing is Standing.CONTROL_ONLY
    link.peer_not_after_ms -= CONTROL_GRACE_MS
    assert room.standing(link, badge, anchors(rig)) is Standing.REFUSED


async def test_documents_have_the_last_word_and_the_worst_one_counts(
    autojump_clock: MockClock, rig: Rig
) -> None:
    judged, metrics = Standing.REVOKED, Metrics()

    def judge(badge: Badge) -> Standing:
        assert badge.node == rig["anna"].id
        return judged

    box, link = rig["box"], link_to(b"c")
    room = Admission(box.machine.runtime, metrics, judge)
    badge, standing = room.admit(link, hello(rig["anna"], b"c"), anchors(rig))
    assert standing is Standing.REVOKED
    link.peer_not_after_ms = box.machine.runtime.now_ms() - 1
    assert room.standing(link, badge, anchors(rig)) is Standing.REVOKED
    judged = Standing.FULL
    assert room.standing(link, badge, anchors(rig)) is Standing.CONTROL_ONLY
    judged = Standing.REFUSED
    with pytest.raises(AuthenticationError):
        room.admit(link, hello(rig["anna"], b"c"), anchors(rig))
    assert metrics.value("peers_refused") == 1


async def test_an_admitted_badge_is_judged_by_the_roots_of_now(
    autojump_clock: MockClock, rig: Rig
) -> None:
    room = Admission(rig["box"].machine.runtime, Metrics())
    badge, _ = room.admit(link_to(b"c"), hello(rig["anna"], b"c"), anchors(rig))
    async with open_rig(seed=2) as elsewhere:
        assert room.standing(link_to(b"c"), badge, anchors(elsewhere)) is Standing.REFUSED
