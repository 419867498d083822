"""The list of nodes beside a contact trace: a CSV file with the columns `id,role,group`.

A fourth column `label` is read and written where nodes have names. Words for things that traces
know and regions do not are taken for the role they play: posts, ports, vehicles and boats relay.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sims.contacts import TraceError
from sims.importing.lines import numbered_lines

__all__ = ["NODE_COLUMNS", "ROLES", "NodeList", "read_nodes", "write_nodes"]

NODE_COLUMNS: Final = ("id", "role", "group")
ROLES: Final = ("gateway", "relay", "leader", "agent")
"""What a node of a region can be."""
_ROLE_OF: Final = {
    **{role: role for role in ROLES},
    "post": "relay",
    "port": "relay",
    "vehicle": "relay",
    "boat": "relay",
    "phone": "agent",
}
_NO_GROUP: Final = "-1"


@dataclass(frozen=True, slots=True)
class NodeList:
    """Who the nodes are. Each has one entry for each node, ordered by number."""

    labels: tuple[str, ...]
    """Names for people: the column `label`, or the word of the file and the number."""
    roles: tuple[str, ...]
    """One of `ROLES` each."""
    groups: tuple[str, ...]
    """Squad or place; empty where a node belongs to none (in files also -1)."""


def read_nodes(path: Path) -> NodeList:
    """Return the nodes in a file; every number from 0 upwards stands in it once, in any order.

    Raises: TraceError that names the line.
    """
    lines = [(number, line) for number, line in numbered_lines(path) if line.strip()]
    columns = _words(lines[0][1], f"{path} line {lines[0][0]}") if lines else []
    if tuple(columns) not in (NODE_COLUMNS, (*NODE_COLUMNS, "label")):
        raise TraceError(f"{path} line 1", "the first line is 'id,role,group' or ends in ',label'")
    found: dict[int, tuple[str, str, str]] = {}
    for number, line in lines[1:]:
        place = f"{path} line {number}"
        node, entry = _entry(_words(line, place), len(columns), place)
        if node in found:
            raise TraceError(place, f"node {node} stands in an earlier line too")
        if node >= len(lines) - 1:
            raise TraceError(place, f"ids are whole numbers from 0 to {len(lines) - 2}, each once")
        found[node] = entry
    entries = [found[node] for node in range(len(found))]
    return NodeList(
        tuple(label for label, _, _ in entries),
        tuple(role for _, role, _ in entries),
        tuple(group for _, _, group in entries),
    )


def write_nodes(nodes: NodeList, path: Path) -> None:
    """Write a list of nodes that `read_nodes` reads back the same. Raises: TraceError."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow((*NODE_COLUMNS, "label"))
    rows = zip(nodes.roles, nodes.groups, nodes.labels, strict=True)
    table.writerows((number, *row) for number, row in enumerate(rows))
    try:
        path.write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        raise TraceError(str(path), f"cannot be written: {error.strerror}") from error


def _words(line: str, place: str) -> list[str]:
    try:
        return [word.strip() for word in next(csv.reader([line], strict=True))]
    except csv.Error as error:
        raise TraceError(place, "has a quotation mark that does not end") from error


def _entry(words: Sequence[str], width: int, place: str) -> tuple[int, tuple[str, str, str]]:
    """Return the number of a node, and its label, role and group."""
    if len(words) != width:
        raise TraceError(place, f"has {len(words)} columns instead of {width}")
    number, word, group = words[:3]
    if not (number.isascii() and number.isdigit() and len(number) <= 9):
        raise TraceError(place, "the id is a whole number from 0 upwards")
    if word not in _ROLE_OF:
        raise TraceError(place, f"the role is one of {', '.join(_ROLE_OF)}")
    node = int(number)
    label = words[3] if width == 4 and words[3] else f"{word} {node}"
    return node, (label, _ROLE_OF[word], "" if group == _NO_GROUP else group)
