"""Bundles of enrolled devices gone bad, brought over TLS to a running node.

Each is refused with its reason in the ACK and in a counter, and nothing is stored. Security cases
S10, S13, S14, S15.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import cycle, product

import pytest
import trio

from meshnode.node import Node
from meshnode.outbox import Writing
from meshnode.running import open_home
from meshnode.runtime import system_runtime
from meshnode.store import bundles as rows
from meshnode.store import messages
from meshnode.store.evidence import list_evidence
from meshnode.store.records import MessageRecord
from protocol import hlc
from protocol.bundle import Scope, Suite
from protocol.bundle import decode_untrusted as decode
from protocol.canonical import encode
from protocol.ids import squad_id_of
from protocol.limits import (
    CLASS_RULES,
    CLOCK_DRIFT_MS_MAX,
    HOPS_MAX,
    KINDS,
    STORE_INTERESTS_MAX,
    Kind,
    TrafficClass,
)
from protocol.reports import Reception
from tests.security.parts import (
    BOX,
    SETTINGS,
    SQUAD,
    ZONE,
    Peer,
    Town,
    Writer,
    held,
    measured,
    rising,
    running,
    serves,
    until,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]

HOUR_MS = 3_600_000


def ahead(by_ms: int) -> int:
    """Return a stamp that is so much ahead of now."""
    return (system_runtime().now_ms() + by_ms) << 16


def _future(writer: Writer) -> bytes:
    return writer.bundle(hlc=ahead(25 * HOUR_MS))


def _expired(writer: Writer) -> bytes:
    return writer.bundle(hlc=ahead(-HOUR_MS), lifetime_s=3_000)


def _clear_text(writer: Writer) -> bytes:
    return writer.bundle(b"in clear", suite=Suite.CLEAR, keyref=b"", index=0)


def _sealed_receipt(writer: Writer) -> bytes:
    return writer.bundle(kind=Kind.RECEIPT, suite=Suite.CHAIN)


def _noise(_writer: Writer) -> bytes:
    return os.urandom(400)


def _one_byte(_writer: Writer) -> bytes:
    return b"\x93"


def _trailing_byte(writer: Writer) -> bytes:
    return writer.bundle() + b"\0"


def _eternal(writer: Writer) -> bytes:
    # A header that no honest program builds: 31 days for bulk.
    return writer.bundle(kind=Kind.CHUNK, lifetime_s=31 * 86_400)


def _two_signatures_swapped(writer: Writer) -> bytes:
    return writer.bundle()[:-64] + writer.bundle()[-64:]


@pytest.mark.parametrize(
    ("make", "hops", "fate"),
    [
        (_noise, 0, Reception.MALFORMED),
        (_one_byte, 0, Reception.MALFORMED),
        (_trailing_byte, 0, Reception.MALFORMED),
        (_eternal, 0, Reception.MALFORMED),
        (_clear_text, 0, Reception.MALFORMED),
        (_sealed_receipt, 0, Reception.MALFORMED),
        (_two_signatures_swapped, 0, Reception.BAD_SIGNATURE),
        (_expired, 0, Reception.EXPIRED),
        (_future, 0, Reception.TOO_FAR_AHEAD),
        (Writer.bundle, HOPS_MAX, Reception.HOP_LIMIT),
        (Writer.bundle, 255, Reception.HOP_LIMIT),
    ],
)
async def test_a_bundle_that_is_not_fit_is_refused_with_its_reason(
    town: Town, make: Callable[[Writer], bytes], hops: int, fate: Reception
) -> None:
    writer = Writer(town.identity("mallory"))
    async with running(town.home(BOX)) as node:
        before = held(node)
        async with (
            rising(node, f"bundles_{fate.name.lower()}"),
            Peer.dialled(town, "mallory", node) as peer,
        ):
            await peer.go_live(node)
            assert await peer.give([make(writer)], hops) == [fate]
            assert held(node) == before
            # The session goes on: a carrier may not know what it carries.
            assert await peer.give([writer.bundle()], HOPS_MAX - 1) == [Reception.STORED]
        assert held(node) == before + 1
        await serves(town, node)


async def test_nobody_outside_the_rosters_is_carried_for(town: Town, outsiders: Town) -> None:
    stranger = Writer(outsiders.identity("alice"))
    async with running(town.home(BOX)) as node:
        async with (
            rising(node, "bundles_unknown_author"),
            Peer.dialled(town, "mallory", node) as peer,
        ):
            await peer.go_live(node)
            assert await peer.give([stranger.bundle()]) == [Reception.UNKNOWN_AUTHOR]
        await serves(town, node)


async def test_no_flipped_bit_and_no_cut_bundle_gets_in(town: Town) -> None:
    # Security case S10, over the wire: every bit and every length.
    raw = Writer(town.identity("bob")).bundle(os.urandom(40))
    flipped = [
        raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]
        for at in range(len(raw))
        for bit in range(8)
    ]
    cut = [raw[:length] for length in range(1, len(raw))]
    async with running(town.home(BOX)) as node:
        before = held(node)
        async with Peer.dialled(town, "mallory", node) as peer:
            await peer.go_live(node)
            with measured() as memory:
                fates = Counter(await peer.give([*flipped, *cut]))
                assert memory.peak < 30_000_000
            print(dict(fates))
            assert set(fates) <= {
                Reception.MALFORMED,
                Reception.BAD_SIGNATURE,
                Reception.UNKNOWN_AUTHOR,
                Reception.EXPIRED,
                Reception.TOO_FAR_AHEAD,
            }
            assert held(node) == before
            assert await peer.give([raw]) == [Reception.STORED]
        await serves(town, node)


# --- one name, two bundles -------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.STATE])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("together", [True, False])
async def test_of_two_bundles_with_one_name_the_first_stays(
    town: Town, kind: Kind, order: tuple[int, int], *, together: bool
) -> None:
    writer = Writer(town.identity("mallory"))
    twins = [writer.bundle(body, kind=kind, seq=5) for body in (b"come" * 9, b"stay" * 9)]
    first, second = (twins[place] for place in order)
    async with running(town.home(BOX)) as node:
        async with (
            rising(node, "bundles_equivocation"),
            Peer.dialled(town, "mallory", node) as peer,
        ):
            await peer.go_live(node)
            if together:
                fates = await peer.give([first, second])
            else:
                fates = [*await peer.give([first]), *await peer.give([second])]
            assert fates == [Reception.STORED, Reception.EQUIVOCATION]
            # The second is known by now, and no second proof is kept.
            assert await peer.give([second]) == [Reception.EQUIVOCATION]
        kept = await node.store.read(lambda conn: rows.raws_of_kind(conn, kind))
        assert kept == [first]
        (proof,) = await node.store.read(list_evidence)
        assert (proof.node, proof.raw) == (writer.node, second)
        assert proof.first_digest == decode(first).digest
        await serves(town, node)


# --- one bundle, many times ------------------------------------------------------------------


async def message_for_box(town: Town, text: str) -> bytes:
    """Let Alice write to the box; return the bundle that carries it."""
    async with open_home(town.home("alice"), SETTINGS, system_runtime()) as node:
        scope = node.membership.directory.find(BOX, ZONE)
        sent = await node.outbox.send(Writing(scope, text))
        name = (sent.id.author, sent.id.incarnation, sent.id.seq, sent.id.seq)
        (held_one,) = await node.store.read(lambda conn: rows.of_author(conn, *name))
        found = await node.store.read(lambda conn: rows.raw_many(conn, [held_one.short_id]))
        return found[held_one.short_id][0]


async def inbox(node: Node) -> list[MessageRecord]:
    """Return what the people of a node may read."""
    return await node.store.read(lambda conn: messages.list_inbox(conn, 0, 1_000))


async def test_a_bundle_brought_a_thousand_times_counts_once(town: Town) -> None:
    # Security case S13: three links and, as a file hands it over, none.
    raw = await message_for_box(town, "only once")
    async with running(town.home(BOX)) as node, AsyncExitStack() as stack:
        fates: Counter[Reception] = Counter()
        peers = [
            await stack.enter_async_context(Peer.dialled(town, name, node))
            for name in ("alice", "bob", "mallory")
        ]

        async def bring(peer: Peer) -> None:
            await peer.go_live(node)
            for _ in range(10):
                fates.update(await peer.give([raw] * 34))

        async with trio.open_nursery() as nursery:
            for peer in peers:
                nursery.start_soon(bring, peer)
        for _short, fate in await node.relay.receive(None, [(0, raw)] * 30):
            fates[fate] += 1
        await until(lambda: node.metrics.value("receipts_made") > 0)
        await trio.sleep(1)
        assert fates.total() == 1_050
        assert fates[Reception.STORED] == 1
        # Once receipted it is dropped, and refused for that.
        assert set(fates) <= {Reception.STORED, Reception.DUPLICATE, Reception.DELIVERED}
        assert [each.text for each in await inbox(node)] == ["only once"]
        assert node.metrics.value("receipts_made") == 1
        assert node.metrics.value("messages_opened") == 1


# --- clocks ----------------------------------------------------------------------------------


async def test_a_clock_that_runs_ahead_moves_ours_by_ten_minutes_at_most(town: Town) -> None:
    # Security case S15: +11 min is held, +25 h refused.
    writer = Writer(town.identity("mallory"))
    squad = Scope.for_squad(ZONE, squad_id_of(ZONE, SQUAD))
    early = [writer.bundle(hlc=ahead(minutes * 60_000), scope=squad) for minutes in (9, 11, 1_400)]
    async with running(town.home(BOX)) as node:
        async with Peer.dialled(town, "mallory", node) as peer:
            await peer.go_live(node)
            assert await peer.give(early) == [Reception.STORED] * 3
            assert await peer.give([_future(writer)]) == [Reception.TOO_FAR_AHEAD]
        await trio.sleep(0.3)
        assert await inbox(node) == []
        stamp = await node.store.write(lambda tx: tx.hlc)
        assert hlc.wall_ms(stamp) <= node.runtime.now_ms() + CLOCK_DRIFT_MS_MAX
        await serves(town, node)


# --- what one device can take from others ----------------------------------------------------


async def test_bundles_for_every_zone_do_not_keep_an_sos_out(town: Town) -> None:
    writer = Writer(town.identity("mallory"))
    everywhere = [writer.bundle(scope=Scope.for_codt(zone)) for zone in range(1_000, 1_400)]
    async with running(town.home(BOX)) as node:
        async with Peer.dialled(town, "mallory", node) as peer:
            await peer.go_live(node)
            fates = Counter(await peer.give(everywhere))
            assert set(fates) == {Reception.STORED, Reception.QUOTA}
            assert len(node.store.sketches) <= STORE_INTERESTS_MAX
            help_bundle = Writer(town.identity("bob")).bundle(
                kind=Kind.SOS, suite=Suite.ZONE, scope=Scope.for_zone(ZONE), index=0
            )
            assert await peer.give([help_bundle]) == [Reception.STORED]
            assert node.store.class_counts[TrafficClass.SOS] == 1
        await serves(town, node)


# --- what no honest program would sign --------------------------------------------------------


def odd_bodies(town: Town) -> list[bytes]:
    """Return bodies that are right for some kind, at the edge of what may be said, or for none."""
    chain = bytes(8)
    slots = [[town.identity(name).node, bytes(8), bytes(1_200)] for name in (BOX, "bob")]
    return [
        b"",
        b"\x93\x01",
        os.urandom(64_000),
        encode([1, 2**32 - 1, 2**54 - 1, [[0, 1_024]], bytes(8)]),
        encode([1, 0, 0, [[each, 1] for each in range(0, 1_024, 2)], bytes(8)]),
        encode([1, [chain] * 64]),
        encode([1, slots]),
        encode(slots),
        encode([1, bytes(8), 2**48, 2**48, 1, bytes(1_216)]),
    ]


def odd_bundles(town: Town) -> list[bytes]:
    """Return validly signed bundles of every kind, suite and scope that can be encoded."""
    writer, box = Writer(town.identity("mallory")), town.identity(BOX).node
    scopes = (
        Scope.for_device(ZONE, box),
        Scope.for_device(65_535, writer.node),
        Scope.for_squad(ZONE, squad_id_of(ZONE, SQUAD)),
        Scope.for_codt(ZONE),
        Scope.for_zone(ZONE),
    )
    bodies = cycle(odd_bodies(town))
    made: list[bytes] = []
    for kind, suite, scope in product(Kind, Suite, scopes):
        is_indexed = suite is Suite.CLEAR
        edge = {
            "kind": kind,
            "suite": suite,
            "scope": scope,
            "keyref": b"" if suite is Suite.CLEAR else os.urandom(8),
            "index": 2**32 - 1 if is_indexed else 2_047 if suite is Suite.CHAIN else 0,
            "incarnation": 2**32 - 1,
            "seq": 2**64 - 1 - len(made),
            "lifetime_s": CLASS_RULES[KINDS[kind].traffic_class].lifetime_s_max,
        }
        made += [writer.bundle(next(bodies), **edge)]
        usual = {name: edge[name] for name in ("kind", "suite", "scope", "keyref")}
        made += [writer.bundle(next(bodies), **usual, index=0)]
    return made


async def test_nothing_that_is_signed_breaks_a_room(town: Town) -> None:
    async with running(town.home(BOX)) as node:
        async with Peer.dialled(town, "mallory", node) as peer:
            await peer.go_live(node)
            made = odd_bundles(town)
            fates = Counter(await peer.give(made))
        print(len(made), dict(fates))
        assert fates[Reception.STORED] > 100
        assert fates[Reception.MALFORMED] > 100
        await until(lambda: node.metrics.value("messages_unopenable") > 0)
        await serves(town, node)
        raw = await message_for_box(town, "after all that")
        async with Peer.dialled(town, "alice", node) as peer:
            await peer.go_live(node)
            assert await peer.give([raw]) == [Reception.STORED]
        await until(lambda: node.metrics.value("messages_opened") == 1)
        assert [each.text for each in await inbox(node)] == ["after all that"]
        assert node.metrics.value("rooms_restarted") == 0
    # What is on the disk does not break the next start either.
    async with running(town.home(BOX)) as node:
        await serves(town, node)
        assert node.metrics.value("rooms_restarted") == 0
