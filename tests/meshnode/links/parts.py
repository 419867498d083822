"""Parts shared by the tests of links: a small authority, a runtime, pairs of links."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from random import Random

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509 import load_der_x509_certificate

from meshnode.links.base import Address, Link
from meshnode.links.tcp import TCPBearer
from meshnode.links.tls import TLSContexts, TLSFiles, make_contexts
from meshnode.runtime import Runtime
from protocol import issuing

NOW_MS = 1_600_000_000_000
"""Long past for OpenSSL's own clock: only ours may count."""
DAY_MS = 86_400_000


def pem(der: bytes) -> bytes:
    return load_der_x509_certificate(der).public_bytes(Encoding.PEM)


class Authority:
    """A root and a regional authority that issue link certificates."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.root = issuing.make_root(now_ms)
        self.regional = issuing.make_regional(self.root, 7, now_ms)

    def device(self, folder: Path, *, now_ms: int = NOW_MS, password: bytes = b"") -> TLSFiles:
        """Write the files of a new device and return where they are."""
        key = Ed25519PrivateKey.generate()
        chain = issuing.issue_link(self.regional, key.public_key().public_bytes_raw(), now_ms)
        folder.mkdir(parents=True, exist_ok=True)
        encryption = BestAvailableEncryption(password) if password else NoEncryption()
        (folder / "link.pem").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        )
        (folder / "chain.pem").write_bytes(b"".join(pem(der) for der in chain))
        return TLSFiles(folder / "link.pem", folder / "chain.pem", password=password)

    def contexts(self, *, now_ms: int = NOW_MS) -> TLSContexts:
        """Return the contexts of a new device of this network."""
        with tempfile.TemporaryDirectory() as folder:
            files = self.device(Path(folder), now_ms=now_ms)
            return make_contexts(files, [self.root.certificate])


@cache
def network() -> Authority:
    return Authority()


@cache
def outsiders() -> Authority:
    return Authority()


def runtime(
    now_ms: int = NOW_MS,
    seed: int = 0,
    trace: Callable[..., None] = lambda event, **fields: None,
) -> Runtime:
    """Return a runtime whose wall clock stands still, or follows trio's under a virtual one."""
    random = Random(seed)

    async def run_inline(function, *args, limiter=None):  # type: ignore[no-untyped-def]
        await trio.lowlevel.checkpoint()
        return function(*args)

    return Runtime(
        now_ms=lambda: now_ms,
        entropy=random.randbytes,
        run_blocking=run_inline,
        trace=trace,
    )


@asynccontextmanager
async def serving(
    bearer: TCPBearer, handler: Callable[[Link], object]
) -> AsyncIterator[Sequence[Address]]:
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(bearer.serve, handler)
        yield addresses
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def tcp_pair() -> AsyncIterator[tuple[Link, Link]]:
    """Both ends of a TLS link over loopback."""
    anywhere = [Address("127.0.0.1", 0)]
    server = TCPBearer(network().contexts(), runtime(), anywhere)
    client = TCPBearer(network().contexts(), runtime())
    accepted, arrivals = trio.open_memory_channel[Link](1)

    async def keep(link: Link) -> None:
        await accepted.send(link)
        await trio.sleep_forever()

    async with serving(server, keep) as (address,):
        dialled = await client.dial(address)
        answered = await arrivals.receive()
        yield dialled, answered
        await dialled.aclose()
        await answered.aclose()
