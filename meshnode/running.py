"""A node in its home: identity and store from files, links over TCP, discovery, control socket.

`open_home` is what a single command needs, `run_home` what `meshnode run` does. Both hold the
home's lock as long as they have the store open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio

from meshnode.api import Api
from meshnode.config import Settings
from meshnode.control import connect, serve_control
from meshnode.discovery.addresses import AddressWatch
from meshnode.discovery.base import DEFAULT_PORT, Discovery
from meshnode.discovery.probe import UnicastProbe
from meshnode.enrol import load_identity
from meshnode.errors import HomeBusyError
from meshnode.home import BUSY_S_MAX, BUSY_STEP_S, Home, locked
from meshnode.knock_keys import KnockKeyring
from meshnode.links.base import Address, parse_address
from meshnode.links.knock_journal import KnockJournal
from meshnode.links.knocking import Knocks
from meshnode.links.tcp import TCPBearer
from meshnode.links.tls import TLSFiles, make_contexts
from meshnode.node import Node, NodeIdentity, NodeParts, Surroundings, open_node
from meshnode.runtime import Runtime
from meshnode.store import documents
from meshnode.store.engine import Store, open_store
from protocol import authority
from protocol.authority import DocumentClass
from protocol.envelope import HpkeSealer, Sealer
from protocol.identity import Role, rights_untrusted
from protocol.limits import PROBES_MAX
from protocol.routing import ROUTERS

__all__ = ["open_home", "run_home"]


@asynccontextmanager
async def open_home(
    home: Path, settings: Settings, runtime: Runtime, sealer: Sealer | None = None
) -> AsyncIterator[Node]:
    """Open the node of a home, alone. Raises: HomeError, EnrolmentError, StoreError, LinkError."""
    place = Home(home)
    identity = load_identity(home)
    rights = rights_untrusted(identity.badge_chain[0])
    with locked(place):
        async with open_store(place.store, runtime, bytes_max=settings.store.bytes_max) as store:
            keys = KnockKeyring(store)
            await keys.load()
            knocks = Knocks(
                runtime,
                keys,
                is_gateway=rights.role is Role.GATEWAY,
                journal=KnockJournal(place.knocks),
            )
            await knocks.recall()
            bearer = await _bearer(home, settings, runtime, store, knocks)
            parts = NodeParts(
                identity=NodeIdentity(
                    identity.node, rights.zone, identity.badge_chain, identity.badge_key.sign
                ),
                store=store,
                runtime=runtime,
                sealer=sealer or HpkeSealer(),
                router=ROUTERS[settings.routing.policy](),
                bearer=bearer,
                knock_keys=keys,
            )
            async with open_node(parts) as node:
                bearer.metrics = node.metrics
                node.membership.on_change.append(
                    lambda _raws, _source: _renew_contexts(home, node, bearer)
                )
                yield node


async def _bearer(
    home: Path, settings: Settings, runtime: Runtime, store: Store, knocks: Knocks
) -> TCPBearer:
    raws = await store.read(documents.all_raw)
    roots = [authority.decode_untrusted(raw) for raw in raws]
    anchors = [
        anchor
        for root in roots
        if root.cls is DocumentClass.ROOT
        for anchor in authority.decode_root_untrusted(root.body).anchors
    ]
    contexts = make_contexts(TLSFiles.in_home(home), anchors)
    listen = [_listen_address(text) for text in settings.links.listen]
    return TCPBearer(contexts, runtime, listen, knocks=knocks)


def _renew_contexts(home: Path, node: Node, bearer: TCPBearer) -> None:
    """Trust the roots that the documents in force name, on links made from now on."""
    bearer.contexts = make_contexts(TLSFiles.in_home(home), node.membership.root.anchors)


def _listen_address(text: str) -> Address:
    """Read an address to listen on, where port 0 stands for any free one. Raises: LinkError."""
    host, _, port = text.rpartition(":")
    if port == "0" and host:
        return Address(host.strip("[]"), 0)
    return parse_address(text, DEFAULT_PORT)


@asynccontextmanager
async def _open_free(home: Path, settings: Settings, runtime: Runtime) -> AsyncIterator[Node]:
    """Open the node of a home once the command that holds it, if one does, has ended."""
    deadline_s = trio.current_time() + BUSY_S_MAX
    async with AsyncExitStack() as stack:
        while True:
            try:
                node = await stack.enter_async_context(open_home(home, settings, runtime))
                break
            except HomeBusyError:
                if trio.current_time() > deadline_s or await _is_running(home):
                    raise
            await trio.sleep(BUSY_STEP_S)
        yield node


async def _is_running(home: Path) -> bool:
    """Return whether a running node answers in this home."""
    lines = await connect(Home(home).control_socket)
    if lines is not None:
        await lines.aclose()
    return lines is not None


async def run_home(
    home: Path,
    settings: Settings,
    runtime: Runtime,
    *,
    task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the node of a home until cancelled; starts with the node once it listens.

    Raises: HomeBusyError at once where a node runs already, and where a command keeps the home
    longer than `BUSY_S_MAX`; HomeError, EnrolmentError, StoreError, LinkError.
    """
    async with _open_free(home, settings, runtime) as node, trio.open_nursery() as nursery:
        surroundings = _surroundings(settings, runtime, node)
        await nursery.start(node.run, surroundings)
        await nursery.start(serve_control, Home(home).control_socket, Api(node), runtime)
        task_status.started(node)


def _surroundings(settings: Settings, runtime: Runtime, node: Node) -> Surroundings:
    static = tuple(parse_address(text, DEFAULT_PORT) for text in settings.links.static)
    watch = AddressWatch(runtime)

    async def last_known() -> Sequence[Address]:
        return await node.contact_log.addresses(PROBES_MAX)

    def discoveries(listening: Sequence[Address]) -> Sequence[Discovery]:
        found: list[Discovery] = []
        if settings.discovery.mdns and listening:
            # Imported here: a node that finds nobody by multicast needs no multicast library.
            from meshnode.discovery.mdns import MulticastDiscovery

            port = listening[0].port
            knocks = node.bearer.knocks if isinstance(node.bearer, TCPBearer) else None
            found.append(MulticastDiscovery(port, watch, runtime, node.metrics, knocks=knocks))
        if settings.discovery.probe:
            found.append(UnicastProbe(watch, runtime, node.metrics, last_known))
        return found

    async def follow() -> None:
        await watch.tell(lambda around: node.manager.moved(around.hosts))

    return Surroundings(
        static=static,
        is_serving=bool(settings.links.listen),
        discoveries=discoveries,
        watches=(watch.run, follow, *([node.knock_keys.run] if node.knock_keys else [])),
    )
