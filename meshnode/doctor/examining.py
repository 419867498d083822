"""Gathers the facts of one home and has every check judge them.

First everything is gathered, then each check judges: so one fault does not hide the others. What
is asked of the machine itself stands in `Machine`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from meshnode.client import NodeApi, open_api
from meshnode.config import Settings, load_settings
from meshnode.doctor.archive import check_archive
from meshnode.doctor.battery import check_battery, with_battery
from meshnode.doctor.departure import (
    check_badge_lasts,
    check_bearers,
    check_duty,
    check_lease_lasts,
    check_map,
    check_mates,
    check_open_keys,
    check_roster,
    check_sos_key,
    check_trusted_clock,
)
from meshnode.doctor.findings import Check, Facts, Finding, Level, Plan
from meshnode.doctor.identity import check_badge, check_clock, check_identity
from meshnode.doctor.network import (
    check_addresses,
    check_multicast,
    check_neighbours,
    check_plotter,
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

__all__ = ["CHECKS", "DEPARTURE_CHECKS", "Examined", "examine", "gather", "judge"]

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
    check_plotter,
    check_archive,
    check_messages,
)
"""Every check of the doctor, causes before effects."""

DEPARTURE_CHECKS: Final[tuple[Check, ...]] = (
    check_home,
    check_settings,
    check_identity,
    check_trusted_clock,
    check_badge_lasts,
    check_open_keys,
    check_lease_lasts,
    check_roster,
    check_mates,
    check_sos_key,
    check_duty,
    check_messages,
    check_battery,
    check_disk,
    check_bearers,
    check_port,
    check_plotter,
    check_map,
)
"""Every check before a departure: causes before effects, none that reads the whole store."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A home, and what was found there."""

    facts: Facts
    """What the checks judged."""
    findings: tuple[Finding, ...]
    """One of each check, in order."""

    @property
    def faults(self) -> int:
        """How many of them must be mended."""
        return sum(each.level is Level.FAIL for each in self.findings)


async def examine(
    home: Path,
    runtime: Runtime,
    machine: Machine | None = None,
    ask: Callable[[], str | None] = lambda: None,
    plan: Plan | None = None,
) -> Examined:
    """Return what every check finds, in an order in which causes come before their effects.

    `ask` is called for the agent's secret where no node runs and one is needed. With a `plan` the
    checks are those before a departure.

    Cost: without a plan it reads the whole store once.
    """
    facts = await gather(home, runtime, machine if machine is not None else Machine(), ask, plan)
    checks = CHECKS if plan is None else DEPARTURE_CHECKS
    return Examined(facts, await runtime.run_blocking(judge, facts, checks))


def judge(facts: Facts, checks: Sequence[Check]) -> tuple[Finding, ...]:
    """Return what each of `checks` finds."""
    return tuple(check(facts) for check in checks)


async def gather(
    home: Path,
    runtime: Runtime,
    machine: Machine,
    ask: Callable[[], str | None] = lambda: None,
    plan: Plan | None = None,
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
    facts = Facts(
        home=home,
        now_ms=runtime.now_ms(),
        machine=machine,
        settings=settings,
        identity=identity,
        status=None,
        store_ms=store_ms,
        plan=plan,
    )
    if isinstance(identity, MeshError) or isinstance(settings, ConfigError):
        return facts
    try:
        async with open_api(home, runtime, secret=ask) as api:
            return await _asked(api, facts, runtime)
    except MeshError as error:
        return replace(facts, status=error)


async def _asked(api: NodeApi, facts: Facts, runtime: Runtime) -> Facts:
    """Return the facts with what the node knows. Raises: MeshError."""
    facts = replace(
        facts,
        is_running=api.is_running,
        status=await api.status(),
        peers=tuple(await api.peers()),
    )
    if facts.plan is None:
        return facts
    facts = await with_battery(api, facts, runtime)
    try:
        readiness, shift = await api.readiness(), await api.shift()
    except MeshError:
        # Locked: the check of the lock says so.
        return facts
    return replace(facts, readiness=readiness, is_on_shift=shift["is_open"])


def _written_ms(path: Path) -> int:
    try:
        return int(path.stat().st_mtime * 1000)
    except OSError:
        return 0
