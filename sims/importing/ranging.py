"""Contacts by range: who was near whom, from where everybody was at regular times."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["contacts_in_range"]

Floats: TypeAlias = "NDArray[np.float64]"
Places: TypeAlias = "NDArray[np.int64]"

_STEPS_MAX: Final = 1024
"""Times that are taken at once: 10 bits of a cell's key."""
_PAIRS_MAX: Final = 2_000_000
"""Pairs that are compared at once, at worst, where all nodes are at one place."""
_CELL_BITS: Final = 17
"""Of a cell's number in each dimension. Cells far apart share numbers; the distance tells them
apart."""
_MASK: Final = (1 << _CELL_BITS) - 1
_NEIGHBOURS: Final = tuple(each for each in product((-1, 0, 1), repeat=3) if each >= (0, 0, 0))
"""A cell itself, and half of the cells around it: each pair of cells is looked at once."""


def contacts_in_range(place_m: Floats, range_m: float, step_s: float) -> Floats:
    """Return rows (start_s, end_s, a, b) for `make_plan`, which joins those that touch.

    `place_m` has shape (n_times, n_nodes, 3), NaN where unknown; the times are `step_s` apart from
    0 on. Two nodes at most `range_m` apart at a time are in contact from then until the next.
    Cost: O(samples log samples) and what is near; about 2 s for 100 nodes × 10,000 times.
    """
    nodes = place_m.shape[1]
    stride = max(1, min(_STEPS_MAX, _PAIRS_MAX // max(1, nodes * nodes)))
    rows = [
        _runs(_near(place_m[begin : begin + stride], range_m), begin, step_s, nodes)
        for begin in range(0, len(place_m), stride)
    ]
    return np.concatenate([np.empty((0, 4)), *rows])


def _near(place_m: Floats, range_m: float) -> Places:
    """Return (pair, step) of each two that are near, shape (n, 2), ordered; pair = a · n + b."""
    nodes = place_m.shape[1]
    step, node = np.nonzero(~np.isnan(place_m).any(axis=2))
    places = place_m[step, node]
    cells = np.floor(places / range_m).astype(np.int64)
    key = _key(step, cells)
    order = np.argsort(key, kind="stable")
    found = [np.empty((0, 2), np.int64)]
    for offset in _NEIGHBOURS:
        one, other = _meetings(key, order, _key(step, cells + offset))
        if offset == (0, 0, 0):
            is_once = one < other
            one, other = one[is_once], other[is_once]
        gap_m = places[one] - places[other]
        is_near = np.einsum("ij,ij->i", gap_m, gap_m) <= range_m * range_m
        one_node, other_node = node[one[is_near]], node[other[is_near]]
        low, high = np.minimum(one_node, other_node), np.maximum(one_node, other_node)
        found.append(np.column_stack((low * nodes + high, step[one[is_near]])))
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _key(step: Places, cells: Places) -> Places:
    key = step
    for dimension in range(3):
        key = (key << _CELL_BITS) | (cells[:, dimension] & _MASK)
    return key


def _meetings(key: Places, order: Places, wanted: Places) -> tuple[Places, Places]:
    """Return samples, each as often as there are samples with the key it wants, and these."""
    ordered = key[order]
    first = np.searchsorted(ordered, wanted, side="left")
    count = np.searchsorted(ordered, wanted, side="right") - first
    one = np.repeat(np.arange(len(key)), count)
    # Within each sample that is repeated: first, first + 1, ...
    begins = np.cumsum(count) - count
    return one, order[np.repeat(first - begins, count) + np.arange(len(one))]


def _runs(pairs: Places, begin: int, step_s: float, nodes: int) -> Floats:
    """Return one row for each run of times without a gap."""
    if not len(pairs):
        return np.empty((0, 4))
    pair, step = pairs[:, 0], pairs[:, 1]
    is_first = np.concatenate(([True], (np.diff(pair) != 0) | (np.diff(step) != 1)))
    firsts = np.flatnonzero(is_first)
    lasts = np.concatenate((firsts[1:] - 1, [len(pair) - 1]))
    return np.column_stack(
        (
            (begin + step[firsts]) * step_s,
            (begin + step[lasts] + 1) * step_s,
            pair[firsts] // nodes,
            pair[firsts] % nodes,
        )
    )
