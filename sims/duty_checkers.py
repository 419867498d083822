"""What must hold of every shift of a world: no place outside one, anywhere, and none kept on.

Read from the databases as SQLite sees them, through no code of the node, against what the agents
traced when they opened and closed. Source: wire-format 4.14, 4.15, 4.21 and 4.22.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from protocol.identity import Role
from protocol.ids import NodeId
from sims.record import DeviceRecord, WorldRecord
from sims.store_checkers import databases_of

__all__ = [
    "DUTY_CHECKERS",
    "no_coverage_before_the_end",
    "no_place_outside_a_shift",
    "nothing_kept_after_a_shift",
]

_POSITION, _TRACK, _COVERAGE = 8, 10, 41
_CLOSING_MS: Final = 1_000
"""A shift is traced as closed once all that its closing made is told, a moment later."""
_STAMP_SHIFT: Final = 16
_CENTRE: Final = (Role.GATEWAY, Role.OPERATOR)

_Found = Iterator[tuple[str, str]]
"""Device and sentence of each breach."""
_Windows = dict[NodeId, list[tuple[int, int]]]
"""First and last millisecond of each shift, by the clock of its agent's device."""


def _windows(world: WorldRecord) -> _Windows:
    """Return the shifts that agents told us of; one that was not closed ends by its clock."""
    nodes = {device.name: device.node for device in world.devices}
    found: dict[str, dict[int, int]] = defaultdict(dict)
    for line in world.lines:
        fields = dict(line.fields)
        if line.event == "shift_opened":
            opened_ms, ends_ms = int(str(fields["opened_ms"])), int(str(fields["ends_ms"]))
            found[line.node].setdefault(opened_ms, ends_ms)
        elif line.event == "shift_closed" and found[line.node]:
            closed_ms, last = int(str(fields["closed_ms"])), max(found[line.node])
            found[line.node][last] = min(found[line.node][last], closed_ms)
    return {nodes[name]: sorted(shifts.items()) for name, shifts in found.items()}


def no_place_outside_a_shift(world: WorldRecord) -> _Found:
    """No device made, carries or keeps a place that was taken outside a shift of its author."""
    windows = _windows(world)
    for device, database in databases_of(world):
        carried = database.execute(
            "SELECT author.node, bundle.hlc FROM bundle JOIN author ON author.key = bundle.author "
            "WHERE bundle.kind IN (?, ?)",
            (_POSITION, _TRACK),
        )
        for author, stamp in carried:
            if not _is_within(windows, author, (stamp % (1 << 64)) >> _STAMP_SHIFT):
                yield device.name, "carries a place that is dated outside every shift"
        for what, query in _KEPT.items():
            for author, at_ms in database.execute(query):
                if not _is_within(windows, author, at_ms):
                    yield device.name, f"keeps a {what} from outside every shift"


def _is_within(windows: _Windows, author: NodeId, at_ms: int) -> bool:
    return any(first <= at_ms <= last for first, last in windows.get(author, ()))


def no_coverage_before_the_end(world: WorldRecord) -> _Found:
    """No device carries coverage that its author told while its shift was open."""
    windows = _windows(world)
    for device, database in databases_of(world):
        carried = database.execute(
            "SELECT author.node, bundle.hlc FROM bundle JOIN author ON author.key = bundle.author "
            "WHERE bundle.kind = ?",
            (_COVERAGE,),
        )
        for author, stamp in carried:
            at_ms = (stamp % (1 << 64)) >> _STAMP_SHIFT
            if any(first <= at_ms < last - _CLOSING_MS for first, last in windows.get(author, ())):
                yield device.name, "carries coverage that was told while the shift was open"


def nothing_kept_after_a_shift(world: WorldRecord) -> _Found:
    """An author that closed its shift has no place, state, point or sending chain of it."""
    open_now = {node: shifts[-1][1] for node, shifts in _windows(world).items()}
    for device, database in databases_of(world):
        over_ms = open_now.get(device.node)
        if over_ms is None or device.ending.now_ms <= over_ms or _is_of_centre(device):
            continue
        if not device.ending.is_up:
            continue
        for sentence, query in _OWN.items():
            (count,) = database.execute(query, {"own": device.node}).fetchone()
            if count:
                yield device.name, f"keeps {count} {sentence} after its shift"


def _is_of_centre(device: DeviceRecord) -> bool:
    return device.ending.role in _CENTRE


_KEPT: Final = {
    "position": "SELECT author, taken_ms FROM position",
    # Tracks count in whole seconds.
    "track": "SELECT author, first_ms + 999 FROM track",
}
_OWN: Final = {
    "positions": "SELECT count(*) FROM position WHERE author = :own",
    "states": "SELECT count(*) FROM state WHERE author = :own",
    "points of a track": "SELECT count(*) FROM track_point WHERE :own = :own",
    "untold coverage": "SELECT count(*) FROM coverage WHERE shift_id != x'' AND :own = :own",
    "chains": "SELECT count(*) FROM sending_chain WHERE length(scope) >= 19 AND :own = :own",
}

DUTY_CHECKERS: Final[dict[str, Callable[[WorldRecord], _Found]]] = {
    checker.__name__: checker
    for checker in (
        no_place_outside_a_shift,
        no_coverage_before_the_end,
        nothing_kept_after_a_shift,
    )
}
"""Every promise of a shift by its name."""
