"""The vectors of the wire format, read by the node and by the reference written from the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from protocol import limits
from protocol.errors import MeshError
from tests.reference.codec import RefusedError
from tests.vectors import readers
from tests.vectors.cases import CASES
from tests.vectors.readers import FILES, to_json

FOLDER = Path(readers.__file__).parent
PAGE = Path(limits.__file__).parents[1] / "docs" / "reference" / "wire-format.md"


def load(name: str) -> list[dict[str, Any]]:
    content: dict[str, list[dict[str, Any]]] = json.loads(
        (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    )
    return content["vectors"]


def _all(is_refused: bool) -> list[Any]:
    return [
        pytest.param(name, vector, id=f"{name}-{vector['clause']}-{vector['what'][:40]}")
        for name in FILES
        for vector in load(name)
        if vector.get("refused", False) is is_refused
    ]


@pytest.mark.parametrize(("name", "vector"), _all(is_refused=False))
def test_what_stands_in_a_vector_is_read(name: str, vector: dict[str, Any]) -> None:
    reader = FILES[name]
    assert to_json(reader.node(vector["input"])) == vector["output"]
    if reader.reference is not None:
        assert to_json(reader.reference(vector["input"])) == vector["output"]


@pytest.mark.parametrize(("name", "vector"), _all(is_refused=True))
def test_what_a_vector_refuses_is_refused(name: str, vector: dict[str, Any]) -> None:
    reader = FILES[name]
    with pytest.raises(MeshError):
        reader.node(vector["input"])
    if reader.reference is not None and reader.reference_refuses:
        with pytest.raises(RefusedError):
            reader.reference(vector["input"])


def test_every_file_has_a_reader_and_every_vector_its_clause() -> None:
    files = {path.stem for path in FOLDER.glob("*.json")}
    assert files == set(FILES) == set(CASES)
    page = PAGE.read_text(encoding="utf-8")
    clauses = set(re.findall(r"^(?:## )?(\d+(?:\.\d+)?)\.? ", page, re.MULTILINE))
    for name in FILES:
        vectors = load(name)
        assert len({(vector["clause"], vector["what"]) for vector in vectors}) == len(vectors)
        assert {vector["clause"] for vector in vectors} <= clauses
        assert any("output" in vector for vector in vectors)


def test_vectors_are_those_that_their_seeds_give() -> None:
    """Inputs are written from fixed seeds; only the ciphertexts of HPKE are kept as they were."""
    for name, make in CASES.items():
        for case, vector in zip(make(), load(name), strict=True):
            item = dict(vector["input"]) if name == "hpke" else vector["input"]
            if name == "hpke":
                del item["sealed"]
            assert (case.clause, case.what, case.input) == (
                vector["clause"],
                vector["what"],
                item,
            )
