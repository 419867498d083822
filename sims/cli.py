"""`meshnode-sim`: the program's entry, and the one place that explains errors.

Nothing heavy is imported here: a command imports its rooms when it runs. Commands stand in
`sims.commands`, one file each.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

import typer

from protocol.errors import MeshError
from sims.commands import (
    calibrate,
    campaign,
    compare,
    importing,
    listing,
    oracle,
    replay,
    report,
    run,
    soak,
)
from sims.commands.options import EXIT_BREACH

__all__ = ["EXIT_BREACH", "app", "execute", "main"]

EXIT_USAGE: Final = 2
"""The command line, a scenario or another file is wrong."""
EXIT_INTERRUPTED: Final = 130
"""Stopped by Ctrl-C, as shells have it."""

_EXTRA: Final = frozenset({"numpy", "numba", "matplotlib", "dask", "distributed", "gpxpy"})
"""What comes with the extra `sims` alone."""

_Misuse: Any = typer.BadParameter.__bases__[0]
"""What the library raises for every wrong command line; it gives its name to nobody."""

app = typer.Typer(
    name="meshnode-sim",
    help="Run many nodes in one process: real ones under a virtual clock, or a whole region.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
for each in (run, replay, soak, campaign, report, oracle, importing, compare, calibrate, listing):
    each.register(app)


def main() -> None:
    """Run the command line of this process and end it with the exit code."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Run one command line; return its exit code. Wrong words are explained on stderr."""
    try:
        result = typer.main.get_command(app).main(
            list(arguments), prog_name="meshnode-sim", standalone_mode=False
        )
    except MeshError as error:
        return _complain(str(error))
    except _Misuse as error:
        return _misused(error)
    except ImportError as error:
        return _lacking(error)
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        return EXIT_INTERRUPTED
    return result if isinstance(result, int) else 0


def _misused(error: Any) -> int:
    """Explain a wrong command line; a program without a command gets its help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), err=True)
        return EXIT_USAGE
    words = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    path = "meshnode-sim" if context is None else context.command_path
    return _complain(f"{words}; see '{path} --help'")


def _lacking(error: ImportError) -> int:
    """Say how to install what the extra brings. Raises: `error`, if that is not what is missing."""
    package = (error.name or "").split(".")[0]
    if package not in _EXTRA:
        raise error
    return _complain(f"{package} is not installed: install it with pip install 'meshnode[sims]'")


def _complain(sentence: str) -> int:
    from meshnode.cli.show import safe

    typer.echo(f"meshnode-sim: {safe(sentence)}", err=True)
    return EXIT_USAGE
