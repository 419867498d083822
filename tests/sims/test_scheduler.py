"""Guards the private names of trio that make a run repeatable, and shows that they do."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import trio

from sims import scheduler
from sims.scheduler import deterministic, run_seeded


async def race() -> list[tuple[int, int]]:
    """Return the order in which ten tasks get to run, which trio shuffles."""
    order: list[tuple[int, int]] = []

    async def step(number: int) -> None:
        for turn in range(5):
            order.append((turn, number))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(step, number)
    return order


def test_the_private_names_are_there_and_mean_what_we_think() -> None:
    run_module: Any = getattr(trio, "_core")._run  # noqa: B009 - the one test of it
    assert hasattr(run_module._r, "shuffle")
    assert isinstance(run_module._ALLOW_DETERMINISTIC_SCHEDULING, bool)
    source = inspect.getsource(run_module.unrolled_run)
    assert "_ALLOW_DETERMINISTIC_SCHEDULING" in source
    assert "_r.shuffle(batch)" in source


def test_one_seed_gives_one_order() -> None:
    assert run_seeded(race, 5) == run_seeded(race, 5)


def test_seeds_give_different_orders() -> None:
    assert len({tuple(run_seeded(race, seed)) for seed in range(5)}) > 1


def test_the_state_of_trio_is_put_back_even_after_a_failure() -> None:
    run_module: Any = getattr(trio, "_core")._run  # noqa: B009 - the one test of it
    before = run_module._r.getstate(), run_module._ALLOW_DETERMINISTIC_SCHEDULING
    with pytest.raises(ZeroDivisionError), deterministic(1):
        assert run_module._ALLOW_DETERMINISTIC_SCHEDULING is True
        raise ZeroDivisionError
    assert (run_module._r.getstate(), run_module._ALLOW_DETERMINISTIC_SCHEDULING) == before


def test_time_is_virtual_and_starts_at_zero() -> None:
    async def wait() -> tuple[float, float]:
        began_s = trio.current_time()
        await trio.sleep(86_400)
        return began_s, trio.current_time()

    assert run_seeded(wait, 1) == (0.0, 86_400.0)


def test_the_module_says_what_it_gives() -> None:
    assert set(scheduler.__all__) == {"deterministic", "run_seeded"}
