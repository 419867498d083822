"""Puts batches into the archive, once each, however many gateways bring them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, select, tuple_

from meshnode.gateway.archive import vocabulary
from meshnode.gateway.archive.database import ArchiveDatabase
from meshnode.gateway.archive.keys import DayKeys, place_of
from meshnode.gateway.archive.records import Put, Taken
from meshnode.gateway.archive.schema import ArchivedRow, ContentRow, WordRow, table
from meshnode.gateway.archive.words import token, words_of
from meshnode.retention import CLASS_OF, DataClass
from meshnode.store.statements import signed64
from meshnode.vault.kinds import day_of
from meshnode.vault.vault import Vault
from protocol import payloads
from protocol.errors import RemoteProtocolError
from protocol.ids import BundleId, NodeId
from protocol.limits import Kind

__all__ = ["ARCHIVED_SEAT", "CHANNEL", "CONTENT_SEAT", "put", "text_of"]

CHANNEL: Final = "meshnode_archive"
"""Where gateways on one PostgreSQL tell each other what came."""
ARCHIVED_SEAT: Final = b"archived"
CONTENT_SEAT: Final = b"content"
_ARCHIVED = table(ArchivedRow)
_CONTENT = table(ContentRow)
_WORD = table(WordRow)
_PLAIN: Final = frozenset({Kind.TEXT, Kind.NOTE})
_ASKED_AT_ONCE: Final = 1_000
"""Hashes that one query asks for."""
_Name = tuple[bytes, int, int]


def put(
    database: ArchiveDatabase,
    connection: Connection,
    vault: Vault,
    entropy: Callable[[int], bytes],
    gateway: NodeId,
    batch: Sequence[Taken],
) -> Put:
    """Put a batch in the caller's transaction; what is there already is passed over.

    Raises: ArchiveKeyError, ArchiveError. Cost: about 20 µs for each of 500 in SQLite.
    """
    keys = DayKeys(database, connection, vault, entropy)
    keys.make_all(_class_and_day(each) for each in batch)
    containers = [each for each in batch if not each.is_content]
    contents = [each for each in batch if each.is_content]
    rows = [_archived(each, keys, vault, gateway) for each in _in_order(containers)]
    new = database.insert_new(connection, _ARCHIVED, rows)
    opened = _in_order(contents)
    rows = [_content(each, keys, vault, gateway) for each in opened]
    new_contents = database.insert_new(connection, _CONTENT, rows)
    if new_contents:
        _put_words(database, connection, vault, keys, opened)
    if new or new_contents:
        database.notify(connection, CHANNEL, f"{gateway.hex()} {new} {new_contents}")
    return Put(new, new_contents, len(batch) - new - new_contents)


def _in_order(batch: Iterable[Taken]) -> list[Taken]:
    # Two gateways that insert the same names in two orders would wait for each other.
    return sorted(batch, key=lambda each: _name(each.name))


def _archived(each: Taken, keys: DayKeys, vault: Vault, gateway: NodeId) -> tuple[Any, ...]:
    data_class, day = _class_and_day(each)
    sealed = vault.seal(
        keys.get(data_class, day).data, ARCHIVED_SEAT, place_of(each.name), each.raw
    )
    return (
        each.name.author,
        each.name.incarnation,
        signed64(each.name.seq),
        str(data_class),
        day,
        int(each.kind),
        each.scope,
        int.from_bytes(each.scope[1:3], "big"),
        each.created_ms,
        each.expires_ms,
        each.at_ms,
        len(each.raw),
        each.hops,
        each.digest,
        gateway,
        sealed,
    )


def _content(each: Taken, keys: DayKeys, vault: Vault, gateway: NodeId) -> tuple[Any, ...]:
    data_class, day = _class_and_day(each)
    sealed = vault.seal(keys.get(data_class, day).data, CONTENT_SEAT, place_of(each.name), each.raw)
    return (
        each.name.author,
        each.name.incarnation,
        signed64(each.name.seq),
        str(data_class),
        day,
        int(each.kind),
        each.scope,
        each.created_ms,
        each.at_ms,
        gateway,
        sealed,
    )


def _class_and_day(each: Taken) -> tuple[DataClass, int]:
    """Return by which rule a thing is kept, and from which day on: the earlier of its two."""
    return CLASS_OF[each.kind], day_of(min(each.created_ms, each.at_ms))


def _put_words(
    database: ArchiveDatabase,
    connection: Connection,
    vault: Vault,
    keys: DayKeys,
    contents: Sequence[Taken],
) -> None:
    told = {_name(each.name): each for each in contents if each.kind in _PLAIN | {Kind.SOS}}
    if not told:
        return
    query = select(_CONTENT.c.key, _CONTENT.c.author, _CONTENT.c.incarnation, _CONTENT.c.seq).where(
        tuple_(_CONTENT.c.author, _CONTENT.c.incarnation, _CONTENT.c.seq).in_(list(told))
    )
    rows = []
    named: dict[int, tuple[vocabulary.ClassDay, str]] = {}
    for key, *name in connection.execute(query):
        each = told[bytes(name[0]), name[1], name[2]]
        day = _class_and_day(each)
        hashed_by = keys.get(*day).words
        for word in words_of(text_of(each.kind, each)):
            number = token(word, hashed_by)
            rows.append((number, key))
            named[number] = day, word
    fresh: dict[vocabulary.ClassDay, set[str]] = {}
    for number in named.keys() - _known(connection, list(named)):
        day, word = named[number]
        fresh.setdefault(day, set()).add(word)
    database.insert_new(connection, _WORD, sorted(rows))
    vocabulary.note(database, connection, vault, keys, fresh)


def _known(connection: Connection, tokens: Sequence[int]) -> set[int]:
    """Return those of `tokens` that some content has."""
    found: set[int] = set()
    for start in range(0, len(tokens), _ASKED_AT_ONCE):
        part = tokens[start : start + _ASKED_AT_ONCE]
        query = select(_WORD.c.token).distinct().where(_WORD.c.token.in_(part))
        found.update(connection.execute(query).scalars())
    return found


def _name(name: BundleId) -> _Name:
    return bytes(name.author), name.incarnation, signed64(name.seq)


def text_of(kind: Kind, content: Any) -> str:
    """Return what somebody wrote in a content (with `name`, `scope`, `raw`); else nothing."""
    if kind in _PLAIN:
        return bytes(content.raw).decode()
    if kind is not Kind.SOS:
        return ""
    try:
        found = payloads.decode_untrusted(content.raw, content.name.author, content.scope)
    except RemoteProtocolError:
        # The archive keeps it as it is; it was readable to the gateway that opened it.
        return ""
    return found.text if isinstance(found, payloads.Sos) else ""
