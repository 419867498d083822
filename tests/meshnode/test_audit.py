"""The audit log: an entry per refusal within a second, bounded in floods, whole over restarts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from meshnode.api import Api
from meshnode.audit import EVENTS, Audit
from meshnode.holdings import HoldingsError, report_of, sign
from meshnode.metrics import AUDITED, METRICS
from meshnode.stick import StickError
from meshnode.store import audit as log
from meshnode.store.audit import Noted, append
from meshnode.store.engine import open_store
from protocol import audit, hlc
from protocol.audit import ORIGIN, AuditEntry, AuditHead
from protocol.errors import NoKeyError, TamperedError
from protocol.guards import AUDIT_HEAD_MS, AUDIT_NODES_MAX, AUDIT_STEP_MS
from protocol.ids import NodeId
from protocol.limits import Kind
from tests.meshnode.rig import CODT, Member, Rig
from tests.meshnode.store.parts import NOW_MS, runtime

PEER = NodeId(bytes(range(16)))


def noted(count: int, first: int = 1) -> list[Noted]:
    return [
        Noted(NOW_MS + each, "peers_refused", PEER, each) for each in range(first, first + count)
    ]


async def entries(member: Member) -> list[tuple[str, bytes, int]]:
    shown = await member.node.auditing.show(1_000)
    return [(each.event, each.node, each.count) for each in shown.entries]


# --- the chain on the disk ---------------------------------------------------------------------


async def test_entries_are_chained_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    for start in (1, 4, 7):
        async with open_store(path, runtime()) as store:
            head = await store.write(lambda tx, start=start: append(tx, noted(3, start)))  # type: ignore[misc]
            assert head.number == start + 2
            found = await store.read(log.audit_entries)
            assert [each.count for each in found] == list(range(1, start + 3))
            assert audit.verify(ORIGIN, found) == head
            assert await store.read(log.audit_head) == head
            assert await store.read(lambda conn: log.audit_recent(conn, 2)) == found[-2:]
            assert await store.read(lambda conn: log.audit_entries(conn, 1, 2)) == found[1:3]


async def test_the_oldest_go_and_the_rest_stays_checkable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "AUDIT_ROWS_MAX", 5)
    async with open_store(tmp_path / "store.sqlite", runtime()) as store:
        whole: list[AuditEntry] = []
        for start in range(1, 20, 3):
            head = await store.write(lambda tx, start=start: append(tx, noted(3, start)))  # type: ignore[misc]
            found = await store.read(log.audit_entries)
            base = await store.read(log.audit_base)
            whole += [each for each in found if each.number > (whole[-1].number if whole else 0)]
            assert len(found) == min(5, head.number)
            assert base.number == max(0, head.number - 5)
            assert audit.verify(base, found) == head
        assert audit.verify(ORIGIN, whole) == head


async def test_no_entry_can_be_changed_in_the_file(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.sqlite", runtime()) as store:
        await store.write(lambda tx: append(tx, noted(3)))
        await store.write(
            lambda tx: (
                tx.connection.exec_driver_sql(
                    "UPDATE audit SET count = 9 WHERE number = 2"
                ).rowcount
            )
        )
        found = await store.read(log.audit_entries)
        with pytest.raises(TamperedError, match="entry 2"):
            audit.verify(ORIGIN, found)


# --- what becomes an entry ---------------------------------------------------------------------


def test_what_is_audited_is_declared() -> None:
    assert set(METRICS) >= AUDITED
    assert not set(EVENTS) & set(METRICS)
    assert all(EVENTS.values())


async def test_a_refusal_is_an_entry_within_a_second(autojump_clock: MockClock, rig: Rig) -> None:
    box = rig["box"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(box.node.audit.run)
        await trio.sleep(10)
        await box.node.relay.receive(PEER, [(0, b"garbage"), (0, b"\xc1")])
        await trio.sleep(1.1)
        found = await box.store.read(log.audit_entries)
        assert [(each.event, each.node, each.count) for each in found] == [
            ("bundles_malformed", PEER, 2)
        ]
        nursery.cancel_scope.cancel()


async def test_what_waits_is_written_at_the_end(autojump_clock: MockClock, rig: Rig) -> None:
    box = rig["box"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(box.node.audit.run)
        await trio.sleep(10)
        for _ in range(3):
            await box.node.relay.receive(None, [(0, b"garbage")])
            await trio.sleep(2)
        nursery.cancel_scope.cancel()
    found = await box.store.read(log.audit_entries)
    assert [each.count for each in found] == [1, 2]


async def test_a_flood_costs_few_entries(autojump_clock: MockClock, rig: Rig) -> None:
    """A peer that brings garbage all day long: no more than an entry an hour in the end."""
    box = rig["box"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(box.node.audit.run)
        for _ in range(8_640):
            box.node.metrics.count("bundles_malformed", 3, PEER)
            await trio.sleep(10)
        nursery.cancel_scope.cancel()
    found = await box.store.read(log.audit_entries)
    assert len(found) < 35
    assert sum(each.count for each in found) == 3 * 8_640
    assert box.metric("bundles_malformed") == 3 * 8_640


async def test_what_stopped_is_told_at_once_when_it_begins_again(
    autojump_clock: MockClock, rig: Rig
) -> None:
    box = rig["box"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(box.node.audit.run)
        for _ in range(2):
            box.node.metrics.count("peers_refused")
            await trio.sleep(3 * AUDIT_STEP_MS / 1000)
        found = await box.store.read(log.audit_entries)
        nursery.cancel_scope.cancel()
    assert [each.count for each in found] == [1, 1]


async def test_a_crowd_is_named_only_in_part(autojump_clock: MockClock, rig: Rig) -> None:
    box, crowd = rig["box"], AUDIT_NODES_MAX + 30
    for number in range(crowd):
        box.node.metrics.count("bundles_quota", 1, NodeId(number.to_bytes(16, "big")))
    found = await entries(box)
    assert len(found) == AUDIT_NODES_MAX + 1
    assert sum(count for _event, _node, count in found) == crowd
    assert [count for _event, node, count in found if not node] == [30]


async def test_what_cannot_be_written_is_kept_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(tmp_path / "store.sqlite", runtime()) as store:
        made = Audit(store, runtime())
        made.note("export", count=2)
        with monkeypatch.context() as patch:
            patch.setattr("meshnode.audit.append", _full)
            with pytest.raises(OSError, match="full"):
                await made.flush()
        await made.flush()
        assert [each.count for each in await store.read(log.audit_entries)] == [2]


def _full(*_arguments: object) -> None:
    raise OSError("the disk is full")


async def test_nothing_undeclared_is_noted(autojump_clock: MockClock, rig: Rig) -> None:
    with pytest.raises(AssertionError):
        rig["box"].node.audit.note("said hello to Anna")
    rig["box"].node.audit.note("export", count=0)
    rig["box"].node.metrics.count("messages_sent")
    assert await entries(rig["box"]) == []


# --- head, export, check -----------------------------------------------------------------------


async def test_the_head_goes_to_the_centre_once_a_day(autojump_clock: MockClock, met: Rig) -> None:
    box = met["box"]
    await box.node.require_desk().look()
    assert await box.held(Kind.AUDIT_HEAD) == [], "nothing was refused yet"
    await box.take([b"garbage"])
    await box.node.require_desk().look()
    await box.node.require_desk().look()
    (bundle,) = await box.held(Kind.AUDIT_HEAD)
    assert bundle.header.scope == CODT
    head = audit.decode_head_untrusted(bundle.body)
    assert head == await box.store.read(log.audit_head)
    await met.carry("box", "gateway")
    assert [each.raw for each in await met["gateway"].held(Kind.AUDIT_HEAD)] == [bundle.raw]
    await trio.sleep(AUDIT_HEAD_MS / 1000)
    await box.node.require_desk().look()
    (later,) = await box.held(Kind.AUDIT_HEAD)
    assert hlc.wall_ms(later.header.hlc) >= hlc.wall_ms(bundle.header.hlc) + AUDIT_HEAD_MS


async def test_an_exported_log_is_checked_against_the_head_at_the_centre(
    autojump_clock: MockClock, met: Rig, tmp_path: Path
) -> None:
    box, gateway = met["box"], Api(met["gateway"].node)
    await box.take([b"garbage"])
    await box.node.require_desk().look()
    await met.carry("box", "gateway")
    await met.mix("box", "gateway")
    path = tmp_path / "box.audit"
    written = await Api(box.node).audit_export(str(path))
    assert written["entries"] >= 1
    found = await gateway.audit_verify(str(path))
    assert (found["name"], found["entries"]) == ("box", written["entries"])
    assert found["known_last"] == 1
    with pytest.raises(NoKeyError):
        await Api(met["anna"].node).audit_verify(str(path))
    # Whoever rewrites the log from the beginning contradicts what the centre holds.
    await box.store.write(lambda tx: tx.connection.exec_driver_sql("DELETE FROM audit").rowcount)
    await box.store.write(lambda tx: append(tx, noted(3)))
    await Api(box.node).audit_export(str(path))
    with pytest.raises(TamperedError, match="entry 1"):
        await gateway.audit_verify(str(path))
    with pytest.raises(TamperedError, match="entry 1"):
        await Api(box.node).audit_verify()


async def test_a_log_without_a_head_is_whole_as_far_as_it_goes(
    autojump_clock: MockClock, met: Rig
) -> None:
    found = await Api(met["box"].node).audit_verify()
    assert (found["entries"], found["last"], found["known_last"]) == (0, 0, 0)
    assert AuditHead(0, bytes(32)) == ORIGIN


async def test_what_is_shown_names_devices_and_nothing_that_anybody_wrote(
    autojump_clock: MockClock, met: Rig
) -> None:
    await met["anna"].send(met["bruno"].scope, "zq secret text")
    await met.carry("anna", "bruno")
    bruno = met["bruno"]
    bruno.node.metrics.count("bundles_quota", 1, met["anna"].id)
    shown = await Api(bruno.node).audit()
    (entry,) = [each for each in shown["entries"] if each["event"] == "bundles_quota"]
    assert entry["name"] == "anna"
    assert "zq secret" not in json.dumps(shown)


# --- every refusal -----------------------------------------------------------------------------

NO_REFUSALS = {
    # What any line drops now and then, and what a receiver garbles every minute: no decision.
    "line_frames_damaged",
    "sensor_refusals",
    "mdns_ignored",
    # A server tells everything to everybody: what nobody asked for is most of it.
    "tak_events_ignored",
    # Our own money is spent: nobody else was refused.
    "budget_refusals",
}


def test_every_refusal_is_an_entry() -> None:
    words = ("refused", "refusals", "damaged", "equivocal", "ignored", "revoked", "unknown")
    refusals = {name for name in METRICS if name.rpartition("_")[2] in words}
    assert refusals >= NO_REFUSALS
    assert sorted(refusals - NO_REFUSALS - AUDITED) == []


async def test_a_log_that_was_changed_is_counted_and_told(
    autojump_clock: MockClock, met: Rig, tmp_path: Path
) -> None:
    box, gateway, path = met["box"], met["gateway"].node, tmp_path / "box.audit"
    await box.take([b"garbage"])
    await met.mix("box", "gateway")
    await Api(box.node).audit_export(str(path))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(TamperedError):
        await Api(gateway).audit_verify(str(path))
    await box.store.write(
        lambda tx: tx.connection.exec_driver_sql("UPDATE audit SET count = 9").rowcount
    )
    with pytest.raises(TamperedError):
        await Api(box.node).audit_verify()
    for node in (gateway, box.node):
        assert node.metrics.value("logs_refused") == 1
        events = [each.event for each in (await node.auditing.show(10)).entries]
        assert events.count("logs_refused") == 1
    with pytest.raises(StickError):
        await Api(gateway).audit_verify(str(tmp_path / "nothing"))
    assert gateway.metrics.value("logs_refused") == 1


async def test_a_forged_answer_is_counted_and_told_with_its_reason(
    autojump_clock: MockClock, met: Rig, tmp_path: Path
) -> None:
    path, reader = tmp_path / "held", met["bruno"].node
    good = bytes.fromhex((await Api(met["anna"].node).holdings(signed=True))["signed"])
    path.write_bytes(good)
    await Api(reader).verify_holdings(str(path))
    assert reader.metrics.value("answers_refused") == 0
    stranger = sign(report_of(NodeId(b"s" * 16), 1, ()), lambda _message: bytes(64))
    for number, raw in enumerate((good[:-1] + bytes([good[-1] ^ 1]), good[:-1], stranger), 1):
        path.write_bytes(raw)
        with pytest.raises(HoldingsError):
            await Api(reader).verify_holdings(str(path))
        assert reader.metrics.value("answers_refused") == number
    found = (await reader.auditing.show(10)).entries
    # Each at once: the command may be all that runs of this node.
    assert [(each.event, each.count) for each in found] == [("answers_refused", 1)] * 3
