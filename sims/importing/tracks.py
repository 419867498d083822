"""Tracks on the earth: fixes of each node, brought to common times, and to places in metres.

The earth is a sphere of 6,371,008.8 m. Places are points on it in three dimensions, so that poles
and the date line need no care; two nodes are d metres apart on the sphere where the straight line
between them has 2 R sin(d / 2R).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from sims.contacts import TraceError
from sims.region import Tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "EARTH_RADIUS_M",
    "Fixes",
    "SampledTracks",
    "make_fixes",
    "map_tracks",
    "sample_tracks",
    "straight_m",
]

Floats: TypeAlias = "NDArray[np.float64]"

EARTH_RADIUS_M: Final = 6_371_008.8
"""Mean radius of the earth (IUGG)."""
SAMPLES_MAX: Final = 10_000_000
"""Times × nodes of one import: 240 MB of places."""
TRACKS_MAX: Final = 2_000
"""Nodes of one import of tracks."""
MAP_TIMES_MAX: Final = 2_000
"""Times that a map is given."""


@dataclass(frozen=True, slots=True)
class Fixes:
    """Where one node was. Arrays have shape (n_fixes,), ordered by time, each time once."""

    label: str
    """What the node is called."""
    times_s: Floats
    """Seconds since 1970 in UTC."""
    latitude_deg: Floats
    """From -90 to 90, north positive."""
    longitude_deg: Floats
    """From -180 to 180, east positive."""
    skipped: int
    """Fixes or lines of the file that could not be used."""


@dataclass(frozen=True, slots=True)
class SampledTracks:
    """Where all nodes were, at the same times."""

    begin_s: float
    """Seconds since 1970 in UTC at which the region's time is 0; a whole number."""
    step_s: float
    """Seconds between two times; the first is at 0."""
    place_m: Floats
    """Shape (n_times, n_nodes, 3): x to longitude 0, y to 90 east, z to the north pole, metres
    from the centre of the earth; NaN where a node's place is unknown."""


def make_fixes(label: str, fixes: Sequence[tuple[float, float, float]], skipped: int) -> Fixes:
    """Return the fixes (time_s, latitude_deg, longitude_deg) of a node, in any order.

    Those off the earth are skipped; of several at one time the first counts.
    """
    table = np.array(fixes, dtype=np.float64).reshape(-1, 3)
    is_good = np.isfinite(table).all(axis=1)
    is_good &= (np.abs(table[:, 1]) <= 90) & (np.abs(table[:, 2]) <= 180)
    table = table[is_good]
    _, first = np.unique(table[:, 0], return_index=True)
    times_s, latitude_deg, longitude_deg = table[first].T.copy()
    return Fixes(label, times_s, latitude_deg, longitude_deg, skipped + int((~is_good).sum()))


def straight_m(distance_m: float) -> float:
    """Return the length of the straight line between points `distance_m` apart on the sphere."""
    return 2 * EARTH_RADIUS_M * math.sin(distance_m / (2 * EARTH_RADIUS_M))


def sample_tracks(tracks: Sequence[Fixes], step_s: float, gap_s: float) -> SampledTracks:
    """Return where the nodes of `tracks`, each with a fix at least, were every `step_s` seconds.

    Between two fixes at most `gap_s` apart a node moves evenly; elsewhere its place is unknown.
    Raises: TraceError if there are too many nodes or samples.
    """
    if len(tracks) > TRACKS_MAX:
        raise TraceError("tracks", f"{len(tracks)} nodes; {TRACKS_MAX} are imported at most")
    begin_s = math.floor(min(track.times_s[0] for track in tracks))
    count = int((max(track.times_s[-1] for track in tracks) - begin_s) // step_s) + 1
    if count * len(tracks) > SAMPLES_MAX:
        least_s = math.ceil(step_s * count * len(tracks) / SAMPLES_MAX)
        reason = f"{count} times of {len(tracks)} nodes are too many: give a step of {least_s} s"
        raise TraceError("tracks", f"{reason}, or tracks of fewer days")
    times_s = begin_s + np.arange(count) * step_s
    places = [_sample(track, times_s, gap_s) for track in tracks]
    return SampledTracks(float(begin_s), step_s, np.stack(places, axis=1))


def _sample(track: Fixes, times_s: Floats, gap_s: float) -> Floats:
    """Return the places of a node at `times_s`, shape (n_times, 3)."""
    places = _on_earth(track.latitude_deg, track.longitude_deg)
    last = len(track.times_s) - 1
    index = np.searchsorted(track.times_s, times_s, side="right") - 1
    before = np.maximum(index, 0)
    after = np.minimum(before + 1, last)
    length_s = track.times_s[after] - track.times_s[before]
    passed_s = times_s - track.times_s[before]
    is_between = (index >= 0) & (index < last) & (length_s <= gap_s)
    is_known = is_between | ((index >= 0) & (passed_s == 0))
    share = np.where(is_between, passed_s / np.where(length_s > 0, length_s, 1.0), 0.0)
    found: Floats = places[before] + share[:, None] * (places[after] - places[before])
    # The straight way between two fixes is a little below the ground.
    depth = np.linalg.norm(found, axis=1, keepdims=True)
    found *= EARTH_RADIUS_M / np.maximum(depth, 1.0)
    found[~is_known] = np.nan
    return found


def _on_earth(latitude_deg: Floats, longitude_deg: Floats) -> Floats:
    latitude, longitude = np.radians(latitude_deg), np.radians(longitude_deg)
    x, y = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude)
    places: Floats = EARTH_RADIUS_M * np.column_stack((x, y, np.sin(latitude)))
    return places


def map_tracks(sampled: SampledTracks) -> Tracks:
    """Return at most 2,000 times of `sampled` on a plane that touches the earth amid the tracks.

    East is R cos(latitude of the origin) × difference of longitude, north R × difference of
    latitude: good to 1 % within some hundred kilometres below 60 degrees.
    """
    stride = -(-len(sampled.place_m) // MAP_TIMES_MAX)
    place_m = sampled.place_m[::stride]
    middle = np.nanmean(sampled.place_m, axis=(0, 1))
    latitude, longitude = _angles(place_m)
    middle_latitude, middle_longitude = _angles(middle)
    turn = (longitude - middle_longitude + np.pi) % (2 * np.pi) - np.pi
    return Tracks(
        np.arange(len(place_m), dtype=np.float64) * (sampled.step_s * stride),
        (EARTH_RADIUS_M * np.cos(middle_latitude) * turn).astype(np.float32),
        (EARTH_RADIUS_M * (latitude - middle_latitude)).astype(np.float32),
    )


def _angles(place_m: Floats) -> tuple[Floats, Floats]:
    """Return latitude and longitude in radians."""
    x, y, z = place_m[..., 0], place_m[..., 1], place_m[..., 2]
    return np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)
