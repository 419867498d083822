"""Questions that a person answers with yes or no, in the language that the person reads."""

from __future__ import annotations

from typing import Final

import typer

from meshnode.cli.language import current_language, say

__all__ = ["confirmed"]

_YES: Final = {"en": frozenset({"y", "yes"}), "fr": frozenset({"o", "oui", "y", "yes"})}
_NO: Final = frozenset({"", "n", "no", "non"})


def confirmed(question: str) -> bool:
    """Ask on stderr until it is yes or no, which Enter alone means too.

    Raises: typer.Abort where nobody is there to answer.
    """
    hint = say("[y/N]")
    return bool(
        typer.prompt(
            f"{question} {hint}", default="", show_default=False, err=True, value_proc=_read
        )
    )


def _read(typed: str) -> bool:
    word = typed.strip().casefold()
    if word in _YES[current_language()]:
        return True
    if word in _NO:
        return False
    raise typer.BadParameter(say("answer yes or no"))
