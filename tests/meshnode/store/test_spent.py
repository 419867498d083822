"""What bearers have cost, period by period: nothing that a clock does makes it less."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from meshnode.store import spent
from meshnode.store.engine import Connection, Transaction, open_store
from protocol.budgets import period_start_ms, read_tariff
from sims.runtime import START_MS
from tests.meshnode.links.parts import runtime

DAY_MS = 86_400_000
TARIFF = read_tariff("wwan0 per=day bytes=100 step=10")
"""Ten steps a day."""


def booked_by(tx: Transaction, days: list[int]) -> dict[int, int]:
    """Book all that is to be had on each of `days` in turn; return the steps by period."""
    found: dict[int, int] = {}
    for day in days:
        now_ms = START_MS + day * DAY_MS
        start_ms, steps = spent.book(tx, TARIFF, now_ms, 1, 4, is_sos=False)
        assert start_ms == period_start_ms(TARIFF.period, now_ms)
        found[start_ms] = found.get(start_ms, 0) + steps
    return found


async def test_a_clock_that_jumps_years_ahead_and_back_gives_no_second_budget() -> None:
    async with open_store(None, runtime()) as store:
        found = await store.write(lambda tx: booked_by(tx, [0] * 4 + [900] * 4 + [0] * 4))
    assert set(found.values()) == {10}


@settings(max_examples=20, deadline=None)
@given(days=st.lists(st.sampled_from([0, 1, 2, 399, 401, 2_000, -3_000]), max_size=60))
async def test_no_order_of_days_spends_more_than_the_budget_of_each(days: list[int]) -> None:
    async with open_store(None, runtime()) as store:
        found = await store.write(lambda tx: booked_by(tx, days))
    assert all(steps <= 10 for steps in found.values())


async def test_old_periods_are_forgotten_by_their_number() -> None:
    async with open_store(None, runtime()) as store:
        days = list(range(spent.PERIODS_KEPT + 20))
        await store.write(lambda tx: booked_by(tx, days))

        def count(conn: Connection) -> int:
            return int(conn.exec_driver_sql("SELECT count(*) FROM spent").scalar_one())

        assert await store.read(count) == spent.PERIODS_KEPT
        found = await store.write(lambda tx: booked_by(tx, [-5_000] * 5))
        assert set(found.values()) == {10}, "nor does a clock that stands in the past"
