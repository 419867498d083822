"""Makes the bridge of a running gateway out of its settings and its files."""

from __future__ import annotations

from pathlib import Path

import trio

from meshnode.api import Api
from meshnode.config import TakSettings
from meshnode.errors import ConfigError
from meshnode.home import Home
from meshnode.node import Node
from meshnode.tak.bridge import BridgeParts, TakBridge
from meshnode.tak.connection import connect, make_context
from meshnode.tak.ledger import load, save
from meshnode.tak.sharing import mate_uid
from protocol.identity import Role
from protocol.ids import print_node_id

__all__ = ["make_bridge"]


async def make_bridge(home: Path, settings: TakSettings, api: Api, node: Node) -> TakBridge:
    """Return the bridge that `settings` describe, which then answers `api.tak`.

    Raises: ConfigError where this device may not have one, or a file is missing; OSError.
    """
    own = node.membership.directory.member(node.identity.node)
    if own is None or own.role not in {Role.GATEWAY, Role.OPERATOR}:
        raise ConfigError("tak.server", "is for a gateway or an operator: take it out here")
    runtime, path = node.runtime, Home(home).tak
    context = await runtime.run_blocking(make_context, settings, home)
    ledger = await runtime.run_blocking(load, path, runtime.now_ms())

    async def keep(raw: bytes) -> None:
        await runtime.run_blocking(save, path, raw)

    async def dial() -> trio.abc.Stream:
        return await connect(settings, context)

    uid = mate_uid(print_node_id(node.identity.node))
    bridge = TakBridge(BridgeParts(api, settings, runtime, node.metrics, dial, ledger, keep, uid))
    api.tak_view = bridge.view
    return bridge
