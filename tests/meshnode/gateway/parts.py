"""What the tests of the archive share: things to put in, a clock, a badge."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshnode.gateway.archive.purging import Scribe
from meshnode.gateway.archive.records import Taken
from meshnode.runtime import Runtime, silent, system_runtime
from meshnode.vault.kinds import DAY_MS
from protocol.bundle import Scope
from protocol.errors import AuthenticationError
from protocol.ids import BundleId, NodeId, squad_id_of
from protocol.limits import Kind

NOW_MS = 1_800_000_000_000
TODAY = NOW_MS // DAY_MS
MASTER = bytes(range(32))
CODT = Scope.for_codt(1).encode()
SQUAD = Scope.for_squad(1, squad_id_of(1, "Queyras")).encode()


def node(number: int) -> NodeId:
    return NodeId(hashlib.sha256(b"node %d" % number).digest()[:16])


def runtime(now_ms: Callable[[], int] = lambda: NOW_MS) -> Runtime:
    real = system_runtime()
    return Runtime(now_ms, real.entropy, real.run_blocking, silent)


def bundle(seq: int, kind: Kind = Kind.TEXT, *, author: int = 1, **changes: Any) -> Taken:
    """Return a container; its bytes tell its name, so that they are found in files."""
    name = BundleId(node(author), 7, seq)
    raw = b"container %d of %d " % (seq, author) * 9
    made = Taken(
        is_content=False,
        name=name,
        digest=hashlib.sha256(raw).digest(),
        kind=kind,
        scope=CODT,
        created_ms=NOW_MS + seq,
        expires_ms=NOW_MS + DAY_MS,
        at_ms=NOW_MS + 1000 + seq,
        hops=2,
        raw=raw,
    )
    return made._replace(**changes)


def text(seq: int, words: str, *, author: int = 1, **changes: Any) -> Taken:
    """Return an opened text."""
    plain: dict[str, Any] = {"is_content": True, "digest": b"", "hops": 0, "raw": words.encode()}
    return bundle(seq, author=author)._replace(**plain | changes)


class Badge:
    """Signs as one gateway, and tells whether one has signed."""

    def __init__(self, number: int = 90) -> None:
        self.node = node(number)
        self._key = Ed25519PrivateKey.generate()

    def scribe(self, now_ms: Callable[[], int] = lambda: NOW_MS) -> Scribe:
        return Scribe(self.node, self._key.sign, now_ms)

    def check(self, gateway: NodeId, message: bytes, signature: bytes) -> None:
        if gateway != self.node:
            raise AuthenticationError("a stranger")
        try:
            self._key.public_key().verify(signature, message)
        except InvalidSignature as error:
            raise AuthenticationError("not by this badge") from error
