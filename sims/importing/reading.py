"""One way in for everything that others recorded: files and options in, a region out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np

from sims.contacts import (
    CONTACT_COLUMNS,
    TraceError,
    Workload,
    make_plan,
    make_workload,
    read_contacts,
    read_messages,
)
from sims.importing.gpx import read_gpx
from sims.importing.nmea import read_nmea
from sims.importing.nodes import NodeList, read_nodes
from sims.importing.ranging import contacts_in_range
from sims.importing.the_one import is_one_event, read_one_events
from sims.importing.tracks import Fixes, map_tracks, sample_tracks, straight_m
from sims.region import Region, plain_region

__all__ = ["ImportOptions", "Imported", "Kind", "detect_kind", "import_region"]

_RANGE_M_MAX: Final = 1_000_000.0
_STEP_S_MIN: Final = 0.01
_BEGIN_BYTES: Final = 65_536
"""Of a file, in which its first line is looked for."""


class Kind(StrEnum):
    """What a file holds."""

    CONTACTS = "contacts"
    """CSV with the columns `t_start,t_end,a,b`."""
    THE_ONE = "the-one"
    """Connections and new messages as events of The ONE."""
    GPX = "gpx"
    """Tracks in GPX."""
    NMEA = "nmea"
    """A log of NMEA 0183 sentences."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How files are to be understood."""

    kind: Kind | None = None
    """What the files hold; None looks at each."""
    name: str = ""
    """What the region is called; empty takes the name of the first file."""
    nodes: Path | None = None
    """CSV file with the columns `id,role,group`; for tracks the ids follow the order of files."""
    messages: Path | None = None
    """CSV file with the columns `id,t,src,dst,size,ttl,prio`."""
    range_m: float = 150.0
    """Tracks: who is at most so far apart is in contact; metres, at most 1,000 km."""
    step_s: float = 10.0
    """Tracks: how often that is looked at, seconds."""
    gap_s: float = 300.0
    """Tracks: between fixes further apart than this many seconds a node's place is unknown."""
    is_track_a_node: bool = False
    """GPX: whether each named track is a node of its own, instead of each file."""
    end_s: float | None = None
    """The ONE: when connections that are still up go down; None is the last time stamp."""
    lifetime_s: float = 86_400.0
    """The ONE: lifetime of all messages, seconds."""
    priority: int = 1
    """The ONE: priority of all messages, 0 urgent, 1 normal, 2 bulk."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What files came to."""

    region: Region
    """Ready for oracle and simulator."""
    kind: Kind
    """What the first file was taken for."""
    skipped: int
    """Lines or points that could not be used, or did not need to be."""
    begin_s: float | None
    """Tracks: seconds since 1970 in UTC at which the region's time is 0; None for other kinds."""


def import_region(paths: Path | Sequence[Path], options: ImportOptions | None = None) -> Imported:
    """Return the region in one file or several: tracks of GPX and NMEA can stand side by side,
    events of The ONE in several files, contacts in one.

    Raises: TraceError that names the file, and the line where there is one.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    given = options or ImportOptions()
    if not files:
        raise TraceError("import", "name a file at least")
    kinds = [given.kind or detect_kind(path) for path in files]
    is_tracks = set(kinds) <= {Kind.GPX, Kind.NMEA}
    if not is_tracks and len(set(kinds)) > 1:
        told = ", ".join(f"{path.name} {kind}" for path, kind in zip(files, kinds, strict=True))
        raise TraceError("import", f"the files are of different kinds: {told}")
    nodes = read_nodes(given.nodes) if given.nodes else None
    if is_tracks:
        found = _from_tracks(files, kinds, given, nodes)
    elif kinds[0] is Kind.THE_ONE:
        found = _from_events(files, given, nodes)
    else:
        found = _from_contacts(files, given, nodes)
    return replace(found, region=_named(found.region, files, given, nodes))


def detect_kind(path: Path) -> Kind:
    """Return what a file holds, by its first line, or else by the end of its name.

    Raises: TraceError if neither tells.
    """
    first = _first_line(path)
    by_name = {".gpx": Kind.GPX, ".nmea": Kind.NMEA, ".nma": Kind.NMEA, ".csv": Kind.CONTACTS}
    if first.replace(" ", "") == CONTACT_COLUMNS:
        return Kind.CONTACTS
    if is_one_event(f"{first} "):
        return Kind.THE_ONE
    if path.suffix.lower() in by_name:
        return by_name[path.suffix.lower()]
    if first.startswith(("<?xml", "<gpx")):
        return Kind.GPX
    if "$" in first or first.startswith("!"):
        return Kind.NMEA
    kinds = ", ".join(Kind)
    raise TraceError(str(path), f"is of no known kind: say which of {kinds} it is")


def _first_line(path: Path) -> str:
    """Return the first line that is neither empty nor a comment, as far as it matters."""
    try:
        with path.open("rb") as file:
            begin = file.read(_BEGIN_BYTES)
    except OSError as error:
        raise TraceError(str(path), f"cannot be read: {error.strerror}") from error
    lines = begin.decode("utf-8-sig", errors="replace").splitlines()
    return next((line.strip() for line in lines if line.strip() and line.strip()[0] != "#"), "")


def _from_contacts(
    files: Sequence[Path], options: ImportOptions, nodes: NodeList | None
) -> Imported:
    if len(files) > 1:
        raise TraceError("import", "contacts come from one file: join them first")
    plan = read_contacts(files[0], len(nodes.labels) if nodes else None)
    workload = _workload(options, plan.nodes)
    return Imported(plain_region("", plan, workload), Kind.CONTACTS, 0, None)


def _from_events(files: Sequence[Path], options: ImportOptions, nodes: NodeList | None) -> Imported:
    events = read_one_events(
        files,
        lifetime_s=options.lifetime_s,
        priority=options.priority,
        end_s=options.end_s,
        nodes=len(nodes.labels) if nodes else None,
    )
    workload = events.workload
    if options.messages:
        workload = _workload(options, events.plan.nodes)
    region = replace(plain_region("", events.plan, workload), labels=events.labels)
    return Imported(region, Kind.THE_ONE, events.skipped, None)


def _from_tracks(
    files: Sequence[Path],
    kinds: Sequence[Kind],
    options: ImportOptions,
    nodes: NodeList | None,
) -> Imported:
    _check_track_options(options)
    fixes: list[Fixes] = []
    for path, kind in zip(files, kinds, strict=True):
        if kind is Kind.GPX:
            fixes += read_gpx(path, is_track_a_node=options.is_track_a_node)
        else:
            fixes.append(read_nmea(path))
    if nodes and len(nodes.labels) != len(fixes):
        reason = f"there are {len(fixes)} tracks, but {len(nodes.labels)} nodes in the list"
        raise TraceError(str(options.nodes), reason)
    sampled = sample_tracks(fixes, options.step_s, options.gap_s)
    rows = contacts_in_range(sampled.place_m, straight_m(options.range_m), options.step_s)
    plan = make_plan(len(fixes), rows, "tracks: contact")
    region = plain_region("", plan, _workload(options, plan.nodes))
    region = replace(
        region,
        labels=_distinct([each.label for each in fixes]),
        duration_s=len(sampled.place_m) * options.step_s,
        tracks=map_tracks(sampled),
    )
    return Imported(region, kinds[0], sum(each.skipped for each in fixes), sampled.begin_s)


def _check_track_options(options: ImportOptions) -> None:
    if not 1 <= options.range_m <= _RANGE_M_MAX:
        raise TraceError("range", f"is between 1 and {_RANGE_M_MAX:.0f} m")
    for name, value in (("step", options.step_s), ("gap", options.gap_s)):
        if not (math.isfinite(value) and value >= _STEP_S_MIN):
            raise TraceError(name, f"is a number of seconds, at least {_STEP_S_MIN}")


def _workload(options: ImportOptions, nodes: int) -> Workload:
    if options.messages:
        return read_messages(options.messages, nodes)
    return make_workload((), np.empty((0, 6)), nodes, "messages")


def _distinct(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels, with a number where one stands for several nodes."""
    found: list[str] = []
    taken = set(labels)
    for label in labels:
        name, number = label, 1
        while name in found or (number > 1 and name in taken):
            number += 1
            name = f"{label} {number}"
        found.append(name)
    return tuple(found)


def _named(
    region: Region, files: Sequence[Path], options: ImportOptions, nodes: NodeList | None
) -> Region:
    named = replace(region, name=options.name or files[0].stem)
    if nodes is None:
        return named
    return replace(named, labels=nodes.labels, roles=nodes.roles, groups=nodes.groups)
