"""Parts shared by the tests of discovery: a runtime that looks where the test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from meshnode.discovery.addresses import LocalAddress, Surroundings
from meshnode.runtime import Runtime

HOME = Surroundings((LocalAddress("10.0.0.5", 24, 2),), ("10.0.0.1",))
AWAY = Surroundings((LocalAddress("192.168.43.7", 24, 3),), ("192.168.43.1",))


class Machine:
    """Stands for the machine's networks: blocking work that looks around returns `seen`."""

    def __init__(self, seen: Surroundings = HOME) -> None:
        self.seen = seen
        self.looks: list[float] = []
        self.traced: list[str] = []

    @property
    def runtime(self) -> Runtime:
        return Runtime(
            now_ms=lambda: 0,
            entropy=bytes,
            run_blocking=self._run,
            trace=lambda event, /, **fields: self.traced.append(event),
        )

    async def _run(
        self,
        function: Callable[..., Any],
        *args: object,
        limiter: trio.CapacityLimiter | None = None,
    ) -> Any:
        await trio.lowlevel.checkpoint()
        self.looks.append(trio.current_time())
        return self.seen
