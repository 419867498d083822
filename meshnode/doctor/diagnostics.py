"""One file for those who help from afar: findings and figures, no text, name, place or secret.

Source: security 2.10 (what a trace may show); the words that are taken out are those of the
directory of this very device, its home and its addresses.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from meshnode.config import Settings
from meshnode.doctor.findings import Facts, Finding
from meshnode.errors import ConfigError
from meshnode.files import write_private
from protocol.errors import MeshError

__all__ = ["diagnostics", "write_diagnostics"]

_TRACE_LINES_MAX: Final = 500
_TRACE_BYTES_MAX: Final = 262_144
_STATUS_FIGURES: Final = (
    "role",
    "zone",
    "is_online",
    "sessions",
    "store",
    "messages",
    "documents",
    "unopened",
    "evidence",
    "is_clock_doubted",
    "is_clock_late",
    "disk_fault",
    "lock",
    "metrics",
)
"""What is told of the node's status: figures and states."""
_PLAIN_SETTINGS: Final = frozenset(
    {"routing.policy", "budgets.bearers", "tak.send", "tak.accept", "web.listen"}
)
"""Settings in words that name nobody and no place; of all others only whether they are there."""


def diagnostics(facts: Facts, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what the file tells, in plain values."""
    return {
        "format": "meshnode diagnostics 1",
        "made_ms": facts.now_ms,
        "versions": {
            "meshnode": metadata.version("meshnode"),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        },
        "settings": _settings(facts.settings),
        "findings": [
            {"name": each.name, "level": each.level.value, "sentence": _hide(each.sentence, facts)}
            for each in findings
        ],
        "is_running": facts.is_running,
        "status": _status(facts.status),
        "peers": [
            {
                "role": peer["role"],
                "is_up": peer["is_up"],
                "last_ms": peer["last_ms"],
                "contacts": peer["contacts"],
                "sent_bytes": peer["sent_bytes"],
                "received_bytes": peer["received_bytes"],
            }
            for peer in facts.peers
        ],
        "trace": _trace(facts),
    }


def write_diagnostics(path: Path, facts: Facts, findings: Sequence[Finding]) -> int:
    """Write the file, readable by its owner alone; return its bytes. Raises: HomeError."""
    raw = json.dumps(diagnostics(facts, findings), indent=1, sort_keys=True).encode() + b"\n"
    write_private(path, raw)
    return len(raw)


def _settings(settings: Settings | ConfigError) -> dict[str, Any]:
    """Return the settings; of addresses, names and files only whether, or how many, there are."""
    if isinstance(settings, ConfigError):
        return {"fault_in": settings.key}
    return {
        section: {name: _setting(section, name, value) for name, value in values.items()}
        for section, values in asdict(settings).items()
    }


def _setting(section: str, name: str, value: Any) -> Any:
    if isinstance(value, bool | int | float) or f"{section}.{name}" in _PLAIN_SETTINGS:
        return value
    if section == "sensors":
        # Which kind of source there is; not on which machine or in which file.
        return [each.partition(":")[0] for each in value]
    return bool(value) if isinstance(value, str) else len(value)


def _addresses(settings: Settings | ConfigError) -> list[str]:
    """Return what findings may quote of the settings."""
    if isinstance(settings, ConfigError):
        return []
    links, own = settings.links, [settings.tak.server, *settings.web.names]
    return [*links.listen, *links.static, *links.known_as, *settings.plotter.send_to, *own]


def _status(status: dict[str, Any] | MeshError | None) -> dict[str, Any]:
    if isinstance(status, MeshError):
        return {"fault": type(status).__name__}
    # An older node that runs tells less.
    known = {} if status is None else status
    return {name: known[name] for name in _STATUS_FIGURES if name in known}


def _hide(sentence: str, facts: Facts) -> str:
    """Return a sentence without the home, addresses and names of people that this device knows."""
    words = {str(facts.home): "HOME", str(facts.home.resolve()): "HOME"}
    words |= dict.fromkeys(facts.machine.hosts(), "ADDRESS")
    words |= dict.fromkeys(_addresses(facts.settings), "ADDRESS")
    if isinstance(facts.status, dict):
        words |= dict.fromkeys(facts.status["listening"], "ADDRESS")
        words |= dict.fromkeys([facts.status["name"], facts.status["node"]], "DEVICE")
        words |= dict.fromkeys(facts.status["squads"], "SQUAD")
    for peer in facts.peers:
        words |= dict.fromkeys([peer["name"], peer["node"]], "DEVICE")
        words[peer["address"]] = "ADDRESS"
    if facts.readiness is not None:
        words |= dict.fromkeys([each["name"] for each in facts.readiness["without_key"]], "DEVICE")
        words |= dict.fromkeys([each["to"] for each in facts.readiness["squads"]], "SQUAD")
    # The longest first: one may be a part of another.
    for word in sorted((each for each in words if each), key=len, reverse=True):
        sentence = sentence.replace(word, words[word])
    return sentence


def _trace(facts: Facts) -> list[dict[str, Any]]:
    """Return the last lines of the trace file: time and event alone."""
    if isinstance(facts.settings, ConfigError) or not facts.settings.trace.file:
        return []
    try:
        with (facts.home / facts.settings.trace.file).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TRACE_BYTES_MAX))
            lines = file.read().splitlines()[-_TRACE_LINES_MAX:]
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            event = json.loads(line)
            found.append({"at_ms": event["at_ms"], "event": event["event"]})
        except (ValueError, KeyError, TypeError):
            # The first line may be cut, and the last one half written.
            continue
    return found
