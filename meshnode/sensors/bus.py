"""D-Bus on trio: calls with a time limit, and a wake-up when something changed.

The only file that knows jeepney. A bus that is missing, closes or says nonsense is a SensorError.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import trio
from jeepney import DBusAddress, MatchRule, message_bus, new_method_call
from jeepney.auth import BEGIN, AuthenticationError, Authenticator
from jeepney.bus import get_bus
from jeepney.io.common import RouterClosed
from jeepney.io.trio import DBusConnection, DBusRouter
from jeepney.wrappers import DBusErrorResponse, unwrap_msg

from meshnode.errors import SensorError
from meshnode.sensors.bounds import BUS_CALL_S_MAX, BUS_SETTLE_S, CONNECT_S_MAX

__all__ = ["Bus", "Interfaces", "on_bus"]

_OBJECTS: Final = "org.freedesktop.DBus.ObjectManager"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_BUS: Final = "org.freedesktop.DBus"
_AUTH_BYTES: Final = 4_096

Interfaces: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Properties of one object by their names, by interface."""


async def on_bus(address: str, work: Callable[[Bus], Awaitable[None]]) -> None:
    """Do `work` with a connection to a bus, `SYSTEM` or a D-Bus address; it is closed at the end.

    Raises: SensorError where the bus is missing or goes away, and as `work`.
    """
    failure: SensorError | None = None
    try:
        async with _connected(address) as connection, connection.router() as router:
            try:
                await work(Bus(router))
            except SensorError as error:
                # Raised behind the router's nursery, which would hand on a group of one.
                failure = error
    except* (
        OSError,
        trio.BrokenResourceError,
        trio.ClosedResourceError,
        trio.EndOfChannel,
    ) as lost:
        if failure is None:
            failure = SensorError("gone", "the message bus went away")
            failure.__cause__ = lost
    if failure is not None:
        raise failure


@asynccontextmanager
async def _connected(address: str) -> AsyncIterator[DBusConnection]:
    try:
        with trio.fail_after(CONNECT_S_MAX):
            stream = await trio.open_unix_socket(get_bus(address))
    except (OSError, ValueError, RuntimeError, trio.TooSlowError) as error:
        raise SensorError("missing", "there is no message bus on this machine") from error
    async with stream:
        try:
            with trio.fail_after(CONNECT_S_MAX):
                await _greet(stream)
        except (AuthenticationError, trio.BrokenResourceError, trio.TooSlowError) as error:
            raise SensorError("missing", "the message bus does not let this user in") from error
        yield DBusConnection(stream.socket)


async def _greet(stream: trio.SocketStream) -> None:
    """Say who we are, as D-Bus wants it first. Raises: AuthenticationError."""
    dialogue = Authenticator(inc_null_byte=False)
    await stream.send_all(b"\0")
    for request in dialogue:
        await stream.send_all(request)
        answer = await stream.receive_some(_AUTH_BYTES)
        if not answer:
            raise AuthenticationError(b"", "the bus closed the connection")
        dialogue.feed(bytes(answer))
    await stream.send_all(BEGIN)


class Bus:
    """One connection to a bus."""

    def __init__(self, router: DBusRouter) -> None:
        self._router = router
        self._sender, self._wakes = trio.open_memory_channel[Any](1)
        self._filters: list[object] = []

    async def objects(self, service: str, path: str) -> Mapping[str, Interfaces]:
        """Return every object of a service with its properties. Raises: SensorError."""
        address = DBusAddress(path, bus_name=service, interface=_OBJECTS)
        (found,) = await self._call(new_method_call(address, "GetManagedObjects"), service)
        return {
            str(each): {str(name): _plain(values) for name, values in interfaces.items()}
            for each, interfaces in found.items()
        }

    async def properties(self, service: str, path: str, interface: str) -> Mapping[str, Any]:
        """Return the properties of one object. Raises: SensorError."""
        address = DBusAddress(path, bus_name=service, interface=_PROPERTIES)
        message = new_method_call(address, "GetAll", "s", (interface,))
        (found,) = await self._call(message, service)
        return _plain(found)

    async def _call(self, message: Any, service: str) -> Sequence[Any]:
        try:
            with trio.fail_after(BUS_CALL_S_MAX):
                body: Sequence[Any] = unwrap_msg(await self._router.send_and_get_reply(message))
        except DBusErrorResponse as error:
            raise SensorError("missing", f"{service} does not answer: does it run?") from error
        except trio.TooSlowError as error:
            raise SensorError("slow", f"{service} did not answer in time") from error
        except (RouterClosed, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise SensorError("gone", "the message bus went away") from error
        return body

    async def greet(self) -> None:
        """Say hello, which must come before any other call. Raises: SensorError."""
        await self._call(message_bus.Hello(), _BUS)

    async def watch(self, service: str, path: str) -> None:
        """Let `changed` return when the service comes or goes, or an object of it changes.

        The objects are those at and below `path`. Raises: SensorError.
        """
        owner = MatchRule(type="signal", sender=_BUS, interface=_BUS, member="NameOwnerChanged")
        owner.add_arg_condition(0, service)
        await self._call(message_bus.AddMatch(owner), _BUS)
        rules = [owner]
        for interface in (_PROPERTIES, _OBJECTS):
            told = MatchRule(
                type="signal", sender=service, interface=interface, path_namespace=path
            )
            await self._call(message_bus.AddMatch(told), _BUS)
            # Messages carry the number of their sender, not its name: the bus has looked at that.
            rules.append(MatchRule(type="signal", interface=interface, path_namespace=path))
        for rule in rules:
            # A full channel means that somebody is woken already.
            self._filters.append(self._router.filter(rule, channel=self._sender))

    async def changed(self, within_s: float) -> None:
        """Return when something changed, at most every BUS_SETTLE_S, or after `within_s`.

        Raises: SensorError if the bus went away.
        """
        looked_s = trio.current_time()
        try:
            with trio.move_on_after(within_s):
                await self._wakes.receive()
        except trio.EndOfChannel as error:
            raise SensorError("gone", "the message bus went away") from error
        # The first change is looked at immediately; what comes in a row is looked at together.
        await trio.sleep_until(looked_s + BUS_SETTLE_S)


def _plain(values: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    """Return properties without the signatures of their types."""
    return {str(name): value for name, (_, value) in values.items()}
