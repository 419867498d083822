"""A damaged sealed row costs what it held and nothing else, whatever kind of row it is.

For each sealed column in turn, and for the wrapped keys of the days, every row of it at one node
is damaged; then that node receives, gives, shows, tidies up, purges and wipes as if nothing was.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.erasing import is_agent_destroyed
from meshnode.outbox import Priority
from meshnode.positions import Place
from meshnode.purging import purge
from meshnode.store import alarms, attachments, board, coverage, peers, sheets, spool
from meshnode.store import bundles as rows
from meshnode.store.alarms import StepRecord
from meshnode.store.attachments import NewAttachment
from meshnode.store.board import StateRecord, TrackRecord
from meshnode.store.coverage import Untold
from meshnode.store.engine import Connection, Transaction
from meshnode.store.evidence import note_equivocation
from meshnode.store.records import EvidenceRecord
from meshnode.store.sealed_columns import SEALED
from protocol import payloads
from protocol.attachments import Manifest, Media
from protocol.cells import Part
from protocol.coverage import Contribution, Count, Square
from protocol.identity import Role
from protocol.ids import BundleId
from protocol.limits import Kind
from protocol.orders import WipeLevel
from protocol.payloads import Sos, State, Track
from protocol.reports import Reception
from protocol.sheets import Catalogue, Sheet, SheetForm
from protocol.states import Bearer
from protocol.tracks import TrackPoint
from sims.fleet import DevicePlan
from tests.meshnode.rig import SQUAD, ZONE_SCOPE, Member, Rig, open_rig, squad_scope
from tests.meshnode.test_positions import begin, end, latitudes, tell
from tests.meshnode.test_wiping import ordered, phone_of

HOUR_MS: Final = 3_600_000
KEY: Final = bytes(range(32))
DAY_MS: Final = 24 * HOUR_MS
PEOPLE: Final = ("anna", "bruno", "box")
PLANS: Final = (
    DevicePlan("anna", Role.AGENT, (SQUAD,)),
    DevicePlan("bruno", Role.AGENT, (SQUAD,)),
    DevicePlan("box", Role.RELAY, (SQUAD,)),
)
COLUMNS: Final = (*((each.table, each.column) for each in SEALED), ("data_key", "wrapped"))
EVERY_COLUMN: Final = pytest.mark.parametrize(
    ("table", "column"), COLUMNS, ids=[".".join(each) for each in COLUMNS]
)


@pytest.fixture
async def sealed(autojump_clock: MockClock) -> AsyncIterator[Rig]:
    """Two mates and a box, with something in every sealed column of theirs."""
    async with open_rig(PLANS, is_sealed=True) as rig:
        for member in rig.members.values():
            # As a gateway does, so that there is a spool.
            member.store.spool_bytes_max = 10**9
        await rig.mix(*PEOPLE)
        for name in ("anna", "bruno"):
            await begin(rig[name])
            await tell(rig[name])
            await rig[name].send(squad_scope(), f"from {name}")
        await rig.mix(*PEOPLE)
        for member in rig.members.values():
            await member.store.write(_meet)
        now_ms = rig["bruno"].machine.now_ms()
        await rig["bruno"].store.write(lambda tx: _keep_of_a_mate(tx, now_ms))
        yield rig


def _meet(tx: Transaction) -> None:
    """Meet somebody, and find that somebody signed two things under one name."""
    peers.contact_up(tx, b"p" * 16, "192.0.2.7:7400", 1)
    peers.contact_down(tx, b"p" * 16, 2, 0, 0)
    note_equivocation(tx, EvidenceRecord(1, b"p" * 16, "bundle 1", b"d" * 32, b"the second"))


def _keep_of_a_mate(tx: Transaction, now_ms: int) -> None:
    """Keep what an agent has of a mate's state, alarm and file, and a centre of a track."""
    whose, scope, ends_ms = b"p" * 16, squad_scope().encode(), now_ms + 6 * HOUR_MS
    state = payloads.encode(State(whose, scope, None, None, 0))
    board.put_state(tx, StateRecord(whose, scope, 7, 1, 1, now_ms, ends_ms, state))
    step = payloads.encode(Sos(whose, scope, "help", b"alarm-id", 0))
    name = BundleId(whose, 1, 1)
    alarms.put(tx, StepRecord((whose, b"alarm-id"), name, scope, now_ms, ends_ms, now_ms, step))
    manifest = Manifest("plan.pdf", Media.PDF, 5, hashlib.sha256(b"piece").digest(), KEY, 32_768)
    file = attachments.add_incoming(tx, NewAttachment(whose, 2, scope, now_ms, ends_ms, manifest))
    assert file is not None
    attachments.add_pieces(tx, file, ends_ms, {0: b"piece"})
    content = hashlib.sha256(b"sheet").digest()
    sheet = Sheet("mer", 1, "Mer", "fr", (), SheetForm.TEXT, 5, content, KEY)
    sheets.apply(tx, Catalogue(1, (sheet,), {}), now_ms)
    sheets.add_pieces(tx, sheet.file_id, now_ms, {0: b"sheet"})
    track = payloads.encode(Track(whose, scope, (TrackPoint(now_ms // 1000, 1, 1),)))
    board.put_track(tx, TrackRecord(whose, scope, bytes(8), now_ms, ends_ms, 1, 1, track))
    white = Square(0, Part.NIGHT, (Count(Bearer.NONE, 9, 0),))
    met = Contribution(now_ms // DAY_MS, (white,))
    coverage.put_shared(tx, KEY[:16], met)
    coverage.put_untold(tx, Untold(KEY[16:], bytes(8), ends_ms, met))


async def damage(member: Member, table: str, column: str, condition: str = "1") -> int:
    """Change the last byte of every value of a column; return how many there were."""
    change = (
        f"UPDATE {table} SET {column} = CAST(substr({column}, 1, length({column}) - 1) "
        f"|| iif(substr({column}, -1) = x'00', x'01', x'00') AS BLOB) WHERE {condition}"
    )
    return await member.store.write(lambda tx: tx.connection.exec_driver_sql(change).rowcount)


async def count(member: Member, what: str) -> int:
    """Return how many rows of a table there are."""
    query = f"SELECT count(*) FROM {what}"
    return int(await member.store.read(lambda c: c.exec_driver_sql(query).scalar_one()))


async def given(source: Member, target: Member) -> list[Reception]:
    """Give all that one node still has to another, as a session does."""
    keys = list(source.node.membership.versions)
    await target.node.membership.accept(await source.node.relay.read_documents(keys))
    found = await source.node.relay.read_bundles(await source.ids())
    return await target.take([raw for raw, _hops in found.values()], source.id)


def _pieces(conn: Connection) -> None:
    for each in attachments.list_all(conn, 9):
        attachments.pieces(conn, each, 0, 9)


async def show_all(member: Member) -> None:
    """Ask for everything that people may ask for in lists."""
    api = Api(member.node)
    await api.inbox()
    await api.peers()
    await api.shift()
    await api.positions()
    await api.board()
    await api.alarms()
    await api.files()
    await api.coverage("44.8,6.6")
    await member.store.read(coverage.untold)
    await api.sheets()
    await api.sheets_search("mer")
    await member.store.read(_pieces)
    await member.store.read(lambda c: board.tracks_of(c, b"p" * 16, 0, 0, 9))
    await member.store.read(lambda c: spool.batch(c, 99, has_agent=True))
    if (current := await member.node.positions.current()) is not None:
        await member.store.read(lambda c: board.points(c, current.shift.shift_id, 9))
    await api.audit()
    await api.audit_verify()
    await api.keys()
    await api.holdings()
    await api.status()
    await api.orders()
    for each in await api.outgoing():
        await api.message(each["message"])
    await member.node.contact_log.addresses(9)


@EVERY_COLUMN
async def test_a_node_with_damaged_rows_goes_on(sealed: Rig, table: str, column: str) -> None:
    anna, bruno = sealed["anna"], sealed["bruno"]
    for member in (bruno, sealed["box"]):
        is_damaged = await damage(member, table, column) > 0
        assert is_damaged or member is not bruno, "there is something to damage"
    anna.machine.clock_ahead_ms += 30_000
    await tell(anna, Place(44.5, 6.5))
    sent = await anna.send(squad_scope(), "after the damage")
    await anna.send(ZONE_SCOPE, "help", Priority.SOS)
    fates = [fate for name in ("box", "bruno") for fate in await given(anna, sealed[name])]
    assert fates.count(Reception.STORED) >= 2
    assert set(fates) <= {Reception.STORED, Reception.DUPLICATE, Reception.NO_SHIFT}
    await show_all(bruno)
    for member in (bruno, sealed["box"]):
        await member.node.housekeeping.look()
    await bruno.send(squad_scope(), "from bruno, after the damage")
    await bruno.node.settle()
    took = await given(bruno, anna)
    assert Reception.STORED in took, "what came after the damage is given on"
    assert "from bruno, after the damage" in await anna.texts()
    assert (await anna.message(sent.key)).text == "after the damage"
    assert bruno.metric("seals_broken") > 0


@EVERY_COLUMN
async def test_shifts_end_and_a_purge_comes_all_the_same(
    sealed: Rig, table: str, column: str
) -> None:
    bruno = sealed["bruno"]
    await damage(bruno, table, column)
    positions = "receiving_chain WHERE length(scope) = 19"
    assert await count(bruno, positions) > 0
    bruno.machine.clock_ahead_ms += 13 * HOUR_MS
    await bruno.node.housekeeping.look()
    assert bruno.metric("shifts_erased") == 2
    assert await latitudes(bruno) == []
    own_chains = "sending_chain WHERE length(scope) > 18"
    for each in ("position", "state", "track_point", "shift_end", positions, own_chains):
        assert await count(bruno, each) == 0, each
    bruno.machine.clock_ahead_ms += DAY_MS
    await bruno.node.housekeeping.look()
    later_ms = bruno.machine.now_ms() + 400 * DAY_MS
    await purge(bruno.store, later_ms)
    for each in ("message", "ledger", "evidence", "peer"):
        assert await count(bruno, each) == 0, each


@EVERY_COLUMN
@pytest.mark.parametrize("level", WipeLevel)
async def test_a_wipe_order_is_obeyed_all_the_same(
    sealed: Rig, tmp_path: Path, level: WipeLevel, table: str, column: str
) -> None:
    bruno, phone = sealed["bruno"], phone_of(sealed, "bruno", tmp_path)
    await damage(bruno, table, column)
    await ordered(sealed, "bruno", level=level)
    # The order's own row, too: it is known already.
    await damage(bruno, table, column)
    await phone.wiping.obey()
    assert is_agent_destroyed(phone.home, bruno.machine.runtime)
    assert phone.wiping.is_gone is (level is WipeLevel.ALL)
    assert bruno.metric("wipes_executed") == 1
    # A level AGENT proof is kept as a row beside the order, which has to be whole for that.
    is_unproven = level is WipeLevel.AGENT and table in ("document", "data_key")
    assert bruno.metric("wipes_unproven") == is_unproven
    if level is WipeLevel.AGENT:
        for each in ("message", "receiving_chain", "position", "own_prekey"):
            assert await count(bruno, each) == 0, each


# --- what becomes of some of them ----------------------------------------------------------------


async def test_damaged_keys_of_an_author_go_with_its_shift(sealed: Rig) -> None:
    """They may be those of the shift, and serve for nothing."""
    bruno, author = sealed["bruno"], sealed["anna"].id
    mine = (
        f"kind = {int(Kind.CHAIN_KEYS)} AND author = "
        f"(SELECT key FROM author WHERE node = x'{author.hex()}')"
    )
    assert await damage(bruno, "bundle", "raw", mine) > 0
    others = await count(bruno, f"bundle WHERE kind = {int(Kind.CHAIN_KEYS)}")
    before = await count(bruno, f"bundle WHERE {mine}")
    await end(sealed["anna"])
    assert Reception.STORED in await given(sealed["anna"], bruno)
    assert await count(bruno, f"bundle WHERE {mine}") == 0
    assert await count(bruno, f"bundle WHERE kind = {int(Kind.CHAIN_KEYS)}") == others - before


async def test_a_damaged_chain_is_asked_for_again(sealed: Rig) -> None:
    anna, bruno = sealed["anna"], sealed["bruno"]
    await damage(bruno, "receiving_chain", "state")
    await anna.send(squad_scope(), "read with new keys")
    await given(anna, bruno)
    assert "read with new keys" not in await bruno.texts()
    for member in (anna, bruno):
        member.machine.clock_ahead_ms += HOUR_MS
    await bruno.node.inbox._later_ms()
    await given(bruno, anna)
    await given(anna, bruno)
    assert "read with new keys" in await bruno.texts()


async def test_a_damaged_document_is_brought_again(sealed: Rig) -> None:
    bruno, membership = sealed["bruno"], sealed["bruno"].node.membership
    held = await count(bruno, "document")
    await damage(bruno, "document", "raw")
    assert await bruno.node.relay.read_documents(list(membership.versions)) == []
    await given(sealed["anna"], bruno)
    assert await count(bruno, "document") == held
    found = await bruno.node.relay.read_documents(list(membership.versions))
    assert len(found) == len(membership.versions)


async def test_a_message_that_is_known_but_damaged_is_not_kept_twice(sealed: Rig) -> None:
    bruno = sealed["bruno"]
    texts = [each for each in await bruno.held(Kind.TEXT) if each.header.author != bruno.id]
    await damage(bruno, "message", "text")
    before = await count(bruno, "message")
    ids = [
        each.short_id
        for each in await bruno.store.read(lambda conn: rows.by_kind(conn, Kind.TEXT))
        if each.author != bruno.id
    ]
    await bruno.store.write(lambda tx: rows.drop_many(tx, ids, Reception.STORE_FULL))
    await bruno.store.write(
        lambda tx: tx.connection.exec_driver_sql("DELETE FROM tombstone").rowcount
    )
    assert await bruno.take(texts) == [Reception.STORED] * len(texts)
    assert await count(bruno, "message") == before
