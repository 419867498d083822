"""`meshnode-sim compare`: two campaigns side by side."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sims.commands.options import AsJson, LanguageChoice, ReportLanguage

if TYPE_CHECKING:
    from sims.campaign.compare import Comparison, Difference

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Put this command into the program."""
    app.command()(compare)


def compare(
    a: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of the first campaign.")],
    b: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of the second.")],
    force: Annotated[
        bool, typer.Option("--force", help="Compare them though their scenarios differ.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write a report there, FILE.html or a folder.")
    ] = None,
    language: ReportLanguage = LanguageChoice.EN,
    as_json: AsJson = False,
) -> None:
    """Show what differs between two campaigns.

    It says by how much, and whether chance would explain it. Runs with the same seed and
    parameters form pairs; intervals hold the difference at 95 %.
    """
    from meshnode.cli.show import print_json
    from sims.campaign.compare import compare as compare_results
    from sims.campaign.results import read_results
    from sims.commands.output import plain

    sides = read_results(a), read_results(b)
    found = compare_results(*sides, is_forced=force)
    path = None
    if report is not None:
        from sims.report import comparison_report

        path = comparison_report(*sides, found, report, language=language.value)
    if as_json:
        fields = {name: plain(value) for name, value in asdict(found).items()}
        print_json(**fields, report=plain(path))
        return
    _print(found)
    if path is not None:
        typer.echo(f"report: {path}")


def _print(found: Comparison) -> None:
    from meshnode.cli.show import print_facts, print_table

    contrast = ", ".join(
        f"{name} {first} against {second}" for name, first, second in found.contrast
    )
    alone = f"{found.unpaired_a} of {found.a} and {found.unpaired_b} of {found.b} without a partner"
    print_facts(
        {
            "campaigns": f"a is {found.a}, b is {found.b}",
            "compared": contrast or "nothing that is fixed in each and differs",
            "pairs": f"{found.pairs}; {alone}",
            **({} if found.is_same_scenario else {"scenarios": "differ"}),
        }
    )
    columns = ("Where", "Figure", "Pairs", "a", "b", "b - a", "95 % from", "to", "Better")
    print_table(columns, [_row(each) for each in found.differences])


def _row(each: Difference) -> tuple[str, ...]:
    where = ", ".join(f"{name}={value}" for name, value in each.point)
    numbers = (each.mean_a, each.mean_b, each.mean, each.low, each.high)
    texts = ["" if number is None else f"{number:.5g}" for number in numbers]
    return where, each.figure, str(each.pairs), *texts, each.better
