"""The stopwatch of the attacks can fail: it takes off what others took, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.patience import Stopwatch, stopwatch
from tests.security.parts import SERVED_S_MAX

HELD_S = 2 * SERVED_S_MAX


@dataclass
class Machine:
    """Two clocks, moved by hand."""

    now_s: float = 1_000.0
    """Of the wall."""
    cpu_s: float = 5.0
    """Of the process."""

    def work(self, for_s: float, share: float = 1.0) -> None:
        """Let the process need a core for so long, of which it gets a share."""
        self.now_s += for_s / share
        self.cpu_s += for_s

    @contextmanager
    def timed(self) -> Iterator[Stopwatch]:
        watch = Stopwatch(lambda: self.now_s, lambda: self.cpu_s)
        yield watch
        watch.stop()

    def wait(self, watch: Stopwatch, for_s: float, *, at_most_s: float = 1e5) -> None:
        """Let the loop wait, as trio tells its instruments."""
        watch.before_io_wait(at_most_s)
        self.now_s += for_s
        watch.after_io_wait(at_most_s)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a_loop_that_works_too_long_is_not_excused(machine: Machine) -> None:
    with machine.timed() as watch:
        machine.wait(watch, 0.01)
        machine.work(HELD_S)
        machine.wait(watch, 0.01)
    assert watch.own_s == pytest.approx(HELD_S + 0.02)


@pytest.mark.parametrize("at_most_s", [1e5, HELD_S])
def test_a_wait_for_a_turn_is_not_excused(machine: Machine, at_most_s: float) -> None:
    with machine.timed() as watch:
        machine.work(0.1)
        machine.wait(watch, HELD_S, at_most_s=at_most_s)
        machine.work(0.1)
    assert watch.own_s == pytest.approx(HELD_S + 0.2)
    assert watch.lost_s == pytest.approx(0)


def test_threads_of_ours_that_take_the_core_are_not_excused(machine: Machine) -> None:
    with machine.timed() as watch:
        # The loop sleeps no longer than a moment, and a thread has its core for long.
        watch.before_io_wait(0.01)
        machine.work(HELD_S)
        watch.after_io_wait(0.01)
    assert watch.own_s == pytest.approx(HELD_S)


def test_a_process_that_was_stopped_is_excused(machine: Machine) -> None:
    with machine.timed() as watch:
        machine.work(0.2)
        machine.now_s += 60
        machine.work(0.2)
        machine.wait(watch, 0.1)
        machine.now_s += 60
    assert watch.own_s == pytest.approx(0.5)
    assert watch.lost_s == pytest.approx(120)


def test_a_sleep_that_ends_too_late_is_excused_beyond_its_time(machine: Machine) -> None:
    with machine.timed() as watch:
        machine.wait(watch, 3.0, at_most_s=0.5)
    assert watch.own_s == pytest.approx(0.501)


@pytest.mark.parametrize("step_s", [0.0005, 0.004, 0.2])
def test_a_quarter_of_a_core_is_excused_however_finely_it_is_shared(
    machine: Machine, step_s: float
) -> None:
    steps = round(1.0 / step_s)
    with machine.timed() as watch:
        for _ in range(steps):
            machine.work(step_s, share=0.25)
            machine.wait(watch, 0.0, at_most_s=0.0)
    assert watch.own_s == pytest.approx(1.0)
    assert watch.lost_s == pytest.approx(3.0)


def test_once_stopped_it_stands_still(machine: Machine) -> None:
    with machine.timed() as watch:
        machine.work(0.5)
    machine.work(9.0)
    assert watch.own_s == pytest.approx(0.5)


async def test_in_a_real_loop_work_counts() -> None:
    with stopwatch() as watch:
        began_s = time.process_time()
        while time.process_time() - began_s < 0.05:
            pass
    # Whatever else the machine does, the processor's own time of a loop at work counts.
    assert watch.own_s > 0.049
