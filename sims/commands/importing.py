"""`meshnode-sim import`: contacts, events and tracks that others recorded, as files of a trace."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sims.commands.options import AsJson, add_command

if TYPE_CHECKING:
    from sims.importing import Imported, ImportOptions

__all__ = ["register"]


class _KindChoice(StrEnum):
    """What `--kind` takes."""

    AUTO = "auto"
    CONTACTS = "contacts"
    THE_ONE = "the-one"
    GPX = "gpx"
    NMEA = "nmea"


@dataclass(frozen=True, slots=True)
class _Import:
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Tracks, events of The ONE, or one file of contacts."
        ),
    ]
    output: Annotated[
        Path, typer.Option(help="Folder for NAME.csv, NAME_nodes.csv and NAME_msgs.csv.")
    ] = Path()
    kind: Annotated[_KindChoice, typer.Option(help="What the files hold; auto looks at each.")] = (
        _KindChoice.AUTO
    )
    name: Annotated[str, typer.Option(help="Of the region, instead of the first file's.")] = ""
    range_m: Annotated[
        float, typer.Option("--range", help="Tracks: metres within which two are in contact.")
    ] = 150.0
    step_s: Annotated[
        float, typer.Option("--step", help="Tracks: how often that is looked at, seconds.")
    ] = 10.0
    gap_s: Annotated[
        float, typer.Option("--gap", help="Tracks: longer between two fixes, a place is unknown.")
    ] = 300.0
    track_is_node: Annotated[
        bool, typer.Option("--track-is-node", help="GPX: each track is a node, not each file.")
    ] = False
    nodes: Annotated[Path | None, typer.Option(help="CSV file with id,role,group.")] = None
    messages: Annotated[
        Path | None, typer.Option(help="CSV file with id,t,src,dst,size,ttl,prio.")
    ] = None
    replace: Annotated[
        bool, typer.Option("--replace", help="Write over files that are there already.")
    ] = False
    as_json: AsJson = False


def register(app: typer.Typer) -> None:
    """Put this command into the program."""
    add_command(app, "import", _Import, _import)


def _import(words: _Import) -> int:
    """Make contacts of what others recorded.

    It reads GPX and NMEA tracks, events of The ONE and contacts, and writes contacts, nodes and
    messages as CSV files.
    """
    from meshnode.cli.progress import progress_bar
    from meshnode.cli.show import print_facts, print_json
    from sims.importing import import_region, write_region

    with progress_bar("reading"):
        found = import_region(words.files, _options(words))
        paths = write_region(found.region, words.output, is_replacing=words.replace)
    fields = _fields(found, paths)
    if words.as_json:
        print_json(**fields)
    else:
        print_facts(_facts(fields))
    return 0


def _options(words: _Import) -> ImportOptions:
    from sims.importing import ImportOptions, Kind

    return ImportOptions(
        kind=None if words.kind is _KindChoice.AUTO else Kind(words.kind.value),
        name=words.name,
        nodes=words.nodes,
        messages=words.messages,
        range_m=words.range_m,
        step_s=words.step_s,
        gap_s=words.gap_s,
        is_track_a_node=words.track_is_node,
    )


def _fields(found: Imported, paths: tuple[Path, ...]) -> dict[str, Any]:
    region = found.region
    return {
        "name": region.name,
        "kind": str(found.kind),
        "nodes": region.plan.nodes,
        "contacts": len(region.plan),
        "messages": len(region.workload),
        "duration_s": region.duration_s,
        "begin_s": found.begin_s,
        "skipped": found.skipped,
        "files": [str(path) for path in paths],
    }


def _facts(fields: dict[str, Any]) -> dict[str, str]:
    from meshnode.cli.show import duration, local_time

    begin = "" if fields["begin_s"] is None else local_time(round(fields["begin_s"] * 1000))
    return {
        "region": f"{fields['name']}, from {fields['kind']}",
        "nodes": str(fields["nodes"]),
        "contacts": str(fields["contacts"]),
        "messages": str(fields["messages"]),
        "duration": duration(fields["duration_s"]) + (f", from {begin}" if begin else ""),
        "skipped": f"{fields['skipped']} lines or points that could not be used or were not needed",
        "written": ", ".join(fields["files"]),
    }
