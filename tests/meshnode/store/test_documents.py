"""Documents in force: one per class and scope."""

from __future__ import annotations

from dataclasses import replace

from meshnode.store import documents
from meshnode.store.engine import Store
from meshnode.store.records import DocumentRecord
from tests.meshnode.store.parts import NOW_MS


def _document(document_class: int, scope: bytes = b"", version: int = 1) -> DocumentRecord:
    raw = b"%d %b %d" % (document_class, scope, version)
    return DocumentRecord(document_class, scope, 1, version, raw.ljust(32), raw, NOW_MS)


async def _put(store: Store, *made: DocumentRecord) -> None:
    for each in made:
        await store.write(lambda tx, one=each: documents.put(tx, one))  # type: ignore[misc]


async def test_a_document_replaces_its_predecessor(store: Store) -> None:
    await _put(store, _document(2, b"a"), _document(2, b"b"), _document(2, b"a", 5))
    assert await store.read(lambda conn: documents.get(conn, (2, b"a"))) == _document(2, b"a", 5)
    assert await store.read(documents.versions) == {(2, b"a"): (1, 5), (2, b"b"): (1, 1)}


async def test_nothing_is_there_before_it_is_put(store: Store) -> None:
    assert await store.read(lambda conn: documents.get(conn, (1, b""))) is None
    assert await store.read(documents.all_raw) == []


async def test_roots_come_first(store: Store) -> None:
    made = [_document(1), _document(2, b"a"), _document(2, b"b"), _document(3)]
    await _put(store, *reversed(made))
    assert await store.read(documents.all_documents) == made
    assert await store.read(documents.all_raw) == [each.raw for each in made]
    keys = [(3, b""), (1, b""), (9, b"")]
    wanted = await store.read(lambda conn: documents.raw_many(conn, keys))
    assert wanted == [made[0].raw, made[3].raw]


async def test_numbers_keep_their_size(store: Store) -> None:
    made = replace(_document(4, b"x"), epoch=2**32 - 1, version=2**62, received_ms=2**48)
    await _put(store, made)
    assert await store.read(documents.all_documents) == [made]
