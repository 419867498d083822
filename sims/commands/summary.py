"""What a run of a region came to, for people: a table by class, sentences, and what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sims.commands.options import LanguageChoice
    from sims.commands.regions import RegionDone
    from sims.report.measures import Run
    from sims.report.words import Words

__all__ = ["print_summary"]


def print_summary(done: RegionDone, language: LanguageChoice) -> None:
    """Print what was run, how much arrived and when, what it cost, and where the rest died."""
    from meshnode.cli.show import print_table, safe
    from sims.report.measures import make_run
    from sims.report.story import advice, summary
    from sims.report.words import Words

    words = Words(language.value)
    run = make_run(done.region, done.outcome, done.arrivals_s, done.energy, done.account)
    sentences = summary(run, words)
    typer.echo(safe(sentences[0]))
    typer.echo("")
    columns = ("class", "messages", "delivered", "possible", "of_oracle", "delay_median_s")
    headings = [words.noun(each) for each in (*columns, "delay_p90_s")]
    print_table([each.capitalize() for each in headings], _rows(run, words))
    typer.echo("")
    typer.echo(_traffic(done, words))
    for sentence in sentences[1:]:
        typer.echo(safe(sentence))
    typer.echo("")
    typer.echo(f"{words('advice.title')}:")
    for sentence in advice(run, words):
        typer.echo(safe(f"- {sentence}"))


def _rows(run: Run, words: Words) -> list[tuple[str, ...]]:
    import numpy as np

    from sims.report.measures import CLASSES

    everything = np.ones(len(run.region.workload), np.bool_)
    rows = [_row(run, words, "all", everything)]
    for number, name in enumerate(CLASSES):
        if run.of_class(number).any():
            rows.append(_row(run, words, name, run.of_class(number)))
    return rows


def _row(run: Run, words: Words, name: str, chosen: NDArray[np.bool_]) -> tuple[str, ...]:
    import numpy as np

    from sims.report.measures import delays_of

    assert run.possible is not None, "a summary is made of runs that are judged"
    messages, arrived = int(chosen.sum()), chosen & run.delivered
    possible = int((chosen & run.possible).sum())
    delays = delays_of(run, run.outcome.delivered_s)[arrived]
    return (
        words(f"class.{name}"),
        words.number(messages),
        f"{words.number(int(arrived.sum()))} · {_share(int(arrived.sum()), messages, words)}",
        _share(possible, messages, words),
        _share(int(arrived.sum()), possible, words),
        words.duration(float(np.median(delays)) if len(delays) else np.nan),
        words.duration(float(np.quantile(delays, 0.9)) if len(delays) else np.nan),
    )


def _share(part: int, whole: int, words: Words) -> str:
    return words.percent(part / whole if whole else float("nan"))


def _traffic(done: RegionDone, words: Words) -> str:
    """Return one line on policy, transfers, and how to know the result again."""
    outcome = done.outcome
    arrived = int((outcome.fate == 0).sum())
    beyond = (outcome.transfers - arrived) / arrived if arrived else float("nan")
    return " · ".join(
        (
            f"{words.noun('policy')}: {outcome.options.policy}",
            f"{words('options.transfers')}: {words.number(outcome.transfers)}",
            f"{words('tile.overhead')}: {words.figure(beyond)}",
            f"{words('options.cut')}: {words.number(int(outcome.cut_transfers))}",
            f"CPU: {outcome.cpu_seconds:.2f} s",
            f"{words('column.digest')}: {outcome.digest[:16]}",
        )
    )
