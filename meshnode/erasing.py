"""The files of a wipe: what each step takes away from a home, and what a restart finds of it.

Where a wipe stands is told by two things alone: which keys `keys/wiped` calls destroyed, and
whether the remnant's record is there.

| device's key | record | stands | what is done |
| --- | --- | --- | --- |
| alive | none | UNTOUCHED | nothing by files; the store may hold an order (`meshnode.wiping`) |
| alive | there | BEGUN | destroy both keys, erase all but the remnant; then REMNANT |
| destroyed | there | REMNANT | erase what a power cut left of the rest; deliver the proof |
| destroyed | none | OVER | erase what a power cut left of anything |

Level AGENT destroys the agent's key alone and never leaves UNTOUCHED. Every step may be done again
at no harm, and does all that it can: what fails is told after the rest was tried.
Source: security 2.9.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Set
from contextlib import suppress
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final

from meshnode.errors import HomeBusyError, WipedError
from meshnode.files import do_all, erase, sync_folder
from meshnode.home import Home, locked
from meshnode.remnant import RemnantFiles
from meshnode.runtime import Runtime
from meshnode.vault.keystore import KeyStore
from meshnode.vault.kinds import Tier

__all__ = [
    "HomeState",
    "destroy_agent",
    "destroy_by_hand",
    "destroy_device",
    "finish",
    "is_agent_destroyed",
    "refuse_wiped",
    "state_of",
    "sweep",
    "wiped_error",
]

_AGENT_FILES: Final = ("keys/badge.pem", "keys/badge.sealed", "enrolment", "authority")
"""What speaks as the device or enrols others: gone with the agent's key."""
_DEVICE_FILES: Final = ("keys/link.pem", "identity")
"""What opens links and says who the device is: gone with the device's key."""


class HomeState(StrEnum):
    """How far the wipe of a whole device has come, as its files tell."""

    UNTOUCHED = "untouched"
    """No wipe of everything was begun."""
    BEGUN = "begun"
    """The proof is durable; keys are still there, or half gone."""
    REMNANT = "remnant"
    """The keys are gone; the proof waits for somebody to take it."""
    OVER = "over"
    """Nothing is left but the word that it was wiped."""


def state_of(home: Path, runtime: Runtime) -> HomeState:
    """Return how a home stands. Raises: KeystoreError for a damaged record of a destruction."""
    is_destroyed = KeyStore(home, runtime).is_destroyed(Tier.DEVICE)
    if RemnantFiles(home).record.exists():
        return HomeState.REMNANT if is_destroyed else HomeState.BEGUN
    return HomeState.OVER if is_destroyed else HomeState.UNTOUCHED


def is_agent_destroyed(home: Path, runtime: Runtime) -> bool:
    """True once the agent's key was destroyed, or its destruction was begun."""
    return KeyStore(home, runtime).is_destroyed(Tier.AGENT)


def refuse_wiped(home: Path, runtime: Runtime) -> None:
    """Refuse a home whose device was wiped, after finishing what a power cut left of that.

    Where another process is at it, that one finishes it. Raises: WipedError, OSError.
    """
    if state_of(home, runtime) is HomeState.UNTOUCHED:
        return
    with suppress(HomeBusyError), locked(Home(home)):
        finish(home, runtime)
    raise wiped_error(home)


def wiped_error(home: Path) -> WipedError:
    """Return what every command hears in a wiped home."""
    return WipedError(f"the keys in {home} were destroyed: enrol in another --home")


# --- steps ---------------------------------------------------------------------------------------


def destroy_agent(home: Path, runtime: Runtime) -> None:
    """Destroy what needs the agent's secret, for ever. Raises: OSError."""
    do_all(
        [
            partial(KeyStore(home, runtime).destroy, Tier.AGENT),
            partial(_erase_all, home, _AGENT_FILES),
        ]
    )


def destroy_device(home: Path, runtime: Runtime) -> None:
    """Destroy every key of the device but the remnant's, for ever. Raises: OSError."""
    do_all(
        [
            partial(destroy_agent, home, runtime),
            partial(KeyStore(home, runtime).destroy, Tier.DEVICE),
            partial(_erase_all, home, _DEVICE_FILES),
        ]
    )


def destroy_by_hand(home: Path, runtime: Runtime, *, is_all: bool) -> None:
    """Destroy the keys of the agent, or all and the files with them, without opening the store.

    What the agent's rows held is worth nothing then; they go at the next start that can open the
    store. Raises: HomeBusyError, HomeError, OSError.
    """
    with locked(Home(home)):
        if is_all:
            _destroy_all(home, runtime)
        else:
            destroy_agent(home, runtime)


def sweep(home: Path) -> None:
    """Erase everything below a home but its remnant, the word of its wipe and its lock.

    The store must be closed. Raises: OSError.
    """
    kept = {*KeyStore.words_of_destruction(home), home / "lock"}
    files = RemnantFiles(home)
    if files.record.exists():
        kept |= {files.record, files.link_key, files.link_chain}
    do_all(partial(_sweep, path, kept) for path in _below(home))


def _sweep(path: Path, kept: Set[Path]) -> None:
    if path.is_dir() and not path.is_symlink():
        if not any(path in each.parents for each in kept):
            path.rmdir()
            sync_folder(path.parent)
    elif path not in kept:
        _erase(path)


def finish(home: Path, runtime: Runtime) -> HomeState:
    """Do what a power cut left of the wipe of a whole device; return REMNANT, OVER or UNTOUCHED.

    The caller holds the home's lock, and no store is open. Raises: OSError, KeystoreError.
    """
    state = state_of(home, runtime)
    if state is HomeState.UNTOUCHED:
        return state
    _destroy_all(home, runtime)
    return state_of(home, runtime)


# --- inside --------------------------------------------------------------------------------------


def _destroy_all(home: Path, runtime: Runtime) -> None:
    # Once more after the rest: there may be room for the record only now.
    destroy = partial(destroy_device, home, runtime)
    do_all([destroy, partial(sweep, home), destroy])


def _erase_all(home: Path, names: tuple[str, ...]) -> None:
    do_all(partial(_sweep, each, frozenset()) for name in names for each in _named(home / name))


def _named(path: Path) -> Iterator[Path]:
    """Yield what a name stands for: all that is in a folder, or a file."""
    if path.is_dir() and not path.is_symlink():
        yield from _below(path)
    else:
        # A power cut may have left the half of a newer one under its other name.
        yield from (path, path.with_name(f".{path.name}.new"))


def _below(folder: Path) -> Iterator[Path]:
    """Yield everything below a folder, what is inside a folder before the folder."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)
        yield path


def _erase(path: Path) -> None:
    """Take away a file of whatever kind; nothing to do if it is not there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISREG(mode):
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        erase(path)
    else:
        path.unlink()
        sync_folder(path.parent)
