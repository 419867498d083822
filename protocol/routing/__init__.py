"""Routing policies: in which order a peer gets what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from protocol.routing.base import Router
from protocol.routing.direct import Direct
from protocol.routing.epidemic import Epidemic
from protocol.routing.gain import Gain

__all__ = ["ROUTERS"]

ROUTERS: Final[Mapping[str, Callable[[], Router]]] = {
    "gain": Gain,
    "epidemic": Epidemic,
    "direct": Direct,
}
"""What makes each policy that a node can follow, by its name."""
