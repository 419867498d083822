"""What several commands take: seeds, policies, formats; and how a record becomes a command.

Nothing heavy is imported here, nor at the top of any command: help appears at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from enum import StrEnum
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, get_type_hints

import typer

from sims.errors import CommandError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from sims.abstract.records import PolicyName

__all__ = [
    "EXIT_BREACH",
    "AsJson",
    "Buffer",
    "Contacts",
    "Copies",
    "Faults",
    "LanguageChoice",
    "LinksChoice",
    "Messages",
    "Nodes",
    "Policy",
    "Rate",
    "ReportLanguage",
    "SealingChoice",
    "Seed",
    "add_command",
    "policy_named",
]

EXIT_BREACH: Final = 1
"""The command worked, and what it found is not well: a check or a job that failed."""

Record = TypeVar("Record", bound="DataclassInstance")


class SealingChoice(StrEnum):
    """What `--sealer` takes."""

    STAND_IN = "stand-in"
    HPKE = "hpke"


class LinksChoice(StrEnum):
    """What `--links` takes."""

    PLAIN = "plain"
    TLS = "tls"


class LanguageChoice(StrEnum):
    """What `--language` takes."""

    EN = "en"
    FR = "fr"


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Seed = Annotated[int, typer.Option(min=0, help="Decides everything that the scenario leaves.")]
Faults = Annotated[
    str | None,
    typer.Option(help="Real nodes: what goes wrong, such as crashes=2,loss=0.01."),
]
Policy = Annotated[
    str | None,
    typer.Option(help="Region: direct, epidemic, spray, prophet or gain (the node's own)."),
]
Buffer = Annotated[
    int | None,
    typer.Option(min=0, help="Region: bytes that each node holds; 0 is without bound."),
]
Rate = Annotated[
    float | None,
    typer.Option(min=0, help="Region: bytes per second of every contact; 0 is without bound."),
]
Copies = Annotated[int | None, typer.Option(min=1, help="Region: copies that spray begins with.")]
Contacts = Annotated[Path | None, typer.Option(help="A trace: CSV file with t_start,t_end,a,b.")]
Messages = Annotated[
    Path | None, typer.Option(help="Messages on it: CSV file with id,t,src,dst,size,ttl,prio.")
]
Nodes = Annotated[Path | None, typer.Option(help="Its nodes: CSV file with id,role,group.")]
ReportLanguage = Annotated[
    LanguageChoice, typer.Option("--language", help="Language of summary and report.")
]

_OURS: Final = "meshnode"
"""People who compare call the node's own policy after the node."""


def policy_named(text: str) -> PolicyName:
    """Return the policy that people call so. Raises: CommandError that names them all."""
    from sims.abstract.records import PolicyName

    if text == _OURS:
        return PolicyName.GAIN
    if text not in [*PolicyName]:
        known = ", ".join(PolicyName)
        raise CommandError(f"policy '{text}' is unknown: take one of {known}")
    return PolicyName(text)


def add_command(
    app: typer.Typer, name: str, record: type[Record], run: Callable[[Record], int]
) -> None:
    """Make a command whose arguments are the fields of `record`, which `run` takes whole.

    Each field is annotated with its `typer.Option` or `typer.Argument`; help is that of `run`.
    """
    hints = get_type_hints(record, include_extras=True)

    def command(**given: Any) -> int:
        return run(record(**given))

    parameters = [
        Parameter(
            each.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if each.default is MISSING else each.default,
            annotation=hints[each.name],
        )
        for each in fields(record)
    ]
    # The library reads these two, as it does with any function.
    described: Any = command
    described.__signature__ = Signature(parameters)
    described.__annotations__ = {each.name: hints[each.name] for each in fields(record)}
    app.command(name, help=run.__doc__)(command)
