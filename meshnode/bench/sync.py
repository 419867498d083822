"""What it costs to hand 2,000 bundles over, beside a bare pipeline in the same minute.

Both are two processes over loopback TLS, and have met once before; runs alternate, so that a busy
machine slows both. The figures are medians. Source: sync.md targets, `meshnode/bench/floor.py`.
"""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import trio

from meshnode.bench.network import Homes, make_homes
from meshnode.runtime import system_runtime
from protocol.errors import MeshError

__all__ = ["BenchError", "Figures", "line_of", "measure", "rows_of", "started"]

Figures: TypeAlias = dict[str, float]

_WAIT_S = 180


class BenchError(MeshError):
    """A measured process failed; its words are in the message."""


@dataclass(frozen=True, slots=True)
class _Files:
    """Bundles as both programs read them."""

    warm_up: Path
    """For the contact before the measured one."""
    bundles: Path
    """For the measured one."""


def measure(
    messages: int = 2_000,
    repeats: int = 15,
    on_run: Callable[[int], None] = lambda _done: None,
) -> dict[str, Any]:
    """Return medians of `repeats` runs each of node and floor, in turn.

    Keys: schema, messages, repeats, cpu_seconds, floor_cpu_seconds, cpu_ratio, wall_seconds,
    floor_wall_seconds, wall_ratio, wire_bytes, bundle_bytes, wire_ratio, first_urgent_ms,
    peak_mib. Times in seconds unless the name says otherwise; CPU is of both ends; ratios are of
    runs next to each other. Raises: BenchError. Cost: a few seconds per run.
    """
    with tempfile.TemporaryDirectory(prefix="meshnode-bench-") as name:
        folder = Path(name)
        homes = trio.run(make_homes, folder / "homes", messages, system_runtime())
        files = _Files(folder / "warm-up", folder / "bundles")
        files.warm_up.write_bytes(rows_of(homes.warm_up))
        files.bundles.write_bytes(rows_of(homes.bundles))
        nodes, floors = [], []
        for run in range(repeats):
            nodes.append(_node_run(folder / f"node{run}", homes, files, is_urgent=False))
            floors.append(_floor_run(folder / f"floor{run}", homes, files))
            on_run(2 * run + 2)
        urgent = [
            _node_run(folder / f"urgent{run}", homes, files, is_urgent=True)["urgent_ms"]
            for run in range(min(3, repeats))
        ]
    return _summary(messages, homes, nodes, floors, urgent)


def _summary(
    messages: int,
    homes: Homes,
    nodes: Sequence[Figures],
    floors: Sequence[Figures],
    urgent: Sequence[float],
) -> dict[str, Any]:
    def middle(runs: Sequence[Figures], key: str) -> float:
        return median(run[key] for run in runs)

    def ratio(key: str) -> float:
        return median(n[key] / f[key] for n, f in zip(nodes, floors, strict=True))

    bundle_bytes = sum(len(raw) for raw in homes.bundles)
    wire_bytes = middle(nodes, "wire_bytes")
    return {
        "schema": 1,
        "messages": messages,
        "repeats": len(nodes),
        "cpu_seconds": round(middle(nodes, "cpu"), 4),
        "floor_cpu_seconds": round(middle(floors, "cpu"), 4),
        "cpu_ratio": round(ratio("cpu"), 3),
        "wall_seconds": round(middle(nodes, "wall"), 4),
        "floor_wall_seconds": round(middle(floors, "wall"), 4),
        "wall_ratio": round(ratio("wall"), 3),
        "wire_bytes": int(wire_bytes),
        "bundle_bytes": bundle_bytes,
        "wire_ratio": round(wire_bytes / bundle_bytes, 4),
        "first_urgent_ms": round(median(urgent), 1),
        "peak_mib": round(max(run["peak_mib"] for run in nodes), 1),
    }


def rows_of(raws: Sequence[bytes]) -> bytes:
    """Return containers as a file that the ends of a contact read."""
    return b"".join(len(raw).to_bytes(4, "big") + raw for raw in raws)


def _node_run(folder: Path, homes: Homes, files: _Files, *, is_urgent: bool) -> Figures:
    """Hand everything over once between fresh copies of the homes."""
    more = ["urgent"] if is_urgent else []
    holder, carrier = folder / "holder", folder / "carrier"
    shutil.copytree(homes.holder, holder)
    shutil.copytree(homes.carrier, carrier)
    module, expected = "meshnode.bench.ends", str(len(homes.bundles))
    with started(module, "receive", str(carrier), expected, *more) as receiver:
        port = str(line_of(receiver)["port"])
        with started(module, "send", str(holder), port, str(files.bundles), *more) as sender:
            line_of(receiver)
            figures = _together(line_of(sender), line_of(receiver))
    shutil.rmtree(folder)
    return figures


def _floor_run(folder: Path, homes: Homes, files: _Files) -> Figures:
    module = "meshnode.bench.floor"
    pem = "".join(ssl.DER_cert_to_PEM_cert(anchor) for anchor in homes.anchors)
    for name, home in (("send", homes.holder), ("receive", homes.carrier)):
        end = folder / name
        for part in ("keys", "identity"):
            shutil.copytree(home / part, end / part)
        (end / "identity" / "anchors.pem").write_text(pem)
        (end / "author").write_bytes(next(iter(homes.author_keys.values())))
    with started(module, "receive", str(folder / "receive")) as receiver:
        port = str(line_of(receiver)["port"])
        names = [str(files.warm_up), str(files.bundles)]
        with started(module, "send", str(folder / "send"), port, *names) as sender:
            figures = _together(line_of(sender), line_of(receiver))
    shutil.rmtree(folder)
    return figures


def _together(sender: Figures, receiver: Figures) -> Figures:
    figures = {
        "cpu": sender["cpu_seconds"] + receiver["cpu_seconds"],
        "wall": receiver["ended"] - min(sender["started"], receiver["started"]),
        "wire_bytes": sender["sent_bytes"] + sender["received_bytes"],
        "peak_mib": max(sender["peak_mib"], receiver["peak_mib"]),
    }
    if "urgent_at" in receiver:
        figures["urgent_ms"] = (receiver["urgent_at"] - sender["urgent_from"]) * 1000
    return figures


@contextmanager
def started(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a module as a process of its own, and wait for its end; it is killed if that fails."""
    process = subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
        process.wait(_WAIT_S)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> Figures:
    """Return the next line that a process prints. Raises: BenchError with its last words."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    if not line:
        words = process.stderr.read().strip().splitlines()
        raise BenchError(f"a measured process failed: {words[-1] if words else 'no word'}")
    found: Figures = json.loads(line)
    return found
