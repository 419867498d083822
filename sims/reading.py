"""Reads a scenario from TOML; every error names the table and the key.

The words of the file are those of `sims.scenario`; `count` and `every_s` of a contact or a message
stand for many of them. Source: DESIGN D11.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from protocol.identity import Role
from sims.fleet import DevicePlan
from sims.scenario import (
    ClockStep,
    Contact,
    Crash,
    Scenario,
    ScenarioError,
    WrittenMessage,
    check_scenario,
)

__all__ = ["included_scenarios", "load_scenario", "read_scenario"]

_FILE_BYTES_MAX = 1_000_000
_COUNT_MAX = 10_000
_FOLDER = "scenarios"


def included_scenarios() -> list[str]:
    """Return the names of the scenarios that come with the program."""
    folder = resources.files("sims") / _FOLDER
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


def load_scenario(name: str) -> Scenario:
    """Return an included scenario by its name, or that in a file whose name ends in `.toml`.

    Raises: ScenarioError.
    """
    if name in included_scenarios():
        raw = (resources.files("sims") / _FOLDER / f"{name}.toml").read_bytes()
        return read_scenario(raw, name)
    if not name.endswith(".toml"):
        known = ", ".join(included_scenarios())
        raise ScenarioError(name, f"is unknown: name a file, FILE.toml, or one of {known}")
    try:
        raw = Path(name).read_bytes()
    except OSError as error:
        raise ScenarioError(name, f"cannot be read: {error.strerror}") from error
    return read_scenario(raw, Path(name).stem)


def read_scenario(raw: bytes, name: str) -> Scenario:
    """Return the scenario in a TOML text. Raises: ScenarioError that names the place."""
    if len(raw) > _FILE_BYTES_MAX:
        raise ScenarioError(name, f"has more than {_FILE_BYTES_MAX} bytes")
    try:
        found = tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(name, f"is not TOML: {error}") from error
    top = _Table("scenario", found)
    link = _Table("link", top.table("link"))
    scenario = Scenario(
        name=name,
        about=top.text("about"),
        duration_s=top.number("duration_s"),
        devices=tuple(_device(each) for each in top.tables("device")),
        contacts=tuple(one for each in top.tables("contact") for one in _contacts(each)),
        messages=tuple(one for each in top.tables("message") for one in _messages(each)),
        crashes=tuple(_crash(each) for each in top.tables("crash")),
        clock_steps=tuple(_clock_step(each) for each in top.tables("clock_step")),
        latency_s=link.number("latency_s", 0.02),
        rate_bytes_s=link.number("rate_bytes_s", 1_000_000.0),
    )
    top.end()
    link.end()
    return check_scenario(scenario)


def _device(table: _Table) -> DevicePlan:
    role = table.text("role", "agent")
    roles = {each.name.lower(): each for each in Role}
    if role not in roles:
        raise ScenarioError(f"{table.place}.role", f"is one of {', '.join(sorted(roles))}")
    plan = DevicePlan(table.text("name"), roles[role], tuple(table.texts("squads")))
    table.end()
    return plan


def _contacts(table: _Table) -> Iterator[Contact]:
    start_s, end_s = table.number("start_s"), table.number("end_s")
    a, b = table.text("a"), table.text("b")
    for later_s in _times(table):
        yield Contact(start_s + later_s, end_s + later_s, a, b)
    table.end()


def _times(table: _Table) -> list[float]:
    """Take `count` and `every_s`; return how much later than the first each one is."""
    count, every_s = table.whole("count", 1), table.number("every_s", 1.0)
    if not 1 <= count <= _COUNT_MAX:
        raise ScenarioError(f"{table.place}.count", f"is between 1 and {_COUNT_MAX}")
    return [number * every_s for number in range(count)]


def _messages(table: _Table) -> Iterator[WrittenMessage]:
    at_s, times = table.number("at_s"), _times(table)
    sender, to, text = table.text("from"), table.text("to"), table.text("text")
    priority = table.text("priority", "normal")
    lifetime_s = table.whole("lifetime_s", 0) or None
    for number, later_s in enumerate(times, start=1):
        # Numbered, so that each says something that nothing else says.
        words = text if len(times) == 1 else f"{text} ({number} of {len(times)})"
        yield WrittenMessage(at_s + later_s, sender, to, words, priority, lifetime_s)
    table.end()


def _crash(table: _Table) -> Crash:
    crash = Crash(table.number("at_s"), table.text("device"), table.number("down_s"))
    table.end()
    return crash


def _clock_step(table: _Table) -> ClockStep:
    step = ClockStep(table.number("at_s"), table.text("device"), table.number("step_s"))
    table.end()
    return step


class _Table:
    """One table of the file, whose keys are taken one by one; what is left over is unknown."""

    def __init__(self, place: str, content: Mapping[str, object]) -> None:
        self.place = place
        self._left = dict(content)

    def end(self) -> None:
        """Raise ScenarioError if something was not taken."""
        if self._left:
            raise ScenarioError(f"{self.place}.{next(iter(self._left))}", "is unknown")

    def text(self, key: str, default: str | None = None) -> str:
        """Take a text."""
        value = self._take(key, default)
        if not isinstance(value, str):
            raise ScenarioError(f"{self.place}.{key}", "is a text in quotes")
        return value

    def texts(self, key: str) -> list[str]:
        """Take a list of texts; empty where it is missing."""
        value = self._take(key, ())
        if not isinstance(value, list | tuple):
            raise ScenarioError(f"{self.place}.{key}", "is a list of texts")
        if not all(isinstance(each, str) for each in value):
            raise ScenarioError(f"{self.place}.{key}", "is a list of texts")
        return list(value)

    def number(self, key: str, default: float | None = None) -> float:
        """Take a number."""
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ScenarioError(f"{self.place}.{key}", "is a number")
        return float(value)

    def whole(self, key: str, default: int) -> int:
        """Take a whole number."""
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ScenarioError(f"{self.place}.{key}", "is a whole number")
        return value

    def table(self, key: str) -> Mapping[str, object]:
        """Take a table; empty where it is missing."""
        value = self._take(key, {})
        if not isinstance(value, Mapping):
            raise ScenarioError(key, f"is a table: write [{key}]")
        return value

    def tables(self, key: str) -> list[_Table]:
        """Take a list of tables; empty where it is missing."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
            raise ScenarioError(key, f"is a list of tables: write [[{key}]]")
        return [_Table(f"{key} {place}", each) for place, each in enumerate(value, start=1)]

    def _take(self, key: str, default: object) -> object:
        value = self._left.pop(key, default)
        if value is None:
            raise ScenarioError(f"{self.place}.{key}", "is missing")
        return value
