"""Events of The ONE: connections that come up and go down, and messages that are created.

Read are the lines `TIME CONN A B up|down` and `TIME C ID FROM TO SIZE`, as ConnectivityONEReport
writes them and StandardEventsReader takes them; empty lines and those that begin with `#` are
passed over. A host is a number or a name that ends in one (`p12`), and the number counts.

What a simulator leaves that started its report late, or wrote twice, is taken kindly: an `up` of a
connection that is up, a `down` of one that is not, one that lasts no time, and events of messages
on their way (S, DE, A, DR, R) are passed over and counted.
Source: The ONE, input/StandardEventsReader and report/ConnectivityONEReport.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from sims.contacts import NODES_MAX, ContactPlan, TraceError, Workload, make_plan, make_workload
from sims.importing.lines import numbered_lines

__all__ = ["OneEvents", "is_one_event", "read_one_events"]

_EVENT: Final = re.compile(r"\s*[0-9]+(\.[0-9]+)?\s+(CONN|C|S|DE|A|DR|R)\s")
_HOST: Final = re.compile(r"([^0-9]*)([0-9]{1,9})")
_UNDER_WAY: Final = ("S", "DE", "A", "DR", "R")


@dataclass(frozen=True, slots=True)
class OneEvents:
    """What files of events came to."""

    plan: ContactPlan
    """Times are those of the files; nodes are the numbers of the hosts."""
    workload: Workload
    """Messages that are created, all with one lifetime and priority."""
    labels: tuple[str, ...]
    """Names of the hosts; `node N` where the files say numbers alone."""
    skipped: int
    """Lines that were passed over and counted."""


@dataclass(slots=True)
class _Found:
    """What was read up to a line."""

    open_since_s: dict[tuple[int, int], float] = field(default_factory=dict)
    """Connections that are up, and since when."""
    contacts: list[tuple[float, float, int, int]] = field(default_factory=list)
    """Connections that went down again."""
    messages: dict[str, tuple[float, int, int, int]] = field(default_factory=dict)
    """Creation time, source, destination and size of each."""
    names: dict[int, str] = field(default_factory=dict)
    """What each host is called."""
    last_s: float = 0.0
    """The latest time stamp."""
    skipped: int = 0
    """Lines that were passed over."""


def is_one_event(line: str) -> bool:
    """Whether a line looks like an event of The ONE."""
    return _EVENT.match(line) is not None


def read_one_events(
    paths: Sequence[Path],
    *,
    lifetime_s: float,
    priority: int = 1,
    end_s: float | None = None,
    nodes: int | None = None,
) -> OneEvents:
    """Return contacts and messages of files of events, for example one of each.

    Connections that are up at the end go down at `end_s`, or else at the last time stamp. `nodes`
    is how many there are; without it one more than the largest number of a host. Raises:
    TraceError that names the line. Cost: about 6 s for 10⁶ events.
    """
    found = _Found()
    for place, time_s, words in _in_order(paths):
        found.last_s = time_s
        if words[0] == "CONN":
            _connection(found, time_s, words[1:], place)
        elif words[0] == "C":
            _message(found, time_s, words[1:], place)
        elif words[0] in _UNDER_WAY:
            found.skipped += 1
        else:
            raise TraceError(place, f"'{words[0]}' is no event: CONN and C are read")
    _close_all(found, end_s, str(paths[0]))
    count = nodes if nodes is not None else max(found.names, default=0) + 1
    return _events(found, count, lifetime_s, priority, str(paths[0]))


def _in_order(paths: Sequence[Path]) -> Iterable[tuple[str, float, list[str]]]:
    """Return the events of all files in the order of their times."""
    if len(paths) == 1:
        return _lines(paths[0])
    events = [event for path in paths for event in _lines(path)]
    return sorted(events, key=lambda event: event[1])


def _lines(path: Path) -> Iterator[tuple[str, float, list[str]]]:
    before_s = 0.0
    for number, line in numbered_lines(path):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        place = f"{path} line {number}"
        time_s = _number(words[0], place, "begins with a time in seconds, 0 or above")
        if time_s < before_s:
            raise TraceError(place, "is earlier than the line before: sort the file by time")
        if len(words) < 2:
            raise TraceError(place, "names no event")
        before_s = time_s
        yield place, time_s, words[1:]


def _connection(found: _Found, time_s: float, words: Sequence[str], place: str) -> None:
    if len(words) != 3 or words[2] not in ("up", "down"):
        raise TraceError(place, "a connection is 'TIME CONN A B up' or 'TIME CONN A B down'")
    one, other = _host(found, words[0], place), _host(found, words[1], place)
    if one == other:
        raise TraceError(place, "a host does not connect to itself")
    pair = (min(one, other), max(one, other))
    is_up, has_been = words[2] == "up", pair in found.open_since_s
    if is_up == has_been:
        found.skipped += 1
    elif is_up:
        found.open_since_s[pair] = time_s
    else:
        _close(found, pair, time_s)


def _close(found: _Found, pair: tuple[int, int], end_s: float) -> None:
    start_s = found.open_since_s.pop(pair)
    if end_s > start_s:
        found.contacts.append((start_s, end_s, *pair))
    else:
        found.skipped += 1


def _close_all(found: _Found, end_s: float | None, place: str) -> None:
    if end_s is not None and not (math.isfinite(end_s) and end_s >= found.last_s):
        raise TraceError(place, f"has events until {found.last_s} s: the end is not before that")
    for pair in sorted(found.open_since_s):
        _close(found, pair, found.last_s if end_s is None else end_s)


def _message(found: _Found, time_s: float, words: Sequence[str], place: str) -> None:
    if len(words) not in (4, 5):
        raise TraceError(place, "a new message is 'TIME C ID FROM TO SIZE'")
    name, size = words[0], _number(words[3], place, "the size is a number of bytes")
    if name in found.messages:
        raise TraceError(place, f"two messages are called '{name}'")
    if not (1 <= size <= 2**40 and size == int(size)):
        raise TraceError(place, "the size is between 1 byte and 1 TB")
    if "," in name:
        raise TraceError(place, "a message's name has no comma")
    source, destination = _host(found, words[1], place), _host(found, words[2], place)
    if source == destination:
        raise TraceError(place, "a host does not write to itself")
    found.messages[name] = (time_s, source, destination, int(size))


def _host(found: _Found, word: str, place: str) -> int:
    """Return the number of a host."""
    match = _HOST.fullmatch(word)
    if match is None or int(match[2]) >= NODES_MAX:
        reason = f"'{word}' is no host: a number below {NODES_MAX} or a name that ends in one"
        raise TraceError(place, reason)
    number = int(match[2])
    known = found.names.setdefault(number, word if match[1] else "")
    if match[1] and known != word:
        if known:
            raise TraceError(place, f"'{known}' and '{word}' have the same number")
        found.names[number] = word
    return number


def _number(word: str, place: str, reason: str) -> float:
    try:
        number = float(word)
    except ValueError as error:
        raise TraceError(place, reason) from error
    if not (math.isfinite(number) and number >= 0):
        raise TraceError(place, reason)
    return number


def _events(found: _Found, nodes: int, lifetime_s: float, priority: int, place: str) -> OneEvents:
    # The lines were checked one by one; what can still be wrong is said of the file.
    largest = max(found.names, default=0)
    if largest >= nodes:
        raise TraceError(place, f"has a host {largest}, but there are {nodes} nodes")
    table = np.array(found.contacts, dtype=np.float64).reshape(-1, 4)
    rows = [(*message, lifetime_s, priority) for message in found.messages.values()]
    messages = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return OneEvents(
        make_plan(nodes, table, f"{place}: contact"),
        make_workload(tuple(found.messages), messages, nodes, f"{place}: message"),
        tuple(found.names.get(node) or f"node {node}" for node in range(nodes)),
        found.skipped,
    )
