"""Reads the scenario of a region: made up by a generator, recorded as contacts, or as tracks.

A file has `about`, exactly one of the tables `[mountains]`, `[boats]`, `[city]`, `[disaster]`,
`[trace]` and `[tracks]`, and where it wants others than the defaults `[radio]`, `[store]`,
`[routing]`, `[workload]`, `[energy]`, `[satellite]` and `[lora]`. Every error names line and key.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from sims.abstract.records import Options, PolicyName
from sims.contacts import read_messages
from sims.costs import read_lora, read_satellite
from sims.energy import read_energy
from sims.generators.boats import make_boats, read_boats
from sims.generators.city import make_city, read_city
from sims.generators.disaster import make_disaster, read_disaster
from sims.generators.mountains import make_mountains, read_mountains
from sims.generators.radio import Radio, read_radio
from sims.generators.scene import whole_time
from sims.generators.workload import draw_workload, read_writing
from sims.importing import ImportOptions, import_region
from sims.region import Region
from sims.scenario_files import REGION_TABLES, ScenarioFile, find_scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from sims.contacts import ContactPlan, Workload
    from sims.costs import LoraFigures, SatelliteFigures
    from sims.energy import EnergyFigures
    from sims.generators.movement import Floats
    from sims.generators.scene import Scene
    from sims.tables import Table

__all__ = ["FORMAT_VERSION", "RegionScenario", "load_region", "measure_region"]

FORMAT_VERSION: Final = 1
"""Goes up whenever the same file and seed would give another region than before."""
_DURATION_S_MAX: Final = 366 * 86_400.0
_NODES_MAX: Final = 20_000
_SAMPLES_MAX: Final = 500_000_000
"""Nodes times steps: some minutes."""
_BUFFER_BYTES_MAX: Final = 10**12
_RATE_BYTES_S_MAX: Final = 1e9
_COPIES_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class RegionScenario:
    """A region and how it is to be run."""

    name: str
    """What people call it."""
    about: str
    """One sentence on what it shows."""
    seed: int
    """Decides what the file leaves open."""
    hash: str
    """SHA-256 over what the file says, the files that it names and the version of the format;
    the seed and `about` are not part of it. With the seed it names what results were made from."""
    region: Region
    """Who is there, who meets whom, who writes what."""
    options: Options
    """How the file wants it run."""
    energy: EnergyFigures
    """What the duty cycle of a device costs."""
    satellite: SatelliteFigures
    """What sending by satellite costs."""
    lora: LoraFigures
    """What sending by LoRa takes."""
    timetable: ContactPlan | None = field(default=None, repr=False)
    """Contacts that were published before; None where nothing was."""


def load_region(name: str, seed: int) -> RegionScenario:
    """Return an included region by its name, or that in a file whose name ends in `.toml`.

    Equal for equal files and seeds. `seed` is 0 or more. Raises: ScenarioError that names line and
    key; TraceError for what is wrong in a file of contacts, messages, nodes or tracks.
    """
    found = find_scenario(name)
    top = found.table
    about = top.text("about")
    key = _one_table(top)
    options = _options(top, seed)
    radio = top.table("radio")
    rate_bytes_s = radio.number("rate_bytes_s", 250_000.0, low=0.0, high=_RATE_BYTES_S_MAX)
    energy = read_energy(top.table("energy"))
    satellite = read_satellite(top.table("satellite"))
    lora = read_lora(top.table("lora"))
    files = _Files(found)
    if key in ("trace", "tracks"):
        region, timetable = _recorded(key, top, radio, files, seed), None
    else:
        region, timetable = _made_up(key, top, read_radio(radio), files, seed)
    return RegionScenario(
        name=found.name,
        about=about,
        seed=seed,
        hash=_digest(top, files),
        region=replace(region, name=found.name),
        options=replace(options, rate_bytes_s=rate_bytes_s),
        energy=energy,
        satellite=satellite,
        lora=lora,
        timetable=timetable,
    )


def measure_region(name: str) -> tuple[int | None, float | None]:
    """Return how many devices a region has and how long it is in seconds, without making it.

    None stands for what only its files of contacts or tracks tell. Raises: ScenarioError.
    """
    top = find_scenario(name).table
    key, duration_s = _one_table(top), _duration_s(top)
    nodes = None if key in ("trace", "tracks") else _generator(key, top.table(key))[0]
    return nodes, duration_s


def _one_table(top: Table) -> str:
    """Return which of the tables of a region there is."""
    keys = sorted((key for key in REGION_TABLES if key in top), key=top.line)
    if not keys:
        tables = ", ".join(f"[{key}]" for key in REGION_TABLES)
        raise top.error("", f"describes no region: it needs one of {tables}")
    if len(keys) > 1:
        raise top.error(keys[1], f"cannot stand beside [{keys[0]}]: leave one of them out")
    return keys[0]


def _options(top: Table, seed: int) -> Options:
    default = Options()
    store, routing = top.table("store"), top.table("routing")
    receipts = routing.flag("has_receipts") if "has_receipts" in routing else None
    options = Options(
        policy=PolicyName(routing.text("policy", default.policy, among=[*PolicyName])),
        buffer_bytes=store.whole(
            "buffer_bytes", default.buffer_bytes, low=0, high=_BUFFER_BYTES_MAX
        ),
        seed=seed,
        copies=routing.whole("copies", default.copies, low=1, high=_COPIES_MAX),
        has_receipts=receipts,
        has_resume=routing.flag("has_resume", default.has_resume),
    )
    store.end()
    routing.end()
    return options


# --- made up ---------------------------------------------------------------------------------


def _made_up(
    key: str, top: Table, radio: Radio, files: _Files, seed: int
) -> tuple[Region, ContactPlan | None]:
    duration_s = _duration_s(top)
    if duration_s is None:
        raise top.error("duration_s", "is missing: give it, or days")
    table, writing = top.table(key), top.table("workload")
    top.end()
    nodes, make = _generator(key, table)
    if nodes > _NODES_MAX:
        raise table.error("", f"comes to {nodes} devices; there are at most {_NODES_MAX}")
    if nodes * duration_s / radio.step_s > _SAMPLES_MAX:
        raise table.error("", "is too large for its duration: make radio.step_s longer")
    messages = files.take(writing, "messages") if "messages" in writing else None
    draw = _drawn(writing) if messages is None else None
    scene = make(radio, duration_s, np.random.default_rng([seed, 1]))
    if messages is not None:
        writing.end()
        workload = read_messages(messages, len(scene.roles))
    else:
        assert draw is not None, "there is one or the other"
        workload = draw(scene.roles, scene.duty, duration_s, np.random.default_rng([seed, 2]))
    region = Region(
        "",
        scene.plan,
        workload,
        scene.labels,
        scene.roles,
        scene.groups,
        duration_s,
        scene.tracks,
    )
    return region, scene.timetable


def _generator(
    key: str, table: Table
) -> tuple[int, Callable[[Radio, float, np.random.Generator], Scene]]:
    """Return how many nodes a table asks for, and what makes them."""
    if key == "mountains":
        mountains = read_mountains(table)
        return mountains.nodes, partial(make_mountains, mountains)
    if key == "boats":
        boats = read_boats(table)
        return boats.nodes, partial(make_boats, boats)
    if key == "city":
        city = read_city(table)
        return city.nodes, partial(make_city, city)
    disaster = read_disaster(table)
    return disaster.nodes, partial(make_disaster, disaster)


# --- recorded --------------------------------------------------------------------------------


def _recorded(key: str, top: Table, radio: Table, files: _Files, seed: int) -> Region:
    """Return the region of contacts or tracks that somebody recorded."""
    radio.end()
    duration_s = _duration_s(top)
    table = top.table(key)
    nodes = files.take(table, "nodes") if "nodes" in table else None
    messages = files.take(table, "messages") if "messages" in table else None
    given = ImportOptions(nodes=nodes, messages=messages)
    if key == "trace":
        paths = [files.take(table, "contacts")]
    else:
        paths = files.take_all(table, "files")
        given = replace(
            given,
            range_m=table.number("range_m", given.range_m, low=1.0, high=1e6),
            step_s=table.number("step_s", given.step_s, low=1.0, high=3_600.0),
            gap_s=table.number("gap_s", given.gap_s, low=1.0, high=86_400.0),
            is_track_a_node=table.flag("is_track_a_node", given.is_track_a_node),
        )
    table.end()
    if messages is not None and "workload" in top:
        raise top.error("workload", f"cannot stand beside {key}.messages: leave one out")
    draw = _drawn(top.table("workload"))
    top.end()
    region = import_region(paths, given).region
    region = replace(region, duration_s=duration_s or region.duration_s)
    if messages is not None:
        return region
    duty = whole_time(region.roles, region.duration_s)
    random = np.random.default_rng([seed, 2])
    return replace(region, workload=draw(region.roles, duty, region.duration_s, random))


# --- what both need --------------------------------------------------------------------------


def _drawn(
    table: Table,
) -> Callable[[tuple[str, ...], Floats, float, np.random.Generator], Workload]:
    """Return what draws the messages that `[workload]` asks for."""
    return partial(draw_workload, read_writing(table))


def _duration_s(top: Table) -> float | None:
    """Take `duration_s` or `days`; None without either."""
    if "days" in top and "duration_s" in top:
        raise top.error("days", "cannot stand beside duration_s: leave one out")
    if "days" in top:
        return top.number("days", low=1e-3, high=_DURATION_S_MAX / 86_400.0) * 86_400.0
    if "duration_s" in top:
        return top.number("duration_s", low=60.0, high=_DURATION_S_MAX)
    return None


class _Files:
    """The files that a scenario names, found beside it."""

    def __init__(self, found: ScenarioFile) -> None:
        self._folder = found.folder
        self.paths: list[Path] = []

    def take(self, table: Table, key: str) -> Path:
        """Take the name of a file. Raises: ScenarioError where there is none."""
        return self._find(table, key, table.text(key))

    def take_all(self, table: Table, key: str) -> list[Path]:
        """Take the names of one file at least."""
        names = table.texts(key)
        if not names:
            raise table.error(key, "is missing: name one file at least")
        return [self._find(table, key, name) for name in names]

    def _find(self, table: Table, key: str, name: str) -> Path:
        path = (self._folder or Path()) / name
        if "\0" in name or not path.is_file():
            raise table.error(key, f"names no file: there is no {path}")
        self.paths.append(path)
        return path


def _digest(top: Table, files: _Files) -> str:
    """Return the SHA-256 of all that decides the region, beside the seed."""
    content = {key: value for key, value in top.content.items() if key != "about"}
    named = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files.paths]
    said = {"format": FORMAT_VERSION, "scenario": content, "files": named}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
