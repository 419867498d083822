"""Random histories of a store, each step judged by the slow obvious one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from meshnode.store import bundles, retention
from meshnode.store.engine import Store, Transaction, open_store
from meshnode.store.evidence import list_evidence
from meshnode.store.index import Index
from meshnode.store.records import BundleRecord
from protocol.ids import BundleId, ShortId
from protocol.limits import CLASS_RULES, Kind
from protocol.reports import Reception
from tests.meshnode.store.parts import (
    DAY_MS,
    HOUR_MS,
    NOW_MS,
    check,
    held,
    inline_runtime,
    record,
)
from tests.reference.store import ReferenceStore

T = TypeVar("T")

_BYTES_MAX = 20_000
"""Room for some thirty bundles: every few steps something has to go."""


class _OpenStore:
    """A store in memory whose trio runs beside the state machine, which is synchronous."""

    def __init__(self) -> None:
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._serve,))
        self._thread.start()
        self._is_ready.wait()

    async def _serve(self) -> None:
        async with open_store(None, inline_runtime(), bytes_max=_BYTES_MAX) as store:
            self.store = store
            self._token = trio.lowlevel.current_trio_token()
            self._end = trio.Event()
            self._is_ready.set()
            await self._end.wait()

    def write(self, work: Callable[[Transaction], T]) -> T:
        return trio.from_thread.run(self.store.write, work, trio_token=self._token)

    def ask(self, question: Callable[[Store], T]) -> T:
        async def put() -> T:
            return question(self.store)

        return trio.from_thread.run(put, trio_token=self._token)

    def call(self, function: Callable[..., object], *args: object) -> object:
        return trio.from_thread.run(function, *args, trio_token=self._token)  # type: ignore[arg-type]

    def close(self) -> None:
        trio.from_thread.run_sync(self._end.set, trio_token=self._token)
        self._thread.join()


@dataclass(frozen=True)
class _Draft:
    """What Hypothesis chooses of one bundle."""

    kind: Kind
    author: int
    size_bytes: int
    hours: int
    slot: int
    lead: int
    is_own: bool
    repeats: int | None
    is_forged: bool


_DRAFTS = st.builds(
    _Draft,
    kind=st.sampled_from(
        [Kind.SOS, Kind.TEXT, Kind.RECEIPT, Kind.POSITION, Kind.CHUNK, Kind.TRACK]
    ),
    author=st.integers(1, 2),
    size_bytes=st.sampled_from([64, 400, 1_500, 6_000]),
    hours=st.integers(1, 8),
    slot=st.integers(0, 1),
    lead=st.integers(-3, 3),
    is_own=st.booleans(),
    repeats=st.none() | st.integers(0, 60),
    is_forged=st.booleans(),
)


class StoreMachine(RuleBasedStateMachine):
    """Adds, drops and expires on both stores; after each step they must agree."""

    def __init__(self) -> None:
        super().__init__()
        self.open = _OpenStore()
        self.reference = ReferenceStore(_BYTES_MAX)
        self.known: list[BundleRecord] = []
        self.now_ms = NOW_MS
        self.sos: set[ShortId] = set()
        """SOS that nobody but time or the caller may remove."""

    def teardown(self) -> None:
        self.open.close()

    def _make(self, draft: _Draft) -> BundleRecord:
        number = len(self.known) + 1
        if draft.repeats is not None and self.known:
            old = self.known[draft.repeats % len(self.known)]
            if not draft.is_forged:
                return old
            # The same name once more with other content, perhaps of another kind.
            made = record(old.seq, draft.kind, version=number, size_bytes=draft.size_bytes)
            made = _with(made, draft, self.now_ms, number, author=old.author)
        else:
            made = record(number, draft.kind, author=draft.author, size_bytes=draft.size_bytes)
            made = _with(made, draft, self.now_ms, number, author=made.author)
        self.known.append(made)
        return made

    @rule(drafts=st.lists(_DRAFTS, min_size=1, max_size=6))
    def add(self, drafts: list[_Draft]) -> None:
        batch = [self._make(draft) for draft in drafts]
        before = dict(self.reference.held)
        expected = self.reference.add_many(batch)
        found = self.open.write(lambda tx: bundles.add_many(tx, batch))
        assert found == expected
        gone = [each for key, each in before.items() if key not in self.reference.held]
        pushed = [
            each for each in gone if self.reference.graves[each.short_id] is Reception.STORE_FULL
        ]
        assert not any(CLASS_RULES[each.traffic_class].eviction_rank < 0 for each in pushed)

    @precondition(lambda self: self.known)
    @rule(
        picks=st.lists(st.integers(0, 60), min_size=1, max_size=3),
        reason=st.sampled_from([Reception.DELIVERED, Reception.REVOKED, Reception.SUPERSEDED]),
    )
    def drop(self, picks: list[int], reason: Reception) -> None:
        ids = [self.known[pick % len(self.known)].short_id for pick in picks]
        was_held = {each for each in ids if each in self.reference.held}
        self.reference.drop(ids, reason)
        dropped = self.open.write(lambda tx: bundles.drop_many(tx, ids, reason))
        assert {each.short_id for each in dropped} == was_held

    @rule(hours=st.integers(0, 2))
    def expire(self, hours: int) -> None:
        self.now_ms += hours * HOUR_MS
        self.reference.expire(self.now_ms)
        while len(self.open.write(lambda tx: retention.expire(tx, self.now_ms, 2))) == 2:
            pass

    @rule(drafts=st.lists(_DRAFTS, min_size=1, max_size=3))
    def fail(self, drafts: list[_Draft]) -> None:
        """A write that fails after its changes leaves nothing behind."""
        batch = [self._make(draft) for draft in drafts]

        def work(tx: Transaction) -> None:
            bundles.add_many(tx, batch)
            raise KeyError("changed my mind")

        with pytest.raises(KeyError):
            self.open.write(work)

    @invariant()
    def is_sound(self) -> None:
        self.open.call(check, self.open.store)

    @invariant()
    def holds_the_same(self) -> None:
        assert self.open.call(held, self.open.store) == self.reference.held.keys()

    @invariant()
    def buries_the_same(self) -> None:
        ids = [each.short_id for each in self.known]
        known = self.open.call(self.open.store.read, lambda conn: bundles.known_many(conn, ids))
        assert known == self.reference.held.keys() | self.reference.graves.keys()

    @invariant()
    def keeps_the_same_evidence(self) -> None:
        found = self.open.write(lambda tx: list_evidence(tx.connection))
        expected = {
            (str(BundleId(author, incarnation, seq)), raw)
            for author, incarnation, seq, raw in self.reference.evidence
        }
        assert {(each.subject, each.raw) for each in found} == expected

    @invariant()
    def opens_again_the_same(self) -> None:
        again = Index()
        self.open.write(lambda tx: again.load(tx.connection))
        assert again.rebuilt_count == 0
        assert again.totals == self.open.ask(lambda store: dict(store.index.totals))

    @invariant()
    def knows_its_next_deadline(self) -> None:
        deadlines = [each.expires_ms for each in self.reference.held.values()]
        found = self.open.write(lambda tx: bundles.expires_next(tx.connection))
        assert found == min(deadlines, default=None)


def _with(
    made: BundleRecord, draft: _Draft, now_ms: int, number: int, *, author: bytes
) -> BundleRecord:
    """Return the draft's bundle; deadlines never tie, so that the order of eviction is one."""
    return BundleRecord(
        made.short_id,
        made.digest,
        author,
        made.incarnation,
        made.seq,
        made.kind,
        made.traffic_class,
        made.zone,
        made.scope,
        draft.slot,
        (now_ms + draft.lead) << 16 | number % 7,
        now_ms + draft.hours * HOUR_MS + number,
        made.size_bytes,
        made.hops,
        now_ms,
        draft.is_own,
        made.raw,
    )


assert 8 * HOUR_MS < DAY_MS, "graves outlive the machine's whole history"

TestStoreMachine = pytest.mark.slow(StoreMachine.TestCase)
StoreMachine.TestCase.settings = settings(
    max_examples=settings().max_examples // 2, stateful_step_count=30, deadline=None
)
