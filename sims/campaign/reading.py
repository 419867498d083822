"""Reads a campaign from TOML; every error names the table and the key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sims.campaign.grid import Campaign, jobs_of
from sims.campaign.parameters import PARAMETERS, CampaignError, Value, read_value, text_of
from sims.campaign.sources import Source, scenario_source, trace_source

__all__ = ["SEEDS_MAX", "load_campaign", "read_campaign"]

SEEDS_MAX: Final = 100_000
"""Of one campaign; intervals get narrower with the root of their number only."""
SEED_MAX: Final = 2**63 - 1
"""Generators take more; files of other programs may not."""
_FILE_BYTES_MAX: Final = 1_000_000
_KEYS: Final = ("about", "scenario", "contacts", "messages", "seeds", "grid")


def load_campaign(path: Path) -> Campaign:
    """Return the campaign in a file; files that it names lie beside it.

    Raises: CampaignError, TraceError, ScenarioError.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CampaignError(str(path), f"cannot be read: {error.strerror}") from error
    return read_campaign(raw, path.stem, path.parent)


def read_campaign(raw: bytes, name: str, folder: Path) -> Campaign:
    """Return the campaign in a TOML text; files that it names lie in `folder`.

    Raises: CampaignError that names the place, TraceError, ScenarioError.
    """
    if len(raw) > _FILE_BYTES_MAX:
        raise CampaignError(name, f"has more than {_FILE_BYTES_MAX} bytes")
    try:
        found = tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CampaignError(name, f"is not TOML: {error}") from error
    for key in found:
        if key not in _KEYS:
            raise CampaignError(key, f"is unknown: keys are {', '.join(_KEYS)}")
    about, seeds = _text(found, "about"), _seeds(found.get("seeds", [1]))
    grid = _grid(found.get("grid", {}))
    # Last, because it may take seconds: a slip of the pen is told at once.
    campaign = Campaign(name, about, _source(found, folder, seeds[0]), seeds, grid)
    jobs_of(campaign)
    return campaign


def _text(found: Mapping[str, object], key: str) -> str:
    value = found.get(key)
    if not isinstance(value, str) or not value:
        raise CampaignError(key, "is a text in quotes")
    return value


def _source(found: Mapping[str, object], folder: Path, seed: int) -> Source:
    has_trace = "contacts" in found or "messages" in found
    if has_trace == ("scenario" in found):
        raise CampaignError("scenario", "name a scenario, or contacts and messages, and not both")
    if has_trace:
        contacts, messages = _text(found, "contacts"), _text(found, "messages")
        return trace_source(folder / contacts, folder / messages)
    return scenario_source(_text(found, "scenario"), folder, seed)


def _seeds(value: object) -> tuple[int, ...]:
    if isinstance(value, dict):
        return _counted_seeds(value)
    if not isinstance(value, list) or not 1 <= len(value) <= SEEDS_MAX:
        raise CampaignError("seeds", f"is a list of 1 to {SEEDS_MAX} numbers, or {{from, count}}")
    seeds = tuple(
        _whole(each, 0, SEED_MAX, f"seeds, number {place}")
        for place, each in enumerate(value, start=1)
    )
    _refuse_twice([str(each) for each in seeds], "seeds")
    return seeds


def _counted_seeds(value: Mapping[str, object]) -> tuple[int, ...]:
    for key in value:
        if key not in ("from", "count"):
            raise CampaignError(f"seeds.{key}", "is unknown: keys are from, count")
    first = _whole(value.get("from", 1), 0, SEED_MAX - SEEDS_MAX, "seeds.from")
    count = _whole(value.get("count"), 1, SEEDS_MAX, "seeds.count")
    return tuple(range(first, first + count))


def _whole(value: object, low: int, high: int, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise CampaignError(place, f"is a whole number from {low} to {high}")
    return value


def _grid(value: object) -> tuple[tuple[str, tuple[Value, ...]], ...]:
    """Return the parameters in the order of the record, whatever that of the file."""
    if not isinstance(value, dict):
        raise CampaignError("grid", "is a table: write [grid]")
    found = {name: _values(name, each) for name, each in value.items()}
    return tuple((name, found[name]) for name in PARAMETERS if name in found)


def _values(name: str, value: object) -> tuple[Value, ...]:
    place = f"grid.{name}"
    if name not in PARAMETERS:
        raise CampaignError(place, f"is unknown: parameters are {', '.join(PARAMETERS)}")
    if not isinstance(value, list):
        return (read_value(name, value, place),)
    if not value:
        raise CampaignError(place, "is an empty list: give values, or leave it out")
    values = tuple(
        read_value(name, each, f"{place}, value {number}")
        for number, each in enumerate(value, start=1)
    )
    _refuse_twice([text_of(each) for each in values], place)
    return values


def _refuse_twice(texts: list[str], place: str) -> None:
    if len(set(texts)) != len(texts):
        twice = next(each for each in texts if texts.count(each) > 1)
        raise CampaignError(place, f"holds {twice} twice")
