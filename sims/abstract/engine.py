"""Runs a region under a policy: one loop over contacts, messages, transfers and expiries.

At one moment transfers end first, then contacts, then new ones begin, then messages are written,
then lives end: intervals are half-open, lifetimes are not. Nodes that an event touched are served,
the latest in the list first; of equal ranks the one that was found first counts, in the order of
neighbours and of messages. Source: DESIGN D11, routing.
"""

from __future__ import annotations

import hashlib
import heapq
import time
from typing import Any, Final

import numpy as np

from sims.abstract.meetings import join, separate
from sims.abstract.records import Options, Outcome, Samples
from sims.abstract.state import (
    CONTACT,
    CREATED,
    CUT,
    DEADLINE,
    DELIVERED,
    DIED_AT,
    EVICTIONS,
    FATE,
    HOPS,
    MATE,
    RECEIVED,
    SENT,
    SERIAL,
    SOURCE,
    TRANSFERS,
    USED,
    State,
    make_state,
)
from sims.abstract.stores import expire
from sims.abstract.transfers import finish, serve, write
from sims.compiled import compiled
from sims.contacts import make_plan, make_workload
from sims.region import Region, plain_region

__all__ = ["simulate"]

SAMPLES: Final = 240
"""Moments at which stores are looked at."""

_DONE, _END, _START, _WRITE, _EXPIRE, _NONE = range(6)


def simulate(region: Region, options: Options) -> Outcome:
    """Run `region` from its first event to its last. Raises: SimulationError.

    Cost: about 1 µs for each contact and 3 µs for each transfer, and at the first run after an
    installation half a minute for compiling, which is not counted.
    """
    _compile()
    state = make_state(region, options)
    began_s = time.process_time()
    samples = _run_region(region, state)
    return _outcome(region, options, state, samples, time.process_time() - began_s)


def _compile() -> None:
    """Compile for the types of all runs, by a run of two nodes."""
    plan = make_plan(2, np.array([[0.0, 9.0, 0, 1]]))
    workload = make_workload(("m",), np.array([[1.0, 0, 1, 9, 9, 0]]), 2, "messages")
    region = plain_region("two", plan, workload)
    _run_region(region, make_state(region, Options()))


def _run_region(region: Region, state: State) -> Samples:
    plan = region.plan
    times_s = np.linspace(0.0, max(region.duration_s, 1.0), SAMPLES)
    mean, largest = np.zeros(SAMPLES), np.zeros(SAMPLES)
    ends = np.argsort(plan.end_s, kind="stable")
    lives = np.argsort(state.times[DEADLINE], kind="stable")
    contacts = (plan.start_s, plan.end_s, plan.a.astype(np.int64), plan.b.astype(np.int64))
    _run(state, contacts, (ends, lives), (times_s, mean, largest))
    return Samples(times_s, mean, largest)


@compiled
def _run(state: State, contacts: Any, orders: Any, samples: Any) -> None:
    """Go through all events in order of time."""
    first, second = contacts[2], contacts[3]
    ends, lives = orders
    # Both begin with an entry that tells the compiler what they hold.
    done = [(0.0, np.int64(0), np.int64(0))]
    done.pop()
    partial = {(np.int64(-1), np.int64(-1)): 0.0}
    partial.pop((np.int64(-1), np.int64(-1)))
    waiting = [np.int64(0)]
    waiting.pop()
    at = np.zeros(6, np.int64)
    while True:
        kind, now_s = _next(done, at, contacts, orders, state.times)
        if kind == _NONE:
            break
        _sample(state.amounts[USED], samples, at, now_s)
        if kind == _DONE:
            _, sender, serial = heapq.heappop(done)
            if state.nodes[SERIAL, sender] != serial:
                continue
            waiting.append(state.nodes[MATE, sender])
            waiting.append(sender)
            finish(state, int(sender), partial, now_s)
        elif kind == _END:
            contact = ends[at[_END]]
            separate(state, first[contact], second[contact], contact, partial, now_s)
            waiting.append(second[contact])
            waiting.append(first[contact])
        elif kind == _START:
            contact = at[_START]
            join(state, first[contact], second[contact], contact, now_s)
            waiting.append(second[contact])
            waiting.append(first[contact])
        elif kind == _WRITE:
            write(state, at[_WRITE])
            waiting.append(state.facts[SOURCE, at[_WRITE]])
        else:
            expire(state, lives[at[_EXPIRE]])
        at[kind] += 1
        serve(state, waiting, done, partial, now_s)
    _sample(state.amounts[USED], samples, at, np.inf)


@compiled
def _next(done: Any, at: Any, contacts: Any, orders: Any, times: Any) -> tuple[int, float]:
    """Return kind and time of the next event."""
    kind, now_s = _NONE, np.inf
    if len(done) > 0:
        kind, now_s = _DONE, done[0][0]
    ends, lives = orders
    if at[_END] < len(ends) and contacts[1][ends[at[_END]]] < now_s:
        kind, now_s = _END, contacts[1][ends[at[_END]]]
    if at[_START] < len(ends) and contacts[0][at[_START]] < now_s:
        kind, now_s = _START, contacts[0][at[_START]]
    if at[_WRITE] < len(lives) and times[CREATED, at[_WRITE]] < now_s:
        kind, now_s = _WRITE, times[CREATED, at[_WRITE]]
    if at[_EXPIRE] < len(lives) and times[DEADLINE, lives[at[_EXPIRE]]] < now_s:
        kind, now_s = _EXPIRE, times[DEADLINE, lives[at[_EXPIRE]]]
    return kind, now_s


@compiled
def _sample(used: Any, samples: Any, at: Any, now_s: float) -> None:
    """Look at the stores for all sampling times before `now_s`."""
    times_s, mean, largest = samples
    while at[_NONE] < len(times_s) and times_s[at[_NONE]] < now_s:
        mean[at[_NONE]] = used.mean()
        largest[at[_NONE]] = used.max()
        at[_NONE] += 1


def _outcome(
    region: Region, options: Options, state: State, samples: Samples, cpu_seconds: float
) -> Outcome:
    facts, amounts = state.facts, state.amounts
    results = (
        state.times[DELIVERED],
        facts[FATE].astype(np.int8),
        facts[DIED_AT].astype(np.int32),
        facts[HOPS].astype(np.int16),
        facts[TRANSFERS].astype(np.int32),
        np.rint(amounts[SENT]).astype(np.int64),
        np.rint(amounts[RECEIVED]).astype(np.int64),
        amounts[CONTACT],
        state.nodes[EVICTIONS].astype(np.int32),
    )
    sampled = (samples.times_s, samples.mean_bytes, samples.largest_bytes)
    digest = hashlib.sha256(b"%d" % state.clock[CUT])
    for array in (*results, *sampled):
        digest.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
    return Outcome(
        options,
        *results,
        cut_transfers=int(state.clock[CUT]),
        samples=samples,
        cpu_seconds=cpu_seconds,
        digest=digest.hexdigest(),
    )
