"""What every generator gives: who is there, who meets whom, and when people are on duty."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sims.contacts import ContactPlan, make_plan

if TYPE_CHECKING:
    from sims.generators.movement import Floats
    from sims.region import Tracks

__all__ = ["Crew", "Scene", "make_scene", "whole_time"]


@dataclass(slots=True)
class Crew:
    """The nodes of a scene, in the order of their numbers. Grows while a generator works."""

    labels: list[str] = field(default_factory=list)
    """What people call each."""
    roles: list[str] = field(default_factory=list)
    """`gateway`, `relay`, `leader` or `agent`."""
    groups: list[str] = field(default_factory=list)
    """Squad or place; empty for none."""

    def add(self, label: str, role: str, group: str = "") -> int:
        """Add a node and return its number."""
        self.labels.append(label)
        self.roles.append(role)
        self.groups.append(group)
        return len(self.labels) - 1


@dataclass(frozen=True, slots=True)
class Scene:
    """A region without its messages."""

    plan: ContactPlan
    """Who reaches whom when."""
    labels: tuple[str, ...]
    """What people call each node, shape (n_nodes,)."""
    roles: tuple[str, ...]
    """`gateway`, `relay`, `leader` or `agent`."""
    groups: tuple[str, ...]
    """Squad or place; empty for none."""
    duration_s: float
    """Seconds."""
    duty: Floats
    """When people are there to write, rows (start_s, end_s, node), shape (n_spans, 3)."""
    tracks: Tracks | None = field(default=None, repr=False)
    """Where nodes were; None where that is not known."""
    timetable: ContactPlan | None = field(default=None, repr=False)
    """Contacts that were published before; None where nothing was."""


def make_scene(
    crew: Crew,
    rows: Floats,
    duty: Floats,
    duration_s: float,
    tracks: Tracks | None = None,
    timetable: ContactPlan | None = None,
) -> Scene:
    """Return the scene with the contacts in `rows`, shape (n_contacts, 4), cut to its duration."""
    cut = rows.copy()
    cut[:, 1] = np.minimum(cut[:, 1], duration_s)
    cut = cut[cut[:, 0] < cut[:, 1]]
    return Scene(
        make_plan(len(crew.labels), cut),
        tuple(crew.labels),
        tuple(crew.roles),
        tuple(crew.groups),
        duration_s,
        duty,
        tracks,
        timetable,
    )


def whole_time(roles: tuple[str, ...] | list[str], duration_s: float) -> Floats:
    """Return the duty of people, agents and leaders, who are there all the time."""
    people = [node for node, role in enumerate(roles) if role in ("agent", "leader")]
    return np.array([(0.0, duration_s, node) for node in people]).reshape(-1, 3)
