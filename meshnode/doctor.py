"""Named checks that find what keeps a node from working, each with its cure.

First everything is gathered, then each check judges: so one fault does not hide the others. What
is asked of the machine itself stands in `Machine`. It changes nothing but what opening a store
changes. Knows no screens.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any, Final, TypeAlias

from cryptography import x509

from meshnode.client import open_api
from meshnode.config import Settings, load_settings
from meshnode.discovery.base import DEFAULT_PORT
from meshnode.enrol import DeviceIdentity, load_identity, open_keys
from meshnode.errors import ConfigError, KeystoreError, LinkError, StoreError
from meshnode.links.base import parse_address
from meshnode.machine import Machine
from meshnode.runtime import Runtime
from meshnode.store.integrity import integrity_faults
from protocol.errors import EnrolmentError, MeshError

__all__ = ["CHECKS", "Check", "Facts", "Finding", "Level", "examine", "gather"]

_PYTHON: Final = (3, 11)
_PACKAGES: Final = ("cryptography", "msgpack", "sqlmodel", "trio", "typer", "zeroconf")
_DAY_MS: Final = 86_400_000
_HOUR_MS: Final = 3_600_000
_BADGE_DAYS_WARN: Final = 14
"""Time to see an authority again before the badge ends."""
_CLOCK_BACK_MS: Final = 600_000
"""A store that was written further in the future than this shows that the clock was set back."""
_DISK_BYTES_FAIL: Final = 20_000_000
_DISK_BYTES_WARN: Final = 200_000_000


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    name: str
    """The check, one stable word."""
    level: Level
    """How bad it is."""
    sentence: str
    """What is so."""
    fix: str = ""
    """What to do about it; empty where all is well."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the checks judge."""

    home: Path
    """Folder of the node."""
    now_ms: int
    """Time of the examination, Unix milliseconds."""
    machine: Machine
    """Asked by the checks that need it."""
    settings: Settings | ConfigError
    """The settings, or what is wrong with them."""
    identity: DeviceIdentity | MeshError
    """Who the device is, or what is wrong with that."""
    status: dict[str, Any] | MeshError | None
    """As `Api.status`; what is wrong with the node; None where there is nothing to open."""
    is_running: bool = False
    """A running node answered."""
    store_ms: int = 0
    """When the store was last written before this examination, Unix milliseconds; 0 for never."""
    peers: tuple[dict[str, Any], ...] = ()
    """As `Api.peers`."""


Check: TypeAlias = Callable[[Facts], Finding]
"""One named check."""


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


# --- program and home ---------------------------------------------------------------------------


def check_python(facts: Facts) -> Finding:
    """The interpreter is new enough."""
    found = ".".join(str(part) for part in facts.machine.python)
    if facts.machine.python < _PYTHON:
        wanted = ".".join(str(part) for part in _PYTHON)
        return Finding(
            "python", Level.FAIL, f"Python {found} is too old", f"Install Python {wanted} or newer"
        )
    return Finding("python", Level.OK, f"Python {found}")


def check_packages(facts: Facts) -> Finding:
    """Every package that the node needs is installed."""
    versions, missing = [], []
    for name in _PACKAGES:
        try:
            versions.append(f"{name} {facts.machine.package_version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        names = ", ".join(missing)
        return Finding(
            "packages", Level.FAIL, f"Not installed: {names}", "Install meshnode again with pip"
        )
    return Finding("packages", Level.OK, f"Installed: {', '.join(versions)}")


def check_home(facts: Facts) -> Finding:
    """The folder is there and private."""
    home = facts.home
    if not home.is_dir():
        return Finding("home", Level.FAIL, f"{home} is no folder", "Make it with 'meshnode init'")
    if not facts.machine.may_use(home):
        return Finding(
            "home", Level.FAIL, f"{home} may not be used by this user", "Use its owner's account"
        )
    shared = [str(path) for path in (home, *_private(home)) if _is_shared(path)]
    if shared:
        names = ", ".join(shared)
        return Finding(
            "home", Level.FAIL, f"Others may read {names}", "Run 'chmod -R go=' on the home"
        )
    return Finding("home", Level.OK, f"{home} is private")


def _private(home: Path) -> Iterable[Path]:
    yield from sorted(home.glob("keys/*"))
    yield from sorted(home.glob("enrolment/*"))
    yield from sorted(home.glob("store.sqlite*"))


def _is_shared(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except OSError:
        return False


def check_settings(facts: Facts) -> Finding:
    """The file of settings holds only what is known, within bounds."""
    if isinstance(facts.settings, ConfigError):
        return Finding(
            "settings", Level.FAIL, str(facts.settings), "Mend meshnode.toml in the home"
        )
    return Finding("settings", Level.OK, "The settings are valid")


def check_disk(facts: Facts) -> Finding:
    """There is room for messages."""
    folder = facts.home if facts.home.is_dir() else Path(facts.home.anchor)
    free_bytes = facts.machine.free_bytes(folder)
    words = f"{free_bytes // 1_000_000} MB are free on the disk"
    if free_bytes < _DISK_BYTES_FAIL:
        return Finding("disk", Level.FAIL, words, "Free some space: nothing can be stored")
    if free_bytes < _DISK_BYTES_WARN:
        return Finding("disk", Level.WARN, words, "Free some space soon")
    return Finding("disk", Level.OK, words)


# --- identity and clock -------------------------------------------------------------------------


def check_identity(facts: Facts) -> Finding:
    """The device is enrolled and its keys can be read."""
    if isinstance(facts.identity, MeshError):
        return Finding(
            "identity",
            Level.FAIL,
            str(facts.identity),
            "Ask the authority for an invitation, then 'meshnode enrol'",
        )
    return Finding("identity", Level.OK, "The device is enrolled")


def check_clock(facts: Facts) -> Finding:
    """The clock is not behind what this device has already seen."""
    fix = "Set the clock: messages with a wrong time are refused by others"
    dates = _badge_dates(facts)
    if dates is not None and facts.now_ms < dates[0]:
        return Finding("clock", Level.FAIL, "The clock is before the start of the badge", fix)
    if facts.store_ms > facts.now_ms + _CLOCK_BACK_MS:
        return Finding("clock", Level.FAIL, "The clock is before the last use of the store", fix)
    return Finding("clock", Level.OK, "The clock is plausible")


def check_badge(facts: Facts) -> Finding:
    """The badge is valid for some time yet."""
    dates = _badge_dates(facts)
    if dates is None:
        return Finding(
            "badge", Level.FAIL, "There is no badge to read", "Enrol this device with an invitation"
        )
    days = (dates[1] - facts.now_ms) // _DAY_MS
    if days < 0:
        return Finding(
            "badge", Level.FAIL, "The badge has expired", "Have the authority enrol it again"
        )
    if days < _BADGE_DAYS_WARN:
        return Finding(
            "badge",
            Level.WARN,
            f"The badge ends in {days} days",
            "See the authority before that, to be enrolled again",
        )
    return Finding("badge", Level.OK, f"The badge is valid for {days} days")


def _badge_dates(facts: Facts) -> tuple[int, int] | None:
    """Return from when to when the whole chain is valid, Unix milliseconds."""
    if isinstance(facts.identity, MeshError):
        return None
    try:
        chain = [x509.load_der_x509_certificate(der) for der in facts.identity.badge_chain]
    except ValueError:
        return None
    if not chain:
        return None
    start = max(each.not_valid_before_utc.timestamp() for each in chain)
    end = min(each.not_valid_after_utc.timestamp() for each in chain)
    return int(start * 1000), int(end * 1000)


# --- store and node -----------------------------------------------------------------------------


def check_store(facts: Facts) -> Finding:
    """The database opens and its pages are whole."""
    path = facts.home / "store.sqlite"
    fix = "Move store.sqlite away and enrol again; others bring back what they carry"
    if isinstance(facts.status, StoreError):
        return Finding("store", Level.FAIL, str(facts.status), fix)
    if not path.exists():
        return Finding(
            "store", Level.WARN, "There is no store yet", "It is made when the device is enrolled"
        )
    try:
        faults = integrity_faults(path)
    except StoreError as error:
        return Finding("store", Level.FAIL, str(error), "Use the account that owns the home")
    if faults:
        return Finding("store", Level.FAIL, f"The store is damaged: {faults[0]}", fix)
    return Finding("store", Level.OK, "The store is whole")


def check_node(facts: Facts) -> Finding:
    """The node runs and answers."""
    if facts.status is None:
        return Finding(
            "node", Level.WARN, "There is no node to ask yet", "Mend what is wrong above first"
        )
    if isinstance(facts.status, MeshError):
        return Finding(
            "node", Level.FAIL, str(facts.status), "Mend what is wrong above, or start it again"
        )
    if not facts.is_running:
        return Finding(
            "node", Level.WARN, "The node is not running", "Start it with 'meshnode run'"
        )
    return Finding("node", Level.OK, "The node is running")


def check_lock(facts: Facts) -> Finding:
    """The agent's keys are open, and something protects them."""
    if not isinstance(facts.status, dict):
        return Finding("lock", Level.OK, "The agent's keys cannot be looked at yet")
    lock = facts.status["lock"]
    words = "The agent's keys open by themselves when the device starts"
    if lock["protection"] == "hardware":
        words = "The agent's keys open by a secret that is bound to this machine"
    elif lock["protection"] == "words":
        words = "The agent's keys open by a secret alone: its length is the only wall"
    if facts.is_running and lock["is_locked"]:
        fix = "Run 'meshnode unlock' to read and write; it carries for others all the same"
        return Finding("lock", Level.WARN, f"The device is locked. {words}", fix)
    return Finding("lock", Level.OK, words)


def check_lease(facts: Facts) -> Finding:
    """The centre was heard of lately."""
    lock = facts.status["lock"] if isinstance(facts.status, dict) else {}
    standing = lock.get("lease", "none")
    if standing == "none":
        return Finding("lease", Level.OK, "No lease is counted here")
    hours = lock["beacon_age_ms"] // _HOUR_MS
    fix = "Come near a device that has met the centre lately"
    if standing == "ended":
        words = f"The newest beacon is {hours} hours old: the agent's keys stay locked"
        return Finding("lease", Level.FAIL, words, fix)
    left = lock["lease_left_ms"] // _HOUR_MS
    words = f"The newest beacon is {hours} hours old; the agent's keys lock in {left} hours"
    if standing == "amber":
        return Finding("lease", Level.WARN, words, fix)
    return Finding("lease", Level.OK, words)


def check_messages(facts: Facts) -> Finding:
    """Nothing waits for a key."""
    if not isinstance(facts.status, dict):
        return Finding("messages", Level.OK, "No messages can be looked at yet")
    waiting, unopened = facts.status["messages"].get("waiting", 0), facts.status["unopened"]
    if waiting:
        return Finding(
            "messages",
            Level.WARN,
            f"{waiting} messages wait for a recipient's key, or for the next hour",
            "Meet the recipient, or import the authority's newest rosters; meshnode message NUMBER"
            " says what one waits for",
        )
    if unopened:
        return Finding(
            "messages",
            Level.WARN,
            f"{unopened} messages for this device cannot be opened yet",
            "Their author's node must come into reach to give the key",
        )
    return Finding("messages", Level.OK, "No message waits for a key")


# --- network ------------------------------------------------------------------------------------


def check_port(facts: Facts) -> Finding:
    """The node listens, or its addresses are free for it."""
    if isinstance(facts.settings, ConfigError):
        return Finding("port", Level.WARN, "The settings name no address", "Mend them first")
    if isinstance(facts.status, dict) and facts.is_running:
        listening = ", ".join(facts.status["listening"])
        if listening or not facts.settings.links.listen:
            return Finding("port", Level.OK, f"The node listens on {listening or 'no address'}")
        return Finding(
            "port", Level.FAIL, "The node listens nowhere", "Free its port and start it again"
        )
    for text in facts.settings.links.listen:
        if text.endswith(":0"):  # any free one
            continue
        try:
            address = parse_address(text, DEFAULT_PORT)
            facts.machine.listen(address)
        except LinkError as error:
            return Finding("port", Level.FAIL, str(error), "Mend it in meshnode.toml")
        except OSError as error:
            # A machine without IPv6, for example, listens on what it has.
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                return Finding(
                    "port",
                    Level.FAIL,
                    f"{address} cannot be had: {error.strerror}",
                    "End the program that uses it, or set another in meshnode.toml",
                )
    return Finding("port", Level.OK, "The node's port is free")


def check_addresses(facts: Facts) -> Finding:
    """The machine has an address that others reach."""
    hosts = facts.machine.hosts()
    if not hosts:
        return Finding(
            "addresses",
            Level.WARN,
            "This machine has no network at the moment",
            "Join a Wi-Fi or open a hotspot; messages are kept until then",
        )
    return Finding("addresses", Level.OK, f"This machine is {', '.join(hosts)}")


def check_multicast(facts: Facts) -> Finding:
    """Neighbours can be found by multicast."""
    if not isinstance(facts.settings, ConfigError) and not facts.settings.discovery.mdns:
        return Finding("multicast", Level.OK, "Multicast is switched off in the settings")
    try:
        facts.machine.join_multicast()
    except OSError as error:
        return Finding(
            "multicast",
            Level.WARN,
            f"Multicast is not possible here: {error.strerror}",
            "Give the addresses of peers in meshnode.toml",
        )
    return Finding("multicast", Level.OK, "Multicast is possible")


def check_neighbours(facts: Facts) -> Finding:
    """Somebody was met."""
    in_reach = [peer["name"] for peer in facts.peers if peer["is_up"]]
    if in_reach:
        return Finding("neighbours", Level.OK, f"In reach: {', '.join(in_reach)}")
    fix = "Come near another device of the network, or give its address in meshnode.toml"
    if not facts.peers:
        return Finding("neighbours", Level.WARN, "No other device was met yet", fix)
    return Finding("neighbours", Level.WARN, "No other device is in reach now", fix)


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
"""Every check, causes before effects."""
