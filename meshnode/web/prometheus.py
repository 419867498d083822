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
    "alarms_unread": "bundles about alarms that came while locked, and lie unread",
    "locked": "1 while the agent's keys are locked",
    "online": "1 while a gateway is in reach",
    "clock_doubted": "1 while the clock of this machine is doubted",
    "clock_late": "1 while most of what comes in is refused as written in the future",
    "disk_refusing": "1 while the disk takes nothing that is written",
}


_ARCHIVE: Final[Mapping[str, str]] = {
    "archive_waiting": "bundles and contents that wait for the archive",
    "archive_waiting_bytes": "bytes that wait for the archive",
    "archive_waiting_bytes_max": "bytes that may wait for the archive",
    "archive_waiting_since_seconds": "since when the oldest waits, Unix time; 0 for nothing waits",
    "archive_faults": "parts of the archive's work that do not get done",
    "archive_shut": "1 while the device is locked: nothing is archived and nothing purged",
    "archive_purged_seconds": "when what is over was last destroyed, Unix time; 0 for not yet",
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
        "alarms_unread": status["alarms_unread"],
        "locked": int(status["lock"]["is_locked"]),
        "online": int(status["is_online"]),
        "clock_doubted": int(status["is_clock_doubted"]),
        "clock_late": int(status["is_clock_late"]),
        "disk_refusing": int(bool(status["disk_fault"])),
    }
    yield from _gauges(_STATES, values)
    if (archive := status["archive"]) is not None:
        yield from _gauges(_ARCHIVE, _archive_values(archive))
    yield from _head("store_bundles", "bundles in the store by their class", "gauge")
    for name, count in store["by_class"].items():
        yield f'meshnode_store_bundles{{class="{name}"}} {count}'
    yield from _head("messages", "messages written here by their state", "gauge")
    for name, count in status["messages"].items():
        yield f'meshnode_messages{{state="{name}"}} {count}'
    for name, count in status["metrics"].items():
        yield from _head(f"{name}_total", METRICS[name], "counter")
        yield f"meshnode_{name}_total {count}"


def _archive_values(archive: Json) -> dict[str, int]:
    return {
        "archive_waiting": archive["waiting"],
        "archive_waiting_bytes": archive["waiting_bytes"],
        "archive_waiting_bytes_max": archive["waiting_bytes_max"],
        "archive_waiting_since_seconds": archive["waiting_since_ms"] // 1000,
        "archive_faults": len(archive["faults"]),
        "archive_shut": int(archive["is_shut"]),
        "archive_purged_seconds": archive["purged_ms"] // 1000,
    }


def _gauges(told: Mapping[str, str], values: Mapping[str, int]) -> Iterator[str]:
    for name, what in told.items():
        yield from _head(name, what, "gauge")
        yield f"meshnode_{name} {values[name]}"


def _head(name: str, what: str, kind: str) -> Iterator[str]:
    yield f"# HELP meshnode_{name} {what}"
    yield f"# TYPE meshnode_{name} {kind}"
