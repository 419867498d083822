"""Where the regions of a campaign come from: a trace in two files, or a scenario and a seed.

A source carries all that it needs, so that a worker on another computer needs no file of this one.
"""

from __future__ import annotations

import hashlib
import tempfile
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from sims.abstract.records import Options
from sims.campaign.parameters import CampaignError
from sims.contacts import NODES_MAX, read_contacts, read_messages
from sims.region import Region, plain_region
from sims.region_reading import load_region

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "FILES_BYTES_MAX",
    "ScenarioSource",
    "Source",
    "TraceSource",
    "region_hash",
    "scenario_source",
    "trace_source",
]

FILES_BYTES_MAX: Final = 1_000_000_000
"""Of a scenario with all files that it names: they are sent to each worker."""


@dataclass(frozen=True, slots=True)
class TraceSource:
    """A region that is the same for every seed."""

    name: str
    """Names of its files."""
    scenario_hash: str
    """SHA-256 over the region's content, hexadecimal."""
    trace: Region = field(repr=False)
    """The region."""
    options: Options = field(default_factory=Options)
    """How it is run where the grid says nothing."""

    @property
    def is_seeded(self) -> bool:
        """Whether two seeds give two regions."""
        return False

    def region(self, seed: int) -> Region:
        """Return the region for one seed."""
        del seed
        return self.trace


@dataclass(frozen=True, slots=True)
class ScenarioSource:
    """A region for each seed."""

    name: str
    """Of the scenario."""
    scenario_hash: str
    """SHA-256 over all that decides its regions beside the seed, hexadecimal."""
    options: Options
    """How the scenario wants to be run."""
    files: tuple[tuple[str, bytes], ...] = field(repr=False)
    """Name and content of the scenario's file and then of those that it names; empty for one that
    comes with the program."""

    @property
    def is_seeded(self) -> bool:
        """Whether two seeds give two regions."""
        return True

    def region(self, seed: int) -> Region:
        """Return the region for one seed. Raises: ScenarioError, TraceError."""
        if not self.files:
            return load_region(self.name, seed).region
        with tempfile.TemporaryDirectory() as folder:
            for name, content in self.files:
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            return load_region(str(Path(folder) / self.files[0][0]), seed).region


Source: TypeAlias = "TraceSource | ScenarioSource"


def trace_source(contacts: Path, messages: Path) -> TraceSource:
    """Return the source with the contacts and the messages of two CSV files. Raises: TraceError."""
    plan = read_contacts(contacts)
    workload = read_messages(messages, NODES_MAX)
    # Who writes or is written to may never meet anybody.
    ends = max(workload.source.max(initial=-1), workload.destination.max(initial=-1))
    plan = replace(plan, nodes=max(plan.nodes, int(ends) + 1))
    region = plain_region(f"{contacts.name}, {messages.name}", plan, workload)
    return TraceSource(region.name, region_hash(region), region)


def scenario_source(name: str, folder: Path, seed: int) -> ScenarioSource:
    """Return the source with an included scenario, or that of a file FILE.toml in `folder`.

    The region of one seed is made, so that what is wrong with it is told here. Raises:
    CampaignError, ScenarioError, TraceError.
    """
    is_file = name.endswith(".toml")
    scenario = load_region(str(folder / name) if is_file else name, seed)
    files = _files((folder / name).resolve()) if is_file else ()
    return ScenarioSource(scenario.name, scenario.hash, scenario.options, files)


def _files(path: Path) -> tuple[tuple[str, bytes], ...]:
    """Return a scenario's file and each file beside it that a text in it names."""
    raw = path.read_bytes()
    found = {path.name: raw}
    for text in _texts(tomllib.loads(raw.decode())):
        # What the scenario took for a name was found before; any other text is no path here.
        if "\0" in text or not text or len(text) > 255 or not (path.parent / text).is_file():
            continue
        named = (path.parent / text).resolve()
        if Path(text).is_absolute() or not named.is_relative_to(path.parent) or ".." in text:
            reason = "lies elsewhere: put it beside the scenario, so that workers can be sent it"
            raise CampaignError(text, reason)
        found[text] = named.read_bytes()
    if sum(map(len, found.values())) > FILES_BYTES_MAX:
        raise CampaignError(path.name, f"names files of more than {FILES_BYTES_MAX} bytes in all")
    return tuple(found.items())


def _texts(value: object) -> Iterator[str]:
    """Yield every text in a TOML document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def region_hash(region: Region) -> str:
    """Return the SHA-256 over all of a region that a run depends on, names of files left out."""
    plan, workload = region.plan, region.workload
    digest = hashlib.sha256(f"meshnode-region 1\n{plan.nodes}\n".encode())
    contacts = (plan.start_s, plan.end_s, plan.a, plan.b)
    ends = (workload.created_s, workload.source, workload.destination)
    for array in (*contacts, *ends, workload.size_bytes, workload.lifetime_s, workload.priority):
        little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{len(array)} {little_endian.dtype.str}\n".encode())
        digest.update(np.ascontiguousarray(little_endian).tobytes())
    for texts in (workload.names, region.roles):
        digest.update(_framed(texts))
    return digest.hexdigest()


def _framed(texts: Iterable[str]) -> bytes:
    """Return texts with their lengths, so that no two lists look alike."""
    return b"".join(f"{len(each.encode())}:{each}".encode() for each in texts)
