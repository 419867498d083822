"""Files that go with messages, on real nodes: taken in, cut, carried by anybody, put together."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from meshnode.errors import SendError
from meshnode.outbox import Sent, Writing
from meshnode.services.attachments import Progress
from meshnode.spending import Spending
from meshnode.store import chunks, delivery, quotas
from meshnode.store.bundles import by_kind, drop_many
from meshnode.store.chunks import AttachmentState
from meshnode.store.engine import Transaction
from protocol.attachments import Manifest, Media, chunk_key, file_id_of
from protocol.bundle import Bundle, Scope, Suite
from protocol.envelope import seal_message
from protocol.guards import CHUNK_BYTES, RESEND_BUDGET_PCT
from protocol.ids import NodeId
from protocol.limits import Kind
from protocol.quota import AGENT, hour_of
from protocol.reports import Reception
from tests.meshnode.rig import Member, Rig, squad_scope
from tests.meshnode.test_photos import PLACE, photo

HOUR_MS = 3_600_000
PDF_BYTES = 5 * CHUNK_BYTES + 77
PIECES = "SELECT count(*) FROM piece"


def content(size_bytes: int, seed: int = 1) -> bytes:
    """Return bytes that nothing compresses and that are the same each time."""
    blocks = -(-size_bytes // 32)
    found = b"".join(
        hashlib.sha256(seed.to_bytes(4, "big") + n.to_bytes(4, "big")).digest()
        for n in range(blocks)
    )
    return b"%PDF-1.7\n" + found[: size_bytes - 9]


async def send_file(
    member: Member, path: Path, scope: Scope | None = None, *, keeps_place: bool = False
) -> Sent:
    """Send a file as the service interface does it."""
    service = member.node.attachments
    number = await service.intake.take_in(path, None, keeps_place=keeps_place)
    writing = Writing(scope or squad_scope(), "see the file", attachment=number)
    sent = await member.node.outbox.send(writing)
    await service.intake.settle_taken(number, is_sent=True)
    await member.node.settle()
    return sent


async def only(member: Member) -> Progress:
    """Return the one file that a device knows of."""
    (found,) = await member.node.attachments.progress()
    return found


async def saved(member: Member, folder: Path) -> bytes:
    """Return the content of the one file."""
    found, folder = await only(member), folder / "saved"
    folder.mkdir()
    path = await member.node.attachments.save(found.record.key, folder)
    return path.read_bytes()


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    path = tmp_path / "procès-verbal.pdf"
    path.write_bytes(content(PDF_BYTES))
    return path


async def test_a_file_reaches_the_squad_and_nobody_else_can_read_it(
    autojump_clock: MockClock, met: Rig, pdf: Path, tmp_path: Path
) -> None:
    raw = content(PDF_BYTES)
    await send_file(met["anna"], pdf)
    await trio.Path(pdf).unlink()
    found = await only(met["anna"])
    assert (found.count, found.made, found.carried) == (6, 6, 0)
    await met.carry("anna", "box")
    await met.carry("box", "bruno")
    arrived = await only(met["bruno"])
    assert arrived.record.state is AttachmentState.COMPLETE
    assert (arrived.record.media, arrived.record.manifest.name) == (Media.PDF, "procès-verbal.pdf")
    assert await saved(met["bruno"], tmp_path) == raw
    assert await met["bruno"].texts() == ["see the file"]
    assert await met["box"].node.attachments.progress() == []
    # Receipts come back: complete at the sender, whose sealed copy goes, as do all chunks.
    await met.mix("anna", "box", "bruno")
    done = await only(met["anna"])
    assert done.record.state is AttachmentState.COMPLETE
    assert done.reach == {met["bruno"].id: 6}
    count = "SELECT count(*) FROM piece"
    assert await met["anna"].store.read(lambda c: c.exec_driver_sql(count).scalar_one()) == 0
    for name in ("anna", "box", "bruno"):
        assert await met[name].held(Kind.CHUNK) == []


async def test_any_carriers_chunks_combine(
    autojump_clock: MockClock, met: Rig, pdf: Path, tmp_path: Path
) -> None:
    raw = content(PDF_BYTES)
    await send_file(met["anna"], pdf)
    held = sorted(await met["anna"].held(Kind.CHUNK), key=lambda each: each.header.index)
    await met["box"].take(held[:2])
    await met["gateway"].take(held[2:])
    await met.carry("box", "bruno")
    await met.carry("anna", "bruno", Kind.TEXT, Kind.CHAIN_KEYS)
    partly = await only(met["bruno"])
    assert (partly.record.state, partly.record.have) == (AttachmentState.ARRIVING, 2)
    await met.carry("gateway", "bruno")
    assert await saved(met["bruno"], tmp_path) == raw


async def test_chunks_that_come_before_their_message_are_found_again(
    autojump_clock: MockClock, met: Rig, pdf: Path, tmp_path: Path
) -> None:
    raw = content(PDF_BYTES)
    await send_file(met["anna"], pdf)
    await met.carry("anna", "bruno", Kind.CHUNK)
    assert await met["bruno"].node.attachments.progress() == []
    assert await met["bruno"].held(Kind.KEY_REQUEST) == []
    await met.carry("anna", "bruno", Kind.TEXT, Kind.CHAIN_KEYS)
    assert await saved(met["bruno"], tmp_path) == raw


async def test_a_photo_leaves_without_its_place_and_with_a_thumbnail(
    autojump_clock: MockClock, met: Rig, tmp_path: Path
) -> None:
    path = tmp_path / "IMG.bin"
    path.write_bytes(photo(comment=PLACE))
    await send_file(met["anna"], path)
    await met.carry("anna", "bruno")
    found = await only(met["bruno"])
    assert found.record.media is Media.JPEG, "told by its content, not by its name"
    assert found.record.manifest.thumbnail.startswith(b"\xff\xd8")
    assert PLACE not in await saved(met["bruno"], tmp_path)


@pytest.mark.parametrize("head", [b"II*\0", b"\0\0\0\x18ftypheic", b"RIFF\0\0\0\0WEBP"])
async def test_what_cannot_be_cleaned_is_refused_unless_it_is_wanted(
    autojump_clock: MockClock, met: Rig, tmp_path: Path, head: bytes
) -> None:
    path = tmp_path / "photo.heic"
    path.write_bytes(head + bytes(200))
    with pytest.raises(SendError) as caught:
        await send_file(met["anna"], path)
    assert caught.value.reason == "file_place"
    assert await met["anna"].node.attachments.progress() == []
    await send_file(met["anna"], path, keeps_place=True)
    await met.carry("anna", "bruno")
    assert await saved(met["bruno"], tmp_path) == head + bytes(200)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "empty"])
async def test_what_is_no_file_is_refused_and_leaves_nothing(
    autojump_clock: MockClock, met: Rig, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "it"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "empty":
        path.touch()
    with pytest.raises(SendError):
        await send_file(met["anna"], path)
    count = "SELECT (SELECT count(*) FROM attachment) + (SELECT count(*) FROM piece)"
    assert await met["anna"].store.read(lambda c: c.exec_driver_sql(count).scalar_one()) == 0


async def test_saving_overwrites_nothing_and_follows_no_link(
    autojump_clock: MockClock, met: Rig, pdf: Path, tmp_path: Path
) -> None:
    await send_file(met["anna"], pdf)
    await met.carry("anna", "bruno")
    service, key = met["bruno"].node.attachments, (await only(met["bruno"])).record.key
    taken, link, away = tmp_path / "taken", tmp_path / "link", tmp_path / "away"
    taken.write_text("mine")
    link.symlink_to(away)
    for target in (taken, link, tmp_path):
        with pytest.raises(SendError):
            await service.save(key, target)
    assert taken.read_text() == "mine"
    assert not away.exists()
    assert (await service.save(key, away)).stat().st_mode & 0o777 == 0o600


# --- room and time -----------------------------------------------------------------------------


async def test_a_small_store_makes_chunks_as_there_is_room(
    autojump_clock: MockClock, met: Rig, tmp_path: Path
) -> None:
    anna, path = met["anna"], tmp_path / "long.pdf"
    path.write_bytes(content(40 * CHUNK_BYTES))
    anna.store.bytes_max = 30 * CHUNK_BYTES
    await send_file(anna, path)
    first = await only(anna)
    assert 8 <= first.made <= 12, "two fifths of the store"
    for _ in range(8):
        await met.mix("anna", "bruno")
    assert (await only(met["bruno"])).record.state is AttachmentState.COMPLETE
    assert (await only(anna)).record.state is AttachmentState.COMPLETE


async def test_an_hour_takes_its_share_and_the_rest_leaves_in_the_next(
    autojump_clock: MockClock, met: Rig, tmp_path: Path
) -> None:
    anna, path = met["anna"], tmp_path / "film.pdf"
    hour_bytes = 20 * (CHUNK_BYTES + 256)
    allowance = replace(AGENT, hour_bulk_bytes=hour_bytes)
    anna.node.attachments._author.allowance = lambda: allowance
    path.write_bytes(content(30 * CHUNK_BYTES))
    await send_file(anna, path)
    stamp = anna.machine.now_ms() << 16
    tally = await anna.store.read(lambda conn: quotas.tally_of(conn, anna.id, hour_of(stamp)))
    assert 0.8 * hour_bytes < tally.bulk_bytes <= hour_bytes * 7 // 8
    assert (await only(anna)).made == 17
    anna.machine.clock_ahead_ms += HOUR_MS
    await anna.node.settle()
    assert (await only(anna)).made == 30
    assert set(await met.carry("anna", "box", Kind.CHUNK)) == {Reception.STORED}


async def test_chunks_that_had_to_make_room_are_made_again(
    autojump_clock: MockClock, met: Rig, pdf: Path, tmp_path: Path
) -> None:
    raw, anna = content(PDF_BYTES), met["anna"]
    await send_file(anna, pdf)
    held = {each.id for each in await anna.held(Kind.CHUNK)}
    await anna.store.write(
        lambda tx: drop_many(
            tx, [each.short_id for each in by_kind(tx.connection, Kind.CHUNK)], Reception.STORE_FULL
        )
    )
    assert await anna.held(Kind.CHUNK) == []
    await anna.node.settle()
    again = {each.id for each in await anna.held(Kind.CHUNK)}
    assert len(again) == 6
    assert not again & held, "each is a bundle of its own, with a key of its own"
    await met.carry("anna", "bruno")
    assert await saved(met["bruno"], tmp_path) == raw


# --- the end -----------------------------------------------------------------------------------


async def test_cancelling_drops_the_chunks_everywhere(
    autojump_clock: MockClock, met: Rig, pdf: Path
) -> None:
    anna = met["anna"]
    sent = await send_file(anna, pdf)
    await met.carry("anna", "box")
    assert len(await met["box"].held(Kind.CHUNK)) == 6
    assert await anna.node.attachments.cancel_message(sent.key)
    assert not await anna.node.attachments.cancel_message(sent.key)
    await anna.node.settle()
    assert (await only(anna)).record.state is AttachmentState.CANCELLED
    assert await anna.held(Kind.CHUNK) == []
    await met.carry("anna", "box", Kind.RECEIPT)
    assert await met["box"].held(Kind.CHUNK) == []


async def test_nobody_else_withdraws_a_file(autojump_clock: MockClock, met: Rig, pdf: Path) -> None:
    """A carrier that receipts chunks in its own name keeps them from nobody."""
    await send_file(met["anna"], pdf)
    await met.carry("anna", "box")
    box = met["box"]
    held = await box.held(Kind.CHUNK)

    def claim(tx: Transaction) -> None:
        for each in held:
            name = (each.header.author, each.header.incarnation, each.header.seq)
            delivery.note_received(tx, *name, each.digest, 1)

    await box.store.write(claim)
    await box.node.settle()
    assert len(await box.held(Kind.CHUNK)) == 6


async def test_a_file_ends_with_its_lifetime(
    autojump_clock: MockClock, met: Rig, pdf: Path
) -> None:
    await send_file(met["anna"], pdf)
    held = await met["anna"].held(Kind.CHUNK)
    await met.carry("anna", "bruno", Kind.TEXT, Kind.CHAIN_KEYS)
    await met["bruno"].take(held[:3])
    for name in ("anna", "bruno"):
        met[name].machine.clock_ahead_ms += 8 * 24 * HOUR_MS
        now_ms = met[name].machine.now_ms()
        await met[name].store.write(partial(chunks.expire, now_ms=now_ms))
        assert (await only(met[name])).record.state is AttachmentState.EXPIRED
        assert await met[name].store.read(lambda c: c.exec_driver_sql(PIECES).scalar_one()) == 0


# --- hostile -----------------------------------------------------------------------------------


def tell(size_bytes: int, *, raw: bytes = b"", name: str = "a.pdf") -> Manifest:
    """Return a manifest of a device that lies."""
    return Manifest(name, Media.PDF, size_bytes, hashlib.sha256(raw).digest(), bytes(32), 16_384)


def chunk(
    member: Member, manifest: Manifest, index: int, piece: bytes, *, seq: int = 1, by: int = 0
) -> Bundle:
    """Return a chunk that this device really signs, of whatever content and number."""
    more = {"suite": Suite.CHAIN, "keyref": file_id_of(manifest.key), "index": index}
    header = member.header(Kind.CHUNK, squad_scope(), seq, **more)
    key = chunk_key(manifest.key, header.id, index + by)
    return member.forge(header, seal_message(key, header.encode(), piece))


async def expected(met: Rig, manifest: Manifest) -> None:
    """Let bruno know of a file of anna."""
    anna = met["anna"]
    header, scope = anna.header(Kind.TEXT, squad_scope(), 999), squad_scope().encode()
    service = met["bruno"].node.attachments
    await met["bruno"].store.write(lambda tx: service.expect(tx, header, scope, 1, manifest))


async def test_lies_about_chunks_are_refused_and_the_true_file_still_comes(
    autojump_clock: MockClock, met: Rig, tmp_path: Path
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    raw = content(16_384 + 100)
    manifest = tell(len(raw), raw=raw)
    await expected(met, manifest)
    lies = [
        chunk(anna, manifest, 2, raw[:100], seq=1),
        chunk(anna, manifest, 2_047, raw[:100], seq=2),
        chunk(anna, manifest, 0, raw[:100], seq=3),
        chunk(anna, manifest, 1, raw[:16_384], seq=4),
        chunk(anna, manifest, 0, raw[:16_384], seq=5, by=1),
    ]
    await bruno.take(lies)
    assert (await only(bruno)).record.have == 0
    assert bruno.metric("messages_unopenable") == 5
    assert [each for each in await bruno.held(Kind.RECEIPT) if each.header.author == bruno.id] == []
    truth = [chunk(anna, manifest, n, raw[n * 16_384 :][:16_384], seq=10 + n) for n in (0, 1)]
    await bruno.take(truth)
    assert await saved(bruno, tmp_path) == raw


async def test_the_first_of_two_contents_of_one_chunk_stays_and_the_hash_tells(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    raw = content(2 * 16_384)
    manifest = tell(len(raw), raw=raw)
    await expected(met, manifest)
    other = chunk(anna, manifest, 0, bytes(16_384), seq=1)
    await bruno.take([other])
    await bruno.take(
        [chunk(anna, manifest, n, raw[n * 16_384 :][:16_384], seq=2 + n) for n in (0, 1)]
    )
    found = await only(bruno)
    assert found.record.state is AttachmentState.DAMAGED
    assert bruno.metric("attachments_damaged") == 1
    with pytest.raises(SendError):
        await bruno.node.attachments.save(found.record.key, Path("/tmp"))


async def test_a_chunk_under_another_author_or_for_others_is_not_taken(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno, gateway = met["anna"], met["bruno"], met["gateway"]
    raw = content(16_384)
    manifest = tell(len(raw), raw=raw)
    await expected(met, manifest)
    await bruno.take([chunk(gateway, manifest, 0, raw)])
    more = {"suite": Suite.CHAIN, "keyref": file_id_of(manifest.key), "index": 0}
    header = anna.header(Kind.CHUNK, bruno.scope, 5, **more)
    key = chunk_key(manifest.key, header.id, 0)
    await bruno.take([anna.forge(header, seal_message(key, header.encode(), raw))])
    assert (await only(bruno)).record.have == 0


async def test_a_chunk_that_was_damaged_on_the_way_comes_again(
    autojump_clock: MockClock, met: Rig, pdf: Path, tmp_path: Path
) -> None:
    await send_file(met["anna"], pdf)
    held = await met["anna"].held(Kind.CHUNK)
    raw = bytearray(held[0].raw)
    raw[len(raw) // 2] ^= 1
    await met.carry("anna", "bruno", Kind.TEXT, Kind.CHAIN_KEYS)
    fates = await met["bruno"].take([bytes(raw), *held[1:]])
    assert fates == [Reception.BAD_SIGNATURE, *[Reception.STORED] * 5]
    assert (await only(met["bruno"])).record.have == 5
    # It is not in the store, so the next reconciliation names it.
    assert await met["bruno"].take(held[:1]) == [Reception.STORED]
    assert await saved(met["bruno"], tmp_path) == content(PDF_BYTES)


async def test_a_locked_device_carries_chunks_and_keeps_them_once_it_is_open(
    autojump_clock: MockClock, met: Rig, pdf: Path, tmp_path: Path
) -> None:
    bruno = met["bruno"]
    await send_file(met["anna"], pdf)
    await bruno.node.lock()
    await met.carry("anna", "bruno")
    assert len(await bruno.held(Kind.CHUNK)) == 6
    assert await bruno.store.read(lambda c: c.exec_driver_sql(PIECES).scalar_one()) == 0
    desk = bruno.parts.desk
    assert desk is not None
    bruno.node.open_desk(desk)
    await bruno.node.settle()
    assert await saved(bruno, tmp_path) == content(PDF_BYTES)


async def test_a_flood_of_chunks_that_nobody_told_of_keeps_nothing_beside_the_carried(
    autojump_clock: MockClock, met: Rig
) -> None:
    anna, bruno = met["anna"], met["bruno"]
    manifest = tell(50_000_000)
    await bruno.take([chunk(anna, manifest, n, bytes(16_384), seq=n) for n in range(60)])
    count = "SELECT (SELECT count(*) FROM piece) + (SELECT count(*) FROM unopened)"
    assert await bruno.store.read(lambda c: c.exec_driver_sql(count).scalar_one()) == 0
    assert await bruno.held(Kind.KEY_REQUEST) == []


async def test_a_full_device_leaves_chunks_on_their_way(
    autojump_clock: MockClock, met: Rig, pdf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshnode.services.attachments.ATTACHMENTS_KEEP_BYTES_MAX", 3 * CHUNK_BYTES)
    await send_file(met["anna"], pdf)
    await met.carry("anna", "bruno")
    assert (await only(met["bruno"])).record.have == 3
    assert met["bruno"].metric("attachments_no_room") == 3
    assert len(await met["bruno"].held(Kind.CHUNK)) >= 3


# --- money -------------------------------------------------------------------------------------


async def test_a_link_that_costs_gets_a_file_up_to_its_budget(
    autojump_clock: MockClock, met: Rig, pdf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, peer = met["anna"], NodeId(met["box"].id)
    await send_file(anna, pdf)
    relay = anna.node.relay
    monkeypatch.setattr(relay._planning, "_is_paid", lambda _peer: True)
    ids = [each.short_id for each in await relay._planning.plan(peer, await anna.ids())]
    sent, budget_bytes = 0, PDF_BYTES * RESEND_BUDGET_PCT // 100
    while big := [each for each in await relay.plan(peer, ids) if each.size_bytes > 20_000]:
        for each in big:
            # A link that breaks in the middle of each chunk, again and again.
            found = await relay.read_bundles([each.short_id], peer)
            sent += sum(len(raw) for raw, _hops in found.values())
            if not relay.spending.allows(peer, each.short_id):
                break
    print(f"budget {budget_bytes} bytes, sent {sent}")
    assert budget_bytes <= sent < budget_bytes + 40_000
    offered = {each.short_id for each in await relay.plan(peer, ids)}
    assert offered, "the message goes on"
    await anna.node.settle()
    over = await only(anna)
    assert over.over == {peer}
    other = {each.short_id for each in await relay.plan(met["gateway"].id, ids)}
    assert len(other - offered) >= 6, "another device has a budget of its own"
    # A restart forgives nothing.
    relay._planning.spending = relay.spending = Spending()
    anna.node.attachments._is_loaded = False
    await anna.node.settle()
    assert (await only(anna)).over == {peer}


async def test_the_start_of_an_id_names_a_file_where_it_fits_one_alone(
    autojump_clock: MockClock, met: Rig, pdf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = met["anna"]
    for _each in range(2):
        await send_file(anna, pdf)
    service = anna.node.attachments
    ids = [each.record.file_id.hex() for each in await service.progress()]
    for each in ids:
        assert (await service.by_name(each[:9].upper())).file_id.hex() == each
        assert (await service.by_name(each)).file_id.hex() == each
    monkeypatch.setattr("meshnode.services.attachments._ID_START_MIN", 0)
    with pytest.raises(SendError) as caught:
        await service.by_name("")
    assert caught.value.reason == "ambiguous_file"
    assert all(each in str(caught.value) for each in ids)
    monkeypatch.undo()
    for wrong in ("", ids[0][:3] + "g", ids[0] + "0", "f" * 33):
        with pytest.raises(SendError, match="no file"):
            await service.by_name(wrong)
