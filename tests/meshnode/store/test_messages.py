"""Messages and their ledgers: one end each, whatever is learned in whatever order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.store import delivery, messages
from meshnode.store.engine import Store, Transaction, open_store
from meshnode.store.records import (
    FINAL_STATES,
    Direction,
    LedgerEvent,
    MessageRecord,
    MessageState,
    NewMessage,
    RecipientState,
)
from protocol.ids import BundleId
from protocol.limits import Kind
from tests.meshnode.store.parts import NOW_MS, inline_runtime, node, rows

_SQUAD = b"\x02\x00\x01" + bytes(8)
_CENTRE = b"\x03\x00\x01"


def new(seq: int = 1, **changes: Any) -> NewMessage:
    made = NewMessage(
        id=BundleId(node(0), 7, seq),
        scope=_SQUAD,
        kind=Kind.TEXT,
        text=f"text {seq}",
        created_ms=NOW_MS,
        expires_ms=NOW_MS + 1_000 + seq,
    )
    return replace(made, **changes)


async def _write(store: Store, message: NewMessage, *nodes: int) -> int:
    return await store.write(
        lambda tx: messages.add_outgoing(tx, message, [node(each) for each in nodes], NOW_MS)
    )


async def _seal(store: Store, key: int, short_id: int) -> None:
    await store.write(lambda tx: messages.set_bundle(tx, key, short_id, b"d" * 32, 1, NOW_MS))


async def _receipt(
    store: Store,
    who: int,
    *seqs: int,
    state: RecipientState = RecipientState.ON_DEVICE,
    at_ms: int = NOW_MS + 5,
) -> list[int]:
    return await store.write(lambda tx: messages.note_receipt(tx, node(who), 7, seqs, state, at_ms))


async def _get(store: Store, key: int) -> MessageRecord:
    found = await store.read(lambda conn: messages.get(conn, key))
    assert found is not None
    return found


async def _events(store: Store, key: int) -> list[LedgerEvent]:
    return [each.event for each in await store.read(lambda conn: messages.ledger(conn, key))]


async def _states(store: Store, key: int) -> dict[bytes, RecipientState]:
    found = await store.read(lambda conn: messages.recipients(conn, key))
    return {each.node: each.state for each in found}


# --- outgoing --------------------------------------------------------------------------------


async def test_the_way_of_a_message(store: Store) -> None:
    key = await _write(store, new(), 1, 2, 2)
    written = await _get(store, key)
    assert (written.state, written.short_id, written.digest) == (MessageState.WAITING, None, None)
    assert [each.key for each in await store.read(lambda conn: messages.waiting(conn, 9))] == [key]
    await _seal(store, key, 2**64 - 9)
    sealed = await _get(store, key)
    assert (sealed.state, sealed.short_id, sealed.suite) == (MessageState.QUEUED, 2**64 - 9, 1)
    assert await store.read(lambda conn: messages.waiting(conn, 9)) == []
    ids = [2**64 - 9, 5]
    assert await store.write(lambda tx: messages.note_handed(tx, node(8), ids, NOW_MS)) == [key]
    assert (await _get(store, key)).state is MessageState.CARRIED
    assert await _receipt(store, 1, 1) == [key]
    assert (await _get(store, key)).state is MessageState.CARRIED
    assert await _receipt(store, 2, 1, at_ms=NOW_MS + 6) == [key]
    ended = await _get(store, key)
    assert (ended.state, ended.ended_ms, ended.reason) == (
        MessageState.DELIVERED,
        NOW_MS + 6,
        "",
    )
    assert await _events(store, key) == [
        LedgerEvent.CREATED,
        LedgerEvent.SEALED,
        LedgerEvent.QUEUED,
        LedgerEvent.HANDED,
        LedgerEvent.RECEIPT,
        LedgerEvent.RECEIPT,
        LedgerEvent.DELIVERED,
    ]


async def test_a_message_keeps_every_field(store: Store) -> None:
    message = new(
        2**64 - 1,
        expires_ms=NOW_MS + 9,
        kind=Kind.SOS,
        text="é\0✓",
        alarm_id=b"12345678",
        step=3,
        suite=2,
        scope=_CENTRE,
    )
    found = await _get(store, await _write(store, message, 1))
    for name in NewMessage.__slots__:
        assert getattr(found, name) == getattr(message, name)
    assert found.direction is Direction.OUTGOING
    assert await store.read(lambda conn: messages.find(conn, message.id)) == found
    other = BundleId(node(0), 8, 2**64 - 1)
    assert await store.read(lambda conn: messages.find(conn, other)) is None
    assert await store.read(lambda conn: messages.get(conn, 99)) is None


async def test_a_missing_key_is_told_once_per_reason(store: Store) -> None:
    key = await _write(store, new(), 1)
    for detail in ("no key of A", "no key of A", "no key of B"):
        await store.write(
            lambda tx, told=detail: messages.note_once(tx, key, NOW_MS, LedgerEvent.WAITING, told)  # type: ignore[misc]
        )
    assert (await _events(store, key)).count(LedgerEvent.WAITING) == 2


async def test_handing_over_is_told_once_per_node(store: Store) -> None:
    key = await _write(store, new(), 1)
    await _seal(store, key, 5)
    for who, expected in ((8, [key]), (8, []), (9, [key])):
        found = await store.write(
            lambda tx, by=who: messages.note_handed(tx, node(by), [5, 5], NOW_MS)  # type: ignore[misc]
        )
        assert found == expected
    assert (await _events(store, key)).count(LedgerEvent.HANDED) == 2


async def test_one_receipt_of_the_centre_is_enough(store: Store) -> None:
    key = await _write(store, new(scope=_CENTRE), 1, 2, 3)
    await _receipt(store, 2, 1, state=RecipientState.AT_GATEWAY)
    assert (await _get(store, key)).state is MessageState.DELIVERED
    assert await _states(store, key) == {
        node(1): RecipientState.PENDING,
        node(2): RecipientState.AT_GATEWAY,
        node(3): RecipientState.PENDING,
    }


async def test_a_later_receipt_may_say_more_but_never_less(store: Store) -> None:
    key = await _write(store, new(scope=_CENTRE), 2)
    await _receipt(store, 2, 1, state=RecipientState.AT_GATEWAY)
    assert await _receipt(store, 2, 1, state=RecipientState.AT_GATEWAY) == []
    assert await _receipt(store, 2, 1) == [key]
    assert await _receipt(store, 2, 1, state=RecipientState.AT_GATEWAY) == []
    assert await _states(store, key) == {node(2): RecipientState.ON_DEVICE}
    assert (await _events(store, key)).count(LedgerEvent.DELIVERED) == 1


async def test_a_receipt_of_a_stranger_changes_nothing(store: Store) -> None:
    key = await _write(store, new(), 1)
    assert await _receipt(store, 5, 1) == []
    assert await _receipt(store, 1, 2, 3) == []
    found = await store.write(
        lambda tx: messages.note_receipt(tx, node(1), 8, [1], RecipientState.ON_DEVICE, NOW_MS)
    )
    assert found == []
    assert (await _get(store, key)).state is MessageState.WAITING


async def test_a_receipt_covers_many_messages(store: Store) -> None:
    keys = [await _write(store, new(seq), 1) for seq in range(1, 6)]
    assert await _receipt(store, 1, 1, 2, 4) == [keys[0], keys[1], keys[3]]
    open_states = [(await _get(store, key)).state for key in keys]
    assert open_states.count(MessageState.DELIVERED) == 3


async def test_expiry_says_how_far_it_came(store: Store) -> None:
    key = await _write(store, new(), 1, 2, 3)
    await _receipt(store, 2, 1)
    assert await store.read(messages.expires_next) == NOW_MS + 1_001
    early = NOW_MS + 1_000
    assert await store.write(lambda tx: messages.expire_messages(tx, early, 9)) == []
    due = NOW_MS + 1_001
    assert await store.write(lambda tx: messages.expire_messages(tx, due, 9)) == [key]
    ended = await _get(store, key)
    assert (ended.state, ended.reason) == (MessageState.EXPIRED, "1 of 3 recipients")
    assert await _states(store, key) == {
        node(1): RecipientState.EXPIRED,
        node(2): RecipientState.ON_DEVICE,
        node(3): RecipientState.EXPIRED,
    }
    assert await store.read(messages.expires_next) is None


async def test_expiry_goes_in_steps(store: Store) -> None:
    for seq in range(1, 6):
        await _write(store, new(seq), 1)
    steps = [
        len(await store.write(lambda tx: messages.expire_messages(tx, NOW_MS + 10**6, 2)))
        for _step in range(4)
    ]
    assert steps == [2, 2, 1, 0]


async def test_the_next_deadline_is_that_of_an_open_message(store: Store) -> None:
    assert await store.read(messages.expires_next) is None
    first = await _write(store, new(1), 1)
    second = await _write(store, new(2), 1)
    await _write(store, new(3), 1)
    await store.write(lambda tx: messages.cancel(tx, first, NOW_MS))
    await _seal(store, second, 5)
    assert await store.read(messages.expires_next) == NOW_MS + 1_002
    await store.write(lambda tx: messages.note_handed(tx, node(8), [5], NOW_MS))
    assert await store.read(messages.expires_next) == NOW_MS + 1_002
    incoming = new(4, id=BundleId(node(3), 7, 4), expires_ms=NOW_MS + 1)
    await store.write(lambda tx: messages.add_incoming(tx, incoming, 9, b"d" * 32, NOW_MS))
    assert await store.read(messages.expires_next) == NOW_MS + 1_002


async def test_cancelling_ends_it_once(store: Store) -> None:
    key = await _write(store, new(), 1)
    assert await store.write(lambda tx: messages.cancel(tx, key, NOW_MS))
    assert not await store.write(lambda tx: messages.cancel(tx, key, NOW_MS))
    assert (await _get(store, key)).reason == "cancelled"
    assert (await _events(store, key))[-2:] == [LedgerEvent.REFUSED, LedgerEvent.CANCELLED]
    with pytest.raises(AssertionError):
        await _seal(store, key, 5)


_STEPS = st.sampled_from(["receipt 1", "receipt 2", "gateway", "expire", "cancel", "refuse"])


@pytest.mark.slow
@given(steps=st.lists(_STEPS, max_size=8), scope=st.sampled_from([_SQUAD, _CENTRE]))
async def test_there_is_one_end_and_it_stays(steps: list[str], scope: bytes) -> None:
    async with open_store(None, inline_runtime()) as store:
        key = await _write(store, new(scope=scope), 1, 2)

        def step_of(name: str, tx: Transaction) -> None:
            if name == "expire":
                messages.expire_messages(tx, NOW_MS + 10**6, 9)
            elif name == "cancel":
                messages.cancel(tx, key, NOW_MS)
            elif name == "refuse":
                messages.conclude(tx, key, MessageState.REFUSED, "revoked", NOW_MS)
            else:
                state = RecipientState.ON_DEVICE
                who = 2 if name == "receipt 2" else 1
                if name == "gateway":
                    state = RecipientState.AT_GATEWAY
                messages.note_receipt(tx, node(who), 7, [1], state, NOW_MS)

        end = None
        for name in steps:
            await store.write(lambda tx, now=name: step_of(now, tx))  # type: ignore[misc]
            state = (await _get(store, key)).state
            if end is not None:
                assert state is end
            elif state in FINAL_STATES:
                end = state
        ends = {LedgerEvent(state.value) for state in FINAL_STATES}
        told = [event for event in await _events(store, key) if event in ends]
        assert told == ([] if end is None else [LedgerEvent(end.value)])


# --- incoming --------------------------------------------------------------------------------


async def test_an_incoming_message_is_kept_once(store: Store) -> None:
    message = new(4, id=BundleId(node(3), 7, 4), received_ms=NOW_MS + 9)

    def take(tx: Transaction) -> int | None:
        return messages.add_incoming(tx, message, 2**63, b"d" * 32, NOW_MS)

    key = await store.write(take)
    assert key is not None
    assert await store.write(take) is None
    found = await _get(store, key)
    assert (found.state, found.direction, found.short_id) == (
        MessageState.RECEIVED,
        Direction.INCOMING,
        2**63,
    )
    assert await _events(store, key) == [LedgerEvent.RECEIVED]


async def test_reading_is_noted_once_and_for_incoming_ones_alone(store: Store) -> None:
    message = new(4, id=BundleId(node(3), 7, 4))
    key = await store.write(lambda tx: messages.add_incoming(tx, message, 5, b"d" * 32, NOW_MS))
    assert key is not None
    outgoing = await _write(store, new(), 1)
    assert await store.write(lambda tx: messages.mark_read(tx, key, NOW_MS))
    assert not await store.write(lambda tx: messages.mark_read(tx, key, NOW_MS))
    assert not await store.write(lambda tx: messages.mark_read(tx, outgoing, NOW_MS))
    assert (await _get(store, key)).is_read


async def test_an_incoming_message_has_no_end(store: Store) -> None:
    message = new(4, id=BundleId(node(3), 7, 4))
    key = await store.write(lambda tx: messages.add_incoming(tx, message, 5, b"d" * 32, NOW_MS))
    assert key is not None
    assert not await store.write(lambda tx: messages.cancel(tx, key, NOW_MS))
    assert await store.write(lambda tx: messages.expire_messages(tx, NOW_MS + 10**9, 9)) == []
    assert await store.write(lambda tx: messages.note_handed(tx, node(1), [5], NOW_MS)) == []


# --- lists -----------------------------------------------------------------------------------


async def test_lists_go_on_where_they_stopped(store: Store) -> None:
    for seq in range(1, 6):
        await _write(store, new(seq), 1)
        incoming = new(seq, id=BundleId(node(3), 7, seq))
        await store.write(
            lambda tx, one=incoming: messages.add_incoming(tx, one, one.id.seq, b"d", NOW_MS)  # type: ignore[misc]
        )
    for listing, author in ((messages.list_inbox, node(3)), (messages.list_outgoing, node(0))):
        found: list[MessageRecord] = []
        while True:
            after = found[-1].key if found else 0
            page = await store.read(
                lambda conn, one=listing, at=after: one(conn, at, 2)  # type: ignore[misc]
            )
            if not page:
                break
            found.extend(page)
        assert [each.id.seq for each in found] == [1, 2, 3, 4, 5]
        assert {each.id.author for each in found} == {author}
    assert await store.read(messages.counts) == {
        MessageState.WAITING: 5,
        MessageState.RECEIVED: 5,
    }


async def test_bundles_that_wait_to_be_opened_are_counted(store: Store) -> None:
    assert await store.read(delivery.unopened_count) == 0
    await store.write(lambda tx: delivery.queue_unopened(tx, [1, 2**63], NOW_MS))
    assert await store.read(delivery.unopened_count) == 2


async def test_messages_by_their_bundles(store: Store) -> None:
    key = await _write(store, new(), 1)
    await _seal(store, key, 2**64 - 1)
    found = await store.read(lambda conn: messages.by_short(conn, [2**64 - 1, 4]))
    assert found == {2**64 - 1: key}


async def test_deadlines_come_from_the_index(store: Store) -> None:
    plan = await rows(
        store,
        "EXPLAIN QUERY PLAN SELECT min(expires_ms) FROM message WHERE direction = 'outgoing' "
        "AND state IN ('waiting', 'queued', 'carried')",
    )
    assert "USING COVERING INDEX message_state" in plan[0][3]
