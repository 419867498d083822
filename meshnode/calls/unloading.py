"""The call about handing over at port, in plain values; `Api` has it beside its own."""

from __future__ import annotations

from meshnode.calls.base import Calls, Json
from meshnode.services.unloading import Port

__all__ = ["UnloadingCalls"]


class UnloadingCalls(Calls):
    """What people may ask while a node hands over what it carried."""

    async def unloading(self) -> Json:
        """Return how far the handing over to each gateway in reach is, and what lies here in all.

        A rate needs two calls with time between them; what is not known is None. Works while the
        device is locked.
        """
        store = self._node.store
        return {
            "bundles": sum(store.class_counts.values()),
            "bytes": store.total_bytes,
            "gateways": [self._port(each) for each in self._node.unloading.look()],
        }

    def _port(self, port: Port) -> Json:
        seconds = port.seconds_left
        return {
            **self._who(port.gateway),
            "is_counted": port.is_counted,
            "done": port.done,
            "left": port.left,
            "left_bytes": port.left_bytes,
            "bytes_s": _rounded(port.rate_bytes_s),
            "bundles_s": _rounded(port.rate_bundles_s),
            "seconds_left": _rounded(seconds),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
