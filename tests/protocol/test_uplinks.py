"""One uplink per squad: the rule alone, in a squad whose coverage comes and goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError
from protocol.ids import NodeId
from protocol.uplinks import (
    HOPS_MAX,
    MARGIN,
    SCORE_MAX,
    Choice,
    Claim,
    Cost,
    Fitness,
    choose,
    decode_claim_untrusted,
    encode_claim,
    score,
)

A, B, C = (bytes([each]) * 16 for each in (1, 2, 3))
USUAL = Fitness(80, False, 4, Cost.METERED, False, False)
NOW_MS = 1_000_000


def office(node: NodeId, points: int, since_ms: int = 5) -> dict[NodeId, Claim]:
    return {node: Claim(node, 0, since_ms, points)}


def test_charge_coverage_and_cost_count() -> None:
    assert score(Fitness(50, True, 4, Cost.METERED, False, False)) > score(USUAL)
    assert score(Fitness(80, False, 2, Cost.METERED, False, False)) < score(USUAL)
    assert score(Fitness(80, False, 4, Cost.COSTLY, False, False)) < score(USUAL)
    assert score(Fitness(80, False, 4, Cost.METERED, True, False)) > score(USUAL)
    assert score(Fitness(5, False, 4, Cost.METERED, False, False)) < score(USUAL) - MARGIN
    assert score(Fitness(80, False, 0, Cost.FREE, False, False)) == 0
    assert score(Fitness(80, False, 4, Cost.FREE, False, True)) == 0
    assert score(Fitness(80, False, 0, Cost.FREE, True, True)) > 0


@given(
    st.none() | st.floats(0, 100),
    st.booleans(),
    st.none() | st.integers(0, 6),
    st.sampled_from(Cost),
    st.booleans(),
    st.booleans(),
)
def test_a_score_stays_in_its_bounds(
    charge: float | None, charging: bool, net: int | None, cost: Cost, up: bool, failed: bool
) -> None:
    assert 0 <= score(Fitness(charge, charging, net, cost, up, failed)) <= SCORE_MAX


def test_alone_each_is_its_own_uplink() -> None:
    choice, _ = choose(A, 500, {}, set(), Choice(), NOW_MS)
    assert (choice.uplink, choice.is_alone) == (A, True)
    assert choose(A, 0, {}, set(), Choice(), NOW_MS)[0].uplink == b""
    far = office(B, 900)
    assert choose(A, 500, far, set(), Choice(), NOW_MS)[0].uplink == A, "its claim is heard of only"


def test_who_holds_the_office_keeps_it_until_somebody_is_clearly_better() -> None:
    held = office(B, 500)
    for points, expected in ((500, B), (500 + MARGIN - 1, B), (500 + MARGIN, A)):
        choice, _ = choose(A, points, held, {B}, Choice(), NOW_MS)
        assert choice.uplink == expected
    better = {**held, C: Claim(b"", 0, 0, 900)}
    assert choose(A, 700, better, {B, C}, Choice(), NOW_MS)[0].uplink == B, "that is for C"


def test_a_vacant_office_is_taken_in_order_of_fitness() -> None:
    vacant = {B: Claim(b"", 0, 0, 600), C: Claim(b"", 0, 0, 500)}
    assert choose(A, 700, vacant, {B, C}, Choice(), NOW_MS)[0].uplink == A
    waiting, look_ms = choose(A, 550, vacant, {B, C}, Choice(), NOW_MS)
    assert (waiting.uplink, look_ms) == (b"", NOW_MS + 5_000)
    assert choose(A, 550, vacant, {B, C}, waiting, look_ms)[0].uplink == A
    assert choose(A, 0, vacant, {B, C}, waiting, look_ms)[0].uplink == b""
    tie = {B: Claim(b"", 0, 0, 550)}
    assert choose(A, 550, tie, {B}, Choice(), NOW_MS)[0].uplink == A
    assert choose(C, 550, tie, {B}, Choice(), NOW_MS)[0].uplink == b""


def test_of_two_that_meet_the_fitter_stays_then_the_older_then_the_smaller() -> None:
    own = Choice(A, 0, 100, is_alone=False)
    for points, since_ms, expected in ((900, 100, B), (510, 99, B), (510, 101, A), (510, 100, A)):
        held = office(B, points, since_ms)
        assert choose(A, 500, held, {B}, own, NOW_MS)[0].uplink == expected
        other, _ = choose(
            B, points, office(A, 500, 100), {A}, Choice(B, 0, since_ms, is_alone=False), NOW_MS
        )
        assert other.uplink == expected, "both see it alike"


def test_an_uplink_is_reached_through_mates_and_its_own_word_counts() -> None:
    heard = {**office(B, 500), C: Claim(B, 1, 5, 300)}
    choice, _ = choose(A, 100, heard, {C}, Choice(), NOW_MS)
    assert (choice.uplink, choice.hops) == (B, 2)
    both, _ = choose(A, 100, heard, {B, C}, Choice(), NOW_MS)
    assert (both.uplink, both.hops) == (B, 1)
    left = {**heard, B: Claim(b"", 0, 0, 500)}
    assert choose(A, 100, left, {C}, Choice(), NOW_MS)[0].uplink == b""
    far = {**heard, C: Claim(B, HOPS_MAX, 5, 300)}
    assert choose(A, 100, far, {C}, Choice(), NOW_MS)[0].uplink == b""


CLAIMS = st.sampled_from([b"", A, B]).flatmap(
    lambda uplink: st.builds(
        Claim,
        st.just(uplink),
        st.integers(1, HOPS_MAX) if uplink == B else st.just(0),
        st.integers(1, 2**48 - 1) if uplink else st.just(0),
        st.integers(1, SCORE_MAX),
    )
)


@given(CLAIMS)
def test_a_claim_is_read_as_it_was_written(claim: Claim) -> None:
    assert decode_claim_untrusted(encode_claim(claim)) == claim
    assert claim.is_of(A)
    assert claim.is_of(B) is (claim.uplink == b"")


@pytest.mark.parametrize(
    "claim",
    [
        Claim(b"", 1, 0, 5),
        Claim(b"", 0, 5, 5),
        Claim(A, 0, 0, 5),
        Claim(A, 0, 5, 0),
        Claim(b"short", 1, 5, 5),
    ],
)
def test_a_claim_that_makes_no_sense_is_malformed(claim: Claim) -> None:
    with pytest.raises(MalformedError):
        decode_claim_untrusted(encode_claim(claim))


# --- a squad ----------------------------------------------------------------------------------


@dataclass
class Mate:
    """One device of the simulated squad."""

    node: NodeId
    charge: float
    generation: int = 4
    is_dead: bool = False
    choice: Choice = field(default_factory=Choice)
    heard: dict[NodeId, Claim] = field(default_factory=dict)
    told: Claim | None = None

    @property
    def points(self) -> int:
        """Its score now."""
        up = self.choice.uplink == self.node and self.generation > 0
        return score(Fitness(self.charge, False, self.generation, Cost.METERED, up, False))

    @property
    def is_active(self) -> bool:
        """True while it speaks to the gateway itself."""
        is_own = self.choice.uplink == self.node or self.choice.is_alone
        return not self.is_dead and is_own and self.generation > 0


class Squad:
    """Eight devices in one place; claims arrive 0.1 to 2 s later, seconds pass one by one."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.mates = [Mate(bytes([n + 1]) * 16, self.random.uniform(20, 100)) for n in range(8)]
        self.now_ms = 1_000
        self.posts: list[tuple[int, Mate, NodeId, Claim]] = []
        self.silent_ms: dict[NodeId, int] = {}

    def step(self) -> None:
        """Let a second pass."""
        self.now_ms += 1_000
        for mate in self.mates:
            mate.charge = max(1.0, mate.charge - 0.003)
            if self.random.random() < 0.02:
                walk = mate.generation + self.random.choice((-2, -1, 1, 1))
                mate.generation = min(5, max(0, walk))
        due = [each for each in self.posts if each[0] <= self.now_ms]
        self.posts = [each for each in self.posts if each[0] > self.now_ms]
        for _at, mate, author, claim in sorted(due, key=lambda each: each[0]):
            mate.heard[author] = claim
        # A dead phone is silent: its sessions count for 23 s more.
        near = {
            each.node
            for each in self.mates
            if not each.is_dead or self.now_ms - self.silent_ms[each.node] < 23_000
        }
        for mate in self.mates:
            if not mate.is_dead:
                self._look(mate, near - {mate.node})

    def _look(self, mate: Mate, near: set[NodeId]) -> None:
        points = mate.points
        mate.choice, _ = choose(mate.node, points, mate.heard, near, mate.choice, self.now_ms)
        uplink = mate.choice.uplink
        claim = Claim(uplink, mate.choice.hops, mate.choice.since_ms if uplink else 0, mate.points)
        told = mate.told
        is_other = told is None or (told.uplink, told.hops) != (claim.uplink, claim.hops)
        if is_other or (told is not None and abs(told.score - claim.score) >= MARGIN // 2):
            mate.told = claim
            for other in self.mates:
                if other is not mate:
                    at_ms = self.now_ms + self.random.randrange(100, 2_000)
                    self.posts.append((at_ms, other, mate.node, claim))

    @property
    def active(self) -> list[Mate]:
        """Those that speak to the gateway now."""
        return [each for each in self.mates if each.is_active]


@pytest.mark.slow
def test_eight_devices_have_hardly_more_than_one_uplink(capsys: pytest.CaptureFixture[str]) -> None:
    counts: list[int] = []
    without = changes = 0
    for seed in range(6):
        squad, last = Squad(seed), b""
        for second in range(1_800):
            squad.step()
            if second < 30:
                continue
            counts.append(len(squad.active))
            without += not squad.active and any(each.generation for each in squad.mates)
            now = min((each.node for each in squad.active), default=last)
            changes, last = changes + (now != last), now
    mean = sum(counts) / len(counts)
    with capsys.disabled():
        print(
            f"\nactive uplinks of 8 devices: {mean:.3f} on average, none for "
            f"{100 * without / len(counts):.1f} % of the time, {changes} changes in 3 h"
        )
    assert mean <= 1.2
    assert without / len(counts) < 0.05


@pytest.mark.slow
def test_a_killed_leader_is_replaced_within_half_a_minute(
    capsys: pytest.CaptureFixture[str],
) -> None:
    slowest = 0
    for seed in range(30):
        squad = Squad(seed)
        for _ in range(60):
            squad.step()
        for mate in squad.mates:
            mate.generation = max(3, mate.generation)
        while len(squad.active) != 1:
            squad.step()
        (leader,) = squad.active
        leader.is_dead, squad.silent_ms[leader.node] = True, squad.now_ms
        killed_ms = squad.now_ms
        while not squad.active:
            squad.step()
        slowest = max(slowest, squad.now_ms - killed_ms)
    with capsys.disabled():
        print(f"\nkilled leaders replaced after {slowest / 1000:.0f} s at most, of 30")
    assert slowest < 30_000
