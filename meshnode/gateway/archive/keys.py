"""Keys of the archive: one for each class and day, and one for the words of that day.

The vault of the archive is that of the store with one master key for both tiers. A day's key is
looked up in the transaction that uses it and remembered no longer: it may be undone with it, or
destroyed by another gateway. Source: decision 54, security 2.10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from meshnode.errors import ArchiveKeyError, ArchiveReason, SealBrokenError
from meshnode.gateway.archive.database import ArchiveDatabase
from meshnode.gateway.archive.schema import DayKeyRow, table
from meshnode.gateway.archive.words import WORD_KEY_BYTES
from meshnode.retention import DataClass
from meshnode.vault.vault import MASTER_BYTES, DataKey, Vault
from protocol.canonical import encode
from protocol.ids import BundleId

__all__ = ["DayKey", "DayKeys", "archive_vault", "is_used", "place_of"]

_DAY_KEY = table(DayKeyRow)
_WORDS = b"day_key.words"


class DayKey(NamedTuple):
    """What seals one class and day."""

    data: DataKey
    """Seals containers and contents."""
    words: bytes
    """Hashes words, 32 bytes."""

    def __repr__(self) -> str:
        return "<DayKey>"


def archive_vault(master: bytes, entropy: Callable[[int], bytes]) -> Vault:
    """Return the vault under the key that all gateways of an archive share, 32 bytes."""
    if len(master) != MASTER_BYTES:
        raise ArchiveKeyError("the key of an archive has 32 bytes")
    return Vault(master, entropy, master)


def place_of(name: BundleId) -> bytes:
    """Return where a sealed value of this name stands in its table."""
    return encode([name.author, name.incarnation, name.seq.to_bytes(8, "big")])


def is_used(connection: Connection, vault: Vault) -> bool:
    """True once there is a key of any day. Raises: ArchiveKeyError where it does not open."""
    row = connection.execute(select(_DAY_KEY).order_by(_DAY_KEY.c.day).limit(1)).first()
    if row is not None:
        _opened(vault, DataClass(row.data_class), row.day, row)
    return row is not None


def _opened(vault: Vault, data_class: DataClass, day: int, row: Any) -> DayKey:
    data = DataKey(data_class.kind, day, bytes(row.wrapped))
    try:
        return DayKey(data, vault.open(data, _WORDS, b"", bytes(row.words)))
    except SealBrokenError as error:
        raise ArchiveKeyError(
            "a key of the archive does not open: it is damaged, or this gateway has the key "
            "of another archive: bring it by 'meshnode gateway key import'",
            ArchiveReason.OTHER_KEY,
        ) from error


class DayKeys:
    """The keys of one transaction."""

    def __init__(
        self,
        database: ArchiveDatabase,
        connection: Connection,
        vault: Vault,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._database = database
        self._connection = connection
        self._vault = vault
        self._entropy = entropy
        self._found: dict[tuple[DataClass, int], DayKey | None] = {}

    def find(self, data_class: DataClass, day: int) -> DayKey | None:
        """Return the key of a class and day; None where there is none, or it was destroyed.

        Raises: ArchiveKeyError where it is of another archive, or damaged.
        """
        if (data_class, day) not in self._found:
            self._found[data_class, day] = self._read(data_class, day)
        return self._found[data_class, day]

    def find_all(self, data_class: DataClass, first_day: int, last_day: int) -> list[int]:
        """Look up the keys of a class and a run of days at once; return the days that have one.

        Raises: as `find`.
        """
        query = select(_DAY_KEY).where(
            _DAY_KEY.c.data_class == str(data_class),
            _DAY_KEY.c.day.between(first_day, last_day),
        )
        days = []
        for row in self._connection.execute(query):
            self._found[data_class, row.day] = _opened(self._vault, data_class, row.day, row)
            days.append(row.day)
        return days

    def make_all(self, wanted: Iterable[tuple[DataClass, int]]) -> None:
        """Have the keys of these classes and days, made in this transaction if need be.

        One gateway makes keys at a time, until its transaction ends, and nothing else was written
        in that before: so none waits for another in a ring, and two that begin an archive with two
        keys do not both fill it. Raises: as `find`; ArchiveKeyError where the archive is that of
        another key.
        """
        missing = [each for each in sorted(set(wanted)) if self.find(*each) is None]
        if not missing:
            return
        self._database.lock(self._connection)
        is_used(self._connection, self._vault)
        for data_class, day in missing:
            self._make(data_class, day)

    def get(self, data_class: DataClass, day: int) -> DayKey:
        """Return a key that `make_all` had."""
        found = self.find(data_class, day)
        assert found is not None, "the keys of a batch are made before it"
        return found

    def _make(self, data_class: DataClass, day: int) -> None:
        fresh = self._vault.make_key(data_class.kind, day)
        words = self._vault.seal(fresh, _WORDS, b"", self._entropy(WORD_KEY_BYTES))
        row = (str(data_class), day, fresh.wrapped, words)
        self._database.insert_new(self._connection, _DAY_KEY, [row])
        made = self._found[data_class, day] = self._read(data_class, day)
        if made is None:
            raise ArchiveKeyError("a key of the archive went away while it was made")

    def _read(self, data_class: DataClass, day: int) -> DayKey | None:
        query = select(_DAY_KEY.c.wrapped, _DAY_KEY.c.words).where(
            _DAY_KEY.c.data_class == str(data_class), _DAY_KEY.c.day == day
        )
        row = self._connection.execute(query).first()
        return None if row is None else _opened(self._vault, data_class, day, row)
