"""Finds scenario files, and tells what can run one; every error names line and key.

Nothing here knows a node: whoever simulates a region, or a worker of a campaign, loads none.
`sims.reading` and `sims.region_reading` understand what is found. Source: DESIGN D11.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, Literal, TypeAlias

from sims.errors import ScenarioError
from sims.tables import Table, read_table

__all__ = [
    "REGION_TABLES",
    "Kind",
    "ScenarioFile",
    "about_of",
    "find_scenario",
    "included_scenarios",
    "kind_of",
]

Kind: TypeAlias = Literal["real", "region"]
"""`real`: a few devices that run whole nodes. `region`: many, that only meet and carry."""

REGION_TABLES: Final = ("mountains", "boats", "city", "disaster", "trace", "tracks")
"""A file with one of these describes a region."""

_FOLDER: Final = "scenarios"


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """A file that was found, parsed and not yet understood."""

    name: str
    """What people call the scenario."""
    folder: Path | None
    """Where files that it names are looked for; None for an included one."""
    table: Table
    """Its top table."""

    @property
    def kind(self) -> Kind:
        """What can run it."""
        return "region" if any(key in self.table for key in REGION_TABLES) else "real"


def included_scenarios(kind: Kind | None = None) -> list[str]:
    """Return the names of the scenarios that come with the program, of one kind or of both."""
    folder = resources.files("sims") / _FOLDER
    names = sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )
    return [name for name in names if kind is None or kind_of(name) == kind]


def find_scenario(name: str) -> ScenarioFile:
    """Return an included scenario by its name, or that in a file whose name ends in `.toml`.

    Raises: ScenarioError where there is none, or where it is not TOML.
    """
    included = included_scenarios()
    if name in included:
        raw = (resources.files("sims") / _FOLDER / f"{name}.toml").read_bytes()
        return ScenarioFile(name, None, read_table(raw, f"{name}.toml"))
    if not name.endswith(".toml"):
        known = ", ".join(included)
        raise ScenarioError(name, f"is unknown: name a file, FILE.toml, or one of {known}")
    try:
        raw = Path(name).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name holds a zero byte"
        raise ScenarioError(name, f"cannot be read: {reason}") from error
    return ScenarioFile(Path(name).stem, Path(name).parent, read_table(raw, name))


def kind_of(name: str) -> Kind:
    """Return what can run a scenario, named as in `find_scenario`. Raises: ScenarioError."""
    return find_scenario(name).kind


def about_of(name: str) -> str:
    """Return the sentence on what a scenario shows. Raises: ScenarioError."""
    return find_scenario(name).table.text("about")
