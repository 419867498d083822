"""`meshnode lock`, `unlock`, `wipe` and `keys`: a device's keys opened, shut, destroyed, shown.

Arguments and screens only; `meshnode.locking` decides. Imports of the node stand inside the
commands, so that help appears at once.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshnode.cli.language import say
from meshnode.cli.options import AsJson

if TYPE_CHECKING:
    from meshnode.client import NodeApi

__all__ = ["lease_words", "lock_words", "register"]

_BY_ITSELF = "unattended"


class Level(StrEnum):
    """How much `wipe` destroys."""

    AGENT = "agent"
    """What the agent's secret opens."""
    ALL = "all"
    """Every key."""


def register(parent: typer.Typer) -> None:
    """Put these commands into the program."""
    for command in (lock, unlock, wipe, keys):
        parent.command()(command)


def lock(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Lock the agent's keys of the running node.

    It goes on carrying for others, and takes revocations and orders; it reads and writes nothing.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json

    async def action(api: NodeApi) -> bool:
        return await api.lock()

    was_open = with_node(ctx, action)
    if as_json:
        print_json(was_open=was_open)
    elif was_open:
        typer.echo(say("The device is locked."))
    else:
        typer.echo(say("The device was locked before."))


def unlock(
    ctx: typer.Context,
    secret_file: Annotated[
        Path | None, typer.Option(help="Read the agent's secret from this file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Open the agent's keys of the running node.

    It takes the agent's secret. Without a file the secret comes from MESHNODE_SECRET, or else is
    asked for.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_json
    from meshnode.cli.texts import needed_secret

    async def action(api: NodeApi) -> bool:
        state = (await api.status())["lock"] if api.is_running else {}
        is_shut = state.get("is_locked", False) and not state.get("is_wiped", False)
        needs_secret = is_shut and state["protection"] != _BY_ITSELF
        return await api.unlock(needed_secret(secret_file) if needs_secret else "")

    was_locked = with_node(ctx, action)
    if as_json:
        print_json(was_locked=was_locked)
    elif was_locked:
        typer.echo(say("The device is unlocked."))
    else:
        typer.echo(say("The device was unlocked before."))


def wipe(
    ctx: typer.Context,
    level: Annotated[
        Level, typer.Option(help="agent: what the secret opens; all: every key of the device.")
    ] = Level.AGENT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Destroy the keys of this device now, without an order.

    It may be locked, its disk full, its store damaged. Nothing on it comes back. At level agent it
    goes on carrying for others. For a device that is in other hands: meshnode authority wipe.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.texts import home_of
    from meshnode.errors import ControlError, StoreError, WipedError

    home = home_of(ctx)
    if not yes:
        _confirm_wipe(ctx, level)

    async def action(api: NodeApi) -> None:
        await api.wipe(level.value)

    try:
        with_node(ctx, action)
    except (ControlError, WipedError, StoreError, OSError) as error:
        # The node that did it may be gone before it could answer: its files tell.
        if not _is_destroyed(home, level):
            if isinstance(error, ControlError | WipedError):
                raise
            # No store is needed for it.
            _destroy_files(home, level)
    if level is Level.ALL or _is_destroyed(home, Level.ALL):
        typer.echo(say("Every key of this device is destroyed. To use it again: another --home"))
    else:
        typer.echo(say("The agent's keys are destroyed. The device goes on carrying for others."))


def _is_destroyed(home: Path, level: Level) -> bool:
    from meshnode.erasing import HomeState, is_agent_destroyed, state_of
    from meshnode.runtime import system_runtime

    runtime = system_runtime()
    if level is Level.ALL:
        return state_of(home, runtime) is not HomeState.UNTOUCHED
    return is_agent_destroyed(home, runtime)


def _destroy_files(home: Path, level: Level) -> None:
    """Destroy keys where the store cannot be opened. Raises: HomeBusyError, KeystoreError."""
    from meshnode.erasing import destroy_by_hand
    from meshnode.errors import KeystoreError
    from meshnode.runtime import system_runtime

    try:
        destroy_by_hand(home, system_runtime(), is_all=level is Level.ALL)
    except OSError as error:
        raise KeystoreError(
            f"the disk took not every change ({error.strerror}): ask again, or destroy the device "
            "itself"
        ) from error


def _confirm_wipe(ctx: typer.Context, level: Level) -> None:
    """Say what goes; a person types the device's name, because yes is typed too easily.

    Where the store that knows the name cannot be opened it is that of the folder.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.texts import home_of
    from meshnode.errors import StoreError

    async def action(api: NodeApi) -> str:
        return str((await api.status())["name"])

    try:
        name = with_node(ctx, action)
    except (StoreError, OSError):
        name = home_of(ctx).absolute().name
    if level is Level.ALL:
        what = say("This destroys every key of {name}. Nothing on it comes back.", name=name)
    else:
        what = say(
            "This destroys what the agent's secret opens on {name}: messages and the right to "
            "write. Nothing of it comes back.",
            name=name,
        )
    typer.echo(what, err=True)
    typed = typer.prompt(say("Type the device's name to go on"), err=True)
    if str(typed).strip().casefold() != name.casefold():
        raise typer.Abort


def keys(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show what keys are here and what opens them.

    No key itself is shown.
    """
    from meshnode.cli.access import with_node
    from meshnode.cli.show import print_facts, print_json
    from meshnode.runtime import system_runtime

    async def action(api: NodeApi) -> dict[str, Any]:
        return await api.keys()

    found, now_ms = with_node(ctx, action), system_runtime().now_ms()
    if as_json:
        print_json(**found)
        return
    facts = {
        say("keys of the device"): say("open"),
        say("keys of the agent"): lock_words(found["lock"]),
        say("prekey"): _prekey_words(found["prekey"], now_ms),
        say("open chains"): "" if found["chains"] is None else str(found["chains"]),
        say("network keys"): ", ".join(map(_network_words, found["network"])),
        say("lease"): lease_words(found["lock"]),
    }
    print_facts({name: value for name, value in facts.items() if value})


def _prekey_words(prekey: dict[str, int] | None, now_ms: int) -> str:
    from meshnode.cli.show import ago, duration

    if prekey is None:
        return ""
    left_s = max(0, prekey["ends_ms"] - now_ms) / 1000
    return say(
        "made {age}, ends in {left}", age=ago(prekey["issued_ms"], now_ms), left=duration(left_s)
    )


def _network_words(key: dict[str, Any]) -> str:
    purpose = key["purpose"].replace("_", " ")
    if key["epoch"] is None:
        return str(purpose)
    return say("{purpose} of week {week}", purpose=purpose, week=key["epoch"])


def lock_words(state: dict[str, Any]) -> str:
    """Return in words whether the agent's keys are open, and what protects them."""
    if state.get("is_wiped", False):
        return say("destroyed")
    is_open = say("locked") if state["is_locked"] else say("unlocked")
    protected = {
        "hardware": say("a secret bound to this machine"),
        "words": say("a secret"),
        _BY_ITSELF: say("opens by itself"),
    }
    return f"{is_open} ({protected[state['protection']]})"


def lease_words(state: dict[str, Any]) -> str:
    """Return in words how old the newest beacon is and when the lease ends; empty without one."""
    from meshnode.cli.show import duration

    standing = state.get("lease", "none")
    if standing == "none":
        return ""
    age = duration(state["beacon_age_ms"] / 1000)
    last = (
        say("beacon {age} old", age=age)
        if state["has_beacon"]
        else say("no beacon since the enrolment {age} ago", age=age)
    )
    if standing == "ended":
        return say("{beacon}; the lease has ended", beacon=last)
    left = duration(state["lease_left_ms"] / 1000)
    return say("{beacon}; the lease ends in {left}", beacon=last, left=left)
