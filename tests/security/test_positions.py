"""Positions exist in shifts alone. Security case S29, each part also after a restart.

Real homes; what a contact would do is done by hand, so that it is certain who has what when.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from meshnode.api import Api
from meshnode.enrol import open_keys
from meshnode.errors import SendError
from meshnode.node import Node
from meshnode.running import open_home
from meshnode.runtime import Runtime, system_runtime
from meshnode.store import bundles as rows
from meshnode.store.engine import Connection, open_store
from meshnode.store.schema import METADATA
from meshnode.store.sealed_columns import SEALED
from meshnode.store.sealing import Seals
from protocol import bundle as bundles
from protocol import canonical, hlc
from protocol.brief import open_position_untrusted, seal_position
from protocol.bundle import Bundle, Scope, Suite
from protocol.chains import decode_receiving, decode_sending, key_for, receiving_chain
from protocol.envelope import (
    HpkeSealer,
    PrekeySecret,
    decode_slot_secret_untrusted,
    decode_slots_untrusted,
    open_message,
    slot_info,
)
from protocol.errors import MeshError, NoKeyError
from protocol.ids import squad_id_of
from protocol.limits import Kind
from protocol.payloads import LATITUDE_E7_MAX, LONGITUDE_E7_MAX, Position
from protocol.reports import Reception
from protocol.track_bodies import decode_track_body_untrusted
from tests.security.parts import SETTINGS, SQUAD, ZONE, Town, Writer, audited

pytestmark = [pytest.mark.real, pytest.mark.slow]

HOUR_MS = 3_600_000
SCOPE = Scope.for_squad(ZONE, squad_id_of(ZONE, SQUAD))
PLACE = (44.89, 6.64)
ACCURACY_M = 12
_NORTH_E7, _EAST_E7 = (round(degrees * 1e7) for degrees in PLACE)
_UNSIGNED = (_NORTH_E7 + LATITUDE_E7_MAX, _EAST_E7 + LONGITUDE_E7_MAX)
AS_RECORD = canonical.encode(_UNSIGNED)[1:]
"""`PLACE` as a store has it once it is opened, beneath its seal."""
AS_BRIEF = struct.pack(">II", *_UNSIGNED)
"""And as it travels, beneath its seal. Half of either is in a large file by chance."""


def at(hours: float) -> Runtime:
    """Return a runtime whose clock is ahead by so much."""
    usual = system_runtime()
    return replace(usual, now_ms=lambda: usual.now_ms() + round(hours * HOUR_MS))


async def everything(node: Node, *kinds: Kind) -> list[Bundle]:
    """Return what a node carries."""
    interests = list(node.store.sketches)
    ids = await node.store.read(
        lambda conn: [i for each in interests for i in rows.ids(conn, each)]
    )
    raws = await node.store.read(lambda conn: rows.raw_many(conn, ids))
    found = [bundles.decode_untrusted(raw) for raw, _hops in raws.values()]
    return [each for each in found if not kinds or each.header.kind in kinds]


async def give(node: Node, found: Sequence[Bundle | bytes]) -> list[Reception]:
    """Bring bundles to a node and let it do all that follows."""
    raws = [each.raw if isinstance(each, Bundle) else each for each in found]
    outcomes = await node.relay.receive(None, [(0, raw) for raw in raws])
    await node.settle()
    await node.require_desk().look()
    await node.housekeeping.look()
    return [fate for _short, fate in outcomes]


async def swap(town: Town, *names: str, hours: float = 0) -> None:
    """Let everybody have everything, twice, so that answers get home too."""
    for source in (*names, *names):
        async with open_home(town.home(source), SETTINGS, at(hours)) as node:
            carried = await everything(node)
        for target in set(names) - {source}:
            async with open_home(town.home(target), SETTINGS, at(hours)) as node:
                await give(node, carried)


async def refuses_position(home: Path, hours: float = 0) -> int:
    """Check that no position can be made; return how many were."""
    async with open_home(home, SETTINGS, at(hours)) as node:
        with pytest.raises(SendError) as caught:
            await Api(node).position(*PLACE)
        assert caught.value.reason == "no_shift"
        assert node.metrics.value("positions_made") == 0
        own = [
            each
            for each in await everything(node, Kind.POSITION)
            if each.header.author == node.identity.node
        ]
        return len(own)


# --- not created -------------------------------------------------------------------------------


async def test_s29_no_position_is_made_without_an_open_shift(town: Town) -> None:
    """Security case S29: position with no open shift → not created."""
    alice = town.home("alice")
    for _restart in range(2):
        assert await refuses_position(alice) == 0
    async with open_home(alice, SETTINGS, at(0)) as node:
        await Api(node).shift_open(hours=2)
        await Api(node).position(*PLACE)
        await Api(node).shift_close()
    for _restart in range(2):
        assert await refuses_position(alice) == 1
    async with open_home(alice, SETTINGS, at(0)) as node:
        await Api(node).shift_open(hours=2)
    for _restart in range(2):
        assert await refuses_position(alice, hours=2.01) == 1, "the shift ended by the clock"
    async with open_home(alice, SETTINGS, at(1.9)) as node:
        assert (await Api(node).position(*PLACE))["latitude"] == PLACE[0]


# --- refused and not relayed -------------------------------------------------------------------


async def test_s29_a_position_dated_outside_a_shift_is_not_relayed(town: Town) -> None:
    """Security case S29: position dated outside the shift of its author → refused, not relayed."""
    async with open_home(town.home("alice"), SETTINGS, at(0)) as node:
        await Api(node).shift_open(hours=1)
        shift = await everything(node, Kind.SHIFT)
    now_ms = system_runtime().now_ms()
    writer = Writer(town.identity("alice"))

    def dated(offset_ms: int) -> bytes:
        stamp = (now_ms + offset_ms) << 16
        changes = {"kind": Kind.POSITION, "scope": SCOPE, "hlc": stamp, "lifetime_s": 40_000}
        return writer.bundle(bytes(80), **changes)

    outside = [dated(-HOUR_MS), dated(2 * HOUR_MS)]
    inside = dated(1_000)
    mule = town.home("mule")
    for restart in range(2):
        async with open_home(mule, SETTINGS, at(0)) as node:
            if restart == 0:
                assert await give(node, [inside]) == [Reception.NO_SHIFT], "its shift is not here"
                assert await everything(node, Kind.POSITION) == []
                assert await give(node, shift) == [Reception.STORED]
            before = node.metrics.value("bundles_no_shift")
            assert await give(node, outside) == [Reception.NO_SHIFT] * 2
            assert node.metrics.value("bundles_no_shift") == before + 2
            assert await everything(node, Kind.POSITION) == []
            assert (await audited(node))["bundles_no_shift"] == 1 + 2 * (restart + 1)
            honest = Writer(town.identity("bob")).bundle()
            assert await give(node, [honest]) == [Reception.STORED], "others are served meanwhile"
    async with open_home(mule, SETTINGS, at(0)) as node:
        assert await give(node, [inside]) == [Reception.STORED], "it is brought again, and taken"
        (carried,) = await everything(node, Kind.POSITION)
        assert carried.raw == inside


async def test_s29_a_position_of_the_shift_before_still_travels(town: Town) -> None:
    async with open_home(town.home("alice"), SETTINGS, at(0)) as node:
        await Api(node).shift_open()
        await Api(node).position(*PLACE)
        (position,) = await everything(node, Kind.POSITION)
    async with open_home(town.home("alice"), SETTINGS, at(0.1)) as node:
        await Api(node).shift_close()
        await Api(node).shift_open()
        shift = await everything(node, Kind.SHIFT)
    async with open_home(town.home("mule"), SETTINGS, at(0.1)) as node:
        assert await give(node, [position, *shift]) == [Reception.STORED] * 2
    async with open_home(town.home("mule"), SETTINGS, at(0.1)) as node:
        assert await give(node, [position]) == [Reception.DUPLICATE]
        assert await everything(node, Kind.POSITION) == [position], "it is carried on"


# --- unreadable --------------------------------------------------------------------------------


async def values(home: Path) -> list[bytes]:
    """Return every value in the store of a home, opened as one who has all its keys would."""
    vault = open_keys(home, system_runtime()).open_vault()
    async with open_store(home / "store.sqlite", system_runtime(), vault=vault) as store:
        return await store.read(_opened)


def _opened(conn: Connection) -> list[bytes]:
    found, seals = list[bytes](), Seals(conn)
    for table in METADATA.tables.values():
        for row in conn.execute(select(table)):
            found += [each for each in row if isinstance(each, bytes)]
    for each in SEALED:
        rows = METADATA.tables[each.table]
        wanted = [*(rows.c[name] for name in each.named_by), rows.c[each.column]]
        for *named, sealed in conn.execute(select(*wanted)):
            if sealed is not None:
                found.append(seals.open_or_none(each.seat(*named), sealed) or b"")
    return found


async def seeds(home: Path) -> set[bytes]:
    """Return all that may be a key: every 32 bytes of every value, and what slots give."""
    found, carried = set[bytes](), list[Bundle]()
    secrets = []
    for value in await values(home):
        with suppress(MeshError):
            carried.append(bundles.decode_untrusted(value))
            continue
        found |= {value[start : start + 32] for start in range(len(value) - 31)}
        if len(value) == 96:
            secrets.append(PrekeySecret(bytes(8), 2**48 - 1, value))
    for bundle in carried:
        if bundle.header.kind is not Kind.CHAIN_KEYS:
            continue
        for slot in decode_slots_untrusted(bundle.body):
            info = slot_info(bundle.header_bytes, slot.member)
            for secret in secrets:
                with suppress(MeshError):
                    plaintext = HpkeSealer().open_hybrid(secret, info, slot.sealed)
                    found.add(decode_slot_secret_untrusted(plaintext).seed)
    return found


async def opens(position: Bundle, home: Path) -> bool:
    """Tell whether a thief of this home reads a position, or a track."""
    header, sealed = position.header, position.body
    if header.kind is Kind.TRACK:
        sealed = decode_track_body_untrusted(sealed).sealed
    for seed in await seeds(home):
        keys = [seed]
        for start in range(header.index + 1):
            with suppress(NoKeyError):
                keys.append(key_for(receiving_chain(header.keyref, start, seed), header.index)[1])
        for key in keys:
            with suppress(MeshError):
                plain = open_message(key, position.header_bytes, sealed)
                if header.kind is Kind.POSITION:
                    open_position_untrusted(plain, header)
                return True
    return False


async def chain_seeds(home: Path) -> set[bytes]:
    """Return the seeds of all chains in a store."""
    found = set[bytes]()
    for value in await values(home):
        with suppress(MeshError):
            found.add(decode_sending(value).seed)
        with suppress(MeshError):
            found.add(decode_receiving(value).seed)
    return found


def bytes_of(home: Path) -> bytes:
    """Return everything that stands in the files of a store."""
    return b"".join(path.read_bytes() for path in sorted(home.glob("store*")))


def brief_of(bundle: Bundle) -> bytes:
    """Return what is sealed of `PLACE` under the header of a position."""
    header = bundle.header
    taken_ms = hlc.wall_ms(header.hlc)
    place = (taken_ms, _NORTH_E7, _EAST_E7, ACCURACY_M * 10)
    return seal_position(Position(header.author, header.scope.encode(), *place), header)


def stolen(home: Path, to: Path) -> Path:
    """Return a copy of a home as it lies on the disk."""
    shutil.copytree(home, to, ignore=shutil.ignore_patterns("control.sock"))
    return to


async def shown(home: Path, hours: float = 0) -> list[float]:
    """Return the latitudes that a device shows."""
    async with open_home(home, SETTINGS, at(hours)) as node:
        return [each["latitude"] for each in await Api(node).positions()]


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "by the clock"])
async def test_s29_after_the_close_the_store_of_a_mate_opens_no_position(
    town: Town, tmp_path: Path, is_closed: bool
) -> None:
    """Security case S29: after the close, a copy of a mate's store → unreadable."""
    people = ("alice", "bob", "mule", "centre")
    await swap(town, *people)
    async with open_home(town.home("alice"), SETTINGS, at(0)) as node:
        await Api(node).shift_open(hours=1)
        await Api(node).position(*PLACE, accuracy_m=ACCURACY_M)
    await swap(town, *people)
    assert await shown(town.home("bob")) == [PLACE[0]]
    async with open_home(town.home("alice"), SETTINGS, at(0)) as node:
        await Api(node).position(44.9, 6.7)
        found = await everything(node, Kind.POSITION)
    assert len(found) == 1
    before = stolen(town.home("bob"), tmp_path / "before")
    assert await opens(found[0], before), "or the trials would prove nothing"
    assert any(AS_RECORD in value for value in await values(before)), "nor would a search"
    assert brief_of(found[0]).endswith(AS_BRIEF)
    secret = await chain_seeds(before) | await chain_seeds(town.home("alice"))
    assert len(secret) >= 3

    later = 0.5 if is_closed else 1.1
    if is_closed:
        async with open_home(town.home("alice"), SETTINGS, at(later)) as node:
            await Api(node).shift_close()
    async with open_home(town.home("alice"), SETTINGS, at(later)) as node:
        carried = await everything(node)
    async with open_home(town.home("bob"), SETTINGS, at(later)) as node:
        await give(node, carried)
        # While the store is open its log lies beside it.
        files = bytes_of(town.home("bob"))
    assert not any(seed in files for seed in await chain_seeds(before))
    await swap(town, "alice", "bob", "mule", hours=later)
    for restart in range(2):
        for name in ("alice", "bob"):
            home = town.home(name)
            assert await shown(home, later) == [], name
            copy = stolen(home, tmp_path / f"{name} {restart}")
            assert not await opens(found[0], copy), name
            files = bytes_of(copy)
            assert not any(seed in files for seed in secret), name
            assert AS_RECORD not in files, name
            assert AS_BRIEF not in files, name
    async with open_home(town.home("bob"), SETTINGS, at(later)) as node:
        assert await everything(node, Kind.CHAIN_KEYS) == [], "nor does bob carry its keys"
        await give(node, found)
    assert await shown(town.home("bob"), later) == []
    # The centre keeps what was told to it, and reads what comes late.
    assert await shown(town.home("centre"), later) == [PLACE[0]]
    await swap(town, "mule", "centre", hours=later)
    assert await shown(town.home("centre"), later) == [44.9]


async def test_s29_a_track_opens_at_the_centre_and_on_no_stolen_device(
    town: Town, tmp_path: Path
) -> None:
    """It is carried for days after its shift: by its author, by a mate, by a relay."""
    people = ("alice", "bob", "mule", "centre")
    await swap(town, *people)
    async with open_home(town.home("alice"), SETTINGS, at(0)) as node:
        await Api(node).shift_open()
        await Api(node).position(*PLACE)
        await Api(node).shift_close()
    later = 6 * 24.0
    await swap(town, "alice", "bob", "mule", hours=later)
    for name in ("alice", "bob", "mule"):
        async with open_home(town.home(name), SETTINGS, at(later)) as node:
            (track,) = await everything(node, Kind.TRACK)
            keys = await everything(node, Kind.CHAIN_KEYS)
            assert len([each for each in keys if each.header.scope == Scope.for_codt(ZONE)]) == 1
            assert (await Api(node).track("alice"))["segments"] == []
        assert not await opens(track, stolen(town.home(name), tmp_path / f"{name} stolen")), name
    async with open_home(town.home("centre"), SETTINGS, at(later)) as node:
        await give(node, keys)
    copy = stolen(town.home("centre"), tmp_path / "centre stolen")
    assert await opens(track, copy), "or the trials would prove nothing"
    await swap(town, "mule", "centre", hours=later)
    for _restart in range(2):
        async with open_home(town.home("centre"), SETTINGS, at(later)) as node:
            (segment,) = (await Api(node).track("alice"))["segments"]
            assert [point[1:] for point in segment["points"]] == [list(PLACE)]


async def test_s29_keys_that_come_after_the_close_are_not_kept(town: Town, tmp_path: Path) -> None:
    await swap(town, "alice", "bob")
    async with open_home(town.home("alice"), SETTINGS, at(0)) as node:
        await Api(node).shift_open()
        await Api(node).position(*PLACE)
        keys = await everything(node, Kind.CHAIN_KEYS)
        positions = await everything(node, Kind.POSITION)
        opened = await everything(node, Kind.SHIFT)
        await Api(node).shift_close()
        closed = await everything(node, Kind.SHIFT)
    assert keys
    assert keys[0].header.keyref
    assert keys[0].header.suite is Suite.HYBRID
    orders = ([*keys, *positions], [*closed, *keys, *positions], [*opened, *keys])
    for number, brought in enumerate(orders):
        async with open_home(town.home("bob"), SETTINGS, at(0)) as node:
            await give(node, brought)
            assert await everything(node, Kind.CHAIN_KEYS) == []
        copy = stolen(town.home("bob"), tmp_path / str(number))
        assert not await opens(positions[0], copy)
        assert await shown(town.home("bob")) == []
