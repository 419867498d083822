"""Knock keys come from the store at the start, and again when somebody says that there are more."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from meshnode.knock_keys import KnockKeyring, keys_by_epoch
from meshnode.store import keyring
from meshnode.store.engine import Store, open_store
from meshnode.store.keyring import KeyPurpose
from protocol.network_keys import key_id_of
from tests.meshnode.store.parts import runtime
from tests.patience import HANGS_S

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))


async def keep(store: Store, epoch: int, key: bytes, since_ms: int) -> None:
    await store.write(
        lambda tx: keyring.put_network_key(
            tx, KeyPurpose.KNOCK, key_id_of(epoch, key), key, since_ms
        )
    )


def test_keys_of_one_week_stay_in_order() -> None:
    found = {key_id_of(7, NEW): NEW, key_id_of(6, OTHER): OTHER, key_id_of(7, OLD): OLD}
    assert keys_by_epoch(found) == {7: [NEW, OLD], 6: [OTHER]}


async def test_keys_are_read_at_the_start_and_after_a_change() -> None:
    async with open_store(None, runtime()) as store:
        keys = KnockKeyring(store)
        await keys.load()
        assert keys() == {}
        await keep(store, 7, OLD, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keys.run)
            with trio.fail_after(HANGS_S):
                while keys() != {7: [OLD]}:  # noqa: ASYNC110  # The store has a thread.
                    await trio.sleep(0.001)
            await keep(store, 8, NEW, 2)
            await wait_all_tasks_blocked(0.01)
            before = keys()
            assert before == {7: [OLD]}
            keys.changed.set()
            with trio.fail_after(HANGS_S):
                while keys() is before:  # noqa: ASYNC110  # The store has a thread.
                    await trio.sleep(0.001)
            assert keys() == {7: [OLD], 8: [NEW]}
            assert before == {7: [OLD]}
            nursery.cancel_scope.cancel()
