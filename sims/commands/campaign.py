"""`meshnode-sim campaign`: many runs of a region, on this computer or on several."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sims.commands.options import EXIT_BREACH, AsJson, LanguageChoice, ReportLanguage
from sims.errors import CommandError

if TYPE_CHECKING:
    from sims.campaign.cluster import ClusterPlan
    from sims.campaign.grid import Campaign
    from sims.campaign.job import Row
    from sims.campaign.results import CampaignResults
    from sims.campaign.runner import Progress

__all__ = ["register"]

_SHOWN: Final = ("delivered_share", "of_oracle", "delivered_urgent", "overhead", "delay_median_s")
"""Figures of each point of the grid that stand on the screen; the folder has all."""


def register(app: typer.Typer) -> None:
    """Put this command into the program."""
    app.command()(campaign)


def campaign(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="What is run and varied.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder for results, instead of one named as the file.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Use the workers of this scheduler, tcp://HOST:PORT."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=1_024, help="Processes here, instead of one a processor."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the report there, FILE.html or a folder.")
    ] = None,
    language: ReportLanguage = LanguageChoice.EN,
    as_json: AsJson = False,
) -> int:
    """Run a grid of parameters, once for each seed.

    Each result is on the disk as it comes; a campaign that was stopped goes on where it was.
    """
    from meshnode.cli.show import print_json
    from sims.campaign.cluster import ClusterPlan
    from sims.campaign.reading import load_campaign

    if scheduler is not None and workers is not None:
        raise CommandError("--workers are those of a scheduler already: leave one of both out")
    asked = load_campaign(file)
    folder = output or Path(file.stem)
    try:
        results = _run(asked, folder, ClusterPlan(workers=workers, scheduler=scheduler))
    except KeyboardInterrupt:
        _say_how_to_go_on(file, output, scheduler, workers)
        raise
    path = None
    if report is not None:
        from sims.report import campaign_report

        path = campaign_report(results, report, language=language.value)
    if as_json:
        print_json(**_fields(results, folder, path))
    else:
        _print(results, folder, path)
    return EXIT_BREACH if results.failed else 0


def _run(asked: Campaign, folder: Path, plan: ClusterPlan) -> CampaignResults:
    from meshnode.cli.progress import progress_bar
    from sims.abstract.engine import simulate
    from sims.campaign.grid import jobs_of
    from sims.campaign.runner import run_campaign

    total = len(jobs_of(asked))
    with progress_bar(f"{total} jobs: starting", total) as draw:

        def watch(progress: Progress) -> None:
            draw(_progress_words(progress), progress.done)

        return run_campaign(asked, folder, simulate, cluster=plan, watch=watch)


def _progress_words(progress: Progress) -> str:
    from meshnode.cli.show import duration

    words = f"{progress.done} of {progress.total} jobs"
    if progress.failed:
        words += f", {progress.failed} failed"
    if progress.left_s is not None and progress.done < progress.total:
        words += f", {duration(progress.left_s)} left"
    return words


def _say_how_to_go_on(
    file: Path, output: Path | None, scheduler: str | None, workers: int | None
) -> None:
    words = ["meshnode-sim", "campaign", str(file)]
    given = (("--output", output), ("--scheduler", scheduler), ("--workers", workers))
    for option, value in given:
        words += [] if value is None else [option, str(value)]
    typer.echo(f"meshnode-sim: stopped; to go on: {shlex.join(words)}", err=True)


# --- what is shown -------------------------------------------------------------------------------


def _fields(results: CampaignResults, folder: Path, report: Path | None) -> dict[str, Any]:
    from sims.commands.output import plain

    return {
        "name": results.name,
        "about": results.about,
        "scenario": results.scenario,
        "scenario_hash": results.scenario_hash,
        "version": results.version,
        "jobs": results.jobs,
        "done": len(results.rows),
        "failed": results.failed,
        "digest": results.digest,
        "folder": str(folder),
        "report": plain(report),
        "points": [plain(each) for each in _points(results)],
    }


def _points(results: CampaignResults) -> list[dict[str, Any]]:
    """Return each point of the grid with the means of some figures over its seeds."""
    from sims.campaign.parameters import PARAMETERS

    places = [
        place
        for place in range(len(PARAMETERS))
        if len({row.parameters.texts()[place] for row in results.rows}) > 1
    ]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in results.rows:
        texts = row.parameters.texts()
        groups.setdefault(tuple(texts[place] for place in places), []).append(row)
    return [
        {
            "parameters": dict(zip((PARAMETERS[place] for place in places), key, strict=True)),
            "seeds": sum(row.figures is not None for row in rows),
            **{name: _mean(rows, name) for name in _SHOWN},
        }
        for key, rows in groups.items()
    ]


def _mean(rows: list[Row], name: str) -> float | None:
    """Return the mean of a figure over the rows that have it; None where none does."""
    values = [float(getattr(row.figures, name)) for row in rows if row.figures is not None]
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else None


def _print(results: CampaignResults, folder: Path, report: Path | None) -> None:
    from meshnode.cli.show import print_facts, print_table
    from sims.commands.output import percent, seconds

    print_table(
        ("Where", "Seeds", "Delivered", "Of the possible", "Urgent", "Overhead", "Median delay"),
        [
            (
                ", ".join(f"{key}={value}" for key, value in each["parameters"].items()) or "all",
                str(each["seeds"]),
                percent(each["delivered_share"]),
                percent(each["of_oracle"]),
                percent(each["delivered_urgent"]),
                "-" if each["overhead"] is None else f"{each['overhead']:.2f}",
                seconds(each["delay_median_s"]),
            )
            for each in _points(results)
        ],
    )
    done = f"{len(results.rows)} of {results.jobs} jobs, {results.failed} failed"
    print_facts(
        {
            "campaign": f"{results.name}, {done}",
            "digest": results.digest or "-",
            "results": str(folder),
            **({} if report is None else {"report": str(report)}),
        }
    )
    for row in results.rows:
        if row.figures is None:
            typer.echo(f"FAILED seed {row.seed}: {row.error}", err=True)
