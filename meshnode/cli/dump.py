"""`meshnode dump`: say what a file is and what can be said of it without any key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["register"]


def register(parent: typer.Typer) -> None:
    """Put this command into the program."""
    parent.command()(dump)


def dump(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Any file of this program.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a file is, and all that needs no key.

    Bundles, sealed files, backups, certificates, documents, enrolment texts, stores and traces.
    """
    from meshnode.cli.show import print_json
    from meshnode.dump import explain_file

    found = explain_file(file)
    if as_json:
        print_json(**found)
    else:
        _print_tree({name: value for name, value in found.items() if name != "schema"}, 0)


def _print_tree(value: dict[str, Any], depth: int) -> None:
    """Print a record with what is inside it moved to the right."""
    for name, inner in value.items():
        _print_branch(str(name), inner, depth)


def _print_branch(name: str, inner: object, depth: int) -> None:
    from meshnode.cli.show import safe

    indent = "  " * depth
    if isinstance(inner, dict):
        typer.echo(f"{indent}{safe(name)}:")
        _print_tree(inner, depth + 1)
    elif isinstance(inner, list):
        typer.echo(f"{indent}{safe(name)}: {len(inner)}")
        for position, each in enumerate(inner, 1):
            _print_branch(str(position), each, depth + 1)
    else:
        typer.echo(f"{indent}{safe(name)}: {safe(str(inner))}")
