"""Which weekly keys are kept: the smallest names of each week, whichever came first."""

from __future__ import annotations

import random

from trio.testing import MockClock

from meshnode.store import keyring, network_keys
from meshnode.store.engine import Store, open_store
from protocol.guards import NETWORK_EPOCH_MS, NETWORK_KEYS_PER_EPOCH_MAX
from protocol.network_keys import KeyPurpose, WeeklyKey, epoch_at
from sims.runtime import START_MS, Machine, Tracer

WEEK = epoch_at(START_MS)
KEYS = [WeeklyKey(KeyPurpose.KNOCK, WEEK, bytes([number]) * 32) for number in range(9)]


async def names(store: Store) -> list[bytes]:
    """Return the names of the knock keys held."""
    found = await store.read(lambda conn: network_keys.held(conn, KeyPurpose.KNOCK))
    return [each.key_id for each in found]


async def test_the_same_keys_stay_in_whatever_order_they_come(autojump_clock: MockClock) -> None:
    expected = sorted(each.key_id for each in KEYS)[:NETWORK_KEYS_PER_EPOCH_MAX]
    for seed in range(5):
        order = random.Random(seed).sample(KEYS, len(KEYS))
        runtime = Machine(1, "x", Tracer()).runtime
        async with open_store(None, runtime) as store:
            for each in order:
                await store.write(lambda tx, each=each: network_keys.put(tx, each, START_MS))  # type: ignore[misc]
            assert await names(store) == expected
            again = await store.write(lambda tx: network_keys.put(tx, KEYS[0], START_MS))
            assert again is False
            state = await store.read(network_keys.network_key_state)
            assert state == [(KeyPurpose.KNOCK, WEEK, NETWORK_KEYS_PER_EPOCH_MAX)]


async def test_what_is_accepted_is_what_is_not_erased(autojump_clock: MockClock) -> None:
    runtime = Machine(1, "x", Tracer()).runtime
    async with open_store(None, runtime) as store:
        for week in range(WEEK, WEEK + 6):
            weekly = WeeklyKey(KeyPurpose.KNOCK, week, week.to_bytes(32, "big"))
            at_ms = week * NETWORK_EPOCH_MS
            await store.write(lambda tx, w=weekly, at=at_ms: network_keys.put(tx, w, at))  # type: ignore[misc]
        now_ms = (WEEK + 5) * NETWORK_EPOCH_MS
        accepted = await store.read(
            lambda conn: network_keys.accepted(conn, KeyPurpose.KNOCK, now_ms)
        )
        assert len(accepted) == 4
        assert await store.write(lambda tx: network_keys.erase_old(tx, now_ms)) == 2
        kept = await store.read(lambda conn: keyring.network_keys(conn, KeyPurpose.KNOCK))
        assert kept == accepted
        assert await store.write(lambda tx: network_keys.erase_old(tx, now_ms)) == 0


async def test_an_empty_store_has_no_key_to_use(autojump_clock: MockClock) -> None:
    async with open_store(None, Machine(1, "x", Tracer()).runtime) as store:
        found = await store.read(
            lambda conn: network_keys.chosen(conn, KeyPurpose.ZONE_SOS, START_MS)
        )
        assert found is None
        assert await store.read(network_keys.network_key_state) == []
