"""The checks a bundle passes before it may be stored, cheapest first.

Size and form, already known, hop count, expiry and clock, author, quota, revocation, signature;
whether receipts cover it is asked by the relay. A quota is looked at before the signature, the dear
step, and charged after it, so a forged bundle costs the author whose name it bears nothing.
A whole batch is examined in one worker thread: the signature check, nine tenths of the cost,
releases the interpreter lock there. Source: security 2.13, wire-format 4 and 6.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import trio

from meshnode.directory import Directory, DirectoryEntry
from meshnode.membership import Membership
from meshnode.runtime import Runtime
from meshnode.shifts import is_well_formed
from meshnode.store import bundles as rows
from meshnode.store.engine import Connection, Store
from meshnode.store.quotas import Claim, Figures, Meter
from meshnode.store.records import BundleRecord
from protocol import bundle as bundles
from protocol import hlc
from protocol.bundle import Bundle, Suite
from protocol.errors import AuthenticationError, RemoteProtocolError
from protocol.identity import Role
from protocol.ids import NodeId, ShortId, short_ids
from protocol.limits import CLOCK_HOLD_MS_MAX, HOPS_MAX, KINDS, Kind
from protocol.quota import AGENT, CENTRE, Allowance
from protocol.reports import Reception

__all__ = ["Checked", "Examiner", "allowance_for", "allowances", "named", "record_of"]

# Bound once: asking an enumeration for a member costs 0.15 µs, and these are asked per bundle.
_STORED: Final = Reception.STORED
_DUPLICATE: Final = Reception.DUPLICATE
_CHAIN: Final = Suite.CHAIN

_CLEAR: Final = frozenset({Suite.CLEAR})
_SEALED: Final = frozenset({Suite.CHAIN, Suite.HYBRID, Suite.CLASSICAL})
_SUITES: Final = {
    Kind.SOS: _SEALED | {Suite.ZONE},
    Kind.RECEIPT: _CLEAR,
    Kind.CHAIN_KEYS: frozenset({Suite.HYBRID}),
    Kind.PREKEY: _CLEAR,
    Kind.KEY_REQUEST: _CLEAR,
    Kind.STATE: frozenset({Suite.CHAIN}),
    Kind.POSITION: frozenset({Suite.CHAIN}),
    Kind.TRACK: frozenset({Suite.CHAIN}),
    Kind.COVERAGE: frozenset({Suite.CHAIN}),
    Kind.SHIFT: _CLEAR,
    Kind.NETWORK_KEYS: frozenset({Suite.CHAIN, Suite.HYBRID}),
    Kind.AUDIT_HEAD: _CLEAR,
    Kind.CANCEL: _CLEAR,
    Kind.UPLINK: _CLEAR,
    Kind.READ: frozenset({Suite.CHAIN, Suite.HYBRID}),
    Kind.SHEETS: frozenset({Suite.ZONE}),
}
"""How a kind may be sealed; the others as `_SEALED`. Nothing that people write goes in clear."""


class Checked(NamedTuple):
    """One bundle after the checks."""

    position: int
    """Its place in the batch."""
    bundle: Bundle | None
    """None if the bytes are no bundle."""
    short_id: ShortId | None
    """None if the bytes are no bundle."""
    reception: Reception
    """STORED stands for fit to be stored; anything else is final."""
    record: BundleRecord | None
    """What to store; None unless the reception is STORED."""


def record_of(
    bundle: Bundle, short: ShortId, hops: int, received_ms: int, *, is_own: bool
) -> BundleRecord:
    """Return the row for a verified bundle."""
    header = bundle.header
    kind, scope = header.kind, header.scope
    return BundleRecord(
        short,
        bundle.digest,
        header.author,
        header.incarnation,
        header.seq,
        kind,
        KINDS[kind].traffic_class,
        scope.zone,
        scope.encode(),
        # The number of a message in its chain is no slot: the newest replaces all others.
        0 if header.suite is _CHAIN else header.index,
        header.hlc,
        header.expires_ms,
        len(bundle.raw),
        hops,
        received_ms,
        is_own,
        bundle.raw,
    )


class Examiner:
    """Decides for each bundle of a batch whether it may be stored."""

    def __init__(
        self,
        store: Store,
        runtime: Runtime,
        membership: Membership,
        network_key: bytes,
        node: NodeId | None = None,
    ) -> None:
        """`node` is ourselves: our role says what of revoked authors we take."""
        self._node = node
        self._store = store
        self._runtime = runtime
        self._membership = membership
        self._short_id = short_ids(network_key)
        # One batch at a time: two threads of Python that check signatures cost a tenth more CPU
        # in waiting for one another. The next batch is checked while the last one goes to disk.
        self._turn = trio.Lock()

    async def examine(self, batch: Sequence[tuple[int, bytes]]) -> list[Checked]:
        """Return one `Checked` per (hop count, container), in the same order."""
        async with self._turn:
            directory, now_ms = self._membership.directory, self._runtime.now_ms()
            return await self._store.read(
                lambda conn: self._examine(conn, batch, directory, now_ms)
            )

    def _examine(
        self,
        conn: Connection,
        batch: Sequence[tuple[int, bytes]],
        directory: Directory,
        now_ms: int,
    ) -> list[Checked]:
        decoded = [self._decode_untrusted(raw) for _hops, raw in batch]
        known = rows.fates(conn, [short for _bundle, short in filter(None, decoded)])
        claims: list[Figures] = [
            (bundle.header.author, bundle.header.kind, bundle.header.hlc, len(bundle.raw))
            for bundle, short in filter(None, decoded)
            if short not in known
        ]
        meter: Meter | None = Meter(conn, claims, now_ms)
        authors = {claim[0] for claim in claims}
        if meter is not None and meter.is_roomy(allowances(directory, authors)):
            # There is room for all of them, even if every signature holds.
            meter = None
        # The view of the database ends here: signatures must not keep its log from shrinking.
        conn.rollback()
        checked = []
        for position, ((hops, _raw), each) in enumerate(zip(batch, decoded, strict=True)):
            if each is None:
                checked.append(Checked(position, None, None, Reception.MALFORMED, None))
                continue
            bundle, short = each
            fate = known.get(short)
            if fate is None:
                fate = self._judge(bundle, hops + 1, now_ms, directory, meter)
            record = None
            if fate is _STORED:
                record = record_of(bundle, short, hops + 1, now_ms, is_own=False)
                known[short] = _DUPLICATE
            checked.append(Checked(position, bundle, short, fate, record))
        return checked

    def _decode_untrusted(self, raw: bytes) -> tuple[Bundle, ShortId] | None:
        try:
            bundle = bundles.decode_untrusted(raw)
        except RemoteProtocolError:
            return None
        return bundle, self._short_id(bundle.digest)

    def _judge(
        self, bundle: Bundle, hops: int, now_ms: int, directory: Directory, meter: Meter | None
    ) -> Reception:
        header = bundle.header
        if hops > HOPS_MAX:
            return Reception.HOP_LIMIT
        if header.suite not in _SUITES.get(header.kind, _SEALED) or not is_well_formed(bundle):
            return Reception.MALFORMED
        if header.expires_ms <= now_ms:
            return Reception.EXPIRED
        if hlc.wall_ms(header.hlc) > now_ms + CLOCK_HOLD_MS_MAX:
            return Reception.TOO_FAR_AHEAD
        author = directory.member(header.author)
        if author is None:
            return Reception.UNKNOWN_AUTHOR
        if meter is not None and not meter.has_room(_claim(bundle), allowance_for(author)):
            return Reception.QUOTA
        if directory.refuses_astray(self._node, header.author, header.incarnation, header.seq):
            return Reception.REVOKED
        try:
            bundles.verify(bundle, author.key)
        except AuthenticationError:
            return Reception.BAD_SIGNATURE
        if meter is not None:
            meter.charge(_claim(bundle))
        return _STORED


def _claim(bundle: Bundle) -> Claim:
    header = bundle.header
    return Claim(header.author, header.kind, header.hlc, len(bundle.raw))


def allowance_for(member: DirectoryEntry) -> Allowance:
    """Return what a member may put into stores."""
    return CENTRE if member.role in (Role.GATEWAY, Role.OPERATOR) else AGENT


def allowances(directory: Directory, authors: Iterable[NodeId]) -> dict[NodeId, Allowance]:
    """Return what those of `authors` may put into stores that the directory knows."""
    members = ((author, directory.member(author)) for author in authors)
    return {author: allowance_for(member) for author, member in members if member is not None}


def named(checked: Checked, fate: Reception, peer: NodeId | None) -> NodeId | None:
    """Return whom a fate is about; but for who signed twice, an author is only claimed."""
    if fate is Reception.EQUIVOCATION and checked.bundle is not None:
        return checked.bundle.header.author
    return peer
