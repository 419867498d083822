"""Makes this node's own bundles: number, stamp, seal, sign, and store in one transaction.

The only room that holds the badge's private key. What goes into a bundle is the caller's
business: it passes a function from header bytes to body. Source: wire-format 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from meshnode.errors import QuotaError, StoreFullError
from meshnode.reception import Checked, record_of
from meshnode.runtime import Runtime
from meshnode.store import bundles as rows
from meshnode.store.engine import Transaction
from meshnode.store.quotas import tally_of
from protocol import bundle as bundles
from protocol import hlc
from protocol.bundle import Header, Scope, Suite
from protocol.ids import NodeId, short_id
from protocol.limits import CLOCK_DRIFT_MS_MAX, KINDS, Kind
from protocol.quota import AGENT, Allowance, Group, hour_of
from protocol.reports import Reception

__all__ = ["Author", "Draft"]

_NEVER_HELD_BACK: Final = frozenset(
    {Kind.SOS, Kind.RECEIPT, Kind.PREKEY, Kind.KEY_REQUEST, Kind.AUDIT_HEAD}
)
"""Of an SOS only the number per hour counts. The others are rare, or paced by their rooms."""

_HOUR_IS_FULL: Final = (
    "this device has written as much as others take of it in an hour: wait an hour"
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A bundle to be: everything but its number, its stamp, its body and its signature."""

    kind: Kind
    """What relays see."""
    suite: Suite
    """How the body is sealed."""
    scope: Scope
    """Whom it is for."""
    keyref: bytes = b""
    """Empty or 8 bytes."""
    index: int = 0
    """Chain index, or slot of a superseding kind."""
    lifetime_s: int | None = None
    """None takes the kind's own."""
    seq: int | None = None
    """A number that was taken before; None takes the next one."""


class Author:
    """Signs as this node."""

    def __init__(
        self,
        node: NodeId,
        sign: Callable[[bytes], bytes],
        runtime: Runtime,
        network_key: bytes,
        allowance: Callable[[], Allowance] = lambda: AGENT,
    ) -> None:
        """`allowance` says what others take of this node, now."""
        self.node = node
        self.allowance = allowance
        self._sign = sign
        self._runtime = runtime
        self._network_key = network_key

    def make(self, tx: Transaction, draft: Draft, body: Callable[[Header], bytes]) -> Checked:
        """Number, stamp, seal, sign and store one bundle in `tx`.

        `body` gets the header and returns the sealed body. Raises: QuotaError where others would
        refuse the bundle for its author's quota, StoreFullError, EnvelopeError.
        The caller announces the result after the commit.
        """
        now_ms = self._runtime.now_ms()
        stamp = _stamp(tx, draft.kind, now_ms)
        lifetime_s = KINDS[draft.kind].lifetime_s if draft.lifetime_s is None else draft.lifetime_s
        if draft.kind is Kind.SOS:
            self._check_alarms(tx, stamp)
        header = Header(
            suite=draft.suite,
            kind=draft.kind,
            author=self.node,
            incarnation=tx.incarnation,
            seq=tx.take_seq() if draft.seq is None else draft.seq,
            hlc=stamp,
            lifetime_s=lifetime_s,
            scope=draft.scope,
            keyref=draft.keyref,
            index=draft.index,
        )
        bundle = bundles.build(header, body(header), self._sign)
        short = short_id(self._network_key, bundle.digest)
        record = record_of(bundle, short, 0, now_ms, is_own=True)
        allowed = {} if draft.kind in _NEVER_HELD_BACK else {self.node: self.allowance()}
        (reception,) = rows.add_many(tx, [record], allowed)
        if reception is Reception.QUOTA and allowed:
            raise QuotaError(_HOUR_IS_FULL)
        if reception in (Reception.STORE_FULL, Reception.QUOTA):
            raise StoreFullError("the store has no room for what this device wants to say")
        assert reception is Reception.STORED, reception
        return Checked(0, bundle, short, reception, record)

    def _check_alarms(self, tx: Transaction, stamp: int) -> None:
        """Raises: QuotaError if everybody would refuse one more SOS of this hour.

        How much of others' room an author's SOS take differs from node to node: that holds none
        back.
        """
        made = tally_of(tx.connection, self.node, hour_of(stamp)).counts[Group.SOS]
        if made >= self.allowance().counts[Group.SOS]:
            raise QuotaError(_HOUR_IS_FULL)


def _stamp(tx: Transaction, kind: Kind, now_ms: int) -> int:
    """Return the stamp of a new bundle and keep it as the last one.

    A clock that ran days ahead and was set right leaves stamps that nobody accepts before their
    day. Kinds that replace their older ones must keep rising; all others go by the clock then,
    so that a device whose clock was wrong once is not mute.
    """
    last = tx.hlc
    is_astray = hlc.wall_ms(last) - now_ms > CLOCK_DRIFT_MS_MAX
    if is_astray and not KINDS[kind].supersedes:
        return hlc.pack(now_ms, 0)
    stamp = hlc.tick(last, now_ms)
    tx.hlc = stamp
    return stamp
