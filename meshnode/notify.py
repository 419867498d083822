"""Tells systemd how the service stands: ready, alive, stopping; one datagram for each.

Nothing is told where no service manager asked for it. Source: sd_notify(3).
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import trio

from meshnode.runtime import Runtime

__all__ = ["READY", "STOPPING", "ServiceManager"]

READY: Final = "READY=1"
"""The node listens, and takes commands."""
STOPPING: Final = "STOPPING=1"
"""The node says goodbye to its peers."""
_ALIVE: Final = "WATCHDOG=1"
_PARTS: Final = 2
"""So many signs of life within the time after which the service counts as hung."""
_ANSWER_PARTS: Final = 4


class ServiceManager:
    """Whoever started this process and wants to hear how it is; often nobody."""

    def __init__(self, address: str, watchdog_s: float, runtime: Runtime) -> None:
        """`address` is a path, or a name behind `@`; empty where nobody asked."""
        self._address = address
        self._watchdog_s = watchdog_s
        self._runtime = runtime

    @classmethod
    def of(cls, environment: Mapping[str, str], runtime: Runtime) -> ServiceManager:
        """Return the manager that the environment names. A watchdog of another process is none."""
        text, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
        is_ours = process in ("", str(os.getpid()))
        watchdog_s = int(text) / 1_000_000 if text.isdecimal() and is_ours else 0.0
        return cls(environment.get("NOTIFY_SOCKET", ""), watchdog_s, runtime)

    async def tell(self, *lines: str) -> None:
        """Send one datagram; a manager that is gone changes nothing for the node, and is traced."""
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM) as out:
            try:
                await out.sendto("\n".join(lines).encode(), address)
            except OSError as error:
                self._runtime.trace("service_manager_gone", reason=error.strerror)

    async def keep_alive(self, look: Callable[[], Awaitable[object]]) -> None:
        """Give signs of life as long as `look` returns in time; returns at once without a watchdog.

        A node whose disk hangs gives none, and is started again.
        """
        if not self._address or not self._watchdog_s:
            return
        while True:
            with trio.move_on_after(self._watchdog_s / _ANSWER_PARTS) as scope:
                await look()
            if not scope.cancelled_caught:
                await self.tell(_ALIVE)
            await trio.sleep(self._watchdog_s / _PARTS)
