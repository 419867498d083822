"""When a purge comes, and why a clock cannot bring it about."""

from __future__ import annotations

from dataclasses import replace

import trio
from trio.testing import MockClock

from meshnode.metrics import Metrics
from meshnode.purging import Purging
from meshnode.store import messages, positions
from meshnode.store.audit import Noted, append, audit_base, audit_entries, audit_head
from meshnode.store.engine import Store, open_store
from meshnode.store.positions import PositionRecord
from meshnode.store.purging import holdings
from meshnode.vault.kinds import DataKind, day_of
from protocol.audit import verify
from protocol.guards import AUDIT_KEEP_MS, PURGE_PERIOD_MS
from tests.meshnode.store.parts import DAY_MS, NOW_MS
from tests.meshnode.store.vaults import RUNTIME, message, vault

YEAR_MS = 365 * DAY_MS


class Case:
    """A store with one text, a clock, and the room that purges."""

    def __init__(self, store: Store, floor_ms: int = 0) -> None:
        self.store, self.metrics, self.now_ms = store, Metrics(), NOW_MS
        self.floor_ms = floor_ms
        runtime = replace(RUNTIME, now_ms=lambda: self.now_ms)
        self.purging = Purging(store, runtime, self.metrics, lambda: self.floor_ms)

    async def fill(self) -> None:
        await self.store.write(
            lambda tx: messages.add_incoming(tx, message(1, "text"), 1, b"d" * 32, NOW_MS)
        )

    async def texts(self) -> int:
        return len(await self.store.read(lambda conn: messages.list_inbox(conn, 0, 9)))

    def counted(self, name: str) -> int:
        return self.metrics.value(name)


async def test_a_text_goes_when_its_time_has_come_day_by_day(autojump_clock: MockClock) -> None:
    async with open_store(None, RUNTIME, vault=vault()) as store:
        case = Case(store)
        await case.fill()
        for day in range(33):
            assert await case.texts() == (1 if day <= 31 else 0)
            case.now_ms = NOW_MS + day * DAY_MS
            await case.purging.look()
        assert case.counted("rows_purged") == 1
        assert case.counted("data_keys_dropped") >= 1
        assert case.counted("purges_put_off") == 0


async def test_a_clock_that_leaps_destroys_nothing_for_a_day(autojump_clock: MockClock) -> None:
    async with open_store(None, RUNTIME, vault=vault()) as store:
        case = Case(store)
        await case.fill()
        await case.purging.look()
        case.now_ms += YEAR_MS
        await case.purging.look()
        assert await case.texts() == 1
        assert case.counted("purges_put_off") == 1
        await trio.sleep(86_400)
        case.now_ms += DAY_MS
        await case.purging.look()
        assert await case.texts() == 0


async def test_a_signed_time_settles_it_at_once(autojump_clock: MockClock) -> None:
    async with open_store(None, RUNTIME, vault=vault()) as store:
        case = Case(store, NOW_MS + YEAR_MS)
        await case.fill()
        case.now_ms += YEAR_MS
        await case.purging.look()
        assert await case.texts() == 0


async def test_a_purge_comes_once_an_hour_and_after_a_step_back(
    autojump_clock: MockClock,
) -> None:
    async with open_store(None, RUNTIME, vault=vault()) as store:
        case = Case(store)
        await case.fill()
        await case.purging.look()
        before = case.purging._next_ms
        case.now_ms += PURGE_PERIOD_MS - 1
        await case.purging.look()
        assert case.purging._next_ms == before
        case.now_ms += 1
        await case.purging.look()
        assert case.purging._next_ms == before + PURGE_PERIOD_MS
        case.now_ms -= YEAR_MS
        await case.purging.look()
        assert case.purging._next_ms == case.now_ms + PURGE_PERIOD_MS


async def test_the_audit_log_ends_after_a_year_and_can_be_checked_on(
    autojump_clock: MockClock,
) -> None:
    async with open_store(None, RUNTIME, vault=vault()) as store:
        case = Case(store, NOW_MS + 3 * YEAR_MS)
        noted = [Noted(NOW_MS + day * DAY_MS, "imports", None, 1) for day in (0, 1, 30)]
        await store.write(lambda tx: append(tx, noted))
        await case.purging.look()
        assert len(await store.read(audit_entries)) == 3
        case.now_ms = NOW_MS + YEAR_MS + 3 * DAY_MS
        await case.purging.look()
        (left,) = await store.read(audit_entries)
        base = await store.read(audit_base)
        assert (base.number, left.number) == (2, 3)
        verify(base, [left])
        assert case.counted("rows_purged") == 2
        case.now_ms += YEAR_MS
        await case.purging.look()
        assert await store.read(audit_entries) == []
        assert (await store.read(audit_head)).number == 3
        # What comes next goes on where the log ended.
        assert (await store.write(lambda tx: append(tx, noted[:1]))).number == 4


async def test_the_answer_counts_the_audit_log_and_says_when_it_ends(
    autojump_clock: MockClock,
) -> None:
    async with open_store(None, RUNTIME, vault=vault()) as store:
        noted = [Noted(NOW_MS + 5, "imports", None, 1), Noted(NOW_MS, "exports", None, 1)]
        await store.write(lambda tx: append(tx, noted))
        found = {each.kind: each for each in await store.read(lambda c: holdings(c, NOW_MS))}
        line = found[DataKind.AUDIT]
        assert (line.count, line.oldest_ms) == (2, NOW_MS)
        assert line.next_purge_ms == (day_of(NOW_MS) + 1) * DAY_MS + AUDIT_KEEP_MS


async def test_the_answer_says_that_a_position_ends_with_its_shift(
    autojump_clock: MockClock,
) -> None:
    async with open_store(None, RUNTIME, vault=vault()) as store:
        ends_ms = NOW_MS + 3_600_000
        record = PositionRecord(b"a" * 16, b"scope", b"s" * 8, NOW_MS, ends_ms, 1, 1, b"body")
        await store.write(lambda tx: positions.put(tx, record, is_archive=False))
        found = {each.kind: each for each in await store.read(lambda c: holdings(c, NOW_MS))}
        line = found[DataKind.POSITION]
        assert (line.count, line.next_purge_ms) == (1, ends_ms)
