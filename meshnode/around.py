"""What is around a running node: whom it finds and how, sensors, radio, a boat's plotter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from meshnode.airing import Airing
from meshnode.bearers import NodeBearers
from meshnode.config import Settings
from meshnode.discovery.addresses import AddressWatch
from meshnode.discovery.base import DEFAULT_PORT, Discovery
from meshnode.discovery.probe import UnicastProbe
from meshnode.discovery.stations import StationsHeard
from meshnode.errors import KeystoreError
from meshnode.links.base import Address, parse_address
from meshnode.node import Node, Surroundings
from meshnode.runtime import Runtime
from meshnode.store.alarms import unanswered
from protocol.alarms import Step
from protocol.guards import SESSIONS_OF_CENTRE_MAX
from protocol.identity import Role, rights_untrusted
from protocol.ids import BundleId
from protocol.limits import PROBES_MAX, SESSIONS_MAX

__all__ = ["surroundings_of", "untaken_alarms"]


async def untaken_alarms(node: Node) -> set[BundleId]:
    """Name what this device raised last of each alarm that nobody has taken.

    A locked device cannot read who answered: it goes by what it read before, and by whether the
    alarm was delivered. Raises: StoreError.
    """
    own_node, now_ms = node.identity.node, node.runtime.now_ms()
    try:
        views = await node.alarms.list_alarms()
    except KeystoreError:
        return set(await node.store.read(lambda conn: unanswered(conn, own_node, now_ms)))
    own = [each.alarm for each in views if each.name[0] == own_node]
    return {each.raised.name for each in own if each.raised and each.state < Step.TAKEN}


def surroundings_of(settings: Settings, runtime: Runtime, node: Node) -> Surroundings:
    """Return the surroundings of a running node, as its settings say. Raises: LinkError."""
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
            knocks = node.bearer.tcp.knocks if isinstance(node.bearer, NodeBearers) else None
            found.append(MulticastDiscovery(port, watch, runtime, node.metrics, knocks=knocks))
        if settings.discovery.probe:
            found.append(UnicastProbe(watch, runtime, node.metrics, last_known))
        if isinstance(node.bearer, NodeBearers):
            found.append(StationsHeard(node.bearer.serial.heard, node.metrics))
        return found

    airing: list[Callable[[], Awaitable[None]]] = []
    if isinstance(node.bearer, NodeBearers) and settings.links.serial:
        parts = (node.relay, node.store, node.runtime, node.membership)
        airing.append(Airing(node.bearer.serial, *parts, partial(untaken_alarms, node)).run)

    role = rights_untrusted(node.identity.badge_chain[0]).role

    async def follow() -> None:
        await watch.tell(lambda around: node.manager.moved(around.hosts))

    return Surroundings(
        static=static,
        is_serving=bool(settings.links.listen),
        sessions_max=SESSIONS_OF_CENTRE_MAX if role is Role.GATEWAY else SESSIONS_MAX,
        discoveries=discoveries,
        watches=(
            watch.run,
            follow,
            node.sensors.run,
            *([node.knock_keys.run] if node.knock_keys else []),
            *airing,
            *_plotters(settings, runtime, node),
        ),
    )


def _plotters(
    settings: Settings, runtime: Runtime, node: Node
) -> list[Callable[[], Awaitable[None]]]:
    """Return what tells the boat's plotter of mates, where one is configured."""
    if not settings.plotter.send_to:
        return []
    # Imported here: few nodes are on a boat, and the others need no AIS library.
    from meshnode.services.plotter import Desks, Plotter

    def desks() -> Desks | None:
        desk = node.desk
        return None if desk is None else Desks(desk.board, desk.alarms)

    plotter = Plotter(
        settings.plotter.addresses,
        desks,
        node.identity.node,
        node.membership,
        runtime,
        node.metrics,
        interval_s=settings.plotter.interval_s,
        mid=settings.plotter.mid,
    )
    return [plotter.run]
