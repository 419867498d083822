"""Gathers the facts of one home and has every check judge them.

First everything is gathered, then each check judges: so one fault does not hide the others. What
is asked of the machine itself stands in `Machine`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from meshnode.client import open_api
from meshnode.config import Settings, load_settings
from meshnode.doctor.findings import Check, Facts, Finding
from meshnode.doctor.identity import check_badge, check_clock, check_identity
from meshnode.doctor.network import (
    check_addresses,
    check_multicast,
    check_neighbours,
    check_port,
)
from meshnode.doctor.node import (
    check_lease,
    check_lock,
    check_messages,
    check_node,
    check_store,
)
from meshnode.doctor.program import (
    check_disk,
    check_home,
    check_packages,
    check_python,
    check_settings,
)
from meshnode.enrol import DeviceIdentity, load_identity, open_keys
from meshnode.errors import ConfigError, KeystoreError
from meshnode.machine import Machine
from meshnode.runtime import Runtime
from protocol.errors import EnrolmentError, MeshError

__all__ = ["CHECKS", "examine", "gather"]

CHECKS: Final[tuple[Check, ...]] = (
    check_python,
    check_packages,
    check_home,
    check_disk,
    check_settings,
    check_identity,
    check_clock,
    check_badge,
    check_store,
    check_node,
    check_lock,
    check_lease,
    check_port,
    check_addresses,
    check_multicast,
    check_neighbours,
    check_messages,
)
"""Every check of the doctor, causes before effects."""


async def examine(
    home: Path,
    runtime: Runtime,
    machine: Machine | None = None,
    ask: Callable[[], str | None] = lambda: None,
) -> tuple[Finding, ...]:
    """Return what every check finds, in an order in which causes come before their effects.

    `ask` is called for the agent's secret where no node runs and one is needed.

    Cost: it reads the whole store once.
    """
    facts = await gather(home, runtime, machine if machine is not None else Machine(), ask)
    return await runtime.run_blocking(_judge, facts)


def _judge(facts: Facts) -> tuple[Finding, ...]:
    return tuple(check(facts) for check in CHECKS)


async def gather(
    home: Path,
    runtime: Runtime,
    machine: Machine,
    ask: Callable[[], str | None] = lambda: None,
) -> Facts:
    """Return the facts of one home. Never raises for a fault that a check names."""
    settings: Settings | ConfigError
    identity: DeviceIdentity | MeshError
    # To open the store is to write to it, so its date is taken first.
    store_ms = await runtime.run_blocking(_written_ms, home / "store.sqlite")
    try:
        settings = load_settings(home)
    except ConfigError as error:
        settings = error
    try:
        identity = load_identity(home, open_keys(home, runtime).open_vault())
    except (EnrolmentError, KeystoreError) as error:
        identity = error
    status: dict[str, Any] | MeshError | None = None
    peers: list[dict[str, Any]] = []
    is_running = False
    if isinstance(identity, DeviceIdentity) and not isinstance(settings, ConfigError):
        try:
            async with open_api(home, runtime, secret=ask) as api:
                is_running = api.is_running
                status, peers = await api.status(), await api.peers()
        except MeshError as error:
            status = error
    return Facts(
        home=home,
        now_ms=runtime.now_ms(),
        machine=machine,
        settings=settings,
        identity=identity,
        status=status,
        is_running=is_running,
        store_ms=store_ms,
        peers=tuple(peers),
    )


def _written_ms(path: Path) -> int:
    try:
        return int(path.stat().st_mtime * 1000)
    except OSError:
        return 0
