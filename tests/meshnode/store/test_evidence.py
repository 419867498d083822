"""Proofs of two versions: kept once, and the first ones stay."""

from __future__ import annotations

from unittest.mock import patch

from meshnode.store import evidence
from meshnode.store.engine import Store
from meshnode.store.records import EvidenceRecord
from tests.meshnode.store.parts import NOW_MS, node


def _proof(number: int) -> EvidenceRecord:
    return EvidenceRecord(
        NOW_MS + number, node(1), f"subject {number}", b"d" * 32, b"raw %d" % number
    )


async def _note(store: Store, proof: EvidenceRecord) -> bool:
    return await store.write(lambda tx: evidence.note_equivocation(tx, proof))


async def test_a_proof_is_kept_once(store: Store) -> None:
    assert await _note(store, _proof(1))
    assert not await _note(store, _proof(1))
    assert await _note(store, _proof(2))
    assert await store.read(evidence.list_evidence) == [_proof(1), _proof(2)]


async def test_a_third_version_is_a_proof_too(store: Store) -> None:
    first = EvidenceRecord(NOW_MS, node(1), "same", b"d" * 32, b"second version")
    second = EvidenceRecord(NOW_MS, node(1), "same", b"d" * 32, b"third version")
    assert await _note(store, first)
    assert await _note(store, second)
    assert len(await store.read(evidence.list_evidence)) == 2


async def test_the_first_proofs_stay(store: Store) -> None:
    with patch.object(evidence, "EVIDENCE_MAX", 3):
        outcomes = [await _note(store, _proof(number)) for number in range(1, 6)]
    assert outcomes == [True, True, True, False, False]
    found = await store.read(evidence.list_evidence)
    assert [each.at_ms - NOW_MS for each in found] == [1, 2, 3]
    assert await store.read(lambda conn: evidence.list_evidence(conn, 1)) == [_proof(1)]
