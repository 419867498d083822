"""The checks a bundle passes before it may be stored, cheapest first.

Size and form, already held, hop count, expiry and clock, author, signature, receipt already
known. A whole batch is examined in one worker thread: the signature check, which is nine tenths
of the cost, releases the interpreter lock there. Source: security 2.13, wire-format 4 and 6.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meshnode.immunity import Immunity
from meshnode.membership import Membership
from meshnode.runtime import Runtime
from meshnode.store import bundles as rows
from meshnode.store.engine import Connection, Store
from meshnode.store.records import BundleRecord
from protocol import bundle as bundles
from protocol import hlc
from protocol.bundle import Bundle
from protocol.errors import AuthenticationError, RemoteProtocolError
from protocol.ids import ShortId, short_id
from protocol.limits import CLOCK_DRIFT_MS_MAX, HOPS_MAX
from protocol.reports import Reception

__all__ = ["Checked", "Examiner", "record_of"]


@dataclass(frozen=True, slots=True)
class Checked:
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
    return BundleRecord(
        short_id=short,
        digest=bundle.digest,
        author=header.author,
        incarnation=header.incarnation,
        seq=header.seq,
        kind=header.kind,
        traffic_class=header.traffic_class,
        zone=header.scope.zone,
        scope=header.scope.encode(),
        index=header.index,
        hlc=header.hlc,
        expires_ms=header.expires_ms,
        size_bytes=len(bundle.raw),
        hops=hops,
        received_ms=received_ms,
        is_own=is_own,
        raw=bundle.raw,
    )


class Examiner:
    """Decides for each bundle of a batch whether it may be stored."""

    def __init__(
        self, store: Store, runtime: Runtime, membership: Membership, network_key: bytes
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._membership = membership
        self._network_key = network_key

    async def examine(
        self, batch: Sequence[tuple[int, bytes]], immunity: Immunity
    ) -> list[Checked]:
        """Return one `Checked` per (hop count, container), in the same order."""
        return await self._store.read(lambda conn: self._examine(conn, batch, immunity))

    def _examine(
        self, conn: Connection, batch: Sequence[tuple[int, bytes]], immunity: Immunity
    ) -> list[Checked]:
        decoded: list[tuple[Bundle, ShortId] | None] = []
        for _hops, raw in batch:
            try:
                bundle = bundles.decode_untrusted(raw)
            except RemoteProtocolError:
                decoded.append(None)
            else:
                decoded.append((bundle, short_id(self._network_key, bundle.digest)))
        held = set(rows.has_many(conn, [each[1] for each in decoded if each is not None]))
        now_ms = self._runtime.now_ms()
        checked = []
        for position, each in enumerate(decoded):
            if each is None:
                checked.append(Checked(position, None, None, Reception.MALFORMED, None))
                continue
            bundle, short = each
            hops = batch[position][0] + 1
            fate = (
                Reception.DUPLICATE
                if short in held
                else self._judge(bundle, hops, now_ms, immunity)
            )
            record = None
            if fate is Reception.STORED:
                record = record_of(bundle, short, hops, now_ms, is_own=False)
                held.add(short)
            checked.append(Checked(position, bundle, short, fate, record))
        return checked

    def _judge(self, bundle: Bundle, hops: int, now_ms: int, immunity: Immunity) -> Reception:
        header = bundle.header
        if hops > HOPS_MAX:
            return Reception.HOP_LIMIT
        if header.expires_ms <= now_ms:
            return Reception.EXPIRED
        if hlc.wall_ms(header.hlc) > now_ms + CLOCK_DRIFT_MS_MAX:
            return Reception.TOO_FAR_AHEAD
        directory = self._membership.directory
        author = directory.member(header.author)
        if author is None:
            return Reception.UNKNOWN_AUTHOR
        try:
            bundles.verify(bundle, author.key)
        except AuthenticationError:
            return Reception.BAD_SIGNATURE
        if immunity.has_all(header.id, header.scope, directory):
            return Reception.DELIVERED
        return Reception.STORED
