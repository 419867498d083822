"""Defects to plant into the real node, each where a careless change would put it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import pytest
import trio

from meshnode.errors import StoreError
from meshnode.inbox import Inbox, _Work
from meshnode.relay import Relay
from meshnode.store import bundles, messages, removal, retention
from meshnode.store.engine import Connection, Transaction
from meshnode.store.records import BundleSummary
from protocol.bundle import Bundle
from protocol.ids import NodeId, ShortId
from protocol.limits import Kind
from protocol.reports import Reception

__all__ = ["PLANTS"]

_LATE_S: Final = 2.0
"""So long a careless cache keeps what it has acknowledged."""


def acknowledge_before_commit(patch: pytest.MonkeyPatch) -> None:
    """What a peer brought is acknowledged at once and written a little later."""
    receive = Relay.receive

    async def later(self: Relay, peer: NodeId | None, batch: Sequence[tuple[int, bytes]]) -> None:
        with suppress(StoreError):
            await trio.sleep(_LATE_S)
            await receive(self, peer, batch)

    async def hasty(
        self: Relay, peer: NodeId | None, batch: Sequence[tuple[int, bytes]]
    ) -> list[tuple[ShortId | None, Reception]]:
        checked = await self._examiner.examine(batch)
        trio.lowlevel.spawn_system_task(partial(later, self, peer, batch))
        return [(each.short_id, each.reception) for each in checked]

    patch.setattr(Relay, "receive", hasty)


def forget_a_tombstone(patch: pytest.MonkeyPatch) -> None:
    """What is dropped is not remembered."""

    def forget(_tx: Transaction, _dead: object, _reason: Reception) -> None: ...

    patch.setattr(removal, "bury", forget)


def deliver_twice(patch: pytest.MonkeyPatch) -> None:
    """After a restart all that is held is queued again, and people are told of it again."""

    def held(conn: Connection, kind: Kind) -> list[BundleSummary]:
        return [each for each in bundles.by_kind(conn, kind) if not each.is_own]

    keep = Inbox._keep_message

    def keep_again(
        self: Inbox, tx: Transaction, short_id: ShortId, bundle: Bundle, work: _Work
    ) -> None:
        known = messages.find(tx.connection, bundle.header.id)
        keep(self, tx, short_id, bundle, work)
        if known is not None:
            work.arrived.append((known.key, bundle.header.id))

    patch.setattr(bundles, "unreceived", held)
    patch.setattr(Inbox, "_keep_message", keep_again)


def skip_expiry(patch: pytest.MonkeyPatch) -> None:
    """Bundles stay beyond their life."""

    def skip(_tx: Transaction, _now_ms: int, _limit: int) -> list[BundleSummary]:
        return []

    patch.setattr(retention, "expire", skip)


def never_tell_of_expiry(patch: pytest.MonkeyPatch) -> None:
    """Messages of people stay open beyond their life."""

    def skip(_tx: Transaction, _now_ms: int, _limit: int) -> list[int]:
        return []

    patch.setattr(messages, "expire_messages", skip)


def ignore_a_quota(patch: pytest.MonkeyPatch) -> None:
    """Whatever comes fits."""

    def always(_held: list[int], _extra: list[int], _bytes_max: int) -> bool:
        return True

    patch.setattr(retention, "_fits", always)


PLANTS: Final[dict[str, tuple[Callable[[pytest.MonkeyPatch], None], frozenset[str]]]] = {
    "acknowledge before commit": (acknowledge_before_commit, frozenset({"carriers_hold"})),
    "forget a tombstone": (forget_a_tombstone, frozenset({"nothing_comes_back"})),
    "deliver twice": (deliver_twice, frozenset({"nothing_twice"})),
    "skip expiry": (skip_expiry, frozenset({"within_bounds"})),
    "never tell of expiry": (never_tell_of_expiry, frozenset({"ledgers_true"})),
    "ignore a quota": (ignore_a_quota, frozenset({"shares_kept", "within_bounds"})),
}
"""What goes wrong, how it is planted, and which checkers are there to find it."""
