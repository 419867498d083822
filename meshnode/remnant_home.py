"""Runs what is left of a wiped device in its home: links, discovery, delivery, and the end.

Source: security 2.9.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from meshnode.discovery.addresses import AddressWatch
from meshnode.discovery.base import DEFAULT_PORT, Discovery
from meshnode.discovery.probe import UnicastProbe
from meshnode.errors import LinkError
from meshnode.knock_keys import keys_by_epoch
from meshnode.links.base import Address, parse_address
from meshnode.links.contacts import Hint
from meshnode.links.knocking import Knocks
from meshnode.links.tcp import TCPBearer
from meshnode.links.tls import TLSFiles, make_contexts
from meshnode.metrics import Metrics
from meshnode.proving import Finder, Prover
from meshnode.remnant import Remnant, RemnantFiles
from meshnode.runtime import Runtime
from meshnode.supervisor import keep_running
from protocol import authority

__all__ = ["run_remnant"]


async def run_remnant(home: Path, runtime: Runtime) -> None:
    """Deliver the proof of the remnant in a home, then erase the remnant.

    The caller holds the home's lock. Returns at once where nothing can be delivered.
    Raises: OSError.
    """
    files = RemnantFiles(home)
    remnant = files.read()
    if remnant is not None:
        try:
            has_delivered = await _deliver(files, remnant, runtime)
        except LinkError as error:
            # A damaged key or certificate: nobody will ever take the proof.
            runtime.trace("remnant_broken", reason=type(error).__name__)
            has_delivered = False
        runtime.trace("wipe_step", step="delivered" if has_delivered else "given up")
    await runtime.run_blocking(files.erase)


async def _deliver(files: RemnantFiles, remnant: Remnant, runtime: Runtime) -> bool:
    root = authority.decode_root_untrusted(authority.decode_untrusted(remnant.documents[0]).body)
    tls = TLSFiles(files.link_key, files.link_chain, password=remnant.password)
    keys = keys_by_epoch(dict(remnant.knock_keys))
    bearer = TCPBearer(
        make_contexts(tls, root.anchors),
        runtime,
        _addresses(remnant.listen),
        knocks=Knocks(runtime, lambda: keys),
    )
    metrics = Metrics()
    bearer.metrics = metrics
    prover = Prover(remnant, bearer, runtime, metrics)
    finders = partial(_finders, remnant, bearer, runtime, metrics)
    places = _addresses(remnant.places)
    return await prover.run(places, finders, is_serving=bool(remnant.listen))


def _addresses(texts: Sequence[str]) -> list[Address]:
    """Read addresses; what is none any more is left out."""
    found = []
    for text in texts:
        try:
            found.append(parse_address(text, DEFAULT_PORT))
        except LinkError:
            continue
    return found


def _finders(
    remnant: Remnant,
    bearer: TCPBearer,
    runtime: Runtime,
    metrics: Metrics,
    listening: Sequence[Address],
) -> list[Finder]:
    watch = AddressWatch(runtime)
    found: list[Discovery] = []
    if remnant.has_multicast and listening:
        # Imported here: a device that finds nobody by multicast needs no multicast library.
        from meshnode.discovery.mdns import MulticastDiscovery

        port = listening[0].port
        found.append(MulticastDiscovery(port, watch, runtime, metrics, knocks=bearer.knocks))
    if remnant.has_probe:
        found.append(UnicastProbe(watch, runtime, metrics, _nowhere))

    async def look(_hints: trio.MemorySendChannel[Hint]) -> None:
        await watch.run()

    rooms = {type(each).__name__: each.run for each in found} | ({"watch": look} if found else {})
    return [_kept(name, room, runtime, metrics) for name, room in rooms.items()]


def _kept(name: str, room: Finder, runtime: Runtime, metrics: Metrics) -> Finder:
    async def run(hints: trio.MemorySendChannel[Hint]) -> None:
        await keep_running(name, partial(room, hints), runtime, metrics)

    return run


async def _nowhere() -> Sequence[Address]:
    return ()
