"""`meshnode-sim report`: the page for planners, of a campaign or of a region."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sims.commands.options import (
    AsJson,
    Buffer,
    LanguageChoice,
    Rate,
    ReportLanguage,
    Seed,
)
from sims.errors import CommandError

__all__ = ["register"]

_PAGE = "report.html"


def register(app: typer.Typer) -> None:
    """Put this command into the program."""
    app.command()(report)


def report(
    subject: Annotated[
        str,
        typer.Argument(metavar="FOLDER|SCENARIO", help="Folder of a campaign, or a region."),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Where the page goes, FILE.html or a folder.")
    ] = None,
    seed: Seed = 1,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="Region: its policy; several stand side by side, the first in full."),
    ] = None,
    buffer: Buffer = None,
    rate: Rate = None,
    language: ReportLanguage = LanguageChoice.EN,
    as_json: AsJson = False,
) -> None:
    """Write a page on a campaign or a region.

    It needs a browser and no network. A campaign's goes into its folder, a
    region's into the current one.
    """
    from meshnode.cli.show import print_json

    if Path(subject).is_dir():
        if policy or buffer is not None or rate is not None:
            raise CommandError("--policy, --buffer and --rate are for regions: leave them out")
        path = _of_campaign(Path(subject), output, language)
    else:
        path = _of_region(subject, output, language, (seed, policy or [], buffer, rate))
    if as_json:
        print_json(report=str(path))
    else:
        typer.echo(f"report: {path}")


def _of_campaign(folder: Path, output: Path | None, language: LanguageChoice) -> Path:
    from meshnode.cli.progress import progress_bar
    from sims.campaign.results import read_results
    from sims.report import campaign_report

    results = read_results(folder)
    with progress_bar("writing the report"):
        return campaign_report(results, output or folder / _PAGE, language=language.value)


def _of_region(
    name: str,
    output: Path | None,
    language: LanguageChoice,
    asked: tuple[int, list[str], int | None, float | None],
) -> Path:
    """Run a region under each policy that was named, and write the page; return its place."""
    from meshnode.cli.progress import progress_bar
    from sims.commands.regions import (
        RegionAsk,
        is_region,
        load_asked,
        report_path,
        run_region,
        write_report,
    )

    if not is_region(name):
        raise CommandError(f"'{name}' runs real nodes: reports are on regions and campaigns")
    seed, policies, buffer_bytes, rate_bytes_s = asked
    with progress_bar("reading") as draw:
        named: list[str | None] = [*policies] or [None]
        scenarios = [
            load_asked(
                RegionAsk(
                    name,
                    seed=seed,
                    policy=policy,
                    buffer_bytes=buffer_bytes,
                    rate_bytes_s=rate_bytes_s,
                )
            )
            for policy in named
        ]
        runs = [run_region(each, lambda doing: draw(doing, 0)) for each in scenarios]
        draw("writing the report", 0)
        return write_report(runs, output or report_path(scenarios[0]), language)
