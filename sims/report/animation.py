"""What the animation of a run needs, thinned so that the page stays small.

With tracks it is a map: nodes where they were, contacts, and messages on a straight line from
source to destination. Without, it is a timeline: a row for each node with the times at which it
met others, and the marks of its messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sims.abstract.records import Fate
from sims.region import Tracks
from sims.report.measures import Run
from sims.report.words import Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["animation_of", "thinned_note"]

MAP_POINTS_MAX: Final = 60_000
"""Positions of all nodes at all times together: about half a megabyte."""
FRAMES_MAX: Final = 720
MAP_NODES_MAX: Final = 1_000
TIMELINE_NODES_MAX: Final = 80
"""Rows that are still told apart on a screen."""
TIMELINE_BINS: Final = 600
CONTACTS_MAX: Final = 10_000
MESSAGES_MAX: Final = 600
ROLES: Final = ("gateway", "relay", "leader", "agent")
_UNKNOWN: Final = -1
"""Coordinate of a node whose place nobody knows."""
_GRID: Final = 2_000
"""Steps of the longer side of the map: finer than the points of a screen."""


def animation_of(run: Run, words: Words) -> Mapping[str, Any]:
    """Return the data of the animation, ready for JSON. Cost: O(contacts log contacts)."""
    tracks = run.region.tracks
    limit = TIMELINE_NODES_MAX if tracks is None else MAP_NODES_MAX
    shown = _chosen_nodes(run, limit)
    place_of = np.full(run.region.plan.nodes, -1, np.int64)
    place_of[shown] = np.arange(len(shown))
    messages, of_messages = _messages(run, place_of)
    counts = {"nodes": [len(shown), run.region.plan.nodes], "messages": of_messages}
    common: dict[str, Any] = {
        "span": _span(run),
        "labels": [run.region.labels[node] for node in shown],
        "groups": [run.region.groups[node] for node in shown],
        "roles": [_role(run.region.roles[node]) for node in shown],
        "messages": messages,
        "written": len(run.region.workload),
        "texts": _texts(words),
        "language": words.language,
        "counts": counts,
    }
    if tracks is None:
        return {**common, "kind": "timeline", "rows": _presence(run, place_of, len(shown))}
    contacts, of_contacts = _contacts(run, place_of)
    counts["contacts"] = of_contacts
    return {**common, "kind": "map", "contacts": contacts, **_positions(tracks, shown)}


def thinned_note(data: Mapping[str, Any], words: Words) -> str:
    """Return a sentence about what the animation leaves out; empty where it shows all."""
    parts = [
        words(f"thinned.{name}", shown=words.number(shown), all=words.number(every))
        for name, (shown, every) in data["counts"].items()
        if shown < every
    ]
    return words("thinned", parts=words.listing(parts)) if parts else ""


def _span(run: Run) -> float:
    ends = [run.region.duration_s, float(np.nanmax(run.outcome.delivered_s, initial=0.0)), 1.0]
    return float(np.ceil(max(ends)))


def _role(role: str) -> int:
    return ROLES.index(role) if role in ROLES else ROLES.index("agent")


def _texts(words: Words) -> dict[str, str]:
    names = ("play", "pause", "moment", "status", "metres", "kilometres")
    return {name: words.template(f"player.{name}") for name in names}


def _chosen_nodes(run: Run, limit: int) -> list[int]:
    """Return the nodes to show, in the order of groups: gateways, relays and leaders before
    agents, and among equals those that write or get most.
    """
    region = run.region
    traffic = np.bincount(region.workload.source, minlength=region.plan.nodes) + np.bincount(
        region.workload.destination, minlength=region.plan.nodes
    )
    roles = np.array([_role(role) for role in region.roles])
    first = np.lexsort((-traffic, roles))[:limit].tolist()
    return sorted(first, key=lambda node: (region.groups[node], roles[node], node))


def _messages(run: Run, place_of: NDArray[np.int64]) -> tuple[list[list[int]], list[int]]:
    """Return rows (written, end, source, destination, class, fate, place of death) in seconds and
    places among the shown nodes, the most urgent first where there are too many.
    """
    workload, outcome = run.region.workload, run.outcome
    ends = np.where(run.delivered, outcome.delivered_s, workload.created_s + workload.lifetime_s)
    source, destination = place_of[workload.source], place_of[workload.destination]
    visible = np.flatnonzero((source >= 0) & (destination >= 0))
    kept = np.sort(_spread(visible, workload.priority[visible] == 0))
    died = np.where(
        outcome.fate == Fate.NEVER_LEFT,
        source,
        np.where(outcome.died_at >= 0, place_of[outcome.died_at], -1),
    )
    columns = (
        np.floor(workload.created_s),
        np.ceil(ends),
        source,
        destination,
        workload.priority,
        outcome.fate,
        died,
    )
    rows = np.column_stack([column[kept] for column in columns]).astype(np.int64)
    return rows.tolist(), [len(kept), len(workload)]


def _spread(places: NDArray[np.int64], is_urgent: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return at most `MESSAGES_MAX` messages: the urgent ones, then others evenly over time."""
    urgent = _every_nth(places[is_urgent], MESSAGES_MAX)
    rest = _every_nth(places[~is_urgent], MESSAGES_MAX - len(urgent))
    return np.concatenate((urgent, rest))


def _every_nth(places: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    if len(places) <= limit:
        return places
    chosen: NDArray[np.int64] = places[np.linspace(0, len(places) - 1, limit).astype(int)]
    return chosen


def _contacts(run: Run, place_of: NDArray[np.int64]) -> tuple[list[list[int]], list[int]]:
    """Return rows (start, end, place, place) of contacts in seconds: the longest, by start."""
    plan = run.region.plan
    visible = np.flatnonzero((place_of[plan.a] >= 0) & (place_of[plan.b] >= 0))
    length = plan.end_s[visible] - plan.start_s[visible]
    kept = np.sort(visible[np.argsort(-length, kind="stable")[:CONTACTS_MAX]])
    columns = (
        np.floor(plan.start_s[kept]),
        np.ceil(plan.end_s[kept]),
        place_of[plan.a[kept]],
        place_of[plan.b[kept]],
    )
    return np.column_stack(columns).astype(np.int64).tolist(), [len(kept), len(plan)]


def _positions(tracks: Tracks, shown: list[int]) -> dict[str, Any]:
    """Return where nodes were: times, and for each the places of all on a grid of the map."""
    frames = int(np.clip(MAP_POINTS_MAX // max(len(shown), 1), 2, FRAMES_MAX))
    last = len(tracks.times_s) - 1
    chosen = np.unique(np.linspace(0, max(last, 0), min(frames, last + 1)).astype(int))
    east = tracks.east_m[chosen][:, shown].astype(np.float64)
    north = tracks.north_m[chosen][:, shown].astype(np.float64)
    west_m, width_m = _extent(east)
    south_m, height_m = _extent(north)
    step_m = max(width_m, height_m) / _GRID
    return {
        "times": np.round(tracks.times_s[chosen]).astype(np.int64).tolist(),
        "east": _on_grid((east - west_m) / step_m),
        "north": _on_grid((north - south_m) / step_m),
        "step_m": step_m,
        "size": [round(width_m / step_m), round(height_m / step_m)],
    }


def _extent(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the lowest value and the length to the highest, at least 100 m."""
    if not np.isfinite(values).any():
        return 0.0, 100.0
    low = float(np.nanmin(values))
    return low, max(float(np.nanmax(values)) - low, 100.0)


def _on_grid(values: NDArray[np.float64]) -> list[list[int]]:
    known = np.where(np.isfinite(values), np.round(values), _UNKNOWN)
    return [row.tolist() for row in known.astype(np.int64)]


def _presence(run: Run, place_of: NDArray[np.int64], rows: int) -> list[list[int]]:
    """Return for each row the bins in which it has a contact, as (first, length) one after the
    other; a bin is a `TIMELINE_BINS`-th of the span.
    """
    plan, width = run.region.plan, _span(run) / TIMELINE_BINS
    marks = np.zeros((rows, TIMELINE_BINS + 1), np.int64)
    first = np.clip(np.floor(plan.start_s / width), 0, TIMELINE_BINS - 1).astype(np.int64)
    last = np.clip(np.ceil(plan.end_s / width), 1, TIMELINE_BINS).astype(np.int64)
    in_span = plan.start_s < _span(run)
    for nodes in (plan.a, plan.b):
        seen = in_span & (place_of[nodes] >= 0)
        np.add.at(marks, (place_of[nodes[seen]], first[seen]), 1)
        np.add.at(marks, (place_of[nodes[seen]], last[seen]), -1)
    is_met = np.cumsum(marks, axis=1)[:, :TIMELINE_BINS] > 0
    return [_runs(row) for row in is_met]


def _runs(row: NDArray[np.bool_]) -> list[int]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], row.astype(np.int8), [0]))))
    begins, ends = edges[::2], edges[1::2]
    return np.column_stack([begins, ends - begins]).ravel().tolist()
