"""Writes the reference pages that are made from the code: `python -m tests.architecture.generate`.

A page says what the code says, in the code's own words: docstrings of limits, settings and
errors, help of commands. `test_docs.py` compares the pages with what would be written.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import pairwise
from types import ModuleType
from typing import Any

import typer

import sims.cli
from meshnode import config as settings
from meshnode.audit import EVENTS
from meshnode.cli import exits
from meshnode.cli.language import speak
from meshnode.cli.main import program
from meshnode.metrics import AUDITED, METRICS
from meshnode.sensors import bounds as sensor_bounds
from meshnode.viewer import bounds as viewer_bounds
from meshnode.web import limits as web_limits
from meshnode.web.answers import FAMILIES, REFUSALS
from meshnode.web.building import EVERYWHERE
from meshnode.web.routes.table import ROUTES
from protocol import classes, guards, limits, sheet_bounds
from protocol.errors import CloseCode, MeshError, ProtocolError
from protocol.narrow import bounds as narrow_bounds
from protocol.session.states import render
from tests.architecture.tree import ROOT

__all__ = ["PAGES", "commands", "error_classes", "main", "texts_below"]

FOLDER = ROOT / "docs" / "reference"
MADE = "Made from {} by `make docs`; do not edit it here."


def main() -> None:
    """Write every page anew."""
    for name, write in PAGES.items():
        (FOLDER / name).write_text(write(), encoding="utf-8")


def _page(title: str, source: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", MADE.format(source), *parts]) + "\n"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def texts_below(body: Sequence[ast.stmt]) -> dict[str, str]:
    """Return the text that stands below each name, as the house writes the meaning of a field."""
    found = {}
    for field, after in pairwise(body):
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            assert isinstance(after, ast.Expr)
            assert isinstance(after.value, ast.Constant)
            found[field.target.id] = " ".join(str(after.value.value).split())
    return found


def _parsed(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


# --- limits ------------------------------------------------------------------------------------


def write_limits() -> str:
    """Return the page of every bound with its value and its reason."""
    parts = []
    for module in (
        limits,
        guards,
        narrow_bounds,
        sheet_bounds,
        sensor_bounds,
        viewer_bounds,
        web_limits,
    ):
        for heading, names in _headed(module).items():
            rows = [
                (f"`{name}`", _value(getattr(module, name)), reason)
                for name, reason in names.items()
            ]
            parts += [f"## {heading}", _table(["limit", "value", "reason"], rows)]
    return _page(
        "Limits",
        "`protocol/limits.py`, `guards.py`, `classes.py`, `narrow/bounds.py`, `sheet_bounds.py`, "
        "`meshnode/sensors/bounds.py`, `meshnode/viewer/bounds.py` and `meshnode/web/limits.py`",
        "Nothing here is negotiable on the wire. The unit stands at the end of each name.",
        *parts,
        "## Lifetimes and classes",
        _table(["limit", "value", "reason"], _constants_of_classes()),
        "## Kinds of bundles",
        _table(["kind", "class", "the newest replaces", "lifetime (s)"], _kinds()),
        "## Classes",
        _table(["class", "lifetime at most (s)", "share of the store (%)", "evicted"], _classes()),
    )


def _constants_of_classes() -> Iterator[Sequence[str]]:
    for name, reason in texts_below(_parsed(classes).body).items():
        value = getattr(classes, name)
        if isinstance(value, int) and name in limits.__all__:
            yield f"`{name}`", _value(value), reason


def _headed(module: ModuleType) -> dict[str, dict[str, str]]:
    """Return the public constants with their texts, under the heading that they stand below."""
    source = inspect.getsource(module)
    marks = {
        number: line.strip("# -").capitalize()
        for number, line in enumerate(source.splitlines(), 1)
        if line.startswith("# --- ")
    }
    tree = ast.parse(source)
    found: dict[str, dict[str, str]] = {heading: {} for heading in marks.values()}
    texts = texts_below(tree.body)
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above = [heading for number, heading in marks.items() if number < node.lineno]
            if (
                above
                and node.target.id in texts
                and isinstance(_constant(module, node.target.id), int)
            ):
                found[above[-1]][node.target.id] = texts[node.target.id]
    return found


def _constant(module: ModuleType, name: str) -> object:
    return getattr(module, name) if name[0] != "_" else None


def _value(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _kinds() -> Iterator[Sequence[str]]:
    for kind, rule in limits.KINDS.items():
        yield (
            f"{kind.name} ({kind.value})",
            rule.traffic_class.name,
            "yes" if rule.supersedes else "no",
            _value(rule.lifetime_s),
        )


def _classes() -> Iterator[Sequence[str]]:
    for each, rule in limits.CLASS_RULES.items():
        rank = "never" if rule.eviction_rank < 0 else f"as number {rule.eviction_rank + 1}"
        share = _value(rule.store_share_pct)
        yield f"{each.name} ({each.value})", _value(rule.lifetime_s_max), share, rank


# --- metrics -----------------------------------------------------------------------------------


def write_metrics() -> str:
    """Return the page of every counter."""
    rows = [
        (f"`{name}`", meaning, "yes" if name in AUDITED else "")
        for name, meaning in sorted(METRICS.items())
    ]
    about = (
        "Counters since the node started; `meshnode status --json` shows them. Those that are "
        "audited are the refusals and what changes the device: each is an entry of the audit log "
        "within a second, with the device it is about where one is known, and no content."
    )
    events = "\n\n".join(
        [
            "## Further entries of the audit log",
            _table(["event", "what happened"], [(f"`{name}`", EVENTS[name]) for name in EVENTS]),
        ]
    )
    return _page(
        "Metrics",
        "`meshnode/metrics.py`",
        about,
        _table(["counter", "counts", "audited"], rows),
        events,
    )


# --- configuration -----------------------------------------------------------------------------


def write_configuration() -> str:
    """Return the page of every setting, section by section."""
    parts: list[str] = []
    about = {
        each.name: texts_below(_class_body(settings, "Settings"))[each.name]
        for each in dataclasses.fields(settings.Settings)
    }
    for section, sentence in about.items():
        mine = [each for each in settings.settings_table() if each.key.split(".")[0] == section]
        rows = [
            (f"`{each.key.split('.')[1]}`", f"`{_toml(each.default)}`", _meaning(each))
            for each in mine
        ]
        parts += [f"## [{section}]", sentence, _table(["setting", "default", "meaning"], rows)]
    return _page(
        "Configuration",
        "`meshnode/config.py`",
        "Settings stand in `meshnode.toml` in the home of a node; every one may be left out. "
        "A name that is not here is an error, and the node does not start.",
        *parts,
    )


def _class_body(module: ModuleType, name: str) -> list[ast.stmt]:
    found = (each for each in _parsed(module).body if isinstance(each, ast.ClassDef))
    return next(each.body for each in found if each.name == name)


def _meaning(setting: settings.Setting) -> str:
    """Return the sentence of a setting, with its unit or form, and its bounds."""
    section, name = setting.key.split(".")
    record = type(getattr(settings.Settings(), section))
    form = texts_below(_class_body(settings, record.__name__))[name]
    bounds = ""
    if setting.minimum is not None and setting.maximum is not None:
        bounds = f" From {setting.minimum:_} to {setting.maximum:_}."
    return f"{setting.sentence} {form}{bounds}"


def _toml(value: object) -> str:
    """Return a default as one writes it in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return f"{value:_}" if isinstance(value, int) else f'"{value}"'


# --- command line ------------------------------------------------------------------------------


def commands() -> dict[str, Any]:
    """Return every command that is not hidden, by the words that call it."""
    speak("en")
    trees = {"meshnode": program(), "meshnode-sim": typer.main.get_command(sims.cli.app)}
    return dict(each for name, tree in trees.items() for each in _below(name, tree))


def _below(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    if command.hidden:
        return
    yield words, command
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        yield from _below(f"{words} {name}", inner)


def write_command_line() -> str:
    """Return the page of every command with its arguments and options."""
    parts = []
    for words, command in commands().items():
        parts += [f"## {words}", " ".join((command.help or "").split())]
        rows = [_parameter(each) for each in command.params if _is_shown(each)]
        parts += [f"```text\n{_usage(words, command)}\n```"]
        parts += [_table(["parameter", "default", "meaning"], rows)] if rows else []
    about = (
        "Each command ends with 0 when it did what was asked, and else with a code of "
        "[the errors page](errors.md). `--help` after any command shows its part of this page."
    )
    return _page("Command line", "`meshnode/cli/` and `sims/commands/`", about, *parts)


def _is_shown(parameter: Any) -> bool:
    return not getattr(parameter, "hidden", False) and parameter.name != "help"


def _usage(words: str, command: Any) -> str:
    pieces = [words]
    shown = [each for each in command.params if _is_shown(each)]
    if any(each.param_type_name == "option" for each in shown):
        pieces.append("[OPTIONS]")
    pieces += [_metavar(each) for each in shown if each.param_type_name == "argument"]
    if getattr(command, "commands", {}):
        pieces.append("COMMAND [ARGUMENTS]")
    return " ".join(pieces)


def _metavar(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    name += "..." if argument.nargs != 1 and not name.endswith("...") else ""
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _parameter(parameter: Any) -> Sequence[str]:
    if parameter.param_type_name == "argument":
        name = _metavar(parameter)
    else:
        name = ", ".join(f"`{each}`" for each in [*parameter.opts, *parameter.secondary_opts])
    meaning = getattr(parameter, "help", None) or ""
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        meaning += f" One of {', '.join(str(each.value) for each in kind)}."
    return name, _default_of(parameter), meaning


def _default_of(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or callable(value) or value is False or value in ((), [], ""):
        return ""
    return str(getattr(value, "value", value)) if value is not True else "on"


# --- errors ------------------------------------------------------------------------------------


def error_classes() -> list[type[MeshError]]:
    """Return every error that is meant to be caught, wherever it is defined."""
    for package in ("protocol", "meshnode", "sims"):
        folder = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(folder, f"{package}."):
            if "migrations" not in module.name and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    return sorted(set(_family(MeshError)), key=lambda each: (each.__module__, each.__name__))


def _family(base: type[MeshError]) -> Iterator[type[MeshError]]:
    yield base
    for each in base.__subclasses__():
        if each.__module__.split(".")[0] != "tests":
            yield from _family(each)


def write_errors() -> str:
    """Return the page of exit codes, errors and close codes."""
    codes = [
        (str(each.code), kind.__name__, each.meaning, each.cure)
        for kind, each in sorted(exits.EXIT_CODES.items(), key=lambda item: item[1].code)
    ]
    fixed = texts_below(_parsed(exits).body)
    codes += [(str(getattr(exits, name)), "", fixed[name], "") for name in _exit_names()]
    codes.append(("0", "", "what was asked is done", ""))
    codes.sort(key=lambda row: int(row[0]))
    return _page(
        "Errors",
        "`meshnode/cli/exits.py` and the error classes",
        "## Exit codes",
        _table(["code", "kind of error", "meaning", "what to do"], codes),
        "## Kinds of errors",
        "A kind without a code of its own ends a command with that of its nearest base.",
        _table(
            ["error", "base", "meaning", "exit code", "close code"], map(_error, error_classes())
        ),
        "## Close codes",
        "Why a session ended, as it goes on the wire (wire format 6.9).",
        _table(["code", "name"], [(str(each.value), each.name) for each in CloseCode]),
    )


def _exit_names() -> list[str]:
    return [name for name in exits.__all__ if name.startswith("EXIT_") and name != "EXIT_CODES"]


def _error(kind: type[MeshError]) -> Sequence[str]:
    meaning = (inspect.getdoc(kind) or "").split("\n\n")[0]
    close = kind.close_code if issubclass(kind, ProtocolError) else None
    code = next(exits.EXIT_CODES[each].code for each in kind.__mro__ if each in exits.EXIT_CODES)
    base = kind.__bases__[0].__name__
    return f"`{kind.__name__}`", base, meaning, str(code), "" if close is None else str(int(close))


# --- web interface -----------------------------------------------------------------------------


def write_web_api() -> str:
    """Return the page of every route, and of the errors that they answer."""
    rows = [
        (
            f"`{each.method} {each.path}`",
            each.least.word,
            each.what + (" Works while locked." if each.while_locked else ""),
            ", ".join(f"`{name}`" for name in each.fields),
            ", ".join(f"`{name}`" for name in each.errors),
        )
        for each in ROUTES
    ]
    refusals = [
        (f"`{kind}`", str(status), sentence) for kind, (status, sentence) in REFUSALS.items()
    ]
    families = [
        (f"`{kind.__name__}`", str(each.status), f"`{each.kind}`" if each.kind else "its reason")
        for kind, each in FAMILIES.items()
    ]
    return _page(
        "Web interface",
        "`meshnode/web/`",
        "How to sign in and what each role may do stands in "
        "[Open the screens](../how-to/open-the-screens.md). Every answer is JSON with `schema` 1, "
        "lists stand under a plural name, times are Unix milliseconds. `GET /api/openapi.json` "
        "describes the same for programs. An event is what `GET /api/events` sends as `data`, "
        "one record of JSON with `event` as its name.",
        "## Routes",
        _table(["route", "least role", "what", "fields", "errors of its own"], rows),
        "Any route may also answer: " + ", ".join(f"`{each}`" for each in EVERYWHERE) + ".",
        "## What the interface refuses",
        'An error is `{"schema": 1, "error": {"kind": …, "message": …}}`; the message is in the '
        "language of `Accept-Language`, French unless that prefers English.",
        _table(["kind", "status", "message"], refusals),
        "## Errors of the node",
        "The nearest class counts; a reason of bad input answers 400, an unknown name 404.",
        _table(["error", "status", "kind"], families),
    )


PAGES: Mapping[str, Callable[[], str]] = {
    "session-states.md": render,
    "configuration.md": write_configuration,
    "command-line.md": write_command_line,
    "errors.md": write_errors,
    "metrics.md": write_metrics,
    "limits.md": write_limits,
    "web-api.md": write_web_api,
}
"""Each page of `docs/reference/` that is made, and what makes it."""


if __name__ == "__main__":
    main()
