"""The words of each class and day, sealed under its key: what a beginning of a word can mean.

Hashes find whole words only; so the words that were new to a day are put down here as well, in
lists that only the gateways open. A batch adds a short list; of a level that is full the lists
become one of the next, so that a day has few of them and each word is written a few times. Who has
the database learns how many bytes of words a day brought, and nothing of them. Source: decision 54.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, delete, func, select

from meshnode.errors import SealBrokenError
from meshnode.gateway.archive.database import ArchiveDatabase
from meshnode.gateway.archive.keys import DayKeys
from meshnode.gateway.archive.schema import VocabularyRow, table
from meshnode.retention import DataClass
from meshnode.vault.vault import Vault

__all__ = ["ClassDay", "drop", "meant", "note"]

_SEAT: Final = b"vocabulary"
_VOCABULARY: Final = table(VocabularyRow)
_LEVEL_ROWS: Final = 16
"""Lists of one level that become one of the next."""
_SEPARATOR: Final = "\n"
ClassDay = tuple[DataClass, int]
"""A class and a day since 1970."""


def note(
    database: ArchiveDatabase,
    connection: Connection,
    vault: Vault,
    keys: DayKeys,
    fresh: Mapping[ClassDay, Collection[str]],
) -> None:
    """Put down folded words that a day did not have, in the caller's transaction.

    A word that two gateways bring at once is there twice, which changes no answer.
    Raises: ArchiveKeyError, ArchiveError.
    """
    for day, words in sorted(fresh.items()):
        if words:
            _insert(database, connection, vault, keys, day, 0, words)
            _merge(database, connection, vault, keys, day)


def _insert(
    database: ArchiveDatabase,
    connection: Connection,
    vault: Vault,
    keys: DayKeys,
    day: ClassDay,
    level: int,
    words: Iterable[str],
) -> None:
    plain = _SEPARATOR.join(sorted(words)).encode()
    sealed = vault.seal(keys.get(*day).data, _SEAT, b"", plain)
    database.insert_new(connection, _VOCABULARY, [(str(day[0]), day[1], level, sealed)])


def _merge(
    database: ArchiveDatabase, connection: Connection, vault: Vault, keys: DayKeys, day: ClassDay
) -> None:
    """Make one list of each level that is full; another gateway that does so too gets none."""
    here = (_VOCABULARY.c.data_class == str(day[0]), _VOCABULARY.c.day == day[1])
    level = 0
    while True:
        there = (*here, _VOCABULARY.c.level == level)
        count = connection.execute(
            select(func.count()).select_from(_VOCABULARY).where(*there)
        ).scalar_one()
        if count < _LEVEL_ROWS:
            return
        gone = connection.execute(
            delete(_VOCABULARY).where(*there).returning(_VOCABULARY.c.sealed)
        ).scalars()
        words = {
            word for each in gone for word in _opened(vault, keys, day, each).split(_SEPARATOR)
        }
        level += 1
        if words := words - {""}:
            _insert(database, connection, vault, keys, day, level, words)


def meant(
    connection: Connection,
    vault: Vault,
    keys: DayKeys,
    days: Sequence[ClassDay],
    beginnings: Sequence[str],
) -> dict[ClassDay, list[set[str]]]:
    """Return for each day and beginning the words of that day that begin so.

    Raises: ArchiveKeyError, ArchiveError. Cost: opens all lists of these days, 10 ms a megabyte.
    """
    found: dict[ClassDay, list[set[str]]] = {each: [set() for _ in beginnings] for each in days}
    # A list is in order and its words are folded: no line break, nothing that `re` would read.
    patterns = [re.compile(rf"^{re.escape(each)}.*", re.MULTILINE) for each in beginnings]
    query = select(_VOCABULARY.c.data_class, _VOCABULARY.c.day, _VOCABULARY.c.sealed).where(
        _VOCABULARY.c.data_class.in_({str(each) for each, _day in days}),
        _VOCABULARY.c.day.between(min(day for _, day in days), max(day for _, day in days)),
    )
    for data_class, day, sealed in connection.execute(query):
        place = (DataClass(data_class), day)
        if place in found:
            words = _opened(vault, keys, place, sealed)
            for pattern, those in zip(patterns, found[place], strict=True):
                those.update(pattern.findall(words))
    return found


def _opened(vault: Vault, keys: DayKeys, day: ClassDay, sealed: bytes) -> str:
    key = keys.find(*day)
    if key is None:
        return ""
    try:
        return vault.open(key.data, _SEAT, b"", bytes(sealed)).decode()
    except SealBrokenError:
        # Its words are found whole all the same; the vault has told of it.
        return ""


def drop(connection: Connection, data_class: DataClass, before_day: int) -> None:
    """Delete the lists of a class that are older than a day."""
    older = (_VOCABULARY.c.data_class == str(data_class), _VOCABULARY.c.day < before_day)
    connection.execute(delete(_VOCABULARY).where(*older))
