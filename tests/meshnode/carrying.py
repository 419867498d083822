"""Devices with stores and a file between them, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshnode.runtime import Runtime, system_runtime
from meshnode.stick import Exported, Stick
from meshnode.store import bundles as rows
from meshnode.store import documents, keyring
from meshnode.store.engine import Store, open_store
from meshnode.store.records import BundleRecord, DocumentRecord
from protocol import authority
from protocol import bundle as bundles
from protocol.authority import DocumentClass, RosterBody, Unit
from protocol.bundle import Bundle, Header, Scope, Suite
from protocol.envelope import HpkeSealer, PrekeyRecord, PrekeySecret
from protocol.errors import (
    LimitExceededError,
    MalformedError,
    NoKeyError,
    RemoteProtocolError,
    TamperedError,
)
from protocol.ids import NodeId, ShortId, node_id_of, short_id, squad_id_of
from protocol.limits import (
    Kind,
)
from protocol.reports import Reception

T = TypeVar("T")

NOW_MS = 1_800_000_000_000
NETWORK_KEY = bytes(16)
SEALER = HpkeSealer()
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
AUTHOR = node_id_of(KEY.public_key().public_bytes_raw())
READER = NodeId(b"reader of a file")
REFUSED = (MalformedError, LimitExceededError, TamperedError, NoKeyError)


@cache
def prekey(number: int) -> tuple[PrekeySecret, PrekeyRecord]:
    return SEALER.make_prekey(NOW_MS - number)


def runtime(now_ms: int = NOW_MS) -> Runtime:
    """Real threads and disk, a fixed wall clock, bytes that never repeat."""
    numbers = count()
    return replace(
        system_runtime(),
        now_ms=lambda: now_ms,
        entropy=lambda length: hashlib.shake_128(b"%d" % next(numbers)).digest(length),
    )


def make_bundle(
    seq: int, kind: Kind = Kind.TEXT, body: bytes = b"text", zone: int = 7, age_s: int = 0
) -> Bundle:
    header = Header(
        Suite.CLEAR,
        kind,
        AUTHOR,
        1,
        seq,
        (NOW_MS - 1_000 * age_s) << 16,
        3_600,
        Scope.for_zone(zone),
        index=seq,
    )
    return bundles.build(header, body, KEY.sign)


def make_document(version: int, squad: str = "Queyras") -> bytes:
    unit_id = squad_id_of(7, squad)
    body = RosterBody(Unit.SQUAD, 7, unit_id, squad, ())
    signer = authority.document_signer(KEY)
    return authority.build(
        DocumentClass.ROSTER, body.scope, (1, version), NOW_MS, body.encode(), [signer]
    ).raw


def record_of(bundle: Bundle, hops: int) -> BundleRecord:
    header = bundle.header
    return BundleRecord(
        short_id=short_id(NETWORK_KEY, bundle.digest),
        digest=bundle.digest,
        author=header.author,
        incarnation=header.incarnation,
        seq=header.seq,
        kind=header.kind,
        traffic_class=header.traffic_class,
        zone=header.scope.zone,
        scope=header.scope.encode(),
        slot=header.index,
        hlc=header.hlc,
        expires_ms=header.expires_ms,
        size_bytes=len(bundle.raw),
        hops=hops,
        received_ms=NOW_MS,
        is_own=False,
        raw=bundle.raw,
    )


@dataclass
class Receiver:
    """Stores what decodes, as the relay does after its checks."""

    store: Store
    batches: list[list[bytes]] = field(default_factory=list)

    async def receive(
        self, peer: NodeId | None, batch: Sequence[tuple[int, bytes]]
    ) -> list[tuple[ShortId | None, Reception]]:
        assert peer is None
        self.batches.append([raw for _hops, raw in batch])
        decoded: list[BundleRecord | None] = []
        for hops, raw in batch:
            try:
                decoded.append(record_of(bundles.decode_untrusted(raw), hops))
            except RemoteProtocolError:
                decoded.append(None)
        records = [record for record in decoded if record is not None]
        fates = iter(await self.store.write(lambda tx: rows.add_many(tx, records)))
        return [
            (None, Reception.MALFORMED) if record is None else (record.short_id, next(fates))
            for record in decoded
        ]


@dataclass
class Keeper:
    """Puts every document that decodes into the store."""

    store: Store
    calls: int = 0

    async def accept(self, raws: Sequence[bytes]) -> int:
        self.calls += 1
        for raw in raws:
            document = authority.decode_untrusted(raw)
            record = DocumentRecord(
                document_class=int(document.cls),
                scope=document.scope,
                epoch=document.epoch,
                version=document.version,
                digest=document.digest,
                raw=raw,
                received_ms=NOW_MS,
            )
            await self.store.write(partial(documents.put, document=record))
        return len(raws)


@dataclass
class Device:
    """A store, its two rooms that take things in, and its stick."""

    store: Store
    receiver: Receiver
    keeper: Keeper
    stick: Stick

    async def raws(self) -> set[bytes]:
        found: set[bytes] = set()
        for kind in Kind:
            found.update(await self.store.read(partial(rows.raws_of_kind, kind=kind)))
        return found

    async def is_empty(self) -> bool:
        held = await self.store.read(documents.all_raw)
        return not held and not await self.raws() and not self.receiver.batches

    async def fill(self, items: Iterable[tuple[Bundle, int]], raws: Sequence[bytes] = ()) -> None:
        records = [record_of(bundle, hops) for bundle, hops in items]
        fates = await self.store.write(lambda tx: rows.add_many(tx, records))
        assert set(fates) <= {Reception.STORED}
        await self.keeper.accept(raws)


@asynccontextmanager
async def device(
    number: int = 1, stick_runtime: Runtime | None = None, *, bytes_max: int = 4_000_000_000
) -> AsyncIterator[Device]:
    """Open a device that holds the private half of prekey `number`."""
    own = runtime()
    async with open_store(None, own) as store:
        await store.write(lambda tx: keyring.put_own_prekey(tx, *prekey(number)))
        receiver, keeper = Receiver(store), Keeper(store)
        stick = Stick(
            store,
            stick_runtime or own,
            keeper,
            receiver,
            SEALER,
            keyring.own_prekey,
            bytes_max=bytes_max,
        )
        yield Device(store, receiver, keeper, stick)


def to_reader(number: int = 1) -> dict[NodeId, PrekeyRecord]:
    return {READER: prekey(number)[1]}


async def file_of(
    path: Path, items: Iterable[tuple[Bundle, int]], raws: Sequence[bytes] = ()
) -> Exported:
    """Export from a fresh device that holds `items` and `raws`."""
    async with device(2) as source:
        await source.fill(items, raws)
        return await source.stick.export(path, to_reader())
