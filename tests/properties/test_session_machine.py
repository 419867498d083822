"""Two nodes that meet, part, write and learn at any moment end with the same set.

Every step of both shells, and every cut of the byte stream, is chosen by Hypothesis. What must
hold at each step stands in `nodes`; here is what must hold once nobody has more to say.
"""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol.errors import CloseCode
from protocol.reports import Standing
from protocol.session import SessionRole
from tests.properties.nodes import IDS_MAX, Node

SIDES = st.integers(0, 1)
IDS = st.integers(1, IDS_MAX)
SIZES = st.sampled_from([1, 2, 7, 100, 3_000, 1 << 17]) | st.integers(1, 300)
COUNTS = st.integers(0, 12) | st.integers(0, 600)
STEPS_MAX = 500


class Meeting(RuleBasedStateMachine):
    """Nodes 0 and 1, with at most one session between them."""

    GOODBYES: ClassVar[frozenset[CloseCode]] = frozenset({CloseCode.NORMAL})
    """How a session ends for whoever hears a goodbye."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes = (Node(), Node())
        self.is_linked = False
        self.is_tainted = False

    def node(self, side: int) -> Node:
        return self.nodes[side]

    # --- life of the nodes ------------------------------------------------------------------

    @initialize(
        common=st.integers(0, 600),
        own=st.tuples(COUNTS, COUNTS),
        rosters=st.tuples(st.integers(0, 2), st.integers(0, 2)),
        side=SIDES,
        steps=st.integers(0, 8),
    )
    def lived_before(
        self, common: int, own: tuple[int, int], rosters: tuple[int, int], side: int, steps: int
    ) -> None:
        """Both hold some bundles, and have talked for a while."""
        for node, start, count, roster in zip(self.nodes, (700, 1_400), own, rosters, strict=True):
            node.roster = roster
            node.write([*range(1, common), *range(start, start + count)])
        self.meet(side)
        for _ in range(steps):
            self.talk()

    @rule(side=SIDES, ids=st.sets(IDS, min_size=1, max_size=6))
    def write(self, side: int, ids: set[int]) -> None:
        self.node(side).write(ids)

    @rule(side=SIDES)
    def learn(self, side: int) -> None:
        self.node(side).learn()

    @rule(side=SIDES, place=st.integers(0, 1_000))
    def evict(self, side: int, place: int) -> None:
        node = self.node(side)
        if node.held:
            node.evict(sorted(node.held)[place % len(node.held)])
            self.is_tainted = True

    # --- the link ---------------------------------------------------------------------------

    @precondition(lambda self: not self.is_linked)
    @rule(side=SIDES)
    def meet(self, side: int) -> None:
        self.node(side).dial(self.node(1 - side), SessionRole.INITIATOR)
        self.node(1 - side).dial(self.node(side), SessionRole.RESPONDER)
        self.is_linked, self.is_tainted = True, False

    @precondition(lambda self: self.is_linked)
    @rule(arrives=st.tuples(st.integers(0, 5_000), st.integers(0, 5_000)))
    def cut(self, arrives: tuple[int, int]) -> None:
        """The link ends after some of what is on the way; late answers are ignored."""
        for node, size_bytes in zip(self.nodes, arrives, strict=True):
            node.hear(size_bytes)
            node.session.receive_eof()
            node.look()
            assert node.closed is not None
            assert node.session.next_deadline_ms() is None
        for node in self.nodes:
            node.go_on()
        self.is_linked = False

    @precondition(lambda self: self.is_linked)
    @rule(side=SIDES)
    def leave(self, side: int) -> None:
        """One node says goodbye; the other hears it behind everything that is on the way."""
        node, other = self.node(side), self.node(1 - side)
        if node.closed is None:
            node.session.close(CloseCode.NORMAL)
            node.look()
            node.send(1 << 20)
            assert node.session.data_to_send(1 << 20) == b""
            while node.wire:
                other.hear(len(node.wire))
                other.go_on()
        assert node.closed is not None
        assert other.closed is not None
        assert other.closed.code in self.GOODBYES
        assert other.closed.by_peer is (other.closed.code is CloseCode.NORMAL)
        self.is_linked = False

    @rule(side=SIDES, max_bytes=SIZES)
    def send(self, side: int, max_bytes: int) -> None:
        self.node(side).send(max_bytes)

    @rule(side=SIDES, size_bytes=SIZES)
    def hear(self, side: int, size_bytes: int) -> None:
        self.node(side).hear(size_bytes)

    @rule(wait_ms=st.sampled_from([0, 1, 100, 1_000, 22_000]))
    def pass_time(self, wait_ms: int) -> None:
        """Time goes by; where nobody did anything meanwhile, a session may end by it."""
        now_ms = self.node(0).now_ms + wait_ms
        for node in self.nodes:
            node.pass_time(now_ms)
        if self.is_linked and any(node.closed for node in self.nodes):
            self.cut((1 << 20, 1 << 20))

    # --- the shells -------------------------------------------------------------------------

    @rule(side=SIDES, place=st.integers(0, 3))
    def answer(self, side: int, place: int) -> None:
        self.node(side).answer(place)

    @rule(side=SIDES, max_bytes=SIZES)
    def read_store(self, side: int, max_bytes: int) -> None:
        self.node(side).read_store(max_bytes)

    @rule(side=SIDES, count=st.integers(1, 40))
    def supply(self, side: int, count: int) -> None:
        self.node(side).supply(count)

    @rule(side=SIDES, count=st.integers(0, 40))
    def store(self, side: int, count: int) -> None:
        self.node(side).store(count)

    @rule(side=SIDES)
    def go_on(self, side: int) -> None:
        self.node(side).go_on()

    # --- what must hold ---------------------------------------------------------------------

    @invariant()
    def counters_are_exact(self) -> None:
        for node in self.nodes:
            session = node.session
            assert session.bytes_sent == node.sent_bytes
            assert session.bytes_received == node.fed_bytes
            assert session.bundles_received == node.settled + len(node.unsettled)
            assert session.bundles_sent >= node.peer.session.bundles_received
            assert len(node.outcomes) <= len(node.peer.fates)

    @precondition(lambda self: self.is_linked)
    @rule()
    def talk_until_all_is_said(self) -> None:
        for _ in range(STEPS_MAX):
            if not self.talk():
                break
        else:
            raise AssertionError("two nodes never stop talking")
        self.all_is_said()

    def talk(self) -> bool:
        """Let both go on, and hear each other; False if there was nothing."""
        has_acted = [node.go_on() for node in self.nodes]
        has_heard = [node.hear(1 << 20) for node in self.nodes]
        return any(has_acted + has_heard)

    def all_is_said(self) -> None:
        first, second = self.nodes
        assert first.closed is None is second.closed
        assert first.roster == second.roster
        if not self.is_tainted:
            assert first.held == second.held
        for node in self.nodes:
            session = node.session
            assert session.is_idle
            assert session.bundles_waiting == 0
            assert session.bundles_sent == node.peer.session.bundles_received
            assert node.outcomes == node.peer.fates
            assert session.reconcile_bytes == first.reconcile_bytes + second.reconcile_bytes
        assert first.rounds == second.rounds >= 1
        assert first.session.round_trips == second.session.round_trips >= first.rounds

    def teardown(self) -> None:
        """Whatever happened, one more meeting is enough."""
        if self.is_linked:
            self.cut((0, 0))
        self.meet(0)
        self.talk_until_all_is_said()
        assert self.node(0).held == self.node(1).held


Meeting.TestCase.settings = settings(
    settings.default, stateful_step_count=40, report_multiple_bugs=False
)

TestMeeting = pytest.mark.slow(Meeting.TestCase)


class Doubting(Meeting):
    """The same two nodes, who learn at any moment that the other is revoked, or is not.

    What goes to a doubted peer from then on is judged frame by frame in `Node.send`.
    """

    # With the last documents, on the way before the goodbye, a doubted peer is parted with.
    GOODBYES: ClassVar[frozenset[CloseCode]] = frozenset({CloseCode.NORMAL, CloseCode.REFUSED})

    @rule(side=SIDES, standing=st.sampled_from(Standing))
    def doubt(self, side: int, standing: Standing) -> None:
        self.node(side).doubt(standing)

    @rule(side=SIDES, ids=st.sets(IDS, min_size=1, max_size=6))
    def doubt_with_bundles_at_hand(self, side: int, ids: set[int]) -> None:
        """Learn it at the worst moment: bundles are read and ready, and none has gone out yet."""
        node = self.node(side)
        node.write(ids)
        node.read_store(1 << 20)
        node.supply(len(node.given_out))
        node.doubt(Standing.REVOKED)

    @precondition(lambda self: self.is_linked)
    @rule(side=SIDES)
    def leave(self, side: int) -> None:
        if not self.is_over_or_parting():
            super().leave(side)

    def all_is_said(self) -> None:
        """A peer that is doubted is parted with; both then know what each held of documents."""
        doubted = [node for node in self.nodes if node.is_restricting]
        if not self.is_over_or_parting():
            assert all(node.peers_stand is Standing.FULL for node in self.nodes if node.is_live)
            super().all_is_said()
        for node in doubted:
            assert node.closed is not None
            assert node.peer.closed is not None
        if any(node.closed for node in self.nodes):
            self.cut((1 << 20, 1 << 20))

    def is_over_or_parting(self) -> bool:
        return any(node.closed or node.is_restricting for node in self.nodes)

    def teardown(self) -> None:
        for node in self.nodes:
            node.doubt(Standing.FULL)
        super().teardown()


Doubting.TestCase.settings = Meeting.TestCase.settings

TestDoubting = pytest.mark.slow(Doubting.TestCase)
