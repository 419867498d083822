"""`meshnode-sim run`: a scenario of real nodes; a region or a trace in the abstract simulator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sims.commands.options import (
    AsJson,
    Buffer,
    Contacts,
    Copies,
    Faults,
    LanguageChoice,
    LinksChoice,
    Messages,
    Nodes,
    Policy,
    Rate,
    ReportLanguage,
    SealingChoice,
    Seed,
    add_command,
)
from sims.errors import CommandError

if TYPE_CHECKING:
    from sims.commands.regions import RegionAsk, RegionDone

__all__ = ["register"]

_REAL: dict[str, str] = {
    "seeds": "--seeds",
    "faults": "--faults",
    "links": "--links",
    "sealer": "--sealer",
    "trace": "--trace",
}
"""Options that only real nodes know."""
_REGION: dict[str, str] = {
    "policy": "--policy",
    "buffer": "--buffer",
    "rate": "--rate",
    "copies": "--copies",
    "nodes": "--nodes",
    "report": "--report",
}
"""Options that only the abstract simulator knows."""


@dataclass(frozen=True, slots=True)
class _Run:
    scenario: Annotated[
        str | None,
        typer.Argument(help="Name of a scenario, a file FILE.toml, or chaos:SEED."),
    ] = None
    seed: Seed = 1
    contacts: Contacts = None
    messages: Messages = None
    nodes: Nodes = None
    policy: Policy = None
    buffer: Buffer = None
    rate: Rate = None
    copies: Copies = None
    report: Annotated[
        Path | None,
        typer.Option(help="Region: write the report there, FILE.html or a folder."),
    ] = None
    no_report: Annotated[bool, typer.Option("--no-report", help="Region: write no report.")] = False
    language: ReportLanguage = LanguageChoice.EN
    seeds: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="Real nodes: run this many seeds, from --seed on."),
    ] = None
    faults: Faults = None
    links: Annotated[
        LinksChoice | None, typer.Option(help="Real nodes: plain links, or TLS as in the field.")
    ] = None
    sealer: Annotated[
        SealingChoice | None,
        typer.Option(help="Real nodes: seal repeatably (the usual), or as in the field."),
    ] = None
    trace: Annotated[
        Path | None,
        typer.Option(help="Real nodes: write every event of the last run to this file."),
    ] = None
    as_json: AsJson = False


def register(app: typer.Typer) -> None:
    """Put this command into the program."""
    add_command(app, "run", _Run, _run)


def _run(words: _Run) -> int:
    """Run a scenario or a trace, and print what it came to.

    Real nodes are checked for what must hold. A region or a trace runs in the abstract simulator,
    is judged by what was possible, and gets a report.
    """
    from sims.commands.regions import is_region

    if words.scenario is None or words.contacts or words.messages or is_region(words.scenario):
        return _run_region(words)
    _refuse(words, _REGION, "is for regions, and this scenario runs real nodes")
    from sims.commands.worlds import WorldAsk, run_worlds

    ask = WorldAsk(
        words.scenario,
        words.faults,
        words.sealer or SealingChoice.STAND_IN,
        words.links or LinksChoice.PLAIN,
        words.trace,
        words.as_json,
    )
    return run_worlds(ask, words.seed, words.seeds or 1)


def _refuse(words: _Run, options: dict[str, str], why: str) -> None:
    for name, option in options.items():
        if getattr(words, name) is not None:
            raise CommandError(f"{option} {why}: leave it out")


def _run_region(words: _Run) -> int:
    from meshnode.cli.progress import progress_bar
    from sims.commands.regions import load_asked, run_region

    _refuse(words, _REAL, "is for real nodes, and this is a region")
    if words.report is not None and words.no_report:
        raise CommandError("--report and --no-report do not go together: leave one out")
    with progress_bar("reading") as draw:
        scenario = load_asked(_asked(words))
        done = run_region(scenario, lambda doing: draw(doing, 0))
    path = _report_path(words, done)
    if not words.as_json:
        from sims.commands.summary import print_summary

        print_summary(done, words.language)
    if path is not None:
        path = _report(done, path, words.language)
    if words.as_json:
        _print_json(done, path)
    elif path is not None:
        typer.echo(f"\nreport: {path}")
    return 0


def _asked(words: _Run) -> RegionAsk:
    from sims.commands.regions import RegionAsk

    return RegionAsk(
        words.scenario,
        words.contacts,
        words.messages,
        words.nodes,
        words.seed,
        words.policy,
        words.buffer,
        words.rate,
        words.copies,
    )


def _report_path(words: _Run, done: RegionDone) -> Path | None:
    """Return where the report goes: only scenarios that a person looks at get one unasked."""
    from sims.commands.regions import report_path

    if words.report is not None:
        return words.report
    if words.as_json or words.no_report or words.scenario is None:
        return None
    return report_path(done.scenario)


def _report(done: RegionDone, path: Path, language: LanguageChoice) -> Path:
    from meshnode.cli.progress import progress_bar
    from sims.commands.regions import write_report

    with progress_bar("writing the report"):
        return write_report([done], path, language)


def _print_json(done: RegionDone, path: Path | None) -> None:
    from meshnode.cli.show import print_json
    from sims.commands.output import plain
    from sims.commands.regions import figures_of

    fields = {name: plain(value) for name, value in figures_of(done).items()}
    print_json(**fields, report=plain(path))
