"""A node in its home: identity and store from files, links over TCP, discovery, control socket.

`open_home` is what a single command needs, `run_home` what `meshnode run` does. Both hold the
home's lock as long as they have the store open, and open the desk if they can: an unattended
device by itself, another one if they are given the agent's secret.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from meshnode.api import Api
from meshnode.around import surroundings_of
from meshnode.bearers import NodeBearers, parse_port
from meshnode.budgets import Budgets
from meshnode.config import Settings
from meshnode.control import serve_control
from meshnode.discovery.addresses import interface_of
from meshnode.discovery.base import DEFAULT_PORT
from meshnode.enrol import DeviceIdentity, LinkSecret, load_identity, open_keys
from meshnode.erasing import HomeState, finish, refuse_wiped, state_of, wiped_error
from meshnode.errors import HomeBusyError, HomeError, KeystoreError, LinkError, WipedError
from meshnode.home import BUSY_S_MAX, BUSY_STEP_S, Home, locked
from meshnode.home_keys import HomeKeys
from meshnode.knock_keys import KnockKeyring
from meshnode.lease import BeaconView, BoundFile
from meshnode.lines import connect
from meshnode.links.base import Address, parse_address
from meshnode.links.knock_journal import KnockJournal
from meshnode.links.knocking import Knocks
from meshnode.links.tcp import TCPBearer
from meshnode.links.tls import TLSFiles, make_contexts
from meshnode.locking import AgentKeys, Guard, GuardParts, SecretCase
from meshnode.node import Node, NodeIdentity, NodeParts, open_node
from meshnode.remnant_home import run_remnant
from meshnode.runtime import Runtime
from meshnode.store import documents
from meshnode.store.engine import Store, open_store
from meshnode.supervisor import keep_running
from meshnode.vault.keystore import KeyStore
from meshnode.vault.kinds import DataKind
from meshnode.vault.vault import Vault
from meshnode.wakes import counting
from meshnode.web.door import Door, DoorState
from meshnode.web.room import WebRoom, has_screens
from meshnode.wiping import Ways, WipeParts, Wiping
from protocol import authority
from protocol.authority import DocumentClass
from protocol.envelope import HpkeSealer, Sealer
from protocol.errors import ExpiredError
from protocol.identity import Role, rights_untrusted, verify_badge_untrusted
from protocol.knock import address_name
from protocol.limits import CERTIFICATE_EARLY_MS
from protocol.routing import ROUTERS

__all__ = ["Access", "beacons_of", "open_guarded", "open_home", "run_home"]


@dataclass(frozen=True, slots=True)
class Access:
    """What a process may open, and by what."""

    secret: Callable[[], str | None] = field(default=lambda: None, repr=False)
    """Gives the agent's secret, None for none; asked only where the device needs one."""
    is_held: bool = False
    """Start locked, whatever could be opened."""
    keys: Callable[[Path, KeyStore, Vault], AgentKeys] = HomeKeys
    """Finds the agent's keys of a home."""
    sealer: Sealer = field(default_factory=HpkeSealer)
    """Public-key sealing."""
    on_wiped: Callable[[], None] = lambda: None
    """Told by a running node once a wipe order has destroyed keys that this process had."""
    on_archive: Callable[[str], None] = lambda _fault: None
    """Told what does not work with the archive; an empty sentence once all does again."""


@asynccontextmanager
async def open_home(
    home: Path,
    settings: Settings,
    runtime: Runtime,
    access: Access | None = None,
    *,
    secret: str | None = None,
) -> AsyncIterator[Node]:
    """Open the node of a home, alone; `secret` stands for an access that gives just it.

    Raises: HomeError, EnrolmentError, StoreError, LinkError, KeystoreError.
    """
    access = access or Access(lambda: secret)
    async with open_guarded(home, settings, runtime, access) as guard:
        yield guard.node


@asynccontextmanager
async def open_guarded(
    home: Path, settings: Settings, runtime: Runtime, access: Access | None = None
) -> AsyncIterator[Guard]:
    """Open the node of a home, alone, with the guard that opens and shuts its desk.

    Raises: HomeError, EnrolmentError, StoreError, LinkError, KeystoreError.
    """
    async with _open(home, settings, runtime, access or Access()) as (guard, _wiping):
        yield guard


@asynccontextmanager
async def _open(
    home: Path, settings: Settings, runtime: Runtime, access: Access
) -> AsyncIterator[tuple[Guard, Wiping]]:
    """Open the node of a home; a wipe that is due, before or after, is carried out first.

    Raises: as `open_guarded`; WipedError where nothing is left to open.
    """
    refuse_wiped(home, runtime)
    open_keys(home, runtime)
    with locked(Home(home)):
        try:
            async with _opened(home, settings, runtime, access) as opened:
                yield opened
                _guard, wiping = opened
                if wiping.is_due:
                    await wiping.obey()
        finally:
            with trio.CancelScope(shield=True):
                state = await runtime.run_blocking(finish, home, runtime)
        if state is not HomeState.UNTOUCHED:
            raise wiped_error(home)


@asynccontextmanager
async def _opened(
    home: Path, settings: Settings, runtime: Runtime, access: Access
) -> AsyncIterator[tuple[Guard, Wiping]]:
    if state_of(home, runtime) is not HomeState.UNTOUCHED:
        raise wiped_error(home)
    place, keystore = Home(home), open_keys(home, runtime)
    vault = keystore.open_vault()
    # The guard alone opens the agent's tier, once it has looked at the lease.
    vault.lock()
    keys = access.keys(home, keystore, vault)
    is_held = access.is_held or keystore.is_wiped or keystore.has_lost_agent
    needs_secret = keys.case is not SecretCase.UNATTENDED and not is_held
    secret = access.secret() if needs_secret else None
    identity = load_identity(home, vault)
    rights = rights_untrusted(identity.badge_chain[0])
    size = settings.store.bytes_max
    # What is found damaged before there is a node that counts it.
    broken: list[DataKind] = []
    vault.on_broken = broken.append
    async with open_store(place.store, runtime, bytes_max=size, vault=vault) as store:
        if place.archive_key.exists():
            store.spool_bytes_max = settings.gateway.spool_bytes_max
        knock_keys = KnockKeyring(store)
        await knock_keys.load()
        knocks = Knocks(
            runtime,
            knock_keys,
            is_gateway=rights.role is Role.GATEWAY,
            journal=KnockJournal(place.knocks),
            known_as=[_forwarded(each) for each in settings.links.known_as],
        )
        await knocks.recall()
        bearer = await _bearer(identity, settings, runtime, store, knocks)
        binding = {identity.link_chain[0]: identity.binding}
        parts = NodeParts(
            identity=NodeIdentity(identity.node, rights.zone, identity.badge_chain, binding),
            store=store,
            runtime=runtime,
            router=ROUTERS[settings.routing.policy](),
            bearer=bearer,
            knock_keys=knock_keys,
            sensors=settings.sensors.sensors(home),
        )
        async with open_node(parts) as node:
            bearer.count_in(node.metrics)
            _bound(node, bearer, settings, runtime)
            vault.on_broken = lambda _kind: node.metrics.count("seals_broken")
            node.metrics.count("seals_broken", len(broken))
            node.membership.on_change.append(
                lambda _raws, _source: _renew_contexts(identity, node, bearer.tcp)
            )
            wiping = _wiping(home, settings, identity, node, keys, access)
            await wiping.look()
            if wiping.is_gone:
                raise wiped_error(home)
            guard = _guard(node, keys, access, settings, home, identity)
            guard.wipe = wiping.wipe
            await _start(guard, secret, is_held=is_held or node.is_wiped)
            del secret
            async with _archiving(guard, home, settings, rights.role, access.on_archive):
                yield guard, wiping


@asynccontextmanager
async def _archiving(
    guard: Guard,
    home: Path,
    settings: Settings,
    role: Role,
    tell: Callable[[str], None],
) -> AsyncIterator[None]:
    """Give a device of the centre its archive, which is opened once somebody needs it."""
    if role not in (Role.GATEWAY, Role.OPERATOR):
        yield
        return
    # Imported here: all others need no second database.
    from meshnode.gateway.gateway import Gateway, GatewayPlan

    chosen = settings.gateway
    terms = settings.retention.terms
    plan = GatewayPlan(chosen.database, chosen.spool_bytes_max, terms, chosen.auto_lock_s)
    guard.gateway = Gateway(guard.node, home, plan, tell)
    try:
        yield
    finally:
        await guard.gateway.aclose()


def _guard(
    node: Node,
    keys: AgentKeys,
    access: Access,
    settings: Settings,
    home: Path,
    identity: DeviceIdentity,
) -> Guard:
    parts = GuardParts(
        node=node,
        sealer=access.sealer,
        keys=keys,
        view=beacons_of(node),
        device_class=rights_untrusted(identity.badge_chain[0]).device_class,
        enrolled_ms=_enrolled_ms(identity, node),
        auto_lock_s=settings.security.auto_lock_s,
        bound_file=BoundFile(Home(home).lease),
    )
    return Guard(parts)


def _bound(node: Node, bearer: NodeBearers, settings: Settings, runtime: Runtime) -> None:
    """Let the bearers that have a budget pay out of it."""
    budgets = Budgets(settings.budgets.tariffs(), node.store, node.runtime)
    budgets.metrics = node.metrics
    budgets.on_sos.append(bearer.serial.call_out)
    node.budgets = budgets
    if budgets.tariffs:
        bearer.pay_from(budgets.meter_of, partial(runtime.run_blocking, interface_of))


async def _start(guard: Guard, secret: str | None, *, is_held: bool) -> None:
    try:
        await guard.start(secret, is_held=is_held)
    except KeystoreError:
        # This process ends here; the next one shows that somebody tried.
        await guard.node.audit.flush()
        raise


def _wiping(
    home: Path,
    settings: Settings,
    identity: DeviceIdentity,
    node: Node,
    keys: AgentKeys,
    access: Access,
) -> Wiping:
    ways = Ways(
        listen=settings.links.listen,
        places=settings.links.static,
        has_multicast=settings.discovery.mdns,
        has_probe=settings.discovery.probe,
    )
    link = LinkSecret(identity.link_key_path, identity.link_password)
    return Wiping(WipeParts(home, node, identity.link_chain, link, ways, keys, access.on_wiped))


def beacons_of(node: Node) -> BeaconView:
    """Return what a lease asks of the documents of `node`."""
    documents = node.membership
    return BeaconView(
        has_beacons=lambda: documents.has_beacons,
        beacon_ms=lambda: documents.beacon_ms,
        floor_ms=lambda: documents.time_floor_ms,
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


def _tls_files(identity: DeviceIdentity) -> TLSFiles:
    return TLSFiles(
        identity.link_key_path, identity.link_chain_path, password=identity.link_password
    )


async def _bearer(
    identity: DeviceIdentity,
    settings: Settings,
    runtime: Runtime,
    store: Store,
    knocks: Knocks,
) -> NodeBearers:
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
    tcp = TCPBearer(contexts, runtime, listen, knocks=knocks)
    return NodeBearers(tcp, [parse_port(text) for text in settings.links.serial], runtime)


def _renew_contexts(identity: DeviceIdentity, node: Node, bearer: TCPBearer) -> None:
    """Trust the roots that the documents in force name, on links made from now on."""
    bearer.contexts = make_contexts(_tls_files(identity), node.membership.root.anchors)


def _forwarded(text: str) -> Address:
    """Read an address at which a forwarder is dialled. Raises: LinkError."""
    address = parse_address(text, DEFAULT_PORT)
    try:
        address_name(address.host, address.port)
    except ValueError as error:
        raise LinkError(f"{text} in known_as is no IP address: write what others dial") from error
    return address


def _listen_address(text: str) -> Address:
    """Read an address to listen on, where port 0 stands for any free one. Raises: LinkError."""
    host, _, port = text.rpartition(":")
    if port == "0" and host:
        return Address(host.strip("[]"), 0)
    return parse_address(text, DEFAULT_PORT)


@asynccontextmanager
async def _open_free(
    home: Path, settings: Settings, runtime: Runtime, access: Access
) -> AsyncIterator[tuple[Guard, Wiping]]:
    """Open the node of a home once the command that holds it, if one does, has ended."""
    deadline_s = trio.current_time() + BUSY_S_MAX
    async with AsyncExitStack() as stack:
        while True:
            try:
                opened = await stack.enter_async_context(_open(home, settings, runtime, access))
                break
            except HomeBusyError:
                if trio.current_time() > deadline_s or await _is_running(home):
                    raise
            await trio.sleep(BUSY_STEP_S)
        yield opened


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
    on_web: Callable[[Door | None, DoorState], None] = lambda _door, _state: None,
    *,
    task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the node of a home until cancelled; starts with the node once it listens.

    `on_lock` is told after every locking whether the device stays locked until somebody opens it,
    `on_web` where the screens are, or why they are not.
    What is left of a wiped device runs here too, and does not start: it delivers its proof and
    ends with WipedError.
    Raises: HomeBusyError at once where a node runs already, and where a command keeps the home
    longer than `BUSY_S_MAX`; HomeError, EnrolmentError, StoreError, LinkError, KeystoreError,
    WipedError.
    """
    access = access or Access()
    has_run = False
    try:
        async with (
            _open_free(home, settings, runtime, access) as (guard, wiping),
            AsyncExitStack() as stack,
            trio.open_nursery() as nursery,
        ):
            has_run, node = True, guard.node
            if on_lock is not None:
                guard.on_lock.append(on_lock)
            nursery.start_soon(keep_running, "guard", guard.run, runtime, node.metrics)
            nursery.start_soon(_obey, wiping, node, nursery.cancel_scope)
            surroundings = surroundings_of(settings, runtime, node)
            stack.enter_context(counting(node.metrics))
            await nursery.start(node.run, surroundings)
            if guard.gateway is not None:
                room = guard.gateway.run
                nursery.start_soon(keep_running, "archive", room, runtime, node.metrics)
            api = Api(node, guard)
            if has_screens(settings.web, api.own_role):
                screens = WebRoom(api, home, settings.web, node.runtime, node.metrics, on_web)
                guard.on_lock.append(screens.on_lock)
                nursery.start_soon(screens.run)
            if settings.tak.server:
                await _start_bridge(nursery, home, settings, api, node)
            await nursery.start(serve_control, Home(home).control_socket, api, runtime)
            task_status.started(node)
    except WipedError:
        # Out of the node's own task: its store is closed and its files are erased.
        if state_of(home, runtime) is not HomeState.REMNANT:
            raise
    if has_run:
        access.on_wiped()
    async with _locked_free(Home(home)):
        await run_remnant(home, runtime)
        await runtime.run_blocking(finish, home, runtime)
    raise wiped_error(home)


async def _start_bridge(
    nursery: trio.Nursery, home: Path, settings: Settings, api: Api, node: Node
) -> None:
    """Share with the TAK server that the settings name. Raises: ConfigError, HomeError."""
    # Imported here: few nodes are gateways that share, and the others need no XML.
    from meshnode.tak.start import make_bridge

    try:
        bridge = await make_bridge(home, settings.tak, api, node)
    except OSError as error:
        raise HomeError(f"{Home(home).tak} cannot be read: {error.strerror}") from error
    nursery.start_soon(keep_running, "tak", bridge.run, node.runtime, node.metrics)


@asynccontextmanager
async def _locked_free(place: Home) -> AsyncIterator[None]:
    """Hold the home once whoever looked into it meanwhile has left. Raises: HomeBusyError."""
    deadline_s = trio.current_time() + BUSY_S_MAX
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(place))
                break
            except HomeBusyError:
                if trio.current_time() > deadline_s:
                    raise
            await trio.sleep(BUSY_STEP_S)
        yield


async def _obey(wiping: Wiping, node: Node, scope: trio.CancelScope) -> None:
    """Obey wipe orders while the node runs; end it where one leaves nothing to run."""
    await keep_running("wiping", wiping.run, node.runtime, node.metrics)
    scope.cancel()
