"""`meshnode`: the program's entry, its global options, and the one place that explains errors.

Nothing heavy is imported here: a command imports its rooms when it runs, so that help appears at
once. Exit codes are data in `meshnode.cli.exits`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshnode.cli import (
    alarm,
    audit,
    authority,
    backup,
    bench,
    board,
    carry,
    charge,
    coverage,
    delivery,
    demo,
    doctor,
    documents,
    dump,
    enrol,
    files,
    gateway,
    held,
    locking,
    message,
    network,
    retention,
    run,
    sensors,
    service,
    sheets,
    shift,
    tak,
    unload,
    uplink,
    web,
    week,
)
from meshnode.cli.language import chosen_language, say, speak, translate_error

if TYPE_CHECKING:
    from protocol.errors import MeshError

__all__ = ["app", "execute", "main", "program"]

app = typer.Typer(
    name="meshnode",
    help="Messages that get through where there is no network.",
    no_args_is_help=True,
    # Plain help starts in half the time, and reads the same in a pipe.
    rich_markup_mode=None,
    add_completion=False,
)
for each in (
    enrol,
    run,
    web,
    locking,
    message,
    alarm,
    delivery,
    files,
    sheets,
    shift,
    sensors,
    board,
    charge,
    network,
    tak,
    unload,
    uplink,
    coverage,
    held,
    gateway,
    retention,
    carry,
    documents,
    audit,
    authority,
    week,
    backup,
    service,
    dump,
    doctor,
    demo,
    bench,
):
    each.register(app)

_HEADINGS: Final = re.compile(r"^(Usage|Arguments|Options|Commands):", re.MULTILINE)
_DEFAULT: Final = re.compile(r"\[(default|required)\b")


class Language(StrEnum):
    """What `--lang` takes."""

    EN = "en"
    FR = "fr"


def main() -> None:
    """Run the command line of this process and end it with the exit code."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Run one command line; return its exit code. Every error is explained on stderr.

    This is the one place of the command line that catches errors it does not know.
    """
    speak(chosen_language(arguments, os.environ))
    try:
        return _invoked(arguments)
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:  # noqa: BLE001 - a person gets a sentence, never a traceback
        return _explained(error, arguments)


@app.callback()
def options(
    ctx: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(help="Folder of the node or authority, instead of ~/.meshnode."),
    ] = None,
    lang: Annotated[
        Language | None, typer.Option(help="What you read, instead of the locale's language.")
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Write down where this program failed, if it does.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and end.",
            is_eager=True,
            callback=lambda is_asked: _print_version() if is_asked else None,
        ),
    ] = False,
) -> None:
    """Messages that get through where there is no network."""


def _print_version() -> None:
    from importlib.metadata import version

    typer.echo(f"meshnode {version('meshnode')}")
    raise typer.Exit


def _invoked(arguments: Sequence[str]) -> int:
    result = program().main(list(arguments), prog_name="meshnode", standalone_mode=False)
    return result if isinstance(result, int) else 0


# --- help in the language in use ----------------------------------------------------------------


class _Spoken(typer.Context):
    """Makes help in the language in use; typer's own words for it are English."""

    def get_help(self) -> str:
        """Return the help of the command, its headings included."""
        text = _HEADINGS.sub(lambda found: f"{say(found[1])}:", super().get_help())
        text = text.replace(_HELP_OPTION, say(_HELP_OPTION))
        return _DEFAULT.sub(lambda found: f"[{say(found[1])}", text)


_HELP_OPTION: Final = "Show this message and exit."


def program() -> Any:
    """Return the tree of commands with its help in the language in use."""
    tree = typer.main.get_command(app)
    for command in _commands(tree):
        command.context_class = _Spoken
        command.help = _spoken_help(command.help or "")
        for parameter in command.params:
            if getattr(parameter, "help", None):
                parameter.help = say(parameter.help)
    return tree


def _spoken_help(text: str) -> str:
    """Return a help text whose paragraphs are in the language in use."""
    return "\n\n".join(say(" ".join(part.split())) for part in text.split("\n\n"))


def _commands(command: Any) -> Iterator[Any]:
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from _commands(inner)


# --- errors -------------------------------------------------------------------------------------


def _interrupted() -> int:
    from meshnode.cli.exits import EXIT_INTERRUPTED

    return EXIT_INTERRUPTED


def _explained(error: Exception, arguments: Sequence[str]) -> int:
    """Say in one sentence what went wrong and what to do; return the exit code."""
    if _is_usage(error):
        return _misused(error)
    # The table knows every room: it is not loaded for a wrong word on the command line.
    from meshnode.cli.exits import EXIT_INTERNAL, exit_for
    from protocol.errors import MeshError

    if isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        return _explained(error.exceptions[0], arguments)
    if isinstance(error, typer.Abort):
        return _interrupted()
    if isinstance(error, MeshError):
        place = exit_for(error)
        _complain(_sentence(error, place.cure))
        return place.code
    _complain(say("a defect of this program: {kind}", kind=type(error).__name__))
    _write_down(error, arguments)
    return EXIT_INTERNAL


def _sentence(error: MeshError, cure: str) -> str:
    message = translate_error(str(error)) or type(error).__name__
    # A message with a colon names its cure already.
    return message if not cure or ": " in str(error) else f"{message}; {say(cure)}"


def _is_usage(error: Exception) -> bool:
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _misused(error: Any) -> int:
    """Explain a wrong command line; a command without arguments gets its help."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), err=True)
        return int(error.exit_code)
    words = translate_error(" ".join(error.format_message().split()).rstrip("."))
    path = context.command_path if context is not None else "meshnode"
    _complain(say("{words}; see '{path} --help'", words=words, path=path))
    return int(error.exit_code)


def _complain(sentence: str) -> None:
    from meshnode.cli.show import safe

    typer.echo(f"meshnode: {safe(sentence)}", err=True)


def _write_down(error: Exception, arguments: Sequence[str]) -> None:
    """Write where the program failed into a file, where `--debug` asks for it."""
    if "--debug" not in arguments:
        typer.echo(say("Run it again with --debug to write down where."), err=True)
        return
    import tempfile
    import traceback

    # The lines of code alone: values, and with them texts and keys, stay out of the file.
    lines = traceback.format_exception(error)
    with tempfile.NamedTemporaryFile(
        "w", prefix="meshnode-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.writelines(lines)
    typer.echo(say("Where it failed is written in {path}.", path=file.name), err=True)
