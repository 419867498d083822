"""Beginnings of words find what they should, on both databases, and leave nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from alembic import command
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, update

from meshnode.errors import ArchiveError
from meshnode.gateway.archive.archive import Archive, open_archive
from meshnode.gateway.archive.database import ARCHIVE_MIGRATIONS
from meshnode.gateway.archive.records import Query
from meshnode.gateway.archive.schema import VocabularyRow, table
from meshnode.gateway.archive.words import asked_in, words_of
from meshnode.retention import default_terms
from meshnode.store.upgrade import migration_config
from meshnode.vault.kinds import DAY_MS
from tests.meshnode.gateway.parts import MASTER, NOW_MS, TODAY, Badge, node, runtime, text

pytestmark = [pytest.mark.slow, pytest.mark.real]
Address = tuple[str, Path]
WORDS = st.sampled_from(["col", "colis", "colline", "refuge", "ref", "d94", "hélicoptère"])
TEXTS = st.lists(st.tuples(st.integers(0, 2), st.lists(WORDS, max_size=4)), max_size=8)
QUESTIONS = st.sampled_from(["col", "ref", "col ref", '"col" d94'])


def asked(question: str, limit: int = 100) -> Query:
    whole, beginnings = asked_in(question)
    return Query(words=tuple(whole), beginnings=tuple(beginnings), limit=limit)


@pytest.fixture
async def archive(address: Address) -> AsyncIterator[Archive]:
    async with open_archive(*address, runtime(), node(90), MASTER) as opened:
        yield opened


async def found(archive: Archive, question: str, limit: int = 100) -> list[int]:
    return [each.name.seq for each in await archive.contents(asked(question, limit))]


def _of(address: Address, statement: str) -> list[tuple[object, ...]]:
    engine = create_engine(address[0] or f"sqlite:///{address[1]}")
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(statement)
        answers = [tuple(each) for each in rows] if rows.returns_rows else []
    engine.dispose()
    return answers


async def test_a_beginning_finds_every_word_that_begins_so(archive: Archive) -> None:
    await archive.put([text(1, "Hélicoptère au col"), text(2, "les hélicos, deux colis")])
    await archive.put([text(3, "le col", created_ms=NOW_MS - 3 * DAY_MS, at_ms=NOW_MS)])
    assert await found(archive, "HÉLI") == [2, 1]
    assert await found(archive, "heli col") == [2, 1]
    assert await found(archive, '"col"') == [1, 3]
    assert await found(archive, 'heli "col"') == [1]
    assert await found(archive, "col") == [2, 1, 3]
    assert await found(archive, "col", limit=2) == [2, 1]
    assert await found(archive, "elicoptere") == []


async def test_many_batches_leave_few_lists_and_lose_no_word(
    archive: Archive, address: Address
) -> None:
    for number in range(70):
        await archive.put([text(number + 1, f"refuge mot{number}")])
    levels = _of(address, "SELECT level FROM vocabulary ORDER BY level")
    assert levels == [(0,)] * 6 + [(1,)] * 4
    assert len(await found(archive, "mot")) == 70
    assert await found(archive, "mot69") == [70]
    # "refuge" was new to the day once.
    before = len(levels)
    await archive.put([text(99, "refuge")])
    assert len(_of(address, "SELECT key FROM vocabulary")) == before


async def test_a_list_that_does_not_open_costs_beginnings_and_no_word(
    archive: Archive, address: Address
) -> None:
    await archive.put([text(1, "hélicoptère")])
    engine = create_engine(address[0] or f"sqlite:///{address[1]}")
    with engine.begin() as connection:
        connection.execute(update(table(VocabularyRow)).values(sealed=b"no list at all"))
    engine.dispose()
    for number in range(2, 20):
        await archive.put([text(number, f"mot{number}")])
    assert await found(archive, "heli") == []
    assert await found(archive, "hélicoptère") == [1]
    assert len(await found(archive, "mot")) == 18


async def test_an_archive_of_before_finds_whole_words(address: Address) -> None:
    async with open_archive(*address, runtime(), node(90), MASTER) as archive:
        await archive.put([text(1, "au refuge", created_ms=NOW_MS - DAY_MS)])
    _downgrade(address)
    async with open_archive(*address, runtime(), node(90), MASTER) as archive:
        assert await found(archive, "refuge") == [1]
        assert await found(archive, "refu") == []
        await archive.put([text(2, "au refuge")])
        assert await found(archive, "refu") == [2]


def _downgrade(address: Address) -> None:
    engine = create_engine(address[0] or f"sqlite:///{address[1]}")
    with engine.begin() as connection:
        command.downgrade(migration_config(connection, ARCHIVE_MIGRATIONS), "0001")
    engine.dispose()


async def test_a_purge_takes_the_lists_of_its_days(archive: Archive, address: Address) -> None:
    old_ms = NOW_MS - 400 * DAY_MS
    await archive.put([text(1, "secret", created_ms=old_ms, at_ms=old_ms), text(2, "secret")])
    assert len(_of(address, "SELECT key FROM vocabulary")) == 2
    await archive.purge(default_terms(), TODAY, Badge().scribe())
    assert _of(address, "SELECT day FROM vocabulary") == [(TODAY,)]
    assert await found(archive, "sec") == [2]


async def test_what_thousands_of_words_begin_with_is_asked_for_again(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshnode.gateway.archive import searching

    monkeypatch.setattr(searching, "_TOKENS_MAX", 5)
    days = [text(each, f"mot{each} mots", created_ms=NOW_MS - each * DAY_MS) for each in range(9)]
    await archive.put(days)
    assert await found(archive, "mot") == list(range(9)), "three words a day, one day a query"
    await archive.put([text(20, " ".join(f"mot{number}" for number in range(100, 105)))])
    with pytest.raises(ArchiveError, match="more of their letters"):
        await archive.contents(asked("mot"))


async def test_two_gateways_merge_the_lists_of_one_day(address: Address) -> None:
    async with (
        open_archive(*address, runtime(), node(90), MASTER) as one,
        open_archive(*address, runtime(), node(91), MASTER) as other,
        trio.open_nursery() as nursery,
    ):

        async def fill(archive: Archive, author: int) -> None:
            for number in range(40):
                words = f"mot{author}x{number} commun{number}"
                await archive.put([text(number, words, author=author)])

        nursery.start_soon(fill, one, 1)
        nursery.start_soon(fill, other, 2)
    async with open_archive(*address, runtime(), node(90), MASTER) as archive:
        assert len(await found(archive, "mot")) == 80
        assert len(await found(archive, "commun")) == 80
        assert len(await found(archive, "mot1x")) == 40


@settings(max_examples=15, deadline=None)
@given(batches=st.lists(TEXTS, max_size=4), question=QUESTIONS)
def test_as_a_slow_reader_finds(
    batches: list[list[tuple[int, list[str]]]],
    question: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("archive")

    async def run() -> None:
        whole, beginnings = asked_in(question)
        wanted, seq = set(), 0
        async with open_archive("", folder / "a.sqlite", runtime(), node(90), MASTER) as archive:
            for batch in batches:
                taken = []
                for days, words in batch:
                    seq += 1
                    held = words_of(" ".join(words))
                    taken.append(text(seq, " ".join(words), created_ms=NOW_MS - days * DAY_MS))
                    if set(whole) <= set(held) and all(
                        any(word.startswith(each) for word in held) for each in beginnings
                    ):
                        wanted.add(seq)
                await archive.put(taken)
            assert set(await found(archive, question)) == wanted

    trio.run(run)
