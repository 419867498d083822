"""`meshnode run` for a home whose keys lie behind a secret: `locked_child.py HOME [--locked]`.

What the secret opens is a marker that the test looks for in the memory of this process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from meshnode.cli.serving import run_until_told
from meshnode.cli.texts import offered_secret
from meshnode.running import Access
from tests.meshnode.agent_secrets import SealedKeys

SEALED = "sealed.pem"
"""File of a home that holds the sealed key of its badge."""


def marker_of(secret: str) -> bytes:
    """Return 32 bytes that only the secret leads to."""
    return Scrypt(salt=b"marker of a test", length=32, n=1024, r=8, p=1).derive(secret.encode())


class MarkedKeys(SealedKeys):
    """Keys that leave a mark in memory as long as they are open."""

    marker = b""

    def unlock(self, secret: str) -> Callable[[bytes], bytes]:
        sign = super().unlock(secret)
        self.marker = marker_of(secret)
        return sign


def marked_keys(home: Path) -> MarkedKeys:
    """Return the keys of a home."""
    return MarkedKeys((home / SEALED).read_bytes())


def main(arguments: list[str]) -> None:
    """Run the node until it is told to stop."""
    access = Access(
        partial(offered_secret, None, is_asked=False),
        is_held="--locked" in arguments,
        keys=marked_keys,
    )
    run_until_told(Path(arguments[0]), None, access)


if __name__ == "__main__":
    main(sys.argv[1:])
