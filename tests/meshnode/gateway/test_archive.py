"""What every archive must do, whichever database it lies in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshnode.errors import ArchiveKeyError, ArchiveTamperedError
from meshnode.gateway.archive.archive import Archive, open_archive
from meshnode.gateway.archive.purge_log import Action, Head, verify
from meshnode.gateway.archive.records import Put, Query
from meshnode.gateway.archive.words import words_of
from meshnode.retention import DataClass, default_terms
from meshnode.vault.kinds import DAY_MS
from protocol.limits import Kind
from tests.meshnode.gateway.parts import (
    MASTER,
    NOW_MS,
    SQUAD,
    TODAY,
    Badge,
    bundle,
    node,
    runtime,
    text,
)

pytestmark = [pytest.mark.slow, pytest.mark.real]
Address = tuple[str, Path]
GATEWAY = node(90)


def looked_for(words: str, **more: object) -> Query:
    return Query(words=tuple(words_of(words)), **more)  # type: ignore[arg-type]


@pytest.fixture
async def archive(address: Address) -> AsyncIterator[Archive]:
    async with open_archive(*address, runtime(), GATEWAY, MASTER) as opened:
        yield opened


async def test_what_was_put_in_is_found_again_and_whole(archive: Archive) -> None:
    batch = [
        bundle(1),
        bundle(2, Kind.POSITION),
        bundle(2**63 + 5, Kind.SOS, created_ms=NOW_MS, at_ms=NOW_MS),
    ]
    assert await archive.put([*batch, text(1, "au refuge")]) == Put(3, 1, 0)
    found = await archive.bundles(Query())
    assert {each.raw for each in found} == {each.raw for each in batch}
    assert {each.name for each in found} == {each.name for each in batch}
    assert {each.gateway for each in found} == {GATEWAY}
    (content,) = await archive.contents(Query())
    assert content.raw == b"au refuge"
    assert (content.name, content.kind) == (batch[0].name, Kind.TEXT)


async def test_the_same_again_is_there_once(archive: Archive) -> None:
    batch = [bundle(seq) for seq in range(5)] + [text(1, "une fois")]
    await archive.put(batch)
    assert await archive.put([*batch, bundle(9)]) == Put(1, 0, 6)
    assert len(await archive.bundles(Query())) == 6
    assert len(await archive.contents(looked_for("fois"))) == 1


async def test_a_batch_that_holds_the_same_twice_keeps_it_once(archive: Archive) -> None:
    assert await archive.put([bundle(1), bundle(1)]) == Put(1, 0, 1)


async def test_words_are_found_without_case_or_accents(archive: Archive) -> None:
    await archive.put(
        [
            text(1, "Évacuation terminée : l'hôpital est prévenu"),
            text(2, "evacuation du refuge", author=2),
            text(3, "rien à signaler"),
        ]
    )
    assert {each.name.seq for each in await archive.contents(looked_for("ÉVACUATION"))} == {1, 2}
    (one,) = await archive.contents(looked_for("hopital evacuation"))
    assert one.name.seq == 1
    assert await archive.contents(looked_for("hopital refuge")) == []
    assert await archive.contents(looked_for("vacuation")) == []


async def test_filters_hold_together(archive: Archive) -> None:
    hour_ms = 3_600_000
    await archive.put(
        [
            text(1, "le pont est coupé", scope=SQUAD),
            text(2, "le pont tient", author=2),
            text(3, "le pont est ouvert", created_ms=NOW_MS - 3 * DAY_MS),
            bundle(4, Kind.SOS),
        ]
    )
    pont = looked_for("pont")
    assert [each.name.seq for each in await archive.contents(pont)] == [2, 1, 3]
    assert len(await archive.contents(looked_for("pont", scope=SQUAD))) == 1
    assert len(await archive.contents(looked_for("pont", author=node(2)))) == 1
    assert len(await archive.contents(looked_for("pont", from_ms=NOW_MS - hour_ms))) == 2
    assert len(await archive.contents(looked_for("pont", to_ms=NOW_MS - hour_ms))) == 1
    assert len(await archive.contents(looked_for("pont", limit=2))) == 2
    assert await archive.contents(looked_for("pont", classes=(DataClass.SOS,))) == []
    (sos,) = await archive.bundles(Query(classes=(DataClass.SOS,)))
    assert sos.kind is Kind.SOS


async def test_the_key_of_another_archive_opens_nothing(archive: Archive, address: Address) -> None:
    await archive.put([text(1, "secret")])
    async with open_archive(*address, runtime(), node(91), bytes(32)) as other:
        with pytest.raises(ArchiveKeyError):
            await other.contents(Query())
        with pytest.raises(ArchiveKeyError):
            await other.put([text(2, "more")])
        # Nor does it begin days of its own there, which those who have the key could not open.
        with pytest.raises(ArchiveKeyError):
            await other.put([bundle(3, Kind.POSITION)])
    assert await archive.put([bundle(3, Kind.POSITION)]) == Put(1, 0, 0)


async def test_a_purge_takes_what_is_over_and_nothing_else(archive: Archive) -> None:
    old_ms = NOW_MS - 62 * DAY_MS
    old = bundle(1, Kind.POSITION, created_ms=old_ms)
    await archive.put(
        [
            old,
            bundle(2, Kind.POSITION),
            old._replace(is_content=True, digest=b""),
            text(3, "of then", created_ms=old_ms),
        ]
    )
    badge = Badge()
    purged = await archive.purge(default_terms(), TODAY, badge.scribe())
    assert [(each.data_class, each.bundles, each.contents) for each in purged.days] == [
        (DataClass.POSITIONS, 1, 1)
    ]
    assert purged.rows == 2
    assert [each.name.seq for each in await archive.bundles(Query())] == [2]
    assert [each.name.seq for each in await archive.contents(looked_for("then"))] == [3]
    entries, head = verify(await archive.log(), badge.check, [purged.head])
    assert head == purged.head == Head(1, head.hash)
    assert entries[0].action is Action.PURGE
    assert dict(entries[0].details)["bundles"] == "1"
    again = await archive.purge(default_terms(), TODAY, badge.scribe())
    assert (again.days, again.rows, again.head) == ((), 0, head)


async def test_words_go_with_their_text(archive: Archive) -> None:
    await archive.put([text(1, "of then", created_ms=NOW_MS - 400 * DAY_MS), text(2, "of now")])
    await archive.purge(default_terms(), TODAY, Badge().scribe())
    assert [each.name.seq for each in await archive.contents(looked_for("of"))] == [2]


async def test_what_is_held_is_counted_by_class_and_author(archive: Archive) -> None:
    await archive.put(
        [bundle(1), text(1, "one"), bundle(2, author=2), bundle(3, Kind.TRACK, author=2)]
    )
    held = {each.data_class: each for each in await archive.held()}
    assert (held[DataClass.TEXTS].bundles, held[DataClass.TEXTS].contents) == (2, 1)
    mine = {each.data_class: each for each in await archive.held(node(2))}
    assert (mine[DataClass.TEXTS].bundles, mine[DataClass.POSITIONS].bundles) == (1, 1)
    assert mine[DataClass.TEXTS].oldest_day == TODAY
    assert mine[DataClass.SOS].oldest_day is None


async def test_a_log_that_lost_its_end_is_told_by_its_head(archive: Archive) -> None:
    badge = Badge()
    heads = [
        await archive.note(badge.scribe(), Action.EXPORT, [("reason", f"no. {number}")])
        for number in range(3)
    ]
    whole = await archive.log()
    assert verify(whole, badge.check, heads)[1] == heads[-1]
    with pytest.raises(ArchiveTamperedError, match="cut off"):
        verify(whole[:-1], badge.check, heads)
    assert [each.number for each in await archive.log(2)] == [2, 3]
