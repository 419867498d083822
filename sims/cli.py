"""`meshnode-sim`: run a scenario on real nodes under a virtual clock, and check what must hold.

Nothing heavy is imported here: a command imports its rooms when it runs. A run in which a check
fails prints the one command that repeats it.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from protocol.errors import MeshError

if TYPE_CHECKING:
    from sims.checkers import Breach
    from sims.record import WorldRecord

__all__ = ["app", "execute", "main"]

EXIT_BREACH: Final = 1
"""The run worked, and a check failed."""
EXIT_USAGE: Final = 2
"""The command line or the scenario is wrong."""
EXIT_INTERRUPTED: Final = 130
"""Stopped by Ctrl-C, as shells have it."""

_Misuse: Any = typer.BadParameter.__bases__[0]
"""What the library raises for every wrong command line; it gives its name to nobody."""

app = typer.Typer(
    name="meshnode-sim",
    help="Run many nodes in one process, under a virtual clock.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


class SealingChoice(StrEnum):
    """What `--sealer` takes."""

    STAND_IN = "stand-in"
    HPKE = "hpke"


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
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message(), err=True)
            return EXIT_USAGE
        words = " ".join(error.format_message().split()).rstrip(".")
        return _complain(f"{words}; see 'meshnode-sim --help'")
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    return result if isinstance(result, int) else 0


def _complain(sentence: str) -> int:
    typer.echo(f"meshnode-sim: {sentence}", err=True)
    return EXIT_USAGE


@app.command("list")
def list_scenarios(as_json: AsJson = False) -> None:
    """Show the scenarios that come with the program."""
    from meshnode.cli.show import print_json, print_table
    from sims.reading import included_scenarios, load_scenario

    found = [load_scenario(name) for name in included_scenarios()]
    if as_json:
        print_json(
            scenarios=[
                {
                    "name": each.name,
                    "about": each.about,
                    "devices": len(each.devices),
                    "messages": len(each.messages),
                    "duration_s": each.duration_s,
                }
                for each in found
            ]
        )
    else:
        print_table(
            ("Name", "Devices", "About"),
            [(each.name, str(len(each.devices)), each.about) for each in found],
        )


@app.command()
def run(
    scenario: Annotated[str, typer.Argument(help="Name of a scenario, or a file FILE.toml.")],
    seed: Annotated[int, typer.Option(min=0, help="Decides everything the scenario leaves.")] = 1,
    seeds: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Run this many seeds, from --seed on.")
    ] = 1,
    trace: Annotated[
        Path | None, typer.Option(help="Write every event of the last run to this file.")
    ] = None,
    sealer: Annotated[
        SealingChoice, typer.Option(help="Seal repeatably, or as in the field.")
    ] = SealingChoice.STAND_IN,
    as_json: AsJson = False,
) -> int:
    """Run a scenario, check what must hold, and print what it came to."""
    from sims.checkers import check_world
    from sims.reading import load_scenario
    from sims.world import Sealing, run_world

    found = load_scenario(scenario)
    for each in range(seed, seed + seeds):
        world = run_world(found, each, sealing=Sealing(sealer.value))
        breaches = check_world(world)
        if trace is not None:
            _write_trace(world, trace)
        _show(world, breaches, as_json)
        if breaches:
            sealed = "" if sealer is SealingChoice.STAND_IN else f" --sealer {sealer.value}"
            again = f"meshnode-sim run {shlex.quote(scenario)} --seed {each}{sealed}"
            typer.echo(f"meshnode-sim: to see it again: {again}", err=True)
            return EXIT_BREACH
    return 0


def _write_trace(world: WorldRecord, path: Path) -> None:
    from sims.record import text_of
    from sims.scenario import ScenarioError

    try:
        path.write_text("".join(f"{text_of(line)}\n" for line in world.lines), encoding="utf-8")
    except OSError as error:
        raise ScenarioError(str(path), f"the trace cannot be written: {error.strerror}") from error


def _show(world: WorldRecord, breaches: list[Breach], as_json: bool) -> None:
    from meshnode.cli.show import print_facts, print_json
    from sims.measures import measure

    figures = measure(world)
    if as_json:
        print_json(
            scenario=world.scenario.name,
            seed=world.seed,
            virtual_s=world.end_ms / 1000,
            **asdict(figures),
            breaches=[asdict(breach) for breach in breaches],
            digest=world.digest,
        )
        return
    print_facts({"scenario": f"{world.scenario.name}, seed {world.seed}", **_words(figures, world)})
    for breach in breaches:
        typer.echo(f"FAILED {breach.checker}: {breach.device} {breach.sentence}")


def _words(figures: Any, world: WorldRecord) -> dict[str, str]:
    """Return the figures of a run in words."""
    from meshnode.cli.show import duration, size

    delays = "nothing arrived"
    if figures.delay_median_s is not None:
        median, p90 = duration(figures.delay_median_s), duration(figures.delay_p90_s)
        delays = f"half within {median}, nine in ten within {p90}"
    return {
        "virtual time": duration(world.end_ms / 1000),
        "messages": f"{figures.messages_sent} sent, "
        f"{figures.copies_arrived} of {figures.copies_due} copies arrived",
        "delays": delays,
        "moved": f"{figures.bundles_moved} bundles, {size(figures.bytes_moved)}",
        "trace": f"{len(world.lines)} events, digest {world.digest}",
    }
