"""The counters and the state of a node in the text format of Prometheus; no name, no place.

Source: Prometheus exposition format 0.0.4; counters are those of `meshnode.metrics`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Final

from meshnode.lines import Json
from meshnode.metrics import METRICS

__all__ = ["MEDIA", "exposition"]

MEDIA: Final = "text/plain; version=0.0.4; charset=utf-8"
_STATES: Final[Mapping[str, str]] = {
    "sessions": "links with other nodes that are open now",
    "store_bytes": "bytes that bundles take on the disk",
    "store_bytes_max": "bytes that bundles may take on the disk",
    "documents": "authority documents held here",
    "unopened": "bundles for this device that wait to be opened",
    "locked": "1 while the agent's keys are locked",
    "online": "1 while a gateway is in reach",
    "clock_doubted": "1 while the clock of this machine is doubted",
}


def exposition(status: Json) -> str:
    """Return what `Api.status` says as lines of Prometheus."""
    return "".join(f"{line}\n" for line in _lines(status))


def _lines(status: Json) -> Iterator[str]:
    yield from _head("info", "which version of meshnode runs here", "gauge")
    yield f'meshnode_info{{version="{version("meshnode")}"}} 1'
    store = status["store"]
    values = {
        "sessions": status["sessions"],
        "store_bytes": store["bytes"],
        "store_bytes_max": store["bytes_max"],
        "documents": status["documents"],
        "unopened": status["unopened"],
        "locked": int(status["lock"]["is_locked"]),
        "online": int(status["is_online"]),
        "clock_doubted": int(status["is_clock_doubted"]),
    }
    for name, what in _STATES.items():
        yield from _head(name, what, "gauge")
        yield f"meshnode_{name} {values[name]}"
    yield from _head("store_bundles", "bundles in the store by their class", "gauge")
    for name, count in store["by_class"].items():
        yield f'meshnode_store_bundles{{class="{name}"}} {count}'
    yield from _head("messages", "messages written here by their state", "gauge")
    for name, count in status["messages"].items():
        yield f'meshnode_messages{{state="{name}"}} {count}'
    for name, count in status["metrics"].items():
        yield from _head(f"{name}_total", METRICS[name], "counter")
        yield f"meshnode_{name}_total {count}"


def _head(name: str, what: str, kind: str) -> Iterator[str]:
    yield f"# HELP meshnode_{name} {what}"
    yield f"# TYPE meshnode_{name} {kind}"
