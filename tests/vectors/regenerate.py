"""Write all vectors anew from fixed seeds: `python -m tests.vectors.regenerate`.

For whoever changes the wire format, never for a test: a vector that changes means that old and
new nodes no longer understand each other. The ciphertexts in `hpke.json` are kept as long as they
open, since the library draws their randomness itself.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from protocol import envelope
from protocol.errors import MeshError
from tests.vectors.cases import CASES
from tests.vectors.readers import FILES, Reader, to_json
from tests.vectors.seeds import PREKEY_PUBLIC, Case

__all__ = ["main"]

FOLDER = Path(__file__).parent
PLAINTEXT = b"a payload that was sealed once"


def main() -> int:
    """Write every file; say which of them changed. Returns: 0."""
    for name, make in CASES.items():
        path = FOLDER / f"{name}.json"
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        kept = json.loads(before)["vectors"] if before else []
        cases = [_sealed(case, kept) if name == "hpke" else case for case in make()]
        vectors = [_vector(case, FILES[name]) for case in cases]
        after = json.dumps({"vectors": vectors}, indent=1, ensure_ascii=False) + "\n"
        path.write_text(after, encoding="utf-8")
        print(f"{path.name}: {len(vectors)} vectors{'' if after == before else ', changed'}")
    return 0


def _vector(case: Case, reader: Reader) -> dict[str, Any]:
    vector = {"clause": case.clause, "what": case.what, "input": case.input}
    if case.is_refused:
        try:
            reader.node(case.input)
        except MeshError:
            return vector | {"refused": True}
        raise SystemExit(f"{case.clause} {case.what} should be refused, and is not")
    output = to_json(reader.node(case.input))
    if reader.reference is not None and to_json(reader.reference(case.input)) != output:
        raise SystemExit(f"{case.clause} {case.what}: node and reference do not agree")
    return vector | {"output": output}


def _sealed(case: Case, kept: list[dict[str, Any]]) -> Case:
    """Return the case with the ciphertext that stands in the file, or with a fresh one."""
    for vector in kept:
        if {**vector["input"], "sealed": ""} == {**case.input, "sealed": ""}:
            item = vector["input"]
            if FILES["hpke"].node(item) == PLAINTEXT:
                return Case(case.clause, case.what, item)
    info = bytes.fromhex(case.input["info"])
    if case.input["suite"] == 3:
        sealed = envelope.seal_classical(PREKEY_PUBLIC, info, PLAINTEXT)
    else:
        sealed = envelope.HpkeSealer().seal_hybrid(PREKEY_PUBLIC, info, PLAINTEXT)
    return Case(case.clause, case.what, case.input | {"sealed": sealed.hex()})


if __name__ == "__main__":
    sys.exit(main())
