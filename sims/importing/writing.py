"""Writes a region as the files that describe a trace: contacts, nodes and messages."""

from __future__ import annotations

from pathlib import Path

from sims.contacts import TraceError, write_contacts, write_messages
from sims.importing.nodes import NodeList, write_nodes
from sims.region import Region

__all__ = ["write_region"]


def write_region(region: Region, folder: Path, *, is_replacing: bool = False) -> tuple[Path, ...]:
    """Write `NAME.csv`, `NAME_nodes.csv` and, where there are messages, `NAME_msgs.csv`.

    The folder is made if it is missing. Returns what was written, in this order. Raises:
    TraceError if a file cannot be written, or is there already and may not be replaced.
    """
    stem = "".join(each if each.isalnum() or each in "-._" else "_" for each in region.name)
    stem = stem.strip(".") or "region"
    contacts, nodes = folder / f"{stem}.csv", folder / f"{stem}_nodes.csv"
    messages = folder / f"{stem}_msgs.csv"
    paths = (contacts, nodes, messages) if len(region.workload) else (contacts, nodes)
    there = [path for path in paths if path.exists()]
    if there and not is_replacing:
        raise TraceError(str(there[0]), "is there already: name another folder, or replace it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TraceError(str(folder), f"cannot be made: {error.strerror}") from error
    write_contacts(region.plan, contacts)
    write_nodes(NodeList(region.labels, region.roles, region.groups), nodes)
    if len(region.workload):
        write_messages(region.workload, messages)
    return paths
