"""Runs many random days of real nodes on several processes, and makes what fails small.

Each seed is a day of its own; one in ten runs with the cryptography of the field, whose bytes
nobody repeats. A failure comes with the one command that shows it again. Source: DESIGN D11.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from protocol.errors import MeshError
from sims.chaos import random_scenario
from sims.checked import run_checked
from sims.checkers import Breach
from sims.measures import measure
from sims.record import WorldRecord
from sims.replaying import replay_command
from sims.scenario import Scenario
from sims.shrinking import shrink
from sims.world import Links, Sealing
from sims.writing import scenario_to_toml

__all__ = ["Failure", "SoakError", "SoakResult", "soak"]

_SEALED_EVERY: Final = 10
"""One seed in so many runs with real sealing and TLS."""
_SHRINK_RUNS: Final = 100


class SoakError(MeshError):
    """The runs could not be done."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a run did not keep, and how to see it again."""

    breaches: tuple[Breach, ...]
    """Every breach of the whole day."""
    scenario: Scenario
    """The smallest scenario found that breaks one of the same promises."""
    path: Path
    """Where that is, as TOML."""
    command: str
    """Shows it again, in a shell."""


@dataclass(frozen=True, slots=True)
class SoakResult:
    """One day."""

    seed: int
    """What decided it."""
    is_sealed: bool
    """It ran with real sealing and TLS."""
    cpu_s: float
    """What run and checks took, without shrinking, seconds of one core."""
    messages: int
    """Taken by the devices to be sent."""
    copies: int
    """Copies of messages that arrived."""
    digest: str
    """Of the trace; empty where the run ended by an error."""
    failure: Failure | None = None
    """None if every promise was kept."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What a worker needs to know."""

    devices: int
    """Nodes of each day."""
    hours: float
    """Length of each day."""
    folder: Path
    """For scenarios that fail."""
    shrink_runs: int
    """Runs that may be spent on making one failure smaller."""


def soak(
    seeds: Sequence[int],
    devices: int,
    hours: float,
    processes: int,
    *,
    folder: Path,
    on_result: Callable[[SoakResult], None] = lambda _result: None,
    shrink_runs: int = _SHRINK_RUNS,
) -> list[SoakResult]:
    """Run the day of each of `seeds` and return the results in their order.

    `on_result` hears each one as it comes. A failure is written to `folder`, which is made if
    it is missing. With one process everything runs in this one. Ctrl-C ends all workers at once.
    Raises: SoakError if a worker died.
    """
    job = _Job(devices, hours, folder, shrink_runs)
    results: dict[int, SoakResult] = {}
    for result in _results(seeds, job, processes):
        results[result.seed] = result
        on_result(result)
    return [results[seed] for seed in seeds]


def _results(seeds: Sequence[int], job: _Job, processes: int) -> Iterator[SoakResult]:
    if processes <= 1:
        yield from (_day(seed, job) for seed in seeds)
        return
    with _workers(processes) as pool:
        days: list[Future[SoakResult]] = [pool.submit(_day, seed, job) for seed in seeds]
        try:
            for done in as_completed(days):
                yield done.result()
        except BrokenProcessPool as error:
            raise SoakError("a worker of the soak was killed; run it again with fewer") from error


@contextmanager
def _workers(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Give a pool of processes that ends at once when the block is left by an error."""
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(processes, context, _leave_interrupts_alone) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise


def _leave_interrupts_alone() -> None:
    """In a worker: Ctrl-C in a shell reaches every process, and the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


# --- one day -------------------------------------------------------------------------------------


def _day(seed: int, job: _Job) -> SoakResult:
    is_sealed = seed % _SEALED_EVERY == _SEALED_EVERY - 1
    scenario = random_scenario(seed, job.devices, job.hours)
    began_s = time.process_time()
    world, breaches = _run(scenario, seed, is_sealed)
    cpu_s = time.process_time() - began_s
    figures = None if world is None else measure(world)
    return SoakResult(
        seed,
        is_sealed,
        round(cpu_s, 2),
        0 if figures is None else figures.messages_sent,
        0 if figures is None else figures.copies_arrived,
        "" if world is None else world.digest,
        _failure(scenario, seed, job, breaches) if breaches else None,
    )


def _run(
    scenario: Scenario, seed: int, is_sealed: bool
) -> tuple[WorldRecord | None, tuple[Breach, ...]]:
    """Return what is left of a run, and what it did not keep."""
    sealing, links = _field(is_sealed)
    return run_checked(scenario, seed, sealing=sealing, links=links)


def _field(is_sealed: bool) -> tuple[Sealing, Links]:
    """Return sealer and links: those of the field, or what follows from the seed."""
    return (Sealing.HPKE, Links.TLS) if is_sealed else (Sealing.STAND_IN, Links.PLAIN)


def _failure(scenario: Scenario, seed: int, job: _Job, breaches: tuple[Breach, ...]) -> Failure:
    is_sealed = seed % _SEALED_EVERY == _SEALED_EVERY - 1
    # With the bytes of the field a failure that depends on time does not always come again.
    if is_sealed and _shares(breaches, _run(scenario, seed, False)[1]):
        is_sealed = False
    is_failing = partial(_fails_likewise, breaches, is_sealed)
    smallest = shrink(scenario, seed, is_failing, job.shrink_runs)
    job.folder.mkdir(parents=True, exist_ok=True)
    path = job.folder / f"day-{seed}.toml"
    path.write_text(scenario_to_toml(smallest), encoding="utf-8")
    sealing, links = _field(is_sealed)
    command = replay_command(os.fspath(path), seed, sealing=sealing, links=links)
    return Failure(breaches, smallest, path, command)


def _fails_likewise(
    breaches: tuple[Breach, ...], is_sealed: bool, scenario: Scenario, seed: int
) -> bool:
    return _shares(breaches, _run(scenario, seed, is_sealed)[1])


def _shares(some: tuple[Breach, ...], others: tuple[Breach, ...]) -> bool:
    """True if one promise is broken by both."""
    return not {each.checker for each in some}.isdisjoint(each.checker for each in others)
