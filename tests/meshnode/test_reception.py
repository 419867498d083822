"""The checks before storing: each fault has its own fate, and none reaches the store."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from trio.testing import MockClock

from protocol.bundle import Bundle, Scope, Suite
from protocol.limits import BUNDLE_BYTES_MAX, CLOCK_HOLD_MS_MAX, HOPS_MAX, Kind
from protocol.reports import Reception
from sims.fleet import ZONE
from tests.meshnode.rig import CODT, Member, Rig, bundle_of, open_rig, squad_scope


async def one(member: Member, found: Bundle | bytes, hops: int = 0) -> Reception:
    """Return the fate of one bundle."""
    (fate,) = await member.take([found], hops=hops)
    return fate


def text(author: Member, seq: int = 1, **more: object) -> Bundle:
    """Return a well-formed text that nobody can open."""
    fields: dict[str, object] = {"suite": Suite.CHAIN, "keyref": b"chain id", **more}
    return author.forge(author.header(Kind.TEXT, squad_scope(), seq, **fields), bytes(48))


async def test_a_sound_bundle_is_stored_once(autojump_clock: MockClock, rig: Rig) -> None:
    bundle = text(rig["anna"])
    assert await one(rig["box"], bundle) is Reception.STORED
    assert await one(rig["box"], bundle) is Reception.DUPLICATE
    assert await rig["box"].take([text(rig["anna"], 2)] * 3) == [
        Reception.STORED,
        Reception.DUPLICATE,
        Reception.DUPLICATE,
    ]
    assert rig["box"].metric("bundles_stored") == 2
    assert rig["box"].metric("bundles_duplicate") == 3


@pytest.mark.slow
async def test_every_changed_bit_and_every_cut_is_refused(
    autojump_clock: MockClock, rig: Rig
) -> None:
    """Security case S10."""
    bundle, box = text(rig["anna"]), rig["box"]
    before = await box.ids()
    changed = []
    for place in range(len(bundle.raw) * 8):
        raw = bytearray(bundle.raw)
        raw[place // 8] ^= 1 << place % 8
        changed.append(bytes(raw))
    cuts = [bundle.raw[:length] for length in range(len(bundle.raw))]
    fates = await box.take([*changed, *cuts, bundle.raw + b"\0"])
    assert Reception.STORED not in fates
    assert set(fates[len(changed) :]) == {Reception.MALFORMED}
    assert await box.ids() == before
    assert await one(box, bundle) is Reception.STORED, "the node serves on"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc1",
        b"\x80",
        b"\xcb" + bytes(8),
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 2_000,
        b"\xd4\x01\x00",
        b"\xa5hello",
        bytes(BUNDLE_BYTES_MAX + 1),
    ],
)
async def test_strange_encodings_are_refused_cheaply(
    autojump_clock: MockClock, rig: Rig, raw: bytes
) -> None:
    """Security case S11."""
    await one(rig["box"], b"warm up")
    tracemalloc.start()
    began_s = time.process_time()
    fate = await one(rig["box"], raw)
    took_s = time.process_time() - began_s
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert fate is Reception.MALFORMED
    assert peak < 1_048_576
    assert took_s < 1.0


async def test_hops_are_bounded(autojump_clock: MockClock, rig: Rig) -> None:
    assert await one(rig["box"], text(rig["anna"], 1), hops=HOPS_MAX - 1) is Reception.STORED
    assert await one(rig["box"], text(rig["anna"], 2), hops=HOPS_MAX) is Reception.HOP_LIMIT


async def test_what_is_over_is_refused(autojump_clock: MockClock, rig: Rig) -> None:
    anna, box = rig["anna"], rig["box"]
    now = box.machine.now_ms()
    over = text(anna, 1, hlc=(now - 61_000) << 16, lifetime_s=61)
    assert await one(box, over) is Reception.EXPIRED
    last = text(anna, 2, hlc=(now - 60_000) << 16, lifetime_s=61)
    assert await one(box, last) is Reception.STORED


async def test_what_is_dated_a_day_ahead_is_refused(autojump_clock: MockClock, rig: Rig) -> None:
    anna, box = rig["anna"], rig["box"]
    edge = box.machine.now_ms() + CLOCK_HOLD_MS_MAX
    assert await one(box, text(anna, 1, hlc=edge << 16)) is Reception.STORED
    assert await one(box, text(anna, 2, hlc=(edge + 1) << 16)) is Reception.TOO_FAR_AHEAD
    # Not for ever: once it is due it is taken.
    box.machine.clock_ahead_ms += 1
    assert await one(box, text(anna, 2, hlc=(edge + 1) << 16)) is Reception.STORED


async def test_strangers_and_false_signatures_are_refused(
    autojump_clock: MockClock, rig: Rig
) -> None:
    anna, bruno, box = rig["anna"], rig["bruno"], rig["box"]
    async with open_rig(seed=2) as elsewhere:
        assert await one(box, text(elsewhere["anna"])) is Reception.UNKNOWN_AUTHOR
    posing = bruno.forge(
        anna.header(Kind.TEXT, squad_scope(), 1, suite=Suite.CHAIN, keyref=bytes(8)), b"x"
    )
    assert await one(box, posing) is Reception.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("kind", "suite"),
    [
        (Kind.TEXT, Suite.CLEAR),
        (Kind.NOTE, Suite.CLEAR),
        (Kind.TEXT, Suite.ZONE),
        (Kind.SOS, Suite.CLEAR),
        (Kind.POSITION, Suite.CLEAR),
        (Kind.RECEIPT, Suite.HYBRID),
        (Kind.PREKEY, Suite.HYBRID),
        (Kind.CHAIN_KEYS, Suite.CLEAR),
        (Kind.KEY_REQUEST, Suite.CHAIN),
    ],
)
async def test_a_kind_sealed_as_it_must_not_be_is_refused(
    autojump_clock: MockClock, rig: Rig, kind: Kind, suite: Suite
) -> None:
    keyref = b"" if suite is Suite.CLEAR else bytes(8)
    header = rig["anna"].header(kind, CODT, 1, suite=suite, keyref=keyref)
    assert await one(rig["box"], rig["anna"].forge(header, bytes(48))) is Reception.MALFORMED


async def test_two_bundles_of_one_name_leave_the_first_and_the_proof(
    autojump_clock: MockClock, rig: Rig
) -> None:
    """Security case S14, in both orders."""
    anna = rig["anna"]
    first = anna.forge(
        anna.header(Kind.TEXT, squad_scope(), 1, suite=Suite.CHAIN, keyref=bytes(8)), b"1" * 48
    )
    second = anna.forge(
        anna.header(Kind.TEXT, squad_scope(), 1, suite=Suite.CHAIN, keyref=bytes(8)), b"2" * 48
    )
    for name, order in (("box", [first, second]), ("bruno", [second, first])):
        member = rig[name]
        assert await one(member, order[0]) is Reception.STORED
        assert await one(member, order[1]) is Reception.EQUIVOCATION
        assert await one(member, order[1]) is Reception.EQUIVOCATION
        assert bundle_of(await member.held(), first.header.id).raw == order[0].raw
        assert member.metric("bundles_equivocation") == 2


async def test_what_was_bad_in_a_batch_stops_nothing_else(
    autojump_clock: MockClock, rig: Rig
) -> None:
    batch = [text(rig["anna"], 1).raw, b"garbage", text(rig["anna"], 2).raw]
    fates = await rig["box"].take(batch)
    assert fates == [Reception.STORED, Reception.MALFORMED, Reception.STORED]


async def test_a_scope_in_an_unknown_zone_is_carried_all_the_same(
    autojump_clock: MockClock, rig: Rig
) -> None:
    header = rig["anna"].header(
        Kind.TEXT, Scope.for_codt(ZONE + 1), 1, suite=Suite.CHAIN, keyref=bytes(8)
    )
    assert await one(rig["box"], rig["anna"].forge(header, bytes(48))) is Reception.STORED
