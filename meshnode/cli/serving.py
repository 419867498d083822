"""A node that runs in this process, with one line on stderr for each important thing.

No line holds the text of a message: the screen of a box on a boat is read by whoever passes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import trio
import typer

from meshnode.api import Api
from meshnode.calls.web import WebDoor
from meshnode.cli.language import say, translate_error
from meshnode.cli.telling import JsonTelling, PlainTelling, Telling
from meshnode.cli.texts import SECRET_VARIABLES
from meshnode.config import WEB_ADDRESS, Settings, load_settings
from meshnode.erasing import HomeState, state_of
from meshnode.errors import KeystoreError
from meshnode.node import Node
from meshnode.notify import READY, STOPPING, ServiceManager
from meshnode.running import Access, run_home
from meshnode.runtime import Runtime, Trace, silent, system_runtime
from meshnode.store.purging import purged_ms
from meshnode.trace import log_to_stream, to_both, trace_to_file, trace_to_stream
from meshnode.web.door import DoorState
from protocol.errors import MeshError

__all__ = ["run_until_told"]

_LOCKED: Final = "--locked"


def run_until_told(
    home: Path,
    trace_to: str | None,
    access: Access,
    settings: Settings | None = None,
    *,
    has_web: bool | None = None,
    is_json: bool = False,
) -> None:
    """Run the node of `home` until SIGINT or SIGTERM. Raises: MeshError where it cannot start.

    `settings` are those of the home unless others are given.

    Once the agent's keys have locked, this process becomes a fresh one of the same command: the
    interpreter cannot erase from its memory what it held. It keeps its number, and makes its
    sockets anew. `has_web` says whether there are screens; None leaves that to the settings. With
    `is_json` every line on stderr is one JSON object, the last error too.
    """
    if not is_json:
        settings = _with_web(settings or load_settings(home), has_web)
        is_held = _run(home, trace_to, access, settings, None)
    else:
        log = log_to_stream(sys.stderr, system_runtime().now_ms)
        try:
            settings = _with_web(settings or load_settings(home), has_web)
            is_held = _run(home, trace_to, access, settings, log)
        except MeshError as error:
            raise typer.Exit(_logged(log, error)) from error
    if is_held is not None:
        _begin_anew(is_held)


def _with_web(settings: Settings, has_web: bool | None) -> Settings:
    """Return the settings with screens or without, as the command line has it."""
    web = settings.web
    if has_web is False:
        web = replace(web, listen="")
    elif has_web and (web.is_auto or not web.listen):
        # Said aloud, so that a relay has them as well.
        web = replace(web, listen=WEB_ADDRESS)
    return replace(settings, web=web)


def _run(
    home: Path, trace_to: str | None, access: Access, settings: Settings, log: Trace | None
) -> bool | None:
    target = trace_to if trace_to is not None else settings.trace.file
    # What would go to stderr twice goes there once.
    with _trace(home, "" if log is not None and target == "-" else target) as trace:
        runtime = system_runtime(trace if log is None else to_both(trace, log))
        telling = PlainTelling(runtime) if log is None else JsonTelling(log)
        return trio.run(_serve, home, settings, runtime, access, telling)


def _logged(log: Trace, error: MeshError) -> int:
    """Write down why the node ends; return the exit code."""
    # The table knows every room: it is not loaded before something failed.
    from meshnode.cli.exits import exit_for

    words, code = translate_error(str(error)), exit_for(error).code
    log("ended", kind=type(error).__name__, words=words, code=code)
    return code


def _begin_anew(is_held: bool) -> NoReturn:
    """Replace this process by the command that it was started with, without any secret."""
    command = [*sys.orig_argv]
    if is_held and _LOCKED not in command:
        command.append(_LOCKED)
    kept = {name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *command[1:]], kept)  # noqa: S606 - ourselves


@contextmanager
def _trace(home: Path, target: str) -> Iterator[Trace]:
    now_ms = system_runtime().now_ms
    if not target:
        yield silent
    elif target == "-":
        yield trace_to_stream(sys.stderr, now_ms)
    else:
        # A path in the settings is relative to the home; an absolute one stays as it is.
        with trace_to_file(home / target, now_ms) as trace:
            yield trace


async def _serve(
    home: Path, settings: Settings, runtime: Runtime, access: Access, telling: Telling
) -> bool | None:
    """Return at the end by signal None; after a locking whether it stays until somebody opens.

    A wipe that left something to do counts as a locking that does not stay.
    """
    locked: list[bool] = []
    has_locked = trio.Event()
    manager = ServiceManager.of(os.environ, runtime)

    def on_lock(is_held: bool) -> None:
        locked.append(is_held)
        has_locked.set()

    on_archive = partial(_tell_archive, telling)
    access = replace(access, on_wiped=partial(on_lock, False), on_archive=on_archive)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            if state_of(home, runtime) in (HomeState.BEGUN, HomeState.REMNANT):
                telling.tell(
                    say("this device was wiped by order; it stays until its proof is taken")
                )
                await manager.tell(READY)
                nursery.start_soon(manager.keep_alive, trio.lowlevel.checkpoint)
            nursery.start_soon(_stop_when_told, signals, nursery.cancel_scope, manager)
            nursery.start_soon(_stop_when_locked, has_locked, nursery.cancel_scope)
            on_web = partial(_tell_web, telling)
            node = await nursery.start(run_home, home, settings, runtime, access, on_lock, on_web)
            _tell_start(node, telling)
            await manager.tell(READY)
            nursery.start_soon(manager.keep_alive, partial(node.store.read, purged_ms))
            await _tell_events(Api(node), telling)
    return locked[-1] if locked else None


def _tell_start(node: Node, telling: Telling) -> None:
    listening = ", ".join(str(address) for address in node.manager.listening)
    name = node.membership.directory.name_of(node.identity.node)
    telling.tell(say("'{name}' is running", name=name))
    if listening:
        telling.tell(say("listening on {addresses}", addresses=listening))
    if node.is_wiped:
        telling.tell(say("the agent's keys were destroyed by order; it goes on carrying"))
    elif node.desk is None:
        telling.tell(say("the device is locked: 'meshnode unlock' opens it"))


def _tell_web(telling: Telling, door: WebDoor | None, state: DoorState) -> None:
    """Say where the screens are. The code that signs in goes to a terminal, never into a log."""
    if state.trouble:
        telling.tell(say("no screens: {reason}", reason=translate_error(state.trouble)))
    elif door is not None and sys.stderr.isatty():
        telling.tell(say("screens: {url}", url=door.open()["url"]))
    else:
        telling.tell(say("screens: {url} ('meshnode web open' signs in)", url=state.url))
    if state.is_open_to_others:
        telling.tell(say("WARNING: nothing is encrypted; whoever listens there reads all"))


def _tell_archive(telling: Telling, fault: str) -> None:
    """Say what does not work with the archive, or that all does again."""
    if fault:
        telling.tell(say("the archive: {fault}", fault=translate_error(fault)))
    else:
        telling.tell(say("the archive works again"))


async def _stop_when_locked(has_locked: trio.Event, scope: trio.CancelScope) -> None:
    await has_locked.wait()
    scope.cancel()


async def _stop_when_told(
    signals: AsyncIterator[int], scope: trio.CancelScope, manager: ServiceManager
) -> None:
    async for _ in signals:
        await manager.tell(STOPPING)
        scope.cancel()
        return


async def _tell_events(api: Api, telling: Telling) -> None:
    unread = await _tell_unread(api, telling, 0) if api.is_locked else 0
    async for event in api.follow():
        # The device may lock between an event and the look at what it was about.
        with suppress(KeystoreError):
            words = await _words(api, event)
            if event["event"] == "bundles_stored" and api.is_locked:
                unread = await _tell_unread(api, telling, unread)
            if words and event.get("is_new"):
                telling.ring(words)
            elif words:
                telling.tell(words)


async def _tell_unread(api: Api, telling: Telling, before: int) -> int:
    """Ring for what came about an alarm and cannot be read; return how much of it there is."""
    unread = await api.alarms_unread()
    if unread > before:
        telling.ring(say("something about an SOS came, and nobody can read it: 'meshnode unlock'"))
    return unread


async def _words(api: Api, event: dict[str, Any]) -> str:
    """Return the line for an event; empty for what people need not see."""
    if event["event"] == "peer_up":
        return say("{name} is in reach ({address})", name=event["name"], address=event["address"])
    if event["event"] == "peer_down":
        return say("{name} is out of reach", name=event["name"])
    if event["event"] == "documents_changed":
        return say("new documents of the authority: {count}", count=event["count"])
    if event["event"] == "lock_changed" and not event["is_locked"]:
        return say("the device is unlocked")
    if event["event"] == "disk_changed":
        return _disk_words(event["fault"])
    if event["event"] == "alarm_changed":
        return _alarm_words(event)
    if event["event"] != "message_arrived":
        return ""
    for each in await api.inbox(event["key"] - 1, 1):
        if each["kind"] == "sos":
            # Its own event says so, and rings.
            return ""
        return say("a message from {name} for {to}", name=each["from"], to=each["to"])
    return ""


def _disk_words(fault: str) -> str:
    """Return the line for a disk that takes nothing, or takes what comes again."""
    if fault:
        return say(
            "the disk takes nothing, so no message comes in: {fault}", fault=translate_error(fault)
        )
    return say("the disk takes what comes again")


def _alarm_words(event: dict[str, Any]) -> str:
    """Return the line for a step of an alarm; no line has its text."""
    name, who, start = event["from"], event["who"], event["alarm"][:8]
    if event["is_new"]:
        return say(
            "SOS from {name}: answer it with 'meshnode alarm show {id}'", name=name, id=start
        )
    return {
        "raised": say("{name} is still in need of help ({id})", name=name, id=start),
        "seen": say("{who} saw the SOS of {name}", who=who, name=name),
        "taken": say("{who} goes to {name}", who=who, name=name),
        "on_scene": say("{who} is with {name}", who=who, name=name),
        "closed": say("{who} closes the SOS of {name}", who=who, name=name),
    }.get(event["step"], "")
