"""Every sentence that the command line can show, found in the code itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meshnode.cli.exits import EXIT_CODES
from meshnode.cli.main import app
from meshnode.cli.show import STATES
from meshnode.cli.story import STEPS
from protocol.limits import TrafficClass

_ROOT = Path(__file__).parents[3]
_ERRORS = ("TextError", "EnrolmentError", "SendError", "UnknownNameError", "HomeError")
_ERRORS += ("AuthorityError", "ConfigError", "ControlError", "Finding")
_TYPER = ("Usage", "Arguments", "Options", "Commands", "default", "required")
_HELP = "Show this message and exit."


def every_sentence() -> set[str]:
    """Return the English form of all that people read, with `{fields}`."""
    found = set(_said()) | set(_help()) | set(_failures())
    found |= {place.cure for place in EXIT_CODES.values()} - {""}
    found |= set(STATES.values()) | set(STEPS.values()) | {_HELP, *_TYPER}
    return found | {each.name.lower() for each in TrafficClass}


def _said() -> Iterator[str]:
    for path in sorted((_ROOT / "meshnode" / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say":
                yield from _literals(node.args[0])


def _failures() -> Iterator[str]:
    """Sentences of errors that people meet when they type commands, and of the doctor."""
    for path in sorted((_ROOT / "meshnode").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _ERRORS:
                for argument in [*node.args, *(word.value for word in node.keywords)]:
                    yield from (text for text in _literals(argument) if " " in text)


def _literals(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield _numbered(node)
    elif isinstance(node, ast.IfExp):
        yield from _literals(node.body)
        yield from _literals(node.orelse)


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
