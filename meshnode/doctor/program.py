"""Checks of the program, its home and its settings."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Final

from meshnode.doctor.findings import Facts, Finding, Level
from meshnode.errors import ConfigError

__all__ = ["check_disk", "check_home", "check_packages", "check_python", "check_settings"]

_PYTHON: Final = (3, 11)
_PACKAGES: Final = ("cryptography", "msgpack", "sqlmodel", "trio", "typer", "zeroconf")
_DISK_BYTES_FAIL: Final = 20_000_000
_DISK_BYTES_WARN: Final = 200_000_000


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
    """There is room for messages, and the disk takes what is written."""
    if fault := facts.status.get("disk_fault") if isinstance(facts.status, dict) else "":
        words = f"The disk takes nothing: {fault}"
        return Finding("disk", Level.FAIL, words, "Free some space, or check the disk")
    folder = facts.home if facts.home.is_dir() else Path(facts.home.anchor)
    free_bytes = facts.machine.free_bytes(folder)
    words = f"{free_bytes // 1_000_000} MB are free on the disk"
    if free_bytes < _DISK_BYTES_FAIL:
        return Finding("disk", Level.FAIL, words, "Free some space: nothing can be stored")
    if free_bytes < _DISK_BYTES_WARN:
        return Finding("disk", Level.WARN, words, "Free some space soon")
    return Finding("disk", Level.OK, words)
