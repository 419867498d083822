"""What a link costs to set up, beside bare TLS, and what an outsider costs that is refused.

Both ends run in this process over loopback, and only processor time counts, so the figures are
those of one core. A set-up goes from the connection over knock and TLS to both HELLOs admitted,
with real badges and certificates. All kinds are measured in turns, and the median turn of each
counts: what disturbs the machine for a moment disturbs one turn of each.
Source: security 2.3, 2.13.
"""

from __future__ import annotations

import base64
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from operator import truediv
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple, TypeVar

import trio

from meshnode.admission import Admission
from meshnode.enrol import make_keys
from meshnode.links.base import Address, Link
from meshnode.links.knocking import Knocks
from meshnode.links.tcp import TCPBearer
from meshnode.links.tls import TLSContexts, TLSFiles, make_contexts
from meshnode.runtime import Runtime, system_runtime
from protocol import issuing
from protocol.identity import DeviceClass, Rights, Role, binding_message
from protocol.ids import squad_id_of
from protocol.knock import KNOCK_BYTES
from protocol.network_keys import epoch_at
from protocol.session import HelloReceived, LocalHello, SessionRole, SyncSession

__all__ = ["STEPS", "measure"]

_T = TypeVar("_T")
OnStep = Callable[[int], None]
STEPS: Final = 8
"""Turns, in each of which everything is measured."""
_REFUSALS: Final = 10
"""Outsiders for each set-up: one costs so little that few of them measure the clock."""
_ZONE: Final = 7
_LOOP: Final = "127.0.0.1"
_PKCS8_ED25519: Final = bytes.fromhex("302e020100300506032b657004220420")
"""What stands before the 32 raw bytes of a private Ed25519 key. Source: RFC 8410, section 7."""
_PIECE_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class _Device:
    """One end: what it shows on a link."""

    contexts: TLSContexts
    """Loaded once, as a node does."""
    hello: LocalHello
    """With its badge, bound to its link certificate."""


class _Fleet:
    """Devices of one authority that trust each other and share a knock key."""

    def __init__(self, folder: Path, runtime: Runtime) -> None:
        now_ms = runtime.now_ms()
        self._root = issuing.make_root(now_ms)
        self._regional = issuing.make_regional(self._root, _ZONE, now_ms)
        self._folder = folder
        self._runtime = runtime
        self.anchors = (self._root.certificate,)
        self.keys = {epoch_at(now_ms): [runtime.entropy(32)]}

    def device(self) -> _Device:
        """Enrol one more."""
        keys, now_ms = make_keys(), self._runtime.now_ms()
        badge_key, link_key = keys.public
        rights = Rights(Role.AGENT, _ZONE, (squad_id_of(_ZONE, "measured"),), DeviceClass.PHONE)
        badge = issuing.issue_badge(self._regional, badge_key, rights, now_ms)
        link = issuing.issue_link(self._regional, link_key, now_ms)
        files = TLSFiles(self._folder / "key.pem", self._folder / "chain.pem")
        files.key.write_text(_pem_of(keys.link.private_bytes_raw()))
        files.chain.write_text("".join(ssl.DER_cert_to_PEM_cert(der) for der in link))
        contexts = make_contexts(files, self.anchors)
        binding = keys.badge.sign(binding_message(link[0]))
        return _Device(contexts, LocalHello(badge, binding, {}, self._runtime.entropy(16)))

    def bearer(self, device: _Device, listen: tuple[Address, ...] = ()) -> TCPBearer:
        """Return how a device dials and listens."""
        knocks = Knocks(self._runtime, lambda: self.keys)
        return TCPBearer(device.contexts, self._runtime, listen, knocks=knocks)


def _pem_of(raw: bytes) -> str:
    body = base64.b64encode(_PKCS8_ED25519 + raw).decode("ascii")
    return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"


def measure(links: int = 200, on_step: OnStep = lambda _done: None) -> dict[str, Any]:
    """Return what `links` set-ups of each kind cost; `on_step` is told how many of STEPS are done.

    Keys: schema, links, known_per_cpu_second, new_per_cpu_second, floor_per_cpu_second (both
    ends counted), known_floors, new_floors (a set-up in handshakes of the same turn), refused_us
    (both ends, the outsider's own socket calls included), refused_share (of a set-up with a known
    peer). Cost: about 15 ms for each of `links`, which is at least STEPS.
    """
    return trio.run(_measure, max(links, STEPS), on_step)


async def _measure(links: int, on_step: OnStep) -> dict[str, Any]:
    runtime, each = system_runtime(), links // STEPS
    with tempfile.TemporaryDirectory(prefix="meshnode-bench-") as name:
        fleet = _Fleet(Path(name), runtime)
        here, known = fleet.device(), fleet.device()
        strangers = iter([fleet.device() for _ in range(each * STEPS)])
    outsiders = iter(lambda: runtime.entropy(KNOCK_BYTES), None)
    end, turns = _End(fleet, here, runtime), _Turns([], [], [], [])
    async with trio.open_nursery() as nursery:
        await nursery.start(end.serve)
        await end.set_up(known)
        await end.refuse(next(outsiders))
        for turn in range(1, STEPS + 1):
            turns.floor.append(_floor(here.contexts, known.contexts, each))
            turns.known.append(await _cpu_s(end.set_up, repeat(known), each))
            turns.new.append(await _cpu_s(end.set_up, strangers, each))
            turns.refused.append(await _cpu_s(end.refuse, outsiders, each * _REFUSALS))
            on_step(turn)
        nursery.cancel_scope.cancel()
    return {
        "schema": 1,
        "links": each * STEPS,
        "known_per_cpu_second": round(1 / median(turns.known), 1),
        "new_per_cpu_second": round(1 / median(turns.new), 1),
        "floor_per_cpu_second": round(1 / median(turns.floor), 1),
        "known_floors": round(median(map(truediv, turns.known, turns.floor)), 2),
        "new_floors": round(median(map(truediv, turns.new, turns.floor)), 2),
        "refused_us": round(median(turns.refused) * 1e6, 1),
        "refused_share": round(median(map(truediv, turns.refused, turns.known)), 4),
    }


class _Turns(NamedTuple):
    """Processor time of one thing in each turn, seconds."""

    floor: list[float]
    """Of a bare handshake."""
    known: list[float]
    """Of a set-up with a peer that is known."""
    new: list[float]
    """Of a set-up with a peer that is met for the first time."""
    refused: list[float]
    """Of an outsider that is refused."""


async def _cpu_s(step: Callable[[_T], Awaitable[None]], things: Iterator[_T], count: int) -> float:
    """Return the processor time of one step, seconds."""
    started_s = time.process_time()
    for _ in range(count):
        await step(next(things))
    return (time.process_time() - started_s) / count


class _End:
    """The end that is dialled, and the hand that dials it."""

    def __init__(self, fleet: _Fleet, device: _Device, runtime: Runtime) -> None:
        self._fleet = fleet
        self._device = device
        self._runtime = runtime
        self._bearer = fleet.bearer(device, (Address(_LOOP, 0),))
        self._admission = Admission(runtime, self._bearer.metrics)
        self._admitted = trio.Event()
        self._address = Address(_LOOP, 0)

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Listen until cancelled."""
        async with trio.open_nursery() as nursery:
            (self._address,) = await nursery.start(self._bearer.serve, self._answer)
            task_status.started()

    async def _answer(self, link: Link) -> None:
        await self._greet(link, SessionRole.RESPONDER, self._device, self._admission)
        self._admitted.set()
        await link.receive(1)
        await link.aclose()

    async def set_up(self, device: _Device) -> None:
        """Let a device dial, and admit each other."""
        self._admitted = trio.Event()
        link = await self._fleet.bearer(device).dial(self._address)
        # The one who dials knows us already, or the cost of a badge would be counted twice.
        await self._greet(link, SessionRole.INITIATOR, device, self._admission)
        await self._admitted.wait()
        await link.aclose()

    async def _greet(
        self, link: Link, role: SessionRole, device: _Device, admission: Admission
    ) -> None:
        """Run a session until the peer is admitted and has our HELLO."""
        session, is_admitted = SyncSession(role, device.hello, 0), False
        while True:
            while (event := session.next_event()) is not None:
                if not isinstance(event, HelloReceived):
                    continue
                badge, _standing = await self._runtime.run_blocking(
                    admission.admit, link, event, self._fleet.anchors
                )
                session.admit(badge.node)
                is_admitted = True
            await link.send(session.data_to_send(_PIECE_BYTES, 0))
            if is_admitted:
                return
            session.receive_data(await link.receive(_PIECE_BYTES), 0)

    async def refuse(self, knock: bytes) -> None:
        """Knock as an outsider does, and wait until the socket is closed."""
        with trio.socket.socket() as outsider:
            await outsider.connect((self._address.host, self._address.port))
            await outsider.send(knock)
            assert await outsider.recv(1) == b"", "nothing is answered"


def _floor(ours: TLSContexts, theirs: TLSContexts, count: int) -> float:
    """Return the processor time of one bare handshake in memory, both ends, seconds."""
    started_s = time.process_time()
    for _ in range(count):
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = theirs.client.wrap_bio(to_client, to_server)
        server = ours.server.wrap_bio(to_server, to_client, server_side=True)
        for end in (client, server, client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
        assert server.getpeercert(binary_form=True) == theirs.certificate
    return (time.process_time() - started_s) / count
