"""A node in its home: identity and store from files, links over TCP, discovery, control socket.

`open_home` is what a single command needs, `run_home` what `meshnode run` does. Both hold the
home's lock as long as they have the store open, and open the desk if they can: an unattended
device by itself, another one if they are given the agent's secret.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from meshnode.api import Api
from meshnode.binding import bind, load_binding
from meshnode.config import Settings
from meshnode.control import connect, serve_control
from meshnode.discovery.addresses import AddressWatch
from meshnode.discovery.base import DEFAULT_PORT, Discovery
from meshnode.discovery.probe import UnicastProbe
from meshnode.enrol import DeviceIdentity, load_identity
from meshnode.errors import HomeBusyError, HomeError, LockedError
from meshnode.home import BUSY_S_MAX, BUSY_STEP_S, Home, locked
from meshnode.lease import BeaconView, BoundFile
from meshnode.links.base import Address, parse_address
from meshnode.links.tcp import TCPBearer
from meshnode.links.tls import TLSFiles, make_contexts
from meshnode.locking import AgentKeys, Guard, GuardParts, SecretCase
from meshnode.node import Node, NodeIdentity, NodeParts, Surroundings, open_node
from meshnode.runtime import Runtime
from meshnode.store import documents
from meshnode.store.engine import Store, open_store
from meshnode.supervisor import keep_running
from protocol import authority
from protocol.authority import DocumentClass
from protocol.envelope import HpkeSealer, Sealer
from protocol.errors import ExpiredError
from protocol.identity import rights_untrusted, verify_badge_untrusted
from protocol.limits import CERTIFICATE_EARLY_MS, PROBES_MAX
from protocol.routing import ROUTERS

__all__ = ["Access", "agent_keys", "open_guarded", "open_home", "run_home"]


class _ClearKeys:
    """The badge's key as it lies in the home: nothing protects it, and nothing need be given."""

    case = SecretCase.UNATTENDED

    def __init__(self, home: Path) -> None:
        self._home = home

    def unlock(self, _secret: str) -> Callable[[bytes], bytes]:
        return load_identity(self._home).badge_key.sign

    def lock(self) -> None:
        return None


def agent_keys(home: Path) -> AgentKeys:
    """Return what the agent's secret opens in a home."""
    return _ClearKeys(home)


@dataclass(frozen=True, slots=True)
class Access:
    """What a process may open, and by what."""

    secret: Callable[[], str | None] = field(default=lambda: None, repr=False)
    """Gives the agent's secret, None for none; asked only where the device needs one."""
    is_held: bool = False
    """Start locked, whatever could be opened."""
    keys: Callable[[Path], AgentKeys] = agent_keys
    """Finds the agent's keys of a home."""
    sealer: Sealer = field(default_factory=HpkeSealer)
    """Public-key sealing."""


@asynccontextmanager
async def open_home(
    home: Path, settings: Settings, runtime: Runtime, access: Access | None = None
) -> AsyncIterator[Node]:
    """Open the node of a home, alone.

    Raises: HomeError, EnrolmentError, StoreError, LinkError, KeystoreError.
    """
    async with open_guarded(home, settings, runtime, access) as guard:
        yield guard.node


@asynccontextmanager
async def open_guarded(
    home: Path, settings: Settings, runtime: Runtime, access: Access | None = None
) -> AsyncIterator[Guard]:
    """Open the node of a home, alone, with the guard that opens and shuts its desk.

    Raises: HomeError, EnrolmentError, StoreError, LinkError, KeystoreError.
    """
    place = Home(home)
    access = Access() if access is None else access
    identity = load_identity(home)
    rights = rights_untrusted(identity.badge_chain[0])
    keys = access.keys(home)
    needs_secret = keys.case is not SecretCase.UNATTENDED and not access.is_held
    secret = access.secret() if needs_secret else None
    with locked(place):
        async with open_store(place.store, runtime, bytes_max=settings.store.bytes_max) as store:
            bearer = await _bearer(home, settings, runtime, store)
            binding = load_binding(home, identity.link_chain[0])
            parts = NodeParts(
                identity=NodeIdentity(identity.node, rights.zone, identity.badge_chain, binding),
                store=store,
                runtime=runtime,
                router=ROUTERS[settings.routing.policy](),
                bearer=bearer,
            )
            async with open_node(parts) as node:
                bearer.metrics = node.metrics
                node.membership.on_change.append(
                    lambda _raws, _source: _renew_contexts(home, node, bearer)
                )
                guard = Guard(
                    GuardParts(
                        node=node,
                        sealer=access.sealer,
                        keys=keys,
                        view=_beacons(node),
                        device_class=rights.device_class,
                        enrolled_ms=_enrolled_ms(identity, node),
                        auto_lock_s=settings.security.auto_lock_s,
                        bound_file=BoundFile(place.lease),
                    )
                )
                await guard.start(secret, is_held=access.is_held)
                del secret
                if not binding:
                    await _bind(home, identity.link_chain[0], node)
                yield guard


async def _bind(home: Path, certificate: bytes, node: Node) -> None:
    """Bind a link certificate that is not bound yet. Raises: LockedError, HomeError."""
    if node.desk is None:
        raise LockedError("this link certificate was never used: start the device unlocked once")
    try:
        await node.runtime.run_blocking(bind, home, certificate, node.desk.sign)
    except OSError as error:
        raise HomeError(f"{home} cannot be written: {error.strerror}") from error
    node.bindings.update(load_binding(home, certificate))


def _beacons(node: Node) -> BeaconView:
    # Asked by name: documents of a network without beacons have neither beacon nor bound.
    documents = node.membership
    return BeaconView(
        has_beacons=lambda: bool(getattr(documents, "has_beacons", False)),
        beacon_ms=lambda: int(getattr(documents, "beacon_ms", 0)),
        floor_ms=lambda: int(getattr(documents, "time_floor_ms", 0)),
    )


def _enrolled_ms(identity: DeviceIdentity, node: Node) -> int:
    """Return when the badge was issued; 0, so that no lease holds, where it is not valid now."""
    anchors, now_ms = node.membership.root.anchors, node.runtime.now_ms()
    try:
        badge = verify_badge_untrusted(identity.badge_chain, anchors, now_ms)
    except ExpiredError:
        return 0
    # A badge is dated early, for devices whose clock is behind.
    return badge.not_before_ms + CERTIFICATE_EARLY_MS


async def _bearer(home: Path, settings: Settings, runtime: Runtime, store: Store) -> TCPBearer:
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
    return TCPBearer(contexts, runtime, listen)


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
async def _open_free(
    home: Path, settings: Settings, runtime: Runtime, access: Access
) -> AsyncIterator[Guard]:
    """Open the node of a home once the command that holds it, if one does, has ended."""
    deadline_s = trio.current_time() + BUSY_S_MAX
    async with AsyncExitStack() as stack:
        while True:
            try:
                guard = await stack.enter_async_context(
                    open_guarded(home, settings, runtime, access)
                )
                break
            except HomeBusyError:
                if trio.current_time() > deadline_s or await _is_running(home):
                    raise
            await trio.sleep(BUSY_STEP_S)
        yield guard


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
    access: Access | None = None,
    on_lock: Callable[[bool], None] | None = None,
    *,
    task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the node of a home until cancelled; starts with the node once it listens.

    `on_lock` is told after every locking whether the device stays locked until somebody opens it.
    Raises: HomeBusyError at once where a node runs already, and where a command keeps the home
    longer than `BUSY_S_MAX`; HomeError, EnrolmentError, StoreError, LinkError, KeystoreError.
    """
    async with (
        _open_free(home, settings, runtime, access or Access()) as guard,
        trio.open_nursery() as nursery,
    ):
        node = guard.node
        if on_lock is not None:
            guard.on_lock.append(on_lock)
        nursery.start_soon(keep_running, "guard", guard.run, runtime, node.metrics)
        surroundings = _surroundings(settings, runtime, node)
        await nursery.start(node.run, surroundings)
        await nursery.start(serve_control, Home(home).control_socket, Api(node, guard), runtime)
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
