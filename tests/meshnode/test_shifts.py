"""What relays refuse for want of a shift, and how a shift must be made."""

from __future__ import annotations

from dataclasses import replace

import pytest
from trio.testing import MockClock

from protocol.bundle import Bundle, Scope, Suite
from protocol.limits import Kind
from protocol.reports import Reception
from protocol.shifts import Shift, encode_shift
from tests.meshnode.rig import CODT, Member, Rig, squad_scope

HOUR_MS = 3_600_000


def shift_of(member: Member, seq: int, shift: Shift, scope: Scope | None = None) -> Bundle:
    """Return a shift that a device signs, whatever it says."""
    header = member.header(Kind.SHIFT, scope or squad_scope(), seq)
    return member.forge(header, encode_shift(shift))


def position_of(member: Member, seq: int, at_ms: int, **more: object) -> Bundle:
    """Return a position of a time that nobody can open."""
    usual = {
        "suite": Suite.CHAIN,
        "keyref": bytes(8),
        "hlc": at_ms << 16,
        "lifetime_s": 36_000,
        "index": seq,
    }
    header = replace(member.header(Kind.POSITION, squad_scope(), seq), **(usual | more))  # type: ignore[arg-type]
    return member.forge(header, bytes(80))


def opened(member: Member, **changes: object) -> Shift:
    """Return a shift of twelve hours that began an hour ago."""
    now_ms = member.machine.now_ms()
    usual = Shift(b"shift-id", now_ms - HOUR_MS, now_ms + 11 * HOUR_MS)
    return replace(usual, **changes)  # type: ignore[arg-type]


async def test_both_edges_of_a_shift(autojump_clock: MockClock, rig: Rig) -> None:
    anna, box = rig["anna"], rig["box"]
    now_ms = anna.machine.now_ms()
    shift = opened(anna, ends_ms=now_ms, closed_ms=now_ms - 60_000)
    await box.take([shift_of(anna, 1, shift)])
    edges = {
        shift.opened_ms - 1: Reception.NO_SHIFT,
        shift.opened_ms: Reception.STORED,
        shift.closed_ms - 1: Reception.STORED,
        shift.closed_ms: Reception.NO_SHIFT,
    }
    for seq, (at_ms, fate) in enumerate(edges.items(), start=2):
        assert await box.take([position_of(anna, seq, at_ms)]) == [fate], seq


async def test_a_shift_in_the_same_batch_goes_first(autojump_clock: MockClock, rig: Rig) -> None:
    anna, box = rig["anna"], rig["box"]
    batch = [position_of(anna, 2, anna.machine.now_ms()), shift_of(anna, 1, opened(anna))]
    assert await box.take(batch) == [Reception.STORED] * 2
    assert box.metric("bundles_no_shift") == 0


async def test_a_shift_covers_its_author_and_its_squad_alone(
    autojump_clock: MockClock, rig: Rig
) -> None:
    anna, bruno, box = rig["anna"], rig["bruno"], rig["box"]
    now_ms = anna.machine.now_ms()
    await box.take([shift_of(anna, 1, opened(anna))])
    elsewhere = squad_scope("Ubaye")
    assert (
        await box.take(
            [position_of(bruno, 1, now_ms), position_of(anna, 2, now_ms, scope=elsewhere)]
        )
        == [Reception.NO_SHIFT] * 2
    )


async def test_the_newest_position_of_a_squad_alone_lives(
    autojump_clock: MockClock, rig: Rig
) -> None:
    anna, box = rig["anna"], rig["box"]
    now_ms = anna.machine.now_ms()
    await box.take([shift_of(anna, 1, opened(anna))])
    old, new = (position_of(anna, seq, now_ms - 100 + seq) for seq in (2, 3))
    assert await box.take([old, new]) == [Reception.SUPERSEDED, Reception.STORED]
    assert [each.raw for each in await box.held(Kind.POSITION)] == [new.raw]


@pytest.mark.parametrize(
    "changes",
    [
        {"opened_ms": 1 << 47, "ends_ms": (1 << 47) + 1},
        {"ends_ms": 1 << 47},
        {"closed_ms": 1},
        {"before": (0, 1 << 47)},
    ],
    ids=str,
)
async def test_a_shift_that_lies_is_malformed(
    autojump_clock: MockClock, rig: Rig, changes: dict[str, object]
) -> None:
    anna = rig["anna"]
    bundle = shift_of(anna, 1, opened(anna, **changes))
    assert await rig["box"].take([bundle]) == [Reception.MALFORMED]


async def test_a_shift_of_the_future_is_malformed(autojump_clock: MockClock, rig: Rig) -> None:
    """Else it could be told today that there will be one tomorrow, and never be closed."""
    anna = rig["anna"]
    now_ms = anna.machine.now_ms()
    late = opened(anna, opened_ms=now_ms + 1_000, ends_ms=now_ms + HOUR_MS)
    assert await rig["box"].take([shift_of(anna, 1, late)]) == [Reception.MALFORMED]
    closed = opened(anna, closed_ms=now_ms + 60_000)
    assert await rig["box"].take([shift_of(anna, 2, closed)]) == [Reception.MALFORMED]


@pytest.mark.parametrize(
    "more",
    [
        {"scope": CODT},
        {"suite": Suite.CLEAR, "keyref": b""},
        {"suite": Suite.HYBRID, "index": 0},
        {"lifetime_s": 43_201},
    ],
    ids=str,
)
async def test_a_position_of_another_form_is_malformed(
    autojump_clock: MockClock, rig: Rig, more: dict[str, object]
) -> None:
    anna, box = rig["anna"], rig["box"]
    await box.take([shift_of(anna, 1, opened(anna))])
    odd = position_of(anna, 2, anna.machine.now_ms(), **more)
    assert await box.take([odd]) == [Reception.MALFORMED]


@pytest.mark.parametrize("more", [{"scope": CODT}, {"index": 1}], ids=str)
async def test_a_shift_of_another_form_is_malformed(
    autojump_clock: MockClock, rig: Rig, more: dict[str, object]
) -> None:
    anna = rig["anna"]
    header = replace(anna.header(Kind.SHIFT, squad_scope(), 1), **more)  # type: ignore[arg-type]
    bundle = anna.forge(header, encode_shift(opened(anna)))
    assert await rig["box"].take([bundle]) == [Reception.MALFORMED]


async def test_keys_of_another_shift_are_not_carried(autojump_clock: MockClock, rig: Rig) -> None:
    anna, box = rig["anna"], rig["box"]
    more = {"suite": Suite.HYBRID, "keyref": b"shift-id"}
    keys = anna.forge(anna.header(Kind.CHAIN_KEYS, squad_scope(), 5, **more), bytes(10))
    assert await box.take([keys]) == [Reception.NO_SHIFT]
    await box.take([shift_of(anna, 1, opened(anna, shift_id=b"another!"))])
    assert await box.take([keys]) == [Reception.NO_SHIFT]
    await box.take([shift_of(anna, 6, opened(anna))])
    assert await box.take([keys]) == [Reception.STORED]
