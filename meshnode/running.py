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
from meshnode.enrol import DeviceIdentity, badge_key, is_enrolled, load_identity, open_keys
from meshnode.errors import HomeBusyError
from meshnode.home import BUSY_S_MAX, BUSY_STEP_S, Home, locked
from meshnode.links.base import Address, parse_address
from meshnode.links.tcp import TCPBearer
from meshnode.links.tls import TLSFiles, make_contexts
from meshnode.node import Node, NodeIdentity, NodeParts, Surroundings, open_node
from meshnode.runtime import Runtime
from meshnode.store import documents
from meshnode.store.engine import Store, open_store
from protocol import authority
from protocol.authority import DocumentClass
from protocol.envelope import HpkeSealer, Sealer
from protocol.identity import rights_untrusted
from protocol.limits import PROBES_MAX
from protocol.routing import ROUTERS

__all__ = ["needs_secret", "open_home", "run_home"]


@asynccontextmanager
async def open_home(
    home: Path,
    settings: Settings,
    runtime: Runtime,
    sealer: Sealer | None = None,
    *,
    secret: str | None = None,
) -> AsyncIterator[Node]:
    """Open the node of a home, alone.

    The agent's tier is opened by `secret`, or of itself on an unattended device; without either
    it stays locked. Raises: HomeError, EnrolmentError, KeystoreError, StoreError, LinkError.
    """
    place, keys = Home(home), open_keys(home, runtime)
    with locked(place):
        vault = keys.open_vault()
        if vault.is_locked and secret is not None:
            vault.unlock(await runtime.run_blocking(keys.agent_master, secret))
        identity = load_identity(home, vault)
        rights = rights_untrusted(identity.badge_chain[0])
        size = settings.store.bytes_max
        async with open_store(place.store, runtime, bytes_max=size, vault=vault) as store:
            bearer = await _bearer(identity, settings, runtime, store)
            parts = NodeParts(
                identity=NodeIdentity(
                    identity.node,
                    rights.zone,
                    identity.badge_chain,
                    lambda message: badge_key(home, vault).sign(message),
                ),
                store=store,
                runtime=runtime,
                sealer=sealer or HpkeSealer(),
                router=ROUTERS[settings.routing.policy](),
                bearer=bearer,
            )
            async with open_node(parts) as node:
                bearer.metrics = node.metrics
                vault.on_broken = lambda _kind: node.metrics.count("seals_broken")
                node.membership.on_change.append(
                    lambda _raws, _source: _renew_contexts(identity, node, bearer)
                )
                yield node


def needs_secret(home: Path, runtime: Runtime) -> bool:
    """True if somebody must give a secret to open all of this home. Raises: KeystoreError."""
    if not is_enrolled(home):
        return False
    keys = open_keys(home, runtime)
    return not keys.is_wiped and not keys.is_unattended


def _tls_files(identity: DeviceIdentity) -> TLSFiles:
    return TLSFiles(
        identity.link_key_path, identity.link_chain_path, password=identity.link_password
    )


async def _bearer(
    identity: DeviceIdentity, settings: Settings, runtime: Runtime, store: Store
) -> TCPBearer:
    raws = await store.read(documents.all_raw)
    roots = [authority.decode_untrusted(raw) for raw in raws]
    anchors = [
        anchor
        for root in roots
        if root.cls is DocumentClass.ROOT
        for anchor in authority.decode_root_untrusted(root.body).anchors
    ]
    contexts = make_contexts(_tls_files(identity), anchors)
    listen = [_listen_address(text) for text in settings.links.listen]
    return TCPBearer(contexts, runtime, listen)


def _renew_contexts(identity: DeviceIdentity, node: Node, bearer: TCPBearer) -> None:
    """Trust the roots that the documents in force name, on links made from now on."""
    bearer.contexts = make_contexts(_tls_files(identity), node.membership.root.anchors)


def _listen_address(text: str) -> Address:
    """Read an address to listen on, where port 0 stands for any free one. Raises: LinkError."""
    host, _, port = text.rpartition(":")
    if port == "0" and host:
        return Address(host.strip("[]"), 0)
    return parse_address(text, DEFAULT_PORT)


@asynccontextmanager
async def _open_free(
    home: Path, settings: Settings, runtime: Runtime, secret: str | None
) -> AsyncIterator[Node]:
    """Open the node of a home once the command that holds it, if one does, has ended."""
    deadline_s = trio.current_time() + BUSY_S_MAX
    async with AsyncExitStack() as stack:
        while True:
            try:
                opened = open_home(home, settings, runtime, secret=secret)
                node = await stack.enter_async_context(opened)
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
    secret: str | None = None,
    *,
    task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the node of a home until cancelled; starts with the node once it listens.

    `secret` opens the agent's tier, which an unattended device opens of itself.

    Raises: HomeBusyError at once where a node runs already, and where a command keeps the home
    longer than `BUSY_S_MAX`; HomeError, EnrolmentError, StoreError, LinkError.
    """
    async with _open_free(home, settings, runtime, secret) as node, trio.open_nursery() as nursery:
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

            found.append(MulticastDiscovery(listening[0].port, watch, runtime, node.metrics))
        if settings.discovery.probe:
            found.append(UnicastProbe(watch, runtime, node.metrics, last_known))
        return found

    async def follow() -> None:
        await watch.tell(lambda around: node.manager.moved(around.hosts))

    return Surroundings(
        static=static,
        is_serving=bool(settings.links.listen),
        discoveries=discoveries,
        watches=(watch.run, follow),
    )
