"""Stores with a vault, and one value in every sealed column."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from sqlalchemy import Connection

from meshnode.runtime import system_runtime
from meshnode.store import (
    alarms,
    attachments,
    board,
    bundles,
    coverage,
    documents,
    evidence,
    keyring,
    messages,
    peers,
    positions,
    sheets,
    spool,
)
from meshnode.store.alarms import StepRecord
from meshnode.store.attachments import NewAttachment
from meshnode.store.board import PointRecord, StateRecord, TrackRecord
from meshnode.store.engine import Store, Transaction
from meshnode.store.keyring import KeyPurpose
from meshnode.store.positions import PositionRecord
from meshnode.store.records import (
    DocumentRecord,
    EvidenceRecord,
    LedgerEvent,
    NewMessage,
)
from meshnode.store.spool import Content
from meshnode.vault.kinds import day_of
from meshnode.vault.vault import Vault
from protocol.attachments import Manifest, Media, file_id_of
from protocol.cells import Part
from protocol.chains import new_chain, receiving_chain
from protocol.coverage import Contribution, Count, Square
from protocol.envelope import PrekeyRecord, PrekeySecret
from protocol.ids import BundleId
from protocol.limits import Kind
from protocol.sheets import Catalogue, Sheet, SheetForm
from protocol.states import Bearer
from tests.meshnode.store.parts import NOW_MS, inline_runtime, node, record

RUNTIME = replace(inline_runtime(), entropy=system_runtime().entropy)
DEVICE, AGENT = b"d" * 32, b"a" * 32

RECORD = record(1)._replace(raw=hashlib.sha256(b"container").digest() * 9)
RAW = RECORD.raw
TEXT, ALARM = "two people at the hut", "help at the col"
DETAIL = "no key of Giulia is known here yet"
ADDRESS = "192.0.2.77:7400"
DOCUMENT = b"the roster with Giulia and Marco"
EVIDENCE = b"the second version of what was signed"
NETWORK_KEY, SOS_KEY = b"network key 0123456789 0123456789", b"sos key 0123456789 0123456789"
PLACE = b"44.9 north, 6.9 east, in the hut"
STATE = b"the battery is at 61 percent, on the network of the valley"
POINT, WAY = b"44.8 north, 6.6 east, on the way", b"from the hut to the col and back"
STEP = b"I go there by the north side"
SHEET_TITLE = "Whoever falls into the sea"
SPOOLED = b"seen by the dam, on its way to the archive"
FILE_NAME, PIECE = "the van at the hut.jpg", b"a piece of the photo of the van, at the hut"
PREKEY = hashlib.sha256(b"prekey").digest() * 3
SEED, OTHER_SEED = hashlib.sha256(b"seed").digest(), hashlib.sha256(b"other").digest()
SECRETS = (
    RAW,
    *(each.encode() for each in (TEXT, ALARM, DETAIL, ADDRESS)),
    DOCUMENT,
    EVIDENCE,
    NETWORK_KEY,
    SOS_KEY,
    PREKEY,
    SEED,
    OTHER_SEED,
    PLACE,
    STATE,
    POINT,
    WAY,
    STEP,
    FILE_NAME.encode(),
    SHEET_TITLE.encode(),
    PIECE,
    SPOOLED,
)
"""What must stand nowhere in the files."""


def vault(*, is_locked: bool = False) -> Vault:
    return Vault(DEVICE, RUNTIME.entropy, None if is_locked else AGENT)


def message(seq: int, text: str, kind: Kind = Kind.TEXT, expires_ms: int = NOW_MS) -> NewMessage:
    return NewMessage(BundleId(node(2), 7, seq), b"\x01\x00\x01", kind, text, NOW_MS, expires_ms)


def fill_device(tx: Transaction) -> None:
    """Write what a locked device may write."""
    bundles.add_many(tx, [RECORD])
    documents.put(tx, DocumentRecord(2, b"scope", 1, 1, b"d" * 32, DOCUMENT, NOW_MS))
    evidence.note_equivocation(tx, EvidenceRecord(NOW_MS, node(3), "bundle 1", b"d" * 32, EVIDENCE))
    keyring.put_network_key(tx, KeyPurpose.NETWORK, b"", NETWORK_KEY, NOW_MS)
    peers.contact_up(tx, node(4), ADDRESS, NOW_MS)


def fill_agent(tx: Transaction) -> None:
    """Write what needs the agent."""
    key = messages.add_outgoing(tx, message(1, TEXT), [node(5)], NOW_MS)
    messages.note_once(tx, key, NOW_MS, LedgerEvent.WAITING, DETAIL)
    messages.add_incoming(tx, message(2, ALARM, Kind.SOS), 77, b"d" * 32, NOW_MS)
    keyring.put_network_key(tx, KeyPurpose.ZONE_SOS, b"sos", SOS_KEY, NOW_MS)
    secret = PrekeySecret(b"prekeyid", NOW_MS + 9, PREKEY)
    public = PrekeyRecord(b"prekeyid", NOW_MS, NOW_MS + 9, 1, b"public")
    keyring.put_own_prekey(tx, secret, public)
    keyring.start_chain(tx, new_chain(SEED), b"scope", NOW_MS, NOW_MS + 9)
    chain = receiving_chain(new_chain(OTHER_SEED).chain_id, 0, OTHER_SEED)
    keyring.put_receiving_chain(tx, chain, node(6), b"scope", NOW_MS + 9)
    place = PositionRecord(node(7), b"scope", b"shift-id", NOW_MS, NOW_MS + 9, 7, 1, PLACE)
    positions.put(tx, place, is_archive=True)
    ends_ms = NOW_MS + 9
    board.put_state(tx, StateRecord(node(8), b"scope", 2**63 + 1, 7, 1, NOW_MS, ends_ms, STATE))
    board.put_point(tx, PointRecord(b"shift-id", NOW_MS, ends_ms, POINT))
    board.put_track(tx, TrackRecord(node(9), b"scope", b"shift-id", NOW_MS, ends_ms, 7, 1, WAY))
    step_name = BundleId(node(8), 7, 1)
    alarm = (node(9), b"alarm-id")
    alarms.put(tx, StepRecord(alarm, step_name, b"scope", NOW_MS, NOW_MS + 9, NOW_MS, STEP))
    manifest = Manifest(FILE_NAME, Media.JPEG, len(PIECE), bytes(32), SEED, 32_768)
    new = NewAttachment(node(8), 2, b"scope", NOW_MS, NOW_MS + 9, manifest)
    number = attachments.add_incoming(tx, new)
    if number is not None:
        attachments.add_pieces(tx, number, new.ends_ms, {0: PIECE})
    sheet = Sheet("mer", 1, SHEET_TITLE, "fr", (), SheetForm.TEXT, len(PIECE), bytes(32), SEED)
    sheets.apply(tx, Catalogue(1, (sheet,), {}), NOW_MS)
    sheets.add_pieces(tx, sheet.file_id, NOW_MS, {0: PIECE})
    white = Square(0, Part.NIGHT, (Count(Bearer.NONE, 9, 0),))
    coverage.put_shared(tx, bytes(16), Contribution(day_of(NOW_MS), (white,)))


def fill_spool(tx: Transaction) -> None:
    """Write what waits for the archive of a gateway."""
    tx.spool_bytes_max = 10**9
    times = (NOW_MS, NOW_MS + 9, NOW_MS)
    spool.add_opened(tx, Content(BundleId(node(2), 7, 9), Kind.TEXT, b"scope", *times, SPOOLED))


async def read_device(store: Store) -> list[object]:
    """Return what is read of the device's tier, by public names."""
    return await store.read(
        lambda conn: [
            bundles.raw_many(conn, [RECORD.short_id]),
            bundles.raws_of_kind(conn, Kind.TEXT),
            documents.all_documents(conn),
            evidence.list_evidence(conn),
            keyring.network_keys(conn, KeyPurpose.NETWORK),
            peers.list_peers(conn),
            peers.get(conn, node(4)),
        ]
    )


async def read_agent(store: Store) -> list[object]:
    """Return what is read of the agent's tier, by public names."""
    chain_id, other_id = new_chain(SEED).chain_id, new_chain(OTHER_SEED).chain_id
    return await store.read(
        lambda conn: [
            messages.list_outgoing(conn, 0, 9),
            messages.list_inbox(conn, 0, 9),
            messages.ledger(conn, 1),
            keyring.network_keys(conn, KeyPurpose.ZONE_SOS),
            keyring.own_prekey(conn, b"prekeyid"),
            keyring.sending_chain(conn, chain_id),
            keyring.secret_at(conn, chain_id, 3),
            keyring.receiving_chain(conn, other_id, node(6)),
            positions.of_author(conn, node(7), 9),
            board.states(conn, NOW_MS, 9),
            board.points(conn, b"shift-id", 9),
            board.tracks_of(conn, node(9), NOW_MS, 0, 9),
            alarms.steps(conn, (node(9), b"alarm-id")),
            attachments.list_all(conn, 9),
            _pieces(conn),
            sheets.records(conn),
            [each for each in sheets.pieces(conn, file_id_of(SEED)).values() if each],
            spool.batch(conn, 9, has_agent=True)[0],
            coverage.contributions(conn, NOW_MS),
        ]
    )


def _pieces(conn: Connection) -> list[bytes]:
    """Return the pieces of all files that are whole."""
    found = attachments.list_all(conn, 9)
    pieces = [attachments.pieces(conn, each, 0, 9) for each in found]
    return [piece for each in pieces for piece in each.values() if piece is not None]


LOCKED_EVENTS = frozenset(
    {LedgerEvent.HANDED, LedgerEvent.RECEIPT, LedgerEvent.DELIVERED, LedgerEvent.EXPIRED}
)
"""What a locked device learns of its agent's messages."""
