"""The bare pipeline that `meshnode bench sync` is compared with, run as two processes.

Mutual TLS 1.3, one Ed25519 verification per bundle, SQLite with synchronous=FULL in batches of
250, one acknowledgement per batch, and nothing else: no discovery, policy, ledger, routing or
reconciliation. A short contact goes before the measured one, as for the nodes. It is what
physics and the libraries cost on this machine in this minute.
"""

from __future__ import annotations

import json
import sqlite3
import ssl
import sys
from pathlib import Path

import trio

from meshnode.bench.meter import Meter
from meshnode.enrol import link_password, open_keys
from meshnode.links.tls import TLSFiles, make_contexts
from meshnode.runtime import system_runtime
from protocol import bundle as bundles

__all__ = ["items_of", "link_files", "main", "receive_all", "send_all"]

_BATCH = 250
_PIECE_BYTES = 65_536


def items_of(buffer: bytearray) -> list[bytes]:
    """Cut the complete length-prefixed items off the front of `buffer`."""
    items, start = [], 0
    while start + 4 <= len(buffer):
        end = start + 4 + int.from_bytes(buffer[start : start + 4], "big")
        if end > len(buffer):
            break
        items.append(bytes(buffer[start + 4 : end]))
        start = end
    del buffer[:start]
    return items


async def send_all(stream: trio.abc.Stream, rows: list[bytes]) -> None:
    """Send every row in pieces of 64 KiB and wait for the last acknowledgement."""
    piece = bytearray()
    for raw in rows:
        piece += len(raw).to_bytes(4, "big") + raw
        if len(piece) >= _PIECE_BYTES:
            await stream.send_all(bytes(piece))
            piece.clear()
    await stream.send_all(bytes(piece) + b"\0\0\0\0")
    acknowledged = 0
    while acknowledged < len(rows):
        data = await stream.receive_some(64)
        if not data:
            raise ConnectionError("the receiver went away before it acknowledged everything")
        acknowledged += 250 * len(data)


async def receive_all(
    stream: trio.abc.Stream, connection: sqlite3.Connection, public_key: bytes
) -> int:
    """Verify and store every item until the empty one; return how many were stored."""
    key = bundles.load_public_key(public_key)
    buffer, batch, stored, ended = bytearray(), list[bytes](), 0, False
    while not ended:
        data = await stream.receive_some(_PIECE_BYTES)
        if not data:
            raise ConnectionError("the sender went away")
        buffer += data
        for raw in items_of(buffer):
            ended = not raw
            if raw:
                batch.append(raw)
            if len(batch) == _BATCH or (ended and batch):
                stored += _store(connection, batch, key)
                batch.clear()
                await stream.send_all(b"a")
    return stored


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE item (id BLOB PRIMARY KEY, raw BLOB) WITHOUT ROWID")
    return connection


def link_files(home: Path) -> TLSFiles:
    """Return what the TLS library loads of a home."""
    return TLSFiles.in_home(home, link_password(open_keys(home, system_runtime()).open_vault()))


def _store(connection: sqlite3.Connection, batch: list[bytes], key: bundles.PublicKey) -> int:
    rows = []
    for raw in batch:
        bundle = bundles.decode_untrusted(raw)
        bundles.verify(bundle, key)
        rows.append((bundle.digest, raw))
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO item VALUES (?, ?)", rows)
    connection.execute("COMMIT")
    return len(rows)


async def _receiver(folder: Path, meter: Meter) -> None:
    _client, server = make_contexts(link_files(folder))
    public_key = (folder / "author").read_bytes()
    connection = _open(folder / "floor.sqlite")
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print(json.dumps({"port": listener.socket.getsockname()[1]}), flush=True)  # noqa: T201 - the protocol with the parent
    stored = 0
    for is_measured in (False, True):
        raw = await listener.accept()
        if is_measured:
            meter.start()
        counted = meter.count(raw) if is_measured else raw
        stream = trio.SSLStream(counted, server, server_side=True, https_compatible=True)
        stored = await receive_all(stream, connection, public_key)
    print(json.dumps(meter.stop() | {"stored": stored}), flush=True)  # noqa: T201
    connection.close()


async def _sender(folder: Path, port: int, contacts: list[list[bytes]], meter: Meter) -> None:
    """Hand over the rows of each contact; the last one is measured."""
    client, _server = make_contexts(link_files(folder))
    for rows in contacts:
        is_measured = rows is contacts[-1]
        if is_measured:
            meter.start()
        raw = await trio.open_tcp_stream("127.0.0.1", port)
        stream = trio.SSLStream(
            meter.count(raw) if is_measured else raw, client, https_compatible=True
        )
        try:
            await send_all(stream, rows)
        except (trio.BrokenResourceError, ssl.SSLError) as error:
            raise ConnectionError("the floor's link broke") from error
    print(json.dumps(meter.stop()), flush=True)  # noqa: T201


def main(arguments: list[str]) -> None:
    """Run one end: `receive FOLDER` or `send FOLDER PORT WARM_UP_FILE BUNDLES_FILE`."""
    meter = Meter()
    folder = Path(arguments[1])
    if arguments[0] == "receive":
        trio.run(_receiver, folder, meter)
    else:
        contacts = [items_of(bytearray(Path(name).read_bytes())) for name in arguments[3:]]
        trio.run(_sender, folder, int(arguments[2]), contacts, meter)


if __name__ == "__main__":
    main(sys.argv[1:])
