"""Live bundles: the fate of every record of a batch, look-ups, and the order of service."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from meshnode.store import bundles
from meshnode.store.engine import Store, open_store
from meshnode.store.evidence import list_evidence
from meshnode.store.records import BundleRecord, BundleSummary
from meshnode.store.statements import size_class_of
from protocol.ids import BundleId
from protocol.limits import STORE_INTERESTS_MAX, Kind, TrafficClass
from protocol.reconcile.interest import Interest
from protocol.reports import Reception
from tests.meshnode.store.parts import (
    NOW_MS,
    add,
    check,
    drop,
    held,
    inline_runtime,
    node,
    record,
    rows,
)

_TEXTS = Interest(1, TrafficClass.MESSAGE)


def _summary(made: BundleRecord) -> BundleSummary:
    fields = {name: getattr(made, name) for name in BundleSummary._fields}
    return BundleSummary(**fields)


# --- adding ----------------------------------------------------------------------------------


async def test_what_goes_in_comes_out(store: Store) -> None:
    made = record(
        2**64 - 1,
        Kind.POSITION,
        slot=2**64 - 1,
        hlc=2**64 - 1,
        incarnation=2**32 - 1,
        zone=65_535,
        hops=32,
        is_own=True,
        short_id=2**64 - 1,
        expires_ms=2**48 - 1,
    )
    assert await add(store, made) == [Reception.STORED]
    assert await store.read(lambda conn: bundles.summaries(conn, [made.short_id])) == [
        _summary(made)
    ]
    found = await store.read(lambda conn: bundles.raw_many(conn, [made.short_id]))
    assert found == {made.short_id: (made.raw, 32)}
    assert await store.read(bundles.own_ids) == [made.short_id]


async def test_no_records_are_no_work(store: Store) -> None:
    assert await add(store) == []


async def test_a_repeated_bundle_is_a_duplicate(store: Store) -> None:
    assert await add(store, record(1), record(2), record(1)) == [
        Reception.STORED,
        Reception.STORED,
        Reception.DUPLICATE,
    ]
    assert await add(store, record(2), record(3)) == [Reception.DUPLICATE, Reception.STORED]


@pytest.mark.parametrize(
    "reason",
    [
        Reception.DELIVERED,
        Reception.EXPIRED,
        Reception.SUPERSEDED,
        Reception.REVOKED,
        Reception.STORE_FULL,
    ],
)
async def test_a_dropped_bundle_does_not_come_back(store: Store, reason: Reception) -> None:
    await add(store, record(1))
    await drop(store, record(1).short_id, reason=reason)
    assert await add(store, record(1)) == [reason]
    ids = [record(1).short_id, record(2).short_id]
    assert await store.read(lambda conn: bundles.known_many(conn, ids)) == {ids[0]}
    assert await store.read(lambda conn: bundles.has_many(conn, ids)) == set()
    await add(store, record(3))
    ids.append(record(3).short_id)
    assert await store.read(lambda conn: bundles.fates(conn, ids)) == {
        ids[0]: reason,
        ids[2]: Reception.DUPLICATE,
    }


@pytest.mark.parametrize("count", [1, 16, 17, 250, 251, 600])
async def test_batches_of_any_size(store: Store, count: int) -> None:
    made = [record(seq) for seq in range(1, count + 1)]
    assert await add(store, *made) == [Reception.STORED] * count
    ids = [each.short_id for each in made]
    assert await store.read(lambda conn: bundles.has_many(conn, ids)) == set(ids)
    assert len(await store.read(lambda conn: bundles.summaries(conn, ids))) == count
    assert await add(store, *made) == [Reception.DUPLICATE] * count


# --- two under one name ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.POSITION])
@pytest.mark.parametrize("is_one_batch", [False, True])
@pytest.mark.parametrize("later_hlc", [0, 1])
@pytest.mark.parametrize("is_reversed", [False, True])
async def test_the_first_of_one_name_stays_and_the_second_is_evidence(
    store: Store, kind: Kind, is_one_batch: bool, later_hlc: int, is_reversed: bool
) -> None:
    pair = [record(5, kind), record(5, kind, version=1)]
    pair[later_hlc] = pair[later_hlc]._replace(hlc=pair[later_hlc].hlc + 1)
    first, second = reversed(pair) if is_reversed else pair
    if is_one_batch:
        outcomes = await add(store, first, second)
    else:
        outcomes = [*await add(store, first), *await add(store, second)]
    assert outcomes == [Reception.STORED, Reception.EQUIVOCATION]
    assert await held(store) == {first.short_id}
    evidence = await store.read(list_evidence)
    assert [(each.node, each.subject, each.first_digest, each.raw) for each in evidence] == [
        (first.author, str(BundleId(first.author, 7, 5)), first.digest, second.raw)
    ]
    assert await add(store, second) == [Reception.EQUIVOCATION]
    assert len(await store.read(list_evidence)) == 1


async def test_a_second_of_one_name_does_not_open_the_slot_to_a_third(store: Store) -> None:
    """The forged twin must not stay when a newer bundle replaces the one it imitates."""
    first, forged, newer = (
        record(5, Kind.POSITION),
        record(5, Kind.POSITION, version=1),
        record(6, Kind.POSITION),
    )
    assert await add(store, first, forged, newer) == [
        Reception.SUPERSEDED,
        Reception.EQUIVOCATION,
        Reception.STORED,
    ]
    assert await held(store) == {newer.short_id}


async def test_one_name_in_two_slots_is_evidence(store: Store) -> None:
    first = record(5, Kind.POSITION)
    second = record(5, Kind.POSITION, version=1, slot=9)
    assert await add(store, first, second) == [Reception.STORED, Reception.EQUIVOCATION]


async def test_names_of_other_authors_and_stores_are_others(store: Store) -> None:
    made = [record(5), record(5, author=2), record(5, version=2)._replace(incarnation=8)]
    assert await add(store, *made) == [Reception.STORED] * 3


# --- slots -----------------------------------------------------------------------------------


async def test_only_the_newest_of_a_slot_lives(store: Store) -> None:
    older, newer = record(1, Kind.POSITION), record(2, Kind.POSITION)
    assert await add(store, older) == [Reception.STORED]
    assert await add(store, newer) == [Reception.STORED]
    assert await held(store) == {newer.short_id}
    assert await add(store, older) == [Reception.SUPERSEDED]


@pytest.mark.slow
@given(order=st.permutations(range(1, 7)), cuts=st.sets(st.integers(1, 5)))
async def test_the_order_of_arrival_does_not_matter(order: list[int], cuts: set[int]) -> None:
    async with open_store(None, inline_runtime()) as store:
        made = [record(seq, Kind.STATE) for seq in order]
        edges = [0, *sorted(cuts), len(made)]
        for first, last in pairwise(edges):
            await add(store, *made[first:last])
        await check(store)
        assert await held(store) == {record(6, Kind.STATE).short_id}
        outcomes = await add(store, *made)
        assert sorted(outcomes) == [Reception.DUPLICATE, *[Reception.SUPERSEDED] * 5]


async def test_a_tie_of_clocks_goes_to_the_greater_number(store: Store) -> None:
    made = [record(seq, Kind.POSITION)._replace(hlc=77) for seq in (3, 9, 4)]
    assert await add(store, *made) == [
        Reception.SUPERSEDED,
        Reception.STORED,
        Reception.SUPERSEDED,
    ]


@pytest.mark.parametrize(
    "changes", [{"author": node(2)}, {"scope": b"\x02\x00\x01"}, {"slot": 2**63}]
)
async def test_other_slots_are_left_alone(store: Store, changes: dict[str, object]) -> None:
    other = record(2, Kind.POSITION)._replace(**changes)  # type: ignore[arg-type]
    assert await add(store, record(1, Kind.POSITION), other) == [Reception.STORED] * 2
    assert await add(store, record(3, Kind.STATE)) == [Reception.STORED]
    assert len(await held(store)) == 3


async def test_texts_do_not_supersede(store: Store) -> None:
    assert await add(store, record(1), record(2)) == [Reception.STORED] * 2
    assert await add(store, record(3)) == [Reception.STORED]
    assert len(await held(store)) == 3


# --- interests -------------------------------------------------------------------------------


async def test_zones_are_bounded_and_each_has_room_for_every_class(store: Store) -> None:
    most = STORE_INTERESTS_MAX // len(TrafficClass)
    full = [record(zone, zone=zone) for zone in range(1, most)]
    assert set(await add(store, *full)) == {Reception.STORED}
    over = [record(1_000, zone=1_001), record(1_001, zone=1_000), record(1_002, zone=1)]
    assert await add(store, *over) == [Reception.QUOTA, Reception.STORED, Reception.STORED]
    assert len(store.sketches) == most
    assert await add(store, record(1_003, Kind.SOS, zone=1)) == [Reception.STORED]
    assert await add(store, record(1_004, Kind.SOS, zone=1_001)) == [Reception.QUOTA]
    # Refused for want of room, not for ever: no tombstone.
    await drop(store, record(1_001, zone=1_000).short_id)
    assert await add(store, over[0]) == [Reception.STORED]


# --- looking up ------------------------------------------------------------------------------


async def test_ids_of_an_interest(store: Store) -> None:
    await add(store, record(1), record(2), record(3, zone=2), record(4, Kind.SOS))
    found = await store.read(lambda conn: bundles.ids(conn, _TEXTS))
    assert sorted(found) == sorted([record(1).short_id, record(2).short_id])
    assert found.typecode == "Q"


@pytest.mark.slow
@given(
    sizes=st.lists(st.sampled_from([64, 1_024, 1_025, 4_097, 40_000]), max_size=12),
    limit=st.integers(1, 5),
)
async def test_pages_list_an_interest_once_in_order_of_service(
    sizes: list[int], limit: int
) -> None:
    made = [
        record(seq, size_bytes=size, expires_ms=NOW_MS + 1_000 + seq % 3)
        for seq, size in enumerate(sizes, 1)
    ]
    async with open_store(None, inline_runtime()) as store:
        await add(store, *made, record(90, Kind.SOS), record(91, zone=2))
        found: list[BundleSummary] = []
        cursor = None
        for _page in range(len(made) // limit + 1):
            page = await store.read(
                lambda conn, at=cursor: bundles.page(conn, _TEXTS, at, limit)  # type: ignore[misc]
            )
            assert len(page.summaries) <= limit
            found.extend(page.summaries)
            cursor = page.next_cursor
            if cursor is None:
                break
        assert cursor is None
    order = [(size_class_of(each.size_bytes), each.expires_ms) for each in found]
    assert order == sorted(order)
    assert len(found) == len(made)
    assert {each.short_id for each in found} == {each.short_id for each in made}


async def test_bundles_of_one_author_in_a_run_of_numbers(store: Store) -> None:
    await add(store, *(record(seq) for seq in (1, 2, 3, 5, 9)), record(2, author=2))
    found = await store.read(lambda conn: bundles.of_author(conn, node(1), 7, 2, 5))
    assert [each.seq for each in found] == [2, 3, 5]
    assert await store.read(lambda conn: bundles.of_author(conn, node(1), 8, 0, 9)) == []


async def test_bundles_of_one_kind(store: Store) -> None:
    await add(store, record(4), record(1, Kind.PREKEY), record(2), record(3, Kind.PREKEY, slot=1))
    texts = await store.read(lambda conn: bundles.by_kind(conn, Kind.TEXT))
    assert [each.seq for each in texts] == [4, 2]
    prekeys = await store.read(lambda conn: bundles.raws_of_kind(conn, Kind.PREKEY))
    assert prekeys == [record(1, Kind.PREKEY).raw, record(3, Kind.PREKEY).raw]
    assert len(await store.read(lambda conn: bundles.by_kind(conn, Kind.TEXT, 1))) == 1


async def test_who_holds_a_slot(store: Store) -> None:
    made = [
        record(1, Kind.RECEIPT),
        record(1, Kind.RECEIPT, author=2),
        record(2, Kind.RECEIPT, slot=1),
        record(2, Kind.RECEIPT, author=3, scope=b"\x02"),
    ]
    await add(store, *made)
    found = await store.read(lambda conn: bundles.by_slot(conn, Kind.RECEIPT, b"\x01\x00\x01", 0))
    assert {each.author for each in found} == {node(1), node(2)}


async def test_digests_of_own_bundles_stay_when_the_bundle_goes(store: Store) -> None:
    await add(store, record(1, is_own=True), record(2))
    await drop(store, record(1).short_id)
    found = await rows(store, "SELECT incarnation, seq, digest FROM own_bundle")
    assert found == [(7, 1, record(1).digest)]


async def test_the_next_deadline(store: Store) -> None:
    assert await store.read(bundles.expires_next) is None
    await add(
        store,
        record(1, size_bytes=9_000, expires_ms=NOW_MS + 50),
        record(2, expires_ms=NOW_MS + 90),
        record(3, Kind.SOS, zone=9, expires_ms=NOW_MS + 60),
    )
    assert await store.read(bundles.expires_next) == NOW_MS + 50
    await drop(store, record(1).short_id)
    assert await store.read(bundles.expires_next) == NOW_MS + 60


# --- plans -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT short_id FROM bundle WHERE zone = 1 AND traffic_class = 2", "bundle_service"),
        (
            "SELECT short_id, expires_ms FROM bundle WHERE zone = 1 AND traffic_class = 2 AND "
            "size_class = 0 AND expires_ms <= 9",
            "bundle_service",
        ),
    ],
)
async def test_ids_and_deadlines_come_from_the_index_alone(
    store: Store, query: str, index: str
) -> None:
    plan = await rows(store, f"EXPLAIN QUERY PLAN {query}")
    assert f"USING COVERING INDEX {index}" in plan[0][3]


@pytest.mark.parametrize(
    ("work", "index"),
    [
        (lambda conn: bundles.by_slot(conn, Kind.RECEIPT, b"", 0), "bundle_slot"),
        (lambda conn: bundles.by_kind(conn, Kind.PREKEY), "bundle_slot"),
        (lambda conn: bundles.own_ids(conn), "bundle_own"),
        (lambda conn: bundles.page(conn, _TEXTS, None, 9), "bundle_service"),
        (lambda conn: bundles.of_author(conn, node(1), 7, 1, 9), "bundle_identity"),
        (lambda conn: bundles.expires_next(conn), "bundle_service"),
    ],
)
async def test_no_listing_passes_over_the_table(store: Store, work: object, index: str) -> None:
    def plans(conn: Connection) -> list[str]:
        asked: list[str] = []
        driver = conn.connection.dbapi_connection
        assert driver is not None
        driver.set_trace_callback(asked.append)
        work(conn)  # type: ignore[operator]
        driver.set_trace_callback(None)
        told: list[str] = []
        for each in asked:
            if each.startswith("SELECT"):
                found = conn.execute(text(f"EXPLAIN QUERY PLAN {each.replace(':', '')}"))
                told.extend(str(row[3]) for row in found)
        return told

    found = await store.read(plans)
    assert any(index in line for line in found)
    assert "SCAN bundle" not in found
