"""A boat comes into port: a box hands all it carries to a gateway, and says how long that takes.

Both are real nodes with stores on the disk, in processes of their own over loopback TLS, that have
met before. What the box said on the way is judged by when the end really came.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import trio

from meshnode.bench.network import make_homes
from meshnode.bench.sync import Figures, line_of, rows_of, started
from meshnode.runtime import system_runtime
from protocol.identity import Role

__all__ = ["STEPS", "error_of", "measure"]

STEPS: Final = 100
"""Steps of the bar: hundredths of the bundles."""
_MODULE: Final = "meshnode.bench.ends"
_FROM: Final = 0.1
"""What was said before a tenth was ashore is not judged: the rate is of a moment then."""


def measure(
    bundles: int = 100_000, on_step: Callable[[int], None] = lambda _done: None
) -> dict[str, Any]:
    """Return what the handing over of so many bundles of 200 bytes cost, and how right the box was.

    Keys: schema, bundles, wall_seconds, bundles_s, cpu_seconds (both ends), sent_bytes,
    box_peak_mib, gateway_peak_mib, looks, first_left (bundles counted at the first look),
    error_pct_half and error_pct_max: by how much of the whole time the estimate was off, at half
    and at worst after a tenth. Raises: BenchError. Cost: about 2 ms per bundle, most of it to write
    and take in what is carried.
    """
    with tempfile.TemporaryDirectory(prefix="meshnode-bench-") as name:
        folder = Path(name)
        homes = trio.run(make_homes, folder / "homes", bundles, system_runtime(), Role.GATEWAY)
        file = folder / "bundles"
        file.write_bytes(rows_of(homes.bundles))
        count = len(homes.bundles)
        looks: list[Figures] = []
        with started(_MODULE, "receive", str(homes.carrier), str(count)) as gateway:
            port = str(line_of(gateway)["port"])
            with started(_MODULE, "unload", str(homes.holder), port, str(file)) as box:
                line_of(gateway)
                while "cpu_seconds" not in (said := line_of(box)):
                    looks.append(said)
                    on_step(int(STEPS * said["done"] / count))
                ended = line_of(gateway)
    return _summary(count, looks, said, ended)


def error_of(look: Figures, ended_s: float, whole_s: float) -> float:
    """Return by how much of the whole time one estimate was off, percent; late is positive."""
    return 100 * (look["at"] + look["seconds_left"] - ended_s) / whole_s


def _summary(
    bundles: int, looks: Sequence[Figures], box: Figures, gateway: Figures
) -> dict[str, Any]:
    began_s, ended_s = box["started"], box["ended"]
    whole_s = ended_s - began_s
    judged = [each for each in looks if each["done"] >= _FROM * bundles and each["left"]]
    half = next((each for each in judged if each["done"] >= bundles / 2), None)
    errors = sorted(error_of(each, ended_s, whole_s) for each in judged)
    worst = max(errors[:1] + errors[-1:], key=abs, default=None)
    return {
        "schema": 1,
        "bundles": bundles,
        "wall_seconds": round(whole_s, 2),
        "bundles_s": round(bundles / whole_s),
        "cpu_seconds": round(box["cpu_seconds"] + gateway["cpu_seconds"], 2),
        "sent_bytes": int(box["sent_bytes"]),
        "box_peak_mib": round(box["peak_mib"], 1),
        "gateway_peak_mib": round(gateway["peak_mib"], 1),
        "looks": len(looks),
        "first_left": int(looks[0]["left"]) if looks else None,
        "error_pct_half": None if half is None else round(error_of(half, ended_s, whole_s), 1),
        "error_pct_max": None if worst is None else round(worst, 1),
    }
