"""The lease: counted from beacons alone, in a time that no setting of the clock puts back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from meshnode.lease import (
    KEPT_EACH_MS,
    BeaconView,
    BoundFile,
    Lease,
    LeaseState,
    LowerBound,
    judge,
    lease_ms_of,
)
from protocol.guards import BEACON_AMBER_MS, LEASE_BOX_MS, LEASE_MS
from protocol.identity import DeviceClass

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_700_000_000_000


@dataclass(slots=True)
class Documents:
    """What the documents in force say."""

    beacon_ms: int = 0
    floor_ms: int = START_MS
    has_beacons: bool = True

    @property
    def view(self) -> BeaconView:
        return BeaconView(lambda: self.has_beacons, lambda: self.beacon_ms, lambda: self.floor_ms)


def lease(documents: Documents, now_ms: int, lease_ms: int = LEASE_MS) -> Lease:
    """Return the lease of a device that was enrolled at the start."""
    return judge(documents.view, START_MS, lease_ms, now_ms)


@pytest.mark.parametrize(
    ("age_ms", "state"),
    [
        (0, LeaseState.VALID),
        (BEACON_AMBER_MS, LeaseState.VALID),
        (BEACON_AMBER_MS + 1, LeaseState.AMBER),
        (LEASE_MS - 1, LeaseState.AMBER),
        (LEASE_MS, LeaseState.ENDED),
        (100 * LEASE_MS, LeaseState.ENDED),
    ],
)
def test_states_by_the_age_of_the_beacon(age_ms: int, state: LeaseState) -> None:
    beacon_ms = START_MS + 5 * DAY_MS
    found = lease(Documents(beacon_ms), beacon_ms + age_ms)
    assert found == Lease(state, age_ms, max(0, LEASE_MS - age_ms), has_beacon=True)


def test_without_a_beacon_the_enrolment_counts() -> None:
    assert lease(Documents(), START_MS + DAY_MS).state is LeaseState.VALID
    assert not lease(Documents(), START_MS + DAY_MS).has_beacon
    assert lease(Documents(), START_MS + LEASE_MS).state is LeaseState.ENDED


def test_a_network_without_beacons_has_no_lease() -> None:
    documents = Documents(has_beacons=False)
    assert lease(documents, START_MS + 1_000 * DAY_MS) == Lease(LeaseState.NONE)


def test_a_beacon_of_a_clock_that_is_ahead_is_no_younger_than_now() -> None:
    assert lease(Documents(START_MS + HOUR_MS), START_MS).age_ms == 0


def test_boxes_and_servers_have_the_longer_lease() -> None:
    found = {each: lease_ms_of(each) for each in DeviceClass}
    long = {each for each, lease_ms in found.items() if lease_ms == LEASE_BOX_MS}
    assert long == {DeviceClass.BOX, DeviceClass.SERVER}
    assert set(found.values()) == {LEASE_MS, LEASE_BOX_MS}


# --- the lower bound of time ---------------------------------------------------------------------


def test_time_passes_from_the_newest_signed_time_on() -> None:
    documents, clock = Documents(), [100.0]
    bound = LowerBound(lambda: documents.floor_ms, 0, lambda: clock[0])
    assert bound.now_ms() == START_MS
    clock[0] += 60.5
    assert bound.now_ms() == START_MS + 60_500
    documents.floor_ms = START_MS + 1_000
    assert bound.now_ms() == START_MS + 60_500, "an older time puts nothing back"
    documents.floor_ms = START_MS + DAY_MS
    assert bound.now_ms() == START_MS + DAY_MS
    clock[0] += 1
    assert bound.now_ms() == START_MS + DAY_MS + 1_000


def test_looking_often_loses_no_time() -> None:
    clock = [0.0]
    bound = LowerBound(lambda: START_MS, 0, lambda: clock[0])
    for _ in range(10_000):
        clock[0] += 0.0003
        bound.now_ms()
    assert bound.now_ms() == pytest.approx(START_MS + 3_000, abs=2)


def test_what_is_written_down_is_ahead() -> None:
    clock = [0.0]
    bound = LowerBound(lambda: START_MS, 0, lambda: clock[0])
    ahead_ms = bound.to_keep()
    assert ahead_ms == START_MS + KEPT_EACH_MS
    bound.kept_ms = ahead_ms
    clock[0] += KEPT_EACH_MS / 1000 - 1
    assert bound.to_keep() is None
    clock[0] += 1
    assert bound.to_keep() == START_MS + 2 * KEPT_EACH_MS


def test_a_bound_is_kept_in_a_file(tmp_path: Path) -> None:
    file = BoundFile(tmp_path / "lease")
    assert file.read() == 0
    file.write(START_MS)
    assert file.read() == START_MS
    assert (tmp_path / "lease").stat().st_mode & 0o077 == 0
    for raw in (b"", b"\x92\x01", b"\x92\x02\x00", b"x" * 100, b"\x92\x01\xff"):
        (tmp_path / "lease").write_bytes(raw)
        assert file.read() == 0, raw


# --- nothing gains time --------------------------------------------------------------------------

_SPANS = st.one_of(
    st.integers(0, 90).map(lambda minutes: minutes * 60_000 + 1),
    st.integers(0, 9 * 24).map(lambda hours: hours * HOUR_MS),
)
_JUMPS = st.integers(-400, 20).map(lambda days: days * DAY_MS)


class Attacked(RuleBasedStateMachine):
    """A device whose clock is set at will, which is switched off, killed and fed with data."""

    def __init__(self) -> None:
        super().__init__()
        self.documents = Documents()
        self.true_ms = START_MS
        self.monotonic_ms = 0
        self.ahead_ms = 0
        self.written_ms = 0
        self.starts = 0
        self.has_wrong_clock = False
        self.floor_ms = START_MS
        """The judge's own count: newest signed time, and running time since, over all restarts."""
        self._start()

    def _start(self) -> None:
        self.starts += 1
        self.bound = LowerBound(
            lambda: self.documents.floor_ms, self.written_ms, lambda: self.monotonic_ms / 1000
        )
        self._keep()

    def _keep(self) -> None:
        ahead_ms = self.bound.to_keep()
        if ahead_ms is not None:
            self.written_ms = self.bound.kept_ms = ahead_ms

    @property
    def wall_ms(self) -> int:
        return self.true_ms + self.ahead_ms

    @property
    def lease(self) -> Lease:
        return lease(self.documents, max(self.wall_ms, self.bound.now_ms()))

    @rule(span_ms=_SPANS)
    def run(self, span_ms: int) -> None:
        while span_ms > 0:
            step_ms = min(span_ms, max(1, self.bound.kept_ms - self.bound.now_ms()))
            self.true_ms += step_ms
            self.monotonic_ms += step_ms
            self.floor_ms += step_ms
            span_ms -= step_ms
            self._keep()

    @rule(off_ms=_SPANS, boot_ms=st.integers(0, 10**9))
    def kill(self, off_ms: int, boot_ms: int) -> None:
        self.true_ms += off_ms
        self.monotonic_ms = boot_ms
        self._start()

    @rule()
    def stop(self) -> None:
        self.written_ms = self.bound.now_ms()
        self.starts -= 1
        self._start()

    @rule(jump_ms=_JUMPS)
    def set_clock(self, jump_ms: int) -> None:
        self.ahead_ms = jump_ms
        self.has_wrong_clock = True

    @rule(delay_ms=_SPANS)
    def beacon(self, delay_ms: int) -> None:
        issued_ms = max(START_MS, self.true_ms - delay_ms)
        self.documents.beacon_ms = max(self.documents.beacon_ms, issued_ms)
        self._document(issued_ms)

    @rule(delay_ms=_SPANS)
    def other_document(self, delay_ms: int) -> None:
        self._document(max(START_MS, self.true_ms - delay_ms))

    def _document(self, issued_ms: int) -> None:
        self.documents.floor_ms = max(self.documents.floor_ms, issued_ms)
        self.floor_ms = max(self.floor_ms, issued_ms)
        self._keep()

    @invariant()
    def never_open_beyond_the_lease(self) -> None:
        since_ms = self.documents.beacon_ms or START_MS
        if self.lease.state is not LeaseState.ENDED:
            assert self.floor_ms - since_ms <= LEASE_MS

    @invariant()
    def never_shut_before_it_without_an_attack(self) -> None:
        since_ms = self.documents.beacon_ms or START_MS
        spent_ms = self.true_ms - since_ms + self.starts * KEPT_EACH_MS
        if not self.has_wrong_clock and spent_ms < LEASE_MS:
            assert self.lease.state is not LeaseState.ENDED


TestNothingGainsTime = Attacked.TestCase
