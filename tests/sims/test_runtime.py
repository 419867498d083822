"""The surroundings of a simulated node: clock, power, entropy, trace."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from meshnode.errors import StoreError
from sims.runtime import START_MS, Machine, PowerCutError, TraceLine, Tracer, seeded_entropy


def test_entropy_follows_from_seed_and_name_alone() -> None:
    first, same = seeded_entropy(1, "a"), seeded_entropy(1, "a")
    assert [first(16), first(3)] == [same(16), same(3)]
    others = {seeded_entropy(2, "a")(16), seeded_entropy(1, "b")(16), seeded_entropy(1, "a")(16)}
    assert len(others) == 3


async def test_the_clock_is_virtual_and_may_be_wrong(autojump_clock: MockClock) -> None:
    machine = Machine(1, "a", Tracer())
    began_ms = machine.now_ms()
    await trio.sleep(12.5)
    assert machine.runtime.now_ms() - began_ms == 12_500
    machine.clock_ahead_ms = -60_000
    assert machine.runtime.now_ms() - began_ms == -47_500
    assert began_ms >= START_MS


async def test_blocking_work_runs_inline_while_there_is_power(autojump_clock: MockClock) -> None:
    machine = Machine(1, "a", Tracer())
    assert await machine.runtime.run_blocking(divmod, 7, 2) == (3, 1)
    machine.is_on = False
    done: list[int] = []
    with pytest.raises(PowerCutError):
        await machine.runtime.run_blocking(done.append, 1)
    assert not done
    assert issubclass(PowerCutError, StoreError)


async def test_a_trace_line_has_time_name_and_sorted_fields(autojump_clock: MockClock) -> None:
    tracer = Tracer()
    machine = Machine(1, "a", tracer)
    await trio.sleep(1.0)
    machine.trace("happened", b=2, a="x")
    machine.is_on = False
    machine.trace("not seen")
    (line,) = tracer.lines
    assert line == TraceLine(line.at_ms, "a", "happened", (("a", "x"), ("b", 2)))
    assert line.at_ms >= 1_000
