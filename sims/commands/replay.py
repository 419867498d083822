"""`meshnode-sim replay`: one run again, with all that happened in it."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sims.commands.options import (
    AsJson,
    Buffer,
    Copies,
    Faults,
    LinksChoice,
    Policy,
    Rate,
    SealingChoice,
    Seed,
    add_command,
)
from sims.errors import CommandError

if TYPE_CHECKING:
    from sims.commands.regions import RegionDone

__all__ = ["register"]

_REGION: Final = ("policy", "buffer", "rate", "copies")
_REAL: Final = ("faults", "links", "sealer")


@dataclass(frozen=True, slots=True)
class _Replay:
    scenario: Annotated[
        str, typer.Argument(help="Name of a scenario, a file FILE.toml, or chaos:SEED.")
    ]
    seed: Seed = 1
    trace: Annotated[
        Path | None,
        typer.Option(help="Write what happened to this file, instead of the screen."),
    ] = None
    faults: Faults = None
    links: Annotated[
        LinksChoice | None, typer.Option(help="Real nodes: plain links, or TLS as in the field.")
    ] = None
    sealer: Annotated[
        SealingChoice | None,
        typer.Option(help="Real nodes: seal repeatably (the usual), or as in the field."),
    ] = None
    policy: Policy = None
    buffer: Buffer = None
    rate: Rate = None
    copies: Copies = None
    as_json: AsJson = False


def register(app: typer.Typer) -> None:
    """Put this command into the program."""
    add_command(app, "replay", _Replay, _replay)


def _replay(words: _Replay) -> int:
    """Run one seed again, and show all that happened.

    Real nodes give their trace as JSON lines, and are checked. A region gives a table of its
    messages; in a file it is CSV.
    """
    from sims.commands.regions import is_region

    has_region = is_region(words.scenario)
    why = "is for regions, and this scenario runs real nodes"
    if has_region:
        why = "is for real nodes, and this is a region"
    for name in _REAL if has_region else _REGION:
        if getattr(words, name) is not None:
            raise CommandError(f"--{name} {why}: leave it out")
    return _replay_region(words) if has_region else _replay_world(words)


def _replay_world(words: _Replay) -> int:
    from sims.commands.worlds import WorldAsk, replay_world

    ask = WorldAsk(
        words.scenario,
        words.faults,
        words.sealer or SealingChoice.STAND_IN,
        words.links or LinksChoice.PLAIN,
        words.trace,
        words.as_json,
    )
    return replay_world(ask, words.seed)


def _replay_region(words: _Replay) -> int:
    from meshnode.cli.progress import progress_bar
    from meshnode.cli.show import print_json, print_table
    from sims.commands.output import plain, write_text
    from sims.commands.regions import RegionAsk, figures_of, load_asked, run_region

    ask = RegionAsk(
        words.scenario,
        seed=words.seed,
        policy=words.policy,
        buffer_bytes=words.buffer,
        rate_bytes_s=words.rate,
        copies=words.copies,
    )
    with progress_bar("reading") as draw:
        done = run_region(load_asked(ask), lambda doing: draw(doing, 0))
    rows = [_message(done, place) for place in range(len(done.region.workload))]
    if words.trace is not None:
        write_text(words.trace, _as_csv(rows), "table of messages")
    if words.as_json:
        fields = {name: plain(value) for name, value in figures_of(done).items()}
        print_json(**fields, fates_of=[plain(row) for row in rows])
    elif words.trace is not None:
        typer.echo(f"{len(rows)} messages: {words.trace}")
        typer.echo(f"digest: {done.outcome.digest}")
    else:
        names = list(_COLUMNS)
        print_table(names, [[_cell(row[name]) for name in names] for row in rows])
    return 0


_COLUMNS: Final = (
    *("message", "class", "from", "to", "size_bytes", "written_s", "fate", "arrived_s"),
    *("delay_s", "best_delay_s", "hops", "transfers", "died_at"),
)


def _message(done: RegionDone, place: int) -> dict[str, Any]:
    """Return what became of a message, by column; None where there is nothing to say."""
    from sims.abstract.records import Fate

    region, outcome, workload = done.region, done.outcome, done.region.workload
    written_s, arrived_s = float(workload.created_s[place]), float(outcome.delivered_s[place])
    died_at = int(outcome.died_at[place])
    values = (
        workload.names[place],
        ("urgent", "normal", "bulk")[workload.priority[place]],
        region.labels[workload.source[place]],
        region.labels[workload.destination[place]],
        int(workload.size_bytes[place]),
        written_s,
        Fate(int(outcome.fate[place])).name.lower().replace("_", " "),
        arrived_s,
        arrived_s - written_s,
        float(done.arrivals_s[place]) - written_s,
        int(outcome.hops[place]),
        int(outcome.transfers_of[place]),
        region.labels[died_at] if died_at >= 0 else None,
    )
    return dict(zip(_COLUMNS, values, strict=True))


def _cell(value: object) -> str:
    """Return a value as text: seconds to a hundredth, nothing where there is none."""
    if isinstance(value, float):
        return f"{value:.2f}" if math.isfinite(value) else ""
    return "" if value is None else str(value)


def _as_csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    table.writerows([_cell(row[name]) for name in _COLUMNS] for row in rows)
    return text.getvalue()
