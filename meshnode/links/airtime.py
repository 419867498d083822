"""How long the radios of a node are awake, by kind of bearer: bytes in flight, and the tail after.

A radio that sent or received stays awake for a while in case more follows. How long is known of
each kind, not of each device, so this is a model: the time from the first to the last byte of a
burst, and one tail. Bursts that follow within a tail are one. Not counted: dials that nobody
answers, and the multicasts of discovery.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

import trio

from meshnode.links.base import Link, LinkCost
from meshnode.metrics import Metrics

__all__ = ["TAIL_S", "AirTime"]

TAIL_S: Final[Mapping[str, float]] = MappingProxyType(
    {"lan": 0.2, "cellular": 11.6, "satellite": 20.0, "serial": 0.1}
)
"""Seconds that a radio stays awake after its last byte. Wi-Fi dozes again after about 0.2 s and
LTE after 11.6 s (Huang et al., MobiSys 2012); a satellite modem is taken to hold its channel for
20 s, a radio at a serial line to switch back in 0.1 s. A cable counts as Wi-Fi."""
_BY_COST: Final[Mapping[LinkCost, str]] = MappingProxyType(
    {LinkCost.FREE: "lan", LinkCost.METERED: "cellular", LinkCost.COSTLY: "satellite"}
)


class _Radio:
    """One kind of radio."""

    def __init__(self, tail_s: float) -> None:
        self.tail_s = tail_s
        self.until_s = -1.0
        """Everything up to here is counted already, on trio's clock."""
        self.sending = 0
        """Links on which bytes are being sent now."""
        self.rest_ms = 0.0
        """Counted, and less than a whole millisecond."""


class AirTime:
    """The radios of one node; counts `radio_ms_KIND`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._radios = {kind: _Radio(tail_s) for kind, tail_s in TAIL_S.items()}

    def received(self, link: Link) -> None:
        """Bytes came."""
        self._awake(kind_of(link))

    @contextmanager
    def sending(self, link: Link) -> Iterator[None]:
        """Bytes go out for as long as the block lasts."""
        kind = kind_of(link)
        self._awake(kind)
        self._radios[kind].sending += 1
        try:
            yield
        finally:
            self._awake(kind)
            self._radios[kind].sending -= 1

    def _awake(self, kind: str) -> None:
        radio, now_s = self._radios[kind], trio.current_time()
        # While something is being sent the radio has not slept since it was last looked at.
        start_s = radio.until_s if radio.sending else max(now_s, radio.until_s)
        radio.until_s = max(radio.until_s, now_s + radio.tail_s)
        radio.rest_ms += 1000 * (radio.until_s - start_s)
        whole_ms = int(radio.rest_ms)
        radio.rest_ms -= whole_ms
        if whole_ms:
            self._metrics.count(f"radio_ms_{kind}", whole_ms)


def kind_of(link: Link) -> str:
    """Return which radio a link goes over: its bearer, and where that tells none, its cost."""
    return "serial" if link.kind == "serial" else _BY_COST[link.cost]
