"""Every sentence that the command line can show, found in the code itself."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from meshnode.cli.delivery import OUTCOMES, WHYS
from meshnode.cli.documents import REASONS
from meshnode.cli.exits import EXIT_CODES
from meshnode.cli.files import STATES as FILE_STATES
from meshnode.cli.main import app
from meshnode.cli.report_tables import SPOKEN
from meshnode.cli.show import STATES
from meshnode.cli.story import DETAILS, KINDS, STEPS, SUITES
from meshnode.gateway.archive.purge_log import Action
from meshnode.gateway.gateway import SHUT
from meshnode.retention import RETENTION, DataClass
from meshnode.store.purging import RULES
from meshnode.viewer.document import LEFT_OUT
from meshnode.web.answers import REFUSALS
from protocol.identity import DeviceClass, Role
from protocol.limits import TrafficClass

_ROOT = Path(__file__).parents[3]
_ARCHIVE = ("gateway", "gateway/archive", "gateway/report")
_FAILURES = (
    "ArchiveDownError",
    "ArchiveError",
    "ArchiveKeyError",
    "ArchiveTamperedError",
    "AuthorityError",
    "BackupError",
    "ChargeError",
    "ConfigError",
    "ControlError",
    "DoorState",
    "DumpError",
    "EnrolmentError",
    "Finding",
    "HoldingsError",
    "HomeBusyError",
    "HomeError",
    "KeystoreError",
    "LeaseEndedError",
    "LinkError",
    "LockedError",
    "QuotaError",
    "RefusedError",
    "RightsError",
    "SendError",
    "SensorError",
    "StickError",
    "TextError",
    "UnknownNameError",
    "WebError",
    "WipedError",
    "WrongSecretError",
)
_ROOMS = (
    ".",
    "calls",
    "cli",
    "doctor",
    "links",
    "sensors",
    "services",
    "vault",
    "web",
    "web/routes",
)
_PUT_TOGETHER = (
    "setting '{0}': {1}",
    "{0} is {1}, the limit is {2}",
    "too many wrong secrets: try again in {0} s",
)
"""What errors make of their fields by themselves."""
_OF_THE_DISK = (
    "the disk is full: {0}",
    "the store cannot do this: {0}",
    "the store is damaged: {0}",
)
"""What the store makes of an error of SQLite."""
_TYPER = (
    "Arguments",
    "Commands",
    "Got unexpected extra argument ({0})",
    "Got unexpected extra argument(s) ({0})",
    "Input should be a valid integer, unable to parse string as an integer",
    "Input should be a valid number, unable to parse string as a number",
    "Input should be greater than or equal to {0}",
    "Input should be less than or equal to {0}",
    "Invalid value for {0}: {1}",
    "Missing argument '{0}'",
    "Missing command",
    "Missing option '{0}'",
    "No such command '{0}'",
    "No such command '{0}'. Did you mean '{1}'?",
    "No such option: {0}",
    "Option '{0}' requires an argument",
    "Options",
    "Show this message and exit.",
    "Usage",
    "Value error, {0} is not one of {1}",
    "default",
    "required",
)
"""Words of the library."""


def every_sentence() -> set[str]:
    """Return the English form of all that people read, with `{fields}`."""
    found = set(_said()) | set(_help()) | set(_failures())
    found |= {place.cure for place in EXIT_CODES.values()} - {""}
    found |= (
        set(STATES.values())
        | set(FILE_STATES.values())
        | set(LEFT_OUT.values())
        | set(STEPS.values())
        | {*_TYPER, *_PUT_TOGETHER, *_OF_THE_DISK}
    )
    found |= set(OUTCOMES.values()) | set(WHYS.values()) | set(REASONS.values()) | SPOKEN | {SHUT}
    found |= set(KINDS.values()) | set(SUITES.values()) | set(DETAILS)
    found |= {rule.sentence for rule in RULES.values()}
    found |= {rule.reason for rule in RETENTION.values()}
    found |= {str(each) for names in (DataClass, Action) for each in names}
    found |= {sentence.replace("{what}", "{0}") for _status, sentence in REFUSALS.values()}
    enums: tuple[type[Enum], ...] = (TrafficClass, Role, DeviceClass)
    return found | {each.name.lower() for names in enums for each in names}


def _said() -> Iterator[str]:
    for path in sorted((_ROOT / "meshnode" / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say":
                yield from _literals(node.args[:1])


def _failures() -> Iterator[str]:
    """Give sentences of errors that people meet when they type commands, and of the doctor."""
    rooms = (_ROOT / "meshnode" / name for name in (*_ROOMS, *_ARCHIVE))
    paths = [path for room in rooms for path in room.glob("*.py")]
    for path in sorted(paths):
        module = ast.parse(path.read_text())
        constants = dict(_constants(module))
        for node in ast.walk(module):
            parts = _finding(node) if path.parent.name == "doctor" else _failure(node)
            named = (constants.get(getattr(part, "id", ""), part) for part in parts)
            yield from (text for text in _literals(named) if " " in text)


def _constants(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Give what has a name in a file: a sentence may be used twice."""
    for node in module.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, node.value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def _failure(node: ast.AST) -> Iterator[ast.expr]:
    """Give what an error is made from, or says unless told otherwise."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _FAILURES:
        yield from node.args
    elif isinstance(node, ast.FunctionDef) and node.name == "__init__":
        yield from node.args.defaults


def _finding(node: ast.AST) -> Iterator[ast.expr]:
    """Give what a finding is made from, and what a check prepares for it."""
    yield from _failure(node)
    if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("fix", "words"):
        yield node.value


def _literals(nodes: Iterable[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield _numbered(node)
        elif isinstance(node, ast.IfExp):
            yield from _literals([node.body, node.orelse])


def _numbered(node: ast.JoinedStr) -> str:
    """Return the text of an f-string with its fields numbered."""
    parts, number = [], 0
    for value in node.values:
        if isinstance(value, ast.Constant):
            parts.append(str(value.value))
        else:
            parts.append(f"{{{number}}}")
            number += 1
    return "".join(parts)


def _help() -> Iterator[str]:
    import typer

    yield from _help_of(typer.main.get_command(app))


def _help_of(command: Any) -> Iterator[str]:
    yield from (" ".join(part.split()) for part in command.help.split("\n\n"))
    for parameter in command.params:
        if getattr(parameter, "help", None):
            yield parameter.help
    for inner in getattr(command, "commands", {}).values():
        yield from _help_of(inner)
