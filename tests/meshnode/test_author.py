"""Own bundles: numbered, stamped, signed and stored, or nothing at all."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from meshnode.author import Author, Draft
from meshnode.errors import StoreFullError
from meshnode.store import bundles as rows
from meshnode.store.engine import Transaction
from protocol import bundle as bundles
from protocol import hlc
from protocol.bundle import Header, Suite, load_public_key
from protocol.limits import CLOCK_DRIFT_MS_MAX, KINDS, Kind
from protocol.reports import Reception
from tests.meshnode.rig import CODT, Rig, squad_scope

DRAFT = Draft(Kind.TEXT, Suite.CHAIN, squad_scope(), keyref=bytes(8))


def author(rig: Rig) -> Author:
    """Return anna as an author."""
    anna = rig["anna"]
    key = rig.fleet.secrets.network_key
    return Author(anna.id, anna.device.keys.badge.sign, anna.machine.runtime, key)


def body(header: Header) -> bytes:
    """Return a body that shows which header it was made for."""
    return b"for " + header.encode()


async def test_a_bundle_is_numbered_stamped_signed_and_stored(
    autojump_clock: MockClock, rig: Rig
) -> None:
    room, anna = author(rig), rig["anna"]
    made = await anna.store.write(lambda tx: room.make(tx, DRAFT, body))
    assert made.bundle is not None
    header = made.bundle.header
    bundles.verify(made.bundle, load_public_key(anna.device.badge.public_key))
    assert header.author == anna.id
    assert header.incarnation == anna.store.incarnation
    assert header.lifetime_s == KINDS[Kind.TEXT].lifetime_s
    assert hlc.wall_ms(header.hlc) == anna.machine.now_ms()
    assert made.bundle.body == body(header), "sealed under the header that is signed"
    assert made.short_id in await anna.ids()
    assert made.record is not None
    assert (made.record.is_own, made.record.hops) == (True, 0)
    # What others make of it is the same.
    assert await rig["box"].take([made.bundle]) == [Reception.STORED]
    assert made.short_id in await rig["box"].ids()


async def test_numbers_and_stamps_rise_even_if_the_clock_falls_a_little(
    autojump_clock: MockClock, rig: Rig
) -> None:
    room, anna = author(rig), rig["anna"]
    made = []
    for step_ms in (0, 0, -CLOCK_DRIFT_MS_MAX + 1, 5):
        anna.machine.clock_ahead_ms += step_ms
        made.append(await anna.store.write(lambda tx: room.make(tx, DRAFT, body)))
    headers = [each.bundle.header for each in made if each.bundle is not None]
    assert [each.seq for each in headers] == sorted({each.seq for each in headers})
    assert [each.hlc for each in headers] == sorted({each.hlc for each in headers})


async def test_a_clock_that_was_days_ahead_leaves_no_device_mute(
    autojump_clock: MockClock, rig: Rig
) -> None:
    room, anna = author(rig), rig["anna"]
    anna.machine.clock_ahead_ms += 3 * 86_400_000
    await anna.store.write(lambda tx: room.make(tx, DRAFT, body))
    anna.machine.clock_ahead_ms = 0
    made = await anna.store.write(lambda tx: room.make(tx, DRAFT, body))
    assert made.bundle is not None
    assert hlc.wall_ms(made.bundle.header.hlc) == anna.machine.now_ms()
    assert await rig["box"].take([made.bundle]) == [Reception.STORED]
    # What replaces its older ones still rises: or the older one would win everywhere.
    slot = Draft(Kind.KEY_REQUEST, Suite.CLEAR, CODT)
    stamps = []
    for _ in range(2):
        made = await anna.store.write(lambda tx: room.make(tx, slot, body))
        assert made.bundle is not None
        stamps.append(made.bundle.header.hlc)
    assert stamps == sorted(set(stamps))
    assert hlc.wall_ms(stamps[0]) > anna.machine.now_ms()


async def test_a_number_taken_before_is_used(autojump_clock: MockClock, rig: Rig) -> None:
    room, anna = author(rig), rig["anna"]

    def make(tx: Transaction) -> tuple[int, int]:
        seq = tx.take_seq()
        draft = Draft(Kind.TEXT, Suite.CHAIN, CODT, keyref=bytes(8), seq=seq, lifetime_s=61)
        made = room.make(tx, draft, body)
        assert made.bundle is not None
        assert made.bundle.header.lifetime_s == 61
        return seq, made.bundle.header.seq

    seq, used = await anna.store.write(make)
    assert seq == used


async def test_without_room_nothing_is_made(autojump_clock: MockClock, rig: Rig) -> None:
    room, anna = author(rig), rig["anna"]
    before = await anna.ids()
    anna.store.bytes_max = 1
    with pytest.raises(StoreFullError):
        await anna.store.write(lambda tx: room.make(tx, DRAFT, body))
    anna.store.bytes_max = 10**9
    assert await anna.ids() == before


async def test_a_body_that_cannot_be_made_undoes_everything(
    autojump_clock: MockClock, rig: Rig
) -> None:
    room, anna = author(rig), rig["anna"]

    def fail(_header: Header) -> bytes:
        raise ZeroDivisionError

    before = await anna.store.write(lambda tx: tx.hlc)
    with pytest.raises(ZeroDivisionError):
        await anna.store.write(lambda tx: room.make(tx, DRAFT, fail))
    assert await anna.store.write(lambda tx: tx.hlc) == before
    own = await anna.store.read(rows.own_ids)
    assert len(own) == 1, "the prekey of the enrolment alone"
